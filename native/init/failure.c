#include "failure.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct failure last_failure;

int fail_with(int error, const char *step, const char *detail) {
	last_failure.step = step;
	last_failure.error = error;
	snprintf(last_failure.detail, sizeof last_failure.detail, "%s", detail == NULL ? "" : detail);
	return -1;
}

int fail(const char *step, const char *detail) { return fail_with(errno, step, detail); }

void complain(const char *step, const char *detail) {
	fprintf(stderr, "init: %s %s: %s\n", step, detail, strerror(errno));
}
