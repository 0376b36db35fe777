/*
 * icmp.c - ICMP (RFC 792) and ICMPv6 (RFC 4443) errors: what they say about which flow
 *
 * The quote is the start of a packet of ours, perhaps cut behind 8 bytes of its L4 header and with
 * fields that routers changed (TTL, checksum, TOS), so it is read by its own lenient code. We never
 * send IPv6 extension headers, nor fragments from here: quotes of such are not ours.
 */
#include "stack/wire/icmp.h"

#include <errno.h>

#include "stack/base/csum.h"
#include "stack/wire/ip.h"

#define TYPE4_TIME_EXCEEDED 11
#define TYPE4_PARAMETER	    12
#define CODE4_REASSEMBLY    1 /* of TYPE4_TIME_EXCEEDED */

#define TYPE6_TOO_BIG	    2
#define TYPE6_TIME_EXCEEDED 3
#define TYPE6_PARAMETER	    4
#define TYPE6_INFORMATION   0x80

#define ICMP_HLEN 8U
#define QUOTED_L4 8U /* RFC 792: at least that much of the L4 header */

struct meaning {
	uint8_t err; /* 0: no error about a flow */
	bool hard;
};

/* RFC 792, RFC 1812 5.2.7.1; Linux' icmp_err_convert. Source quench is none: RFC 6633. */
static struct meaning meaning4(uint8_t type, uint8_t code)
{
	static const struct meaning unreach[] = {
		[0] = {ENETUNREACH, false},  [1] = {EHOSTUNREACH, false}, [2] = {ENOPROTOOPT, true},
		[3] = {ECONNREFUSED, true},  [4] = {EMSGSIZE, true},	  [5] = {EOPNOTSUPP, false},
		[6] = {ENETUNREACH, true},   [7] = {EHOSTDOWN, true},	  [8] = {ENONET, true},
		[9] = {ENETUNREACH, true},   [10] = {EHOSTUNREACH, true}, [11] = {ENETUNREACH, false},
		[12] = {EHOSTUNREACH, false}, [13] = {EHOSTUNREACH, true}, [14] = {EHOSTUNREACH, true},
		[15] = {EHOSTUNREACH, true},
	};

	if (type == LANE_ICMP4_UNREACH && code < sizeof(unreach) / sizeof(unreach[0]))
		return unreach[code];
	/* As Linux: reassembly that took too long is nobody's error. */
	if (type == TYPE4_TIME_EXCEEDED && code != CODE4_REASSEMBLY)
		return (struct meaning){EHOSTUNREACH, false};
	return type == TYPE4_PARAMETER ? (struct meaning){EPROTO, true} : (struct meaning){0};
}

/* RFC 4443 3; Linux' icmpv6_err_convert(). 2.1: an error of an unknown type is one, too. */
static struct meaning meaning6(uint8_t type, uint8_t code)
{
	static const struct meaning unreach[] = {
		[0] = {ENETUNREACH, false}, [1] = {EACCES, true},	[2] = {EHOSTUNREACH, false},
		[3] = {EHOSTUNREACH, false}, [4] = {ECONNREFUSED, true}, [5] = {EACCES, true},
		[6] = {EACCES, true},
	};

	if (type & TYPE6_INFORMATION)
		return (struct meaning){0};
	if (type == LANE_ICMP6_UNREACH && code < sizeof(unreach) / sizeof(unreach[0]))
		return unreach[code];
	if (type == TYPE6_TOO_BIG)
		return (struct meaning){EMSGSIZE, true};
	if (type == TYPE6_TIME_EXCEEDED)
		return (struct meaning){EHOSTUNREACH, false};
	return (struct meaning){EPROTO, type == LANE_ICMP6_UNREACH || type == TYPE6_PARAMETER};
}

void lane_icmp_classify(bool is4, struct lane_icmp_info *info)
{
	struct meaning m = is4 ? meaning4(info->type, info->code) : meaning6(info->type, info->code);

	info->err = m.err;
	info->hard = m.hard;
	info->kind = m.err == 0 ? LANE_ICMP_OTHER : m.err == EMSGSIZE ? LANE_ICMP_TOO_BIG : LANE_ICMP_ERROR;
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
	lane_icmp_classify(is4, out);
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
