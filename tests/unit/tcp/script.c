/*
 * script.c - packet in, packet out (see script.h)
 */
#include "tests/unit/tcp/script.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "stack/base/csum.h"
#include "stack/tcp/pcb.h"
#include "stack/wire/eth.h"
#include "stack/wire/print.h"
#include "tests/unit/tcp/script_line.h"

#define MAX_OUT 512

struct script s;

struct sent {
	struct lane_tcp_info ti;
	uint8_t ecn; /* IP's field */
	char line[256];
};

static struct {
	struct lane_queue q;
	void *mem;
	struct sent out[MAX_OUT];
	unsigned int head, tail; /* of out */
	struct lane_buf *held[MAX_OUT];
	unsigned int nr_held;
	struct lane_buf *in[LANE_BURST];
	uint16_t nr_in;
	uint32_t events, listener_events;
} t;

static uint8_t pattern(uint32_t seq)
{
	return (uint8_t)(seq * 7 + (seq >> 8));
}

struct lane_ip script_ip(unsigned int i)
{
	struct lane_ip a = lane_ip4(0);

	if (s.v6) {
		memset(&a, 0, sizeof(a));
		a.b[0] = 0xfd;
	} else {
		a.b[12] = 10;
	}
	a.b[15] = (uint8_t)i;
	return a;
}

uint32_t script_mtu(uint32_t mtu)
{
	return s.v6 ? mtu + SCRIPT_V6_MORE : mtu;
}

unsigned int script_default_mss(void)
{
	return s.v6 ? 1220 : 536;
}

/* ---- the driver ---- */

static void record(struct lane_buf *b)
{
	const uint8_t *p = lane_buf_data(&s.ln->bufs, b);
	struct sent *o = &t.out[t.head++ % MAX_OUT];
	uint32_t l4 = b->l4_off - b->off;
	const uint8_t *text;

	assert_true(t.head - t.tail <= MAX_OUT);
	lane_print_frame(o->line, sizeof(o->line), p, b->len);
	assert_int_equal(lane_tcp_parse(p + l4, b->len - l4, b->len - l4, &o->ti), LANE_OK);
	if (o->ti.flags & LANE_WIRE_SYN)
		s.iss = o->ti.seq;
	s.port = o->ti.sport;
	o->ecn = (s.v6 ? p[LANE_ETH_HLEN + 1] >> 4 : p[LANE_ETH_HLEN + 1]) & 3;
	text = p + l4 + o->ti.hlen;
	for (uint32_t i = 0; i < o->ti.len; i++)
		assert_int_equal(text[i], pattern(o->ti.seq + i - s.iss));
}

static uint16_t drv_rx(struct lane_queue *q, struct lane_buf *bufs[], uint16_t n)
{
	uint16_t nr = t.nr_in < n ? t.nr_in : n;

	memcpy(bufs, t.in, nr * sizeof(bufs[0]));
	t.nr_in = 0;
	return nr;
}

static void take(struct lane_queue *q, struct lane_buf *b)
{
	b->flags |= LANE_BUF_TX;
	if (s.hold_tx) {
		assert_true(t.nr_held < MAX_OUT);
		t.held[t.nr_held++] = b;
	} else {
		lane_buf_tx_done(q->bufs, b);
	}
}

static uint16_t drv_tx(struct lane_queue *q, struct lane_buf *bufs[], uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		struct lane_buf *b = bufs[i], *next;

		if (s.refuse && s.refuse--)
			return i;
		for (record(b); b; b = next) {
			next = b->flags & LANE_BUF_MORE ? lane_buf_at(q->bufs, b->next) : NULL;
			take(q, b);
		}
	}
	return n;
}

static uint32_t drv_room(const struct lane_queue *q)
{
	return LANE_SG_MAX;
}

void script_cuts(void)
{
	t.q.caps |= LANE_CAP_TSO | LANE_CAP_TX_CSUM;
}

static void drv_limit(struct lane_queue *q, uint16_t port, bool on)
{
	s.limited = on ? port : 0;
}

static const struct lane_driver driver = {
	.name = "script",
	.rx_burst = drv_rx,
	.tx_burst = drv_tx,
	.room = drv_room,
	.limit = drv_limit,
};

void script_complete(void)
{
	for (unsigned int i = 0; i < t.nr_held; i++)
		lane_buf_tx_done(&s.ln->bufs, t.held[i]);
	t.nr_held = 0;
}

/* ---- the lane ---- */

static void fill_net(void)
{
	struct lane_nettab *nt = lane_nettab(s.ln);
	struct lane_net_route r = {.dst = script_ip(0), .plen = s.v6 ? 64 : 24};
	struct lane_ip peer = script_ip(2);
	struct lane_mac mac = {{2, 0, 0, 0, 0, 2}};

	lane_net_write_begin(nt);
	nt->mac = (struct lane_mac){{2, 0, 0, 0, 0, 1}};
	nt->up = 1;
	nt->mtu = script_mtu(1500);
	nt->addr[0] = (struct lane_net_addr){.ip = script_ip(1), .plen = r.plen, .used = 1};
	if (!s.v6)
		nt->addr[0].bcast = script_ip(255);
	assert_int_equal(lane_net_route_add(nt, &r), 0);
	assert_int_equal(lane_net_neigh_set(nt, &peer, &mac, false), 0);
	lane_net_write_end(nt, true);
}

void script_open(void (*tune)(struct lane_config *cfg))
{
	struct lane_config cfg;

	memset(&s, 0, sizeof(s));
	memset(&t, 0, sizeof(t));
	s.v6 = getenv("LANE_SCRIPT_V6") != NULL;
	s.port = SCRIPT_PORT;
	s.peer = SCRIPT_PEER;
	lane_config_default(&cfg);
	cfg.nr_bufs = 512;
	cfg.nr_tcp = 64;
	cfg.nr_syn = 64;
	cfg.nr_tw = 16;
	cfg.nr_udp = 4;
	cfg.nr_pace = 8;
	cfg.tcp_rmem[1] = 131072;
	if (tune)
		tune(&cfg);
	t.mem = aligned_alloc(4096, lane_size(&cfg));
	assert_non_null(t.mem);
	memset(t.mem, 0, lane_size(&cfg));
	s.ln = lane_create(&cfg, t.mem, 1000000);
	assert_non_null(s.ln);
	fill_net();
	t.q.drv = &driver;
	t.q.bufs = lane_bufs(s.ln);
	assert_int_equal(lane_add_queue(s.ln, &t.q), 0);
}

static void collect(void)
{
	struct lane_event ev;

	while (lane_event(s.ln, &ev)) {
		if (s.listener && ev.index == lane_tcp_index(s.ln, s.listener))
			t.listener_events |= ev.events;
		else
			t.events |= ev.events;
	}
}

void script_flush(void)
{
	lane_flush(s.ln);
	collect();
	lane_check(s.ln);
}

static void turn(uint64_t now_us)
{
	lane_poll(s.ln, now_us);
	script_flush();
}

void script_close(void)
{
	if (s.pcb)
		lane_tcp_abort(s.ln, s.pcb);
	if (s.listener)
		lane_tcp_put(s.ln, s.listener);
	script_complete();
	/* TIME_WAIT, and the retries of orphans. */
	for (unsigned int i = 0; i < 20; i++) {
		turn(s.ln->now_us + 200000000);
		script_complete();
	}
	assert_int_equal(s.ln->st->bufs.nr_free, s.ln->st->bufs.nr);
	assert_int_equal(s.ln->st->tcp_pool.nr_used, 0);
	assert_int_equal(s.ln->st->tw_pool.nr_used, 0);
	assert_int_equal(s.ln->st->syn_pool.nr_used, 0);
	assert_int_equal(s.ln->st->pace_pool.nr_used, 0);
	assert_int_equal(s.ln->st->pace_wheel.nr_started, 0);
	lane_detach(s.ln);
	free(t.mem);
}

/* ---- in ---- */

/* A frame from the peer with this segment. */
static struct lane_buf *build(struct lane_tcp_info *ti, uint8_t ecn)
{
	struct lane_buf *b = lane_buf_alloc(&s.ln->bufs);
	struct lane_ip src = script_ip(2), dst = script_ip(1);
	struct lane_ip_info info = {.src = src, .dst = dst, .proto = IPPROTO_TCP, .ttl = 64};
	struct lane_eth_hdr eth = {.dst = {{2, 0, 0, 0, 0, 1}},
				   .src = {{2, 0, 0, 0, 0, 2}},
				   .type = lane_be16_of(s.v6 ? LANE_ETH_IP6 : LANE_ETH_IP4)};
	uint8_t *p, *l4;
	uint16_t ip_hlen = s.v6 ? 40 : 20, hlen, sum;

	assert_non_null(b);
	p = lane_buf_data(&s.ln->bufs, b);
	l4 = p + LANE_ETH_HLEN + ip_hlen;
	hlen = lane_tcp_emit(l4, ti);
	for (uint32_t i = 0; i < ti->len; i++)
		l4[hlen + i] = pattern(ti->seq + i - SCRIPT_ISS);
	info.l4_len = hlen + ti->len;
	info.tos = ecn;
	lane_ip_emit(p + LANE_ETH_HLEN, &info, 1);
	memcpy(p, &eth, sizeof(eth));
	sum = (uint16_t)~lane_csum_fold(lane_csum_add(
		lane_csum_pseudo(&src, &dst, IPPROTO_TCP, info.l4_len), l4, info.l4_len));
	memcpy(l4 + offsetof(struct lane_tcp_hdr, csum), &sum, 2);
	b->len = (uint16_t)(LANE_ETH_HLEN + ip_hlen + info.l4_len);
	b->pkt_len = b->len;
	return b;
}

void script_in_wait(const char *line)
{
	struct script_line l;
	struct lane_tcp_info *ti = &l.ti;

	script_parse(line, &l);
	ti->sport = s.peer;
	ti->dport = s.port;
	ti->seq += SCRIPT_ISS;
	if (ti->flags & LANE_WIRE_ACK)
		ti->ack += s.iss;
	for (unsigned int i = 0; i < ti->opts.nr_sack; i++) {
		ti->opts.sack[i].start += s.iss;
		ti->opts.sack[i].end += s.iss;
	}
	assert_true(t.nr_in < LANE_BURST);
	t.in[t.nr_in++] = build(ti, l.ecn);
}

void script_in_burst(const char *line)
{
	script_in_wait(line);
	lane_poll(s.ln, s.ln->now_us);
}

void script_in(const char *line)
{
	script_in_burst(line);
	script_flush();
}

void script_icmp(enum script_icmp what, uint32_t seq, uint32_t mtu)
{
	/* Type and code over IPv4, then over IPv6. */
	static const uint8_t says[][4] = {
		[SCRIPT_ICMP_NET] = {3, 0, 1, 0},	[SCRIPT_ICMP_HOST] = {3, 1, 1, 3},
		[SCRIPT_ICMP_PORT] = {3, 3, 1, 4},	[SCRIPT_ICMP_TOO_BIG] = {3, 4, 2, 0},
		[SCRIPT_ICMP_PARAMETER] = {12, 0, 4, 1},
	};
	struct lane_icmp_info icmp = {
		.type = says[what][s.v6 ? 2 : 0],
		.code = says[what][s.v6 ? 3 : 1],
		.mtu = mtu ? script_mtu(mtu) : 0,
		.proto = IPPROTO_TCP,
		.local = {script_ip(1), s.port},
		.remote = {script_ip(2), s.peer},
		.seq = s.iss + seq,
		.has_seq = true,
	};

	lane_icmp_classify(!s.v6, &icmp);
	lane_tcp_icmp(s.ln, &icmp);
	script_flush();
}

/* ---- out ---- */

unsigned int script_nr_out(void)
{
	return t.head - t.tail;
}

void script_skip(void)
{
	t.tail = t.head;
}

void script_silent(void)
{
	if (t.head != t.tail)
		fail_msg("unexpected: %s", t.out[t.tail % MAX_OUT].line);
}

static bool same_opts(const struct lane_tcp_opts *want, const struct lane_tcp_opts *got)
{
	if ((want->have & ~got->have) ||
	    ((want->have & LANE_OPT_MSS) && want->mss != got->mss) ||
	    ((want->have & LANE_OPT_WSCALE) && want->wscale != got->wscale) ||
	    ((want->have & LANE_OPT_TS) && want->tsecr != got->tsecr))
		return false;
	if (!(want->have & LANE_OPT_SACK))
		return !(got->have & LANE_OPT_SACK);
	if (want->nr_sack != got->nr_sack)
		return false;
	for (unsigned int i = 0; i < want->nr_sack; i++) {
		if (want->sack[i].start + SCRIPT_ISS != got->sack[i].start ||
		    want->sack[i].end + SCRIPT_ISS != got->sack[i].end)
			return false;
	}
	return true;
}

static bool same_segment(const struct script_line *l, const struct sent *o)
{
	const struct lane_tcp_info *want = &l->ti, *got = &o->ti;

	return (want->flags & ~LANE_WIRE_PSH) == (got->flags & ~LANE_WIRE_PSH) &&
	       want->seq + s.iss == got->seq && want->len == got->len &&
	       (!(l->have & SCRIPT_HAVE_ACK) || want->ack + SCRIPT_ISS == got->ack) &&
	       (!(l->have & SCRIPT_HAVE_WIN) || want->wnd == got->wnd) &&
	       (!(l->have & SCRIPT_HAVE_URG) || want->urg == got->urg) &&
	       (!(l->have & SCRIPT_HAVE_ECN) || l->ecn == o->ecn) && same_opts(&want->opts, &got->opts);
}

void script_out(const char *line)
{
	const struct sent *o = &t.out[t.tail % MAX_OUT];
	struct script_line want;

	script_parse(line, &want);
	if (t.head == t.tail)
		fail_msg("nothing sent, expected: %s", line);
	t.tail++;
	s.last = o->ti;
	if (!same_segment(&want, o))
		fail_msg("expected: %s (iss %u, peer's %u)\n     got: %s", line, s.iss, SCRIPT_ISS,
			 o->line);
}

void script_run_ms(unsigned int ms)
{
	while (ms--)
		turn(s.ln->now_us + 1000);
}

void script_run_s(unsigned int seconds)
{
	for (unsigned int i = 0; i < 20 * seconds; i++)
		turn(s.ln->now_us + 50000);
}

unsigned int script_until_out(unsigned int max)
{
	unsigned int ms = 0;

	while (script_nr_out() == 0 && ms < max) {
		turn(s.ln->now_us + 1000);
		ms++;
	}
	assert_true(script_nr_out() > 0);
	return ms;
}

/* ---- what the program does ---- */

void script_listen(int backlog)
{
	struct lane_ep local = {.port = SCRIPT_PORT};

	if (!s.listener)
		s.listener = lane_tcp_create(s.ln, 1);
	assert_non_null(s.listener);
	assert_int_equal(lane_tcp_listen(s.ln, s.listener, &local, false, backlog), 0);
}

void script_accept(const char *syn)
{
	script_accept_far(syn, 0);
}

void script_accept_far(const char *syn, unsigned int rtt_ms)
{
	if (!s.listener)
		script_listen(5);
	script_in(syn);
	script_out("S. 0 ack 1");
	script_run_ms(rtt_ms);
	/* Timestamps, once agreed on, are on every segment. */
	if (s.last.opts.have & LANE_OPT_TS) {
		char line[64];

		snprintf(line, sizeof(line), ". 1 ack 1 ts 1001:%u", s.last.opts.tsval);
		script_in(line);
	} else {
		script_in(". 1 ack 1");
	}
	script_silent();
	s.pcb = lane_tcp_accept(s.ln, s.listener, 2);
	assert_non_null(s.pcb);
	assert_int_equal(script_state(), LANE_TCP_ESTABLISHED);
}

void script_shrink(unsigned int wnd)
{
	char line[64];

	script_in("P. 1 ack 1 len 1");
	script_skip();
	snprintf(line, sizeof(line), ". 2 ack 1 win %u", wnd);
	script_in(line);
	script_read(1);
}

void script_connect(const char *synack)
{
	struct lane_ep local = {.port = 0}, remote = {script_ip(2), SCRIPT_PEER};

	s.pcb = lane_tcp_create(s.ln, 2);
	assert_int_equal(lane_tcp_connect(s.ln, s.pcb, &local, &remote), 0);
	script_flush();
	script_out("S 0");
	if (!synack)
		return;
	script_in(synack);
	script_out(". 1 ack 1");
	assert_int_equal(script_state(), LANE_TCP_ESTABLISHED);
}

void script_fill(uint8_t *text, unsigned int len)
{
	for (unsigned int i = 0; i < len; i++)
		text[i] = pattern(lane_tcp_snd_end(s.ln, s.pcb) + i - s.iss);
}

void script_write(unsigned int len)
{
	uint8_t text[65536];

	assert_true(len <= sizeof(text));
	script_fill(text, len);
	assert_int_equal(lane_tcp_write(s.ln, s.pcb, text, len, false, NULL), len);
	script_flush();
}

void script_read(unsigned int len)
{
	uint8_t text[65536];
	uint32_t seq = lane_tcp_copied_seq(s.ln, s.pcb) - SCRIPT_ISS;

	assert_true(len <= sizeof(text));
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, text, len, false, 0, NULL), len);
	for (unsigned int i = 0; i < len; i++)
		assert_int_equal(text[i], pattern(seq + i));
	script_flush();
}

uint32_t script_events(const struct lane_tcp *pcb)
{
	uint32_t *ev = pcb == s.listener ? &t.listener_events : &t.events;
	uint32_t r = *ev;

	*ev = 0;
	return r;
}

enum lane_tcp_state script_state(void)
{
	struct lane_tcp_status st;

	lane_tcp_get_status(s.ln, s.pcb, &st);
	return st.state;
}
