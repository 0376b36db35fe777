/*
 * ip_out.c - the way out: IP and Ethernet headers, the checksum at the edge, the driver's queue
 *
 * A packet that a full queue refuses waits on txq, one whose next hop has no MAC yet in 'pending',
 * both bounded. A frame of a send queue waits in neither: its link is in use, and TCP sends it
 * again.
 */
#include "lane-int/engine.h"
#include "stack/base/csum.h"
#include "stack/wire/eth.h"

#define TXQ_MAX 512

/* Completes the L4 checksum in software; the field holds the pseudo-header sum. */
__attribute__((noinline)) static void complete_csum(struct lane *ln, struct lane_buf *b)
{
	uint8_t *p = lane_buf_data(&ln->bufs, b) + b->csum_start;
	uint16_t sum = (uint16_t)~lane_csum_fold(lane_csum_add(0, p, b->len - b->csum_start));

	/* RFC 768: a sum of 0 is sent as all ones; for TCP the two are equal. */
	if (sum == 0)
		sum = 0xffff;
	memcpy(p + b->csum_off, &sum, sizeof(sum));
	b->flags &= (uint8_t)~LANE_BUF_CSUM;
}

bool lane_ip_tx(struct lane *ln, struct lane_buf *b)
{
	struct lane_queue *q = ln->queues[b->queue];
	uint32_t len = b->pkt_len;

	if ((b->flags & LANE_BUF_CSUM) && !(q->caps & LANE_CAP_TX_CSUM))
		complete_csum(ln, b);
	b->flags |= LANE_BUF_TX;
	if (q->drv->tx_burst(q, &b, 1) != 1) {
		b->flags &= (uint8_t)~LANE_BUF_TX;
		return false;
	}
	ln->kick_mask |= 1u << q->idx;
	ln->st->stats.tx_packets++;
	ln->st->stats.tx_bytes += len;
	ln->st->ifs[q->ifi].tx_packets++;
	return true;
}

/* Consumes 'b' unless a send queue holds it. */
static void drop(struct lane *ln, struct lane_buf *b, enum lane_drop why)
{
	lane_count_drop(ln, why);
	if (!(b->flags & LANE_BUF_SNDQ))
		lane_buf_free(&ln->bufs, b);
}

static void txq_push(struct lane *ln, struct lane_buf *b)
{
	struct lane_state *st = ln->st;
	struct lane_buf *tail = lane_buf_at(&ln->bufs, st->txq.tail);
	uint32_t i = lane_buf_index(&ln->bufs, b);

	b->next = LANE_NIL;
	if (tail)
		tail->next = i;
	else
		st->txq.head = i;
	st->txq.tail = i;
	st->nr_txq++;
}

/* Sends what waits, in order, until a queue is full again. */
static void txq_run(struct lane *ln)
{
	struct lane_state *st = ln->st;
	struct lane_buf *b;

	while ((b = lane_buf_at(&ln->bufs, st->txq.head)) != NULL) {
		uint32_t next = b->next;

		if (b->queue >= ln->nr_queues || !lane_ip_tx(ln, b))
			return;
		st->txq.head = next;
		if (next == LANE_NIL)
			st->txq.tail = LANE_NIL;
		st->nr_txq--;
	}
}

static void send(struct lane *ln, struct lane_buf *b)
{
	struct lane_state *st = ln->st;

	if (st->nr_txq)
		txq_run(ln);
	/* Behind a packet that waits there is no room for ours either. */
	if (st->nr_txq == 0 && lane_ip_tx(ln, b))
		return;
	if ((b->flags & LANE_BUF_SNDQ) || st->nr_txq >= TXQ_MAX)
		drop(ln, b, LANE_DROP_TX_FULL);
	else
		txq_push(ln, b);
}

static void pend(struct lane *ln, struct lane_buf *b)
{
	struct lane_state *st = ln->st;

	if (b->flags & LANE_BUF_SNDQ) {
		drop(ln, b, LANE_DROP_NO_NEIGHBOUR);
		return;
	}
	for (unsigned int i = 0; i < LANE_NR_PENDING; i++) {
		if (st->pending[i].buf != LANE_NIL)
			continue;
		st->pending[i].buf = lane_buf_index(&ln->bufs, b);
		st->pending[i].until_us = ln->now_us + LANE_PENDING_US;
		st->nr_pending++;
		return;
	}
	drop(ln, b, LANE_DROP_NO_NEIGHBOUR);
}

static uint8_t *push(struct lane *ln, struct lane_buf *b, uint16_t n)
{
	assert(b->off >= n);
	b->off -= n;
	b->len += n;
	b->pkt_len += n;
	return lane_buf_data(&ln->bufs, b);
}

static void put_eth(struct lane *ln, struct lane_buf *b, const struct lane_path *path, bool is4)
{
	const struct lane_mac *src = &lane_ifs_net(ln, path->ifi)->mac;
	struct lane_be16 type = lane_be16_of(is4 ? LANE_ETH_IP4 : LANE_ETH_IP6);
	uint8_t *p = lane_buf_data(&ln->bufs, b);

	memcpy(p + offsetof(struct lane_eth_hdr, dst), &path->mac, sizeof(path->mac));
	memcpy(p + offsetof(struct lane_eth_hdr, src), src, sizeof(*src));
	memcpy(p + offsetof(struct lane_eth_hdr, type), &type, sizeof(type));
}

/* The queue that the flow's packets came by, unless the way out is another interface's. */
static uint8_t leave_by(const struct lane *ln, const struct lane_path *path)
{
	if (path->queue < ln->nr_queues && ln->queues[path->queue]->ifi == path->ifi)
		return path->queue;
	for (unsigned int i = 0; i < ln->nr_queues; i++) {
		if (ln->queues[i]->ifi == path->ifi)
			return (uint8_t)i;
	}
	return 0;
}

struct lane_queue *lane_ip_queue(const struct lane *ln, const struct lane_path *path)
{
	return ln->nr_queues ? ln->queues[leave_by(ln, path)] : NULL;
}

void lane_ip_out_frame(struct lane *ln, struct lane_buf *b, const struct lane_path *path)
{
	b->queue = leave_by(ln, path);
	send(ln, b);
}

/* Headers in front of 'b', all but the checksum's fields; then out with it. */
static void emit(struct lane *ln, struct lane_buf *b, const struct lane_path *path,
		 const struct lane_ip_info *info)
{
	bool is4 = lane_ip_is4(&info->src);
	uint16_t hlen = is4 ? sizeof(struct lane_ip4_hdr) : sizeof(struct lane_ip6_hdr);

	if (info->is_frag && !is4)
		hlen += sizeof(struct lane_ip6_frag_hdr);
	b->l4_off = b->off;
	lane_ip_emit(push(ln, b, hlen), info, ln->st->ip_id++);
	b->l3_off = b->off;
	push(ln, b, LANE_ETH_HLEN);
	put_eth(ln, b, path, is4);
	b->csum_start = LANE_ETH_HLEN + hlen;
	b->queue = leave_by(ln, path);
	if (path->have_mac)
		send(ln, b);
	else
		pend(ln, b);
}

void lane_ip_out(struct lane *ln, struct lane_buf *b, const struct lane_path *path,
		 const struct lane_ip *src, const struct lane_ip *dst, uint8_t proto, uint8_t tos,
		 uint8_t ttl, uint16_t csum_off)
{
	struct lane_ip_info info = {
		.src = *src,
		.dst = *dst,
		.proto = proto,
		.tos = tos,
		.ttl = ttl ? ttl : ln->st->cfg.ttl,
		.l4_len = b->pkt_len,
	};

	assert(!(b->flags & LANE_BUF_TX) && (b->flags & LANE_BUF_MORE || b->len == b->pkt_len));
	if (ln->nr_queues == 0) {
		drop(ln, b, LANE_DROP_TX_FULL);
		return;
	}
	/* As a fragment that is the whole: no DF, and a name of its own. */
	if ((b->flags & LANE_BUF_NO_DF) && lane_ip_is4(dst)) {
		info.is_frag = true;
		info.frag_id = ++ln->st->frag_id;
	}
	b->csum_off = csum_off;
	b->flags |= LANE_BUF_CSUM;
	emit(ln, b, path, &info);
}

void lane_ip_out_fragment(struct lane *ln, struct lane_buf *b, const struct lane_path *path,
			  const struct lane_ip_info *info)
{
	struct lane_ip_info one = *info;

	assert(!(b->flags & (LANE_BUF_MORE | LANE_BUF_TX)) && b->len == b->pkt_len);
	if (ln->nr_queues == 0) {
		drop(ln, b, LANE_DROP_TX_FULL);
		return;
	}
	one.ttl = info->ttl ? info->ttl : ln->st->cfg.ttl;
	one.l4_len = b->pkt_len;
	ln->st->stats.ip_fragments_out++;
	emit(ln, b, path, &one);
}

/* The addresses that lane_ip_out() wrote in front of a pending packet. */
static void read_addrs(struct lane *ln, const struct lane_buf *b, struct lane_ip *src,
		       struct lane_ip *dst)
{
	const uint8_t *p = lane_buf_frame(&ln->bufs, b) + b->l3_off;
	uint32_t a4[2];

	if (p[0] >> 4 == 4) {
		memcpy(a4, p + offsetof(struct lane_ip4_hdr, src), sizeof(a4));
		*src = lane_ip4(a4[0]);
		*dst = lane_ip4(a4[1]);
		return;
	}
	*src = lane_ip6(p + offsetof(struct lane_ip6_hdr, src));
	*dst = lane_ip6(p + offsetof(struct lane_ip6_hdr, dst));
}

static void retry_pending(struct lane *ln, struct lane_pending *p)
{
	struct lane_buf *b = lane_buf_at(&ln->bufs, p->buf);
	struct lane_path path = {.queue = b ? b->queue : 0};
	struct lane_ip src, dst;

	if (b) {
		read_addrs(ln, b, &src, &dst);
		if (lane_path_update(ln, &path, &src, &dst) == 0) {
			put_eth(ln, b, &path, lane_ip_is4(&dst));
			b->queue = leave_by(ln, &path);
			send(ln, b);
		} else if (ln->now_us < p->until_us) {
			return;
		} else {
			drop(ln, b, LANE_DROP_NO_NEIGHBOUR);
		}
	}
	p->buf = LANE_NIL;
	ln->st->nr_pending--;
}

/* Of all interfaces: differs after every change of one. */
static uint32_t neigh_version(const struct lane *ln)
{
	uint32_t sum = 0;

	for (unsigned int i = 0; i < ln->nr_ifs; i++)
		sum += atomic_load_explicit(&ln->net[i].neigh_version, memory_order_acquire);
	return sum;
}

void lane_ip_retry(struct lane *ln)
{
	struct lane_state *st = ln->st;
	uint32_t version;

	if (st->nr_txq)
		txq_run(ln);
	if (st->nr_pending == 0)
		return;
	version = neigh_version(ln);
	for (unsigned int i = 0; i < LANE_NR_PENDING; i++) {
		struct lane_pending *p = &st->pending[i];

		if (p->buf != LANE_NIL &&
		    (version != st->pending_version || ln->now_us >= p->until_us))
			retry_pending(ln, p);
	}
	st->pending_version = version;
}
