/* What waits for the channel: whole frames in one bounded buffer. Nothing is queued elsewhere: the
 * rest of what there is to say is asked for, from streams and state, when there is room. */
#ifndef OUTBOX_H
#define OUTBOX_H
#include "frame.h"
#include "record.h"

enum {
	OUTBOX_BYTES = 8 * FRAME_BYTES_MAX,
	/* Data stops here, so that answers always have room. */
	OUTBOX_DATA_BYTES = 4 * FRAME_BYTES_MAX,
};

extern struct outbox { size_t start, end; uint8_t bytes[OUTBOX_BYTES]; } outbox;

bool outbox_has_room_for_data(void);
/* For one answer of any size. The reader of requests asks before it takes the next. */
bool outbox_has_room_for_answer(void);
void outbox_clear(void);
/* Drops what is there and begins with the preamble. */
void outbox_begin(void);
void outbox_put(uint8_t type, uint16_t id, uint8_t part, const uint8_t *payload, size_t n);

void answer_done(uint16_t id, const struct record_writer *records); /* NULL: none */
void answer_failed(uint16_t id); /* with last_failure */
#endif
