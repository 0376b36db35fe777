/*
 * fixed.h - addresses, gateways and neighbours as somebody wrote them down, for a lane without a control plane
 *
 * Nobody answers ARP or ND: the other end must be told the lane's MAC too. Enough for two lanes on a cable, and
 * for tests.
 */
#ifndef LANE_DRIVERS_FIXED_H
#define LANE_DRIVERS_FIXED_H

#include <lane/lane.h>

#define LANE_FIXED_ADDRS  8
#define LANE_FIXED_NEIGHS 64

struct lane_fixed {
	char ifname[16];
	struct lane_mac mac;
	uint32_t mtu;
	uint32_t nr_addrs, nr_neighs;
	struct lane_ip gw4, gw6; /* any: none */
	struct {
		struct lane_ip ip;
		uint8_t plen; /* bits of its own family */
	} addr[LANE_FIXED_ADDRS];
	struct {
		struct lane_ip ip;
		struct lane_mac mac;
	} neigh[LANE_FIXED_NEIGHS];
};

/* "10.0.0.1" or "fd00::1". -EINVAL. */
int lane_fixed_parse_ip(const char *text, struct lane_ip *ip);
/* Each adds what the text says; -EINVAL, -ENOSPC. "10.0.0.2/24", "fd00::2/64"; "10.0.0.1=02:00:00:00:00:01"; "10.0.0.1" */
int lane_fixed_add_addr(struct lane_fixed *f, const char *text);
int lane_fixed_add_neigh(struct lane_fixed *f, const char *text);
int lane_fixed_set_gateway(struct lane_fixed *f, const char *text);
/* Writes all of it to *net, as up. */
void lane_fixed_publish(const struct lane_fixed *f, struct lane_nettab *net);

#endif
