#include "machine.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "config.h"
#include "devices.h"
#include "etc-files.h"
#include "failure.h"
#include "machine-kind.h"
#include "modules.h"
#include "mounts.h"
#include "network.h"
#include "oom.h"
#include "root.h"
#include "stats.h"

static bool rooted;

int machine_boot(void) {
	if (!machine_is_virtual()) return 0;
	if (mounts_make_first() < 0) return -1;
	oom_watch();
	return modules_load();
}

int machine_find_devices_anew(void) {
	if (!machine_is_virtual()) return 0;
	if (rooted) return fail_with(EBUSY, "device", "the root is mounted");
	return devices_find_anew();
}

static int set_hostname(void) {
	const char *name = config_text(R_HOSTNAME, 0);
	struct utsname now;
	if (name == NULL || (uname(&now) == 0 && strcmp(now.nodename, name) == 0)) return 0;
	return sethostname(name, strlen(name)) == 0 ? 0 : fail("hostname", name);
}

static int start_swap(void) {
	struct record record;
	for (size_t at = 0; config_next(R_SWAP, &at, &record);) {
		char path[64];
		if (root_find_device(record.text, path, sizeof path) < 0) return fail("swap", record.text);
		if (swapon(path, 0) < 0 && errno != EBUSY) return fail("swap", record.text);
	}
	return 0;
}

static int load_file_systems(void) {
	struct record volume;
	const char *type = config_text(R_ROOT, 1);
	if (type != NULL && modules_load_for(type) < 0) return -1;
	for (size_t at = 0; config_next(R_MOUNT, &at, &volume);) {
		type = record_text(&volume, 2);
		if (type != NULL && modules_load_for(type) < 0) return -1;
	}
	return 0;
}

static int take_root(void) {
	if (!machine_is_virtual() || rooted) return 0;
	if (load_file_systems() < 0 || root_enter() < 0 || mounts_make_rest() < 0) return -1;
	rooted = true;
	return 0;
}

int machine_prepare(void) {
	if (take_root() < 0 || set_hostname() < 0 || etc_files_write() < 0) return -1;
	/* A container's network, disks and swap are the host's to make. */
	if (machine_is_virtual() && (network_configure() < 0 || start_swap() < 0)) return -1;
	if (mounts_make_volumes() < 0) return -1;
	stats_keep("/");
	return 0;
}
