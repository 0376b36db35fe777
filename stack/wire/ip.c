/*
 * ip.c - IPv4 (RFC 791) and IPv6 (RFC 8200) headers: parse and emit
 *
 * The bytes are hostile: nothing is read beyond 'len', and no loop goes on without moving forward.
 */
#include "stack/wire/ip.h"

#include <assert.h>

#include "stack/base/csum.h"

#define IP4_HLEN           20U
#define IP6_HLEN           40U
#define IP4_DF             0x4000
#define IP4_MF             0x2000
#define IP4_OFFSET         0x1fff
#define IP4_OPT_END        0
#define IP4_OPT_NOP        1
#define IP4_OPT_LSRR       131
#define IP4_OPT_SSRR       137
#define IP6_HOP_BY_HOP     0
#define IP6_ROUTING        43
#define IP6_FRAGMENT       44
#define IP6_DST_OPTS       60
#define IP6_MAX_EXTENSIONS 8 /* more are no honest packet */

/* RFC 791 3.1: well formed, and no source route (RFC 7126 4.3, 4.4). */
static bool options4_ok(const uint8_t *p, uint32_t len)
{
	while (len && *p != IP4_OPT_END) {
		uint32_t n = 1;

		if (*p != IP4_OPT_NOP) {
			if (len < 2 || p[1] < 2 || p[1] > len)
				return false;
			n = p[1];
		}
		if (*p == IP4_OPT_LSRR || *p == IP4_OPT_SSRR)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

/* Without options, as nearly all are. */
static uint64_t sum_plain(const uint8_t *p)
{
	uint64_t sum = 0;
	uint32_t v;

	for (unsigned int i = 0; i < IP4_HLEN; i += 4) {
		memcpy(&v, p + i, sizeof(v));
		sum += v;
	}
	return sum;
}

static enum lane_drop parse4(const uint8_t *p, uint32_t len, uint32_t total,
			     struct lane_ip_info *out)
{
	struct lane_ip4_hdr h;
	uint32_t hlen, ip_len;
	uint16_t frag;

	if (len < IP4_HLEN)
		return LANE_DROP_SHORT;
	memcpy(&h, p, sizeof(h));
	hlen = (h.ver_ihl & 15) * 4U;
	ip_len = lane_be16_get(h.len);
	if (hlen < IP4_HLEN || hlen > len)
		return LANE_DROP_IP_HLEN;
	if (ip_len < hlen || ip_len > total)
		return LANE_DROP_IP_LEN;
	if (lane_csum_fold(hlen == IP4_HLEN ? sum_plain(p) : lane_csum_add(0, p, hlen)) != 0xffff)
		return LANE_DROP_IP_CSUM;
	if (!options4_ok(p + IP4_HLEN, hlen - IP4_HLEN))
		return LANE_DROP_IP_OPTIONS;
	frag = lane_be16_get(h.frag);
	*out = (struct lane_ip_info){
		.src = lane_ip4(h.src.be),
		.dst = lane_ip4(h.dst.be),
		.hlen = (uint16_t)hlen,
		.l4_len = ip_len - hlen,
		.proto = h.proto,
		.tos = h.tos,
		.ttl = h.ttl,
		.is_frag = (frag & (IP4_MF | IP4_OFFSET)) != 0,
		.more_frags = (frag & IP4_MF) != 0,
		.frag_off = (uint16_t)((frag & IP4_OFFSET) * 8),
		.frag_id = lane_be16_get(h.id),
	};
	/* RFC 791: a datagram has 65535 bytes at most. */
	if (out->frag_off + ip_len > UINT16_MAX)
		return LANE_DROP_IP_FRAGMENT;
	return LANE_OK;
}

/* RFC 8200 4.2: options that we do not know, which are all but padding, say whether to skip them.
 */
static bool options6_ok(const uint8_t *p, uint32_t len)
{
	while (len) {
		uint32_t n = 1;

		if (*p != 0) { /* Pad1 */
			if (len < 2 || p[1] + 2U > len)
				return false;
			n = p[1] + 2U;
		}
		if (*p & 0xc0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

/* The fragment header at 'p' (RFC 8200 4.5). An atomic fragment is none (RFC 6946). */
static void parse_fragment6(const uint8_t *p, struct lane_ip_info *out)
{
	uint16_t off_flags = (uint16_t)(p[2] << 8 | p[3]);
	struct lane_be32 id;

	memcpy(&id, p + 4, sizeof(id));
	out->frag_id = lane_be32_get(id);
	out->frag_off = off_flags & 0xfff8;
	out->more_frags = off_flags & 1;
	out->is_frag = out->more_frags || out->frag_off;
}

/*
 * Walks the extension headers from out->hlen on, of which 'avail' bytes from 'p' may be read; stops
 * at the L4 header or behind a fragment header. RFC 8200 4.1: hop-by-hop options only come first.
 */
static enum lane_drop walk6(const uint8_t *p, uint32_t avail, struct lane_ip_info *out)
{
	uint32_t at = IP6_HLEN;

	for (int i = 0; i <= IP6_MAX_EXTENSIONS; i++) {
		uint8_t type = out->proto;
		uint32_t n;

		if (type != IP6_HOP_BY_HOP && type != IP6_ROUTING && type != IP6_DST_OPTS &&
		    type != IP6_FRAGMENT) {
			out->hlen = (uint16_t)at;
			return LANE_OK;
		}
		if (avail - at < 8)
			return LANE_DROP_IP_OPTIONS;
		n = type == IP6_FRAGMENT ? 8 : p[at + 1] * 8U + 8;
		if (n > avail - at || (type == IP6_HOP_BY_HOP && i != 0))
			return LANE_DROP_IP_OPTIONS;
		/* RFC 8200 4.4: segments left; RFC 5095 for type 0. We are nobody's waypoint. */
		if (type == IP6_ROUTING && p[at + 3] != 0)
			return LANE_DROP_IP_OPTIONS;
		if ((type == IP6_HOP_BY_HOP || type == IP6_DST_OPTS) &&
		    !options6_ok(p + at + 2, n - 2))
			return LANE_DROP_IP_OPTIONS;
		if (type == IP6_FRAGMENT)
			parse_fragment6(p + at, out);
		out->proto = p[at];
		at += n;
		if (out->is_frag) {
			out->hlen = (uint16_t)at;
			return LANE_OK;
		}
	}
	return LANE_DROP_IP_OPTIONS;
}

static enum lane_drop parse6(const uint8_t *p, uint32_t len, uint32_t total,
			     struct lane_ip_info *out)
{
	struct lane_ip6_hdr h;
	uint32_t ip_len;
	enum lane_drop why;

	if (len < IP6_HLEN)
		return LANE_DROP_SHORT;
	memcpy(&h, p, sizeof(h));
	ip_len = lane_be16_get(h.len) + IP6_HLEN;
	/* A local sender may hand over more than the field holds. */
	if (ip_len == IP6_HLEN && total > UINT16_MAX + IP6_HLEN)
		ip_len = total;
	if (ip_len > total)
		return LANE_DROP_IP_LEN;
	*out = (struct lane_ip_info){
		.src = lane_ip6(h.src),
		.dst = lane_ip6(h.dst),
		.proto = h.next,
		.tos = (uint8_t)(lane_be32_get(h.ver_tc_flow) >> 20),
		.ttl = h.hops,
	};
	/* RFC 4291 2.5.5.2: mapped addresses stand for IPv4 inside; on the wire they are forgeries.
	 */
	if (lane_ip_is4(&out->src))
		return LANE_DROP_IP_SRC;
	if (lane_ip_is4(&out->dst))
		return LANE_DROP_IP_DST;
	why = walk6(p, ip_len < len ? ip_len : len, out);
	if (why)
		return why;
	out->l4_len = ip_len - out->hlen;
	if (out->is_frag && out->frag_off + out->l4_len > UINT16_MAX)
		return LANE_DROP_IP_FRAGMENT;
	return LANE_OK;
}

enum lane_drop lane_ip_parse(const uint8_t *p, uint32_t len, uint32_t total,
			     struct lane_ip_info *out)
{
	if (len > total)
		len = total;
	if (len == 0)
		return LANE_DROP_SHORT;
	switch (p[0] >> 4) {
	case 4:
		return parse4(p, len, total, out);
	case 6:
		return parse6(p, len, total, out);
	default:
		return LANE_DROP_IP_VERSION;
	}
}

/* The field with offset and flags (RFC 791 3.1). */
static uint16_t frag4(const struct lane_ip_info *info)
{
	if (!info->is_frag)
		return IP4_DF;
	return (uint16_t)(info->frag_off / 8 | (info->more_frags ? IP4_MF : 0));
}

static void put32(uint8_t *p, uint32_t be)
{
	memcpy(p, &be, sizeof(be));
}

static uint16_t emit4(uint8_t *p, const struct lane_ip_info *info, uint16_t id)
{
	uint32_t src = info->src.w[3], dst = info->dst.w[3], word[3];
	uint16_t name = info->is_frag ? (uint16_t)info->frag_id : id, csum;

	assert(info->l4_len <= UINT16_MAX - IP4_HLEN);
	/* The fields of three words, then two addresses: by words, from which the checksum is made, too. */
	word[0] = 0x45U << 24 | (uint32_t)info->tos << 16 | (IP4_HLEN + info->l4_len);
	word[1] = (uint32_t)name << 16 | frag4(info);
	word[2] = (uint32_t)info->ttl << 24 | (uint32_t)info->proto << 16;
	csum = (uint16_t)~lane_csum_fold((uint64_t)lane_be32_of(word[0]).be + lane_be32_of(word[1]).be +
					 lane_be32_of(word[2]).be + src + dst);
	word[2] |= __builtin_bswap16(csum);
	for (unsigned int i = 0; i < 3; i++)
		put32(p + 4 * i, lane_be32_of(word[i]).be);
	put32(p + offsetof(struct lane_ip4_hdr, src), src);
	put32(p + offsetof(struct lane_ip4_hdr, dst), dst);
	return sizeof(struct lane_ip4_hdr);
}

static uint16_t emit6(uint8_t *p, const struct lane_ip_info *info)
{
	struct lane_ip6_frag_hdr frag = {
		.next = info->proto,
		.off = lane_be16_of(
			(uint16_t)((info->frag_off & 0xfff8) | (info->more_frags ? 1 : 0))),
		.id = lane_be32_of(info->frag_id),
	};
	uint32_t ext = info->is_frag ? sizeof(frag) : 0;
	struct lane_ip6_hdr h = {
		.ver_tc_flow = lane_be32_of(6U << 28 | (uint32_t)info->tos << 20),
		.len = lane_be16_of((uint16_t)(ext + info->l4_len)),
		.next = info->is_frag ? IP6_FRAGMENT : info->proto,
		.hops = info->ttl,
	};

	assert(ext + info->l4_len <= UINT16_MAX);
	memcpy(h.src, info->src.b, sizeof(h.src));
	memcpy(h.dst, info->dst.b, sizeof(h.dst));
	memcpy(p, &h, sizeof(h));
	memcpy(p + sizeof(h), &frag, ext);
	return (uint16_t)(sizeof(h) + ext);
}

uint16_t lane_ip_emit(uint8_t *p, const struct lane_ip_info *info, uint16_t id)
{
	return lane_ip_is4(&info->src) ? emit4(p, info, id) : emit6(p, info);
}
