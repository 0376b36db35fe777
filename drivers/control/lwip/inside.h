/*
 * inside.h - the control plane's state, and how its files call each other
 */
#ifndef LANE_DRIVERS_LWIP_INSIDE_H
#define LANE_DRIVERS_LWIP_INSIDE_H

#include "lane-int/nettab.h"
#include "lwip.h"

#include "lwip/etharp.h"
#include "lwip/netif.h"
#include "port.h"

#define LANE_LWIP_FRAME   2048 /* bytes of the longest frame in or out, by far */
#define LANE_LWIP_WANTS   128  /* neighbours that lanes asked for and that are looked after */
#define LANE_LWIP_SLOTS   (ARP_TABLE_SIZE + LWIP_ND6_NUM_NEIGHBORS)
#define LANE_LWIP_ROUTES  32
#define LANE_LWIP_NR_TMRS 7

/* RFC 5227, of the one static IPv4 address. */
enum dad_state { DAD_NONE, DAD_PROBING, DAD_DONE, DAD_CONFLICT };

struct dad {
	enum dad_state state;
	unsigned int nr_probes, nr_announced;
	uint64_t due_us; /* the next probe or announcement, UINT64_MAX: none */
	uint64_t defended_us;
	struct lane_mac holder; /* of DAD_CONFLICT */
};

/* What is due of a DHCP lease, UINT64_MAX: nothing. */
struct lease {
	uint64_t renew_us, rebind_us, expire_us;
};

/* A neighbour that a lane asked for. */
struct want {
	struct lane_ip ip;
	uint64_t until_us;   /* it is given up, 0: it is not being asked for */
	uint64_t refresh_us; /* it is asked again, so that it does not age */
	bool used, failed;
};

/* What the nettab has of a slot of lwIP's tables. */
struct slot {
	struct lane_ip ip;
	struct lane_mac mac;
	bool used;
};

/* What the nettab has besides, to compare. */
struct snapshot {
	struct lane_net_addr addr[LANE_NET_ADDRS];
	uint32_t nr_addrs;
	struct lane_net_route route[LANE_LWIP_ROUTES];
	uint32_t nr_routes;
	uint32_t mtu;
	bool up;
};

struct lane_lwip {
	struct netif netif; /* first */
	struct lane_lwip_config cfg;
	struct lane_nettab *net;
	uint64_t now_us;
	bool link;
	struct dad dad;
	struct lease lease;
	uint64_t tmr_us[LANE_LWIP_NR_TMRS]; /* when each is due */
	struct want want[LANE_LWIP_WANTS];
	struct slot slot[LANE_LWIP_SLOTS];
	struct snapshot old;
	struct lane_ip group[LANE_LWIP_GROUPS]; /* that lanes are in */
	unsigned int nr_groups;
	uint64_t nr_conflicts; /* stations that claimed an address of ours while we had it */
	uint64_t nr_expired;   /* leases that were over */
	uint64_t nr_in, nr_out, nr_unsent;
};

static inline struct lane_ip lane_lwip_ip4(const ip4_addr_t *a)
{
	return lane_ip4(a->addr);
}

static inline struct lane_ip lane_lwip_ip6(const ip6_addr_t *a)
{
	return lane_ip6(a->addr);
}

/* The IPv4 address that was asked for, NULL: none. */
const struct lane_lwip_addr *lane_lwip_static4(const struct lane_lwip *lw);

/* ---- dad.c ---- */
void lane_lwip_dad_start(struct lane_lwip *lw);
/* Looks at a frame before lwIP does. */
void lane_lwip_dad_in(struct lane_lwip *lw, const uint8_t *frame, uint32_t len);
void lane_lwip_dad_timer(struct lane_lwip *lw);

/* ---- timers.c ---- */
void lane_lwip_timers(struct lane_lwip *lw);
uint64_t lane_lwip_timers_next(const struct lane_lwip *lw);

/* ---- lease.c ---- */
void lane_lwip_lease(struct lane_lwip *lw);
uint64_t lane_lwip_lease_next(const struct lane_lwip *lw);

/* ---- resolve.c ---- */
void lane_lwip_resolve(struct lane_lwip *lw);
uint64_t lane_lwip_resolve_next(const struct lane_lwip *lw);

/* ---- publish.c ---- */
/* True: more than neighbours changed. */
bool lane_lwip_publish(struct lane_lwip *lw);

#endif
