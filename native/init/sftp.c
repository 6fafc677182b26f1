#include "sftp.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "process.h"

enum {
	INIT = 1, VERSION, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT, OPENDIR, READDIR, REMOVE,
	MKDIR, RMDIR, REALPATH, STAT, RENAME, READLINK, SYMLINK,
	STATUS = 101, HANDLE, DATA, NAME, ATTRS, EXTENDED = 200,
};
enum { DONE, END_OF_FILE, NO_SUCH_FILE, DENIED, FAILURE, BAD_MESSAGE, UNSUPPORTED = 8 };
enum { HAS_SIZE = 1, HAS_OWNER = 2, HAS_MODE = 4, HAS_TIMES = 8, HAS_MORE = 1u << 31 };
enum { FOR_READ = 1, FOR_WRITE = 2, APPEND = 4, CREATE = 8, TRUNCATE = 16, EXCLUSIVE = 32 };
enum { PACKET_MAX = 262144 + 1024, DATA_MAX = 262144, HANDLES_MAX = 128, NAMES_MAX = 100 };

struct reader {
	const uint8_t *at, *end;
	bool good;
};

struct attributes {
	uint32_t flags, uid, gid, mode, atime, mtime;
	uint64_t size;
};

/* A handle is the number of a slot. */
struct slot {
	bool used, appends;
	int fd;
	DIR *folder;
};

static struct slot slots[HANDLES_MAX];
static uint8_t packet[PACKET_MAX], answer[PACKET_MAX];
static size_t answer_bytes;

static uint32_t get_u32(struct reader *in) {
	if (in->end - in->at < 4) return in->good = false, 0;
	const uint8_t *p = in->at;
	in->at += 4;
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t get_u64(struct reader *in) {
	uint64_t high = get_u32(in);
	return high << 32 | get_u32(in);
}

static const uint8_t *get_bytes(struct reader *in, uint32_t *n) {
	*n = get_u32(in);
	if (!in->good || (size_t)(in->end - in->at) < *n) return in->good = false, *n = 0, in->end;
	const uint8_t *bytes = in->at;
	in->at += *n;
	return bytes;
}

/* A path with a zero byte in it, or one that is too long, is no path. */
static const char *get_path(struct reader *in, char path[PATH_MAX]) {
	uint32_t n;
	const uint8_t *bytes = get_bytes(in, &n);
	if (n >= PATH_MAX || memchr(bytes, 0, n) != NULL) return in->good = false, "";
	memcpy(path, bytes, n);
	path[n] = 0;
	if (n == 0) strcpy(path, ".");
	return path;
}

static struct slot *get_handle(struct reader *in) {
	uint32_t n;
	const uint8_t *bytes = get_bytes(in, &n);
	struct reader number = {bytes, bytes + n, true};
	uint32_t index = get_u32(&number);
	bool known = n == 4 && index < HANDLES_MAX && slots[index].used;
	errno = EBADF;
	return known ? &slots[index] : NULL;
}

static struct attributes get_attributes(struct reader *in) {
	struct attributes a = {.flags = get_u32(in)};
	if (a.flags & HAS_SIZE) a.size = get_u64(in);
	if (a.flags & HAS_OWNER) a.uid = get_u32(in), a.gid = get_u32(in);
	if (a.flags & HAS_MODE) a.mode = get_u32(in) & 07777;
	if (a.flags & HAS_TIMES) a.atime = get_u32(in), a.mtime = get_u32(in);
	return a;
}

static void put_u32(uint32_t value) {
	for (int shift = 24; shift >= 0; shift -= 8) answer[answer_bytes++] = (uint8_t)(value >> shift);
}

static void put_bytes(const void *bytes, size_t n) {
	put_u32((uint32_t)n);
	memcpy(answer + answer_bytes, bytes, n);
	answer_bytes += n;
}

static void put_text(const char *text) {
	put_bytes(text, strlen(text));
}

static void begin(uint8_t type, uint32_t id) {
	answer_bytes = 4;
	answer[answer_bytes++] = type;
	put_u32(id);
}

static void put_attributes(const struct stat *status) {
	put_u32(HAS_SIZE | HAS_OWNER | HAS_MODE | HAS_TIMES);
	put_u32((uint32_t)((uint64_t)status->st_size >> 32));
	put_u32((uint32_t)status->st_size);
	put_u32(status->st_uid);
	put_u32(status->st_gid);
	put_u32(status->st_mode);
	put_u32((uint32_t)status->st_atime);
	put_u32((uint32_t)status->st_mtime);
}

static void answer_status(uint32_t id, uint32_t code, const char *words) {
	begin(STATUS, id);
	put_u32(code);
	put_text(words);
	put_text("");
}

static void answer_errno(uint32_t id, int error) {
	bool missing = error == ENOENT || error == ENOTDIR || error == ELOOP;
	bool denied = error == EACCES || error == EPERM || error == EROFS;
	answer_status(id, missing ? NO_SUCH_FILE : denied ? DENIED : FAILURE, strerror(error));
}

static void answer_done(uint32_t id, int result) {
	if (result < 0) answer_errno(id, errno);
	else answer_status(id, DONE, "");
}

static void answer_handle(uint32_t id, int fd, DIR *folder, bool appends) {
	for (uint32_t i = 0; i < HANDLES_MAX; i++) {
		if (slots[i].used) continue;
		slots[i] = (struct slot){true, appends, fd, folder};
		uint8_t number[4] = {0, 0, 0, (uint8_t)i};
		begin(HANDLE, id);
		put_bytes(number, sizeof number);
		return;
	}
	if (folder != NULL) closedir(folder);
	else close(fd);
	answer_errno(id, EMFILE);
}

static void answer_stat(uint32_t id, int result, const struct stat *status) {
	if (result < 0) return answer_errno(id, errno);
	begin(ATTRS, id);
	put_attributes(status);
}

static void answer_name(uint32_t id, const char *name) {
	struct stat nothing = {0};
	begin(NAME, id);
	put_u32(1);
	put_text(name);
	put_text(name);
	put_attributes(&nothing);
}

static int change(const char *path, int fd, const struct attributes *a) {
	struct timespec times[2] = {{.tv_sec = a->atime}, {.tv_sec = a->mtime}};
	if ((a->flags & HAS_SIZE) && (path ? truncate(path, (off_t)a->size) : ftruncate(fd, (off_t)a->size)) < 0) return -1;
	if ((a->flags & HAS_MODE) && (path ? chmod(path, a->mode) : fchmod(fd, a->mode)) < 0) return -1;
	if ((a->flags & HAS_TIMES) && (path ? utimensat(AT_FDCWD, path, times, 0) : futimens(fd, times)) < 0) return -1;
	if ((a->flags & HAS_OWNER) && (path ? chown(path, a->uid, a->gid) : fchown(fd, a->uid, a->gid)) < 0) return -1;
	return 0;
}

static void serve_open(uint32_t id, struct reader *in) {
	char path[PATH_MAX];
	get_path(in, path);
	uint32_t wanted = get_u32(in);
	struct attributes a = get_attributes(in);
	if (!in->good) return answer_status(id, BAD_MESSAGE, "a request that is cut short");
	int flags = wanted & FOR_WRITE ? (wanted & FOR_READ ? O_RDWR : O_WRONLY) : O_RDONLY;
	if (wanted & CREATE) flags |= O_CREAT;
	if (wanted & TRUNCATE) flags |= O_TRUNC;
	if (wanted & EXCLUSIVE) flags |= O_EXCL;
	if (wanted & APPEND) flags |= O_APPEND;
	/* Opening a FIFO must not wait. */
	int fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, a.flags & HAS_MODE ? a.mode : 0666);
	if (fd < 0) return answer_errno(id, errno);
	answer_handle(id, fd, NULL, wanted & APPEND);
}

static void serve_read(uint32_t id, struct reader *in) {
	struct slot *slot = get_handle(in);
	uint64_t offset = get_u64(in);
	uint32_t n = get_u32(in);
	if (slot == NULL || slot->folder != NULL) return answer_errno(id, EBADF);
	begin(DATA, id);
	ssize_t got = pread(slot->fd, answer + answer_bytes + 4, n < DATA_MAX ? n : DATA_MAX, (off_t)offset);
	if (got < 0) return answer_errno(id, errno);
	if (got == 0) return answer_status(id, END_OF_FILE, "");
	put_u32((uint32_t)got);
	answer_bytes += (size_t)got;
}

static void serve_write(uint32_t id, struct reader *in) {
	struct slot *slot = get_handle(in);
	uint64_t offset = get_u64(in);
	uint32_t n;
	const uint8_t *bytes = get_bytes(in, &n);
	if (slot == NULL || slot->folder != NULL || !in->good) return answer_errno(id, EBADF);
	while (n > 0) {
		ssize_t written = slot->appends ? write(slot->fd, bytes, n) : pwrite(slot->fd, bytes, n, (off_t)offset);
		if (written < 0) return answer_errno(id, errno);
		bytes += written, offset += (uint64_t)written, n -= (uint32_t)written;
	}
	answer_status(id, DONE, "");
}

/* As `ls -l` shows it: what clients print. */
static void put_line(const char *name, const struct stat *s) {
	static const char kinds[] = "?pc?d?b?-?l?s???", bits[] = "rwxrwxrwx";
	char mode[11] = {kinds[s->st_mode >> 12 & 15]}, when[20] = "", line[NAME_MAX + 128];
	for (int i = 0; i < 9; i++) mode[i + 1] = s->st_mode >> (8 - i) & 1 ? bits[i] : '-';
	time_t time = s->st_mtime;
	struct tm parts;
	if (gmtime_r(&time, &parts) != NULL) strftime(when, sizeof when, "%Y-%m-%d %H:%M", &parts);
	snprintf(line, sizeof line, "%s %4lu %-8u %-8u %10llu %s %s", mode, (unsigned long)s->st_nlink, s->st_uid,
	         s->st_gid, (unsigned long long)s->st_size, when, name);
	put_text(line);
}

static void serve_readdir(uint32_t id, struct reader *in) {
	struct slot *slot = get_handle(in);
	if (slot == NULL || slot->folder == NULL) return answer_errno(id, EBADF);
	begin(NAME, id);
	size_t count_at = answer_bytes;
	uint32_t count = 0;
	put_u32(0);
	struct dirent *entry;
	while (count < NAMES_MAX && (entry = readdir(slot->folder)) != NULL) {
		struct stat status;
		if (fstatat(dirfd(slot->folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0) continue;
		put_text(entry->d_name);
		put_line(entry->d_name, &status);
		put_attributes(&status);
		count++;
	}
	if (count == 0) return answer_status(id, END_OF_FILE, "");
	size_t end = answer_bytes;
	answer_bytes = count_at;
	put_u32(count);
	answer_bytes = end;
}

static void serve_close(uint32_t id, struct reader *in) {
	struct slot *slot = get_handle(in);
	if (slot == NULL) return answer_errno(id, EBADF);
	int result = slot->folder != NULL ? closedir(slot->folder) : close(slot->fd);
	slot->used = false;
	answer_done(id, result);
}

static void serve_handle(uint8_t type, uint32_t id, struct reader *in) {
	struct slot *slot = get_handle(in);
	if (slot == NULL) return answer_errno(id, EBADF);
	int fd = slot->folder != NULL ? dirfd(slot->folder) : slot->fd;
	struct stat status;
	if (type == FSTAT) return answer_stat(id, fstat(fd, &status), &status);
	struct attributes a = get_attributes(in);
	answer_done(id, in->good ? change(NULL, fd, &a) : (errno = EINVAL, -1));
}

static void serve_realpath(uint32_t id, const char *path) {
	static char real[PATH_MAX];
	if (realpath(path, real) != NULL) return answer_name(id, real);
	if (errno != ENOENT) return answer_errno(id, errno);
	if (path[0] == '/') return answer_name(id, path); /* of a file that is to be made */
	char here[PATH_MAX], whole[2 * PATH_MAX];
	snprintf(whole, sizeof whole, "%s/%s", getcwd(here, sizeof here) ? here : "", path);
	if (strlen(whole) >= PATH_MAX) return answer_errno(id, ENAMETOOLONG);
	answer_name(id, whole);
}

static int rename_to_new(const char *from, const char *to) {
	struct stat status;
	if (lstat(to, &status) == 0) return errno = EEXIST, -1;
	return rename(from, to);
}

static void serve_pair(uint8_t type, uint32_t id, struct reader *in) {
	char one[PATH_MAX], other[PATH_MAX];
	get_path(in, one);
	get_path(in, other);
	if (!in->good) return answer_status(id, BAD_MESSAGE, "a request that is cut short");
	if (type == SYMLINK) return answer_done(id, symlink(one, other)); /* in OpenSSH's order */
	answer_done(id, type == RENAME ? rename_to_new(one, other) : rename(one, other));
}

static void serve_extended(uint32_t id, struct reader *in) {
	uint32_t n;
	const char *name = (const char *)get_bytes(in, &n);
	static const char replace[] = "posix-rename@openssh.com";
	if (n == sizeof replace - 1 && memcmp(name, replace, n) == 0) return serve_pair(EXTENDED, id, in);
	answer_status(id, UNSUPPORTED, "not known here");
}

static void serve_path(uint8_t type, uint32_t id, struct reader *in) {
	char path[PATH_MAX], target[PATH_MAX];
	struct stat status;
	get_path(in, path);
	if (!in->good) return answer_status(id, BAD_MESSAGE, "not a path");
	if (type == STAT) return answer_stat(id, stat(path, &status), &status);
	if (type == LSTAT) return answer_stat(id, lstat(path, &status), &status);
	if (type == REMOVE) return answer_done(id, unlink(path));
	if (type == RMDIR) return answer_done(id, rmdir(path));
	if (type == REALPATH) return serve_realpath(id, path);
	if (type == OPENDIR) {
		DIR *folder = opendir(path);
		return folder != NULL ? answer_handle(id, -1, folder, false) : answer_errno(id, errno);
	}
	if (type == READLINK) {
		ssize_t length = readlink(path, target, sizeof target - 1);
		if (length < 0) return answer_errno(id, errno);
		target[length] = 0;
		return answer_name(id, target);
	}
	struct attributes a = get_attributes(in);
	if (!in->good) return answer_status(id, BAD_MESSAGE, "a request that is cut short");
	answer_done(id, type == MKDIR ? mkdir(path, a.flags & HAS_MODE ? a.mode : 0777) : change(path, -1, &a));
}

static void serve(uint8_t type, uint32_t id, struct reader *in) {
	switch (type) {
	case OPEN: return serve_open(id, in);
	case CLOSE: return serve_close(id, in);
	case READ: return serve_read(id, in);
	case WRITE: return serve_write(id, in);
	case READDIR: return serve_readdir(id, in);
	case FSTAT: case FSETSTAT: return serve_handle(type, id, in);
	case RENAME: case SYMLINK: return serve_pair(type, id, in);
	case EXTENDED: return serve_extended(id, in);
	case LSTAT: case SETSTAT: case OPENDIR: case REMOVE: case MKDIR: case RMDIR: case REALPATH: case STAT:
	case READLINK: return serve_path(type, id, in);
	default: answer_status(id, UNSUPPORTED, "not known here");
	}
}

static bool read_all(uint8_t *bytes, size_t n) {
	while (n > 0) {
		ssize_t got = read(0, bytes, n);
		if (got <= 0) return false;
		bytes += got, n -= (size_t)got;
	}
	return true;
}

static bool write_answer(void) {
	size_t end = answer_bytes;
	answer_bytes = 0;
	put_u32((uint32_t)(end - 4));
	for (size_t at = 0; at < end;) {
		ssize_t written = write(1, answer + at, end - at);
		if (written < 0) return false;
		at += (size_t)written;
	}
	return true;
}

int sftp_serve(const uint8_t *document, size_t n) {
	(void)document, (void)n;
	umask(022);
	if (chdir("/root") < 0 && chdir("/") < 0) return copy_fail(errno, "chdir");
	copy_has_begun();
	for (;;) {
		uint8_t head[4];
		if (!read_all(head, sizeof head)) return 0;
		struct reader length = {head, head + 4, true};
		uint32_t bytes = get_u32(&length);
		if (bytes == 0 || bytes > PACKET_MAX) return EMSGSIZE;
		if (!read_all(packet, bytes)) return 0;
		struct reader in = {packet + 1, packet + bytes, true};
		uint32_t id = get_u32(&in); /* of INIT the version */
		if (packet[0] == INIT) {
			begin(VERSION, 3);
			put_text("posix-rename@openssh.com");
			put_text("1");
		} else if (in.good) serve(packet[0], id, &in);
		else return EBADMSG;
		if (!write_answer()) return errno;
	}
}
