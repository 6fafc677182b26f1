#include "entrypoint.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "config.h"
#include "failure.h"
#include "loop.h"
#include "oom.h"
#include "outbox.h"
#include "stream.h"

enum phase { NEW, STARTING, RUNNING, EXITED, FAILED };
static const char *const phase_names[] = {"new", "starting", "running", "exited", "failed"};

static struct {
	enum phase phase;
	uint32_t runs;
	int status;
	bool oom, told, restarting, killed_by_us;
	uint16_t restart_id;
	uint64_t kill_at_ms; /* UINT64_MAX: nobody asked it to stop */
} state = {.told = true, .kill_at_ms = UINT64_MAX};

static void enter(enum phase phase) {
	state.phase = phase;
	state.told = false;
}

bool entrypoint_is_running(void) { return state.phase == STARTING || state.phase == RUNNING; }

static bool outputs_are_closed(void) {
	return ENTRYPOINT->out[0].source.fd < 0 && ENTRYPOINT->out[1].source.fd < 0;
}

bool entrypoint_has_run(void) { return state.runs > 0; }

int entrypoint_start(uint16_t request_id) {
	if (!config_is_complete()) return fail_with(EPROTO, "start", "there is no configuration yet");
	if (entrypoint_is_running()) return fail_with(EALREADY, "start", "the entrypoint runs");
	if (!outputs_are_closed()) return fail_with(EBUSY, "start", "output of the last run is not read yet");
	struct start start = {0};
	struct started started;
	if (process_start(&start, &started) < 0) return -1;
	struct stream *stream = stream_take(STREAM_ENTRYPOINT, 0);
	stream_attach(stream, &started);
	stream->answer_id = request_id;
	state.runs++;
	state.status = 0;
	state.oom = state.killed_by_us = false;
	state.kill_at_ms = UINT64_MAX;
	oom_forget();
	enter(STARTING);
	return 0;
}

int entrypoint_signal(int signal_number) {
	if (!entrypoint_is_running()) return fail_with(ESRCH, "signal", "the entrypoint does not run");
	if (signal_number == SIGKILL) state.killed_by_us = true;
	return kill(ENTRYPOINT->pid, signal_number) == 0 ? 0 : fail("signal", "");
}

int entrypoint_stop(int signal_number, uint64_t timeout_ms) {
	if (!entrypoint_is_running()) return 0;
	if (entrypoint_signal(signal_number) < 0) return -1;
	uint64_t kill_at_ms = now_ms() + timeout_ms;
	if (kill_at_ms < state.kill_at_ms) state.kill_at_ms = kill_at_ms; /* a second stop may hurry */
	return 0;
}

int entrypoint_restart(uint16_t request_id, int signal_number, uint64_t timeout_ms) {
	if (state.restarting) return fail_with(EALREADY, "restart", "a restart is under way");
	if (entrypoint_stop(signal_number, timeout_ms) < 0) return -1;
	state.restarting = true;
	state.restart_id = request_id;
	return 0;
}

void entrypoint_exited(int status) {
	state.status = status;
	state.kill_at_ms = UINT64_MAX;
	state.oom = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !state.killed_by_us
	            && oom_killed(ENTRYPOINT->pid);
	enter(ENTRYPOINT->failed ? FAILED : EXITED);
}

static void restart_when_possible(void) {
	if (!state.restarting || entrypoint_is_running() || !outputs_are_closed()) return;
	state.restarting = false;
	kill(-1, SIGKILL); /* what the last run left behind must not meet the next */
	if (entrypoint_start(state.restart_id) < 0 && state.restart_id != 0) answer_failed(state.restart_id);
}

uint64_t entrypoint_tick(void) {
	if (state.phase == STARTING && ENTRYPOINT->begun) enter(RUNNING);
	if (state.kill_at_ms <= now_ms() && entrypoint_is_running()) {
		state.kill_at_ms = UINT64_MAX;
		(void)entrypoint_signal(SIGKILL);
	}
	restart_when_possible();
	return state.kill_at_ms;
}

void entrypoint_put_state(struct record_writer *writer) {
	bool signaled = state.phase == EXITED && WIFSIGNALED(state.status);
	bool over = state.phase == EXITED || state.phase == FAILED;
	int number = !over ? 0 : signaled ? WTERMSIG(state.status) : WEXITSTATUS(state.status);
	record_put(writer, R_STATE, phase_names[state.phase], NUMBER(state.runs),
	           !over ? "" : signaled ? "signaled" : "exited", NUMBER(number),
	           state.oom ? "oom" : "", NULL);
}

void entrypoint_emit(void) {
	bool over = state.phase == EXITED || state.phase == FAILED;
	if (state.told || (over && !stream_is_drained(ENTRYPOINT)) || !outbox_has_room_for_data()) return;
	uint8_t bytes[128];
	struct record_writer writer = {bytes, sizeof bytes, 0};
	entrypoint_put_state(&writer);
	outbox_put(F_STATE, 0, 0, bytes, writer.used);
	state.told = true;
}

void entrypoint_lose_host(void) { state.told = false; state.restart_id = 0; }

int entrypoint_exit_code(void) {
	if (state.phase != EXITED && state.phase != FAILED) return 0;
	return WIFSIGNALED(state.status) ? 128 + WTERMSIG(state.status) : WEXITSTATUS(state.status);
}
