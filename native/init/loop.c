#include "loop.h"

#include <errno.h>
#include <limits.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_MAX = 64 };

static int epoll_fd = -1;

int loop_start(void) {
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return epoll_fd < 0 ? -1 : 0;
}

void source_watch(struct source *source, uint32_t events) {
	if (source->fd < 0 || source->watched == events) return;
	struct epoll_event event = {.events = events, .data.ptr = source};
	int operation = events == 0 ? EPOLL_CTL_DEL : source->watched == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
	if (epoll_ctl(epoll_fd, operation, source->fd, &event) == 0) source->watched = events;
}

void source_close(struct source *source) {
	if (source->fd < 0) return;
	source_watch(source, 0);
	close(source->fd);
	source->fd = -1;
	source->watched = 0;
}

uint64_t now_ms(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int wait_ms(uint64_t deadline_ms) {
	if (deadline_ms == UINT64_MAX) return -1;
	uint64_t now = now_ms();
	if (deadline_ms <= now) return 0;
	return deadline_ms - now > INT_MAX ? INT_MAX : (int)(deadline_ms - now);
}

void loop_turn(uint64_t deadline_ms) {
	struct epoll_event events[EVENTS_MAX];
	int count = epoll_wait(epoll_fd, events, EVENTS_MAX, wait_ms(deadline_ms));
	for (int i = 0; i < count; i++) {
		struct source *source = events[i].data.ptr;
		if (source->fd >= 0 && source->watched != 0) source->ready(source, events[i].events);
	}
}
