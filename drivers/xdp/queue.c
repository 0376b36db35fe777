/*
 * queue.c - frames in and out of an XSK's four rings
 *
 * Theory of operation. Any process that maps the rings may run a burst, one at a time under the
 * lane's lock, so each burst begins with the positions in shared memory and ends by publishing
 * them. What a position or a descriptor says is checked before it becomes an address: a member
 * may have less privilege than others.
 *
 * A frame's way: pool -> fill ring (LANE_BUF_DRIVER) -> kernel -> rx ring -> rx_burst() ->
 * the lane; lane -> tx_burst() (LANE_BUF_TX) -> tx ring -> kernel -> completion ring -> done.
 * A frame changes its owner only after the position that takes it out of a ring is published, and
 * before the one that puts it in: a process killed between loses it, and never doubles it.
 *
 * Chains, super-segments to send, go another way: wide.c.
 *
 * In copy mode nothing leaves before kick(). How much waits shows in the ring itself, so every
 * process knows it: nr_unkicked is read from there at each burst.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include "drivers/sys.h"
#include "queue.h"
#include "uapi.h"

#define PACKET_MAX (65535 + 18) /* bytes: an IP packet behind Ethernet and a tag */
#define KICKS      64 /* system calls in one kick(), each of which sends 32 frames: a full ring */
#define BAD_MAX    8  /* packets dropped in one burst */
#define PREFETCH   256 /* bytes of each packet */
#define FILL_LEAST 32  /* frames in the fill ring, also where the pool has hardly more */

static uint32_t peek(const uint32_t *position)
{
	return __atomic_load_n(position, __ATOMIC_ACQUIRE);
}

static void publish(uint32_t *position, uint32_t value)
{
	__atomic_store_n(position, value, __ATOMIC_RELEASE);
}

/* Entries between the positions; a damaged ring counts as empty. */
static uint32_t entries(const struct lane_xdp_view *r)
{
	uint32_t n = peek(r->producer) - peek(r->consumer);

	return n <= r->size ? n : 0;
}

static uint64_t *addr_at(const struct lane_xdp_view *r, uint32_t i)
{
	return (uint64_t *)r->desc + (i & (r->size - 1));
}

static struct xdp_desc *desc_at(const struct lane_xdp_view *r, uint32_t i)
{
	return (struct xdp_desc *)r->desc + (i & (r->size - 1));
}

static bool needs_wakeup(const struct lane_xdp_queue *q, const struct lane_xdp_view *r)
{
	return !(q->share->have & LANE_XDP_F_NEED_WAKEUP) ||
	       __atomic_load_n(r->flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP;
}

/* ---- receiving ---- */

/* The frame that holds byte 'addr' of the UMEM, and which of its bytes that is. In unaligned mode
 * the kernel puts an offset into the upper 16 bits. NULL: outside. */
static struct lane_buf *frame_at(const struct lane_bufs *bs, uint64_t addr, uint32_t *off)
{
	uint64_t at =
		(addr & XSK_UNALIGNED_BUF_ADDR_MASK) + (addr >> XSK_UNALIGNED_BUF_OFFSET_SHIFT);

	*off = (uint32_t)(at % bs->stride);
	return at / bs->stride < bs->nr ? &bs->meta[at / bs->stride] : NULL;
}

/* Entries of the packet that begins at 'pos': 0 when it is not all there yet. */
static uint32_t chain_len(const struct lane_xdp_queue *q, uint32_t pos, uint32_t end)
{
	for (uint32_t i = pos; i != end; i++)
		if (!(desc_at(&q->rx, i)->options & XDP_PKT_CONTD))
			return i - pos + 1;
	return 0;
}

/* The frame of one entry, filled in as if it was a packet alone. NULL: the entry is damaged. */
static struct lane_buf *frame_of(struct lane_xdp_queue *q, uint32_t pos)
{
	const struct lane_bufs *bs = q->q.bufs;
	const struct xdp_desc d = *desc_at(&q->rx, pos);
	uint32_t off;
	struct lane_buf *b = frame_at(bs, d.addr, &off);

	if (!b || off > bs->size || d.len > bs->size - off)
		return NULL;
	b->off = (uint16_t)off;
	b->len = (uint16_t)d.len;
	b->pkt_len = d.len;
	b->flags = q->partial_ok ? LANE_BUF_PARTIAL_OK : 0;
	b->queue = q->q.idx;
	b->next = LANE_NIL;
	return b;
}

/* Joins the frames of 'n' entries from 'pos' to a packet. NULL: nothing usable, no frame is taken;
 * 'bad': damaged or too long, to be dropped. */
static struct lane_buf *join(struct lane_xdp_queue *q, uint32_t pos, uint32_t n, bool *bad)
{
	struct lane_bufs *bs = q->q.bufs;
	struct lane_buf *first = NULL, *last = NULL;
	uint32_t total = 0;

	for (uint32_t i = pos; i != pos + n; i++) {
		struct lane_buf *b = frame_of(q, i);

		if (!b) {
			*bad = true;
			continue;
		}
		total += b->len;
		if (!first) {
			first = b;
		} else {
			last->next = lane_buf_index(bs, b);
			last->flags |= LANE_BUF_MORE;
		}
		last = b;
	}
	if (total > PACKET_MAX)
		*bad = true;
	if (first)
		first->pkt_len = total;
	return first;
}

/* The frames of a packet are the lane's from now on. */
static void take_over(const struct lane_bufs *bs, struct lane_buf *b)
{
	b->owner = 0;
	while (b->flags & LANE_BUF_MORE) {
		b = lane_buf_at(bs, b->next);
		b->owner = 0;
	}
}

static void reap(struct lane_xdp_queue *q)
{
	uint32_t pos = peek(q->comp.consumer), n = entries(&q->comp), off;
	uint32_t batch[LANE_BURST];

	q->nr_sent = 0;
	while (n > 0) {
		uint32_t k = n < LANE_BURST ? n : LANE_BURST;

		for (uint32_t i = 0; i < k; i++) {
			struct lane_buf *b = frame_at(q->q.bufs, *addr_at(&q->comp, pos + i), &off);

			batch[i] = b ? lane_buf_index(q->q.bufs, b) : LANE_NIL;
		}
		pos += k;
		n -= k;
		publish(q->comp.consumer, pos);
		for (uint32_t i = 0; i < k; i++)
			if (batch[i] != LANE_NIL && q->q.bufs->meta[batch[i]].flags & LANE_BUF_TX)
				lane_buf_tx_done(q->q.bufs, &q->q.bufs->meta[batch[i]]);
	}
}

static uint32_t above(uint32_t n, uint32_t floor)
{
	return n > floor ? n - floor : 0;
}

/* Keeps the fill ring as full as the pool allows. */
static void refill(struct lane_xdp_queue *q)
{
	struct lane_bufs *bs = q->q.bufs;
	uint32_t pos = peek(q->fill.producer), held = entries(&q->fill);
	uint32_t size = q->fill.size < q->fill_max ? q->fill.size : q->fill_max;
	uint32_t room = size > held ? size - held : 0;
	uint32_t spare = above(bs->pool->nr_free, q->reserve), least = above(FILL_LEAST, held);
	uint32_t n, done = 0;

	/* Text that waits for ACKs may hold all the rest, and without a frame no ACK comes. */
	if (spare < least) {
		spare = above(bs->pool->nr_free, q->reserve / 4);
		spare = spare < least ? spare : least;
	}
	n = room < spare ? room : spare;
	/* Not for a few: the position's cache line goes to the kernel's core each time. */
	if (n == 0 || (room < LANE_BURST && room < size / 2))
		return;
	for (; done < n; done++) {
		struct lane_buf *b = lane_buf_alloc(bs);

		if (!b)
			break;
		b->owner = LANE_BUF_DRIVER;
		*addr_at(&q->fill, pos + done) = (uint64_t)lane_buf_index(bs, b) * bs->stride;
	}
	publish(q->fill.producer, pos + done);
}

static bool is_zerocopy(const struct lane_xdp_queue *q)
{
	return q->share->have & LANE_XDP_F_ZEROCOPY;
}

static uint32_t unkicked(const struct lane_xdp_queue *q)
{
	uint32_t n = entries(&q->tx);

	if (!lane_xdp_wide_is_idle(q))
		n += lane_xdp_wide_waiting(q);
	/* With zero copy the kernel takes frames by itself, but may sleep until it is woken. */
	if (is_zerocopy(q) && q->share->have & LANE_XDP_F_NEED_WAKEUP && (n == 0 || !needs_wakeup(q, &q->tx)))
		n = needs_wakeup(q, &q->fill);
	return n;
}

static void set_unkicked(struct lane_xdp_queue *q, uint32_t n)
{
	__atomic_store_n(&q->q.nr_unkicked, n, __ATOMIC_RELAXED);
	if (__atomic_load_n(q->unkicked, __ATOMIC_RELAXED) != n)
		__atomic_store_n(q->unkicked, n, __ATOMIC_RELAXED);
}

/* Frames that no kick has handed over, so that any process sees what others left. A kick notes it
 * without the lock: what another thread queued and noted meanwhile must not be hidden by an older 0. */
static void note_unkicked(struct lane_xdp_queue *q)
{
	uint32_t n = unkicked(q), was;

	if (!n && !__atomic_load_n(&q->q.nr_unkicked, __ATOMIC_RELAXED) &&
	    !__atomic_load_n(q->unkicked, __ATOMIC_RELAXED))
		return;
	do {
		was = n;
		set_unkicked(q, n);
		if (n)
			return; /* too many is but a kick for nothing */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		n = unkicked(q);
	} while (n != was);
}

/* The ring is empty: the next frame comes into the one that the fill ring names first. A guess, to fetch what
 * it will be read from as soon as it is there; 'pos' is where its descriptor will be. */
static void foresee(struct lane_xdp_queue *q, uint32_t pos)
{
	uint32_t at = peek(q->fill.consumer), off;
	const struct lane_buf *b = frame_at(q->q.bufs, *addr_at(&q->fill, at), &off);
	const uint8_t *data = b ? lane_buf_frame(q->q.bufs, b) + q->rx_off : NULL;

	q->q.next[0] = desc_at(&q->rx, pos);
	for (int i = 1; data && i < LANE_QUEUE_NEXT; i++)
		q->q.next[i] = data + 64 * (i - 1);
}

static uint16_t rx_burst(struct lane_queue *lq, struct lane_buf *bufs[], uint16_t n)
{
	struct lane_xdp_queue *q = (struct lane_xdp_queue *)lq;
	uint32_t pos = peek(q->rx.consumer), end = pos + entries(&q->rx), len;
	struct lane_buf *bad[BAD_MAX];
	uint16_t nr = 0, nr_bad = 0;

	while (nr < n && nr_bad < BAD_MAX && (len = chain_len(q, pos, end)) > 0) {
		bool is_bad = false;
		struct lane_buf *b = len == 1 ? frame_of(q, pos) : join(q, pos, len, &is_bad);
		const uint8_t *data;

		pos += len;
		if (!b)
			continue;
		if (is_bad) {
			bad[nr_bad++] = b;
			continue;
		}
		/* Headers and a small request: the lines come from the kernel's core, together. */
		data = lane_buf_data(lq->bufs, b);
		for (uint32_t at = 0; at < b->len && at < PREFETCH; at += 64)
			__builtin_prefetch(data + at);
		bufs[nr++] = b;
		q->nr_taken += len;
	}
	if (pos != peek(q->rx.consumer)) {
		publish(q->rx.consumer, pos);
		__atomic_store_n(q->rx_position, pos, __ATOMIC_RELAXED);
	}
	for (uint16_t i = 0; i < nr; i++)
		take_over(lq->bufs, bufs[i]);
	for (uint16_t i = 0; i < nr_bad; i++) {
		take_over(lq->bufs, bad[i]);
		lane_buf_free_packet(lq->bufs, bad[i]);
	}
	if (!lane_xdp_wide_is_idle(q))
		lane_xdp_wide_reap(q);
	/* The kernel's positions are looked at when they may have moved by some frames, or nothing waits. */
	if (q->nr_sent >= LANE_BURST / 2 || nr == 0)
		reap(q);
	if (q->nr_taken >= LANE_BURST / 2 || nr == 0) {
		q->nr_taken = 0;
		refill(q);
	}
	if (nr == 0)
		foresee(q, pos);
	else
		q->rx_off = bufs[0]->off;
	note_unkicked(q);
	return nr;
}

/* ---- sending ---- */

/* Where the kernel finds what to do about the checksum: directly in front of the data. Field by field: a copy of a
 * whole one would load at once what was just stored in parts, and wait for all of them. */
static void write_metadata(const struct lane_bufs *bs, const struct lane_buf *b)
{
	static const uint64_t flags = XDP_TXMD_FLAGS_CHECKSUM;
	uint8_t *md = lane_buf_data(bs, b) - sizeof(struct lane_xdp_tx_metadata);

	assert(b->off >= sizeof(struct lane_xdp_tx_metadata));
	memcpy(md, &flags, sizeof(flags));
	memset(md + sizeof(flags), 0, sizeof(struct lane_xdp_tx_metadata) - sizeof(flags));
	memcpy(md + offsetof(struct lane_xdp_tx_metadata, csum_start), &b->csum_start, sizeof(b->csum_start));
	memcpy(md + offsetof(struct lane_xdp_tx_metadata, csum_offset), &b->csum_off, sizeof(b->csum_off));
}

static uint16_t tx_burst(struct lane_queue *lq, struct lane_buf *bufs[], uint16_t n)
{
	struct lane_xdp_queue *q = (struct lane_xdp_queue *)lq;
	uint32_t pos = peek(q->tx.producer), room = q->tx.size - entries(&q->tx);
	bool wide = false, leads = false;
	uint16_t i;

	if (q->nr_sent + n > LANE_BURST / 2 || n > room)
		reap(q);
	q->nr_sent += n;
	/* The order stays: behind a super-segment that waits all go its way. */
	if (!lane_xdp_wide_is_idle(q)) {
		lane_xdp_wide_reap(q);
		leads = lane_xdp_wide_leads(q);
	}
	for (i = 0; i < n; i++) {
		struct lane_buf *b = bufs[i];
		struct xdp_desc d = {
			.addr = (uint64_t)lane_buf_index(lq->bufs, b) * lq->bufs->stride + b->off,
			.len = b->len,
		};

		wide = leads || b->flags & LANE_BUF_MORE;
		if (wide || i == room)
			break;
		if (b->flags & LANE_BUF_CSUM) {
			write_metadata(lq->bufs, b);
			d.options = XDP_TX_METADATA;
		}
		b->flags |= LANE_BUF_TX;
		*desc_at(&q->tx, pos + i) = d;
	}
	publish(q->tx.producer, pos + i);
	if (i == n && !is_zerocopy(q)) {
		set_unkicked(q, q->tx.size - room + n);
		return n;
	}
	while (wide && i < n && lane_xdp_wide_put(q, bufs[i]))
		i++;
	note_unkicked(q);
	return i;
}

/* The kernel takes frames: what sendto(2) does, by a call that filters of system calls let through. */
static void send_kick(const struct lane_xdp_queue *q)
{
	if (__builtin_expect(q->q.plain, 0))
		lane_syscall(SYS_write, q->fd, (long)"", 0, 0, 0, 0);
	else
		lane_syscall(SYS_sendto, q->fd, 0, 0, MSG_DONTWAIT, 0, 0);
}

static void fill_kick(const struct lane_xdp_queue *q)
{
	char none;

	if (__builtin_expect(q->q.plain, 0))
		lane_syscall(SYS_read, q->fd, (long)&none, 1, 0, 0, 0);
	else
		lane_syscall(SYS_recvfrom, q->fd, 0, 0, MSG_DONTWAIT, 0, 0);
}

/* Called without the lane's lock. EAGAIN (32 frames went), EBUSY and ENOBUFS (a queue below is
 * full) are normal: what is left goes with a later kick. */
static void kick(struct lane_queue *lq)
{
	struct lane_xdp_queue *q = (struct lane_xdp_queue *)lq;
	uint32_t left = entries(&q->tx), before;

	if (is_zerocopy(q) && needs_wakeup(q, &q->fill))
		fill_kick(q);
	for (int i = 0; i < KICKS && left > 0 && needs_wakeup(q, &q->tx); i++) {
		before = left;
		send_kick(q);
		left = entries(&q->tx);
		if (left >= before)
			break;
	}
	if (left == 0 && !lane_xdp_wide_is_idle(q))
		lane_xdp_wide_kick(q);
	note_unkicked(q);
}

static bool pending(const struct lane_queue *lq)
{
	return entries(&((const struct lane_xdp_queue *)lq)->rx) > 0;
}

static int arm(struct lane_queue *lq)
{
	return ((struct lane_xdp_queue *)lq)->fd;
}

static void claim(struct lane_queue *lq, uint8_t proto, uint16_t port, uint32_t any,
		  uint32_t listen)
{
	struct lane_xdp_queue *q = (struct lane_xdp_queue *)lq;
	struct lane_xdp_claim *c =
		&q->claims->claim[proto == IPPROTO_UDP ? LANE_XDP_UDP : LANE_XDP_TCP][port];

	__atomic_store_n(&c->any, any, __ATOMIC_RELEASE);
	__atomic_store_n(&c->listen, listen, __ATOMIC_RELEASE);
}

static void flow(struct lane_queue *lq, const struct lane_ep *local, const struct lane_ep *remote,
		 bool on)
{
	struct lane_xdp_claims *c = ((struct lane_xdp_queue *)lq)->claims;
	uint64_t tag;
	__u64 *place;

	if (!local) {
		memset(c->flow, 0, sizeof(c->flow));
		return;
	}
	tag = lane_xdp_tag(c->flow_key, local->ip.w, remote->ip.w, lane_ip_is4(&local->ip),
			   htons(local->port), htons(remote->port));
	place = &c->flow[tag & (LANE_XDP_FLOWS - 1)];
	if (on)
		__atomic_store_n(place, tag, __ATOMIC_RELAXED);
	else if (__atomic_load_n(place, __ATOMIC_RELAXED) == tag)
		__atomic_store_n(place, 0, __ATOMIC_RELAXED);
}

static void limit(struct lane_queue *lq, uint16_t port, bool on)
{
	struct lane_xdp_queue *q = (struct lane_xdp_queue *)lq;
	uint32_t *word = &q->claims->limited[port / 32], bit = 1u << port % 32;

	if (on)
		__atomic_fetch_or(word, bit, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(word, ~bit, __ATOMIC_RELAXED);
}

const struct lane_driver lane_xdp_driver = {
	.name = "xdp",
	.rx_burst = rx_burst,
	.tx_burst = tx_burst,
	.room = lane_xdp_wide_room,
	.kick = kick,
	.pending = pending,
	.arm = arm,
	.claim = claim,
	.flow = flow,
	.limit = limit,
	.close = lane_xdp_queue_close,
};
