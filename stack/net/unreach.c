/*
 * unreach.c - port unreachable, for a datagram that no socket takes (RFC 1122 4.1.3.1, RFC 4443 3.1)
 *
 * Where a kernel or a control plane stands beside the lane, it answers for the ports that are not claimed. What
 * comes to a claimed port and is for none of its sockets (they are connected to others) is for us to refuse.
 *
 * Limits, as Linux: six at once to one destination, and what time allows beyond that: one a second, over IPv6 four, as
 * for a route to a /64. Destinations share LANE_NR_UNREACH entries by a hash; in all there are no more than 1,000 a second.
 */
#include "lane-int/engine.h"
#include "stack/base/csum.h"
#include "stack/wire/icmp.h"

#define BURST	    6
#define EVERY4_MS   1000
#define EVERY6_MS   250
#define ALL_PER_S   1000
#define MOST4	    576 /* bytes of the whole, RFC 1812 4.3.2.3 */
#define MOST6	    1280
#define TOS_CONTROL 0xc0 /* RFC 1812 4.3.2.5: internetwork control */
#define TOS_KEPT    0x1e

struct icmp_hdr {
	uint8_t type, code;
	uint16_t csum; /* as it lies in memory */
	struct lane_be32 unused;
};

static bool may_all(struct lane_state *st, uint64_t now_us)
{
	if (now_us - st->unreach_us >= 1000000) {
		st->unreach_us = now_us;
		st->nr_unreach = 0;
	}
	return st->nr_unreach < ALL_PER_S;
}

static bool may_send(struct lane *ln, const struct lane_ip *dst)
{
	struct lane_state *st = ln->st;
	uint32_t every = lane_ip_is4(dst) ? EVERY4_MS : EVERY6_MS, now = ln->now_ms;
	uint32_t key = dst->w[0] ^ dst->w[1] * 3 ^ dst->w[2] * 5 ^ dst->w[3] * 0x9e3779b1U;
	struct lane_unreach *u = &st->unreach[(key >> 24 ^ key >> 16 ^ key >> 8 ^ key) & (LANE_NR_UNREACH - 1)];

	if (!may_all(st, ln->now_us))
		return false;
	if (u->key != key || now - u->spent_ms > BURST * every) {
		u->key = key;
		u->spent_ms = now - BURST * every;
	}
	if (now - u->spent_ms < every)
		return false;
	u->spent_ms += every;
	st->nr_unreach++;
	return true;
}

/* The packet from its IP header on, at most 'max' bytes. Returns how many. */
static uint32_t quote(const struct lane *ln, const struct lane_buf *b, uint8_t *out, uint32_t max)
{
	uint32_t skip = b->l3_off - b->off, done = 0;

	while (b && done < max) {
		uint32_t n = b->len - skip < max - done ? b->len - skip : max - done;

		memcpy(out + done, lane_buf_data(&ln->bufs, b) + skip, n);
		done += n;
		skip = 0;
		b = b->flags & LANE_BUF_MORE ? lane_buf_at(&ln->bufs, b->next) : NULL;
	}
	return done;
}

/* Returns owned the message, 'most' bytes with what it quotes, or NULL. */
static struct lane_buf *build(struct lane *ln, const struct lane_pkt *pkt, bool is4, uint32_t most)
{
	struct lane_buf *b = lane_buf_alloc(&ln->bufs);
	struct icmp_hdr h = {.type = is4 ? LANE_ICMP4_UNREACH : LANE_ICMP6_UNREACH, .code = is4 ? 3 : 4};
	uint32_t len = sizeof(h);

	if (!b)
		return NULL;
	len += quote(ln, pkt->b, lane_buf_data(&ln->bufs, b) + sizeof(h), most - len);
	if (!is4)
		h.csum = lane_csum_fold(lane_csum_pseudo(&pkt->ip.dst, &pkt->ip.src, LANE_PROTO_ICMP6, len));
	memcpy(lane_buf_data(&ln->bufs, b), &h, sizeof(h));
	b->len = (uint16_t)len;
	b->pkt_len = len;
	return b;
}

void lane_unreach(struct lane *ln, const struct lane_pkt *pkt)
{
	bool is4 = lane_ip_is4(&pkt->ip.src);
	struct lane_path path = {
		.mac = pkt->mac, .have_mac = 1, .from_peer = 1, .queue = pkt->b->queue, .ifi = pkt->ifi};
	uint32_t most = is4 ? MOST4 : MOST6, hlen = is4 ? sizeof(struct lane_ip4_hdr) : sizeof(struct lane_ip6_hdr);
	struct lane_ip src = pkt->ip.dst;
	struct lane_buf *b;

	if (!may_send(ln, &pkt->ip.src)) {
		ln->st->stats.unreach_withheld++;
		return;
	}
	if (lane_path_update(ln, &path, &src, &pkt->ip.src) < 0)
		return;
	if (path.mtu && path.mtu < most)
		most = path.mtu;
	/* It names the flow, or says nothing. */
	if (most < 2 * hlen + 2 * sizeof(struct icmp_hdr))
		return;
	b = build(ln, pkt, is4, most - hlen);
	if (!b)
		return;
	ln->st->stats.unreach_out++;
	b->flags |= LANE_BUF_NO_DF;
	lane_ip_out(ln, b, &path, &src, &pkt->ip.src, is4 ? LANE_PROTO_ICMP : LANE_PROTO_ICMP6,
		    is4 ? (pkt->ip.tos & TOS_KEPT) | TOS_CONTROL : 0, 0, offsetof(struct icmp_hdr, csum));
}
