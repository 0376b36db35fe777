/*
 * device.c - the keeper's devices, whichever driver they are of
 *
 * All of them hand out what an XSK's interface does: a descriptor for each queue to sleep on, and
 * others that members keep (struct lane_xdp_fds). A TAP device has one, which stands for all.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "k.h"

static int open_xdp(struct keeper *k, unsigned int i, char *err)
{
	struct lane_xdp_config cfg = k->s.xdp;
	struct shim_arena *a = k->v.a;

	memcpy(cfg.ifname, k->s.ifs[i], sizeof(cfg.ifname));
	cfg.ifi = (uint8_t)i;
	cfg.own = k->own_mode;
	return lane_xdp_open(&cfg, k->v.ln, &a->xdp[i], &k->v.xdp[i], &k->dev[i], err);
}

static int open_tap(struct keeper *k, unsigned int i, char *err)
{
	struct lane_xdp_fds *f = &k->v.xdp[i];
	struct shim_arena *a = k->v.a;
	int r = lane_tap_open(k->s.ifs[i], &a->tap, &f->xsk[0], &k->mac, err);

	if (r)
		return r;
	/* Members hold the device by all of them. */
	f->claims = fcntl(f->xsk[0], F_DUPFD_CLOEXEC, 3);
	f->link = fcntl(f->xsk[0], F_DUPFD_CLOEXEC, 3);
	a->xdp[i].nr_queues = 1;
	if (f->claims >= 0 && f->link >= 0)
		return 0;
	snprintf(err, KEEPER_ERR, "no descriptor is left for %.15s", k->s.ifs[i]);
	return -EMFILE;
}

int keeper_device_open(struct keeper *k, unsigned int i, char *err)
{
	int r;

	k->v.a->driver = (uint32_t)k->s.driver;
	r = k->s.driver == LANE_DEV_TAP ? open_tap(k, i, err) : open_xdp(k, i, err);
	if (r)
		return r;
	r = shim_device_map(&k->v, i);
	if (r)
		snprintf(err, KEEPER_ERR, "the rings cannot be mapped: %s", strerror(-r));
	return r;
}

int keeper_device_bind(struct keeper *k, unsigned int i, char *err)
{
	struct lane_xdp_share *x = &k->v.a->xdp[i];

	if (x->bound)
		return 0;
	if (k->dev[i])
		return lane_xdp_bind(k->dev[i], err);
	x->bound = 1;
	return 0;
}

void keeper_device_set_addrs(struct keeper *k, unsigned int i)
{
	if (k->dev[i])
		lane_xdp_set_addrs(k->dev[i], lane_nettab_at(k->v.ln, i));
}

/* The queues of all interfaces, in the order in which they were added to the lane. */
uint32_t keeper_device_unkicked(const struct keeper *k)
{
	const struct shim_arena *a = k->v.a;
	uint32_t i, q, bit = 1, mask = 0;

	if (a->driver == LANE_DEV_TAP)
		return a->tap.nr_unkicked != 0;
	for (i = 0; i < k->s.nr_ifs; i++) {
		const struct lane_xdp_share *x = &a->xdp[i];

		for (q = 0; q < x->nr_queues && q < LANE_QUEUES_MAX; q++, bit <<= 1) {
			if (x->queue[q].nr_unkicked)
				mask |= bit;
		}
	}
	return mask;
}

void keeper_device_close_all(struct keeper *k)
{
	unsigned int i;

	for (i = 0; i < LANE_IFS_MAX; i++)
		lane_xdp_close(k->dev[i]);
}
