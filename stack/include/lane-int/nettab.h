/*
 * nettab.h - addresses, routes, neighbours and MTU: filled from outside, read by lanes
 *
 * Theory of operation. One table for each opened interface, in the lane's memory. One writer at a
 * time (the keeper's netlink mirror, lwIP, or a test), any number of readers, which hold no lock:
 * a sequence counter, odd while the writer is at work, tells a reader to read again. 'version'
 * grows with every change; a flow that caches a look-up keeps it next to the result.
 * A look-up that finds no neighbour leaves a request; whoever fills the table takes it.
 */
#ifndef LANE_INT_NETTAB_H
#define LANE_INT_NETTAB_H

#include <stdatomic.h>

#include <lane/types.h>

#define LANE_NET_ADDRS 32 /* as many as a claim's mask has bits */
#define LANE_NET_ROUTES 256
#define LANE_NET_NEIGHS 1024 /* a power of two */
#define LANE_NET_WANTED 64   /* a power of two */

struct lane_net_addr {
	struct lane_ip ip;
	uint8_t plen; /* prefix length of the subnet, in bits of its own family; lo's 127/8 is 8 */
	uint8_t used;
	uint8_t whole_prefix; /* every address of the prefix is ours (127/8 on lo) */
	uint8_t deprecated;   /* IPv6: not to be chosen as a source */
	struct lane_ip bcast; /* IPv4 broadcast of the subnet, :: if none */
};

enum lane_net_route_kind {
	LANE_ROUTE_UNICAST,	/* by this interface */
	LANE_ROUTE_ELSEWHERE,	/* by another interface: the kernel's */
	LANE_ROUTE_UNREACHABLE, /* unreachable, prohibit, blackhole */
};

struct lane_net_route {
	struct lane_ip dst; /* host bits 0 */
	struct lane_ip gw;  /* any: on link */
	struct lane_ip src; /* preferred source, any: none */
	uint8_t plen;
	uint8_t kind; /* enum lane_net_route_kind */
	uint16_t reserved;
	uint32_t metric;
	uint32_t mtu; /* 0: the interface's */
};

struct lane_net_neigh {
	struct lane_ip ip;
	struct lane_mac mac;
	uint8_t used;
	uint8_t failed; /* the kernel gave up: report unreachable */
	uint32_t reserved;
};

struct lane_nettab {
	_Atomic uint32_t seq;	  /* odd: being written */
	_Atomic uint32_t version; /* of addresses, routes and MTU; neighbours have their own */
	_Atomic uint32_t neigh_version;
	uint32_t ifindex;
	char ifname[16];
	struct lane_mac mac;
	uint8_t up;	  /* administratively up and carrier */
	uint8_t loopback; /* lo: no neighbours, MACs are zero */
	uint8_t own;	  /* own-address mode: the kernel does not know these addresses */
	uint32_t mtu;	  /* bytes of an IP packet */
	uint32_t nr_routes;
	uint32_t nr_addrs; /* addr[] beyond it is unused: lane_net_write_end() sets it */
	uint16_t port_min, port_max; /* for active opens of lanes, host order, inclusive */
	struct lane_net_addr addr[LANE_NET_ADDRS];
	struct lane_net_route route[LANE_NET_ROUTES]; /* most specific first, then lowest metric */
	struct lane_net_neigh neigh[LANE_NET_NEIGHS]; /* open addressing by lane_ip bytes */

	/* requests for resolution: a ring that readers fill and the writer drains */
	_Atomic uint32_t wanted_head, wanted_tail;
	struct lane_ip wanted[LANE_NET_WANTED];
	_Atomic uint32_t nr_wanted_lost;
};

/* What a destination's route says. */
struct lane_net_hop {
	struct lane_ip next; /* the neighbour to resolve */
	struct lane_ip src;  /* the source address to use */
	uint32_t mtu;	     /* bytes of an IP packet */
};

/* ---- reading ---- */
/* 0 and *hop, -ENETUNREACH: no route or an unreachable one, -EADDRNOTAVAIL: no source address,
 * -EXDEV: the route leaves by another interface, is local to the host or leads to a group, or 'src' is of the other family.
 * 'src' (any: none) is a source already chosen. */
int lane_net_route(const struct lane_nettab *t, const struct lane_ip *dst, const struct lane_ip *src,
		   struct lane_net_hop *hop);
/* 0 and *mac; -EAGAIN: not known yet, a request was left; -EHOSTUNREACH: resolution failed. */
int lane_net_neigh(struct lane_nettab *t, const struct lane_ip *ip, struct lane_mac *mac);
/* The entry of the address table that 'ip' belongs to, or -1: not ours. */
int lane_net_addr(const struct lane_nettab *t, const struct lane_ip *ip);
/* The mask of a claim on 'ip' (any: all entries of the family; :: includes IPv4 unless v6only). */
uint32_t lane_net_addr_mask(const struct lane_nettab *t, const struct lane_ip *ip, bool v6only);
/* True for a broadcast address of one of our subnets, 255.255.255.255 or a multicast address. */
bool lane_net_is_group(const struct lane_nettab *t, const struct lane_ip *ip);

/* ---- writing (one writer) ---- */
void lane_net_init(struct lane_nettab *t);
/* Between these two readers retry; everything but neighbours is written in one go. */
void lane_net_write_begin(struct lane_nettab *t);
void lane_net_write_end(struct lane_nettab *t, bool routes_changed);
/* Inside begin/end: these are the addresses. One that was there keeps its place, for claims name places. */
void lane_net_set_addrs(struct lane_nettab *t, const struct lane_net_addr *addr, uint32_t n);
/* Inside begin/end: adds a route in order. -ENOSPC when full. */
int lane_net_route_add(struct lane_nettab *t, const struct lane_net_route *r);
/* Inside begin/end: sets, or with mac NULL removes, a neighbour. -ENOSPC when full. */
int lane_net_neigh_set(struct lane_nettab *t, const struct lane_ip *ip, const struct lane_mac *mac,
		       bool failed);
/* Takes one request for resolution; false if there is none. */
bool lane_net_wanted_pop(struct lane_nettab *t, struct lane_ip *ip);

#endif
