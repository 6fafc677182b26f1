#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "failure.h"
#include "machine-kind.h"
#include "root.h"
#include "stats.h"

enum { VOLUMES_MAX = 8, UNMOUNT_TRIES = 5, UNMOUNT_WAIT_US = 100000 };

struct pseudo {
	const char *type, *path, *options;
	unsigned long flags;
	mode_t mode;
	int optional; /* the kernel may lack it */
};

#define QUIET (MS_NOSUID | MS_NODEV | MS_NOEXEC)

static const struct pseudo first[] = {
	{"devtmpfs", "/dev", "mode=0755", MS_NOSUID, 0755, 0},
	{"proc", "/proc", NULL, QUIET, 0555, 0},
	{"sysfs", "/sys", NULL, QUIET, 0555, 0},
};

static const struct pseudo rest[] = {
	{"devpts", "/dev/pts", "mode=0620,gid=5,ptmxmode=666", MS_NOSUID | MS_NOEXEC | MS_NOATIME, 0755, 0},
	{"tmpfs", "/dev/shm", "mode=1777", MS_NOSUID | MS_NODEV, 01777, 0},
	{"mqueue", "/dev/mqueue", NULL, QUIET, 0755, 1},
	{"hugetlbfs", "/dev/hugepages", NULL, MS_NOSUID | MS_NODEV, 0755, 1},
	{"tmpfs", "/run", "mode=0755", MS_NOSUID | MS_NODEV, 0755, 0},
	{"cgroup2", "/sys/fs/cgroup", "nsdelegate", QUIET, 0755, 1},
};

static int make_one(const struct pseudo *one) {
	if (mkdir(one->path, one->mode) < 0 && errno != EEXIST && errno != EROFS && !one->optional)
		return fail("mount", one->path);
	if (mount(one->type, one->path, one->type, one->flags, one->options) == 0 || errno == EBUSY) return 0;
	if (!one->optional) return fail("mount", one->path);
	return 0;
}

static int make_all(const struct pseudo *table, size_t count) {
	for (size_t i = 0; i < count; i++)
		if (make_one(&table[i]) < 0) return -1;
	return 0;
}

int mounts_make_first(void) { return make_all(first, sizeof first / sizeof first[0]); }

static void link_descriptors(void) {
	static const char *const links[][2] = {
		{"/proc/self/fd", "/dev/fd"}, {"/proc/self/fd/0", "/dev/stdin"},
		{"/proc/self/fd/1", "/dev/stdout"}, {"/proc/self/fd/2", "/dev/stderr"},
	};
	for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
		if (symlink(links[i][0], links[i][1]) < 0 && errno != EEXIST) complain("link", links[i][1]);
}

/* /tmp belongs to the root file system; where that cannot be written it gets memory of its own. */
static int make_tmp(void) {
	(void)mkdir("/tmp", 01777);
	if (access("/tmp", W_OK) == 0) return chmod("/tmp", 01777) == 0 ? 0 : fail("chmod", "/tmp");
	struct pseudo tmp = {"tmpfs", "/tmp", "mode=1777", MS_NOSUID | MS_NODEV, 01777, 0};
	return make_one(&tmp);
}

int mounts_make_rest(void) {
	umask(0);
	int result = make_all(rest, sizeof rest / sizeof rest[0]) < 0 ? -1 : make_tmp();
	(void)mkdir("/run/lock", 01777);
	umask(022);
	link_descriptors();
	return result;
}

static char volumes[VOLUMES_MAX][256];
static int volume_count;

static int known(const char *path) {
	for (int i = 0; i < volume_count; i++)
		if (strcmp(volumes[i], path) == 0) return 1;
	return 0;
}

/* "ro" and "noatime" are flags of mount(2); what else there is goes to the file system. */
static unsigned long split_options(const char *options, char *data, size_t size) {
	unsigned long flags = MS_RELATIME;
	data[0] = 0;
	while (options != NULL && *options != 0) {
		size_t n = strcspn(options, ",");
		if (n == 2 && strncmp(options, "ro", n) == 0) flags |= MS_RDONLY;
		else if (n == 7 && strncmp(options, "noatime", n) == 0) flags |= MS_NOATIME;
		else if (strlen(data) + n + 2 < size) sprintf(data + strlen(data), "%s%.*s", data[0] ? "," : "", (int)n, options);
		options += n + (options[n] == ',');
	}
	return flags;
}

static int make_volume(const struct record *volume) {
	const char *path = record_text(volume, 1), *type = record_text(volume, 2);
	char device[64], data[256];
	uint64_t uid, gid;
	if (path == NULL || type == NULL || path[0] != '/' || strlen(path) >= sizeof volumes[0])
		return fail_with(EINVAL, "volume", path == NULL ? "" : path);
	if (known(path)) return 0;
	if (volume_count == VOLUMES_MAX) return fail_with(ENOSPC, "volume", path);
	if (!machine_is_virtual()) { /* it is mounted already */
		stats_keep(path);
		return 0;
	}
	if (root_find_device(volume->text, device, sizeof device) < 0) return fail("volume device", volume->text);
	unsigned long flags = split_options(record_text(volume, 3), data, sizeof data);
	if (mkdir(path, 0755) < 0 && errno != EEXIST) return fail("volume", path);
	if (mount(device, path, type, flags, data) < 0) return fail("volume mount", path);
	strcpy(volumes[volume_count++], path);
	stats_keep(path);
	if (parse_number(record_text(volume, 4), UINT32_MAX, &uid) && parse_number(record_text(volume, 5), UINT32_MAX, &gid))
		if (chown(path, (uid_t)uid, (gid_t)gid) < 0) complain("chown", path);
	return 0;
}

int mounts_make_volumes(void) {
	struct record volume;
	for (size_t at = 0; config_next(R_MOUNT, &at, &volume);)
		if (make_volume(&volume) < 0) return -1;
	return 0;
}

void mounts_undo_volumes(void) {
	sync();
	while (volume_count > 0) {
		const char *path = volumes[--volume_count];
		for (int i = 0; i < UNMOUNT_TRIES && umount2(path, 0) < 0 && errno == EBUSY; i++) usleep(UNMOUNT_WAIT_US);
		(void)umount2(path, MNT_DETACH); /* fails when it is unmounted, which is the aim */
	}
	sync();
}
