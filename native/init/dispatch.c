#include "dispatch.h"

#include <errno.h>
#include <signal.h>

#include "accept.h"
#include "clock.h"
#include "config.h"
#include "copy.h"
#include "dial.h"
#include "entrypoint.h"
#include "failure.h"
#include "machine.h"
#include "outbox.h"
#include "session.h"
#include "sftp.h"
#include "shutdown.h"
#include "stats.h"
#include "stream.h"

enum { STOP_TIMEOUT_MS = 5000, STOP_TIMEOUT_MS_MAX = 300000 };

static uint64_t number_of(const struct frame *frame, uint16_t tag, uint64_t max, uint64_t otherwise) {
	struct record record;
	uint64_t number;
	if (!record_find(frame->payload, frame->length, tag, &record)) return otherwise;
	return parse_number(record.text, max, &number) ? number : otherwise;
}

static int signal_of(const struct frame *frame) {
	return (int)number_of(frame, R_SIGNAL, NSIG - 1, SIGINT);
}

static uint64_t timeout_of(const struct frame *frame) {
	return number_of(frame, R_TIMEOUT_MS, STOP_TIMEOUT_MS_MAX, STOP_TIMEOUT_MS);
}

static int run_process(const struct frame *frame) {
	struct start start = {frame->payload, frame->length, true, NULL};
	struct started started;
	if (frame->type == F_PUT) start.copy = copy_put;
	if (frame->type == F_GET) start.copy = copy_get;
	if (frame->type == F_SFTP) start.copy = sftp_serve;
	struct stream *stream = stream_take(start.copy == NULL ? STREAM_EXEC : STREAM_COPY, frame->id);
	if (stream == NULL) return fail_with(EMFILE, "open", "all streams are in use");
	if (process_start(&start, &started) < 0) {
		stream->kind = STREAM_FREE;
		return -1;
	}
	stream_attach(stream, &started);
	return 0;
}

static int configure(const struct frame *frame, bool *later) {
	if (entrypoint_is_running()) return fail_with(EALREADY, "configure", "the entrypoint runs");
	if (config_append(frame->payload, frame->length) < 0) return -1;
	*later = frame->part == 0; /* more to come: one answer for all */
	if (*later) return 0;
	return config_complete() < 0 ? -1 : machine_prepare();
}

static int signal_process(const struct frame *frame) {
	uint64_t target = number_of(frame, R_TARGET, UINT16_MAX, 0);
	if (target == 0) return entrypoint_signal(signal_of(frame));
	struct stream *stream = stream_find((uint16_t)target);
	if (stream == NULL || stream->pid == 0 || stream->exited) return fail_with(ESRCH, "signal", "no such stream");
	return kill(stream->pid, signal_of(frame)) == 0 ? 0 : fail("signal", "");
}

static int shut_down(const struct frame *frame) {
	struct record mode;
	bool named = record_find(frame->payload, frame->length, R_MODE, &mode);
	return shutdown_begin(named ? mode.text : "", frame->id, signal_of(frame), timeout_of(frame));
}

static int stats(const struct frame *frame) {
	uint8_t bytes[PAYLOAD_BYTES_MAX];
	struct record_writer writer = {bytes, sizeof bytes, 0};
	stats_put(&writer);
	answer_done(frame->id, &writer);
	return 0;
}

/* *later: the answer comes with its event, or has been given. */
static int perform(const struct frame *frame, bool *later) {
	*later = true;
	switch (frame->type) {
	case F_START: return entrypoint_start(frame->id);
	case F_RESTART: return entrypoint_restart(frame->id, signal_of(frame), timeout_of(frame));
	case F_SHUTDOWN: return shut_down(frame);
	case F_STATS: return stats(frame);
	case F_EXEC: case F_PUT: case F_GET: case F_SFTP: return run_process(frame);
	case F_DIAL: return dial(frame->id, frame->payload, frame->length);
	case F_ACCEPT: return accept_one(frame->id, frame->payload, frame->length);
	default: *later = false;
	}
	switch (frame->type) {
	case F_CONFIGURE: return configure(frame, later);
	case F_STOP: return entrypoint_stop(signal_of(frame), timeout_of(frame));
	case F_SIGNAL: return signal_process(frame);
	case F_SET_CLOCK: return clock_set(frame->payload, frame->length);
	case F_RESEED: return clock_reseed(frame->payload, frame->length);
	case F_FIND_DEVICES: return machine_find_devices_anew();
	default: return fail_with(ENOSYS, "request", "this init does not know the request");
	}
}

static bool take_request(const struct frame *frame) {
	bool later = false;
	if (frame->id == 0 || stream_find(frame->id) != NULL) return false;
	/* A configuration comes in parts, and only the whole is made of records. */
	if (frame->type != F_CONFIGURE && !records_are_good(frame->payload, frame->length))
		fail_with(EINVAL, "request", "the payload is not made of records");
	else if (perform(frame, &later) == 0) {
		if (!later) answer_done(frame->id, NULL);
		return true;
	}
	answer_failed(frame->id);
	return true;
}

static uint32_t read32(const uint8_t *p) {
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool take_stream_frame(const struct frame *frame) {
	struct stream *stream = stream_find(frame->id);
	if (stream == NULL) return true; /* it crossed our CLOSED */
	switch (frame->type) {
	case F_DATA: return frame->part == 0 && stream_data(stream, frame->payload, frame->length);
	case F_END: stream_end(stream); return true;
	case F_WINDOW:
		return frame->length == 4 && stream_window(stream, frame->part, read32(frame->payload));
	case F_RESIZE:
		if (frame->length != 4) return false;
		stream_resize(stream, (uint16_t)(read32(frame->payload) >> 16), (uint16_t)read32(frame->payload));
		return true;
	case F_RESET:
		if (stream->kind != STREAM_ENTRYPOINT) stream_abandon(stream);
		return true;
	default: return true;
	}
}

bool dispatch_frame(const struct frame *frame) {
	if (frame->type == F_HELLO) {
		session_begin();
		return true;
	}
	if (!session_is_open()) return true; /* the rest of a session that is over */
	if (frame->type < 0x40) return take_request(frame);
	if (frame->type < 0x80) return take_stream_frame(frame);
	return false;
}
