#include "etc-files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "failure.h"

#define MARK "# from here on: written by init\n"

/* A new file that takes the name: the old one may be a link into a folder that is empty now. */
static FILE *begin(void) { return fopen("/etc/.godwit-new", "we"); }

static int finish(FILE *file, const char *path) {
	bool written = ferror(file) == 0;
	written = fclose(file) == 0 && written;
	if (written && chmod("/etc/.godwit-new", 0644) == 0 && rename("/etc/.godwit-new", path) == 0) return 0;
	fail("write", path);
	unlink("/etc/.godwit-new");
	return -1;
}

static void copy_image_lines(FILE *to) {
	char line[1024];
	FILE *from = fopen("/etc/hosts", "re");
	if (from == NULL) {
		fputs("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n", to);
		return;
	}
	while (fgets(line, sizeof line, from) != NULL && strcmp(line, MARK) != 0) fputs(line, to);
	fclose(from);
}

/* Without a file no machine would know even itself by the name localhost. */
static int write_hosts(void) {
	struct record host;
	size_t at = 0;
	if (!config_next(R_HOST, &at, &host) && access("/etc/hosts", F_OK) == 0) return 0;
	FILE *file = begin();
	if (file == NULL) return fail("write", "/etc/hosts");
	copy_image_lines(file);
	fputs(MARK, file);
	for (at = 0; config_next(R_HOST, &at, &host);) {
		fputs(host.text, file);
		for (unsigned i = 1; record_text(&host, i) != NULL; i++) fprintf(file, "%c%s", i == 1 ? '\t' : ' ', record_text(&host, i));
		fputc('\n', file);
	}
	return finish(file, "/etc/hosts");
}

static int write_resolver(void) {
	struct record record;
	size_t at = 0;
	if (!config_next(R_NAMESERVER, &at, &record)) return 0;
	FILE *file = begin();
	if (file == NULL) return fail("write", "/etc/resolv.conf");
	for (at = 0; config_next(R_NAMESERVER, &at, &record);) fprintf(file, "nameserver\t%s\n", record.text);
	for (at = 0; config_next(R_SEARCH, &at, &record);) fprintf(file, "search\t%s\n", record.text);
	return finish(file, "/etc/resolv.conf");
}

static int write_hostname(void) {
	const char *name = config_text(R_HOSTNAME, 0);
	if (name == NULL) return 0;
	FILE *file = begin();
	if (file == NULL) return fail("write", "/etc/hostname");
	fprintf(file, "%s\n", name);
	return finish(file, "/etc/hostname");
}

int etc_files_write(void) {
	(void)mkdir("/etc", 0755); /* an image without /etc gets one; else this fails, rightly */
	if (access("/etc", W_OK) < 0 && errno == EROFS) return 0; /* a read-only root keeps its own */
	return write_hostname() < 0 || write_hosts() < 0 ? -1 : write_resolver();
}
