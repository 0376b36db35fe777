/*
 * lwip.h - the control plane of an interface whose address and MAC are the lane's own
 *
 * ARP, ND, ICMP, DHCPv4, SLAAC, IGMP and MLD by lwIP; duplicate detection of IPv4 addresses by us
 * (RFC 5227). The owner hands it the frames that the lane leaves to it, sends what it says, calls
 * its timers, and finds addresses, routes and neighbours in the nettab that it keeps. There is one
 * in a process; no call is made by two threads at once, none blocks.
 */
#ifndef LANE_DRIVERS_LWIP_H
#define LANE_DRIVERS_LWIP_H

#include <lane/lane.h>

#define LANE_LWIP_ADDRS 8
#define LANE_LWIP_ERR   256
#define LANE_LWIP_GROUPS 64

struct lane_lwip;

struct lane_lwip_addr {
	struct lane_ip ip;
	uint8_t plen; /* bits of its own family; 64 for IPv6 */
};

struct lane_lwip_config {
	char ifname[16];
	uint32_t ifindex; /* for scopes of link-local addresses, 0: none */
	struct lane_mac mac;
	uint32_t mtu;
	struct lane_lwip_addr addr[LANE_LWIP_ADDRS]; /* one of IPv4 at most */
	uint32_t nr_addrs;
	struct lane_ip gw4, gw6; /* any: none */
	bool dhcp;
	bool slaac; /* takes prefixes and routers from router advertisements */
	/* Sends a whole Ethernet frame; may drop it. */
	void (*send)(void *arg, const uint8_t *frame, uint32_t len);
	void *arg;
};

/* Starts; the link is down until lane_lwip_link(). 0 and returns owned *lw, or -errno with err[].
 * -ENOSYS: lane was built without lwIP. */
int lane_lwip_open(const struct lane_lwip_config *cfg, struct lane_nettab *net, uint64_t now_us,
		   struct lane_lwip **lw, char *err);
void lane_lwip_link(struct lane_lwip *lw, uint64_t now_us, bool up);
/* A received Ethernet frame. */
void lane_lwip_in(struct lane_lwip *lw, uint64_t now_us, const uint8_t *frame, uint32_t len);
/* The multicast groups that lanes are in by now: the network is told of those that are new, and of those that are gone. */
void lane_lwip_groups(struct lane_lwip *lw, uint64_t now_us, const struct lane_ip *groups, unsigned int n);
/* Takes what lanes want resolved, runs due timers, writes what changed to the nettab. After any
 * other call. True: addresses, routes, MTU or the link changed. */
bool lane_lwip_step(struct lane_lwip *lw, uint64_t now_us);
/* When lane_lwip_step() is due again, in us on the same clock. */
uint64_t lane_lwip_next(const struct lane_lwip *lw);
/* 0: every address that was asked for is there; -EAGAIN: not yet; -EADDRINUSE: another station has
 * one, which is told in err[]. */
int lane_lwip_ready(const struct lane_lwip *lw, char *err);
/* "dhcp bound 10.0.0.7, conflicts: 0, ..." for `lane stat`. */
void lane_lwip_describe(const struct lane_lwip *lw, char *out, size_t size);
/* Gives back a DHCP lease; NULL is ignored. */
void lane_lwip_close(struct lane_lwip *lw);

#endif
