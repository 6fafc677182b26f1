/*
 * The frame on the byte stream between host and guest. PROTOCOL.md is the contract; the other end is
 * src/guest/agent/frame.ts: change both, and FRAME_VERSION, in one commit. Pure code: no I/O, no
 * allocation, and no byte from outside can make it read or write beyond its buffers.
 *
 *   offset  size  field      integers are big-endian
 *   0       1     version    FRAME_VERSION
 *   1       1     type       enum frame_type
 *   2       2     id         0 is the session and the entrypoint; the host chooses the others
 *   4       1     part       0 input, 1 output, 2 error output
 *   5       1     zero
 *   6       2     length     payload bytes, 0 to PAYLOAD_BYTES_MAX
 *   8       4     checksum   CRC-32 of bytes 0 to 7 and of the payload
 *   12      n     payload
 */
#ifndef FRAME_H
#define FRAME_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	FRAME_VERSION = 1,
	HEADER_BYTES = 12,
	PAYLOAD_BYTES_MAX = 16384,
	FRAME_BYTES_MAX = HEADER_BYTES + PAYLOAD_BYTES_MAX,
	/* A frame that was cut short swallows one FRAME_BYTES_MAX of it, the rest ends the hunt. */
	PREAMBLE_BYTES = 2 * FRAME_BYTES_MAX,
};

enum frame_type {
	/* Requests of the host, 0x01 to 0x3f: each gets one DONE or FAILED. */
	F_HELLO = 0x01, F_CONFIGURE, F_START, F_STOP, F_RESTART, F_SHUTDOWN, F_SIGNAL, F_STATS,
	F_SET_CLOCK, F_RESEED, F_FIND_DEVICES,
	F_EXEC = 0x10, F_PUT, F_GET, F_DIAL, F_ACCEPT, F_SFTP,
	/* Of a stream, both ways, 0x40 to 0x7f: no answer. */
	F_DATA = 0x40, F_END, F_WINDOW, F_RESIZE, F_RESET,
	/* Of the guest, 0x80 to 0xff. */
	F_WELCOME = 0x80, F_DONE, F_FAILED, F_STATE, F_CLOSED,
};

struct frame {
	uint8_t type, part;
	uint16_t id, length;
	const uint8_t *payload;
};

enum frame_result {
	FRAME_MORE,  /* all bytes are used, none is complete */
	FRAME_READY, /* *frame is set; its payload is valid until the next call */
	FRAME_LOST,  /* no frame where one must be: the session is over, the hunt is on */
};

/* Hunting: everything is skipped until more zeros than a payload holds have passed. */
struct frame_parser {
	bool in_step;
	uint32_t zeros, filled;
	uint8_t bytes[FRAME_BYTES_MAX];
};

/* A fresh parser hunts for the preamble that each side sends first. */
void frame_reset(struct frame_parser *parser);

/* Takes bytes up to the end of one frame. Returns how many it took; at least one if n > 0. */
size_t frame_parse(struct frame_parser *parser, const uint8_t *bytes, size_t n,
                   struct frame *frame, enum frame_result *result);

/* Writes a frame to `out`, which has room for HEADER_BYTES + length. Returns its size. */
size_t frame_write(uint8_t *out, const struct frame *frame);

uint32_t crc32_of(uint32_t crc, const uint8_t *bytes, size_t n);
#endif
