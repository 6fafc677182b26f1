#include "modules.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "failure.h"

/* The file goes once the kernel has it: an initramfs is memory. */
static int load(const char *name) {
	char path[300];
	snprintf(path, sizeof path, "/modules/%s", name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) return fail("module", name);
	long result = syscall(SYS_finit_module, fd, "", 0);
	int error = errno;
	close(fd);
	if (result != 0 && error != EEXIST) return fail_with(error, "module", name);
	(void)unlink(path);
	return 0;
}

static int load_all(const char *path) {
	FILE *order = fopen(path, "re");
	char name[256];
	int result = 0;
	if (order == NULL) return errno == ENOENT ? 0 : fail("module", path);
	while (result == 0 && fgets(name, sizeof name, order) != NULL) {
		name[strcspn(name, "\n")] = 0;
		if (name[0] != 0) result = load(name);
	}
	fclose(order);
	(void)unlink(path);
	return result;
}

int modules_load(void) { return load_all("/modules/order"); }

int modules_load_for(const char *file_system) {
	char path[64];
	if (strchr(file_system, '/') != NULL) return 0; /* no file system has such a name */
	snprintf(path, sizeof path, "/modules/%.32s.order", file_system);
	return load_all(path);
}
