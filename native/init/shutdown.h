/* The end: the entrypoint's stop, then everybody's, then the disks, then the machine. */
#ifndef SHUTDOWN_H
#define SHUTDOWN_H
#include <stdint.h>
/* mode: "poweroff" or "reboot"; in a container init exits with the entrypoint's code. The request is
 * answered when the disks are safe. */
int shutdown_begin(const char *mode, uint16_t request_id, int signal_number, uint64_t timeout_ms);
/* Before an orderly end it says so through this descriptor: a container's exit code may reach nobody. */
void shutdown_tell(const char *descriptor);
/* Does what is due. Returns when it must be called again. Does not return from the end. */
uint64_t shutdown_tick(void);
#endif
