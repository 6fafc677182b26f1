/*
 * The one loop: epoll over sources, and the time of the next deadline. A source lives as long as
 * the program does (all are static), so an event that comes late for one finds it closed, not freed.
 */
#ifndef LOOP_H
#define LOOP_H
#include <stdint.h>
#include <sys/epoll.h>

struct source {
	int fd; /* -1: closed */
	uint32_t watched;
	void (*ready)(struct source *source, uint32_t events);
};

#define CONTAINER(pointer, type, member) ((type *)((char *)(pointer) - offsetof(type, member)))

int loop_start(void);
/* Every event is level-triggered unless EPOLLET is asked for; 0 takes the source out altogether,
 * because EPOLLHUP would come even to those who ask for nothing. */
void source_watch(struct source *source, uint32_t events);
void source_close(struct source *source);
/* One turn. Waits at most until deadline_ms of now_ms(); UINT64_MAX: as long as it takes. */
void loop_turn(uint64_t deadline_ms);
/* CLOCK_MONOTONIC. */
uint64_t now_ms(void);
#endif
