/*
 * rx_test.c - tests of stack/rx.c: what is dropped, and under which name
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <lane/udp.h>

#include "stack/base/csum.h"
#include "stack/wire/eth.h"
#include "stack/wire/udp.h"
#include "tests/sim/world.h"

#define PORT 7000

/* A datagram from lane 1's address to lane 0, to be spoiled. */
struct packet {
	struct lane_eth_hdr eth;
	uint16_t vlan; /* 0: no tag, else the tag control field */
	struct lane_ip src, dst;
	uint8_t proto;
	uint16_t len;      /* of the text */
	uint16_t trailing; /* bytes behind the IP packet */
	uint16_t piece;    /* cut into frames of so many bytes, 0: one frame */
	bool no_csum, partial;
};

static struct world w;
static struct lane_udp *pcb;

static int setup(void **state)
{
	struct world_config cfg;
	struct lane_ep local = {.port = PORT};

	(void)state;
	world_config_default(&cfg);
	world_open(&w, &cfg);
	pcb = lane_udp_create(w.ln[0], 1);
	assert_int_equal(lane_udp_bind(w.ln[0], pcb, &local, false), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lane_udp_put(w.ln[0], pcb);
	lane_check(w.ln[0]);
	assert_int_equal(w.ln[0]->st->bufs.nr_free, w.ln[0]->st->bufs.nr);
	world_close(&w);
	return 0;
}

static struct packet packet(bool v6)
{
	return (struct packet){
		.eth = {.dst = world_mac(0),
			.src = world_mac(1),
			.type = lane_be16_of(v6 ? LANE_ETH_IP6 : LANE_ETH_IP4)},
		.src = world_ip(1, v6),
		.dst = world_ip(0, v6),
		.proto = LANE_PROTO_UDP,
		.len = 100,
	};
}

static uint32_t put_udp(const struct packet *p, uint8_t *out)
{
	uint32_t len = (uint32_t)(sizeof(struct lane_udp_hdr) + p->len);
	uint64_t sum = lane_csum_pseudo(&p->src, &p->dst, LANE_PROTO_UDP, len);
	struct lane_udp_hdr h = {.sport = lane_be16_of(9),
				 .dport = lane_be16_of(PORT),
				 .len = lane_be16_of((uint16_t)len)};

	memcpy(out, &h, sizeof(h));
	for (uint16_t i = 0; i < p->len; i++)
		out[sizeof(h) + i] = (uint8_t)i;
	if (p->partial)
		h.csum = lane_csum_fold(sum);
	else if (!p->no_csum)
		h.csum = (uint16_t)~lane_csum_fold(lane_csum_add(sum, out, len));
	memcpy(out, &h, sizeof(h));
	return len;
}

static uint32_t put(const struct packet *p, uint8_t *out)
{
	uint32_t at = sizeof(p->eth), l4;
	struct lane_be16 tag[2] = {lane_be16_of(p->vlan), p->eth.type};
	struct lane_eth_hdr eth = p->eth;
	struct lane_ip_info info = {.src = p->src,
				    .dst = p->dst,
				    .proto = p->proto,
				    .ttl = 64,
				    .l4_len = (uint32_t)sizeof(struct lane_udp_hdr) + p->len};

	if (p->vlan) {
		eth.type = lane_be16_of(LANE_ETH_VLAN);
		memcpy(out + at, tag, sizeof(tag));
		at += sizeof(tag);
	}
	memcpy(out, &eth, sizeof(eth));
	l4 = at + lane_ip_emit(out + at, &info, 1);
	at = l4 + put_udp(p, out + l4);
	memset(out + at, 0xee, p->trailing);
	return at + p->trailing;
}

/* Gives 'len' bytes to lane 0 in frames of 'piece' bytes. */
static void inject(const uint8_t *bytes, uint32_t len, uint32_t piece, uint8_t flags)
{
	struct lane_buf *first = lane_buf_packet(lane_bufs(w.ln[0]), bytes, len, piece);

	assert_non_null(first);
	first->flags |= flags;
	lane_rx(w.ln[0], &first, 1);
}

static void give(const struct packet *p)
{
	uint8_t bytes[4096];
	uint32_t len = put(p, bytes);

	inject(bytes, len, p->piece ? p->piece : 2000, p->partial ? LANE_BUF_PARTIAL_OK : 0);
}

static void assert_drop(const struct packet *p, enum lane_drop why)
{
	uint64_t before = lane_stats(w.ln[0])->drops[why];

	give(p);
	assert_int_equal(lane_stats(w.ln[0])->drops[why], before + 1);
	assert_int_equal(lane_udp_nr_queued(pcb), 0);
}

/* It arrives, with the text that was sent. */
static void assert_taken(const struct packet *p)
{
	struct lane_udp_msg msg;
	uint8_t buf[2048];

	give(p);
	assert_int_equal(lane_udp_read(w.ln[0], pcb, buf, sizeof(buf), false, &msg, NULL), p->len);
	assert_true(lane_ip_equal(&msg.remote.ip, &p->src));
	assert_int_equal(msg.remote.port, 9);
	assert_int_equal(msg.ttl, 64);
	for (uint16_t i = 0; i < p->len; i++)
		assert_int_equal(buf[i], (uint8_t)i);
}

static void test_rx__good_ones(void **state)
{
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		struct packet p = packet(v6);

		assert_taken(&p);
		p.vlan = 0xa000; /* priority 5 of VLAN 0 */
		assert_taken(&p);
		p.trailing = 7;
		assert_taken(&p);
		p.piece = 81;
		p.len = 1201;
		assert_taken(&p);
	}
}

static void test_rx__trailing_frames_are_cut(void **state)
{
	struct packet p = packet(false);

	p.piece = 50;
	p.len = 1;
	p.trailing = 200;
	assert_taken(&p);
	assert_int_equal(w.ln[0]->st->bufs.nr_free, w.ln[0]->st->bufs.nr);
}

static void test_eth__drops(void **state)
{
	struct packet p = packet(false);

	p.eth.dst.b[0] = 0xff;
	assert_drop(&p, LANE_DROP_ETH_DST);
	p = packet(false);
	p.eth.type = lane_be16_of(LANE_ETH_ARP);
	assert_drop(&p, LANE_DROP_ETH_TYPE);
	p = packet(false);
	p.vlan = 5;
	assert_drop(&p, LANE_DROP_FOREIGN);
}

static void test_eth__short(void **state)
{
	uint8_t bytes[64] = {0};
	uint64_t before = lane_stats(w.ln[0])->drops[LANE_DROP_SHORT];

	inject(bytes, 13, 2000, 0);
	assert_int_equal(lane_stats(w.ln[0])->drops[LANE_DROP_SHORT], before + 1);
}

static void test_ip__sources_that_get_silence(void **state)
{
	static const uint32_t sources[] = {0,          0x01020300, 0x0100007f, 0x010000e0,
					   0xffffffff, 0x0100000a, 0xff00000a};

	for (unsigned int i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		struct packet p = packet(false);

		p.src = lane_ip4(sources[i]);
		assert_drop(&p, LANE_DROP_IP_SRC);
	}
}

static void test_ip__sources_that_get_silence_v6(void **state)
{
	struct packet p = packet(true);

	memset(&p.src, 0, sizeof(p.src));
	assert_drop(&p, LANE_DROP_IP_SRC);
	p.src.b[15] = 1;
	assert_drop(&p, LANE_DROP_IP_SRC);
	p.src.b[0] = 0xff;
	assert_drop(&p, LANE_DROP_IP_SRC);
	p.src = p.dst;
	assert_drop(&p, LANE_DROP_IP_SRC);
}

static void test_ip__destinations_not_ours(void **state)
{
	struct packet p = packet(false);

	p.dst.b[15] = 0xff;
	assert_drop(&p, LANE_DROP_IP_DST);
	p.dst.b[15] = 9;
	assert_drop(&p, LANE_DROP_IP_DST);
	p.dst = lane_ip4(0x010000e0);
	assert_drop(&p, LANE_DROP_IP_DST);
}

static void test_ip__loopback_may_talk_to_itself(void **state)
{
	struct packet p = packet(false);

	w.ln[0]->net->loopback = 1;
	p.src = p.dst;
	assert_taken(&p);
}

static void test_ip__protocol_and_fragment(void **state)
{
	struct packet p = packet(false);
	uint8_t bytes[2048];
	uint32_t len;
	uint64_t sum;

	p.proto = 47;
	assert_drop(&p, LANE_DROP_IP_PROTO);
	p = packet(false);
	p.len = 101; /* no multiple of 8, with more to come */
	len = put(&p, bytes);
	bytes[14 + 6] = 0x20; /* more fragments */
	memset(bytes + 14 + 10, 0, 2);
	sum = lane_csum_add(0, bytes + 14, 20);
	sum = (uint16_t)~lane_csum_fold(sum);
	memcpy(bytes + 14 + 10, &sum, 2);
	inject(bytes, len, 2000, 0);
	assert_int_equal(lane_stats(w.ln[0])->drops[LANE_DROP_IP_FRAGMENT], 1);
}

static void test_csum__wrong_in_any_frame(void **state)
{
	struct packet p = packet(true);
	uint8_t bytes[4096];
	uint32_t len;

	p.len = 1000;
	len = put(&p, bytes);
	bytes[len - 1] ^= 1;
	inject(bytes, len, 99, 0);
	bytes[len - 1] ^= 1;
	bytes[200] ^= 0x80;
	inject(bytes, len, 99, 0);
	assert_int_equal(lane_stats(w.ln[0])->drops[LANE_DROP_UDP_CSUM], 2);
}

/* facts.md A4: a same-host peer's folded pseudo-header sum, only where the driver says so. */
static void test_csum__partial(void **state)
{
	struct packet p = packet(false);
	uint8_t bytes[2048];
	uint32_t len;

	p.partial = true;
	assert_taken(&p);
	len = put(&p, bytes);
	inject(bytes, len, 2000, 0);
	assert_int_equal(lane_stats(w.ln[0])->drops[LANE_DROP_UDP_CSUM], 1);
}

static void test_csum__zero(void **state)
{
	struct packet p = packet(false);

	p.no_csum = true;
	assert_taken(&p);
	p = packet(true);
	p.no_csum = true;
	assert_drop(&p, LANE_DROP_UDP_CSUM);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_rx__good_ones),
		T(test_rx__trailing_frames_are_cut),
		T(test_eth__drops),
		T(test_eth__short),
		T(test_ip__sources_that_get_silence),
		T(test_ip__sources_that_get_silence_v6),
		T(test_ip__destinations_not_ours),
		T(test_ip__loopback_may_talk_to_itself),
		T(test_ip__protocol_and_fragment),
		T(test_csum__wrong_in_any_frame),
		T(test_csum__partial),
		T(test_csum__zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
