/*
 * fragments.c - a datagram that is given to a lane in fragments (see fragments.h)
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <lane/udp.h>

#include "stack/base/csum.h"
#include "stack/wire/eth.h"
#include "stack/wire/udp.h"
#include "tests/unit/net/fragments.h"

#define PORT 7000

struct world w;
struct lane_udp *pcb;
struct dgram d;

int setup(void **state)
{
	struct world_config cfg;
	struct lane_ep local = {.port = PORT};

	(void)state;
	world_config_default(&cfg);
	cfg.lane[0].nr_bufs = 2048;
	world_open(&w, &cfg);
	pcb = lane_udp_create(w.ln[0], 1);
	assert_int_equal(lane_udp_bind(w.ln[0], pcb, &local, false), 0);
	return 0;
}

int teardown(void **state)
{
	(void)state;
	lane_check(w.ln[0]);
	lane_udp_put(w.ln[0], pcb);
	world_run(&w, 70000000);
	lane_check(w.ln[0]);
	assert_int_equal(w.ln[0]->st->nr_reass, 0);
	assert_int_equal(w.ln[0]->st->bufs.nr_free, w.ln[0]->st->bufs.nr);
	world_close(&w);
	return 0;
}

uint64_t drops(enum lane_drop why)
{
	return lane_stats(w.ln[0])->drops[why];
}

uint32_t nr_held(void)
{
	return w.ln[0]->st->nr_reass_bufs;
}

/* 'd' becomes a datagram with 'n' bytes of text that 'id' determines. */
void make(bool v6, uint32_t id, uint32_t n)
{
	struct lane_ip src = world_ip(1, v6), dst = world_ip(0, v6);
	struct lane_udp_hdr h = {.sport = lane_be16_of(9),
				 .dport = lane_be16_of(PORT),
				 .len = lane_be16_of((uint16_t)(sizeof(h) + n))};

	d = (struct dgram){.v6 = v6, .id = id, .proto = LANE_PROTO_UDP, .piece = 2000};
	d.len = (uint32_t)sizeof(h) + n;
	memcpy(d.l4, &h, sizeof(h));
	for (uint32_t i = 0; i < n; i++)
		d.l4[sizeof(h) + i] = (uint8_t)(i * 7 + i / 251 + id);
	h.csum = (uint16_t)~lane_csum_fold(
		lane_csum_add(lane_csum_pseudo(&src, &dst, LANE_PROTO_UDP, d.len), d.l4, d.len));
	if (h.csum == 0)
		h.csum = 0xffff;
	memcpy(d.l4, &h, sizeof(h));
}

static void inject(const uint8_t *bytes, uint32_t len)
{
	struct lane_buf *first = lane_buf_packet(lane_bufs(w.ln[0]), bytes, len, d.piece);

	assert_non_null(first);
	first->flags |= LANE_BUF_CSUM_OK; /* of the fragment: must not be believed of the whole */
	lane_rx(w.ln[0], &first, 1);
}

/* Writes the IP header of a fragment; with extension headers between it and the fragment's. */
static uint32_t put_ip(uint8_t *p, const struct lane_ip_info *info)
{
	struct lane_ip6_hdr h;
	uint32_t hlen = lane_ip_emit(p, info, 0);

	if (!d.v6 || !d.nr_ext)
		return hlen;
	memmove(p + sizeof(h) + d.nr_ext, p + sizeof(h), hlen - sizeof(h));
	memcpy(p + sizeof(h), d.ext, d.nr_ext);
	memcpy(&h, p, sizeof(h));
	h.next = d.ext_first;
	h.len = lane_be16_of((uint16_t)(lane_be16_get(h.len) + d.nr_ext));
	memcpy(p, &h, sizeof(h));
	return hlen + d.nr_ext;
}

/* Gives lane 0 the bytes [off, end) of 'd'. */
void give_as(uint32_t off, uint32_t end, bool more)
{
	uint8_t bytes[66000];
	struct lane_eth_hdr eth = {.dst = world_mac(0),
				   .src = world_mac(1),
				   .type = lane_be16_of(d.v6 ? LANE_ETH_IP6 : LANE_ETH_IP4)};
	struct lane_ip_info info = {.src = world_ip(1, d.v6),
				    .dst = world_ip(0, d.v6),
				    .proto = d.proto,
				    .tos = d.tos,
				    .ttl = 64,
				    .l4_len = end - off,
				    .is_frag = true,
				    .more_frags = more,
				    .frag_off = (uint16_t)off,
				    .frag_id = d.id};
	uint32_t at = sizeof(eth);

	memcpy(bytes, &eth, sizeof(eth));
	at += put_ip(bytes + at, &info);
	memcpy(bytes + at, d.l4 + off, end - off);
	inject(bytes, at + end - off);
	lane_check(w.ln[0]);
}

void give(uint32_t off, uint32_t end)
{
	if (end > d.len)
		end = d.len;
	give_as(off, end, end < d.len);
}

/* What was made last is what arrives, and nothing else. */
void assert_arrives(void)
{
	static uint8_t buf[65536];
	struct lane_udp_msg msg;

	assert_int_equal(lane_udp_nr_queued(pcb), 1);
	assert_int_equal(lane_udp_read(w.ln[0], pcb, buf, sizeof(buf), false, &msg, NULL),
			 d.len - sizeof(struct lane_udp_hdr));
	assert_memory_equal(buf, d.l4 + sizeof(struct lane_udp_hdr), msg.len);
	assert_int_equal(msg.remote.port, 9);
	assert_int_equal(msg.ttl, 64);
	assert_true(lane_ip_is4(&msg.remote.ip) == !d.v6);
	assert_int_equal(nr_held(), 0);
}

void assert_nothing(void)
{
	assert_int_equal(lane_udp_nr_queued(pcb), 0);
}
