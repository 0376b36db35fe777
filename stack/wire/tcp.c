/*
 * tcp.c - TCP header (RFC 9293 3.1) and options (RFC 9293 3.2, 7323, 2018): parse and emit
 */
#include "stack/wire/tcp.h"

#define OPT_END     0
#define OPT_NOP     1
#define OPT_MSS     2
#define OPT_WSCALE  3
#define OPT_SACK_OK 4
#define OPT_SACK    5
#define OPT_TS      8
#define WSCALE_MAX  14 /* RFC 7323 2.3 */
#define OPTS_MAX    40U
#define SACK_MAX    4U

static uint32_t get32(const uint8_t *p)
{
	struct lane_be32 v;

	memcpy(&v, p, sizeof(v));
	return lane_be32_get(v);
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	struct lane_be32 be = lane_be32_of(v);

	memcpy(p, &be, sizeof(be));
	return p + sizeof(be);
}

static void parse_sack(const uint8_t *p, uint32_t len, struct lane_tcp_opts *o)
{
	uint32_t nr = (len - 2) / 8;

	if ((len - 2) % 8 != 0 || nr == 0 || nr > SACK_MAX)
		return;
	p += 2;
	for (uint32_t i = 0; i < nr; i++, p += 8) {
		o->sack[i].start = get32(p);
		o->sack[i].end = get32(p + 4);
	}
	o->nr_sack = (uint8_t)nr;
	o->have |= LANE_OPT_SACK;
}

/* One option, 'len' bytes with kind and length. A wrong length makes it unknown: it is skipped. */
static void parse_option(const uint8_t *p, uint32_t len, bool syn, struct lane_tcp_opts *o)
{
	switch (p[0]) {
	case OPT_MSS:
		if (len != 4 || !syn || (p[2] == 0 && p[3] == 0))
			return;
		o->mss = (uint16_t)(p[2] << 8 | p[3]);
		o->have |= LANE_OPT_MSS;
		return;
	case OPT_WSCALE:
		if (len != 3 || !syn)
			return;
		o->wscale = p[2] > WSCALE_MAX ? WSCALE_MAX : p[2];
		o->have |= LANE_OPT_WSCALE;
		return;
	case OPT_SACK_OK:
		if (len == 2 && syn)
			o->have |= LANE_OPT_SACK_OK;
		return;
	case OPT_SACK:
		if (!syn)
			parse_sack(p, len, o);
		return;
	case OPT_TS:
		if (len != 10)
			return;
		o->tsval = get32(p + 2);
		o->tsecr = get32(p + 6);
		o->have |= LANE_OPT_TS;
		return;
	default:
		return;
	}
}

static void parse_options(const uint8_t *p, uint32_t len, bool syn, struct lane_tcp_opts *o)
{
	/* RFC 7323 A: what nearly every segment of an established connection has. */
	if (len == 12 && get32(p) == (OPT_NOP << 24 | OPT_NOP << 16 | OPT_TS << 8 | 10)) {
		parse_option(p + 2, 10, syn, o);
		return;
	}
	while (len && *p != OPT_END) {
		uint32_t n = 1;

		if (*p != OPT_NOP) {
			if (len < 2 || p[1] < 2 || p[1] > len)
				return;
			n = p[1];
			parse_option(p, n, syn, o);
		}
		p += n;
		len -= n;
	}
}

enum lane_drop lane_tcp_parse(const uint8_t *p, uint32_t avail, uint32_t l4_len,
			      struct lane_tcp_info *out)
{
	struct lane_tcp_hdr h;
	uint32_t hlen;

	if (avail > l4_len)
		avail = l4_len;
	if (avail < sizeof(h))
		return LANE_DROP_TCP_HLEN;
	memcpy(&h, p, sizeof(h));
	hlen = (h.off >> 4) * 4U;
	if (hlen < sizeof(h) || hlen > avail)
		return LANE_DROP_TCP_HLEN;
	out->sport = lane_be16_get(h.sport);
	out->dport = lane_be16_get(h.dport);
	out->seq = lane_be32_get(h.seq);
	out->ack = lane_be32_get(h.ack);
	out->wnd = lane_be16_get(h.wnd);
	out->urg = lane_be16_get(h.urg);
	out->flags = h.flags;
	out->hlen = (uint8_t)hlen;
	out->csum = 0;
	out->len = l4_len - hlen;
	out->opts = (struct lane_tcp_opts){.have = 0};
	parse_options(p + sizeof(h), hlen - (uint32_t)sizeof(h), h.flags & LANE_WIRE_SYN,
		      &out->opts);
	return LANE_OK;
}

/* Bytes of all options but SACK blocks, as emit_options() lays them out. */
static uint32_t fixed_len(const struct lane_tcp_opts *o)
{
	uint32_t len = 0;

	if (o->have & LANE_OPT_MSS)
		len += 4;
	/* SACK-permitted takes the place of the timestamp's two NOPs. */
	if (o->have & LANE_OPT_TS)
		len += 12;
	else if (o->have & LANE_OPT_SACK_OK)
		len += 4;
	if (o->have & LANE_OPT_WSCALE)
		len += 4;
	return len;
}

/* How many blocks fit beside the rest: RFC 2018 3 has 4, or 3 with timestamps. */
static uint32_t sack_blocks(const struct lane_tcp_opts *o, uint32_t fixed)
{
	uint32_t room = (OPTS_MAX - fixed - 4) / 8;
	uint32_t nr = o->nr_sack < SACK_MAX ? o->nr_sack : SACK_MAX;

	if (!(o->have & LANE_OPT_SACK))
		return 0;
	return nr < room ? nr : room;
}

uint8_t lane_tcp_opts_len(const struct lane_tcp_opts *opts)
{
	uint32_t len = fixed_len(opts);
	uint32_t nr = sack_blocks(opts, len);

	return (uint8_t)(nr ? len + 4 + 8 * nr : len);
}

static uint8_t *emit_sack(uint8_t *p, const struct lane_tcp_opts *o)
{
	uint32_t nr = sack_blocks(o, fixed_len(o));

	if (nr == 0)
		return p;
	p = put32(p, OPT_NOP << 24 | OPT_NOP << 16 | OPT_SACK << 8 | (2 + 8 * nr));
	for (uint32_t i = 0; i < nr; i++) {
		p = put32(p, o->sack[i].start);
		p = put32(p, o->sack[i].end);
	}
	return p;
}

static uint8_t *emit_options(uint8_t *p, const struct lane_tcp_opts *o)
{
	uint32_t front = o->have & LANE_OPT_SACK_OK ? OPT_SACK_OK << 24 | 2 << 16
						    : OPT_NOP << 24 | OPT_NOP << 16;

	if (o->have & LANE_OPT_MSS)
		p = put32(p, OPT_MSS << 24 | 4 << 16 | o->mss);
	if (o->have & LANE_OPT_TS) {
		p = put32(p, front | OPT_TS << 8 | 10);
		p = put32(p, o->tsval);
		p = put32(p, o->tsecr);
	} else if (o->have & LANE_OPT_SACK_OK) {
		p = put32(p, OPT_NOP << 24 | OPT_NOP << 16 | OPT_SACK_OK << 8 | 2);
	}
	if (o->have & LANE_OPT_WSCALE)
		p = put32(p, OPT_NOP << 24 | OPT_WSCALE << 16 | 3 << 8 | o->wscale);
	return emit_sack(p, o);
}

uint8_t lane_tcp_emit(uint8_t *p, const struct lane_tcp_info *info)
{
	uint32_t wnd = info->wnd < UINT16_MAX ? info->wnd : UINT16_MAX;
	uint8_t *h = p;
	uint8_t hlen = (uint8_t)(emit_options(p + sizeof(struct lane_tcp_hdr), &info->opts) - p);

	/* By words: they are read again by words, for the checksum, before they are in the cache. */
	h = put32(h, (uint32_t)info->sport << 16 | info->dport);
	h = put32(h, info->seq);
	h = put32(h, info->ack);
	h = put32(h, (uint32_t)hlen / 4 << 28 | (uint32_t)info->flags << 16 | wnd);
	put32(h, (uint32_t)__builtin_bswap16(info->csum) << 16 | info->urg);
	return hlen;
}
