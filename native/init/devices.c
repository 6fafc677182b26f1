#include "devices.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failure.h"

enum { DEVICES_MAX = 32, NAME_BYTES = 16 };

static int tell_driver(const char *driver, const char *what, const char *device) {
	char path[64];
	snprintf(path, sizeof path, "/sys/bus/virtio/drivers/%s/%s", driver, what);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0) return fail("device", path);
	ssize_t written = write(fd, device, strlen(device));
	int error = errno;
	close(fd);
	return written > 0 ? 0 : fail_with(error, "device", device);
}

static int compare_names(const void *a, const void *b) {
	int longer = (int)strlen(a) - (int)strlen(b);
	return longer != 0 ? longer : strcmp(a, b);
}

/* Its devices, "virtio0" and so on: names of at most NAME_BYTES letters. */
static int list_devices(const char *driver, char names[DEVICES_MAX][NAME_BYTES]) {
	char path[64];
	int count = 0;
	snprintf(path, sizeof path, "/sys/bus/virtio/drivers/%s", driver);
	DIR *folder = opendir(path);
	if (folder == NULL) return errno == ENOENT ? 0 : fail("device", path);
	for (struct dirent *one; (one = readdir(folder)) != NULL && count < DEVICES_MAX;)
		if (strncmp(one->d_name, "virtio", 6) == 0 && strlen(one->d_name) < NAME_BYTES)
			strcpy(names[count++], one->d_name);
	closedir(folder);
	qsort(names, (size_t)count, NAME_BYTES, compare_names); /* letters as at a boot */
	return count;
}

/* What was let go and is to be found again, in this order. */
static struct driver {
	const char *name;
	int count;
	char devices[DEVICES_MAX][NAME_BYTES];
} disks = {.name = "virtio_blk"}, links = {.name = "virtio_net"};

static int let_go(struct driver *driver) {
	if (driver->count > 0) return 0;
	int count = list_devices(driver->name, driver->devices);
	if (count < 0) return -1;
	for (int i = 0; i < count; i++)
		if (tell_driver(driver->name, "unbind", driver->devices[i]) < 0) return -1;
	driver->count = count;
	return 0;
}

static int find(struct driver *driver) {
	int count = driver->count;
	driver->count = 0;
	for (int i = 0; i < count; i++)
		if (tell_driver(driver->name, "bind", driver->devices[i]) < 0) return -1;
	return 0;
}

int devices_let_disks_go(void) { return let_go(&disks); }

/* A link takes its MAC from the host at the reset when it is let go: in the template that would be too early. */
int devices_find_anew(void) {
	if (let_go(&disks) < 0 || let_go(&links) < 0) return -1;
	return find(&disks) < 0 ? -1 : find(&links);
}
