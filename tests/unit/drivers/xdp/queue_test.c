/*
 * queue_test.c - drivers/xdp/queue.c over rings in plain memory; the test plays the kernel
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/if_xdp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/xdp/queue.h"
#include "drivers/xdp/uapi.h"

#define NR     512 /* frames */
#define STRIDE 2112
#define RING   128
#define OFF    256 /* where the kernel puts a frame's first byte */

struct ring {
	uint32_t producer, consumer, flags;
	union {
		struct xdp_desc desc[RING];
		uint64_t addr[RING];
	};
};

struct env {
	struct lane_xdp_queue q;
	struct lane_xdp_share share;
	struct lane_bufs bs;
	struct lane_buf_pool pool;
	struct ring rx, tx, fill, comp;
	struct lane_buf *got[LANE_BURST];
};

static void view(struct lane_xdp_view *v, struct ring *r)
{
	*v = (struct lane_xdp_view){
		.producer = &r->producer,
		.consumer = &r->consumer,
		.flags = &r->flags,
		.desc = r->desc,
		.size = RING,
	};
	/* positions wrap in every test */
	r->producer = r->consumer = UINT32_MAX - 3;
}

static int setup(void **state)
{
	struct env *e = calloc(1, sizeof(*e));

	e->bs = (struct lane_bufs){
		.meta = calloc(NR, sizeof(struct lane_buf)),
		.frames = calloc(NR, STRIDE),
		.pool = &e->pool,
		.nr = NR,
		.stride = STRIDE,
		.size = 2048,
	};
	e->pool.nr = NR;
	lane_buf_pool_init(&e->bs);
	view(&e->q.rx, &e->rx);
	view(&e->q.tx, &e->tx);
	view(&e->q.fill, &e->fill);
	view(&e->q.comp, &e->comp);
	e->share.have = LANE_XDP_F_NEED_WAKEUP;
	e->q.q = (struct lane_queue){.drv = &lane_xdp_driver, .bufs = &e->bs, .idx = 5};
	e->q.share = &e->share;
	e->q.rx_position = &e->share.queue[0].rx_position;
	e->q.unkicked = &e->share.queue[0].nr_unkicked;
	e->q.claims = calloc(1, sizeof(*e->q.claims));
	e->q.reserve = NR / 4;
	e->q.fill_max = RING;
	e->q.partial_ok = true;
	e->q.fd = -1;
	*state = e;
	return 0;
}

static int teardown(void **state)
{
	struct env *e = *state;

	free(e->bs.meta);
	free(e->bs.frames);
	free(e->q.claims);
	free(e);
	return 0;
}

static uint16_t rx(struct env *e, uint16_t n)
{
	return lane_xdp_driver.rx_burst(&e->q.q, e->got, n);
}

/* The kernel takes a frame from the fill ring; the return is its address. */
static uint64_t take_fill(struct env *e)
{
	assert_int_not_equal(e->fill.consumer, e->fill.producer);
	return e->fill.addr[e->fill.consumer++ % RING];
}

static void deliver_at(struct env *e, uint64_t addr, uint32_t len, bool more)
{
	e->rx.desc[e->rx.producer++ % RING] = (struct xdp_desc){
		.addr = addr,
		.len = len,
		.options = more ? XDP_PKT_CONTD : 0,
	};
}

/* ... fills it and hands it over, with the offset in the upper bits as in unaligned mode. */
static uint32_t deliver(struct env *e, uint32_t len, bool more)
{
	uint64_t base = take_fill(e);

	deliver_at(e, base | (uint64_t)OFF << 48, len, more);
	return (uint32_t)(base / STRIDE);
}

static void free_got(struct env *e, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++)
		lane_buf_free_packet(&e->bs, e->got[i]);
}

static void test_rx__fills_the_ring_first(void **state)
{
	struct env *e = *state;

	assert_int_equal(rx(e, LANE_BURST), 0);
	assert_int_equal(e->fill.producer - e->fill.consumer, RING);
	assert_int_equal(e->pool.nr_free, NR - RING);
	for (uint32_t i = 0; i < RING; i++) {
		uint64_t addr = e->fill.addr[(e->fill.consumer + i) % RING];

		assert_int_equal(addr % STRIDE, 0);
		assert_int_equal(e->bs.meta[addr / STRIDE].owner, LANE_BUF_DRIVER);
	}
}

static void test_rx__one_frame(void **state)
{
	struct env *e = *state;
	uint32_t i;

	rx(e, LANE_BURST);
	i = deliver(e, 100, false);
	assert_int_equal(rx(e, LANE_BURST), 1);
	assert_ptr_equal(e->got[0], &e->bs.meta[i]);
	assert_int_equal(e->got[0]->off, OFF);
	assert_int_equal(e->got[0]->len, 100);
	assert_int_equal(e->got[0]->pkt_len, 100);
	assert_int_equal(e->got[0]->owner, 0);
	assert_int_equal(e->got[0]->queue, 5);
	assert_int_equal(e->got[0]->flags, LANE_BUF_PARTIAL_OK);
	assert_int_equal(e->got[0]->next, LANE_NIL);
	assert_int_equal(e->rx.consumer, e->rx.producer);
	assert_int_equal(e->share.queue[0].rx_position, e->rx.consumer);
	free_got(e, 1);
}

static void test_rx__aligned_addresses(void **state)
{
	struct env *e = *state;
	uint64_t base;

	rx(e, LANE_BURST);
	base = take_fill(e);
	deliver_at(e, base + OFF, 60, false);
	assert_int_equal(rx(e, LANE_BURST), 1);
	assert_ptr_equal(e->got[0], &e->bs.meta[base / STRIDE]);
	assert_int_equal(e->got[0]->off, OFF);
	free_got(e, 1);
}

static void test_rx__chain(void **state)
{
	struct env *e = *state;
	const struct lane_buf *b;

	rx(e, LANE_BURST);
	deliver(e, 1792, true);
	deliver(e, 1792, true);
	deliver(e, 7, false);
	deliver(e, 50, false);
	assert_int_equal(rx(e, LANE_BURST), 2);
	b = e->got[0];
	assert_int_equal(b->pkt_len, 1792 + 1792 + 7);
	for (int i = 0; i < 2; i++) {
		assert_true(b->flags & LANE_BUF_MORE);
		assert_int_equal(b->owner, 0);
		b = &e->bs.meta[b->next];
	}
	assert_false(b->flags & LANE_BUF_MORE);
	assert_int_equal(b->len, 7);
	assert_int_equal(e->got[1]->pkt_len, 50);
	free_got(e, 2);
	assert_int_equal(e->pool.nr_free + e->fill.producer - e->fill.consumer, NR);
}

static void test_rx__half_a_chain_stays(void **state)
{
	struct env *e = *state;

	rx(e, LANE_BURST);
	deliver(e, 10, false);
	deliver(e, 1792, true);
	assert_int_equal(rx(e, LANE_BURST), 1);
	assert_int_equal(e->rx.producer - e->rx.consumer, 1);
	free_got(e, 1);
	assert_int_equal(rx(e, LANE_BURST), 0);
	deliver(e, 10, false);
	assert_int_equal(rx(e, LANE_BURST), 1);
	assert_int_equal(e->got[0]->pkt_len, 1802);
	free_got(e, 1);
}

static void test_rx__no_more_than_asked(void **state)
{
	struct env *e = *state;

	rx(e, LANE_BURST);
	for (int i = 0; i < 10; i++)
		deliver(e, 60, false);
	assert_int_equal(rx(e, 4), 4);
	free_got(e, 4);
	assert_int_equal(rx(e, LANE_BURST), 6);
	free_got(e, 6);
}

static void test_rx__overlong_chain_is_dropped(void **state)
{
	struct env *e = *state;

	rx(e, LANE_BURST);
	for (int i = 0; i < 40; i++)
		deliver(e, 1792, i < 39);
	deliver(e, 60, false);
	assert_int_equal(rx(e, LANE_BURST), 1);
	assert_int_equal(e->got[0]->pkt_len, 60);
	free_got(e, 1);
	assert_int_equal(e->pool.nr_free + e->fill.producer - e->fill.consumer, NR);
}

/* What a member with less privilege may have written. */
static void test_rx__addresses_outside_are_refused(void **state)
{
	struct env *e = *state;

	rx(e, LANE_BURST);
	deliver_at(e, (uint64_t)NR * STRIDE, 60, false);
	deliver_at(e, UINT64_MAX, 60, false);
	deliver_at(e, 5 * STRIDE + 2000, 60, false);
	deliver_at(e, 6 * STRIDE + OFF, UINT32_MAX, false);
	deliver(e, 60, false);
	assert_int_equal(rx(e, LANE_BURST), 1);
	free_got(e, 1);
}

static void test_rx__damaged_position_counts_as_empty(void **state)
{
	struct env *e = *state;

	e->rx.producer = e->rx.consumer + RING + 1;
	e->fill.consumer = e->fill.producer + 5;
	assert_int_equal(rx(e, LANE_BURST), 0);
}

static void test_refill__leaves_the_reserve(void **state)
{
	struct env *e = *state;
	uint32_t nr = 0;

	while (e->pool.nr_free > e->q.reserve + 40 && nr++ < NR)
		lane_buf_alloc(&e->bs);
	rx(e, LANE_BURST);
	assert_int_equal(e->fill.producer - e->fill.consumer, 40);
	assert_int_equal(e->pool.nr_free, e->q.reserve);
}

/* Without a frame no ACK comes, and none of the others is ever free again. */
static void test_refill__keeps_a_few_below_the_reserve(void **state)
{
	struct env *e = *state;
	uint32_t nr = 0;

	while (e->pool.nr_free > e->q.reserve + 10 && nr++ < NR)
		lane_buf_alloc(&e->bs);
	rx(e, LANE_BURST);
	assert_int_equal(e->fill.producer - e->fill.consumer, 32);
	assert_int_equal(e->pool.nr_free, e->q.reserve + 10 - 32);
}

static struct lane_buf *frame(struct env *e, uint16_t len, uint8_t flags)
{
	struct lane_buf *b = lane_buf_alloc(&e->bs);

	b->len = len;
	b->pkt_len = len;
	b->flags |= flags;
	b->csum_start = 34;
	b->csum_off = 16;
	return b;
}

static void test_tx__describes_and_holds_until_completed(void **state)
{
	struct env *e = *state;
	struct lane_buf *b = frame(e, 60, 0);
	const struct xdp_desc *d = &e->tx.desc[e->tx.producer % RING];
	uint32_t nr_free = e->pool.nr_free;

	assert_int_equal(lane_xdp_driver.tx_burst(&e->q.q, &b, 1), 1);
	assert_int_equal(d->addr, (uint64_t)lane_buf_index(&e->bs, b) * STRIDE + b->off);
	assert_int_equal(d->len, 60);
	assert_int_equal(d->options, 0);
	assert_true(b->flags & LANE_BUF_TX);
	assert_int_equal(e->q.q.nr_unkicked, 1);
	assert_int_equal(e->share.queue[0].nr_unkicked, 1);
	/* the kernel sends and completes it */
	e->tx.consumer++;
	e->comp.addr[e->comp.producer++ % RING] = d->addr;
	rx(e, LANE_BURST);
	assert_int_equal(e->comp.consumer, e->comp.producer);
	assert_int_equal(e->q.q.nr_unkicked, 0);
	assert_int_equal(e->pool.nr_free, nr_free + 1 - RING);
}

static void test_tx__checksum_metadata(void **state)
{
	struct env *e = *state;
	struct lane_buf *b = frame(e, 60, LANE_BUF_CSUM);
	const struct xdp_desc *d = &e->tx.desc[e->tx.producer % RING];
	struct lane_xdp_tx_metadata md;

	assert_int_equal(lane_xdp_driver.tx_burst(&e->q.q, &b, 1), 1);
	assert_int_equal(d->options, XDP_TX_METADATA);
	memcpy(&md, lane_buf_data(&e->bs, b) - sizeof(md), sizeof(md));
	assert_int_equal(md.flags, XDP_TXMD_FLAGS_CHECKSUM);
	assert_int_equal(md.csum_start, 34);
	assert_int_equal(md.csum_offset, 16);
}

static void test_tx__full_ring_takes_a_part(void **state)
{
	struct env *e = *state;
	struct lane_buf *b[LANE_BURST];
	uint32_t taken = 0;

	for (int k = 0; k < 5; k++) {
		for (int i = 0; i < LANE_BURST; i++)
			b[i] = frame(e, 60, 0);
		taken += lane_xdp_driver.tx_burst(&e->q.q, b, LANE_BURST);
	}
	assert_int_equal(taken, RING);
	assert_int_equal(e->tx.producer - e->tx.consumer, RING);
}

static void test_tx__false_completions_are_ignored(void **state)
{
	struct env *e = *state;

	e->comp.addr[e->comp.producer++ % RING] = UINT64_MAX;
	e->comp.addr[e->comp.producer++ % RING] = 3 * STRIDE; /* not being sent */
	rx(e, LANE_BURST);
	assert_int_equal(e->pool.nr_free, NR - RING);
}

static void test_kick__keeps_what_did_not_go(void **state)
{
	struct env *e = *state;
	struct lane_buf *b = frame(e, 60, 0);

	lane_xdp_driver.tx_burst(&e->q.q, &b, 1);
	e->tx.flags = XDP_RING_NEED_WAKEUP;
	lane_xdp_driver.kick(&e->q.q); /* no such descriptor: no progress, no endless loop */
	assert_int_equal(e->q.q.nr_unkicked, 1);
	e->tx.consumer++;
	lane_xdp_driver.kick(&e->q.q);
	assert_int_equal(e->q.q.nr_unkicked, 0);
}

static void test_claim__is_a_store(void **state)
{
	struct env *e = *state;

	lane_xdp_driver.claim(&e->q.q, IPPROTO_TCP, 80, 7, 3);
	lane_xdp_driver.claim(&e->q.q, IPPROTO_UDP, 65535, 1, 0);
	assert_int_equal(e->q.claims->claim[LANE_XDP_TCP][80].any, 7);
	assert_int_equal(e->q.claims->claim[LANE_XDP_TCP][80].listen, 3);
	assert_int_equal(e->q.claims->claim[LANE_XDP_UDP][65535].any, 1);
	lane_xdp_driver.claim(&e->q.q, IPPROTO_TCP, 80, 0, 0);
	assert_int_equal(e->q.claims->claim[LANE_XDP_TCP][80].any, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_rx__fills_the_ring_first),
		CASE(test_rx__one_frame),
		CASE(test_rx__aligned_addresses),
		CASE(test_rx__chain),
		CASE(test_rx__half_a_chain_stays),
		CASE(test_rx__no_more_than_asked),
		CASE(test_rx__overlong_chain_is_dropped),
		CASE(test_rx__addresses_outside_are_refused),
		CASE(test_rx__damaged_position_counts_as_empty),
		CASE(test_refill__leaves_the_reserve),
		CASE(test_refill__keeps_a_few_below_the_reserve),
		CASE(test_tx__describes_and_holds_until_completed),
		CASE(test_tx__checksum_metadata),
		CASE(test_tx__full_ring_takes_a_part),
		CASE(test_tx__false_completions_are_ignored),
		CASE(test_kick__keeps_what_did_not_go),
		CASE(test_claim__is_a_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
