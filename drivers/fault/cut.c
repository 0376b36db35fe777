/*
 * cut.c - cuts a packet into IP fragments of random sizes (see cut.h)
 *
 * Only what lanes send is cut: TCP and UDP behind plain headers. A checksum that a same-host peer
 * left open stays whole: who cuts such a packet would have to finish it first.
 */
#include "drivers/fault/cut.h"

#include "stack/wire/eth.h"
#include "stack/wire/ip.h"

/* The bytes of the whole packet; false: it is longer than 'size'. */
static bool flatten(const struct lane_bufs *bs, const struct lane_buf *b, uint8_t *out,
		    uint32_t size)
{
	uint32_t at = 0;

	for (;;) {
		if (b->len > size - at)
			return false;
		memcpy(out + at, lane_buf_data(bs, b), b->len);
		at += b->len;
		if (!(b->flags & LANE_BUF_MORE))
			return true;
		b = lane_buf_at(bs, b->next);
	}
}

/* Returns owned frames of 'piece' bytes with 'bytes' in them, NULL: no frames. */
static struct lane_buf *make(struct lane_bufs *bs, const uint8_t *bytes, uint32_t len,
			     uint32_t piece)
{
	struct lane_buf *first = NULL, *last = NULL;

	for (uint32_t done = 0; done < len;) {
		struct lane_buf *b = lane_buf_alloc(bs);
		uint32_t n = len - done < piece ? len - done : piece;

		if (!b) {
			if (first)
				lane_buf_free_packet(bs, first);
			return NULL;
		}
		b->off = 0;
		b->len = (uint16_t)n;
		memcpy(lane_buf_data(bs, b), bytes + done, n);
		done += n;
		if (last) {
			last->flags |= LANE_BUF_MORE;
			last->next = lane_buf_index(bs, b);
		} else {
			first = b;
		}
		last = b;
	}
	first->pkt_len = len;
	return first;
}

static bool can_cut(const struct lane_buf *b, const uint8_t *pkt, struct lane_ip_info *info)
{
	uint32_t len = b->pkt_len - LANE_ETH_HLEN;
	struct lane_eth_hdr eth;

	memcpy(&eth, pkt, sizeof(eth));
	if (lane_be16_get(eth.type) != LANE_ETH_IP4 && lane_be16_get(eth.type) != LANE_ETH_IP6)
		return false;
	if (lane_ip_parse(pkt + LANE_ETH_HLEN, len, len, info) || info->is_frag)
		return false;
	if (info->hlen != (lane_ip_is4(&info->src) ? 20 : 40) || info->l4_len < 32)
		return false;
	return info->proto == LANE_PROTO_TCP || info->proto == LANE_PROTO_UDP;
}

/* The fragment with 'n' bytes from info->frag_off on of the packet 'pkt'. */
static struct lane_buf *fragment(struct lane_bufs *bs, struct lane_rng *rng, const uint8_t *pkt,
				 const struct lane_ip_info *info, uint16_t hlen)
{
	uint8_t bytes[UINT16_MAX];
	uint32_t at = LANE_ETH_HLEN;
	uint32_t piece = lane_rng_below(rng, 4) ? bs->size : 100 + lane_rng_below(rng, 400);

	memcpy(bytes, pkt, LANE_ETH_HLEN);
	at += lane_ip_emit(bytes + at, info, 0);
	memcpy(bytes + at, pkt + LANE_ETH_HLEN + hlen + info->frag_off, info->l4_len);
	return make(bs, bytes, at + info->l4_len, piece);
}

uint32_t lane_fault_cut(struct lane_bufs *bs, struct lane_rng *rng, uint32_t id, struct lane_buf *b,
			struct lane_buf *out[LANE_CUT_MAX])
{
	uint8_t pkt[UINT16_MAX / 2];
	struct lane_ip_info info = {0};
	uint32_t nr = 0, done = 0, total, most;

	out[0] = b;
	if ((b->flags & LANE_BUF_PARTIAL_OK) || b->pkt_len < LANE_ETH_HLEN ||
	    !flatten(bs, b, pkt, sizeof(pkt)) || !can_cut(b, pkt, &info))
		return 1;
	total = info.l4_len;
	most = total / 8 < 8U << lane_rng_below(rng, 6) ? total / 8 : 64;
	info.frag_id = id;
	info.is_frag = true;
	while (done < total) {
		/* From 24 bytes on: a TCP header without its options. */
		uint32_t n = 8 * (3 + lane_rng_below(rng, most));

		if (n >= total - done || nr == LANE_CUT_MAX - 1)
			n = total - done;
		info.frag_off = (uint16_t)done;
		info.l4_len = n;
		info.more_frags = done + n < total;
		/* One piece would be no fragment. */
		if (nr == 0 && !info.more_frags)
			return 1;
		out[nr] = fragment(bs, rng, pkt, &info, info.hlen);
		if (!out[nr])
			break;
		out[nr++]->queue = b->queue;
		done += n;
	}
	lane_buf_free_packet(bs, b);
	if (done == total)
		return nr;
	while (nr)
		lane_buf_free_packet(bs, out[--nr]);
	return 0;
}
