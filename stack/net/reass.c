/*
 * reass.c - fragments of IPv4 (RFC 791) and IPv6 (RFC 8200 4.5) become datagrams again
 *
 * Theory of operation. A datagram under way is an entry of st->reass[] and a queue of packets: its
 * fragments by rising offset, none overlapping another, each one frame or a chain. The first frame
 * of a fragment says where its bytes belong: 'user' is the offset, 'pkt_len' their number. A later
 * fragment is cut down to its bytes, the first one keeps its headers. When all bytes are there the
 * queue becomes one chain under the headers of the first fragment, which are made those of a packet
 * that never was cut (RFC 8200: the fragment header goes), and goes in by the same way as one.
 *
 * Overlaps discard the datagram in both families (RFC 5722, and Linux since 4.20 for IPv4); bytes
 * that are there already are a duplicate that the network made. Everything is bounded: datagrams,
 * fragments in one, frames in all (an eighth of the pool), time. The oldest datagram makes room.
 *
 * A held fragment that is given up is counted here, each one for itself. No ICMP error is sent.
 */
#include "lane-int/engine.h"
#include "stack/base/csum.h"
#include "stack/wire/tcp.h"
#include "stack/wire/udp.h"

#define TIMEOUT4_US 30000000 /* net.ipv4.ipfrag_time; RFC 1122 3.3.2 has 60 to 120 s */
#define TIMEOUT6_US 60000000 /* RFC 8200 4.5 */
#define FRAG6       44
#define FRAG6_HLEN  8
#define TCP_HLEN    60  /* the longest L4 header: in the first frame if at all possible */
#define JOIN_MAX    256 /* a frame with less is copied behind the one before */

/* ---- the queue of fragments ---- */

static uint32_t end_of(const struct lane_buf *b)
{
	return b->user + b->pkt_len;
}

static struct lane_buf *last_frame(struct lane *ln, struct lane_buf *b, uint32_t *nr)
{
	*nr = 1;
	while ((b->flags & LANE_BUF_MORE) && *nr < ln->bufs.nr) {
		struct lane_buf *next = lane_buf_at(&ln->bufs, b->next);

		if (!next)
			break;
		b = next;
		(*nr)++;
	}
	return b;
}

static struct lane_buf *next_fragment(struct lane *ln, struct lane_buf *b)
{
	uint32_t nr;

	return lane_buf_at(&ln->bufs, last_frame(ln, b, &nr)->next);
}

/*
 * Where bytes [off, end) belong: *prev is the fragment that they follow, NULL: they come first. Or
 * why they do not.
 */
static enum lane_drop place(struct lane *ln, const struct lane_reass *r, uint32_t off, uint32_t end,
			    struct lane_buf **prev)
{
	struct lane_buf *b = lane_buf_at(&ln->bufs, r->head);
	uint32_t have = off;
	bool overlaps = false;

	*prev = lane_buf_at(&ln->bufs, r->tail);
	if (*prev && off >= end_of(*prev))
		return LANE_OK;
	*prev = NULL;
	for (uint32_t n = 0; b && n < r->nr_frags && b->user < end; n++) {
		if (end_of(b) <= off) {
			*prev = b;
		} else {
			overlaps = true;
			if (b->user <= have)
				have = end_of(b);
		}
		b = next_fragment(ln, b);
	}
	if (have >= end)
		return LANE_DROP_IP_FRAG_DUP;
	return overlaps ? LANE_DROP_IP_FRAG_OVERLAP : LANE_OK;
}

/* Consumes the fragment 'b'. */
static void link_in(struct lane *ln, struct lane_reass *r, struct lane_buf *prev,
		    struct lane_buf *b)
{
	uint32_t nr, nr_prev, i = lane_buf_index(&ln->bufs, b);
	struct lane_buf *last = last_frame(ln, b, &nr);
	uint32_t *from = prev ? &last_frame(ln, prev, &nr_prev)->next : &r->head;

	last->next = *from;
	*from = i;
	if (last->next == LANE_NIL)
		r->tail = i;
	r->nr_frags++;
	r->nr_bufs += nr;
	r->have += b->pkt_len;
	ln->st->nr_reass_bufs += nr;
}

/* ---- the table of datagrams ---- */

static void forget(struct lane *ln, struct lane_reass *r)
{
	ln->st->nr_reass--;
	ln->st->nr_reass_bufs -= r->nr_bufs;
	*r = (struct lane_reass){.head = LANE_NIL, .tail = LANE_NIL};
}

static void discard(struct lane *ln, struct lane_reass *r, enum lane_drop why)
{
	uint32_t i = r->head;

	for (uint32_t n = 0; n < r->nr_frags; n++) {
		struct lane_buf *b = lane_buf_at(&ln->bufs, i);

		if (!b)
			break;
		lane_count_drop(ln, why);
		i = lane_buf_free_packet(&ln->bufs, b);
	}
	forget(ln, r);
}

/* RFC 791: source, destination, protocol and identification; RFC 8200 leaves the protocol out. */
static bool is_of(const struct lane_reass *r, const struct lane_ip_info *ip)
{
	return r->used && r->id == ip->frag_id && lane_ip_equal(&r->src, &ip->src) &&
	       lane_ip_equal(&r->dst, &ip->dst) &&
	       (r->proto == ip->proto || !lane_ip_is4(&ip->src));
}

static struct lane_reass *find(struct lane *ln, const struct lane_ip_info *ip)
{
	if (ln->st->nr_reass == 0)
		return NULL;
	for (unsigned int i = 0; i < LANE_NR_REASS; i++) {
		if (is_of(&ln->st->reass[i], ip))
			return &ln->st->reass[i];
	}
	return NULL;
}

static struct lane_reass *oldest(struct lane *ln)
{
	struct lane_reass *old = NULL;

	for (unsigned int i = 0; i < LANE_NR_REASS; i++) {
		struct lane_reass *r = &ln->st->reass[i];

		if (r->used && (!old || r->since_us < old->since_us))
			old = r;
	}
	return old;
}

/* A new entry, the oldest one's if there is no other. */
static struct lane_reass *open_entry(struct lane *ln, const struct lane_ip_info *ip)
{
	struct lane_state *st = ln->st;
	struct lane_reass *r = NULL;

	if (st->nr_reass >= LANE_NR_REASS)
		discard(ln, oldest(ln), LANE_DROP_IP_FRAG_FULL);
	for (unsigned int i = 0; i < LANE_NR_REASS && !r; i++) {
		if (!st->reass[i].used)
			r = &st->reass[i];
	}
	*r = (struct lane_reass){
		.src = ip->src,
		.dst = ip->dst,
		.id = ip->frag_id,
		.proto = ip->proto,
		.used = 1,
		.since_us = ln->now_us,
		.until_us = ln->now_us + (lane_ip_is4(&ip->src) ? TIMEOUT4_US : TIMEOUT6_US),
		.head = LANE_NIL,
		.tail = LANE_NIL,
	};
	if (st->nr_reass++ == 0 || r->until_us < st->reass_due_us)
		st->reass_due_us = r->until_us;
	return r;
}

/* Room for 'nr' frames more, for the datagram 'r' (NULL: a new one). False: it was the oldest
 * itself and is gone, or nothing helps. */
static bool make_room(struct lane *ln, const struct lane_reass *r, uint32_t nr)
{
	uint32_t max = ln->bufs.nr / 8;

	for (unsigned int n = 0; n <= LANE_NR_REASS; n++) {
		struct lane_reass *old;

		if (ln->st->nr_reass_bufs + nr <= max)
			return true;
		old = oldest(ln);
		if (!old)
			return false;
		discard(ln, old, LANE_DROP_IP_FRAG_FULL);
		if (old == r)
			return false;
	}
	return false;
}

/* ---- one fragment ---- */

/* Takes the fragment header, the last before b->l4_off, out of the packet. */
static enum lane_drop cut_header6(struct lane *ln, struct lane_pkt *pkt)
{
	struct lane_buf *b = pkt->b;
	uint8_t *eth = lane_buf_data(&ln->bufs, b), *ip = eth + (b->l3_off - b->off);
	uint32_t frag = pkt->ip.hlen - FRAG6_HLEN, at = sizeof(struct lane_ip6_hdr);
	uint32_t field = offsetof(struct lane_ip6_hdr, next);
	struct lane_be16 len;

	while (at < frag) {
		uint32_t n = ip[field] == FRAG6 ? FRAG6_HLEN : ip[at + 1] * 8U + 8;

		field = at;
		at += n;
	}
	/* The parser came this way: only who writes the frame meanwhile can make it differ. */
	if (at != frag || ip[field] != FRAG6)
		return LANE_DROP_IP_OPTIONS;
	ip[field] = ip[frag];
	len = lane_be16_of((uint16_t)(pkt->ip.hlen - sizeof(struct lane_ip6_hdr) - FRAG6_HLEN +
				      pkt->ip.l4_len));
	memcpy(ip + offsetof(struct lane_ip6_hdr, len), &len, sizeof(len));
	memmove(eth + FRAG6_HLEN, eth, (size_t)(ip - eth) + frag);
	b->off += FRAG6_HLEN;
	b->l3_off += FRAG6_HLEN;
	b->len -= FRAG6_HLEN;
	b->pkt_len -= FRAG6_HLEN;
	return LANE_OK;
}

/* The first fragment tells what the datagram is: all headers to the ports and, for TCP, the flags
 * must be in it (RFC 1858 3, RFC 7112 5). */
static enum lane_drop check_first(struct lane *ln, struct lane_pkt *pkt)
{
	struct lane_buf *b = pkt->b;
	struct lane_ip_info ip = pkt->ip;
	uint32_t l3, need;
	enum lane_drop why;

	if (!lane_ip_is4(&ip.src)) {
		why = cut_header6(ln, pkt);
		if (why)
			return why;
		l3 = b->l3_off - b->off;
		why = lane_ip_parse(lane_buf_data(&ln->bufs, b) + l3, b->len - l3, b->pkt_len - l3,
				    &ip);
		if (why)
			return why;
	}
	if (!lane_ip_is4(&ip.src) && ip.is_frag)
		return LANE_DROP_IP_FRAGMENT;
	if (ip.proto != LANE_PROTO_TCP && ip.proto != LANE_PROTO_UDP)
		return LANE_DROP_IP_PROTO;
	need = ip.proto == LANE_PROTO_TCP ? sizeof(struct lane_tcp_hdr)
					  : sizeof(struct lane_udp_hdr);
	return ip.l4_len < need ? LANE_DROP_IP_FRAG_TINY : LANE_OK;
}

static enum lane_drop check(struct lane *ln, struct lane_pkt *pkt)
{
	const struct lane_ip_info *ip = &pkt->ip;

	if (lane_ip_is4(&ip->src) && ip->proto != LANE_PROTO_TCP && ip->proto != LANE_PROTO_UDP)
		return LANE_DROP_IP_PROTO;
	if (ip->l4_len == 0 || (ip->more_frags && ip->l4_len % 8 != 0))
		return LANE_DROP_IP_FRAGMENT;
	return ip->frag_off == 0 ? check_first(ln, pkt) : LANE_OK;
}

/* RFC 791: the last fragment says how long the datagram is, and all others end before. */
static bool contradicts(struct lane *ln, const struct lane_reass *r, const struct lane_ip_info *ip)
{
	const struct lane_buf *last = lane_buf_at(&ln->bufs, r->tail);
	uint32_t end = ip->frag_off + ip->l4_len;

	if (ip->more_frags)
		return r->total && end > r->total;
	return (r->total && end != r->total) || (last && end < end_of(last));
}

/* Leaves of a later fragment what belongs behind the first; frames of headers only are freed. */
static struct lane_buf *strip(struct lane *ln, struct lane_buf *b)
{
	uint16_t n = b->l4_off - b->off;
	struct lane_buf *next;

	b->off += n;
	b->len -= n;
	if (b->len || !(b->flags & LANE_BUF_MORE))
		return b;
	next = lane_buf_at(&ln->bufs, b->next);
	if (!next)
		return b;
	lane_buf_free(&ln->bufs, b);
	return next;
}

/* ---- the whole datagram ---- */

/* RFC 3168 5.3, as Linux: one mark marks all; a mixture of ECT and not is none of a sound peer's.
 * False: it is one. */
static bool merge_ecn(const struct lane_reass *r, uint8_t *tos)
{
	if ((r->ecn & 1) && (r->ecn & ~1))
		return false;
	if (r->ecn & 1 << 3)
		*tos |= 3;
	return true;
}

/* Makes the headers at 'ip' those of a packet with 'len' bytes, IP header included. */
static bool write_header(struct lane_reass *r, uint8_t *ip, uint32_t len)
{
	struct lane_ip4_hdr h4;
	struct lane_ip6_hdr h6;
	uint8_t tos;

	if (lane_ip_is4(&r->src)) {
		memcpy(&h4, ip, sizeof(h4));
		if (len > UINT16_MAX || !merge_ecn(r, &h4.tos))
			return false;
		h4.len = lane_be16_of((uint16_t)len);
		h4.frag = lane_be16_of(0);
		h4.csum = 0;
		memcpy(ip, &h4, sizeof(h4));
		h4.csum = (uint16_t)~lane_csum_fold(lane_csum_add(0, ip, (h4.ver_ihl & 15) * 4U));
		memcpy(ip, &h4, sizeof(h4));
		return true;
	}
	memcpy(&h6, ip, sizeof(h6));
	tos = (uint8_t)(lane_be32_get(h6.ver_tc_flow) >> 20);
	if (len > UINT16_MAX + sizeof(h6) || !merge_ecn(r, &tos))
		return false;
	h6.ver_tc_flow =
		lane_be32_of((lane_be32_get(h6.ver_tc_flow) & ~0xff00000U) | (uint32_t)tos << 20);
	h6.len = lane_be16_of((uint16_t)(len - sizeof(h6)));
	memcpy(ip, &h6, sizeof(h6));
	return true;
}

/* Small frames are copied into the room behind the one before; so is what follows a first frame
 * that may lack a part of the L4 header. */
static void join_small(struct lane *ln, struct lane_buf *first)
{
	uint32_t hlen = first->l4_off - first->off + TCP_HLEN;
	struct lane_buf *b = first;

	for (uint32_t n = 0; n < ln->bufs.nr && (b->flags & LANE_BUF_MORE); n++) {
		struct lane_buf *next = lane_buf_at(&ln->bufs, b->next);
		bool wanted;

		if (!next)
			return;
		wanted = next->len <= JOIN_MAX || (b == first && b->len < hlen);
		if (!wanted || b->off + b->len + next->len > (int)ln->bufs.size) {
			b = next;
			continue;
		}
		memcpy(lane_buf_data(&ln->bufs, b) + b->len, lane_buf_data(&ln->bufs, next),
		       next->len);
		b->len += next->len;
		b->next = next->next;
		if (!(next->flags & LANE_BUF_MORE)) {
			b->flags &= (uint8_t)~LANE_BUF_MORE;
			b->next = LANE_NIL;
		}
		lane_buf_free(&ln->bufs, next);
	}
}

/* All bytes are there. Returns owned the packet, NULL: it was no sound one and was dropped. */
static struct lane_buf *finish(struct lane *ln, struct lane_reass *r)
{
	struct lane_buf *first = lane_buf_at(&ln->bufs, r->head), *b = first;
	uint32_t l3, l4, nr;

	/* Only a broken member makes it so. */
	if (!first) {
		forget(ln, r);
		return NULL;
	}
	l3 = first->l3_off - first->off;
	l4 = first->l4_off - first->off;
	if (!write_header(r, lane_buf_data(&ln->bufs, first) + l3, l4 - l3 + r->total)) {
		discard(ln, r, LANE_DROP_IP_FRAGMENT);
		return NULL;
	}
	for (uint32_t n = 1; b && n < r->nr_frags; n++) {
		b = last_frame(ln, b, &nr);
		b->flags |= LANE_BUF_MORE;
		b = lane_buf_at(&ln->bufs, b->next);
	}
	first->pkt_len = l4 + r->total;
	first->user = 0;
	/* What a driver said of the fragment's checksum says nothing of the datagram's. */
	first->flags &= (uint8_t) ~(LANE_BUF_CSUM_OK | LANE_BUF_PARTIAL_OK);
	forget(ln, r);
	join_small(ln, first);
	ln->st->stats.ip_reassembled++;
	return first;
}

enum lane_drop lane_reass_in(struct lane *ln, struct lane_pkt *pkt)
{
	const struct lane_ip_info *ip = &pkt->ip;
	struct lane_reass *r = find(ln, ip);
	struct lane_buf *prev = NULL;
	enum lane_drop why = check(ln, pkt);
	uint32_t nr;

	if (why)
		return why;
	if (r && contradicts(ln, r, ip))
		why = LANE_DROP_IP_FRAGMENT;
	else if (r)
		why = place(ln, r, ip->frag_off, ip->frag_off + ip->l4_len, &prev);
	/* A datagram is sound in all its fragments or not at all. */
	if (why == LANE_DROP_IP_FRAGMENT || why == LANE_DROP_IP_FRAG_OVERLAP)
		discard(ln, r, why);
	if (why)
		return why;
	if (r && r->nr_frags >= LANE_REASS_FRAGS_MAX) {
		discard(ln, r, LANE_DROP_IP_FRAG_FULL);
		return LANE_DROP_IP_FRAG_FULL;
	}
	last_frame(ln, pkt->b, &nr);
	if (!make_room(ln, r, nr))
		return LANE_DROP_IP_FRAG_FULL;
	if (!r || !r->used)
		r = open_entry(ln, ip);
	if (ip->frag_off)
		pkt->b = strip(ln, pkt->b);
	pkt->b->user = ip->frag_off;
	pkt->b->pkt_len = ip->l4_len;
	link_in(ln, r, prev, pkt->b);
	r->ecn |= (uint8_t)(1 << (ip->tos & 3));
	if (!ip->more_frags)
		r->total = ip->frag_off + ip->l4_len;
	pkt->b = r->have == r->total ? finish(ln, r) : NULL;
	return LANE_OK;
}

/* ---- time, checks, repair ---- */

void lane_reass_timers(struct lane *ln)
{
	struct lane_state *st = ln->st;

	if (st->nr_reass == 0 || ln->now_us < st->reass_due_us)
		return;
	st->reass_due_us = UINT64_MAX;
	for (unsigned int i = 0; i < LANE_NR_REASS; i++) {
		struct lane_reass *r = &st->reass[i];

		if (r->used && r->until_us <= ln->now_us)
			discard(ln, r, LANE_DROP_IP_FRAG_TIMEOUT);
		else if (r->used && r->until_us < st->reass_due_us)
			st->reass_due_us = r->until_us;
	}
}

uint64_t lane_reass_next_timer(const struct lane *ln)
{
	return ln->st->nr_reass ? ln->st->reass_due_us : UINT64_MAX;
}

/* Marks the frames of one datagram and asserts that it is as it should be; returns their number. */
static uint32_t mark_one(struct lane *ln, const struct lane_reass *r, uint8_t *seen)
{
	uint32_t nr = 0, end = 0, have = 0, i = r->head;

	for (uint32_t n = 0; n < r->nr_frags; n++) {
		const struct lane_buf *first = lane_buf_at(&ln->bufs, i), *b = first;
		uint32_t len = 0;

		assert(b && b->user >= end && (i == r->tail) == (n + 1 == r->nr_frags));
		for (;; i = b->next, b = lane_buf_at(&ln->bufs, i)) {
			assert(b && !seen[i] && !(b->flags & LANE_BUF_FREE));
			seen[i] = 1;
			nr++;
			len += b->len;
			if (!(b->flags & LANE_BUF_MORE))
				break;
		}
		i = b->next;
		end = first->user + first->pkt_len;
		have += first->pkt_len;
		if (first->user == 0)
			len -= first->l4_off - first->off;
		assert(len == first->pkt_len);
	}
	assert(i == LANE_NIL && nr == r->nr_bufs && have == r->have && r->nr_frags);
	assert(r->nr_frags <= LANE_REASS_FRAGS_MAX && (!r->total || r->have < r->total));
	return nr;
}

void lane_reass_mark_bufs(struct lane *ln, uint8_t *seen)
{
	const struct lane_state *st = ln->st;
	uint32_t nr = 0, nr_bufs = 0;

	for (unsigned int i = 0; i < LANE_NR_REASS; i++) {
		if (!st->reass[i].used)
			continue;
		assert(st->reass[i].until_us >= st->reass_due_us);
		nr_bufs += mark_one(ln, &st->reass[i], seen);
		nr++;
	}
	assert(nr == st->nr_reass && nr_bufs == st->nr_reass_bufs && nr_bufs <= ln->bufs.nr / 8);
}

void lane_reass_recover(struct lane *ln)
{
	memset(ln->st->reass, 0, sizeof(ln->st->reass));
	ln->st->nr_reass = ln->st->nr_reass_bufs = 0;
}
