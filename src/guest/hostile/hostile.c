/*
 * For tests: a hostile program. As root of its machine it tries what would reach the host, and prints for
 * each attempt its name and "refused" or "done". What "done" means depends on whose kernel it is:
 * isolation.ts judges.
 *
 * hostile HOST_FILE HOST_PID ABSTRACT_NAME TCP_PORT
 * hostile bomb: forks for ever, in every child
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <unistd.h>

static void tell(const char *name, int done) { printf("%s %s\n", name, done ? "done" : "refused"); }

static int can_open(const char *path, int flags) {
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0) close(fd);
	return fd >= 0;
}

static int can_read(const char *path) {
	char byte;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t got = fd < 0 ? -1 : read(fd, &byte, 1);
	if (fd >= 0) close(fd);
	return got == 1;
}

/* A write of what is there already: it proves the right and changes nothing. */
static int can_write(const char *path, const char *text) {
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t put = fd < 0 ? -1 : write(fd, text, strlen(text));
	if (fd >= 0) close(fd);
	return put > 0;
}

/* In a child: what changes the caller's own namespaces, or kills it, must not end the program. */
static int in_child(int (*attempt)(void)) {
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) _exit(attempt() ? 42 : 0);
	int status = 0;
	waitpid(child, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 42;
}

static int unshare_user(void) { return unshare(CLONE_NEWUSER) == 0; }
static int unshare_mount(void) { return unshare(CLONE_NEWNS) == 0; }
static int unshare_net(void) { return unshare(CLONE_NEWNET) == 0; }
static int clone_user(void) {
	long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) _exit(0);
	return pid > 0;
}
static int clone3_user(void) {
	unsigned long long args[11] = {CLONE_NEWUSER};
	args[4] = SIGCHLD;
	long pid = syscall(SYS_clone3, args, sizeof args);
	if (pid == 0) _exit(0);
	return pid > 0;
}
static int enter_init_mount(void) {
	int fd = open("/proc/1/ns/mnt", O_RDONLY);
	return fd >= 0 && setns(fd, 0) == 0;
}
static int mount_tmpfs(void) { return mkdir("/mnt-t", 0700) + mount("t", "/mnt-t", "tmpfs", 0, "") == 0; }
static int mount_proc(void) { return mount("p", "/tmp", "proc", 0, "") == 0; }
static int remount_sys(void) { return mount("", "/sys", "", MS_REMOUNT | MS_BIND, "") == 0; }
static int unmount_sys(void) { return umount2("/sys", MNT_DETACH) == 0; }
static int new_mount_api(void) { return syscall(SYS_fsopen, "cgroup", 0) >= 0; }
static int bind_mount_api(void) { return syscall(SYS_open_tree, -100, "/", 1) >= 0; }
static int mount_cgroup(void) { return mkdir("/cg", 0700) + mount("c", "/cg", "cgroup", 0, "memory") == 0; }
static int pivot(void) { return syscall(SYS_pivot_root, "/", "/tmp") == 0; }
/* Left as it was: a stopped init is a machine that nobody can ask any more. */
static int attach_init(void) {
	if (ptrace(PTRACE_ATTACH, 1, 0, 0) < 0) return 0;
	waitpid(1, NULL, __WALL);
	ptrace(PTRACE_DETACH, 1, 0, 0);
	return 1;
}
static int raise_priority(void) { return setpriority(PRIO_PROCESS, 0, -10) == 0; }
static int real_time(void) {
	struct sched_param param = {.sched_priority = 10};
	return syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &param) == 0;
}
static int raise_limit(void) {
	struct rlimit limit = {1 << 24, 1 << 24};
	return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}
static int shield_from_oom(void) { return can_write("/proc/self/oom_score_adj", "-1000"); }
static int ports(void) {
#ifdef SYS_iopl
	return syscall(SYS_iopl, 3) == 0;
#else
	return 0;
#endif
}
static int old_calls(void) {
#ifdef __x86_64__
	/* getpid by the gate of 32-bit programs, whose numbers a filter may have forgotten. */
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");
	return result > 0;
#else
	return 0;
#endif
}

#define CALL(name, ...) static int name(void) { return syscall(__VA_ARGS__) >= 0; }
CALL(add_key_call, SYS_add_key, "user", "x", "y", 1, -3)
CALL(keyctl_call, SYS_keyctl, 0, -3, 1)
CALL(request_key_call, SYS_request_key, "user", "x", NULL, -3)
CALL(bpf_call, SYS_bpf, 0, "\1\0\0\0\4\0\0\0\4\0\0\0\1\0\0\0", 16)
CALL(io_uring_call, SYS_io_uring_setup, 4, (char[128]){0})
CALL(userfaultfd_call, SYS_userfaultfd, 0)
CALL(read_init_memory, SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0)
CALL(open_by_handle, SYS_open_by_handle_at, -100, "\10\0\0\0\1\0\0\0\2\0\0\0\0\0\0\0", 0)
CALL(kernel_log, SYS_syslog, 10, NULL, 0)
CALL(reboot_armed, SYS_reboot, 0xfee1dead, 672274793, 0, NULL) /* only disables Ctrl-Alt-Del */
CALL(accounting, SYS_acct, NULL)
CALL(quotas, SYS_quotactl, 0x80000100, NULL, 0, NULL)
static int perf_call(void) {
	unsigned int attributes[32] = {1, 128};
	return syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0) >= 0;
}
static int kernel_module(void) { return syscall(SYS_init_module, "x", 1, "") == 0 || errno != EPERM; }
static int kernel_module_fd(void) { return syscall(SYS_finit_module, 0, "", 0) == 0 || errno != EPERM; }
static int remove_module(void) { return syscall(SYS_delete_module, "no_such", 0) == 0 || errno != EPERM; }
static int new_kernel(void) { return syscall(SYS_kexec_load, 0, 0, NULL, 0) == 0 || errno != EPERM; }
static int swap_on(void) { return syscall(SYS_swapon, "/none", 0) == 0 || errno != EPERM; }
static int set_clock(void) {
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return syscall(SYS_clock_settime, 0, &now) == 0;
}

/* Disks of the host by their usual numbers, and the memory: made here, opened here. */
static int device(const char *folder, mode_t type, unsigned major_number, unsigned minor_number) {
	char path[128];
	snprintf(path, sizeof path, "%s/hostile-%u-%u", folder, major_number, minor_number);
	unlink(path);
	if (mknod(path, type | 0600, makedev(major_number, minor_number)) < 0) return 0;
	int done = can_open(path, O_RDONLY);
	unlink(path);
	return done;
}

static int any_device(mode_t type, unsigned major_number, unsigned minor_number) {
	static const char *const folders[] = {"/", "/dev", "/dev/shm", "/run", "/root"};
	int done = 0;
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
		done |= device(folders[i], type, major_number, minor_number);
	return done;
}

static int abstract_socket(const char *name) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	strncpy(address.sun_path + 1, name, sizeof address.sun_path - 2);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
	int done = connect(fd, (struct sockaddr *)&address, length) == 0;
	close(fd);
	return done;
}

static int host_port(int port) {
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int done = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
	close(fd);
	return done;
}

static int vsock(void) { return socket(40, SOCK_STREAM, 0) >= 0; }

/* Frames onto whatever interface there is beside loopback. */
static int spoof(void) {
	struct if_nameindex *all = if_nameindex();
	int count = 0;
	for (struct if_nameindex *one = all; one != NULL && one->if_index != 0; one++) {
		struct ifreq request = {0};
		strncpy(request.ifr_name, one->if_name, IFNAMSIZ - 1);
		int fd = socket(AF_INET, SOCK_DGRAM, 0);
		int is_up = ioctl(fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP);
		close(fd);
		if (strcmp(one->if_name, "lo") == 0 || !is_up) continue;
		struct sockaddr_ll target = {.sll_family = AF_PACKET, .sll_ifindex = (int)one->if_index, .sll_halen = 6};
		int raw = socket(AF_PACKET, SOCK_RAW, htons(3));
		char frame[64] = {0};
		if (sendto(raw, frame, sizeof frame, 0, (struct sockaddr *)&target, sizeof target) > 0) count++;
		close(raw);
	}
	return count > 0;
}

/* Open files that nobody meant to give. */
static int stray_files(void) {
	DIR *folder = opendir("/proc/self/fd");
	int count = 0;
	for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
		int fd = atoi(entry->d_name);
		if (entry->d_name[0] != '.' && fd > 2 && fd != dirfd(folder)) count++;
	}
	closedir(folder);
	return count > 0;
}

static int release_agent(void) {
	return can_write("/sys/fs/cgroup/memory/release_agent", "/x") || can_write("/sys/fs/cgroup/release_agent", "/x")
	       || can_open("/sys/fs/cgroup/cgroup.procs", O_WRONLY) || can_open("/sys/fs/cgroup/memory/cgroup.procs", O_WRONLY);
}

/* The way out of a chroot: it must end in the machine's own root. */
static int climb(const char *host_file) {
	mkdir("/root/jail", 0700);
	if (chroot("/root/jail") < 0) return 0;
	for (int i = 0; i < 64; i++)
		if (chdir("..") < 0) break;
	if (chroot(".") < 0) return 0;
	return can_open(host_file, O_RDONLY);
}
static const char *sought;
static int climb_out(void) { return climb(sought); }

int main(int count, char **words) {
	if (count == 2 && strcmp(words[1], "bomb") == 0)
		for (;;) (void)fork();
	if (count < 5) return 2;
	char path[512];
	sought = words[1];
	tell("host-file", can_open(words[1], O_RDONLY));
	snprintf(path, sizeof path, "/proc/1/root%s", words[1]);
	tell("host-file-through-init", can_open(path, O_RDONLY));
	tell("host-file-through-chroot", in_child(climb_out));
	snprintf(path, sizeof path, "/proc/%s/environ", words[2]);
	tell("host-process", can_read(path));
	tell("host-abstract-socket", abstract_socket(words[3]));
	tell("host-loopback-port", host_port(atoi(words[4])));
	tell("host-vsock", in_child(vsock));
	tell("host-frames", spoof());
	tell("stray-files", stray_files());
	static const struct { const char *name; int (*attempt)(void); } attempts[] = {
		{"unshare-user", unshare_user}, {"unshare-mount", unshare_mount}, {"unshare-net", unshare_net},
		{"clone-user", clone_user}, {"clone3-user", clone3_user}, {"setns-init", enter_init_mount},
		{"mount-tmpfs", mount_tmpfs}, {"mount-proc", mount_proc}, {"mount-cgroup", mount_cgroup},
		{"remount-sys", remount_sys}, {"unmount-sys", unmount_sys}, {"fsopen", new_mount_api},
		{"open-tree", bind_mount_api}, {"pivot-root", pivot}, {"ptrace-init", attach_init},
		{"priority", raise_priority}, {"real-time", real_time}, {"raise-limit", raise_limit},
		{"oom-shield", shield_from_oom}, {"iopl", ports}, {"32-bit-calls", old_calls},
		{"add-key", add_key_call}, {"keyctl", keyctl_call}, {"request-key", request_key_call},
		{"bpf", bpf_call}, {"io-uring", io_uring_call}, {"userfaultfd", userfaultfd_call},
		{"process-vm-readv", read_init_memory}, {"open-by-handle", open_by_handle}, {"syslog", kernel_log},
		{"reboot", reboot_armed}, {"acct", accounting}, {"quotactl", quotas}, {"perf", perf_call},
		{"init-module", kernel_module}, {"finit-module", kernel_module_fd},
		{"delete-module", remove_module}, {"kexec", new_kernel}, {"swapon", swap_on},
		{"settime", set_clock}, {"release-agent", release_agent},
	};
	for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
		tell(attempts[i].name, in_child(attempts[i].attempt));
	tell("disk-sda", any_device(S_IFBLK, 8, 0));
	tell("disk-vda", any_device(S_IFBLK, 254, 0));
	tell("disk-nvme", any_device(S_IFBLK, 259, 0));
	tell("loop0", any_device(S_IFBLK, 7, 0));
	tell("loop-control", any_device(S_IFCHR, 10, 237));
	tell("mem", any_device(S_IFCHR, 1, 1) || can_open("/dev/mem", O_RDONLY));
	tell("kmsg", any_device(S_IFCHR, 1, 11) || can_open("/dev/kmsg", O_RDONLY));
	tell("kvm", any_device(S_IFCHR, 10, 232));
	tell("tun", any_device(S_IFCHR, 10, 200));
	tell("fuse", any_device(S_IFCHR, 10, 229));
	tell("sysrq", can_write("/proc/sysrq-trigger", "h"));
	tell("core-pattern", can_open("/proc/sys/kernel/core_pattern", O_WRONLY));
	tell("modprobe-path", can_open("/proc/sys/kernel/modprobe", O_WRONLY));
	tell("panic-on-oom", can_open("/proc/sys/vm/panic_on_oom", O_WRONLY));
	tell("uevent-helper", can_open("/sys/kernel/uevent_helper", O_WRONLY));
	tell("kcore", can_read("/proc/kcore"));
	tell("keys", can_read("/proc/keys"));
	tell("timers", can_read("/proc/timer_list"));
	tell("firmware", can_open("/sys/firmware/acpi/tables", O_RDONLY));
	tell("debugfs", can_open("/sys/kernel/debug/tracing", O_RDONLY));
	return 0;
}
