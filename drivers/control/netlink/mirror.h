/*
 * mirror.h - the mirror's inside: what one reading of the kernel's tables brings
 */
#ifndef LANE_DRIVERS_NETLINK_MIRROR_H
#define LANE_DRIVERS_NETLINK_MIRROR_H

#include <linux/netlink.h>

#include "lane-int/nettab.h"
#include "netlink.h"

struct mirror_neigh {
	struct lane_ip ip;
	struct lane_mac mac;
	bool known, failed; /* neither: to be forgotten */
};

/* Filled by the parsers; compared with the nettab, then written to it in one go. */
struct mirror {
	uint32_t ifindex;
	struct lane_mac mac;
	bool up, loopback, gone;
	uint32_t mtu;
	struct lane_net_addr addr[LANE_NET_ADDRS]; /* in the kernel's order */
	uint32_t nr_addrs;
	struct lane_net_route route[LANE_NET_ROUTES]; /* unsorted */
	uint32_t nr_routes;
	struct mirror_neigh neigh[LANE_NET_NEIGHS];
	uint32_t nr_neighs;
	uint32_t nr_lost; /* entries that found no room */
};

/* Each looks at one message of its kind and adds what concerns m->ifindex. mnl's callbacks. */
int lane_mirror_link(const struct nlmsghdr *h, void *m);
int lane_mirror_addr(const struct nlmsghdr *h, void *m);
int lane_mirror_route(const struct nlmsghdr *h, void *m);
int lane_mirror_neigh(const struct nlmsghdr *h, void *m);

/* A default route of the main table, for the choice of an interface: true and its figures. */
bool lane_mirror_default_route(const struct nlmsghdr *h, uint32_t *ifindex, uint32_t *metric);

#endif
