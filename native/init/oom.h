/* Whether the kernel killed a process for want of memory, from the kernel's own log. In a container
 * there is no log to read, and the runtime watches the cgroup instead: false. */
#ifndef OOM_H
#define OOM_H
#include <stdbool.h>
#include <sys/types.h>
void oom_watch(void);
/* What was logged so far concerns nobody any more. */
void oom_forget(void);
bool oom_killed(pid_t pid);
#endif
