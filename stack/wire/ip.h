/*
 * ip.h - IPv4 (RFC 791) and IPv6 (RFC 8200) headers: parse and emit
 *
 * parse() reads untrusted bytes: it checks lengths, versions and the IPv4 header checksum, walks
 * IPv4 options and IPv6 extension headers, and says what it found in one struct for both families.
 */
#ifndef LANE_WIRE_IP_H
#define LANE_WIRE_IP_H

#include <lane/stats.h>
#include <lane/types.h>

#include "wire.h"

#define LANE_PROTO_ICMP 1
#define LANE_PROTO_TCP 6
#define LANE_PROTO_UDP 17
#define LANE_PROTO_ICMP6 58

struct lane_ip4_hdr {
	uint8_t ver_ihl, tos;
	struct lane_be16 len, id, frag;
	uint8_t ttl, proto;
	uint16_t csum;
	struct lane_be32 src, dst;
} __attribute__((packed));

struct lane_ip6_hdr {
	struct lane_be32 ver_tc_flow;
	struct lane_be16 len;
	uint8_t next, hops;
	uint8_t src[16], dst[16];
} __attribute__((packed));

struct lane_ip6_frag_hdr {
	uint8_t next, reserved;
	struct lane_be16 off; /* in units of 8 bytes, in the upper 13 bits; bit 0: more follow */
	struct lane_be32 id;
} __attribute__((packed));

_Static_assert(sizeof(struct lane_ip6_frag_hdr) == 8, "IPv6 fragment header");
_Static_assert(sizeof(struct lane_ip4_hdr) == 20, "IPv4 header");
_Static_assert(sizeof(struct lane_ip6_hdr) == 40, "IPv6 header");

/* What an IP header says. */
struct lane_ip_info {
	struct lane_ip src, dst;
	uint16_t hlen;	  /* bytes before the L4 header: with options and extension headers */
	uint32_t l4_len;  /* bytes from the L4 header on, by the IP length (trailing bytes excluded) */
	uint8_t proto;	  /* of the L4 header */
	uint8_t tos;	  /* TOS or traffic class, with the ECN bits */
	uint8_t ttl;	  /* TTL or hop limit */
	bool is_frag;	  /* a fragment: more fragments follow, or the offset is not 0 */
	bool more_frags;
	uint16_t frag_off; /* bytes */
	uint32_t frag_id;
};

/*
 * Parses an IP packet of either family. 'len': bytes at 'p'; 'total': bytes of the whole packet, as
 * it may be a chain of which only the first frame is at 'p' (headers must lie in it). LANE_OK or a
 * reason. An IPv6 payload length of 0 (jumbo, or a kernel's GSO frame) is taken as 'total'.
 */
enum lane_drop lane_ip_parse(const uint8_t *p, uint32_t len, uint32_t total, struct lane_ip_info *out);

/* Writes a header without options at 'p' (20 or 40 bytes, by the family of info->src) and returns
 * its length. Uses src, dst, proto, tos, ttl, l4_len; IPv4: DF set, 'id' as given, checksum filled.
 * With is_frag that of a fragment, by more_frags, frag_off and frag_id: no DF; IPv6: 48 bytes, with
 * a fragment header. */
uint16_t lane_ip_emit(uint8_t *p, const struct lane_ip_info *info, uint16_t id);

#endif
