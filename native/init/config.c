#include "config.h"

#include <errno.h>
#include <string.h>

#include "failure.h"

static uint8_t document[CONFIG_BYTES_MAX];
static size_t used;
static bool complete;

int config_append(const uint8_t *bytes, size_t n) {
	if (complete) used = 0;
	complete = false;
	if (n > sizeof document - used) {
		used = 0;
		return fail_with(E2BIG, "configure", "the configuration is larger than 1 MiB");
	}
	memcpy(document + used, bytes, n);
	used += n;
	return 0;
}

int config_complete(void) {
	complete = records_are_good(document, used);
	if (complete) return 0;
	used = 0;
	return fail_with(EINVAL, "configure", "the configuration is not made of records");
}

bool config_is_complete(void) { return complete; }

bool config_next(uint16_t tag, size_t *at, struct record *record) {
	if (!complete) return false;
	while (record_next(document, used, at, record))
		if (record->tag == tag) return true;
	return false;
}

const char *config_text(uint16_t tag, unsigned index) {
	struct record record;
	size_t at = 0;
	return config_next(tag, &at, &record) ? record_text(&record, index) : NULL;
}
