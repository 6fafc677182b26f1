/*
 * A step that failed, as the host is told it: what init was doing, with what, and errno. Functions
 * that can fail return -1 after `fail`; the innermost failure stands until the next request.
 */
#ifndef FAILURE_H
#define FAILURE_H
struct failure {
	const char *step; /* stable words, PROTOCOL.md lists them */
	char detail[96];
	int error; /* errno */
};
extern struct failure last_failure;
/* Keeps errno. Always -1. */
int fail(const char *step, const char *detail);
int fail_with(int error, const char *step, const char *detail);
/* A line on the console, for what nobody waits for. */
void complain(const char *step, const char *detail);
#endif
