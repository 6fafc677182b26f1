/*
 * Records: what the payload of a request or an answer holds. Pure code, like frame.h.
 *
 *   offset  size  field      integers are big-endian
 *   0       2     tag        enum record_tag
 *   2       4     length     of the value
 *   6       n     value      one or more texts, each ended by a zero byte
 *
 * Numbers are decimal texts. A tag that the reader does not know is skipped.
 */
#ifndef RECORD_H
#define RECORD_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum record_tag {
	/* configuration */
	R_HOSTNAME = 1, R_ROOT, R_MOUNT, R_SWAP, R_HOST, R_NAMESERVER, R_SEARCH, R_LINK, R_ADDRESS,
	R_ENV, R_ARGV, R_USER, R_CWD, R_RLIMIT, R_TTY, R_INPUT,
	/* requests */
	R_SIGNAL = 32, R_TIMEOUT_MS, R_MODE, R_PATH, R_OWNER, R_TARGET, R_TIME, R_ENTROPY,
	/* answers */
	R_STATE = 64, R_OFFSETS, R_ERROR, R_RESULT, R_LIMITS,
	R_MEMORY = 80, R_LOAD, R_DISK, R_NET, R_PROCESSES,
};

struct record {
	uint16_t tag;
	const char *text; /* the first text, in the document */
	uint32_t length;  /* of all texts with their zeros */
};

/* False when the bytes are not records to the last one. */
bool records_are_good(const uint8_t *document, size_t n);

/* The next record of a good document; false at its end. *at begins at 0. */
bool record_next(const uint8_t *document, size_t n, size_t *at, struct record *record);

/* The index-th text of a record; NULL when it has fewer. */
const char *record_text(const struct record *record, unsigned index);

/* The first record of that tag; false when there is none. */
bool record_find(const uint8_t *document, size_t n, uint16_t tag, struct record *record);

/* A decimal number without sign, up to max; false for anything else and for NULL. */
bool parse_number(const char *text, uint64_t max, uint64_t *number);

/* Appends a record of texts, up to NULL. Nothing is written when it does not fit. */
struct record_writer { uint8_t *bytes; size_t size, used; };
void record_put(struct record_writer *writer, int tag, ...) __attribute__((sentinel));

/* A number as text, in a buffer that the call's line keeps. */
struct number_text { char text[24]; };
struct number_text number_text(uint64_t number);
#define NUMBER(n) (number_text((uint64_t)(n)).text)
#endif
