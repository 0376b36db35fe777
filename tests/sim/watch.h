/*
 * watch.h - looks at every frame on the cable: is the peer's window respected, does it ever shrink
 */
#ifndef LANE_TESTS_WATCH_H
#define LANE_TESTS_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WATCH_FLOWS 64

struct watch_dir {
	bool syn;     /* its SYN was seen */
	bool have_ws; /* with a window scale */
	bool have_edge;
	bool fin; /* its FIN was seen */
	uint8_t wscale;
	uint32_t iss;
	/* An earlier SYN-ACK, if there was another one: a cookie, and then a record, for one SYN. The
	 * peer takes either. */
	bool have_other, other_ws;
	uint8_t other_wscale;
	uint32_t other_iss;
	uint32_t edge; /* right edge of the window that it offered, the furthest so far */
};

struct watch_flow {
	uint16_t port[2]; /* of end 0 and end 1 */
	bool v6;
	struct watch_dir dir[2];
};

struct watch {
	uint32_t nr, next;
	struct watch_flow flow[WATCH_FLOWS];
};

/* A frame that end 'end' sends. NULL: nothing is wrong with it; else what. */
const char *watch_frame(struct watch *w, unsigned int end, const uint8_t *frame, size_t len);

#endif
