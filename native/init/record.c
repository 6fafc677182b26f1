#include "record.h"

#include <stdarg.h>
#include <string.h>

enum { RECORD_HEADER_BYTES = 6 };

static uint32_t value_length(const uint8_t *p) {
	return (uint32_t)p[2] << 24 | (uint32_t)p[3] << 16 | (uint32_t)p[4] << 8 | p[5];
}

bool records_are_good(const uint8_t *document, size_t n) {
	size_t at = 0;
	while (at < n) {
		if (n - at < RECORD_HEADER_BYTES) return false;
		uint32_t length = value_length(document + at);
		at += RECORD_HEADER_BYTES;
		if (length == 0 || length > n - at) return false;
		at += length;
		if (document[at - 1] != 0) return false; /* every text ends inside its record */
	}
	return true;
}

bool record_next(const uint8_t *document, size_t n, size_t *at, struct record *record) {
	if (*at >= n) return false;
	const uint8_t *p = document + *at;
	record->tag = (uint16_t)(p[0] << 8 | p[1]);
	record->length = value_length(p);
	record->text = (const char *)p + RECORD_HEADER_BYTES;
	*at += RECORD_HEADER_BYTES + (size_t)record->length;
	return true;
}

const char *record_text(const struct record *record, unsigned index) {
	const char *text = record->text, *end = record->text + record->length;
	while (index-- > 0 && text < end) text += strlen(text) + 1;
	return text < end ? text : NULL;
}

bool record_find(const uint8_t *document, size_t n, uint16_t tag, struct record *record) {
	size_t at = 0;
	while (record_next(document, n, &at, record))
		if (record->tag == tag) return true;
	return false;
}

bool parse_number(const char *text, uint64_t max, uint64_t *number) {
	if (text == NULL || *text == 0) return false;
	uint64_t value = 0;
	for (; *text != 0; text++) {
		if (*text < '0' || *text > '9') return false;
		uint64_t digit = (uint64_t)(*text - '0');
		if (value > (max - digit) / 10 || digit > max) return false;
		value = value * 10 + digit;
	}
	*number = value;
	return value <= max;
}

static size_t texts_length(va_list texts) {
	size_t length = 0;
	for (const char *text; (text = va_arg(texts, const char *)) != NULL;) length += strlen(text) + 1;
	return length;
}

void record_put(struct record_writer *writer, int tag, ...) {
	va_list texts;
	va_start(texts, tag);
	size_t length = texts_length(texts);
	va_end(texts);
	if (length == 0 || writer->size - writer->used < RECORD_HEADER_BYTES + length) return;
	uint8_t *p = writer->bytes + writer->used;
	uint8_t header[RECORD_HEADER_BYTES] = {
		(uint8_t)(tag >> 8), (uint8_t)tag, (uint8_t)(length >> 24), (uint8_t)(length >> 16),
		(uint8_t)(length >> 8), (uint8_t)length,
	};
	memcpy(p, header, sizeof header);
	p += sizeof header;
	va_start(texts, tag);
	for (const char *text; (text = va_arg(texts, const char *)) != NULL;) {
		memcpy(p, text, strlen(text) + 1);
		p += strlen(text) + 1;
	}
	va_end(texts);
	writer->used += RECORD_HEADER_BYTES + length;
}

struct number_text number_text(uint64_t number) {
	struct number_text out;
	char digits[24];
	unsigned count = 0, i = 0;
	do digits[count++] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	while (count > 0) out.text[i++] = digits[--count];
	out.text[i] = 0;
	return out;
}
