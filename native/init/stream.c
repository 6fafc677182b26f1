#include "stream.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "failure.h"
#include "outbox.h"

struct stream streams[STREAMS_MAX + 1];

enum { LOOK_MS = 500 };

static void on_output(struct source *source, uint32_t events);
static void on_input(struct source *source, uint32_t events);
static void on_report(struct source *source, uint32_t events);


void streams_start(void) {
	for (int i = 0; i <= STREAMS_MAX; i++) {
		struct stream *stream = &streams[i];
		stream->report = (struct source){.fd = -1, .ready = on_report};
		stream->in.source = (struct source){.fd = -1, .ready = on_input};
		for (int part = 0; part < 2; part++)
			stream->out[part].source = (struct source){.fd = -1, .ready = on_output};
	}
	ENTRYPOINT->kind = STREAM_ENTRYPOINT;
}

struct stream *stream_find(uint16_t id) {
	for (int i = 0; i <= STREAMS_MAX; i++)
		if (streams[i].kind != STREAM_FREE && !streams[i].orphan && streams[i].id == id) return &streams[i];
	return NULL;
}

static void reset(struct stream *stream) {
	stream->begun = stream->failed = stream->answered = stream->abandoned = stream->orphan = stream->exited = false;
	stream->accepting = false;
	memset(&stream->failure, 0, sizeof stream->failure);
	stream->pid = 0;
	stream->in.credit = 0;
	stream->in.ending = stream->in.terminal = false;
	ring_reset(&stream->in.ring);
	for (int part = 0; part < 2; part++) {
		stream->out[part].drain = -1;
		stream->out[part].ended = false;
		if (stream->kind != STREAM_ENTRYPOINT) ring_reset(&stream->out[part].ring);
	}
}

struct stream *stream_take(enum stream_kind kind, uint16_t id) {
	if (kind == STREAM_ENTRYPOINT) {
		reset(ENTRYPOINT);
		return ENTRYPOINT;
	}
	for (int i = 1; i <= STREAMS_MAX; i++) {
		if (streams[i].kind != STREAM_FREE) continue;
		streams[i].kind = kind;
		streams[i].id = streams[i].answer_id = id;
		reset(&streams[i]);
		return &streams[i];
	}
	return NULL;
}

static void watch_output(struct output *output) {
	source_watch(&output->source, ring_room(&output->ring) > 0 ? EPOLLIN : 0);
}

static void watch_input(struct input *input) {
	source_watch(&input->source, input->ring.end > input->ring.start ? EPOLLOUT : 0);
}

void stream_attach(struct stream *stream, const struct started *started) {
	stream->pid = started->pid;
	stream->report.fd = started->report;
	stream->report.ready = on_report; /* a dial had this slot before */
	stream->in.source.fd = started->input;
	stream->in.terminal = started->errors < 0 && started->pid > 0;
	stream->out[0].source.fd = started->output;
	stream->out[1].source.fd = started->errors;
	source_watch(&stream->report, EPOLLIN);
	for (int part = 0; part < 2; part++) watch_output(&stream->out[part]);
}

static void on_report(struct source *source, uint32_t events) {
	(void)events;
	struct stream *stream = CONTAINER(source, struct stream, report);
	ssize_t n = read(source->fd, &stream->failure, sizeof stream->failure);
	if (n < 0 && errno == EAGAIN) return;
	source_close(source);
	stream->failure.step[sizeof stream->failure.step - 1] = 0;
	if (n == (ssize_t)sizeof stream->failure) stream->failed = true;
	else stream->begun = true;
}

static void on_output(struct source *source, uint32_t events) {
	(void)events;
	struct output *output = CONTAINER(source, struct output, source);
	if (ring_room(&output->ring) == 0) return watch_output(output);
	size_t max = output->drain < 0 ? SIZE_MAX : (size_t)output->drain;
	ssize_t n = ring_read_from(&output->ring, source->fd, max);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
	if (n > 0 && output->drain > 0) output->drain -= n;
	if (n <= 0 || output->drain == 0) source_close(source); /* its end, or EIO of a terminal */
	else watch_output(output);
}

static void credit(struct input *input, uint64_t n) { input->credit += (uint32_t)n; }

static void close_input(struct input *input) {
	credit(input, input->ring.end - input->ring.start); /* nobody takes it: the host must not wait */
	input->ring.start = input->ring.end;
	source_close(&input->source);
}

static void finish_input(struct stream *stream) {
	struct input *input = &stream->in;
	if (!input->ending || input->ring.end > input->ring.start || input->source.fd < 0) return;
	if (input->terminal) {
		(void)!write(input->source.fd, "\x04", 1); /* VEOF, the end of input on a terminal */
		input->ending = false;
		return;
	}
	if (stream->kind == STREAM_DIAL) shutdown(input->source.fd, SHUT_WR);
	source_close(&input->source);
}

static void on_input(struct source *source, uint32_t events) {
	(void)events;
	struct input *input = CONTAINER(source, struct input, source);
	struct stream *stream = CONTAINER(input, struct stream, in);
	if (input->ring.end > input->ring.start) {
		ssize_t n = ring_write_to(&input->ring, source->fd);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
		if (n < 0) return close_input(input); /* EPIPE: it reads no more */
		credit(input, (uint64_t)n);
	}
	watch_input(input);
	finish_input(stream);
}

bool stream_data(struct stream *stream, const uint8_t *bytes, size_t n) {
	struct input *input = &stream->in;
	uint64_t outstanding = (input->ring.end - input->ring.start) + input->credit;
	if (n > WINDOW_BYTES - outstanding) return false;
	if (input->source.fd < 0 || input->ending) {
		credit(input, n);
		return true;
	}
	ring_append(&input->ring, bytes, n);
	if (stream->begun || stream->kind != STREAM_DIAL) watch_input(input);
	return true;
}

bool stream_window(struct stream *stream, uint8_t part, uint32_t n) {
	if (part < 1 || part > 2) return false;
	struct output *output = &stream->out[part - 1];
	if (stream->abandoned) return true; /* it crossed the RESET: what it is for has been dropped */
	if (n > output->ring.sent - output->ring.start) return false;
	output->ring.start += n;
	watch_output(output);
	return true;
}

void stream_end(struct stream *stream) {
	stream->in.ending = true;
	if (stream->begun || stream->kind != STREAM_DIAL) finish_input(stream);
}

void stream_resize(struct stream *stream, uint16_t columns, uint16_t rows) {
	struct winsize size = {.ws_col = columns, .ws_row = rows};
	if (stream->in.terminal && stream->in.source.fd >= 0)
		(void)ioctl(stream->in.source.fd, TIOCSWINSZ, &size); /* the shell may just have ended */
}

/*
 * A copy cleans up after SIGTERM, which must arrive before the end of its input. A process that is not there any more
 * has ended, whoever was told of it: the host waits for CLOSED.
 */
static void end_process(struct stream *stream) {
	if (stream->pid == 0 || stream->exited) return;
	int ended = stream->kind == STREAM_COPY ? kill(stream->pid, SIGTERM) : kill(-stream->pid, SIGKILL);
	if (ended < 0 && stream->kind != STREAM_COPY) ended = kill(stream->pid, SIGKILL);
	if (ended < 0 && errno == ESRCH) stream->exited = true;
}

void stream_abandon(struct stream *stream) {
	stream->abandoned = true;
	end_process(stream);
	source_close(&stream->report);
	close_input(&stream->in);
	for (int part = 0; part < 2; part++) {
		source_close(&stream->out[part].source);
		stream->out[part].ring.start = stream->out[part].ring.sent = stream->out[part].ring.end;
	}
	if (!stream->begun) stream->failed = true;
	if (!stream->begun) stream->failure = (struct exec_failure){ECANCELED, "reset"};
}

/* What the process wrote is there at its end; what it left running may write for ever. */
static void drain_rest(struct output *output) {
	int left = 0;
	if (output->source.fd < 0) return;
	if (ioctl(output->source.fd, FIONREAD, &left) < 0) left = 0;
	output->drain = left;
	if (left == 0) source_close(&output->source);
	else watch_output(output);
}

void stream_exited(struct stream *stream, int status) {
	stream->exited = true;
	stream->status = status;
	if (stream->report.fd >= 0) on_report(&stream->report, EPOLLIN);
	if (stream->report.fd >= 0) { /* a child that left nothing and still holds it: not ours */
		source_close(&stream->report);
		stream->begun = true;
	}
	/* A terminal ends by itself, with what was in flight: the leader's end hangs it up. */
	if (!stream->in.terminal)
		for (int part = 0; part < 2; part++) drain_rest(&stream->out[part]);
	close_input(&stream->in);
}

/* It has closed all that it wrote to, so its end is near, or was missed. */
static bool is_near_end(const struct stream *stream) {
	return (stream->kind == STREAM_EXEC || stream->kind == STREAM_COPY) && stream->pid > 0 && !stream->exited
	       && stream->out[0].source.fd < 0 && stream->out[1].source.fd < 0;
}

uint64_t streams_look_ms(void) {
	for (int i = 1; i <= STREAMS_MAX; i++)
		if (is_near_end(&streams[i])) return now_ms() + LOOK_MS;
	return UINT64_MAX;
}

void streams_look(void) {
	for (int i = 1; i <= STREAMS_MAX; i++)
		if (is_near_end(&streams[i]) && kill(streams[i].pid, 0) < 0 && errno == ESRCH)
			stream_exited(&streams[i], ECHILD << 8);
}

bool stream_is_drained(const struct stream *stream) {
	for (int part = 0; part < 2; part++) {
		const struct output *output = &stream->out[part];
		if (output->source.fd >= 0 || output->ring.sent < output->ring.end) return false;
	}
	return true;
}

static void emit_answer(struct stream *stream) {
	if (stream->answered || stream->answer_id == 0 || !(stream->begun || stream->failed)) return;
	stream->answered = true;
	if (!stream->failed) return answer_done(stream->answer_id, NULL);
	fail_with(stream->failure.error, stream->failure.step, "");
	answer_failed(stream->answer_id);
}

static void emit_credit(struct stream *stream) {
	struct input *input = &stream->in;
	bool idle = input->ring.start == input->ring.end;
	if (input->credit == 0 || (!idle && input->credit < WINDOW_BYTES / 4)) return;
	uint32_t n = input->credit;
	uint8_t bytes[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
	outbox_put(F_WINDOW, stream->id, 0, bytes, sizeof bytes);
	input->credit = 0;
}

static void emit_output(struct stream *stream, int part) {
	struct output *output = &stream->out[part];
	uint8_t bytes[PAYLOAD_BYTES_MAX];
	size_t n = ring_take_unsent(&output->ring, bytes, sizeof bytes);
	if (n > 0) return outbox_put(F_DATA, stream->id, (uint8_t)(part + 1), bytes, n);
	if (output->ended || output->source.fd >= 0 || stream->kind == STREAM_ENTRYPOINT) return;
	outbox_put(F_END, stream->id, (uint8_t)(part + 1), NULL, 0);
	output->ended = true;
}

static bool is_over(const struct stream *stream) {
	if (stream->pid > 0) return stream->exited;
	return stream->failed || (stream->out[0].source.fd < 0 && stream->in.source.fd < 0);
}

static void emit_closed(struct stream *stream) {
	if (stream->kind == STREAM_ENTRYPOINT || !stream->answered || !is_over(stream)) return;
	if (!stream->failed) {
		if (!stream->out[0].ended || !stream->out[1].ended) return;
		uint8_t bytes[64];
		struct record_writer writer = {bytes, sizeof bytes, 0};
		bool signaled = stream->pid > 0 && WIFSIGNALED(stream->status);
		int number = stream->pid == 0 ? 0 : signaled ? WTERMSIG(stream->status) : WEXITSTATUS(stream->status);
		record_put(&writer, R_RESULT, signaled ? "signaled" : "exited", NUMBER(number), NULL);
		outbox_put(F_CLOSED, stream->id, 0, bytes, writer.used);
	}
	stream->kind = STREAM_FREE;
}

static void free_orphan(struct stream *stream) {
	if (stream->pid == 0 || stream->exited) stream->kind = STREAM_FREE;
}

/* Each stream says one frame of each kind a round, so that none starves another. */
void streams_emit(void) {
	static int first;
	for (bool progress = true; progress && outbox_has_room_for_data();) {
		size_t before = outbox.end - outbox.start;
		for (int i = 0; i <= STREAMS_MAX && outbox_has_room_for_data(); i++) {
			struct stream *stream = &streams[(first + i) % (STREAMS_MAX + 1)];
			if (stream->kind == STREAM_FREE) continue;
			if (stream->orphan) {
				free_orphan(stream);
				continue;
			}
			emit_answer(stream);
			emit_credit(stream);
			if (stream->answered || stream->kind == STREAM_ENTRYPOINT) {
				emit_output(stream, 0);
				if (!stream->failed) emit_output(stream, 1);
			}
			emit_closed(stream);
		}
		first = (first + 1) % (STREAMS_MAX + 1);
		progress = outbox.end - outbox.start > before;
	}
}

void streams_lose_host(void) {
	for (int part = 0; part < 2; part++) {
		struct ring *ring = &ENTRYPOINT->out[part].ring;
		ring->sent = ring->start;
	}
	ENTRYPOINT->answer_id = 0;
	for (int i = 1; i <= STREAMS_MAX; i++) {
		if (streams[i].kind == STREAM_FREE || streams[i].orphan) continue;
		stream_abandon(&streams[i]);
		streams[i].orphan = true;
		free_orphan(&streams[i]);
	}
}
