/*
 * cut.c - cuts a packet into IP fragments of random sizes (see cut.h)
 *
 * Only what lanes send is cut: TCP and UDP behind plain headers. A checksum that a same-host peer
 * left open stays whole: who cuts such a packet would have to finish it first.
 */
#include "drivers/fault/cut.h"

#include "stack/base/csum.h"

#define ETH_HLEN 14
#define IP4_HLEN 20
#define IP6_HLEN 40
#define TCP      6
#define UDP      17
#define FRAG6    44

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

/* The packet's IP header and what it carries. */
struct whole {
	const uint8_t *pkt, *ip;
	uint32_t hlen, len; /* IP header, and behind it */
	bool is4;
};

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static bool can_cut(const uint8_t *pkt, uint32_t len, struct whole *wh)
{
	const uint8_t *ip = pkt + ETH_HLEN;
	uint32_t total;
	uint8_t proto;

	if (len < ETH_HLEN + IP6_HLEN)
		return false;
	*wh = (struct whole){.pkt = pkt, .ip = ip, .is4 = get16(pkt + 12) == 0x0800};
	wh->hlen = wh->is4 ? IP4_HLEN : IP6_HLEN;
	total = wh->is4 ? get16(ip + 2) : get16(ip + 4) + IP6_HLEN;
	if (wh->is4 ? ip[0] != 0x45 || (get16(ip + 6) & 0x3fff)
		    : get16(pkt + 12) != 0x86dd || ip[0] >> 4 != 6)
		return false;
	proto = wh->is4 ? ip[9] : ip[6];
	if (total > len - ETH_HLEN || total < wh->hlen + 32 || (proto != TCP && proto != UDP))
		return false;
	wh->len = total - wh->hlen;
	return true;
}

/* Writes the IP header of the fragment with 'n' bytes from 'off' on; returns its length. */
static uint32_t put_ip(const struct whole *wh, uint8_t *ip, uint32_t id, uint32_t off, uint32_t n)
{
	uint32_t more = off + n < wh->len;
	uint16_t sum;

	memcpy(ip, wh->ip, wh->hlen);
	if (wh->is4) {
		put16(ip + 2, IP4_HLEN + n);
		put16(ip + 4, id);
		put16(ip + 6, off / 8 | more << 13);
		put16(ip + 10, 0);
		sum = (uint16_t)~lane_csum_fold(lane_csum_add(0, ip, IP4_HLEN));
		memcpy(ip + 10, &sum, sizeof(sum));
		return IP4_HLEN;
	}
	put16(ip + 4, 8 + n);
	ip[6] = FRAG6;
	ip[IP6_HLEN] = wh->ip[6];
	ip[IP6_HLEN + 1] = 0;
	put16(ip + IP6_HLEN + 2, off | more);
	put16(ip + IP6_HLEN + 4, id >> 16);
	put16(ip + IP6_HLEN + 6, id);
	return IP6_HLEN + 8;
}

static struct lane_buf *fragment(struct lane_bufs *bs, struct lane_rng *rng, const struct whole *wh,
				 uint32_t id, uint32_t off, uint32_t n)
{
	uint8_t bytes[UINT16_MAX];
	uint32_t at = ETH_HLEN;
	uint32_t piece = lane_rng_below(rng, 4) ? bs->size : 100 + lane_rng_below(rng, 400);

	memcpy(bytes, wh->pkt, ETH_HLEN);
	at += put_ip(wh, bytes + at, id, off, n);
	memcpy(bytes + at, wh->ip + wh->hlen + off, n);
	return lane_buf_packet(bs, bytes, at + n, piece);
}

uint32_t lane_fault_cut(struct lane_bufs *bs, struct lane_rng *rng, uint32_t id, struct lane_buf *b,
			struct lane_buf *out[LANE_CUT_MAX])
{
	uint8_t pkt[UINT16_MAX / 2];
	struct whole wh;
	uint32_t nr = 0, done = 0, most;

	out[0] = b;
	if ((b->flags & LANE_BUF_PARTIAL_OK) || !flatten(bs, b, pkt, sizeof(pkt)) ||
	    !can_cut(pkt, b->pkt_len, &wh))
		return 1;
	most = wh.len / 8 < 8U << lane_rng_below(rng, 6) ? wh.len / 8 : 64;
	while (done < wh.len) {
		/* From 24 bytes on: a TCP header without its options. */
		uint32_t n = 8 * (3 + lane_rng_below(rng, most));

		if (n >= wh.len - done || nr == LANE_CUT_MAX - 1)
			n = wh.len - done;
		/* One piece would be no fragment. */
		if (n == wh.len)
			return 1;
		out[nr] = fragment(bs, rng, &wh, id, done, n);
		if (!out[nr])
			break;
		out[nr++]->queue = b->queue;
		done += n;
	}
	lane_buf_free_packet(bs, b);
	if (done == wh.len)
		return nr;
	while (nr)
		lane_buf_free_packet(bs, out[--nr]);
	return 0;
}
