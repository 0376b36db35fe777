/*
 * group.c - the multicast groups that lanes are in, told to the network by lwIP's IGMP and MLD
 */
#include "inside.h"

#include "lwip/igmp.h"
#include "lwip/mld6.h"

static bool is_in(const struct lane_ip *list, unsigned int n, const struct lane_ip *ip)
{
	for (unsigned int i = 0; i < n; i++)
		if (lane_ip_equal(&list[i], ip))
			return true;
	return false;
}

static void change(struct lane_lwip *lw, const struct lane_ip *ip, bool join)
{
	const ip4_addr_t a4 = {.addr = ip->w[3]};
	ip6_addr_t a6;

	if (lane_ip_is4(ip)) {
		if (join)
			igmp_joingroup_netif(&lw->netif, &a4);
		else
			igmp_leavegroup_netif(&lw->netif, &a4);
		return;
	}
	memcpy(a6.addr, ip->b, 16);
	ip6_addr_clear_zone(&a6);
	if (join)
		mld6_joingroup_netif(&lw->netif, &a6);
	else
		mld6_leavegroup_netif(&lw->netif, &a6);
}

static void follow(struct lane_lwip *lw, const struct lane_ip *groups, unsigned int n)
{
	struct lane_ip old[LANE_LWIP_GROUPS];
	unsigned int nr_old = lw->nr_groups;

	memcpy(old, lw->group, sizeof(old));
	lw->nr_groups = 0;
	for (unsigned int i = 0; i < n && lw->nr_groups < LANE_LWIP_GROUPS; i++) {
		if (is_in(lw->group, lw->nr_groups, &groups[i]))
			continue;
		lw->group[lw->nr_groups++] = groups[i];
		if (!is_in(old, nr_old, &groups[i]))
			change(lw, &groups[i], true);
	}
	for (unsigned int i = 0; i < nr_old; i++)
		if (!is_in(lw->group, lw->nr_groups, &old[i]))
			change(lw, &old[i], false);
}

void lane_lwip_groups(struct lane_lwip *lw, uint64_t now_us, const struct lane_ip *groups, unsigned int n)
{
	lw->now_us = lane_lwip_port.now_us = now_us;
	LANE_LWIP_GUARD(follow(lw, groups, n));
}
