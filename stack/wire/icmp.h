/*
 * icmp.h - ICMP (RFC 792) and ICMPv6 (RFC 4443) errors: what they say about which flow
 */
#ifndef LANE_WIRE_ICMP_H
#define LANE_WIRE_ICMP_H

#include <lane/stats.h>
#include <lane/types.h>

#include "wire.h"

#define LANE_ICMP4_UNREACH 3 /* type: destination unreachable */
#define LANE_ICMP6_UNREACH 1

enum lane_icmp_kind {
	LANE_ICMP_OTHER,	/* no error about a flow */
	LANE_ICMP_TOO_BIG,	/* fragmentation needed, packet too big: 'mtu' is set (0: unknown) */
	LANE_ICMP_ERROR,	/* 'err' says what */
};

struct lane_icmp_info {
	enum lane_icmp_kind kind;
	uint8_t type, code;
	uint8_t err; /* errno, as Linux has it */
	bool hard;   /* it will not get better */
	uint32_t mtu;
	/* from the quoted packet, as we sent it: */
	uint8_t proto;
	struct lane_ep local, remote;
	uint32_t seq; /* TCP: sequence number of the quoted segment */
	bool has_seq;
	uint16_t quote_off; /* of the quoted L4 header, from the ICMP header */
};

/* Sets kind, err and hard by type and code. */
void lane_icmp_classify(bool is4, struct lane_icmp_info *info);
/* 'p': the ICMP header, 'len' bytes in one frame; 'src', 'dst' of its IP header (for the v6 checksum). */
enum lane_drop lane_icmp_parse(const uint8_t *p, uint32_t len, const struct lane_ip *src,
			       const struct lane_ip *dst, struct lane_icmp_info *out);

#endif
