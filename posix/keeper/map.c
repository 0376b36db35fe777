/*
 * map.c - a lane's devices in any process that has their descriptors
 *
 * Apart from device.c, which opens them: this much of the drivers the shim needs.
 */
#include <errno.h>

#include "arena.h"

int shim_device_map(struct shim_view *v, unsigned int i)
{
	switch (v->a->driver) {
	case LANE_DEV_XDP:
		return lane_xdp_map(v->ln, &v->a->xdp[i], &v->xdp[i]);
	case LANE_DEV_TAP:
		return lane_tap_map(v->ln, i, &v->a->tap, v->xdp[i].xsk[0], &v->row);
	case LANE_DEV_DPDK:
		/* Opened in this process, or in one that it was forked from: there is no other way. */
		return lane_queue(v->ln, 0) ? 0 : -EPERM;
	default:
		return -EPROTO;
	}
}
