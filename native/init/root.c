#include "root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "failure.h"

static int has_serial(const char *disk, const char *wanted) {
	char path[128], serial[64] = "";
	snprintf(path, sizeof path, "/sys/block/%.32s/serial", disk);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) return 0;
	ssize_t n = read(fd, serial, sizeof serial - 1);
	close(fd);
	if (n > 0) serial[strcspn(serial, "\n")] = 0;
	return n > 0 && strcmp(serial, wanted) == 0;
}

int root_find_device(const char *name, char *path, size_t size) {
	if (name[0] == '/') return snprintf(path, size, "%s", name) < (int)size ? 0 : (errno = ENAMETOOLONG, -1);
	DIR *disks = opendir("/sys/block");
	if (disks == NULL) return -1;
	path[0] = 0;
	for (struct dirent *disk; (disk = readdir(disks)) != NULL;)
		if (has_serial(disk->d_name, name)) snprintf(path, size, "/dev/%.32s", disk->d_name);
	closedir(disks);
	if (path[0] != 0) return 0;
	errno = ENODEV;
	return -1;
}

static int move_mount(const char *name) {
	char target[64];
	snprintf(target, sizeof target, "/newroot%s", name);
	if (mkdir(target, 0755) < 0 && errno != EEXIST) return fail("root folder", name);
	return mount(name, target, NULL, MS_MOVE, NULL) == 0 ? 0 : fail("root move", name);
}

int root_enter(void) {
	const char *name = config_text(R_ROOT, 0), *type = config_text(R_ROOT, 1), *options = config_text(R_ROOT, 2);
	char device[64];
	if (name == NULL) return 0;
	if (root_find_device(name, device, sizeof device) < 0) return fail("root device", name);
	unsigned long flags = MS_RELATIME | (options != NULL && strcmp(options, "ro") == 0 ? MS_RDONLY : 0);
	if (mkdir("/newroot", 0755) < 0 && errno != EEXIST) return fail("root folder", "/newroot");
	if (mount(device, "/newroot", type == NULL ? "ext4" : type, flags, NULL) < 0) return fail("root mount", device);
	if (move_mount("/dev") < 0 || move_mount("/proc") < 0 || move_mount("/sys") < 0) return -1;
	if (chdir("/newroot") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0) return fail("root switch", device);
	if (chroot(".") < 0 || chdir("/") < 0) return fail("root switch", device);
	return 0;
}
