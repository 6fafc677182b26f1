/*
 * A ring of WINDOW_BYTES between a pipe and the channel. Positions only grow; the ring holds
 * [start, end). Output: [start, sent) waits for the host's WINDOW, so that it can be sent again to a
 * host that comes back; [sent, end) has not been sent. Input: start is what the process has taken.
 */
#ifndef RING_H
#define RING_H
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { WINDOW_BYTES = 128 * 1024 };

struct ring {
	uint64_t start, sent, end;
	uint8_t bytes[WINDOW_BYTES];
};

static inline size_t ring_room(const struct ring *r) { return WINDOW_BYTES - (size_t)(r->end - r->start); }

void ring_reset(struct ring *ring);
/* As read(2) and write(2), at most `max` bytes, in one piece. Neither is called without room or bytes. */
ssize_t ring_read_from(struct ring *ring, int fd, size_t max);
ssize_t ring_write_to(struct ring *ring, int fd);
/* The caller has checked that there is room. */
void ring_append(struct ring *ring, const uint8_t *bytes, size_t n);
/* Copies up to `max` unsent bytes and counts them as sent. */
size_t ring_take_unsent(struct ring *ring, uint8_t *out, size_t max);
#endif
