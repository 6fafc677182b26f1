#include "session.h"

#include "entrypoint.h"
#include "outbox.h"
#include "stream.h"

static bool is_open;

bool session_is_open(void) { return is_open; }

void session_lose(void) {
	is_open = false;
	outbox_clear();
	streams_lose_host();
	entrypoint_lose_host();
}

void session_begin(void) {
	session_lose();
	is_open = true;
	outbox_begin();
	uint8_t bytes[512];
	struct record_writer writer = {bytes, sizeof bytes, 0};
	record_put(&writer, R_LIMITS, NUMBER(STREAMS_MAX), NUMBER(WINDOW_BYTES), NUMBER(PAYLOAD_BYTES_MAX), NULL);
	entrypoint_put_state(&writer);
	record_put(&writer, R_OFFSETS, NUMBER(ENTRYPOINT->out[0].ring.start),
	           NUMBER(ENTRYPOINT->out[1].ring.start), NULL);
	outbox_put(F_WELCOME, 0, 0, bytes, writer.used);
}

void session_emit(void) {
	if (!is_open) return;
	streams_emit();
	entrypoint_emit();
}
