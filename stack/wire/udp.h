/*
 * udp.h - UDP header (RFC 768)
 */
#ifndef LANE_WIRE_UDP_H
#define LANE_WIRE_UDP_H

#include "wire.h"

struct lane_udp_hdr {
	struct lane_be16 sport, dport, len;
	uint16_t csum;
} __attribute__((packed));

_Static_assert(sizeof(struct lane_udp_hdr) == 8, "UDP header");

#endif
