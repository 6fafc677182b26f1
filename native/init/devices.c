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

static int find_anew(const char *driver) {
	char names[DEVICES_MAX][NAME_BYTES];
	int count = list_devices(driver, names);
	for (int i = 0; i < count; i++)
		if (tell_driver(driver, "unbind", names[i]) < 0) return -1;
	for (int i = 0; i < count; i++)
		if (tell_driver(driver, "bind", names[i]) < 0) return -1;
	return count < 0 ? -1 : 0;
}

int devices_find_anew(void) { return find_anew("virtio_blk") < 0 ? -1 : find_anew("virtio_net"); }
