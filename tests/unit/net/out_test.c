/*
 * out_test.c - tests of stack/net/path.c and ip_out.c, seen from the cable
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>

#include <lane/udp.h>

#include "stack/wire/eth.h"
#include "tests/sim/world.h"

#define PORT 7000

static struct world w;
static struct lane_udp *udp[2];

static void open_world(struct world_config *cfg)
{
	struct lane_ep local = {.port = PORT};

	world_open(&w, cfg);
	for (unsigned int i = 0; i < 2; i++) {
		udp[i] = lane_udp_create(w.ln[i], 1);
		assert_int_equal(lane_udp_bind(w.ln[i], udp[i], &local, false), 0);
	}
}

static void close_world(void)
{
	for (unsigned int i = 0; i < 2; i++)
		lane_udp_put(w.ln[i], udp[i]);
	world_run(&w, 5000000);
	for (unsigned int i = 0; i < 2; i++) {
		lane_check(w.ln[i]);
		assert_int_equal(w.ln[i]->st->bufs.nr_free, w.ln[i]->st->bufs.nr);
	}
	world_close(&w);
}

static ssize_t send_to(unsigned int from, bool v6, size_t len)
{
	static const uint8_t text[4096];
	struct lane_ep remote = {.ip = world_ip(!from, v6), .port = PORT};

	return lane_udp_write(w.ln[from], udp[from], &remote, NULL, text, len, NULL);
}

static uint64_t drops(unsigned int i, enum lane_drop why)
{
	return lane_stats(w.ln[i])->drops[why];
}

static void test_path__answers_the_mac_it_came_from(void **state)
{
	struct world_config cfg;
	struct lane_path path = {0};
	struct lane_ip src = {.d = {0, 0}}, dst = world_ip(0, false);
	struct lane_mac mac = world_mac(0);

	world_config_default(&cfg);
	cfg.no_neighbours = true;
	open_world(&cfg);
	world_set_neighbour(&w, 0, true);
	assert_int_equal(lane_path_update(w.ln[1], &path, &src, &dst), -EAGAIN);
	assert_int_equal(send_to(0, false, 10), 10);
	world_run(&w, 1000);
	assert_int_equal(lane_udp_nr_queued(udp[1]), 1);
	assert_int_equal(lane_path_update(w.ln[1], &path, &src, &dst), 0);
	assert_true(path.from_peer);
	assert_memory_equal(&path.mac, &mac, sizeof(mac));
	/* As soon as the mirror knows, its word counts. */
	world_set_neighbour(&w, 1, true);
	assert_int_equal(lane_path_update(w.ln[1], &path, &src, &dst), 0);
	assert_false(path.from_peer);
	close_world();
}

static void test_path__follows_routes_and_mtu(void **state)
{
	struct world_config cfg;
	struct lane_path path = {0};
	struct lane_ip src = {.d = {0, 0}}, dst = world_ip(1, true), own = world_ip(0, true);
	struct lane_nettab *t;

	world_config_default(&cfg);
	open_world(&cfg);
	t = lane_nettab(w.ln[0]);
	assert_int_equal(lane_path_update(w.ln[0], &path, &src, &dst), 0);
	assert_true(lane_ip_equal(&src, &own));
	assert_int_equal(path.mtu, 1500);
	lane_net_write_begin(t);
	t->mtu = 1300;
	lane_net_write_end(t, true);
	assert_int_equal(lane_path_update(w.ln[0], &path, &src, &dst), 0);
	assert_int_equal(path.mtu, 1300);
	lane_net_write_begin(t);
	t->nr_routes = 0;
	lane_net_write_end(t, true);
	assert_int_equal(lane_path_update(w.ln[0], &path, &src, &dst), -ENETUNREACH);
	close_world();
}

static void test_out__waits_for_the_neighbour(void **state)
{
	struct world_config cfg;

	world_config_default(&cfg);
	cfg.no_neighbours = true;
	open_world(&cfg);
	assert_int_equal(send_to(0, false, 10), 10);
	assert_int_equal(send_to(0, true, 10), 10);
	world_run(&w, 10000);
	assert_int_equal(w.ln[0]->st->nr_pending, 2);
	lane_check(w.ln[0]);
	world_set_neighbour(&w, 0, true);
	world_run(&w, 10000);
	assert_int_equal(w.ln[0]->st->nr_pending, 0);
	assert_int_equal(lane_udp_nr_queued(udp[1]), 2);
	close_world();
}

static void test_out__gives_up_without_neighbour(void **state)
{
	struct world_config cfg;

	world_config_default(&cfg);
	cfg.no_neighbours = true;
	open_world(&cfg);
	for (unsigned int i = 0; i < LANE_NR_PENDING + 1; i++)
		assert_int_equal(send_to(0, false, 10), 10);
	assert_int_equal(drops(0, LANE_DROP_NO_NEIGHBOUR), 1);
	world_run(&w, 2 * LANE_PENDING_US);
	assert_int_equal(drops(0, LANE_DROP_NO_NEIGHBOUR), LANE_NR_PENDING + 1);
	assert_int_equal(w.ln[0]->st->nr_pending, 0);
	close_world();
}

static void test_out__full_ring_waits_in_order(void **state)
{
	struct world_config cfg;
	struct lane_udp_msg msg;
	uint8_t buf[100];

	world_config_default(&cfg);
	cfg.pair.ring_size = 2;
	open_world(&cfg);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(send_to(0, false, 10 + i), 10 + i);
	assert_int_equal(w.ln[0]->st->nr_txq, 4);
	lane_check(w.ln[0]);
	world_run(&w, 10000);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(
			lane_udp_read(w.ln[1], udp[1], buf, sizeof(buf), false, &msg, NULL),
			10 + i);
	close_world();
}

/* Without the driver's help, and with it, the other side finds the sum right. */
static void test_out__checksums(void **state)
{
	struct world_config cfg;

	for (unsigned int how = 0; how < 3; how++) {
		world_config_default(&cfg);
		cfg.pair.caps = how ? LANE_CAP_TX_CSUM : 0;
		cfg.pair.partial = how == 2;
		open_world(&cfg);
		for (size_t len = 0; len < 50; len++) {
			assert_int_equal(send_to(0, false, len), len);
			assert_int_equal(send_to(0, true, len), len);
			world_run(&w, 10);
		}
		assert_int_equal(lane_udp_nr_queued(udp[1]), 100);
		assert_int_equal(drops(1, LANE_DROP_UDP_CSUM), 0);
		close_world();
	}
}

static unsigned int nr_zero, nr_ones; /* UDP checksum fields */

static void look_at_sum(void *arg, unsigned int end, const uint8_t *frame, size_t len)
{
	const uint8_t *sum = frame + LANE_ETH_HLEN + (frame[12] == 0x08 ? 20 : 40) + 6;

	if (end != 0)
		return; /* what nobody has taken is refused by ICMP */
	nr_zero += sum[0] == 0 && sum[1] == 0;
	nr_ones += sum[0] == 0xff && sum[1] == 0xff;
}

/* RFC 768, RFC 8200 8.1: a sum that is 0 leaves as all ones, which is the same; 0 means that there is none. */
static void test_out__no_udp_sum_of_0(void **state)
{
	struct world_config cfg;
	struct lane_ep remote = {.port = 9};

	(void)state;
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		world_config_default(&cfg);
		cfg.pair.trace = look_at_sum;
		nr_zero = nr_ones = 0;
		open_world(&cfg);
		remote.ip = world_ip(1, v6);
		/* One of all words of text makes the sum 0. */
		for (uint32_t word = 0; word < 65536; word++) {
			assert_int_equal(lane_udp_write(w.ln[0], udp[0], &remote, NULL, &word, 2, NULL), 2);
			if (word % 16 == 15)
				world_turn(&w);
		}
		assert_int_equal(nr_zero, 0);
		assert_int_equal(nr_ones, 1);
		close_world();
	}
}

#define TXQ_MOST 512 /* ip_out.c's */

static void test_out__txq_is_bounded(void **state)
{
	struct world_config cfg;

	(void)state;
	world_config_default(&cfg);
	cfg.pair.ring_size = 8;
	open_world(&cfg);
	for (unsigned int i = 0; i < 8 + TXQ_MOST + 80; i++)
		assert_int_equal(send_to(0, false, 10), 10);
	assert_int_equal(w.ln[0]->st->nr_txq, TXQ_MOST);
	assert_int_equal(drops(0, LANE_DROP_TX_FULL), 80);
	close_world();
}

/* A driver that gathers what a turn sends. */
static struct {
	struct lane_buf *buf[8];
	unsigned int nr, nr_flushes;
	const struct lane_driver *inner;
} gathered;

static uint16_t gather(struct lane_queue *q, struct lane_buf *bufs[], uint16_t n)
{
	assert_true(gathered.nr + n <= 8);
	for (uint16_t i = 0; i < n; i++) {
		bufs[i]->flags |= LANE_BUF_TX;
		gathered.buf[gathered.nr++] = bufs[i];
	}
	q->nr_unkicked = gathered.nr;
	return n;
}

/* One at a time, as if the device had no more room. */
static void flush_one(struct lane_queue *q)
{
	gathered.nr_flushes++;
	assert_int_equal(gathered.inner->tx_burst(q, gathered.buf, 1), 1);
	gathered.nr--;
	memmove(gathered.buf, gathered.buf + 1, gathered.nr * sizeof(gathered.buf[0]));
	q->nr_unkicked = gathered.nr;
}

/* Once a turn, under the lock; what is left then brings the lane back, with nothing new to send. */
static void test_flush__gathered_frames(void **state)
{
	struct lane_driver gathering;
	struct world_config cfg;
	struct lane_queue *q;

	world_config_default(&cfg);
	open_world(&cfg);
	q = lane_queue(w.ln[0], 0);
	memset(&gathered, 0, sizeof(gathered));
	gathered.inner = q->drv;
	gathering = *q->drv;
	gathering.tx_burst = gather;
	gathering.flush = flush_one;
	gathering.kick = NULL;
	q->drv = &gathering;
	lane_flush(w.ln[0]);
	assert_int_equal(gathered.nr_flushes, 0);
	assert_int_equal(send_to(0, false, 10), 10);
	assert_int_equal(send_to(0, true, 20), 20);
	assert_int_equal(gathered.nr, 2);
	lane_flush(w.ln[0]);
	assert_int_equal(gathered.nr, 1);
	assert_true(lane_next_timer(w.ln[0]) <= w.ln[0]->now_us + 10000);
	lane_flush(w.ln[0]);
	lane_flush(w.ln[0]);
	assert_int_equal(gathered.nr_flushes, 2);
	q->drv = gathered.inner;
	q->nr_unkicked = 0;
	world_run(&w, 1000);
	assert_int_equal(lane_udp_nr_queued(udp[1]), 2);
	close_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path__answers_the_mac_it_came_from),
		cmocka_unit_test(test_path__follows_routes_and_mtu),
		cmocka_unit_test(test_out__waits_for_the_neighbour),
		cmocka_unit_test(test_out__gives_up_without_neighbour),
		cmocka_unit_test(test_out__full_ring_waits_in_order),
		cmocka_unit_test(test_out__checksums),
		cmocka_unit_test(test_out__no_udp_sum_of_0),
		cmocka_unit_test(test_out__txq_is_bounded),
		cmocka_unit_test(test_flush__gathered_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
