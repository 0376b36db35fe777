/*
 * tap.h - the TAP driver: the other end of a network interface that the kernel has
 *
 * One process opens the character device; every user, the opener included, maps it to a queue: a
 * descriptor and struct lane_tap_share in shared memory. A frame to send is noted under the lane's
 * lock and written by kick() outside of it, since the write runs the kernel's whole receive path.
 */
#ifndef LANE_DRIVERS_TAP_H
#define LANE_DRIVERS_TAP_H

#include <pthread.h>

#include <lane/lane.h>

#define LANE_TAP_ERR  256
#define LANE_TAP_RING 1024 /* frames that wait to be written; a power of two */

#define LANE_TAP_LEFT 16   /* places of writers who are stopped and that are passed over */

/* Where a frame that waits lies: what its lane_buf says may change meanwhile. */
struct lane_tap_place {
	uint64_t claim; /* the frame's number, and who writes it: LANE_TAP_NOBODY, that one's number + 2, or LANE_TAP_WRITTEN */
	uint32_t frame; /* LANE_NIL: the place is free */
	uint16_t off, len;
};

#define LANE_TAP_NOBODY  0u
#define LANE_TAP_WRITTEN UINT32_MAX

struct lane_tap_share {
	uint32_t head;        /* where the next frame is noted */
	uint32_t tail;        /* the first that nobody has taken to write it */
	uint32_t done;        /* the first that was not given back, but for 'left' */
	uint32_t left[LANE_TAP_LEFT], nr_left;
	uint32_t nr_unkicked; /* frames noted and not taken */
	uint32_t stuck_tail;  /* what 'tail' was when 'busy' could not be had, */
	uint64_t stuck_us;    /* and when that was first seen */
	uint64_t nr_lost;     /* frames that the kernel did not take */
	uint64_t nr_passed;   /* times that somebody wrote though another had 'busy' */
	pthread_mutex_t busy; /* who writes has it, so that frames leave in order; robust, process-shared */
	struct lane_tap_place ring[LANE_TAP_RING];
};

/* An empty ring and its lock; lane_tap_open() does it. 0 or -errno. */
int lane_tap_init(struct lane_tap_share *share);
/* Writer 'who' (lane_tap_map()) is dead: what it was writing may be given back. */
void lane_tap_gone(struct lane_tap_share *share, int who);
/* Opens interface 'ifname', which is made if there is none (then it ends with its last holder, and
 * is up), and fills *share. 0, *fd, and a MAC for this end; or -errno with err[]. */
int lane_tap_open(const char *ifname, struct lane_tap_share *share, int *fd, struct lane_mac *mac,
		  char *err);
/* Adds the queue to 'ln', interface 'ifi'. Borrows the descriptor and 'who': this process' number among the users,
 * -1 or more, which is read at each kick (a fork changes it). 0 or -errno. */
int lane_tap_map(struct lane *ln, unsigned int ifi, struct lane_tap_share *share, int fd, const int *who);

#endif
