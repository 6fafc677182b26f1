#include "channel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "failure.h"
#include "loop.h"
#include "outbox.h"
#include "record.h"
#include "session.h"

enum { INBOX_BYTES = 65536, ABSENT_RETRY_MS = 20 };

static void on_listener(struct source *source, uint32_t events);
static void on_channel(struct source *source, uint32_t events);

static struct source listener = {.fd = -1, .ready = on_listener};
static struct source channel = {.fd = -1, .ready = on_channel};
static bool is_port;         /* stays open when the host goes, and says so by EPOLLHUP */
static uint64_t retry_at_ms = UINT64_MAX;
static bool (*take_frame)(const struct frame *frame);
static struct frame_parser parser;
static uint8_t inbox[INBOX_BYTES];
static size_t inbox_start, inbox_end;
static bool took_frames; /* in channel_push, after the deadlines were looked at */
static bool greeted;     /* a host said HELLO, and nothing was written since */

/* A port without a host is always "ready": look again after a while. */
static void look_later(void) {
	source_watch(&channel, 0);
	retry_at_ms = now_ms() + ABSENT_RETRY_MS;
}

static void lose_host(void) {
	session_lose();
	frame_reset(&parser);
	inbox_start = inbox_end = 0;
	greeted = false;
	if (is_port) look_later();
	else source_close(&channel);
}

/*
 * The kernel says that no host is there. Of a port it learns that a host came later than it has the host's
 * first bytes, and until then takes no answer: the host that just said HELLO is not the one that is missing.
 */
static void miss_host(void) {
	if (is_port && greeted) look_later();
	else lose_host();
}

/* False when it had to stop: answers have no room. */
static bool parse_inbox(void) {
	while (inbox_start < inbox_end) {
		struct frame frame;
		enum frame_result result;
		if (!outbox_has_room_for_answer()) return false;
		inbox_start += frame_parse(&parser, inbox + inbox_start, inbox_end - inbox_start, &frame, &result);
		if (result == FRAME_READY && frame.type == F_HELLO) greeted = true;
		if (result == FRAME_READY && !take_frame(&frame)) result = FRAME_LOST;
		if (result != FRAME_LOST) continue;
		session_lose();
		frame_reset(&parser); /* the connection stays: the host begins anew with its preamble */
	}
	return true;
}

/* One buffer a turn: whatever the host sends, the other sources get their turn, too. */
static void read_more(void) {
	if (!parse_inbox()) return;
	inbox_start = inbox_end = 0;
	ssize_t n = read(channel.fd, inbox, sizeof inbox);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
	if (n <= 0) return miss_host();
	inbox_end = (size_t)n;
	(void)parse_inbox();
}

static void write_more(void) {
	while (channel.fd >= 0 && outbox.start < outbox.end) {
		ssize_t n = write(channel.fd, outbox.bytes + outbox.start, outbox.end - outbox.start);
		if (n < 0 && errno == EINTR) continue;
		if (n < 0 && errno != EAGAIN) return lose_host();
		if (n <= 0) return;
		greeted = false;
		outbox.start += (size_t)n;
	}
}

static void on_channel(struct source *source, uint32_t events) {
	(void)source;
	if (events & EPOLLIN) read_more();
	else if (events & (EPOLLHUP | EPOLLERR)) miss_host();
}

void channel_push(void) {
	if (channel.fd < 0) return;
	if (retry_at_ms <= now_ms()) {
		retry_at_ms = UINT64_MAX;
		source_watch(&channel, EPOLLIN);
	}
	if (retry_at_ms != UINT64_MAX) return;
	took_frames = inbox_start < inbox_end;
	if (took_frames) (void)parse_inbox();
	session_emit();
	write_more();
	if (channel.fd < 0 || retry_at_ms != UINT64_MAX) return;
	bool reads = inbox_start == inbox_end, writes = outbox.start < outbox.end;
	source_watch(&channel, (reads ? EPOLLIN : 0u) | (writes ? EPOLLOUT : 0u));
}

uint64_t channel_wake_ms(void) {
	/* Frames that waited for room may have asked for something that is due now. */
	bool more = channel.fd >= 0 && retry_at_ms == UINT64_MAX && outbox_has_room_for_answer();
	return took_frames && more ? 0 : retry_at_ms;
}

void channel_flush(uint64_t timeout_ms) {
	uint64_t deadline_ms = now_ms() + timeout_ms;
	while (channel.fd >= 0 && outbox.start < outbox.end && now_ms() < deadline_ms) {
		struct pollfd waiting = {.fd = channel.fd, .events = POLLOUT};
		poll(&waiting, 1, (int)(deadline_ms - now_ms()));
		if (waiting.revents & (POLLHUP | POLLERR)) return;
		write_more();
	}
}

static void use(int fd) {
	if (channel.fd >= 0) {
		is_port = false;
		lose_host(); /* the newest host is the host */
	}
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	channel.fd = fd;
	frame_reset(&parser);
	source_watch(&channel, EPOLLIN);
}

static void on_listener(struct source *source, uint32_t events) {
	(void)events;
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0) use(fd);
}

static int listen_on(int fd) {
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return fail("channel", "the listening descriptor");
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	listener.fd = fd;
	source_watch(&listener, EPOLLIN);
	return 0;
}

static int bind_and_listen(int family, const struct sockaddr *address, socklen_t size) {
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) return fail("channel", "socket");
	if (bind(fd, address, size) < 0 || listen(fd, 4) < 0) {
		fail("channel", "bind");
		close(fd);
		return -1;
	}
	return listen_on(fd);
}

static int open_unix(const char *path) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address.sun_path) return fail_with(ENAMETOOLONG, "channel", path);
	strcpy(address.sun_path, path);
	return bind_and_listen(AF_UNIX, (struct sockaddr *)&address, sizeof address);
}

static int open_vsock(uint32_t port) {
	struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
	return bind_and_listen(AF_VSOCK, (struct sockaddr *)&address, sizeof address);
}

static bool port_has_name(const char *port, const char *wanted) {
	char path[128], name[64] = "";
	snprintf(path, sizeof path, "/sys/class/virtio-ports/%.32s/name", port);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) return false;
	ssize_t n = read(fd, name, sizeof name - 1);
	close(fd);
	if (n > 0) name[strcspn(name, "\n")] = 0;
	return n > 0 && strcmp(name, wanted) == 0;
}

static int open_port(const char *wanted) {
	DIR *ports = opendir("/sys/class/virtio-ports");
	if (ports == NULL) return fail("channel", "no virtio-serial ports");
	char path[64] = "";
	for (struct dirent *port; (port = readdir(ports)) != NULL;)
		if (port_has_name(port->d_name, wanted)) snprintf(path, sizeof path, "/dev/%.32s", port->d_name);
	closedir(ports);
	int fd = path[0] == 0 ? -1 : open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) return fail("channel", wanted);
	use(fd);
	is_port = true;
	return 0;
}

int channel_open(const char *where, bool (*take)(const struct frame *frame)) {
	take_frame = take;
	const char *colon = strchr(where, ':');
	uint64_t number = 0;
	if (colon == NULL) return fail_with(EINVAL, "channel", where);
	bool numeric = parse_number(colon + 1, UINT32_MAX, &number);
	if (strncmp(where, "unix:", 5) == 0) return open_unix(colon + 1);
	if (strncmp(where, "virtio:", 7) == 0) return open_port(colon + 1);
	if (numeric && strncmp(where, "vsock:", 6) == 0) return open_vsock((uint32_t)number);
	if (numeric && strncmp(where, "listen:", 7) == 0) return listen_on((int)number);
	if (numeric && strncmp(where, "fd:", 3) == 0) return use((int)number), 0;
	return fail_with(EINVAL, "channel", where);
}
