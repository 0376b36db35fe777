/*
 * cut_test.c - tests of stack/udp/cut.c: datagrams that leave in fragments
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>

#include <lane/udp.h>

#include "stack/wire/eth.h"
#include "tests/sim/world.h"

#define MAX4 65507
#define MAX6 65527

static struct world w;
static struct lane_udp *from, *to; /* on lanes 1 and 0 */
static uint8_t text[65536], buf[65536];
static uint32_t nr_seen, nr_df;
static uint32_t last_id;

/* Sees what is sent: whole headers, within the MTU, every fragment but the last of 8n bytes. */
static void on_frame(void *arg, unsigned int end, const uint8_t *frame, size_t len)
{
	const uint8_t *ip = frame + LANE_ETH_HLEN;
	uint32_t n = (uint32_t)(len - LANE_ETH_HLEN);
	struct lane_ip_info info;

	(void)arg;
	assert_int_equal(lane_ip_parse(ip, n, n, &info), LANE_OK);
	/* The other end refuses what comes when nobody listens any more. */
	assert_int_equal(end, info.proto != LANE_PROTO_ICMP && info.proto != LANE_PROTO_ICMP6);
	if (end == 0)
		return;
	assert_true(n <= w.cfg.mtu);
	nr_seen++;
	nr_df += ip[0] >> 4 == 4 && (ip[6] & 0x40);
	if (!info.is_frag)
		return;
	last_id = info.frag_id;
	assert_true(!info.more_frags || info.l4_len % 8 == 0);
	assert_true(!info.more_frags || n > w.cfg.mtu - 8 || n > 1800);
}

static void open_world(uint32_t mtu, uint32_t caps)
{
	struct world_config cfg;
	struct lane_ep local = {.port = 7};

	world_config_default(&cfg);
	cfg.mtu = mtu;
	cfg.pair.caps = caps;
	cfg.pair.trace = on_frame;
	world_open(&w, &cfg);
	from = lane_udp_create(w.ln[1], 1);
	to = lane_udp_create(w.ln[0], 2);
	assert_int_equal(lane_udp_bind(w.ln[1], from, &local, false), 0);
	assert_int_equal(lane_udp_bind(w.ln[0], to, &local, false), 0);
	lane_udp_set_fragment(from, true);
	lane_udp_set_rcvbuf(to, 1 << 20);
	nr_seen = nr_df = 0;
	for (uint32_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 31 + i / 256);
}

static void close_world(void)
{
	lane_udp_put(w.ln[1], from);
	lane_udp_put(w.ln[0], to);
	world_run(&w, 61000000);
	for (unsigned int i = 0; i < 2; i++) {
		lane_check(w.ln[i]);
		assert_int_equal(w.ln[i]->st->bufs.nr_free, w.ln[i]->st->bufs.nr);
	}
	world_close(&w);
}

static ssize_t send_as(bool v6, size_t len, lane_copy_fn copy)
{
	struct lane_ep remote = {.ip = world_ip(0, v6), .port = 7};

	return lane_udp_write(w.ln[1], from, &remote, NULL, text, len, copy);
}

static void assert_through(bool v6, size_t len)
{
	assert_int_equal(send_as(v6, len, NULL), len);
	world_run(&w, 1000);
	assert_int_equal(lane_udp_read(w.ln[0], to, buf, sizeof(buf), false, NULL, NULL), len);
	assert_memory_equal(buf, text, len);
}

static void test_write__every_size_arrives(void **state)
{
	static const uint32_t sizes[] = {0,    1,    1452, 1453, 1472, 1473, 1474,
					 2952, 2953, 1848, 1849, 8000, 30001};

	(void)state;
	for (uint32_t k = 0; k < 8; k++) {
		bool v6 = k & 1;

		open_world(k < 4 ? 1500 : 9000, k & 2 ? LANE_CAP_TX_CSUM : 0);
		for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			assert_through(v6, sizes[i]);
		assert_through(v6, v6 ? MAX6 : MAX4);
		assert_int_equal(lane_stats(w.ln[0])->drops[LANE_DROP_UDP_CSUM], 0);
		close_world();
	}
}

static void test_write__df_where_it_fits_only(void **state)
{
	uint32_t id;

	(void)state;
	open_world(1500, 0);
	assert_through(false, 1472);
	assert_int_equal(nr_df, 1);
	assert_through(false, 1473);
	assert_int_equal(nr_seen, 3);
	assert_int_equal(nr_df, 1);
	id = last_id;
	assert_through(false, 5000);
	assert_int_not_equal(id, last_id);
	close_world();
}

static void test_write__refusals(void **state)
{
	(void)state;
	open_world(1500, 0);
	assert_int_equal(send_as(false, MAX4 + 1, NULL), -EMSGSIZE);
	assert_int_equal(send_as(true, MAX6 + 1, NULL), -EMSGSIZE);
	lane_udp_set_fragment(from, false);
	assert_int_equal(send_as(false, 1473, NULL), -EMSGSIZE);
	assert_int_equal(send_as(true, 1453, NULL), -EMSGSIZE);
	assert_int_equal(nr_seen, 0);
	close_world();
}

static unsigned int nr_copies;

static int copy_fault(void *dst, const void *src, size_t len)
{
	(void)dst;
	(void)src;
	(void)len;
	return ++nr_copies == 3 ? -EFAULT : 0;
}

static void test_write__all_or_nothing(void **state)
{
	struct lane_bufs *bs;
	struct lane_buf *held[1024];
	uint32_t nr = 0;

	(void)state;
	open_world(1500, 0);
	nr_copies = 0;
	assert_int_equal(send_as(false, 9000, copy_fault), -EFAULT);
	assert_int_equal(nr_copies, 3);
	bs = lane_bufs(w.ln[1]);
	assert_int_equal(bs->pool->nr_free, bs->nr);
	while (bs->pool->nr_free > 6)
		held[nr++] = lane_buf_alloc(bs);
	assert_int_equal(send_as(false, 9000, NULL), -EAGAIN);
	assert_int_equal(bs->pool->nr_free, 6);
	assert_int_equal(nr_seen, 0);
	assert_int_equal(send_as(false, 8000, NULL), 8000);
	assert_int_equal(nr_seen, 6);
	while (nr)
		lane_buf_free(bs, held[--nr]);
	close_world();
}

/* Fragments that wait for the next hop's MAC go in order when it is known. */
static void test_write__waits_for_neighbour(void **state)
{
	(void)state;
	open_world(1500, 0);
	world_set_neighbour(&w, 1, false);
	assert_int_equal(send_as(true, 9000, NULL), 9000);
	world_run(&w, 1000);
	assert_int_equal(nr_seen, 0);
	world_set_neighbour(&w, 1, true);
	world_run(&w, 1000);
	assert_int_equal(lane_udp_read(w.ln[0], to, buf, sizeof(buf), false, NULL, NULL), 9000);
	assert_memory_equal(buf, text, 9000);
	close_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write__every_size_arrives),
		cmocka_unit_test(test_write__df_where_it_fits_only),
		cmocka_unit_test(test_write__refusals),
		cmocka_unit_test(test_write__all_or_nothing),
		cmocka_unit_test(test_write__waits_for_neighbour),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
