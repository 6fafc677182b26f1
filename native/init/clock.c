#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "failure.h"
#include "machine-kind.h"
#include "record.h"

#ifndef RNDRESEEDCRNG
#define RNDRESEEDCRNG _IO('R', 0x07)
#endif

enum { ENTROPY_BYTES_MAX = 512 };

int clock_set(const uint8_t *document, size_t n) {
	struct record record;
	uint64_t seconds, nanoseconds;
	if (!record_find(document, n, R_TIME, &record) || !parse_number(record.text, INT64_MAX, &seconds)
	    || !parse_number(record_text(&record, 1), 999999999, &nanoseconds))
		return fail_with(EINVAL, "clock", "seconds and nanoseconds are needed");
	struct timespec now = {.tv_sec = (time_t)seconds, .tv_nsec = (long)nanoseconds};
	if (!machine_is_virtual()) return 0; /* a container has its host's, which is right */
	return clock_settime(CLOCK_REALTIME, &now) == 0 ? 0 : fail("clock", "");
}

static int hex_digit(char c) {
	if (c >= '0' && c <= '9') return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int clock_reseed(const uint8_t *document, size_t n) {
	struct { struct rand_pool_info info; uint8_t bytes[ENTROPY_BYTES_MAX]; } pool = {0};
	struct record record;
	size_t count = 0;
	if (!record_find(document, n, R_ENTROPY, &record)) return fail_with(EINVAL, "reseed", "no entropy");
	for (const char *p = record.text; p[0] != 0 && p[1] != 0 && count < ENTROPY_BYTES_MAX; p += 2) {
		if (hex_digit(p[0]) < 0 || hex_digit(p[1]) < 0) return fail_with(EINVAL, "reseed", "no hex");
		pool.bytes[count++] = (uint8_t)(hex_digit(p[0]) << 4 | hex_digit(p[1]));
	}
	pool.info.buf_size = (int)count;
	pool.info.entropy_count = (int)count * 8;
	if (!machine_is_virtual()) return 0;
	int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
	if (fd < 0) return fail("reseed", "/dev/urandom");
	int result = ioctl(fd, RNDADDENTROPY, &pool) == 0 && ioctl(fd, RNDRESEEDCRNG) == 0 ? 0 : fail("reseed", "");
	close(fd);
	return result;
}
