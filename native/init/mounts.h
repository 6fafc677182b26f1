#ifndef MOUNTS_H
#define MOUNTS_H
/* /dev, /proc and /sys: what init itself needs. */
int mounts_make_first(void);
/* The rest, in the root that the entrypoint will see. */
int mounts_make_rest(void);
/* MOUNT [device, path, type, options, uid, gid] of the configuration. Safe to run twice. */
int mounts_make_volumes(void);
/* The last made first. What is busy is detached, and synced all the same. */
void mounts_undo_volumes(void);
#endif
