/* The entrypoint's life: new, starting, running, exited, failed. Its state is told, not queued: the
 * newest is sent whenever it changed, and to every host that comes. */
#ifndef ENTRYPOINT_H
#define ENTRYPOINT_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "record.h"

int entrypoint_start(uint16_t request_id);
bool entrypoint_is_running(void);
/* Somebody else than init has been in the machine. */
bool entrypoint_has_run(void);
/* The signal now, SIGKILL after the timeout. */
int entrypoint_stop(int signal_number, uint64_t timeout_ms);
/* The same, then a new start. The request is answered when the new one runs. */
int entrypoint_restart(uint16_t request_id, int signal_number, uint64_t timeout_ms);
int entrypoint_signal(int signal_number);
void entrypoint_exited(int status);
/* Does what is due. Returns when it must be called again. */
uint64_t entrypoint_tick(void);
void entrypoint_put_state(struct record_writer *writer);
/* After streams_emit: the end is told when all output has been sent. */
void entrypoint_emit(void);
void entrypoint_lose_host(void);
/* What a container's own process must end with: the code, or 128 + signal. */
int entrypoint_exit_code(void);
#endif
