#include "oom.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RECORDS_MAX = 4096, LINE_BYTES = 1024, SETTLE_MS = 20 };

static int kernel_log = -1;

void oom_watch(void) { kernel_log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC); }

void oom_forget(void) {
	if (kernel_log >= 0) lseek(kernel_log, 0, SEEK_END);
}

/* "<priority>,<sequence>,...;text": a priority below 8 is the kernel's own, no process can write it. */
static bool tells_of(const char *line, const char *wanted) {
	return strtoul(line, NULL, 10) < 8 && strstr(line, wanted) != NULL;
}

static bool search_log(const char *wanted) {
	char line[LINE_BYTES];
	for (int i = 0; i < RECORDS_MAX; i++) {
		ssize_t n = read(kernel_log, line, sizeof line - 1);
		if (n < 0 && errno == EPIPE) continue; /* overwritten meanwhile: the next one is there */
		if (n <= 0) return false;
		line[n] = 0;
		if (tells_of(line, wanted)) return true;
	}
	return false;
}

bool oom_killed(pid_t pid) {
	if (kernel_log < 0) return false;
	char wanted[48];
	snprintf(wanted, sizeof wanted, "Killed process %d (", (int)pid);
	if (search_log(wanted)) return true;
	/* The kernel sends the signal first and writes the line after it. */
	struct timespec settle = {.tv_nsec = SETTLE_MS * 1000000L};
	nanosleep(&settle, NULL);
	return search_log(wanted);
}
