/*
 * init: PID 1 of every machine. See PROTOCOL.md for what it does for the host, and README.md for how
 * it is built. One thread, one loop, no allocation after start; each turn does a bounded piece of
 * work for each source, so nothing that runs in the machine can keep it from answering.
 *
 *   init [--container] [--channel=WHERE] [--last-words=FD]     WHERE: see channel.h
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel.h"
#include "dispatch.h"
#include "entrypoint.h"
#include "failure.h"
#include "loop.h"
#include "machine.h"
#include "machine-kind.h"
#include "shutdown.h"
#include "stream.h"

enum { REAPED_PER_TURN_MAX = 256, VSOCK_PORT = 10000 };

static bool children_wait; /* more have ended than one turn reaps */

static void take_child(pid_t pid, int status) {
	for (int i = 0; i <= STREAMS_MAX; i++) {
		struct stream *stream = &streams[i];
		if (stream->kind == STREAM_FREE || stream->pid != pid || stream->exited) continue;
		stream_exited(stream, status);
		if (stream == ENTRYPOINT) entrypoint_exited(status);
		return;
	}
}

/*
 * No comparison is stored in children_wait: QEMU 7.2 without KVM takes the wrong branch after a `setg` to memory
 * whose page fork() has left to be copied, and a child that was reaped would be nobody's.
 */
static void reap(void) {
	for (int i = 0; i < REAPED_PER_TURN_MAX; i++) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);
		if (pid <= 0) {
			children_wait = false;
			return;
		}
		take_child(pid, status);
	}
	children_wait = true;
}

static void on_signal(struct source *source, uint32_t events) {
	(void)events;
	struct signalfd_siginfo info;
	if (read(source->fd, &info, sizeof info) != (ssize_t)sizeof info) return;
	if (info.ssi_signo == SIGCHLD) reap();
	/* A runtime that stops its container, or Ctrl-Alt-Del of a machine: an orderly end. */
	else (void)shutdown_begin("poweroff", 0, SIGTERM, 5000);
}

static struct source signals = {.fd = -1, .ready = on_signal};

static int watch_signals(void) {
	sigset_t watched;
	sigemptyset(&watched);
	sigaddset(&watched, SIGCHLD);
	sigaddset(&watched, SIGTERM);
	sigaddset(&watched, SIGINT);
	sigprocmask(SIG_BLOCK, &watched, NULL);
	signal(SIGPIPE, SIG_IGN);
	signals.fd = signalfd(-1, &watched, SFD_NONBLOCK | SFD_CLOEXEC);
	if (signals.fd < 0) return fail("signalfd", "");
	source_watch(&signals, EPOLLIN);
	return 0;
}

static int open_channel(const char *where) {
	if (where != NULL) return channel_open(where, dispatch_frame);
	char vsock[24];
	snprintf(vsock, sizeof vsock, "vsock:%d", VSOCK_PORT);
	if (channel_open("virtio:godwit.agent", dispatch_frame) == 0) return 0;
	return channel_open(vsock, dispatch_frame);
}

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

static _Noreturn void run(void) {
	for (;;) {
		/* What became due first, then the telling of it, then the wait. */
		uint64_t due_ms = least(least(entrypoint_tick(), shutdown_tick()), streams_look_ms());
		channel_push();
		loop_turn(children_wait ? 0 : least(due_ms, channel_wake_ms()));
		if (children_wait) reap();
		else streams_look();
	}
}

static int give_up(void) {
	fprintf(stderr, "init: %s %s: %s\n", last_failure.step, last_failure.detail, strerror(last_failure.error));
	return 70; /* of PID 1 in a machine: the kernel panics, and the host sees its end */
}

int main(int argc, char **argv) {
	const char *where = NULL;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--container") == 0) machine_is_container();
		else if (strncmp(argv[i], "--channel=", 10) == 0) where = argv[i] + 10;
		else if (strncmp(argv[i], "--last-words=", 13) == 0) shutdown_tell(argv[i] + 13);
	}
	if (getpid() != 1) { /* it signals and reaps everybody: never on a host */
		fprintf(stderr, "init: it runs as PID 1 of a machine or a pid namespace only\n");
		return 64;
	}
	/* Root of a container may not look into us: the descriptors that the host gave us are its own. */
	prctl(PR_SET_DUMPABLE, 0);
	umask(022);
	streams_start();
	if (loop_start() < 0 || machine_boot() < 0 || watch_signals() < 0 || open_channel(where) < 0)
		return give_up();
	run();
}
