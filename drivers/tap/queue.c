/*
 * queue.c - frames in and out of a TAP device
 *
 * A frame's way out: tx_burst() notes it in the ring (under the lane's lock, LANE_BUF_TX), kick() takes it (a CAS of its
 * place), writes it (without the lock), and notes that; the next burst gives it back. Who has 'busy' writes alone, so
 * that frames leave in order. When a holder gets no further for 5 ms, as he was stopped inside write(2), the others write
 * without; his frame stays his, its place is passed over, and is given back when he goes on or is dead.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <lane/driver.h>

#include "drivers/sys.h"
#include "hdr.h"
#include "tap.h"

#define WRITES   128   /* in one kick */
#define STUCK_US 5000  /* without progress: the others go on */
#define SPAN     64    /* places that are looked at again and again; beyond it one is passed over */

struct tap_queue {
	struct lane_queue q; /* first */
	struct lane_tap_share *share;
	const int *who;
	int fd;
};

enum entry { BUSY, IN_ORDER, PASSING };

static uint32_t load(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static struct lane_tap_place *place_of(struct lane_tap_share *s, uint32_t n)
{
	return &s->ring[n % LANE_TAP_RING];
}

static uint64_t claim_of(uint32_t n, uint32_t who)
{
	return (uint64_t)n << 32 | who;
}

/* How a claim names a writer: no pid, which is another one in another pid namespace. */
static uint32_t claimant(int who)
{
	return (uint32_t)(who + 2);
}

static uint64_t load_claim(const struct lane_tap_place *p)
{
	return __atomic_load_n(&p->claim, __ATOMIC_ACQUIRE);
}

static bool claim(struct lane_tap_place *p, uint64_t from, uint64_t to)
{
	return __atomic_compare_exchange_n(&p->claim, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
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

/* Gives back frame number 'n' if it was written, or can be no more. True: its place is free. */
static bool give_back(struct tap_queue *q, uint32_t n)
{
	struct lane_tap_place *p = place_of(q->share, n);
	uint64_t c = load_claim(p);
	struct lane_buf *b;

	if (p->frame == LANE_NIL || c >> 32 != n)
		return true;
	/* The kernel had no room when others had gone on already. */
	if (c == claim_of(n, LANE_TAP_NOBODY) && claim(p, c, claim_of(n, LANE_TAP_WRITTEN))) {
		q->share->nr_lost++;
		c = claim_of(n, LANE_TAP_WRITTEN);
	}
	if (c != claim_of(n, LANE_TAP_WRITTEN))
		return false;
	b = lane_buf_at(q->q.bufs, p->frame);
	p->frame = LANE_NIL;
	if (b && b->flags & LANE_BUF_TX)
		lane_buf_tx_done(q->q.bufs, b);
	return true;
}

static void reap_left(struct tap_queue *q)
{
	struct lane_tap_share *s = q->share;

	for (uint32_t i = 0; i < s->nr_left && i < LANE_TAP_LEFT;) {
		if (give_back(q, s->left[i]))
			s->left[i] = s->left[--s->nr_left % LANE_TAP_LEFT];
		else
			i++;
	}
}

static void reap(struct tap_queue *q)
{
	struct lane_tap_share *s = q->share;
	uint32_t end = load(&s->tail), n = s->done;

	reap_left(q);
	if (end - n > LANE_TAP_RING)
		return;
	for (; n != end; n++) {
		bool is_free = give_back(q, n);

		if (n != s->done)
			continue;
		if (!is_free && end - n > SPAN && s->nr_left < LANE_TAP_LEFT)
			s->left[s->nr_left++] = n;
		else if (!is_free)
			continue;
		s->done++;
	}
}

/* Reads one frame into 'b', with the kernel's header in front of it. False: there is none. */
static bool read_one(struct tap_queue *q, struct lane_buf *b)
{
	const struct lane_bufs *bs = q->q.bufs;
	struct lane_tap_hdr h;
	uint8_t *at;
	long n;

	b->off = LANE_HEADROOM;
	at = lane_buf_data(bs, b) - sizeof(h);
	n = lane_syscall(SYS_read, q->fd, (long)at, (long)(bs->size - LANE_HEADROOM + sizeof(h)), 0, 0, 0);
	if (n <= (long)sizeof(h))
		return false;
	memcpy(&h, at, sizeof(h));
	b->len = (uint16_t)(n - (long)sizeof(h));
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
	uint16_t i;

	reap(q);
	for (i = 0; i < n; i++) {
		bufs[i] = lane_buf_alloc(lq->bufs);
		if (!bufs[i])
			break;
		if (!read_one(q, bufs[i])) {
			lane_buf_free(lq->bufs, bufs[i]);
			break;
		}
	}
	note_unkicked(q);
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

/* The next free place; those that were passed over and are still not free are left out. NULL: the ring is full. */
static struct lane_tap_place *next_place(struct lane_tap_share *s)
{
	while (s->head - s->done < LANE_TAP_RING) {
		struct lane_tap_place *p = place_of(s, s->head);

		if (p->frame == LANE_NIL)
			return p;
		__atomic_store_n(&s->head, s->head + 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static uint16_t tx_burst(struct lane_queue *lq, struct lane_buf *bufs[], uint16_t n)
{
	struct tap_queue *q = (struct tap_queue *)lq;
	struct lane_tap_share *s = q->share;
	struct lane_tap_place *p;
	uint16_t i;

	reap(q);
	for (i = 0; i < n && (p = next_place(s)) != NULL; i++) {
		put_header(lq->bufs, bufs[i]);
		bufs[i]->flags |= LANE_BUF_TX;
		p->frame = lane_buf_index(lq->bufs, bufs[i]);
		p->off = bufs[i]->off;
		p->len = bufs[i]->len;
		__atomic_store_n(&p->claim, claim_of(s->head, LANE_TAP_NOBODY), __ATOMIC_RELEASE);
		/* With a fence: who writes and finds nothing more must not leave while this is
		 * noted. */
		__atomic_store_n(&s->head, s->head + 1, __ATOMIC_SEQ_CST);
	}
	note_unkicked(q);
	return i;
}

/* True when who has 'busy' has not taken a frame for long. */
static bool is_stuck(struct lane_tap_share *s)
{
	uint32_t tail = load(&s->tail);
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
	if (load(&s->stuck_tail) != tail || !__atomic_load_n(&s->stuck_us, __ATOMIC_RELAXED)) {
		__atomic_store_n(&s->stuck_us, now, __ATOMIC_RELAXED);
		__atomic_store_n(&s->stuck_tail, tail, __ATOMIC_RELEASE);
		return false;
	}
	return now - __atomic_load_n(&s->stuck_us, __ATOMIC_RELAXED) > STUCK_US;
}

static enum entry begin(struct lane_tap_share *s)
{
	int r;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	r = pthread_mutex_trylock(&s->busy);
	if (r == EOWNERDEAD)
		r = pthread_mutex_consistent(&s->busy);
	if (r == 0) {
		__atomic_store_n(&s->stuck_us, 0, __ATOMIC_RELAXED);
		return IN_ORDER;
	}
	if (!is_stuck(s))
		return BUSY;
	__atomic_add_fetch(&s->nr_passed, 1, __ATOMIC_RELAXED);
	return PASSING;
}

static void end(struct lane_tap_share *s, enum entry how)
{
	if (how == IN_ORDER)
		pthread_mutex_unlock(&s->busy);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void advance(struct lane_tap_share *s, uint32_t n)
{
	__atomic_compare_exchange_n(&s->tail, &n, n + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* Writes the frame at 'tail', unless somebody else does. False: the kernel has no room now. */
static bool write_one(const struct tap_queue *q, struct lane_tap_share *s, uint32_t me)
{
	const struct lane_bufs *bs = q->q.bufs;
	uint32_t n = load(&s->tail);
	struct lane_tap_place *p = place_of(s, n), at;
	const size_t hlen = sizeof(struct lane_tap_hdr);
	long r = 0;

	if (n == load(&s->head))
		return true;
	if (!claim(p, claim_of(n, LANE_TAP_NOBODY), claim_of(n, me))) {
		advance(s, n);
		return true;
	}
	at = *p;
	if (at.frame < bs->nr && at.off >= hlen && at.off + at.len <= bs->size)
		r = lane_syscall(SYS_write, q->fd, (long)(bs->frames + (size_t)at.frame * bs->stride + at.off - hlen),
				 (long)(at.len + hlen), 0, 0, 0);
	if (r == -EAGAIN || r == -EINTR || r == -ENOBUFS) {
		claim(p, claim_of(n, me), claim_of(n, LANE_TAP_NOBODY));
		return false;
	}
	if (r < 0)
		__atomic_add_fetch(&s->nr_lost, 1, __ATOMIC_RELAXED);
	claim(p, claim_of(n, me), claim_of(n, LANE_TAP_WRITTEN));
	advance(s, n);
	return true;
}

static void kick(struct lane_queue *lq)
{
	struct tap_queue *q = (struct tap_queue *)lq;
	struct lane_tap_share *s = q->share;
	bool full = false;
	enum entry how;

	if (!waiting(s))
		return;
	for (int i = 0; i < WRITES && !full && waiting(s) && (how = begin(s)) != BUSY;) {
		for (; i < WRITES && !full && waiting(s); i++)
			full = !write_one(q, s, claimant(*q->who));
		end(s, how);
	}
	note_unkicked(q);
}

void lane_tap_gone(struct lane_tap_share *s, int who)
{
	for (unsigned int i = 0; i < LANE_TAP_RING; i++) {
		uint64_t c = load_claim(&s->ring[i]);

		if ((uint32_t)c == claimant(who))
			claim(&s->ring[i], c, claim_of((uint32_t)(c >> 32), LANE_TAP_WRITTEN));
	}
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

int lane_tap_map(struct lane *ln, unsigned int ifi, struct lane_tap_share *share, int fd, const int *who)
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
	q->who = who;
	q->fd = fd;
	r = lane_add_queue(ln, &q->q);
	if (r < 0)
		free(q);
	return r;
}
