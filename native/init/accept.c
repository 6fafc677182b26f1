#include "accept.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "entrypoint.h"
#include "failure.h"
#include "record.h"

enum { BACKLOG = 64 };

static void on_connection(struct source *source, uint32_t events);

/* The one path of this machine. Who connects while nobody accepts waits in the kernel's queue. */
static struct source listener = {.fd = -1, .ready = on_connection};
static struct sockaddr_un address = {.sun_family = AF_UNIX};

static struct stream *waiting(void) {
	for (int i = 1; i <= STREAMS_MAX; i++)
		if (streams[i].kind == STREAM_DIAL && streams[i].accepting && !streams[i].abandoned) return &streams[i];
	return NULL;
}

static void on_connection(struct source *source, uint32_t events) {
	(void)events;
	struct stream *stream = waiting();
	if (stream == NULL) return source_watch(source, 0);
	int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) return; /* it went away again */
	int input = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (input < 0) {
		close(fd);
		return;
	}
	stream->accepting = false;
	stream->begun = true;
	stream->out[0].source.fd = fd;
	stream->in.source.fd = input;
	source_watch(&stream->out[0].source, EPOLLIN);
}

static void make_parents(void) {
	for (char *slash = strchr(address.sun_path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		(void)mkdir(address.sun_path, 0755); /* what is wrong shows when the socket is bound */
		*slash = '/';
	}
}

static int listen_at(const char *path) {
	if (listener.fd >= 0)
		return strcmp(path, address.sun_path) == 0 ? 0 : fail_with(EBUSY, "listen", address.sun_path);
	/* Who runs in the machine could make its file system wait, and PID 1 with it. */
	if (entrypoint_has_run()) return fail_with(EALREADY, "listen", "the entrypoint has run");
	memcpy(address.sun_path, path, strlen(path) + 1);
	make_parents();
	(void)unlink(path); /* of a machine whose root lasts */
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) return fail("socket", path);
	/* Whoever runs in the machine may speak for it. */
	if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || chmod(path, 0666) < 0 || listen(fd, BACKLOG) < 0) {
		fail("listen", path);
		close(fd);
		return -1;
	}
	listener.fd = fd;
	return 0;
}

int accept_one(uint16_t id, const uint8_t *document, size_t n) {
	struct record path;
	bool found = record_find(document, n, R_PATH, &path);
	if (!found || path.text[0] != '/' || strlen(path.text) >= sizeof address.sun_path)
		return fail_with(EINVAL, "listen", "an absolute path of at most 107 bytes is needed");
	if (listen_at(path.text) < 0) return -1;
	struct stream *stream = stream_take(STREAM_DIAL, id);
	if (stream == NULL) return fail_with(EMFILE, "open", "all streams are in use");
	stream->accepting = true;
	source_watch(&listener, EPOLLIN);
	return 0;
}
