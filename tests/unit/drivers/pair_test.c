/*
 * pair_test.c - tests of drivers/pair/pair.c
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "drivers/pair/pair.h"
#include "stack/base/csum.h"
#include "tests/unit/drivers/frames.h"

struct fixture {
	struct frames a, b;
	uint64_t now_us;
	struct lane_pair *pair;
};

static void open_pair(struct fixture *f, struct lane_pair_config cfg)
{
	frames_init(&f->a);
	frames_init(&f->b);
	f->now_us = 1000;
	cfg.now_us = &f->now_us;
	f->pair = lane_pair_create(&cfg, &f->a.bs, &f->b.bs);
	assert_non_null(f->pair);
}

static void close_pair(struct fixture *f)
{
	lane_pair_destroy(f->pair);
	assert_int_equal(f->a.pool.nr_free, NR_FRAMES);
	assert_int_equal(f->b.pool.nr_free, NR_FRAMES);
}

static uint16_t tx(struct lane_queue *q, struct lane_buf *b)
{
	return q->drv->tx_burst(q, &b, 1);
}

static uint16_t rx(struct lane_queue *q, struct lane_buf **b)
{
	return q->drv->rx_burst(q, b, 1);
}

static void test_tx__holds_the_frame_until_it_arrives(void **state)
{
	struct fixture f;
	struct lane_queue *a, *b;
	struct lane_buf *sent, *got;

	open_pair(&f, (struct lane_pair_config){.delay_us = 10});
	a = lane_pair_queue(f.pair, 0);
	b = lane_pair_queue(f.pair, 1);
	sent = frames_packet(&f.a, 100);
	assert_int_equal(tx(a, sent), 1);
	assert_true(sent->flags & LANE_BUF_TX);
	assert_int_equal(lane_pair_next(f.pair), 1010);
	assert_int_equal(rx(b, &got), 0);
	f.now_us = 1010;
	assert_int_equal(rx(b, &got), 1);
	assert_int_equal(f.a.pool.nr_free, NR_FRAMES);
	assert_int_equal(got->pkt_len, 100);
	assert_int_equal(lane_buf_data(&f.b.bs, got)[99], 99);
	assert_int_equal(lane_pair_next(f.pair), UINT64_MAX);
	lane_buf_free_packet(&f.b.bs, got);
	close_pair(&f);
}

static void test_tx__full_ring_refuses(void **state)
{
	struct fixture f;
	struct lane_queue *a;
	struct lane_buf *more;

	open_pair(&f, (struct lane_pair_config){.ring_size = 2});
	a = lane_pair_queue(f.pair, 0);
	assert_int_equal(tx(a, frames_packet(&f.a, 60)), 1);
	assert_int_equal(tx(a, frames_packet(&f.a, 60)), 1);
	more = frames_packet(&f.a, 60);
	assert_int_equal(tx(a, more), 0);
	lane_buf_free(&f.a.bs, more);
	close_pair(&f);
}

static void test_rx__long_packet_is_a_chain(void **state)
{
	struct fixture f;
	struct lane_buf *got, *second;

	open_pair(&f, (struct lane_pair_config){.piece = 64});
	assert_int_equal(tx(lane_pair_queue(f.pair, 0), frames_packet(&f.a, 150)), 1);
	assert_int_equal(rx(lane_pair_queue(f.pair, 1), &got), 1);
	assert_int_equal(got->pkt_len, 150);
	assert_int_equal(got->len, 64);
	assert_true(got->flags & LANE_BUF_MORE);
	second = lane_buf_at(&f.b.bs, got->next);
	assert_int_equal(lane_buf_data(&f.b.bs, second)[0], 64);
	assert_int_equal(f.b.pool.nr_free, NR_FRAMES - 3);
	lane_buf_free_packet(&f.b.bs, got);
	close_pair(&f);
}

static void test_rx__no_frames_loses_and_counts(void **state)
{
	struct fixture f;
	struct lane_buf *got, *taken[NR_FRAMES];

	open_pair(&f, (struct lane_pair_config){0});
	for (unsigned int i = 0; i < NR_FRAMES; i++)
		taken[i] = lane_buf_alloc(&f.b.bs);
	assert_int_equal(tx(lane_pair_queue(f.pair, 0), frames_packet(&f.a, 60)), 1);
	assert_int_equal(rx(lane_pair_queue(f.pair, 1), &got), 0);
	assert_int_equal(lane_pair_nr_lost(f.pair), 1);
	for (unsigned int i = 0; i < NR_FRAMES; i++)
		lane_buf_free(&f.b.bs, taken[i]);
	close_pair(&f);
}

/* A packet whose sum over everything from byte 20 on is to be finished at byte 30. */
static struct lane_buf *partial_packet(struct fixture *f)
{
	struct lane_buf *b = frames_packet(&f->a, 64);
	uint8_t *p = lane_buf_data(&f->a.bs, b);

	memset(p + 30, 0, 2);
	b->flags |= LANE_BUF_CSUM;
	b->csum_start = 20;
	b->csum_off = 10;
	return b;
}

static void test_csum__finished_like_a_nic(void **state)
{
	struct fixture f;
	struct lane_buf *got;
	const uint8_t *p;

	open_pair(&f, (struct lane_pair_config){.caps = LANE_CAP_TX_CSUM});
	assert_int_equal(tx(lane_pair_queue(f.pair, 0), partial_packet(&f)), 1);
	assert_int_equal(rx(lane_pair_queue(f.pair, 1), &got), 1);
	p = lane_buf_data(&f.b.bs, got);
	assert_int_equal(lane_csum_fold(lane_csum_add(0, p + 20, 44)), 0xffff);
	assert_false(got->flags & LANE_BUF_PARTIAL_OK);
	lane_buf_free(&f.b.bs, got);
	close_pair(&f);
}

static void test_csum__left_like_veth(void **state)
{
	struct fixture f;
	struct lane_buf *got;

	open_pair(&f, (struct lane_pair_config){.caps = LANE_CAP_TX_CSUM, .partial = true});
	assert_int_equal(tx(lane_pair_queue(f.pair, 0), partial_packet(&f)), 1);
	assert_int_equal(rx(lane_pair_queue(f.pair, 1), &got), 1);
	assert_int_equal(lane_buf_data(&f.b.bs, got)[30], 0);
	assert_true(got->flags & LANE_BUF_PARTIAL_OK);
	lane_buf_free(&f.b.bs, got);
	close_pair(&f);
}

static void test_close__gives_back_what_is_under_way(void **state)
{
	struct fixture f;
	struct lane_queue *a;

	open_pair(&f, (struct lane_pair_config){0});
	a = lane_pair_queue(f.pair, 0);
	assert_int_equal(tx(a, frames_packet(&f.a, 60)), 1);
	a->drv->close(a);
	assert_int_equal(f.a.pool.nr_free, NR_FRAMES);
	close_pair(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tx__holds_the_frame_until_it_arrives),
		cmocka_unit_test(test_tx__full_ring_refuses),
		cmocka_unit_test(test_rx__long_packet_is_a_chain),
		cmocka_unit_test(test_rx__no_frames_loses_and_counts),
		cmocka_unit_test(test_csum__finished_like_a_nic),
		cmocka_unit_test(test_csum__left_like_veth),
		cmocka_unit_test(test_close__gives_back_what_is_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
