/*
 * libFuzzer's target: whatever bytes come, however they are cut, the frame parser and the record
 * reader stay within their buffers, use up what they are given, and give what frame_write would.
 */
#include <stdlib.h>
#include <string.h>

#include "../frame.h"
#include "../record.h"

static void check(bool holds) {
	if (!holds) abort();
}

static void read_records(const uint8_t *document, size_t n) {
	struct record record;
	size_t at = 0, texts = 0;
	uint64_t number;
	if (!records_are_good(document, n)) return;
	while (record_next(document, n, &at, &record)) {
		for (unsigned i = 0; record_text(&record, i) != NULL; i++) texts += strlen(record_text(&record, i));
		(void)parse_number(record.text, UINT32_MAX, &number);
	}
	check(at == n && texts <= n);
}

static void check_frame(const struct frame *frame) {
	static uint8_t written[FRAME_BYTES_MAX];
	check(frame->length <= PAYLOAD_BYTES_MAX);
	check(frame_write(written, frame) == HEADER_BYTES + (size_t)frame->length);
	check(memcmp(written + HEADER_BYTES, frame->payload, frame->length) == 0);
	read_records(frame->payload, frame->length);
}

/* The first byte says how the rest is cut; the fuzzer need not find the preamble by itself. */
static void parse_all(const uint8_t *bytes, size_t n, size_t cut, bool in_step) {
	static struct frame_parser parser;
	frame_reset(&parser);
	parser.in_step = in_step;
	for (size_t at = 0; at < n;) {
		struct frame frame;
		enum frame_result result;
		size_t piece = n - at < cut ? n - at : cut;
		size_t used = frame_parse(&parser, bytes + at, piece, &frame, &result);
		check(used > 0 && used <= piece && (result != FRAME_MORE || used == piece));
		if (result == FRAME_READY) check_frame(&frame);
		at += used;
	}
}

/* Bytes that are a frame, so that what lies behind the checksum is reached at once. */
static void parse_framed(const uint8_t *bytes, size_t n) {
	static uint8_t written[FRAME_BYTES_MAX];
	if (n < 4 || n - 4 > PAYLOAD_BYTES_MAX) return;
	struct frame frame = {.type = bytes[0], .part = bytes[1], .id = (uint16_t)(bytes[2] << 8 | bytes[3]),
	                      .length = (uint16_t)(n - 4), .payload = bytes + 4};
	parse_all(written, frame_write(written, &frame), bytes[0] + 1u, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
	if (n == 0) return 0;
	size_t cut = (size_t)bytes[0] * 8 + 1;
	parse_all(bytes + 1, n - 1, cut, true);
	parse_all(bytes + 1, n - 1, cut, false);
	parse_framed(bytes + 1, n - 1);
	read_records(bytes + 1, n - 1);
	return 0;
}
