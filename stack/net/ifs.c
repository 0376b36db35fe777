/*
 * ifs.c - a lane's interfaces taken together (see lane-int/ifs.h)
 */
#include "lane-int/ifs.h"

#include <errno.h>

#include "lane-int/state.h"

unsigned int lane_nr_ifs(const struct lane *ln)
{
	return ln->nr_ifs;
}

struct lane_nettab *lane_ifs_net(const struct lane *ln, unsigned int ifi)
{
	return &ln->net[ifi < ln->nr_ifs ? ifi : 0];
}

unsigned int lane_ifs_of_queue(const struct lane *ln, unsigned int queue)
{
	return queue < ln->nr_queues ? ln->queues[queue]->ifi : 0;
}

static bool is_link_local(const struct lane_ip *ip)
{
	return ip->b[0] == 0xfe && (ip->b[1] & 0xc0) == 0x80;
}

/* How many of the interfaces have to do with 'ip'. */
static unsigned int nr_for(const struct lane *ln, const struct lane_ip *ip)
{
	return is_link_local(ip) ? 1 : ln->nr_ifs;
}

int lane_ifs_addr(const struct lane *ln, const struct lane_ip *ip)
{
	unsigned int nr = nr_for(ln, ip);

	for (unsigned int i = 0; i < nr; i++) {
		if (lane_net_addr(&ln->net[i], ip) >= 0)
			return (int)i;
	}
	return -1;
}

uint32_t lane_ifs_addr_mask(const struct lane *ln, unsigned int ifi, const struct lane_ip *ip,
			    bool v6only)
{
	const struct lane_nettab *t = lane_ifs_net(ln, ifi);
	uint32_t mask = lane_net_addr_mask(t, ip, v6only);

	for (unsigned int i = 0; ifi > 0 && i < LANE_NET_ADDRS; i++) {
		if (is_link_local(&t->addr[i].ip))
			mask &= ~(1u << i);
	}
	return mask;
}

bool lane_ifs_is_group(const struct lane *ln, const struct lane_ip *ip)
{
	for (unsigned int i = 0; i < ln->nr_ifs; i++) {
		if (lane_net_is_group(&ln->net[i], ip))
			return true;
	}
	return false;
}

bool lane_ifs_have_loopback(const struct lane *ln)
{
	for (unsigned int i = 0; i < ln->nr_ifs; i++) {
		if (ln->net[i].loopback)
			return true;
	}
	return false;
}

/* What lo's addresses send stays on lo, as the kernel has it, and others' have no way back there.
 */
static bool crosses_lo(const struct lane *ln, unsigned int ifi, const struct lane_ip *src)
{
	int own = lane_ip_is_any(src) ? -1 : lane_ifs_addr(ln, src);

	return own >= 0 && ln->net[own].loopback != ln->net[ifi].loopback;
}

int lane_ifs_route(const struct lane *ln, unsigned int first, const struct lane_ip *dst,
		   const struct lane_ip *src, struct lane_net_hop *hop)
{
	unsigned int nr = nr_for(ln, dst);
	int r, err = -EXDEV;

	if (nr == 1)
		return lane_net_route(ln->net, dst, src, hop);
	if (lane_ifs_is_group(ln, dst))
		return -EXDEV;
	for (unsigned int n = 0; n < nr; n++) {
		unsigned int ifi = (first + n) % nr;

		r = lane_net_route(&ln->net[ifi], dst, src, hop);
		if (r == 0)
			return crosses_lo(ln, ifi, src) ? -EXDEV : (int)ifi;
		/* That another interface has the way says less than that there is none. */
		if (r != -EXDEV)
			err = r;
	}
	return err;
}

bool lane_ifs_wanted(const struct lane *ln)
{
	for (unsigned int i = 0; i < ln->nr_ifs; i++) {
		const struct lane_nettab *t = &ln->net[i];

		if (t->wanted_head != t->wanted_tail)
			return true;
	}
	return false;
}
