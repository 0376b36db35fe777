/*
 * fault_test.c - tests of drivers/fault/fault.c
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "drivers/fault/fault.h"
#include "drivers/pair/pair.h"
#include "stack/wire/eth.h"
#include "stack/wire/icmp.h"
#include "stack/wire/ip.h"
#include "tests/unit/drivers/frames.h"

struct fixture {
	struct frames a, b;
	uint64_t now_us;
	struct lane_pair *pair;
	struct lane_queue *q; /* the faulty end */
};

static void open_fault(struct fixture *f, struct lane_fault_config cfg)
{
	struct lane_pair_config pair = {.now_us = &f->now_us};

	frames_init(&f->a);
	frames_init(&f->b);
	f->now_us = 1000;
	f->pair = lane_pair_create(&pair, &f->a.bs, &f->b.bs);
	assert_non_null(f->pair);
	cfg.now_us = &f->now_us;
	assert_int_equal(lane_fault_open(&cfg, lane_pair_queue(f->pair, 1), &f->q), 0);
}

static void close_fault(struct fixture *f)
{
	f->q->drv->close(f->q);
	lane_pair_destroy(f->pair);
	assert_int_equal(f->a.pool.nr_free, NR_FRAMES);
	assert_int_equal(f->b.pool.nr_free, NR_FRAMES);
}

static void send(struct fixture *f, uint16_t len)
{
	struct lane_queue *a = lane_pair_queue(f->pair, 0);
	struct lane_buf *b = frames_packet(&f->a, len);

	assert_int_equal(a->drv->tx_burst(a, &b, 1), 1);
}

static uint16_t receive(struct fixture *f, struct lane_buf *got[LANE_BURST])
{
	return f->q->drv->rx_burst(f->q, got, LANE_BURST);
}

static void test_none__passes(void **state)
{
	struct fixture f;
	struct lane_buf *got[LANE_BURST];

	open_fault(&f, (struct lane_fault_config){.seed = 1});
	send(&f, 60);
	assert_int_equal(receive(&f, got), 1);
	assert_int_equal(got[0]->pkt_len, 60);
	lane_buf_free(&f.b.bs, got[0]);
	close_fault(&f);
}

static void test_loss__all_or_about_half(void **state)
{
	struct fixture f;
	struct lane_buf *got[LANE_BURST];
	unsigned int nr = 0;

	open_fault(&f, (struct lane_fault_config){.seed = 1, .loss = 1000000});
	send(&f, 60);
	assert_int_equal(receive(&f, got), 0);
	lane_fault_set(f.q, &(struct lane_fault_config){.loss = 500000});
	for (unsigned int i = 0; i < 1000; i++) {
		send(&f, 60);
		if (receive(&f, got) == 0)
			continue;
		lane_buf_free(&f.b.bs, got[0]);
		nr++;
	}
	assert_in_range(nr, 400, 600);
	assert_int_equal(lane_fault_stats(f.q)->nr_lost, 1001 - nr);
	close_fault(&f);
}

static void test_dup__arrives_twice(void **state)
{
	struct fixture f;
	struct lane_buf *got[LANE_BURST];

	open_fault(&f, (struct lane_fault_config){.seed = 1, .dup = 1000000});
	send(&f, 60);
	assert_int_equal(receive(&f, got), 2);
	assert_memory_equal(lane_buf_data(&f.b.bs, got[0]), lane_buf_data(&f.b.bs, got[1]), 60);
	lane_buf_free(&f.b.bs, got[0]);
	lane_buf_free(&f.b.bs, got[1]);
	close_fault(&f);
}

static void test_delay__by_the_clock(void **state)
{
	struct fixture f;
	struct lane_buf *got[LANE_BURST];

	open_fault(&f, (struct lane_fault_config){.seed = 1, .delay_us = 50});
	send(&f, 60);
	assert_int_equal(receive(&f, got), 0);
	assert_int_equal(lane_fault_next(f.q), 1050);
	f.now_us = 1050;
	assert_int_equal(receive(&f, got), 1);
	assert_int_equal(lane_fault_next(f.q), UINT64_MAX);
	lane_buf_free(&f.b.bs, got[0]);
	close_fault(&f);
}

/* Jitter alone keeps the order, reordering does not. */
static void test_jitter_and_reorder__order(void **state)
{
	struct fixture f;
	struct lane_buf *got[LANE_BURST];
	bool out_of_order = false;
	uint16_t nr;

	for (unsigned int pass = 0; pass < 2; pass++) {
		open_fault(&f, (struct lane_fault_config){
				       .seed = 7,
				       .jitter_us = pass ? 0 : 100,
				       .reorder = pass ? 500000 : 0,
				       .reorder_us = 1000,
			       });
		for (uint16_t i = 0; i < 12; i++)
			send(&f, (uint16_t)(60 + i));
		nr = receive(&f, got);
		f.now_us += 10000;
		nr += f.q->drv->rx_burst(f.q, got + nr, (uint16_t)(LANE_BURST - nr));
		assert_int_equal(nr, 12);
		for (uint16_t i = 0; i < nr; i++) {
			if (pass)
				out_of_order |= got[i]->pkt_len != 60u + i;
			else
				assert_int_equal(got[i]->pkt_len, 60 + i);
			lane_buf_free(&f.b.bs, got[i]);
		}
		close_fault(&f);
	}
	assert_true(out_of_order);
}

static void test_corrupt__flips_one_bit(void **state)
{
	struct fixture f;
	struct lane_buf *got[LANE_BURST];
	unsigned int nr = 0;

	open_fault(&f, (struct lane_fault_config){.seed = 1, .corrupt = 1000000});
	send(&f, 60);
	assert_int_equal(receive(&f, got), 1);
	for (unsigned int i = 0; i < 60; i++)
		nr += (unsigned int)__builtin_popcount(lane_buf_data(&f.b.bs, got[0])[i] ^ i);
	assert_int_equal(nr, 1);
	lane_buf_free(&f.b.bs, got[0]);
	close_fault(&f);
}

/* A datagram over IPv6 in fragments, which lie in order and carry every byte; other packets pass. */
static void test_cut__in_fragments(void **state)
{
	struct lane_ip_info info = {.proto = LANE_PROTO_UDP, .l4_len = 1000}, part;
	struct lane_eth_hdr eth = {.type = lane_be16_of(LANE_ETH_IP6)};
	struct lane_buf *got[LANE_BURST], *b;
	struct lane_queue *a;
	struct fixture f;
	uint16_t nr;

	(void)state;
	open_fault(&f, (struct lane_fault_config){.seed = 4, .cut = 1000000});
	send(&f, 60);
	assert_int_equal(receive(&f, got), 1);
	lane_buf_free_packet(&f.b.bs, got[0]);
	info.src.b[0] = info.dst.b[0] = 0xfd;
	b = frames_packet(&f.a, 14 + 40 + 1000);
	memcpy(lane_buf_data(&f.a.bs, b), &eth, sizeof(eth));
	lane_ip_emit(lane_buf_data(&f.a.bs, b) + 14, &info, 0);
	a = lane_pair_queue(f.pair, 0);
	assert_int_equal(a->drv->tx_burst(a, &b, 1), 1);
	nr = receive(&f, got);
	assert_true(nr > 1 && lane_fault_stats(f.q)->nr_cut == 1);
	for (uint16_t i = 0, at = 0; i < nr; i++) {
		const uint8_t *p = lane_buf_data(&f.b.bs, got[i]) + 14;

		assert_int_equal(lane_ip_parse(p, got[i]->len - 14u, got[i]->pkt_len - 14u, &part),
				 LANE_OK);
		assert_true(part.is_frag && part.more_frags == (i < nr - 1));
		assert_int_equal(part.frag_off, at);
		assert_int_equal(p[part.hlen], (uint8_t)(54 + at));
		at += (uint16_t)part.l4_len;
		assert_int_equal(at == 1000, i == nr - 1);
		lane_buf_free_packet(&f.b.bs, got[i]);
	}
	close_fault(&f);
}

/* A datagram of 1,000 bytes to port 4660, with DF. */
static void send_udp(struct fixture *f, bool v6, bool df)
{
	struct lane_ip_info info = {.src = lane_ip4(0x0100000a), .dst = lane_ip4(0x0200000a),
				    .proto = LANE_PROTO_UDP, .l4_len = 1000};
	struct lane_eth_hdr eth = {.type = lane_be16_of(v6 ? LANE_ETH_IP6 : LANE_ETH_IP4)};
	struct lane_buf *b = frames_packet(&f->a, (uint16_t)(14 + (v6 ? 40 : 20) + 1000));
	struct lane_queue *a = lane_pair_queue(f->pair, 0);
	uint8_t *p = lane_buf_data(&f->a.bs, b);

	if (v6) {
		memset(&info.src, 0, sizeof(info.src));
		memset(&info.dst, 0, sizeof(info.dst));
		info.src.b[0] = info.dst.b[0] = 0xfd;
		info.src.b[15] = 1;
	}
	memcpy(p, &eth, sizeof(eth));
	lane_ip_emit(p + 14, &info, 1);
	if (!v6)
		p[14 + 6] = df ? 0x40 : 0;
	p[14 + (v6 ? 40 : 20) + 2] = 0x12;
	p[14 + (v6 ? 40 : 20) + 3] = 0x34;
	assert_int_equal(a->drv->tx_burst(a, &b, 1), 1);
}

/* What comes back to the sender: the error that a lane would believe. */
static void check_error(struct fixture *f, uint32_t mtu)
{
	struct lane_queue *a = lane_pair_queue(f->pair, 0);
	struct lane_icmp_info icmp;
	struct lane_ip_info ip;
	struct lane_buf *b;
	const uint8_t *p;

	assert_int_equal(a->drv->rx_burst(a, &b, 1), 1);
	p = lane_buf_data(&f->a.bs, b) + 14;
	assert_int_equal(lane_ip_parse(p, b->len - 14u, b->pkt_len - 14u, &ip), LANE_OK);
	assert_int_equal(lane_icmp_parse(p + ip.hlen, ip.l4_len, &ip.src, &ip.dst, &icmp), LANE_OK);
	assert_int_equal(icmp.kind, LANE_ICMP_TOO_BIG);
	assert_int_equal(icmp.mtu, mtu);
	assert_int_equal(icmp.proto, LANE_PROTO_UDP);
	assert_int_equal(icmp.remote.port, 0x1234);
	lane_buf_free_packet(&f->a.bs, b);
}

static void test_mtu__answered_but_for_a_hole(void **state)
{
	struct lane_buf *got[LANE_BURST];
	struct lane_queue *a;
	struct fixture f;

	(void)state;
	open_fault(&f, (struct lane_fault_config){.seed = 1, .mtu = 1019});
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		send_udp(&f, v6, true);
		assert_int_equal(receive(&f, got), 0);
		check_error(&f, 1019);
	}
	a = lane_pair_queue(f.pair, 0);
	send_udp(&f, false, false);
	lane_fault_set(f.q, &(struct lane_fault_config){.mtu = 1019, .mtu_hole = true});
	send_udp(&f, true, true);
	assert_int_equal(receive(&f, got), 0);
	assert_int_equal(a->drv->rx_burst(a, got, 1), 0);
	assert_int_equal(lane_fault_stats(f.q)->nr_too_big, 4);
	/* What fits passes. */
	lane_fault_set(f.q, &(struct lane_fault_config){.mtu = 1020});
	send_udp(&f, false, true);
	assert_int_equal(receive(&f, got), 1);
	lane_buf_free_packet(&f.b.bs, got[0]);
	close_fault(&f);
}

static void test_close__gives_back_what_is_held(void **state)
{
	struct fixture f;
	struct lane_buf *got[LANE_BURST];

	open_fault(&f, (struct lane_fault_config){.seed = 1, .delay_us = 50});
	send(&f, 60);
	assert_int_equal(receive(&f, got), 0);
	assert_int_equal(f.b.pool.nr_free, NR_FRAMES - 1);
	close_fault(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none__passes),
		cmocka_unit_test(test_loss__all_or_about_half),
		cmocka_unit_test(test_dup__arrives_twice),
		cmocka_unit_test(test_delay__by_the_clock),
		cmocka_unit_test(test_jitter_and_reorder__order),
		cmocka_unit_test(test_corrupt__flips_one_bit),
		cmocka_unit_test(test_cut__in_fragments),
		cmocka_unit_test(test_mtu__answered_but_for_a_hole),
		cmocka_unit_test(test_close__gives_back_what_is_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
