/*
 * xdp.c - opens and closes an interface for AF_XDP; what the opener tells the program
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dev.h"
#include "lane-int/nettab.h"

static int open_all(struct lane_xdp_dev *dev, struct lane *ln, char *err)
{
	int r = lane_xdp_probe_if(&dev->itf, dev->cfg.ifname, err), fd;

	if (r < 0)
		return r;
	/* Before the features are probed, which would all seem to lack. */
	fd = lane_xdp_socket(err);
	if (fd < 0)
		return fd;
	close(fd);
	r = lane_xdp_choose(&dev->cfg, &dev->itf, dev->share, err);
	if (r == 0 && dev->cfg.zerocopy == LANE_XDP_TRI_ON)
		r = lane_xdp_xsk_try_zerocopy(dev, err);
	for (uint32_t i = 0; r == 0 && i < dev->share->nr_queues; i++)
		r = lane_xdp_xsk_open(dev, ln, i, err);
	if (r == 0)
		r = lane_xdp_prog_open(dev, err);
	return r;
}

int lane_xdp_open(const struct lane_xdp_config *cfg, struct lane *ln, struct lane_xdp_share *share,
		  struct lane_xdp_fds *fds, struct lane_xdp_dev **out, char *err)
{
	struct lane_xdp_dev *dev = calloc(1, sizeof(*dev));
	int r;

	if (!dev)
		return lane_xdp_fail(err, -ENOMEM, "out of memory");
	memset(share, 0, sizeof(*share));
	dev->cfg = *cfg;
	dev->share = share;
	share->ifi = cfg->ifi;
	dev->link_fd = dev->packet_fd = -1;
	for (int i = 0; i < LANE_QUEUES_MAX; i++)
		dev->xsk[i] = -1;
	r = open_all(dev, ln, err);
	if (r < 0) {
		lane_xdp_close(dev);
		return r;
	}
	dev->packet_fd = lane_xdp_wide_open(dev);
	if (share->have & LANE_XDP_F_TX_METADATA)
		share->caps |= LANE_CAP_TX_CSUM;
	if (share->have & LANE_XDP_F_SUPER)
		share->caps |= LANE_CAP_TSO;
	fds->claims = lane_xdp_prog_claims_fd(dev);
	fds->link = dev->link_fd;
	fds->packet = dev->packet_fd;
	memcpy(fds->xsk, dev->xsk, sizeof(fds->xsk));
	*out = dev;
	return 0;
}

int lane_xdp_bind(struct lane_xdp_dev *dev, char *err)
{
	int r;

	for (uint32_t i = 0; i < dev->share->nr_queues; i++) {
		r = lane_xdp_xsk_bind(dev, i, err);
		if (r < 0)
			return r;
	}
	for (uint32_t i = 0; i < dev->share->nr_queues; i++) {
		r = lane_xdp_prog_add(dev, i, dev->xsk[i]);
		if (r < 0)
			return lane_xdp_fail(err, r, "cannot add queue %u to the program: %s", i,
					     strerror(-r));
	}
	dev->share->bound = 1;
	return 0;
}

/* One slot; it does not count while it is being written. */
static void set_addr(struct lane_xdp_claims *c, unsigned int i, const struct lane_net_addr *a)
{
	struct lane_xdp_addr e;
	uint32_t bit = 1u << i;

	for (int w = 0; w < 4; w++) {
		e.mask[w] = UINT32_MAX;
		e.ip[w] = a->ip.w[w];
	}
	if (a->whole_prefix && lane_ip_is4(&a->ip)) {
		e.mask[3] = a->plen ? htobe32(UINT32_MAX << (32 - a->plen)) : 0;
		e.ip[3] &= e.mask[3];
	}
	if (a->used && c->addr_used & bit && memcmp(&c->addr[i], &e, sizeof(e)) == 0)
		return;
	__atomic_and_fetch(&c->addr_used, ~bit, __ATOMIC_SEQ_CST);
	c->addr[i] = e;
	if (a->used)
		__atomic_or_fetch(&c->addr_used, bit, __ATOMIC_SEQ_CST);
}

_Static_assert(LANE_XDP_ADDRS == LANE_NET_ADDRS, "a slot of one is a slot of the other");

void lane_xdp_set_addrs(struct lane_xdp_dev *dev, const struct lane_nettab *net)
{
	struct lane_xdp_claims *c = dev->claims;

	memcpy(c->mac, net->mac.b, sizeof(c->mac));
	c->loopback = dev->itf.loopback;
	c->mtu = net->mtu;
	for (unsigned int i = 0; i < LANE_XDP_ADDRS; i++)
		set_addr(c, i, &net->addr[i]);
}

void lane_xdp_close(struct lane_xdp_dev *dev)
{
	if (!dev)
		return;
	lane_xdp_prog_close(dev);
	if (dev->packet_fd >= 0)
		close(dev->packet_fd);
	for (int i = LANE_QUEUES_MAX - 1; i >= 0; i--)
		if (dev->xsk[i] >= 0)
			close(dev->xsk[i]);
	free(dev);
}
