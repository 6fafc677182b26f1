#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "config.h"
#include "failure.h"

enum { INPUT, OUTPUT, ERRORS, REPORT, PIPES, GROUPS_MAX = 64 };

static int report_fd = -1; /* in the child */

int copy_fail(int error, const char *step) {
	struct exec_failure failure = {.error = error};
	strncpy(failure.step, step, sizeof failure.step - 1);
	if (report_fd >= 0) (void)!write(report_fd, &failure, sizeof failure);
	return error;
}

void copy_has_begun(void) {
	close(report_fd);
	report_fd = -1;
}

static _Noreturn void give_up(const char *step) {
	copy_fail(errno, step);
	_exit(127);
}

/* A record of the request, else the configuration's. */
static bool find(const struct start *start, uint16_t tag, struct record *record) {
	size_t at = 0;
	return record_find(start->document, start->document_bytes, tag, record) || config_next(tag, &at, record);
}

static unsigned long number_or(const struct record *record, unsigned index, unsigned long otherwise) {
	uint64_t number;
	return parse_number(record_text(record, index), UINT32_MAX, &number) ? (unsigned long)number : otherwise;
}

static void set_limits(void) {
	struct record record;
	for (size_t at = 0; config_next(R_RLIMIT, &at, &record);) {
		uint64_t which, soft, hard;
		if (!parse_number(record_text(&record, 0), RLIM_NLIMITS - 1, &which)) continue;
		if (!parse_number(record_text(&record, 1), UINT64_MAX, &soft)) continue;
		if (!parse_number(record_text(&record, 2), UINT64_MAX, &hard)) continue;
		struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};
		if (setrlimit((int)which, &limit) < 0) give_up("setrlimit");
	}
}

static void make_folder(const char *path) {
	char part[4096];
	if (path[0] != '/' || strlen(path) >= sizeof part) return; /* chdir says what is wrong */
	for (size_t i = 1; path[i - 1] != 0; i++) {
		if (path[i] != '/' && path[i] != 0) continue;
		memcpy(part, path, i);
		part[i] = 0;
		(void)mkdir(part, 0755);
		if (path[i] == 0) break;
	}
}

static void become_user(const struct start *start) {
	struct record user;
	gid_t groups[GROUPS_MAX];
	size_t count = 0;
	if (!find(start, R_USER, &user)) return;
	uid_t uid = (uid_t)number_or(&user, 0, 65534);
	gid_t gid = (gid_t)number_or(&user, 1, 65534);
	for (unsigned i = 2; record_text(&user, i) != NULL && count < GROUPS_MAX; i++)
		groups[count++] = (gid_t)number_or(&user, i, 65534);
	if (setgroups(count, groups) < 0) give_up("setgroups");
	if (setresgid(gid, gid, gid) < 0) give_up("setgid");
	if (setresuid(uid, uid, uid) < 0) give_up("setuid");
}

/* One variable a name: the request's win over the configuration's, later ones over earlier. */
static char **build_environment(const struct start *start) {
	static char *variables[ENV_MAX + 1];
	struct record record;
	size_t count = 0;
	for (size_t at = 0; config_next(R_ENV, &at, &record);)
		if (strchr(record.text, '=') != NULL && count < ENV_MAX) variables[count++] = (char *)record.text;
	for (size_t at = 0; record_next(start->document, start->document_bytes, &at, &record);)
		if (record.tag == R_ENV && strchr(record.text, '=') != NULL && count < ENV_MAX)
			variables[count++] = (char *)record.text;
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		size_t name = (size_t)(strchr(variables[i], '=') - variables[i]) + 1;
		bool again = false;
		for (size_t j = i + 1; j < count && !again; j++) again = strncmp(variables[i], variables[j], name) == 0;
		if (!again) variables[kept++] = variables[i];
	}
	variables[kept] = NULL;
	return variables;
}

static void execute(const struct start *start) {
	static char *arguments[ARGS_MAX + 1];
	struct record record;
	size_t count = 0;
	errno = EINVAL;
	if (!find(start, R_ARGV, &record)) give_up("no command");
	for (const char *text = record.text; text < record.text + record.length; text += strlen(text) + 1) {
		if (count == ARGS_MAX) errno = E2BIG, give_up("command");
		arguments[count++] = (char *)text;
	}
	environ = build_environment(start);
	if (getenv("PATH") == NULL)
		setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	execvp(arguments[0], arguments); /* it searches environ's PATH */
	give_up("exec");
}

static void reset_signals(void) {
	sigset_t none;
	sigemptyset(&none);
	for (int signal_number = 1; signal_number < NSIG; signal_number++) signal(signal_number, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void connect_fd(int from, int to) {
	if (from != to && dup2(from, to) < 0) give_up("dup2");
	if (from == to) fcntl(to, F_SETFD, 0);
}

/* A copy calls no execve, which would close what is init's: the other end of its own input, too. */
static void keep_only_report(void) {
	enum { KEPT = 3, FDS_MAX = 4096 };
	connect_fd(report_fd, KEPT);
	report_fd = KEPT;
	if (syscall(SYS_close_range, KEPT + 1, ~0u, 0) == 0) return;
	for (int fd = KEPT + 1; fd < FDS_MAX; fd++) close(fd);
}

static _Noreturn void run_child(const struct start *start, const int theirs[PIPES], bool terminal) {
	struct record record;
	report_fd = theirs[REPORT];
	reset_signals();
	if (setsid() < 0) give_up("setsid");
	connect_fd(theirs[INPUT], 0);
	connect_fd(theirs[OUTPUT], 1);
	connect_fd(theirs[ERRORS], 2);
	if (terminal && ioctl(0, TIOCSCTTY, 0) < 0) give_up("controlling terminal");
	if (start->copy != NULL) {
		keep_only_report();
		_exit(start->copy(start->document, start->document_bytes));
	}
	set_limits();
	bool moves = find(start, R_CWD, &record) && record.text[0] != 0;
	if (moves) make_folder(record.text);
	become_user(start);
	if (moves && chdir(record.text) < 0) give_up("chdir");
	if (!moves && chdir("/") < 0) give_up("chdir");
	execute(start);
	_exit(127);
}

static void close_all(int fds[PIPES]) {
	for (int i = 0; i < PIPES; i++)
		if (fds[i] >= 0) close(fds[i]);
}

static int make_pipe(int *reader, int *writer) {
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0) return -1;
	*reader = ends[0];
	*writer = ends[1];
	return 0;
}

static int open_terminal(const struct record *tty, int ours[PIPES], int theirs[PIPES]) {
	struct winsize size = {.ws_col = (unsigned short)number_or(tty, 0, 80),
	                       .ws_row = (unsigned short)number_or(tty, 1, 24)};
	if (openpty(&ours[OUTPUT], &theirs[INPUT], NULL, NULL, &size) < 0) return -1;
	for (int i = 0; i < 2; i++) fcntl(i == 0 ? ours[OUTPUT] : theirs[INPUT], F_SETFD, FD_CLOEXEC);
	ours[INPUT] = fcntl(ours[OUTPUT], F_DUPFD_CLOEXEC, 3);
	theirs[OUTPUT] = fcntl(theirs[INPUT], F_DUPFD_CLOEXEC, 3);
	theirs[ERRORS] = fcntl(theirs[INPUT], F_DUPFD_CLOEXEC, 3);
	return ours[INPUT] < 0 || theirs[OUTPUT] < 0 || theirs[ERRORS] < 0 ? -1 : 0;
}

static int open_pipes(bool with_input, int ours[PIPES], int theirs[PIPES]) {
	if (with_input && make_pipe(&theirs[INPUT], &ours[INPUT]) < 0) return -1;
	if (!with_input && (theirs[INPUT] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0) return -1;
	if (make_pipe(&ours[OUTPUT], &theirs[OUTPUT]) < 0) return -1;
	return make_pipe(&ours[ERRORS], &theirs[ERRORS]);
}

/* So that the user may open /dev/stdout anew, which checks the owner. */
static void give_to_user(const struct start *start, const int theirs[PIPES]) {
	struct record user;
	if (!find(start, R_USER, &user)) return;
	for (int i = INPUT; i <= ERRORS; i++)
		(void)fchown(theirs[i], (uid_t)number_or(&user, 0, 65534), (gid_t)-1);
}

int process_start(const struct start *start, struct started *started) {
	int ours[PIPES] = {-1, -1, -1, -1}, theirs[PIPES] = {-1, -1, -1, -1};
	struct record tty, input;
	bool terminal = start->copy == NULL && (start->inherits_input
		? record_find(start->document, start->document_bytes, R_TTY, &tty) : find(start, R_TTY, &tty));
	bool takes_input = start->inherits_input || (start->copy == NULL && find(start, R_INPUT, &input));
	bool opened = (terminal ? open_terminal(&tty, ours, theirs) : open_pipes(takes_input, ours, theirs)) == 0
	              && make_pipe(&ours[REPORT], &theirs[REPORT]) == 0;
	if (opened && start->copy == NULL) give_to_user(start, theirs);
	pid_t pid = opened ? fork() : -1;
	if (pid == 0) run_child(start, theirs, terminal);
	int error = errno;
	close_all(theirs);
	if (pid < 0) {
		close_all(ours);
		return fail_with(error, "fork", "");
	}
	for (int i = 0; i < PIPES; i++)
		if (ours[i] >= 0) fcntl(ours[i], F_SETFL, fcntl(ours[i], F_GETFL) | O_NONBLOCK);
	*started = (struct started){pid, ours[INPUT], ours[OUTPUT], ours[ERRORS], ours[REPORT]};
	return 0;
}
