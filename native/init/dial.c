#include "dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "failure.h"
#include "record.h"

static socklen_t parse_target(const struct record *target, struct sockaddr_storage *address) {
	struct sockaddr_in *ip4 = (struct sockaddr_in *)address;
	struct sockaddr_in6 *ip6 = (struct sockaddr_in6 *)address;
	uint64_t port;
	memset(address, 0, sizeof *address);
	if (!parse_number(record_text(target, 1), 65535, &port)) return 0;
	if (inet_pton(AF_INET, target->text, &ip4->sin_addr) == 1) {
		ip4->sin_family = AF_INET;
		ip4->sin_port = htons((uint16_t)port);
		return sizeof *ip4;
	}
	if (inet_pton(AF_INET6, target->text, &ip6->sin6_addr) != 1) return 0;
	ip6->sin6_family = AF_INET6;
	ip6->sin6_port = htons((uint16_t)port);
	return sizeof *ip6;
}

/* The report's place is taken by the socket itself: writable means connected or refused. */
static void on_connected(struct source *source, uint32_t events) {
	(void)events;
	struct stream *stream = CONTAINER(source, struct stream, report);
	int error = 0;
	socklen_t size = sizeof error;
	getsockopt(source->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	source_close(source);
	if (error != 0) {
		stream_abandon(stream);
		stream->failure = (struct exec_failure){error, "connect"};
		return;
	}
	stream->begun = true;
	source_watch(&stream->out[0].source, EPOLLIN);
	if (stream->in.ring.end > stream->in.ring.start) source_watch(&stream->in.source, EPOLLOUT);
	else if (stream->in.ending) stream_end(stream);
}

int dial(uint16_t id, const uint8_t *document, size_t n) {
	struct sockaddr_storage address;
	struct record target;
	socklen_t size = record_find(document, n, R_TARGET, &target) ? parse_target(&target, &address) : 0;
	if (size == 0) return fail_with(EINVAL, "dial", "a numeric address and a port are needed");
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) return fail("socket", target.text);
	int input = fcntl(fd, F_DUPFD_CLOEXEC, 3), report = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	bool trying = connect(fd, (struct sockaddr *)&address, size) == 0 || errno == EINPROGRESS;
	struct stream *stream = trying && input >= 0 && report >= 0 ? stream_take(STREAM_DIAL, id) : NULL;
	if (stream == NULL) {
		fail_with(trying ? EMFILE : errno, "connect", target.text);
		close(fd);
		if (input >= 0) close(input);
		if (report >= 0) close(report);
		return -1;
	}
	stream->out[0].source.fd = fd;
	stream->in.source.fd = input;
	stream->report.fd = report;
	stream->report.ready = on_connected;
	source_watch(&stream->report, EPOLLOUT);
	return 0;
}
