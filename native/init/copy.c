#include "copy.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "process.h"
#include "record.h"

enum { COPY_BYTES = 65536, PATH_BYTES_MAX = 4096 };

static char fresh[PATH_BYTES_MAX + 32];

/* The host gave up: SIGTERM comes before the input's end does, so no half file gets the name. */
static void abandon(int signal_number) {
	(void)signal_number;
	unlink(fresh);
	_exit(ECANCELED);
}

static int write_all(int fd, const char *bytes, size_t n) {
	while (n > 0) {
		ssize_t written = write(fd, bytes, n);
		if (written < 0) return -1;
		bytes += written;
		n -= (size_t)written;
	}
	return 0;
}

static int copy_fd(int from, int to) {
	static char bytes[COPY_BYTES];
	for (;;) {
		ssize_t n = read(from, bytes, sizeof bytes);
		if (n <= 0) return (int)n;
		if (write_all(to, bytes, (size_t)n) < 0) return -1;
	}
}

static const char *find_path(const uint8_t *document, size_t n) {
	struct record record;
	bool found = record_find(document, n, R_PATH, &record);
	return found && record.text[0] == '/' && strlen(record.text) < PATH_BYTES_MAX ? record.text : NULL;
}

static void make_parents(const char *path) {
	char part[PATH_BYTES_MAX];
	for (size_t i = 1; path[i] != 0; i++) {
		if (path[i] != '/') continue;
		memcpy(part, path, i);
		part[i] = 0;
		(void)mkdir(part, 0755); /* what is wrong shows when the file is opened */
	}
}

static mode_t mode_of(const uint8_t *document, size_t n) {
	struct record record;
	return record_find(document, n, R_MODE, &record) ? (mode_t)strtoul(record.text, NULL, 8) & 07777 : 0644;
}

static int set_owner(int fd, const uint8_t *document, size_t n) {
	struct record record;
	uint64_t uid, gid;
	if (!record_find(document, n, R_OWNER, &record)) return 0;
	if (!parse_number(record_text(&record, 0), UINT32_MAX - 1, &uid)) return 0;
	if (!parse_number(record_text(&record, 1), UINT32_MAX - 1, &gid)) return 0;
	return fchown(fd, (uid_t)uid, (gid_t)gid);
}

int copy_put(const uint8_t *document, size_t n) {
	const char *path = find_path(document, n);
	if (path == NULL) return copy_fail(EINVAL, "path");
	make_parents(path);
	snprintf(fresh, sizeof fresh, "%s.godwit-%d", path, (int)getpid());
	signal(SIGTERM, abandon);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) return copy_fail(errno, "open");
	copy_has_begun();
	bool done = copy_fd(0, fd) == 0 && set_owner(fd, document, n) == 0
	            && fchmod(fd, mode_of(document, n)) == 0 && rename(fresh, path) == 0;
	int error = done ? 0 : errno;
	if (!done) unlink(fresh);
	return error;
}

int copy_get(const uint8_t *document, size_t n) {
	const char *path = find_path(document, n);
	if (path == NULL) return copy_fail(EINVAL, "path");
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* opening a FIFO must not wait */
	if (fd < 0) return copy_fail(errno, "open");
	if (fstat(fd, &status) < 0) return copy_fail(errno, "stat");
	if (!S_ISREG(status.st_mode)) return copy_fail(S_ISDIR(status.st_mode) ? EISDIR : EINVAL, "kind of file");
	copy_has_begun();
	return copy_fd(fd, 1) == 0 ? 0 : errno;
}
