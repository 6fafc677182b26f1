/*
 * The machine around the entrypoint. In a virtual machine init makes it: pseudo file systems, root,
 * network. In a container the runtime has, and only what the configuration names is done.
 */
#ifndef MACHINE_H
#define MACHINE_H
/* Before the channel: what it takes to find the host. */
int machine_boot(void);
/* After CONFIGURE. Once for the root, each time for the rest. */
int machine_prepare(void);
/* Of a machine that was started from a template. */
int machine_find_devices_anew(void);
#endif
