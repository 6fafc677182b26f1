#include "ring.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t offset_of(uint64_t position) { return (size_t)(position % WINDOW_BYTES); }

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Pages that were written once go back to the kernel: an idle init stays small. */
static void release_pages(struct ring *ring) {
	const uintptr_t page = 4096;
	uintptr_t first = ((uintptr_t)ring->bytes + page - 1) & ~(page - 1);
	uintptr_t last = ((uintptr_t)ring->bytes + WINDOW_BYTES) & ~(page - 1);
	(void)madvise((void *)first, last - first, MADV_DONTNEED); /* advice: nothing depends on it */
}

void ring_reset(struct ring *ring) {
	if (ring->end > 0) release_pages(ring);
	ring->start = ring->sent = ring->end = 0;
}

ssize_t ring_read_from(struct ring *ring, int fd, size_t max) {
	size_t at = offset_of(ring->end);
	ssize_t n = read(fd, ring->bytes + at, least(max, least(ring_room(ring), WINDOW_BYTES - at)));
	if (n > 0) ring->end += (uint64_t)n;
	return n;
}

ssize_t ring_write_to(struct ring *ring, int fd) {
	size_t at = offset_of(ring->start);
	ssize_t n = write(fd, ring->bytes + at, least((size_t)(ring->end - ring->start), WINDOW_BYTES - at));
	if (n > 0) ring->start += (uint64_t)n;
	return n;
}

void ring_append(struct ring *ring, const uint8_t *bytes, size_t n) {
	size_t at = offset_of(ring->end), first = least(n, WINDOW_BYTES - at);
	memcpy(ring->bytes + at, bytes, first);
	memcpy(ring->bytes, bytes + first, n - first);
	ring->end += n;
}

size_t ring_take_unsent(struct ring *ring, uint8_t *out, size_t max) {
	size_t n = least(max, (size_t)(ring->end - ring->sent));
	size_t at = offset_of(ring->sent), first = least(n, WINDOW_BYTES - at);
	memcpy(out, ring->bytes + at, first);
	memcpy(out + first, ring->bytes, n - first);
	ring->sent += n;
	return n;
}
