/* The byte stream to the host: a port of virtio-serial, or the newest connection of a listener. */
#ifndef CHANNEL_H
#define CHANNEL_H
#include <stdint.h>

#include "frame.h"
/* "virtio:NAME", "vsock:PORT", "unix:PATH", "listen:FD" or "fd:FD". Each frame of the host goes to `take`, which
 * answers false when the host broke the protocol: it begins anew then. */
int channel_open(const char *where, bool (*take)(const struct frame *frame));
/* After each turn of the loop: reads on if it had stopped, and writes what there is. */
void channel_push(void);
/* When channel_push must be called again although nothing happened. */
uint64_t channel_wake_ms(void);
/* Waits until the outbox is empty, at most so long. For the last words. */
void channel_flush(uint64_t timeout_ms);
#endif
