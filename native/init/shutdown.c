#include "shutdown.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel.h"
#include "entrypoint.h"
#include "failure.h"
#include "loop.h"
#include "machine-kind.h"
#include "mounts.h"
#include "outbox.h"
#include "session.h"
#include "stream.h"

/* Others than the entrypoint get a moment after SIGTERM; after SIGKILL only the kernel delays them. */
enum { TERM_MS = 200, KILL_MS = 2000, DRAIN_MS = 5000, DRAIN_LOOK_MS = 5, LAST_WORDS_MS = 1000 };

static struct {
	enum { NOT, STOPPING, TERMINATING, KILLING, DRAINING } phase;
	uint16_t request_id;
	bool reboots;
	uint64_t deadline_ms;
} state;

int shutdown_begin(const char *mode, uint16_t request_id, int signal_number, uint64_t timeout_ms) {
	if (state.phase != NOT) return fail_with(EALREADY, "shutdown", "it is under way");
	if (entrypoint_stop(signal_number, timeout_ms) < 0) return -1;
	state.phase = STOPPING;
	state.request_id = request_id;
	state.reboots = strcmp(mode, "reboot") == 0;
	return 0;
}

static int last_words = -1;

void shutdown_tell(const char *descriptor) {
	last_words = atoi(descriptor);
	fcntl(last_words, F_SETFD, FD_CLOEXEC);
}

static _Noreturn void finish(void) {
	mounts_undo_volumes();
	if (machine_is_virtual()) (void)mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL); /* else synced */
	sync();
	session_emit();
	if (session_is_open() && state.request_id != 0) answer_done(state.request_id, NULL);
	channel_flush(LAST_WORDS_MS);
	if (last_words >= 0 && write(last_words, "shutdown\n", 9) != 9) complain("write", "the last words");
	if (!machine_is_virtual()) _exit(entrypoint_exit_code());
	reboot(state.reboots ? RB_AUTOBOOT : RB_POWER_OFF);
	for (;;) pause(); /* the kernel could not: the host ends us */
}

static bool nobody_is_left(void) { return kill(-1, 0) < 0 && errno == ESRCH; }

static void enter(int phase, int signal_number, uint64_t patience_ms) {
	state.phase = phase;
	state.deadline_ms = now_ms() + patience_ms;
	kill(-1, signal_number);
}

/* What the entrypoint wrote last is worth a wait, if somebody reads it. */
static uint64_t drain(void) {
	state.phase = DRAINING;
	state.deadline_ms = now_ms() + DRAIN_MS;
	return now_ms();
}

uint64_t shutdown_tick(void) {
	if (state.phase == NOT) return UINT64_MAX;
	if (state.phase == STOPPING) {
		if (entrypoint_is_running()) return UINT64_MAX; /* its own deadline ends it */
		enter(TERMINATING, SIGTERM, TERM_MS);
	}
	if (state.phase != DRAINING && nobody_is_left()) return drain();
	if (state.phase == DRAINING && (!session_is_open() || stream_is_drained(ENTRYPOINT))) finish();
	if (state.phase == DRAINING && state.deadline_ms > now_ms()) return now_ms() + DRAIN_LOOK_MS;
	if (state.deadline_ms > now_ms()) return state.deadline_ms;
	if (state.phase == DRAINING) finish();
	if (state.phase == KILLING) return drain();
	enter(KILLING, SIGKILL, KILL_MS);
	return state.deadline_ms;
}
