/*
 * Starting a process: the entrypoint, an exec, or a file copy, which is a function of our own run in
 * a child, so that no file system of the guest can make init itself wait.
 */
#ifndef PROCESS_H
#define PROCESS_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "record.h"

struct start {
	const uint8_t *document; /* ARGV, ENV, USER, CWD, TTY: these win over the configuration's */
	size_t document_bytes;
	bool inherits_input; /* false: input is /dev/null, unless there is a terminal */
	/* Instead of a program. Reads 0, writes 1, ends with 0 or an errno. */
	int (*copy)(const uint8_t *document, size_t n);
};

struct started {
	pid_t pid;
	int input, output, errors; /* our ends, non-blocking; -1: none */
	int report; /* gives one struct exec_failure, or its end when the program runs */
};

/* What the child writes when it cannot become the program. */
struct exec_failure {
	int error;
	char step[28];
};

int process_start(const struct start *start, struct started *started);
/* In a copy: tells that it is under way, which an exec tells by closing the report. */
void copy_has_begun(void);
int copy_fail(int error, const char *step);
#endif
