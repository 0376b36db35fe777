/*
 * icmp.c - ICMP (RFC 792) and ICMPv6 (RFC 4443) errors: what they say about which flow
 *
 * The quote is the start of a packet of ours, perhaps cut behind 8 bytes of its L4 header and with
 * fields that routers changed (TTL, checksum, TOS), so it is read by its own lenient code. We never
 * send IPv6 extension headers, nor fragments from here: quotes of such are not ours.
 */
#include "stack/wire/icmp.h"

#include "stack/base/csum.h"
#include "stack/wire/ip.h"

#define ICMP_HLEN 8U
#define QUOTED_L4 8U /* RFC 792: at least that much of the L4 header */

/* RFC 1122 3.2.2.1 and 4.2.3.9, RFC 1812 5.2.7.1: which codes are soft. */
static enum lane_icmp_kind kind4(uint8_t type, uint8_t code)
{
	/* Destination unreachable, by code. */
	static const uint8_t unreach[] = {
		[0] = LANE_ICMP_UNREACH_NET,  [1] = LANE_ICMP_UNREACH_NET,
		[2] = LANE_ICMP_UNREACH_PORT, [3] = LANE_ICMP_UNREACH_PORT,
		[4] = LANE_ICMP_TOO_BIG,      [5] = LANE_ICMP_UNREACH_NET,
		[6] = LANE_ICMP_UNREACH_NET,  [7] = LANE_ICMP_UNREACH_NET,
		[8] = LANE_ICMP_UNREACH_NET,  [9] = LANE_ICMP_PROHIBITED,
		[10] = LANE_ICMP_PROHIBITED,  [11] = LANE_ICMP_UNREACH_NET,
		[12] = LANE_ICMP_UNREACH_NET, [13] = LANE_ICMP_PROHIBITED,
	};

	if (type == 3 && code < sizeof(unreach))
		return unreach[code];
	if (type == 11) /* time exceeded */
		return LANE_ICMP_UNREACH_NET;
	return LANE_ICMP_OTHER; /* source quench too: RFC 6633 */
}

/* RFC 4443 3. */
static enum lane_icmp_kind kind6(uint8_t type, uint8_t code)
{
	/* Destination unreachable, by code. */
	static const uint8_t unreach[] = {
		[0] = LANE_ICMP_UNREACH_NET,  [1] = LANE_ICMP_PROHIBITED,
		[2] = LANE_ICMP_UNREACH_NET,  [3] = LANE_ICMP_UNREACH_NET,
		[4] = LANE_ICMP_UNREACH_PORT, [5] = LANE_ICMP_PROHIBITED,
		[6] = LANE_ICMP_PROHIBITED,
	};

	if (type == 1 && code < sizeof(unreach))
		return unreach[code];
	if (type == 2)
		return LANE_ICMP_TOO_BIG;
	if (type == 3) /* time exceeded */
		return LANE_ICMP_UNREACH_NET;
	if (type == 4 && code == 1) /* unrecognised next header */
		return LANE_ICMP_UNREACH_PORT;
	return LANE_ICMP_OTHER;
}

/* Reads the IPv4 header of the quote; returns its length, 0: not usable. */
static uint32_t quote4(const uint8_t *p, uint32_t len, struct lane_icmp_info *out)
{
	struct lane_ip4_hdr h;
	uint32_t hlen;

	if (len < sizeof(h))
		return 0;
	memcpy(&h, p, sizeof(h));
	hlen = (h.ver_ihl & 15) * 4U;
	if (h.ver_ihl >> 4 != 4 || hlen < sizeof(h) || (lane_be16_get(h.frag) & 0x1fff))
		return 0;
	out->proto = h.proto;
	out->local.ip = lane_ip4(h.src.be);
	out->remote.ip = lane_ip4(h.dst.be);
	return hlen;
}

static uint32_t quote6(const uint8_t *p, uint32_t len, struct lane_icmp_info *out)
{
	struct lane_ip6_hdr h;

	if (len < sizeof(h))
		return 0;
	memcpy(&h, p, sizeof(h));
	if (lane_be32_get(h.ver_tc_flow) >> 28 != 6)
		return 0;
	out->proto = h.next;
	out->local.ip = lane_ip6(h.src);
	out->remote.ip = lane_ip6(h.dst);
	return sizeof(h);
}

/* Ports and, for TCP, the sequence number: they lie in the first 8 bytes. */
static enum lane_drop quote_l4(const uint8_t *p, uint32_t len, struct lane_icmp_info *out)
{
	struct lane_be16 port[2];
	struct lane_be32 seq;

	if (out->proto != LANE_PROTO_TCP && out->proto != LANE_PROTO_UDP)
		return LANE_DROP_ICMP_IGNORED;
	if (len < QUOTED_L4)
		return LANE_DROP_SHORT;
	memcpy(port, p, sizeof(port));
	memcpy(&seq, p + 4, sizeof(seq));
	out->local.port = lane_be16_get(port[0]);
	out->remote.port = lane_be16_get(port[1]);
	out->has_seq = out->proto == LANE_PROTO_TCP;
	out->seq = out->has_seq ? lane_be32_get(seq) : 0;
	return LANE_OK;
}

/* The figure of a TOO_BIG: RFC 1191 4 has 16 bits, RFC 4443 3.2 has 32. */
static uint32_t mtu_of(const uint8_t *p, bool is4)
{
	struct lane_be32 word;

	memcpy(&word, p + 4, sizeof(word));
	return is4 ? lane_be32_get(word) & 0xffff : lane_be32_get(word);
}

enum lane_drop lane_icmp_parse(const uint8_t *p, uint32_t len, const struct lane_ip *src,
			       const struct lane_ip *dst, struct lane_icmp_info *out)
{
	bool is4 = lane_ip_is4(src);
	uint64_t sum = is4 ? 0 : lane_csum_pseudo(src, dst, LANE_PROTO_ICMP6, len);
	uint32_t hlen;

	memset(out, 0, sizeof(*out));
	if (len < ICMP_HLEN)
		return LANE_DROP_SHORT;
	if (lane_csum_fold(lane_csum_add(sum, p, len)) != 0xffff)
		return LANE_DROP_ICMP_CSUM;
	out->type = p[0];
	out->code = p[1];
	out->kind = is4 ? kind4(p[0], p[1]) : kind6(p[0], p[1]);
	if (out->kind == LANE_ICMP_OTHER)
		return LANE_DROP_ICMP_IGNORED;
	if (out->kind == LANE_ICMP_TOO_BIG)
		out->mtu = mtu_of(p, is4);
	p += ICMP_HLEN;
	len -= ICMP_HLEN;
	hlen = is4 ? quote4(p, len, out) : quote6(p, len, out);
	/* RFC 5927 4: it goes to whoever sent what it quotes. */
	if (hlen == 0 || hlen > len || !lane_ip_equal(&out->local.ip, dst))
		return LANE_DROP_ICMP_INVALID;
	out->quote_off = (uint16_t)(ICMP_HLEN + hlen);
	return quote_l4(p + hlen, len - hlen, out);
}
