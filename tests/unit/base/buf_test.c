/*
 * buf_test.c - tests of stack/base/buf.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <lane/buf.h>

#define NR     8
#define STRIDE 2112

static struct lane_buf meta[NR];
static uint8_t frames[NR * STRIDE];
static struct lane_buf_pool pool;
static struct lane_bufs bufs = {meta, frames, &pool, NR, STRIDE, 2048};

static int setup(void **state)
{
	(void)state;
	memset(meta, 0xa5, sizeof(meta));
	lane_buf_pool_init(&bufs);
	return 0;
}

static void test_alloc__gives_each_frame_once(void **state)
{
	uint8_t seen[NR] = {0};

	(void)state;
	for (int i = 0; i < NR; i++) {
		struct lane_buf *b = lane_buf_alloc(&bufs);

		assert_non_null(b);
		assert_int_equal(b->off, LANE_HEADROOM);
		assert_int_equal(b->len, 0);
		assert_int_equal(b->flags, 0);
		assert_int_equal(b->owner, 0);
		assert_int_equal(b->next, LANE_NIL);
		assert_int_equal(b->tx_us, 0);
		assert_int_equal(seen[lane_buf_index(&bufs, b)]++, 0);
	}
	assert_int_equal(pool.nr_free, 0);
	assert_int_equal(pool.nr_low, 0);
}

static void test_alloc__empty_pool_gives_null(void **state)
{
	(void)state;
	for (int i = 0; i < NR; i++)
		assert_non_null(lane_buf_alloc(&bufs));
	assert_null(lane_buf_alloc(&bufs));
	lane_buf_free(&bufs, &meta[3]);
	assert_ptr_equal(lane_buf_alloc(&bufs), &meta[3]);
	assert_null(lane_buf_alloc(&bufs));
}

static void test_alloc__damaged_head_gives_null(void **state)
{
	(void)state;
	pool.free_head = NR;
	assert_null(lane_buf_alloc(&bufs));
}

static void test_free__last_freed_is_next(void **state)
{
	struct lane_buf *a = lane_buf_alloc(&bufs), *b = lane_buf_alloc(&bufs);

	(void)state;
	lane_buf_free(&bufs, b);
	lane_buf_free(&bufs, a);
	assert_ptr_equal(lane_buf_alloc(&bufs), a);
	assert_ptr_equal(lane_buf_alloc(&bufs), b);
	assert_int_equal(pool.nr_low, NR - 2);
}

static void test_free__waits_for_the_driver(void **state)
{
	struct lane_buf *b = lane_buf_alloc(&bufs);

	(void)state;
	b->flags = LANE_BUF_SNDQ | LANE_BUF_TX;
	lane_buf_free(&bufs, b); /* acknowledged before its completion */
	assert_int_equal(b->flags, LANE_BUF_TX);
	assert_int_equal(pool.nr_free, NR - 1);
	lane_buf_tx_done(&bufs, b);
	assert_int_equal(b->flags, LANE_BUF_FREE);
	assert_int_equal(pool.nr_free, NR);
}

static void test_free_packet__frees_the_chain_only(void **state)
{
	struct lane_buf *b[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		b[i] = lane_buf_alloc(&bufs);
	/* A packet of three frames, and another one queued behind it. */
	for (int i = 0; i < 3; i++)
		b[i]->next = lane_buf_index(&bufs, b[i + 1]);
	b[0]->flags = b[1]->flags = LANE_BUF_MORE;
	assert_int_equal(lane_buf_free_packet(&bufs, b[0]), lane_buf_index(&bufs, b[3]));
	assert_int_equal(pool.nr_free, NR - 1);
	assert_int_equal(lane_buf_free_packet(&bufs, b[3]), LANE_NIL);
	assert_int_equal(pool.nr_free, NR);
}

static void test_free_packet__ends_at_a_broken_link(void **state)
{
	struct lane_buf *b = lane_buf_alloc(&bufs);

	(void)state;
	b->flags = LANE_BUF_MORE;
	b->next = NR + 7;
	assert_int_equal(lane_buf_free_packet(&bufs, b), LANE_NIL);
	assert_int_equal(pool.nr_free, NR);
}

static void test_tx_done__send_queue_keeps_it(void **state)
{
	struct lane_buf *b = lane_buf_alloc(&bufs);

	(void)state;
	b->flags = LANE_BUF_SNDQ | LANE_BUF_TX;
	lane_buf_tx_done(&bufs, b);
	assert_int_equal(b->flags, LANE_BUF_SNDQ);
	assert_int_equal(pool.nr_free, NR - 1);
	lane_buf_free(&bufs, b);
	assert_int_equal(pool.nr_free, NR);
}

static void test_tx_done__frees_what_nobody_else_holds(void **state)
{
	struct lane_buf *b = lane_buf_alloc(&bufs);

	(void)state;
	b->flags = LANE_BUF_TX; /* an ACK */
	lane_buf_tx_done(&bufs, b);
	assert_int_equal(pool.nr_free, NR);
}

static void test_pool_init__takes_all_back(void **state)
{
	(void)state;
	for (int i = 0; i < NR; i++)
		lane_buf_alloc(&bufs)->flags = LANE_BUF_SNDQ | LANE_BUF_TX;
	lane_buf_pool_init(&bufs);
	assert_int_equal(pool.nr_free, NR);
	for (int i = 0; i < NR; i++)
		assert_non_null(lane_buf_alloc(&bufs));
	assert_null(lane_buf_alloc(&bufs));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_alloc__gives_each_frame_once, setup),
		cmocka_unit_test_setup(test_alloc__empty_pool_gives_null, setup),
		cmocka_unit_test_setup(test_alloc__damaged_head_gives_null, setup),
		cmocka_unit_test_setup(test_free__last_freed_is_next, setup),
		cmocka_unit_test_setup(test_free__waits_for_the_driver, setup),
		cmocka_unit_test_setup(test_free_packet__frees_the_chain_only, setup),
		cmocka_unit_test_setup(test_free_packet__ends_at_a_broken_link, setup),
		cmocka_unit_test_setup(test_tx_done__send_queue_keeps_it, setup),
		cmocka_unit_test_setup(test_tx_done__frees_what_nobody_else_holds, setup),
		cmocka_unit_test_setup(test_pool_init__takes_all_back, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
