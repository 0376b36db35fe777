/*
 * eth.h - Ethernet II header, with one 802.1Q tag at most
 */
#ifndef LANE_WIRE_ETH_H
#define LANE_WIRE_ETH_H

#include <lane/types.h>

#include "wire.h"

#define LANE_ETH_HLEN 14
#define LANE_ETH_IP4 0x0800
#define LANE_ETH_ARP 0x0806
#define LANE_ETH_VLAN 0x8100
#define LANE_ETH_IP6 0x86dd

struct lane_eth_hdr {
	struct lane_mac dst, src;
	struct lane_be16 type;
} __attribute__((packed));

_Static_assert(sizeof(struct lane_eth_hdr) == LANE_ETH_HLEN, "Ethernet header");

#endif
