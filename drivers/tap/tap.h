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

/* Where a frame that waits lies: what its lane_buf says may change meanwhile. */
struct lane_tap_place {
	uint32_t frame;
	uint16_t off, len;
};

struct lane_tap_share {
	uint32_t head;        /* where the next frame is noted */
	uint32_t tail;        /* the first that is not written */
	uint32_t done;        /* the first that was not given back */
	uint32_t nr_unkicked; /* frames noted and not written */
	uint64_t nr_lost;     /* frames that the kernel did not take */
	pthread_mutex_t busy; /* who writes has it; robust, process-shared */
	struct lane_tap_place ring[LANE_TAP_RING];
};

/* An empty ring and its lock; lane_tap_open() does it. 0 or -errno. */
int lane_tap_init(struct lane_tap_share *share);
/* Opens interface 'ifname', which is made if there is none (then it ends with its last holder, and
 * is up), and fills *share. 0, *fd, and a MAC for this end; or -errno with err[]. */
int lane_tap_open(const char *ifname, struct lane_tap_share *share, int *fd, struct lane_mac *mac,
		  char *err);
/* Adds the queue to 'ln', interface 'ifi'. Borrows the descriptor. 0 or -errno. */
int lane_tap_map(struct lane *ln, unsigned int ifi, struct lane_tap_share *share, int fd);

#endif
