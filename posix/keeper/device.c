/*
 * device.c - the keeper's devices, whichever driver they are of
 *
 * All of them hand out what an XSK's interface does: a descriptor for each queue to sleep on, and
 * others that members keep (struct lane_xdp_fds). A TAP device has one, which stands for all.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "k.h"
#include "lane-int/nettab.h"

#define CLOSE_S 3 /* for a port to close */

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

/* Frames lie in EAL's memory, where a device can reach them; not in the arena, whose part for them is never touched. */
static int start_eal(struct keeper *k, char *err)
{
	struct lane_bufs *bufs = lane_bufs(k->v.ln);
	size_t bytes = (size_t)bufs->nr * bufs->stride;
	char text[LANE_DPDK_ERR] = "";
	int r;

	if (!k->dpdk) {
		snprintf(err, KEEPER_ERR, "a DPDK port is opened by the program that uses it");
		return -EPERM;
	}
	r = k->dpdk->start(k->s.eal, bytes, text);
	snprintf(r ? err : k->v.a->dpdk.said, KEEPER_ERR, "%.255s", text);
	if (r)
		return r;
	bufs->frames = k->dpdk->memory(bytes);
	if (bufs->frames)
		return 0;
	snprintf(err, KEEPER_ERR, "EAL: no memory for frames (%zu bytes): memory= or -m", bytes);
	return -ENOMEM;
}

static void describe_dpdk(struct keeper *k, const struct lane_dpdk_info *i)
{
	snprintf(k->v.a->dpdk.device, sizeof(k->v.a->dpdk.device), "dpdk %s (%s)%s%s%s, %s%s", i->name, i->driver,
		 i->rx_csum ? ", rx checksum" : "", i->caps & LANE_CAP_TX_CSUM ? ", tx checksum" : "",
		 i->caps & LANE_CAP_TSO ? ", TSO" : "", i->sleep_fd >= 0 ? "slept on" : "polled",
		 i->alone ? ", by its first process alone" : "");
}

static int open_dpdk(struct keeper *k, unsigned int i, char *err)
{
	struct lane_dpdk_config cfg = {.forks = true, .said = k->v.a->dpdk.said};
	struct lane_bufs *bufs = lane_bufs(k->v.ln);
	struct lane_xdp_fds *f = &k->v.xdp[i];
	struct lane_dpdk_info info;
	struct lane_queue *q;
	char text[LANE_DPDK_ERR];
	int r = start_eal(k, err);

	if (r)
		return r;
	if (k->s.from[LANE_SET_IF] != LANE_FROM_DEFAULT)
		cfg.port = k->s.ifs[i];
	r = k->dpdk->open(&cfg, &bufs, 1, &q, text);
	if (!r)
		r = lane_add_queue(k->v.ln, q);
	if (r) {
		const char *said = k->v.a->dpdk.said;

		snprintf(err, KEEPER_ERR, *said ? "%.120s; %.120s" : "%.255s", text, said);
		return r;
	}
	k->dpdk->info(q, &info);
	describe_dpdk(k, &info);
	k->mac = info.mac;
	k->link_net->mtu = info.mtu;
	f->xsk[0] = info.sleep_fd;
	/* Observers are handed these; they mean nothing here. */
	f->claims = fcntl(k->v.memfd, F_DUPFD_CLOEXEC, 3);
	f->link = fcntl(k->v.memfd, F_DUPFD_CLOEXEC, 3);
	k->v.a->xdp[i].nr_queues = 1;
	return 0;
}

int keeper_device_open(struct keeper *k, unsigned int i, char *err)
{
	int r;

	k->v.a->driver = (uint32_t)k->s.driver;
	if (k->s.driver == LANE_DEV_DPDK)
		r = open_dpdk(k, i, err);
	else
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
	if (a->driver == LANE_DEV_DPDK)
		return 0; /* there is no kick: the next turn hands over */
	for (i = 0; i < k->s.nr_ifs; i++) {
		const struct lane_xdp_share *x = &a->xdp[i];

		for (q = 0; q < x->nr_queues && q < LANE_QUEUES_MAX; q++, bit <<= 1) {
			if (x->queue[q].nr_unkicked)
				mask |= bit;
		}
	}
	return mask;
}

bool keeper_device_link(struct keeper *k)
{
	struct lane_dpdk_info info;

	if (k->s.driver != LANE_DEV_DPDK)
		return k->link_net->up;
	k->dpdk->info(lane_queue(k->v.ln, 0), &info);
	/* Nobody but the first process sees its peer come; what is sent before waits. */
	return info.link || info.alone;
}

void keeper_device_stats(struct keeper *k)
{
	if (k->s.driver == LANE_DEV_DPDK)
		k->dpdk->stats(lane_queue(k->v.ln, 0), k->v.a->dpdk.stats, sizeof(k->v.a->dpdk.stats));
}

/* A PMD may have left something on the interface, as af_xdp its program. One that waits for EAL's threads, which
 * are not here, is given up after a while. */
static void close_dpdk(struct keeper *k)
{
	struct lane_queue *q = k->v.ln ? lane_queue(k->v.ln, 0) : NULL;
	struct lane_dpdk_info info;
	sigset_t alarms;

	if (!q || shim_any_live(k->v.a))
		return; /* members use it */
	k->dpdk->info(q, &info);
	if (info.alone)
		return;
	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &alarms, NULL);
	alarm(CLOSE_S);
	q->drv->close(q);
}

void keeper_device_gone(struct keeper *k, int row)
{
	if (k->v.a->driver == LANE_DEV_TAP)
		lane_tap_gone(&k->v.a->tap, row);
}

void keeper_device_close_all(struct keeper *k)
{
	unsigned int i;

	if (k->s.driver == LANE_DEV_DPDK && k->dpdk)
		close_dpdk(k);
	for (i = 0; i < LANE_IFS_MAX; i++)
		lane_xdp_close(k->dev[i]);
}
