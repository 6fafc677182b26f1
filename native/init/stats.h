#ifndef STATS_H
#define STATS_H
#include "record.h"
/* MEMORY, LOAD, DISK (each file system that init mounted), NET (each interface), PROCESSES. */
void stats_put(struct record_writer *writer);
/* Keeps a file system for DISK. By descriptor: what a guest mounts over the path cannot make
 * init wait. */
void stats_keep(const char *path);
#endif
