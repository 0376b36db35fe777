/*
 * path.c - where packets of a flow go: route and neighbour, cached in its pcb
 *
 * An answer goes to the MAC that the flow's frames came from until the mirror knows the neighbour
 * (design.md 3): a server that dropped its privileges cannot resolve.
 */
#include "lane-int/engine.h"

#include <errno.h>

static struct lane_seen *seen_at(struct lane *ln, const struct lane_ip *ip)
{
	uint32_t h = ip->w[0] ^ ip->w[1] ^ ip->w[2] ^ ip->w[3];

	h ^= h >> 16;
	h ^= h >> 8;
	return &ln->st->seen[h % LANE_NR_SEEN];
}

void lane_path_seen(struct lane *ln, unsigned int ifi, const struct lane_ip *ip,
		    const struct lane_mac *mac)
{
	struct lane_seen *s = seen_at(ln, ip);

	s->ip = *ip;
	s->mac = *mac;
	s->ifi = (uint8_t)ifi;
	s->used = 1;
}

/* The mirror does not know the next hop: 'err' says why. */
static int without_neigh(struct lane *ln, struct lane_path *path, const struct lane_ip *dst,
			 int err)
{
	const struct lane_seen *s = seen_at(ln, dst);

	/* What we use still works, or the peer's frames came from there: go on with it. */
	if (path->have_mac && (path->from_peer || err == -EAGAIN))
		return 0;
	path->have_mac = 0;
	if (!s->used || s->ifi != path->ifi || !lane_ip_equal(&s->ip, dst))
		return err;
	path->mac = s->mac;
	path->have_mac = 1;
	path->from_peer = 1;
	return 0;
}

static int update(struct lane *ln, struct lane_path *path, struct lane_ip *src,
		  const struct lane_ip *dst)
{
	struct lane_net_hop hop;
	struct lane_nettab *net;
	struct lane_mac mac;
	int r = lane_ifs_route(ln, lane_ifs_of_queue(ln, path->queue), dst, src, &hop);

	if (r < 0)
		return r;
	/* A MAC is good on its own link only. */
	if (path->ifi != r)
		path->have_mac = 0;
	path->ifi = (uint8_t)r;
	net = &ln->net[r];
	*src = hop.src;
	path->mtu = lane_pmtu_of(ln, dst, hop.mtu);
	if (net->loopback) {
		memset(&path->mac, 0, sizeof(path->mac));
		path->have_mac = 1;
		path->from_peer = 0;
		return 0;
	}
	r = lane_net_neigh(net, &hop.next, &mac);
	if (r)
		return without_neigh(ln, path, dst, r);
	path->mac = mac;
	path->have_mac = 1;
	path->from_peer = 0;
	return 0;
}

int lane_path_update(struct lane *ln, struct lane_path *path, struct lane_ip *src,
		     const struct lane_ip *dst)
{
	const struct lane_nettab *net = lane_ifs_net(ln, path->ifi);
	/* Before the route is looked up: what changes meanwhile is looked up again. */
	uint32_t version = lane_path_version(ln, net), neigh_version = lane_path_neigh_version(net);
	uint8_t ifi = path->ifi;
	int r;

	if (lane_path_is_fresh(ln, path) && !lane_ip_is_any(src))
		return 0;
	r = update(ln, path, src, dst);
	if (r)
		return r;
	/* From another table than the numbers above: 0 makes the next call look again. */
	path->version = path->ifi == ifi ? version : 0;
	path->neigh_version = neigh_version;
	return 0;
}
