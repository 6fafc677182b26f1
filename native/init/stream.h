/*
 * Streams: the entrypoint's output, execs, file copies, dialled connections. Each is a slot of a
 * fixed table. What a slot has to say (answer, window, data, end, closed) is not queued but follows
 * from its state: stream_emit puts as much of it into the outbox as there is room for.
 */
#ifndef STREAM_H
#define STREAM_H
#include "frame.h"
#include "loop.h"
#include "process.h"
#include "ring.h"

enum { STREAMS_MAX = 32 };

enum stream_kind { STREAM_FREE, STREAM_ENTRYPOINT, STREAM_EXEC, STREAM_COPY, STREAM_DIAL };

struct output {
	struct source source;
	struct ring ring;
	int64_t drain; /* bytes still to read after the process ended; -1: until its end */
	bool ended;    /* END was sent */
};

struct input {
	struct source source;
	struct ring ring;
	uint32_t credit; /* taken by the process and not yet told */
	bool ending, terminal;
};

struct stream {
	enum stream_kind kind;
	uint16_t id, answer_id;
	bool begun, failed, answered, abandoned, orphan, exited;
	bool accepting; /* a dial the other way round, which waits for its connection */
	struct exec_failure failure;
	pid_t pid; /* 0: none */
	int status;
	struct source report;
	struct output out[2];
	struct input in;
};

extern struct stream streams[STREAMS_MAX + 1];
#define ENTRYPOINT (&streams[0])

void streams_start(void);
/* NULL when there is none, or not of this session. */
struct stream *stream_find(uint16_t id);
struct stream *stream_take(enum stream_kind kind, uint16_t id); /* NULL: all are in use */
void stream_attach(struct stream *stream, const struct started *started);

/* Frames of the host. False: it broke the protocol. */
bool stream_data(struct stream *stream, const uint8_t *bytes, size_t n);
bool stream_window(struct stream *stream, uint8_t part, uint32_t n);
void stream_end(struct stream *stream);
void stream_resize(struct stream *stream, uint16_t columns, uint16_t rows);
/* Ends what runs behind it; CLOSED follows, unless the session is over too. */
void stream_abandon(struct stream *stream);

void stream_exited(struct stream *stream, int status);
/* Ends those whose process is gone without that anybody was told: their code is ECHILD. When to look next. */
void streams_look(void);
uint64_t streams_look_ms(void);
/* Everything the entrypoint wrote has been sent. */
bool stream_is_drained(const struct stream *stream);
void streams_emit(void);
/* The host is gone: all but the entrypoint's end, whose unacknowledged output is sent again. */
void streams_lose_host(void);
#endif
