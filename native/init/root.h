#ifndef ROOT_H
#define ROOT_H
#include <stddef.h>
/* ROOT [device, type, options]: mounts it and moves into it, with /dev, /proc and /sys. Without that
 * record init stays where it is. */
int root_enter(void);
/* A path as it is, or the disk whose virtio serial that is: letters follow the order of probing. */
int root_find_device(const char *name, char *path, size_t size);
#endif
