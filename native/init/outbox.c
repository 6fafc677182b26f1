#include "outbox.h"

#include <string.h>

#include "failure.h"

struct outbox outbox;

static size_t room(void) {
	if (outbox.start > 0) {
		memmove(outbox.bytes, outbox.bytes + outbox.start, outbox.end - outbox.start);
		outbox.end -= outbox.start;
		outbox.start = 0;
	}
	return OUTBOX_BYTES - outbox.end;
}

bool outbox_has_room_for_data(void) { return outbox.end - outbox.start < OUTBOX_DATA_BYTES; }

bool outbox_has_room_for_answer(void) { return OUTBOX_BYTES - (outbox.end - outbox.start) >= 2 * FRAME_BYTES_MAX; }

void outbox_clear(void) { outbox.start = outbox.end = 0; }

void outbox_begin(void) {
	outbox.start = 0;
	outbox.end = PREAMBLE_BYTES;
	memset(outbox.bytes, 0, PREAMBLE_BYTES);
}

void outbox_put(uint8_t type, uint16_t id, uint8_t part, const uint8_t *payload, size_t n) {
	if (room() < HEADER_BYTES + n) return; /* cannot be: every caller asked for room */
	struct frame frame = {.type = type, .part = part, .id = id, .length = (uint16_t)n, .payload = payload};
	outbox.end += frame_write(outbox.bytes + outbox.end, &frame);
}

void answer_done(uint16_t id, const struct record_writer *records) {
	outbox_put(F_DONE, id, 0, records == NULL ? NULL : records->bytes, records == NULL ? 0 : records->used);
}

void answer_failed(uint16_t id) {
	uint8_t bytes[512];
	struct record_writer writer = {bytes, sizeof bytes, 0};
	record_put(&writer, R_ERROR, last_failure.step, NUMBER(last_failure.error),
	           strerror(last_failure.error), last_failure.detail, NULL);
	outbox_put(F_FAILED, id, 0, bytes, writer.used);
}
