#include "stats.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { FILE_BYTES = 8192, DISKS_MAX = 16 };

static struct { int fd; char path[64]; } disks[DISKS_MAX];
static int disk_count;

void stats_keep(const char *path) {
	if (disk_count == DISKS_MAX) return;
	for (int i = 0; i < disk_count; i++)
		if (strcmp(disks[i].path, path) == 0) return;
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) return;
	disks[disk_count].fd = fd;
	snprintf(disks[disk_count].path, sizeof disks[0].path, "%s", path);
	disk_count++;
}

static char *read_file(const char *path, char text[FILE_BYTES]) {
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, FILE_BYTES - 1);
	if (fd >= 0) close(fd);
	text[n < 0 ? 0 : n] = 0;
	return text;
}

static uint64_t memory_bytes(const char *text, const char *name) {
	const char *line = strstr(text, name);
	return line == NULL ? 0 : strtoull(line + strlen(name), NULL, 10) * 1024;
}

static void put_memory(struct record_writer *writer) {
	char text[FILE_BYTES];
	read_file("/proc/meminfo", text);
	record_put(writer, R_MEMORY, NUMBER(memory_bytes(text, "MemTotal:")),
	           NUMBER(memory_bytes(text, "MemFree:")), NUMBER(memory_bytes(text, "MemAvailable:")),
	           NUMBER(memory_bytes(text, "SwapTotal:")), NUMBER(memory_bytes(text, "SwapFree:")), NULL);
}

static void put_load(struct record_writer *writer) {
	char text[FILE_BYTES], one[16] = "0", five[16] = "0", fifteen[16] = "0";
	unsigned long long running = 0, total = 0;
	read_file("/proc/loadavg", text);
	if (sscanf(text, "%15s %15s %15s %llu/%llu", one, five, fifteen, &running, &total) < 5) return;
	record_put(writer, R_LOAD, one, five, fifteen, NULL);
	record_put(writer, R_PROCESSES, NUMBER(running), NUMBER(total), NULL);
}

static void put_disks(struct record_writer *writer) {
	for (int i = 0; i < disk_count; i++) {
		struct statvfs space;
		if (fstatvfs(disks[i].fd, &space) < 0) continue;
		record_put(writer, R_DISK, disks[i].path, NUMBER(space.f_blocks * space.f_frsize),
		           NUMBER(space.f_bavail * space.f_frsize), NUMBER(space.f_files), NUMBER(space.f_favail), NULL);
	}
}

static void put_interfaces(struct record_writer *writer) {
	char text[FILE_BYTES], *rest = NULL;
	read_file("/proc/net/dev", text);
	for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		char name[32];
		unsigned long long in_bytes, in_packets, out_bytes, out_packets;
		if (sscanf(line, " %31[^: ]: %llu %llu %*u %*u %*u %*u %*u %*u %llu %llu", name, &in_bytes,
		           &in_packets, &out_bytes, &out_packets) == 5)
			record_put(writer, R_NET, name, NUMBER(in_bytes), NUMBER(in_packets), NUMBER(out_bytes),
			           NUMBER(out_packets), NULL);
	}
}

void stats_put(struct record_writer *writer) {
	put_memory(writer);
	put_load(writer);
	put_disks(writer);
	put_interfaces(writer);
}
