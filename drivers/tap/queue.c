/*
 * queue.c - frames in and out of a TAP device
 *
 * A frame's way out: tx_burst() notes it in the ring (under the lane's lock, LANE_BUF_TX), kick()
 * writes it (without the lock; one process at a time, who has 'busy'), the next burst gives it
 * back. Who is killed between the write and the note of it has the frame leave twice, which does no
 * harm; a holder who is stopped lets the others' frames wait, and the ring fill.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <lane/driver.h>

#include "hdr.h"
#include "tap.h"

#define WRITES 128 /* in one kick */

struct tap_queue {
	struct lane_queue q; /* first */
	struct lane_tap_share *share;
	int fd;
};

static uint32_t load(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

/* Frames that wait to be written; a damaged ring counts as empty. */
static uint32_t waiting(const struct lane_tap_share *s)
{
	uint32_t n = load(&s->head) - load(&s->tail);

	return n <= LANE_TAP_RING ? n : 0;
}

static void note_unkicked(struct tap_queue *q)
{
	uint32_t n = waiting(q->share);

	__atomic_store_n(&q->q.nr_unkicked, n, __ATOMIC_RELAXED);
	__atomic_store_n(&q->share->nr_unkicked, n, __ATOMIC_RELAXED);
}

static void reap(struct tap_queue *q)
{
	struct lane_tap_share *s = q->share;
	uint32_t n = load(&s->tail) - s->done;

	while (n > 0 && n-- <= LANE_TAP_RING) {
		struct lane_buf *b = lane_buf_at(q->q.bufs, s->ring[s->done % LANE_TAP_RING].frame);

		s->done++;
		if (b && b->flags & LANE_BUF_TX)
			lane_buf_tx_done(q->q.bufs, b);
	}
}

/* Reads one frame into 'b', with the kernel's header in front of it. False: there is none. */
static bool read_one(struct tap_queue *q, struct lane_buf *b)
{
	const struct lane_bufs *bs = q->q.bufs;
	struct lane_tap_hdr h;
	uint8_t *at;
	ssize_t n;

	b->off = LANE_HEADROOM;
	at = lane_buf_data(bs, b) - sizeof(h);
	n = read(q->fd, at, bs->size - LANE_HEADROOM + sizeof(h));
	if (n <= (ssize_t)sizeof(h))
		return false;
	memcpy(&h, at, sizeof(h));
	b->len = (uint16_t)(n - (ssize_t)sizeof(h));
	b->pkt_len = b->len;
	b->queue = q->q.idx;
	b->next = LANE_NIL;
	b->flags = 0;
	if (h.flags & LANE_TAP_NEEDS_CSUM)
		b->flags = LANE_BUF_PARTIAL_OK;
	else if (h.flags & LANE_TAP_DATA_VALID)
		b->flags = LANE_BUF_CSUM_OK;
	return true;
}

static uint16_t rx_burst(struct lane_queue *lq, struct lane_buf *bufs[], uint16_t n)
{
	struct tap_queue *q = (struct tap_queue *)lq;
	int saved = errno, state;
	uint16_t i;

	reap(q);
	/* A cancelled thread must not end in read(2): it holds the lane. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	for (i = 0; i < n; i++) {
		bufs[i] = lane_buf_alloc(lq->bufs);
		if (!bufs[i])
			break;
		if (!read_one(q, bufs[i])) {
			lane_buf_free(lq->bufs, bufs[i]);
			break;
		}
	}
	pthread_setcancelstate(state, NULL);
	note_unkicked(q);
	errno = saved;
	return i;
}

/* The kernel's header, in the headroom in front of the frame. */
static void put_header(const struct lane_bufs *bs, const struct lane_buf *b)
{
	struct lane_tap_hdr h = {0};

	assert(b->off >= sizeof(h));
	if (b->flags & LANE_BUF_CSUM) {
		h.flags = LANE_TAP_NEEDS_CSUM;
		h.csum_start = b->csum_start;
		h.csum_offset = b->csum_off;
	}
	memcpy(lane_buf_data(bs, b) - sizeof(h), &h, sizeof(h));
}

static uint16_t tx_burst(struct lane_queue *lq, struct lane_buf *bufs[], uint16_t n)
{
	struct tap_queue *q = (struct tap_queue *)lq;
	struct lane_tap_share *s = q->share;
	uint16_t i;

	reap(q);
	for (i = 0; i < n && s->head - s->done < LANE_TAP_RING; i++) {
		put_header(lq->bufs, bufs[i]);
		bufs[i]->flags |= LANE_BUF_TX;
		s->ring[s->head % LANE_TAP_RING] = (struct lane_tap_place){
			lane_buf_index(lq->bufs, bufs[i]), bufs[i]->off, bufs[i]->len};
		/* With a fence: who writes and finds nothing more must not leave while this is
		 * noted. */
		__atomic_store_n(&s->head, s->head + 1, __ATOMIC_SEQ_CST);
	}
	note_unkicked(q);
	return i;
}

static bool begin(struct lane_tap_share *s)
{
	int r;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	r = pthread_mutex_trylock(&s->busy);
	if (r == EOWNERDEAD)
		r = pthread_mutex_consistent(&s->busy);
	return r == 0;
}

static void end(struct lane_tap_share *s)
{
	pthread_mutex_unlock(&s->busy);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Writes the frame at 'tail'. False: the kernel has no room now. */
static bool write_one(const struct tap_queue *q, struct lane_tap_share *s)
{
	const struct lane_bufs *bs = q->q.bufs;
	const struct lane_tap_place p = s->ring[s->tail % LANE_TAP_RING];
	const size_t hlen = sizeof(struct lane_tap_hdr);
	const uint8_t *frame = bs->frames + (size_t)p.frame * bs->stride + p.off;

	if (p.frame < bs->nr && p.off >= hlen && p.off + p.len <= bs->size &&
	    write(q->fd, frame - hlen, p.len + hlen) < 0) {
		if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
			return false;
		__atomic_add_fetch(&s->nr_lost, 1, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&s->tail, s->tail + 1, __ATOMIC_RELEASE);
	return true;
}

static void kick(struct lane_queue *lq)
{
	struct tap_queue *q = (struct tap_queue *)lq;
	struct lane_tap_share *s = q->share;
	bool full = false;
	int saved = errno;

	for (int i = 0; i < WRITES && !full && waiting(s) && begin(s);) {
		for (; i < WRITES && !full && waiting(s); i++)
			full = !write_one(q, s);
		end(s);
	}
	note_unkicked(q);
	errno = saved;
}

static int arm(struct lane_queue *lq)
{
	return ((struct tap_queue *)lq)->fd;
}

static void close_queue(struct lane_queue *lq)
{
	free(lq);
}

static const struct lane_driver driver = {
	.name = "tap",
	.rx_burst = rx_burst,
	.tx_burst = tx_burst,
	.kick = kick,
	.arm = arm,
	.close = close_queue,
};

int lane_tap_map(struct lane *ln, unsigned int ifi, struct lane_tap_share *share, int fd)
{
	struct tap_queue *q = calloc(1, sizeof(*q));
	int r;

	if (!q)
		return -ENOMEM;
	q->q.drv = &driver;
	q->q.bufs = lane_bufs(ln);
	q->q.caps = LANE_CAP_TX_CSUM;
	q->q.ifi = (uint8_t)ifi;
	q->share = share;
	q->fd = fd;
	r = lane_add_queue(ln, &q->q);
	if (r < 0)
		free(q);
	return r;
}
