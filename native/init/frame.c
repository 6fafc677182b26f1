#include "frame.h"

#include <string.h>

static uint32_t crc_table[256];

static void fill_crc_table(void) {
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;
		for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
		crc_table[i] = crc;
	}
}

uint32_t crc32_of(uint32_t crc, const uint8_t *bytes, size_t n) {
	if (crc_table[1] == 0) fill_crc_table();
	crc = ~crc;
	while (n-- > 0) crc = (crc >> 8) ^ crc_table[(crc ^ *bytes++) & 0xff];
	return ~crc;
}

static uint16_t read16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static uint32_t read32(const uint8_t *p) { return (uint32_t)read16(p) << 16 | read16(p + 2); }

void frame_reset(struct frame_parser *parser) {
	parser->in_step = false;
	parser->zeros = 0;
	parser->filled = 0;
}

/* Skips up to the first byte after a run of zeros that no payload can hold. */
static size_t hunt(struct frame_parser *parser, const uint8_t *bytes, size_t n) {
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == 0) {
			if (parser->zeros <= PAYLOAD_BYTES_MAX) parser->zeros++;
			continue;
		}
		if (parser->zeros > PAYLOAD_BYTES_MAX) {
			parser->in_step = true;
			parser->filled = 0;
			return i;
		}
		parser->zeros = 0;
	}
	return n;
}

static bool header_is_good(const uint8_t *header, uint32_t filled) {
	if (header[0] != FRAME_VERSION) return false;
	if (filled < HEADER_BYTES) return true; /* its version decides early, the rest when whole */
	return header[5] == 0 && read16(header + 6) <= PAYLOAD_BYTES_MAX;
}

static bool checksum_is_good(const uint8_t *frame, uint16_t length) {
	uint32_t crc = crc32_of(crc32_of(0, frame, 8), frame + HEADER_BYTES, length);
	return crc == read32(frame + 8);
}

/* Copies until `wanted` bytes of the frame are there. */
static size_t fill(struct frame_parser *parser, uint32_t wanted, const uint8_t *bytes, size_t n) {
	size_t part = wanted - parser->filled;
	if (part > n) part = n;
	memcpy(parser->bytes + parser->filled, bytes, part);
	parser->filled += (uint32_t)part;
	return part;
}

static size_t lose(struct frame_parser *parser, size_t used, enum frame_result *result) {
	frame_reset(parser);
	*result = FRAME_LOST;
	return used;
}

size_t frame_parse(struct frame_parser *parser, const uint8_t *bytes, size_t n,
                   struct frame *frame, enum frame_result *result) {
	size_t used = 0;
	*result = FRAME_MORE;
	if (!parser->in_step) used = hunt(parser, bytes, n);
	if (used == n) return used;
	if (parser->filled < HEADER_BYTES) {
		used += fill(parser, HEADER_BYTES, bytes + used, n - used);
		if (!header_is_good(parser->bytes, parser->filled)) return lose(parser, used, result);
		if (parser->filled < HEADER_BYTES) return used;
	}
	uint16_t length = read16(parser->bytes + 6);
	uint32_t total = HEADER_BYTES + (uint32_t)length;
	used += fill(parser, total, bytes + used, n - used);
	if (parser->filled < total) return used;
	if (!checksum_is_good(parser->bytes, length)) return lose(parser, used, result);
	parser->filled = 0;
	*frame = (struct frame){
		.type = parser->bytes[1], .part = parser->bytes[4], .id = read16(parser->bytes + 2),
		.length = length, .payload = parser->bytes + HEADER_BYTES,
	};
	*result = FRAME_READY;
	return used;
}

size_t frame_write(uint8_t *out, const struct frame *frame) {
	uint8_t header[8] = {
		FRAME_VERSION, frame->type, (uint8_t)(frame->id >> 8), (uint8_t)frame->id,
		frame->part, 0, (uint8_t)(frame->length >> 8), (uint8_t)frame->length,
	};
	memcpy(out, header, sizeof header);
	if (frame->length > 0) memmove(out + HEADER_BYTES, frame->payload, frame->length);
	uint32_t crc = crc32_of(crc32_of(0, out, 8), out + HEADER_BYTES, frame->length);
	for (int i = 0; i < 4; i++) out[8 + i] = (uint8_t)(crc >> (24 - 8 * i));
	return HEADER_BYTES + (size_t)frame->length;
}
