/*
 * fake_lane.h - an arena in plain memory, and a lane whose sockets are what the test says
 */
#ifndef TESTS_POSIX_FAKE_LANE_H
#define TESTS_POSIX_FAKE_LANE_H

#include <lane/tcp.h>
#include <lane/udp.h>

#include "posix/watch.h"

#define FAKE_NR 8

struct fake {
	struct shim_arena arena;
	struct shim_sock socks[FAKE_NR];
	struct shim_ep eps[FAKE_NR];
	struct shim_watch watches[4 * FAKE_NR];
	struct shim_view view;
	struct lane_tcp_status tcp[FAKE_NR]; /* by pcb index */
	bool oobinline;
	uint64_t now_us;
	uint32_t udp_queued;
	int udp_err;
	struct lane_event events[FAKE_NR]; /* what lane_event() gives, last first */
	int nr_events;
	int nr_put, nr_abort, nr_want_space;
};
extern struct fake fake;

/* Everything free, row 0. */
void fake_reset(void);
/* A sock of 'kind' with pcb 'pcb', held by row 0. */
uint32_t fake_sock(enum shim_sock_kind kind, uint32_t pcb);
/* An epoll set held by row 0. */
uint32_t fake_ep(void);

#endif
