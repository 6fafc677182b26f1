#include "modules.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "failure.h"

static int load(const char *name) {
	char path[300];
	snprintf(path, sizeof path, "/modules/%s", name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) return fail("module", name);
	long result = syscall(SYS_finit_module, fd, "", 0);
	int error = errno;
	close(fd);
	return result == 0 || error == EEXIST ? 0 : fail_with(error, "module", name);
}

int modules_load(void) {
	FILE *order = fopen("/modules/order", "re");
	char name[256];
	int result = 0;
	if (order == NULL) return errno == ENOENT ? 0 : fail("module", "/modules/order");
	while (result == 0 && fgets(name, sizeof name, order) != NULL) {
		name[strcspn(name, "\n")] = 0;
		if (name[0] != 0) result = load(name);
	}
	fclose(order);
	return result;
}
