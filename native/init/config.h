/*
 * The configuration: one document of records that the host sends in CONFIGURE frames, kept whole.
 * Others read it by tag, so that nothing is copied and nothing allocated.
 */
#ifndef CONFIG_H
#define CONFIG_H
#include "record.h"

enum { CONFIG_BYTES_MAX = 1 << 20, ARGS_MAX = 4096, ENV_MAX = 8192 };

/* Adds a part; the first after a complete document begins a new one. */
int config_append(const uint8_t *bytes, size_t n);
/* Checks the whole and makes it the one in force. */
int config_complete(void);
bool config_is_complete(void);

/* Every record of a tag in turn; *at begins at 0. */
bool config_next(uint16_t tag, size_t *at, struct record *record);
/* The index-th text of the first record of that tag; NULL when there is none. */
const char *config_text(uint16_t tag, unsigned index);
#endif
