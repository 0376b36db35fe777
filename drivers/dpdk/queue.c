/*
 * queue.c - bursts between a lane and a queue pair of an ethdev port
 *
 * Receiving copies nothing: the mbuf's frame is the lane's (pool.c). Only what comes in memory that is not the
 * lane's own, or that somebody else holds too, is copied: net_ring's mbufs from another pool, vhost's and LRO's
 * external buffers, a frame of ours that is on its way in a loop.
 *
 * The engine sends packet by packet and a PMD is best called with many, so tx_burst() only notes packets in a
 * stage; flush(), at the end of the lane's turn, hands them over. What the device's ring has no room for stays.
 */
#include <errno.h>
#include <pthread.h>

#include <rte_mbuf.h>

#include "queue.h"
#include "stack/base/csum.h"

#define PACKET_MAX    (65535 + 18) /* bytes: an IP packet behind Ethernet and a tag */
#define TCP_CSUM      16	   /* the field's place in the header: which protocol it is */
#define UDP_CSUM      6
#define PREFETCH_NEXT 4

/* ---- receiving ---- */

/* Every segment is a frame of this lane that nobody else holds. */
static bool is_ours(const struct lane_dpdk_queue *q, const struct rte_mbuf *m)
{
	for (; m; m = m->next)
		if (m->pool != q->mp || !RTE_MBUF_DIRECT(m) || rte_mbuf_refcnt_read(m) != 1 ||
		    lane_dpdk_buf(q, m)->flags & LANE_BUF_TX)
			return false;
	return true;
}

/* What the port says of the checksum; who is silent, or says that it is wrong, is checked by the engine. */
static uint8_t csum_flags(const struct lane_dpdk_queue *q, const struct rte_mbuf *m)
{
	uint64_t l4 = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;

	/* NONE: the text is known to be good, though the field is not complete. */
	if (l4 == RTE_MBUF_F_RX_L4_CKSUM_GOOD || l4 == RTE_MBUF_F_RX_L4_CKSUM_NONE)
		return LANE_BUF_CSUM_OK;
	return q->port->info.partial_ok ? LANE_BUF_PARTIAL_OK : 0;
}

/* The frames of 'm' become a packet; their mbufs are left as raw ones. */
static struct lane_buf *take(struct lane_dpdk_queue *q, struct rte_mbuf *m)
{
	struct lane_buf *first = lane_dpdk_buf(q, m), *b = first;
	uint8_t flags = csum_flags(q, m);
	uint32_t len = m->pkt_len;

	for (;;) {
		struct rte_mbuf *next = m->next;

		b->off = m->data_off;
		b->len = m->data_len;
		b->flags = flags;
		b->owner = 0;
		b->queue = q->q.idx;
		b->next = LANE_NIL;
		m->nb_segs = 1;
		if (!next)
			break;
		m->next = NULL;
		m = next;
		b->flags |= LANE_BUF_MORE;
		b->next = lane_buf_index(q->q.bufs, lane_dpdk_buf(q, m));
		b = lane_dpdk_buf(q, m);
	}
	first->pkt_len = len;
	return first;
}

static void copy_piece(const struct rte_mbuf *m, uint32_t at, uint32_t len, uint8_t *to)
{
	const void *from = rte_pktmbuf_read(m, at, len, to);

	if (from && from != to)
		memcpy(to, from, len);
}

/* Returns owned a copy of 'm' in frames of the lane; NULL: there are none, or it is too long. */
static struct lane_buf *copy(struct lane_dpdk_queue *q, const struct rte_mbuf *m)
{
	struct lane_bufs *bs = q->q.bufs;
	struct lane_buf *first = NULL, *last = NULL;
	uint32_t done = 0, len = rte_pktmbuf_pkt_len(m);

	while (done < len && len <= PACKET_MAX) {
		struct lane_buf *b = lane_buf_alloc(bs);

		if (!b)
			break;
		b->off = 0;
		b->len = (uint16_t)(len - done < bs->size ? len - done : bs->size);
		b->flags = csum_flags(q, m);
		b->queue = q->q.idx;
		copy_piece(m, done, b->len, lane_buf_data(bs, b));
		done += b->len;
		if (last) {
			last->flags |= LANE_BUF_MORE;
			last->next = lane_buf_index(bs, b);
		} else {
			first = b;
		}
		last = b;
	}
	if (first && done < len) {
		lane_buf_free_packet(bs, first);
		first = NULL;
	}
	if (first)
		first->pkt_len = len;
	return first;
}

static struct lane_buf *take_copy(struct lane_dpdk_queue *q, struct rte_mbuf *m)
{
	struct lane_buf *b = copy(q, m);

	rte_pktmbuf_free(m);
	if (b)
		q->nr_copied++;
	else
		q->nr_no_frame++;
	return b;
}

/* A PMD makes system calls in a program's thread: one that is cancelled must not end there, where it holds the
 * lane, and errno is the program's. */
struct pmd_call {
	int cancel, saved;
};

static inline void begin(const struct lane_dpdk_queue *q, struct pmd_call *c)
{
	if (!q->port->forks)
		return;
	c->saved = errno;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &c->cancel);
}

static inline void end(const struct lane_dpdk_queue *q, const struct pmd_call *c)
{
	if (!q->port->forks)
		return;
	pthread_setcancelstate(c->cancel, NULL);
	errno = c->saved;
}

static uint16_t receive(struct lane_dpdk_queue *q, struct rte_mbuf *m[], uint16_t n)
{
	struct pmd_call c;
	uint16_t got;

	begin(q, &c);
	if (q->armed)
		lane_dpdk_disarm(q);
	if (q->counted)
		lane_dpdk_uncount(q);
	/* What was sent long ago may be all that is missing. */
	if (unlikely(q->q.bufs->pool->nr_free < LANE_DPDK_SPARE))
		rte_eth_tx_done_cleanup(q->port->id, q->idx, 0);
	got = rte_eth_rx_burst(q->port->id, q->idx, m, n < LANE_BURST ? n : LANE_BURST);
	q->counted = q->counter && got > 0;
	end(q, &c);
	return got;
}

static uint16_t rx_burst(struct lane_queue *lq, struct lane_buf *bufs[], uint16_t n)
{
	struct lane_dpdk_queue *q = (struct lane_dpdk_queue *)lq;
	struct rte_mbuf *m[LANE_BURST];
	uint16_t got, nr = 0;

	if (unlikely(!lane_dpdk_is_here(q) || !lane_dpdk_enter(q)))
		return 0;
	if (q->nr_spare < LANE_DPDK_SPARE)
		lane_dpdk_pool_save(q);
	got = receive(q, m, n);
	lane_dpdk_leave(q);
	for (uint16_t i = 0; i < got; i++) {
		struct lane_buf *b;

		if (i + PREFETCH_NEXT < got)
			rte_prefetch0(rte_pktmbuf_mtod(m[i + PREFETCH_NEXT], void *));
		b = likely(is_ours(q, m[i])) ? take(q, m[i]) : take_copy(q, m[i]);
		if (b)
			bufs[nr++] = b;
	}
	return nr;
}

static bool pending(const struct lane_queue *lq)
{
	struct lane_dpdk_queue *q = (struct lane_dpdk_queue *)(uintptr_t)lq;
	bool any;

	if (!lane_dpdk_is_here(q) || !lane_dpdk_enter(q))
		return false;
	any = rte_eth_rx_queue_count(q->port->id, q->idx) > 0;
	lane_dpdk_leave(q);
	return any;
}

/* ---- sending ---- */

/* A checksum that no offload is for. */
static void complete_csum(const struct lane_dpdk_queue *q, const struct lane_buf *b)
{
	uint8_t *p = lane_buf_data(q->q.bufs, b) + b->csum_start;
	uint16_t sum = (uint16_t)~lane_csum_fold(lane_csum_add(0, p, b->len - b->csum_start));

	if (sum == 0)
		sum = 0xffff;
	memcpy(p + b->csum_off, &sum, sizeof(sum));
}

/* A device puts each segment's length into the pseudo-header sum, ours comes without; and most do IPv4's header
 * checksum (the others, virtio's, leave it to who cuts at the other end). */
static void prepare_super(const struct lane_dpdk_queue *q, struct rte_mbuf *m, const struct lane_buf *b, uint8_t *ip)
{
	uint8_t *tcp = ip + m->l3_len;
	uint32_t len = b->pkt_len - b->csum_start;
	uint8_t not_len[4] = {0xff, 0xff, (uint8_t)~(len >> 8), (uint8_t)~len};
	uint16_t field;

	memcpy(&field, tcp + TCP_CSUM, sizeof(field));
	field = lane_csum_fold(lane_csum_add(field, not_len, sizeof(not_len)));
	memcpy(tcp + TCP_CSUM, &field, sizeof(field));
	m->l4_len = (tcp[12] >> 4) * 4U;
	m->tso_segsz = (uint16_t)(b->len - b->csum_start - m->l4_len);
	m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	if (ip[0] >> 4 == 4 && q->port->tx_offloads & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) {
		memset(ip + 10, 0, 2);
		m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
	}
}

/* Tells the device what is left for it to do about checksums. */
static void offload(struct lane_dpdk_queue *q, struct rte_mbuf *m, struct lane_buf *b)
{
	uint8_t *ip = lane_buf_frame(q->q.bufs, b) + b->l3_off;

	if (b->csum_off != TCP_CSUM && b->csum_off != UDP_CSUM) {
		complete_csum(q, b);
		return;
	}
	m->tx_offload = 0;
	m->l2_len = b->l3_off - b->off;
	m->l3_len = b->csum_start - m->l2_len;
	m->ol_flags = ip[0] >> 4 == 4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
	m->ol_flags |= b->csum_off == TCP_CSUM ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM;
	if (b->flags & LANE_BUF_MORE)
		prepare_super(q, m, b, ip);
}

/* One frame as a segment; it is the driver's from now on. */
static struct rte_mbuf *segment(struct lane_dpdk_queue *q, struct lane_buf *b)
{
	struct rte_mbuf *m = lane_dpdk_mbuf(q, b);

	m->data_off = b->off;
	m->data_len = b->len;
	m->pkt_len = b->len;
	m->ol_flags = 0;
	b->flags |= LANE_BUF_TX;
	return m;
}

static struct rte_mbuf *packet(struct lane_dpdk_queue *q, struct lane_buf *b)
{
	struct rte_mbuf *first = segment(q, b), *last = first;
	const struct lane_buf *part = b;

	if (b->flags & LANE_BUF_CSUM)
		offload(q, first, b);
	while (part->flags & LANE_BUF_MORE && first->nb_segs < LANE_SG_MAX) {
		part = lane_buf_at(q->q.bufs, part->next);
		if (!part)
			break;
		last->next = segment(q, &q->q.bufs->meta[lane_buf_index(q->q.bufs, part)]);
		last = last->next;
		first->nb_segs++;
	}
	first->pkt_len = b->pkt_len;
	return first;
}

/* The first 'n' packets left the stage. */
static void shift(struct lane_dpdk_queue *q, uint16_t n)
{
	q->nr_staged -= n;
	q->nr_ready -= n;
	memmove(q->stage, q->stage + n, q->nr_staged * sizeof(q->stage[0]));
}

/* Lets the PMD make ready what it has not seen yet, once each; what it refuses is given up. */
static void prepare(struct lane_dpdk_queue *q)
{
	bool asks = q->port->tx_offloads & (RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_TSO);

	while (q->nr_ready < q->nr_staged) {
		struct rte_mbuf **m = q->stage + q->nr_ready;
		uint16_t n = q->nr_staged - q->nr_ready;

		q->nr_ready += asks ? rte_eth_tx_prepare(q->port->id, q->idx, m, n) : n;
		if (q->nr_ready == q->nr_staged)
			return;
		m = q->stage + q->nr_ready;
		rte_pktmbuf_free(*m);
		q->nr_staged--;
		memmove(m, m + 1, (q->nr_staged - q->nr_ready) * sizeof(*m));
		q->nr_refused++;
	}
}

static void flush(struct lane_queue *lq)
{
	struct lane_dpdk_queue *q = (struct lane_dpdk_queue *)lq;
	struct pmd_call c;
	uint16_t sent;

	if (unlikely(!lane_dpdk_is_here(q) || !lane_dpdk_enter(q)))
		return; /* it waits for who may */
	begin(q, &c);
	prepare(q);
	sent = q->nr_staged ? rte_eth_tx_burst(q->port->id, q->idx, q->stage, q->nr_staged) : 0;
	if (sent)
		shift(q, sent);
	lq->nr_unkicked = q->nr_staged;
	end(q, &c);
	lane_dpdk_leave(q);
}

static uint16_t tx_burst(struct lane_queue *lq, struct lane_buf *bufs[], uint16_t n)
{
	struct lane_dpdk_queue *q = (struct lane_dpdk_queue *)lq;
	uint16_t i;

	for (i = 0; i < n; i++) {
		if (q->nr_staged >= LANE_BURST && q->nr_staged % (LANE_BURST / 2) == 0)
			flush(lq);
		if (q->nr_staged == LANE_DPDK_STAGE)
			break;
		q->stage[q->nr_staged++] = packet(q, bufs[i]);
	}
	lq->nr_unkicked = q->nr_staged;
	return i;
}

static uint32_t room(const struct lane_queue *lq)
{
	const struct lane_dpdk_queue *q = (const struct lane_dpdk_queue *)lq;

	return (uint32_t)(LANE_DPDK_STAGE - q->nr_staged) * LANE_SG_MAX;
}

static bool home(const struct lane_queue *lq, const struct lane_ep *local, const struct lane_ep *remote)
{
	const struct lane_dpdk_queue *q = (const struct lane_dpdk_queue *)lq;

	return q->port->info.steering != LANE_DPDK_TOEPLITZ ||
	       lane_rss_queue(&q->port->rss, local, remote) == q->idx;
}

void lane_dpdk_unstage(struct lane_dpdk_queue *q)
{
	rte_pktmbuf_free_bulk(q->stage, q->nr_staged);
	q->nr_staged = q->nr_ready = 0;
}

void lane_dpdk_driver(const struct lane_dpdk_port *p, struct lane_driver *drv)
{
	*drv = (struct lane_driver){
		.name = "dpdk",
		.rx_burst = rx_burst,
		.tx_burst = tx_burst,
		.room = room,
		.flush = flush,
		.pending = p->count ? pending : NULL,
		.arm = p->forks ? lane_dpdk_sleep_fd : lane_dpdk_arm,
		.home = home,
		.close = lane_dpdk_queue_close,
	};
}
