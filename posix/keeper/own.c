/*
 * own.c - the keeper runs the control plane of an interface whose address is the lane's own
 *
 * Frames that the lane leaves to it are taken under the lane's lock, one at a time, and given to
 * the control plane outside of it; what that sends goes under the lock again. The mirror of the
 * kernel's tables serves for the link alone, in a table of its own.
 */
#include <errno.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include "k.h"
#include "lane-int/ctl.h"
#include "lane-int/nettab.h"
#include "lane-int/state.h"

#define OWN_FRAMES    256     /* in one step */
#define OWN_STATIC_US 5000000 /* how long the start waits for the addresses */
#define OWN_DHCP_US   8000000

static void send_frame(void *arg, const uint8_t *frame, uint32_t len)
{
	struct keeper *k = arg;

	shim_lock(&k->v);
	lane_ctl_send(k->v.ln, 0, frame, len);
	k->v.kick_mask |= lane_flush(k->v.ln);
	shim_unlock(&k->v);
	shim_kick(&k->v);
}

static int open_link(struct keeper *k, char *err)
{
	/* The kernel has no part in a port of DPDK's. */
	if (k->s.driver == LANE_DEV_DPDK)
		return 0;
	return lane_netlink_open(k->s.ifs[0], k->link_net, &k->nl[0], err);
}

/* A NIC lets through the groups that the kernel is in; neighbours ask for the lane's addresses by
 * others. As long as the socket is open. A device without such a filter needs none, so that it
 * fails is no error. */
static void hear_groups(unsigned int ifindex)
{
	struct packet_mreq m = {.mr_ifindex = (int)ifindex, .mr_type = PACKET_MR_ALLMULTI};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof(m));
}

int keeper_own_open(struct keeper *k, char *err)
{
	struct lane_lwip_config cfg = k->s.own;
	int r = open_link(k, err);

	if (r)
		return r;
	if (k->dev[0])
		hear_groups(k->link_net->ifindex);
	memcpy(cfg.ifname, k->s.ifs[0], sizeof(cfg.ifname));
	cfg.ifindex = k->link_net->ifindex;
	cfg.mac = k->s.driver == LANE_DEV_XDP ? k->link_net->mac : k->mac;
	cfg.mtu = k->link_net->mtu < 1500 ? k->link_net->mtu : 1500;
	cfg.slaac = true;
	cfg.send = send_frame;
	cfg.arg = k;
	r = lane_lwip_open(&cfg, lane_nettab(k->v.ln), shim_now_us(), &k->lw, err);
	if (!r)
		keeper_device_set_addrs(k, 0);
	return r;
}

void keeper_own_link(struct keeper *k)
{
	bool up = keeper_device_link(k) && k->bound;

	k->link_up = up;
	lane_lwip_link(k->lw, shim_now_us(), up);
}

static void take_frames(struct keeper *k)
{
	static uint8_t frame[65536 + 64];
	unsigned int i, ifi;
	uint32_t len;

	for (i = 0; i < OWN_FRAMES && lane_ctl_waiting(k->v.ln); i++) {
		shim_lock(&k->v);
		len = lane_ctl_take(k->v.ln, &ifi, frame, sizeof(frame));
		shim_unlock(&k->v);
		if (len)
			lane_lwip_in(k->lw, shim_now_us(), frame, len);
	}
}

/* For `lane stat`: what is missing, as long as it is. */
static void warn(struct keeper *k)
{
	char err[LANE_LWIP_ERR] = "has no address yet";

	if (lane_lwip_ready(k->lw, err) == 0)
		k->v.a->warning[0] = 0;
	else
		snprintf(k->v.a->warning, sizeof(k->v.a->warning),
			 "own-address mode: %.15s: %.200s", k->s.ifs[0], err);
}

/* What sockets have joined, or left, since. */
static void follow_groups(struct keeper *k)
{
	const struct lane_state *st = k->v.ln->st;
	struct lane_ip group[LANE_NR_GROUPS];
	unsigned int n = 0;

	if (k->groups_seen == st->groups_version)
		return;
	shim_lock(&k->v);
	k->groups_seen = st->groups_version;
	for (unsigned int i = 0; i < LANE_NR_GROUPS; i++)
		if (st->group[i].used)
			group[n++] = st->group[i].group;
	shim_unlock(&k->v);
	lane_lwip_groups(k->lw, shim_now_us(), group, n);
}

void keeper_own_step(struct keeper *k)
{
	uint32_t before = k->neigh_seen;

	/* Nobody tells of a port's link. */
	if (k->s.driver == LANE_DEV_DPDK && keeper_device_link(k) != k->link_up)
		keeper_own_link(k);
	take_frames(k);
	follow_groups(k);
	if (lane_lwip_step(k->lw, shim_now_us())) {
		keeper_device_set_addrs(k, 0);
		shim_lock(&k->v);
		lane_claim_refresh(k->v.ln);
		shim_unlock(&k->v);
		warn(k);
	}
	k->neigh_seen = lane_nettab(k->v.ln)->neigh_version;
	/* Packets that waited for a neighbour may go now. */
	if (k->neigh_seen != before && k->v.ln->st->nr_pending)
		keeper_turn(k);
	lane_lwip_describe(k->lw, k->v.a->control, sizeof(k->v.a->control));
}

uint64_t keeper_own_next(const struct keeper *k)
{
	return lane_ctl_waiting(k->v.ln) ? 0 : lane_lwip_next(k->lw);
}

/* One turn of lane and control plane, for a few milliseconds at most. */
static void wait_a_little(struct keeper *k)
{
	struct pollfd p = {.fd = k->v.xdp[0].xsk[0], .events = POLLIN};

	poll(&p, 1, 5);
	if (k->nl[0] && lane_netlink_read(k->nl[0]) > 0)
		keeper_own_link(k);
	keeper_turn(k);
	keeper_own_step(k);
}

int keeper_own_wait(struct keeper *k, uint64_t us, char *err)
{
	uint64_t end = shim_now_us() + us;
	int r;

	keeper_own_link(k);
	do {
		r = lane_lwip_ready(k->lw, err);
		if (r != -EAGAIN)
			return r;
		wait_a_little(k);
	} while (keeper_device_link(k) && shim_now_us() < end);
	warn(k);
	return 0;
}

/* Before 6.4 the first program must map the rings before they are bound. */
static bool binds_first(const struct keeper *k)
{
	int major = 0, minor = 0;
	struct utsname u;

	if (!k->dev[0])
		return true;
	if (k->s.xdp.without & LANE_XDP_F_MAP_LATE || uname(&u) < 0 ||
	    sscanf(u.release, "%d.%d", &major, &minor) != 2)
		return false;
	return major > 6 || (major == 6 && minor >= 5);
}

int keeper_own_start(struct keeper *k, char *err)
{
	int r;

	if (!binds_first(k))
		return 0;
	r = keeper_device_bind(k, 0, err);
	if (r)
		return r;
	k->bound = true;
	r = keeper_own_wait(k, k->s.own.dhcp ? OWN_DHCP_US : OWN_STATIC_US, err);
	k->started_us = shim_now_us(); /* who is to come has its time from now on */
	return r;
}
