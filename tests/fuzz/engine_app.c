/*
 * engine_app.c - what programs do with their sockets on the fuzzed lane (see engine.h)
 */
#include "tests/fuzz/engine.h"

#include "lane-int/tcp_info.h"
#include "stack/tcp/pcb.h"

static uint8_t text[65536];

static int no_copy(void *dst, const void *src, size_t len)
{
	(void)dst;
	(void)src;
	(void)len;
	return -14; /* EFAULT */
}

/* ---- taking and giving ---- */

/* What a program gets follows the pattern; an urgent byte that was out of line is left out. */
static void check_text(const uint8_t *p, uint32_t n, uint32_t seq)
{
	if (w.tainted || n == 0)
		return;
	if (p[0] != pattern(seq))
		seq++;
	for (uint32_t i = 0; i < n; i++)
		FUZZ_CHECK(p[i] == pattern(seq + i));
}

static void do_read(struct fuzz_in *in, struct sock *s)
{
	uint16_t len = fuzz_u16(in);
	uint8_t how = fuzz_u8(in);
	uint32_t seq = lane_tcp_copied_seq(w.ln, s->pcb);
	bool peek = how & 1;
	size_t skip = peek && (how & 2) ? how : 0;
	ssize_t r = lane_tcp_read(w.ln, s->pcb, how & 4 ? NULL : text, len, peek, skip,
				  how & 8 ? no_copy : NULL);

	FUZZ_CHECK(r <= len);
	if (r > 0 && !(how & 4))
		check_text(text, (uint32_t)r, seq + (uint32_t)skip);
}

static void drop_taken(struct sock *s)
{
	while (s->nr_taken)
		lane_buf_free(&w.ln->bufs, s->taken[--s->nr_taken]);
	s->nr_bytes = 0;
}

static void do_received(struct sock *s)
{
	uint32_t n = s->nr_bytes;

	drop_taken(s);
	lane_tcp_received(w.ln, s->pcb, n);
}

static void do_take(struct fuzz_in *in, struct sock *s)
{
	uint16_t max = fuzz_u16(in);
	struct lane_buf **out = s->taken;
	uint32_t seq;
	int n;

	/* What is put back is what one call took: between two an urgent byte may be skipped. */
	if (s->nr_taken)
		do_received(s);
	seq = lane_tcp_copied_seq(w.ln, s->pcb);
	n = lane_tcp_take(w.ln, s->pcb, out, NR_TAKEN, max);
	for (int i = 0; i < n; i++) {
		check_text(lane_buf_data(&w.ln->bufs, out[i]), out[i]->len, seq);
		seq += out[i]->len;
		s->nr_bytes += out[i]->len;
		out[i]->owner = 1;
		s->nr_taken++;
	}
}

static void do_untake(struct sock *s)
{
	lane_tcp_untake(w.ln, s->pcb, s->taken, s->nr_taken);
	/* An urgent byte behind them may have been skipped meanwhile: positions are off by it. */
	w.tainted |= w.urged;
	s->nr_taken = 0;
	s->nr_bytes = 0;
}

static void fill(uint8_t *p, uint32_t n, uint32_t seq)
{
	for (uint32_t i = 0; i < n; i++)
		p[i] = pattern(seq + i);
}

static void do_write(struct fuzz_in *in, struct sock *s, bool oob)
{
	uint16_t n = fuzz_u16(in) & 0x3fff;
	uint8_t how = fuzz_u8(in);
	ssize_t r;

	fill(text, n, lane_tcp_snd_end(w.ln, s->pcb));
	if (oob)
		r = lane_tcp_write_oob(w.ln, s->pcb, text, n, NULL);
	else
		r = lane_tcp_write(w.ln, s->pcb, text, n, how & 1, how & 8 ? no_copy : NULL);
	FUZZ_CHECK(r <= n);
}

static void do_send(struct fuzz_in *in, struct sock *s)
{
	struct lane_buf *b[4];
	uint8_t how = fuzz_u8(in);
	uint32_t n = 1 + (how & 3), seq = lane_tcp_snd_end(w.ln, s->pcb), i;

	for (i = 0; i < n && (b[i] = lane_buf_alloc(&w.ln->bufs)); i++) {
		uint32_t mss = lane_tcp_snd_mss(w.ln, s->pcb), len = fuzz_u8(in) * 8U;

		b[i]->owner = 1;
		b[i]->len = (uint16_t)(len < mss ? len : mss);
		b[i]->pkt_len = b[i]->len;
		fill(lane_buf_data(&w.ln->bufs, b[i]), b[i]->len, seq);
		seq += b[i]->len;
	}
	if (i == n && lane_tcp_send(w.ln, s->pcb, b, n, how & 4) == 0)
		return;
	while (i)
		lane_buf_free(&w.ln->bufs, b[--i]);
}

/* ---- settings and questions ---- */

static void do_set(struct fuzz_in *in, struct sock *s)
{
	uint8_t which = fuzz_u8(in);
	uint32_t v = fuzz_u32(in);
	int cc = lane_cc_find((const char *[]){"cubic", "reno", "dctcp", "bbr"}[v >> 30]);
	struct lane_tcp_opts_set o;

	lane_tcp_get_opts(w.ln, s->pcb, &o);
	switch (which % 16) {
	case 0: /* as the shim bounds it */
		o.rcvbuf = 2304 + v % 6291456;
		break;
	case 1:
		o.sndbuf = 4608 + v % 4194304;
		break;
	case 2:
		o.keepidle_us = 1000000 * (1 + (uint64_t)v % 32767);
		break;
	case 3:
		o.keepintvl_us = 1000000 * (1 + (uint64_t)v % 32767);
		break;
	case 4:
		o.user_timeout_us = v;
		break;
	case 5:
		o.linger2_us = v % 120000000;
		break;
	case 6:
		o.defer_accept_us = v;
		break;
	case 7:
		o.notsent_lowat = v;
		break;
	case 8:
		o.window_clamp = v;
		break;
	case 9:
		o.maxseg = v & 1 ? (uint16_t)(88 + v % 32680) : 0;
		break;
	case 10:
		o.keepcnt = 1 + v % 127;
		o.syncnt = 1 + (v >> 8) % 127;
		break;
	case 11:
		o.keepalive = v & 1;
		break;
	case 12:
		o.nodelay = v & 1;
		o.cork = v >> 1 & 1;
		break;
	case 13:
		o.quickack = v % 3;
		break;
	case 14:
		o.oobinline = v & 1;
		break;
	default:
		o.tos = (uint8_t)v;
		o.ttl = (uint8_t)(1 + (v >> 8) % 255);
		o.max_pacing_rate = (v >> 16 & 0xff) * 3000U;
		o.cc = cc < 0 ? o.cc : (uint8_t)cc;
	}
	lane_tcp_set_opts(w.ln, s->pcb, &o);
}

static void do_ask(struct sock *s)
{
	struct lane_tcp_info_out info;
	struct lane_tcp_status st;
	struct lane_ep ep;
	uint8_t byte;

	lane_tcp_get_status(w.ln, s->pcb, &st);
	FUZZ_CHECK(st.state < LANE_TCP_STATES && st.rcv_inq <= st.rcv_queued + 1);
	FUZZ_CHECK(st.snd_unsent <= st.snd_queued);
	lane_tcp_get_info(w.ln, s->pcb, &info);
	FUZZ_CHECK(info.cc_name && info.state < LANE_TCP_STATES);
	lane_tcp_get_local(w.ln, s->pcb, &ep);
	lane_tcp_get_remote(w.ln, s->pcb, &ep);
	lane_tcp_read_oob(w.ln, s->pcb, &byte, true);
	lane_tcp_want_space(w.ln, s->pcb);
	lane_tcp_take_error(w.ln, s->pcb);
}

/* ---- life ---- */

static struct sock *free_sock(void)
{
	for (unsigned int i = 0; i < NR_SOCKS; i++) {
		if (!w.sock[i].pcb)
			return &w.sock[i];
	}
	return NULL;
}

static void put(struct sock *s, bool reset)
{
	drop_taken(s);
	if (reset)
		lane_tcp_abort(w.ln, s->pcb);
	else
		lane_tcp_put(w.ln, s->pcb);
	s->pcb = NULL;
}

void engine_accept(void)
{
	struct sock *s = free_sock();

	for (unsigned int i = 0; i < NR_SOCKS && s; i++) {
		struct lane_tcp_status st;

		if (!w.sock[i].pcb)
			continue;
		lane_tcp_get_status(w.ln, w.sock[i].pcb, &st);
		if (st.state != LANE_TCP_LISTEN)
			continue;
		s->pcb = lane_tcp_accept(w.ln, w.sock[i].pcb, (uint64_t)(s - w.sock));
		if (s->pcb)
			return;
	}
}

static void do_connect(struct fuzz_in *in, struct sock *s)
{
	uint8_t who = fuzz_u8(in), how = fuzz_u8(in);
	struct lane_ep local = {.port = how & 3 ? 0 : (uint16_t)(80 + (how >> 2 & 3))};
	struct lane_ep remote = {.ip = engine_ip(true, who & 1),
				 .port = (uint16_t)(PEER_PORT + who % NR_PEERS)};

	if (!(who & 1))
		local.ip = lane_ip4(0);
	if (how & 0x10)
		local.ip = engine_ip(false, who & 1);
	lane_tcp_connect(w.ln, s->pcb, &local, &remote);
}

static void do_listen(struct fuzz_in *in, struct sock *s)
{
	uint8_t how = fuzz_u8(in);
	struct lane_ep local = {.port = (uint16_t)(80 + (how & 3))};

	if (how & 4)
		local.ip = engine_ip(false, how & 8);
	lane_tcp_listen(w.ln, s->pcb, &local, how & 0x10, how >> 5);
}

static void on_sock(struct fuzz_in *in, struct sock *s, uint8_t call)
{
	uint8_t byte;

	switch (call & 15) {
	case 0:
	case 1:
		/* One reader at a time: who has taken frames gives them back first. */
		if (s->nr_taken)
			do_received(s);
		do_read(in, s);
		break;
	case 2:
	case 3:
		do_write(in, s, false);
		break;
	case 4:
		do_send(in, s);
		break;
	case 5:
		do_take(in, s);
		break;
	case 6:
		if (call & 0x10)
			do_untake(s);
		else
			do_received(s);
		break;
	case 7:
	case 8:
		lane_tcp_shutdown(w.ln, s->pcb, call & 0x10, call & 0x20 || !(call & 0x10));
		break;
	case 9:
		put(s, call & 0x10);
		break;
	case 10:
		drop_taken(s);
		lane_tcp_disconnect(w.ln, s->pcb);
		break;
	case 11:
		do_set(in, s);
		break;
	case 12:
		do_ask(s);
		break;
	case 13:
		if (call & 0x10)
			do_write(in, s, true);
		else
			lane_tcp_read_oob(w.ln, s->pcb, &byte, false);
		break;
	case 14:
		do_connect(in, s);
		break;
	default:
		do_listen(in, s);
	}
}

void engine_tcp_call(struct fuzz_in *in)
{
	uint8_t call = fuzz_u8(in), which = fuzz_u8(in);
	struct sock *s = &w.sock[which % NR_SOCKS];

	lane_set_now(w.ln, w.now_us);
	if (which & 0x80) {
		engine_accept();
		return;
	}
	if (!s->pcb)
		s->pcb = lane_tcp_create(w.ln, which % NR_SOCKS);
	if (s->pcb)
		on_sock(in, s, call);
}

/* ---- UDP ---- */

static void do_udp_read(struct fuzz_in *in, struct lane_udp *pcb)
{
	uint16_t len = fuzz_u16(in);
	struct lane_udp_msg msg;
	uint32_t first = lane_udp_first_len(w.ln, pcb);
	ssize_t r = lane_udp_read(w.ln, pcb, text, len, len & 1, &msg, NULL);

	if (r < 0)
		return;
	FUZZ_CHECK(r <= len && msg.len == first);
	for (uint32_t i = 0; i < r && !w.tainted; i++)
		FUZZ_CHECK(text[i] == pattern(i));
}

/* Several datagrams of one size, each with the pattern from its start. */
static void do_udp_read_joined(struct fuzz_in *in, struct lane_udp *pcb)
{
	uint16_t len = fuzz_u16(in), size = 0;
	struct lane_udp_msg msg;
	ssize_t r = lane_udp_read_joined(w.ln, pcb, text, len, &msg, &size, NULL);

	FUZZ_CHECK(r <= len);
	for (uint32_t i = 0; i < r && !w.tainted; i++)
		FUZZ_CHECK(text[i] == pattern(size ? i % size : i));
}

static void do_udp_write(struct fuzz_in *in, struct lane_udp *pcb, bool pieces)
{
	uint8_t who = fuzz_u8(in), n = fuzz_u8(in);
	struct lane_ep remote = {.ip = engine_ip(true, who & 1),
				 .port = (uint16_t)(PEER_PORT + who % NR_PEERS)};
	const struct lane_ep *to = who & 0x10 ? NULL : &remote;
	size_t len = who & 0x20 ? n * 257U : n * 8U;
	lane_copy_fn copy = who & 0x40 ? no_copy : NULL;

	if (pieces)
		lane_udp_write_pieces(w.ln, pcb, to, NULL, text, len, fuzz_u16(in), copy);
	else
		lane_udp_write(w.ln, pcb, to, NULL, text, len, copy);
	lane_udp_is_narrow(w.ln, pcb, len);
}

static void do_udp_errors(uint8_t n, struct lane_udp *pcb)
{
	struct lane_udp_error e;
	ssize_t r;

	lane_udp_set_fragment(pcb, n & 1);
	lane_udp_set_recverr(pcb, n & 2, n & 4);
	lane_udp_set_pmtudisc(pcb, n & 1, (n >> 3) % 6);
	lane_udp_take_error(pcb);
	r = lane_udp_read_error(w.ln, pcb, text, n, &e, n & 0x80 ? no_copy : NULL);
	FUZZ_CHECK(r <= n && (r < 0 || e.err > 0));
}

static void do_udp_group(uint8_t n, struct lane_udp *pcb)
{
	struct lane_ip group = engine_group(n & 1), source = engine_ip(true, n & 1);
	const struct lane_ip *from = n & 2 ? &source : NULL;

	if (n & 4)
		lane_udp_leave(w.ln, pcb, 0, &group, from);
	else
		lane_udp_join(w.ln, pcb, 0, &group, from);
}

static void on_udp(struct fuzz_in *in, struct lane_udp *pcb, uint8_t call)
{
	uint8_t n = fuzz_u8(in);
	struct lane_ep remote = {.ip = engine_ip(true, n & 1),
				 .port = (uint16_t)(PEER_PORT + n % NR_PEERS)};
	struct lane_ep local = {.port = (uint16_t)(7000 + (n & 3))};

	switch (call & 7) {
	case 0:
		do_udp_read(in, pcb);
		break;
	case 1:
		do_udp_read_joined(in, pcb);
		break;
	case 2:
	case 3:
		do_udp_write(in, pcb, call & 1);
		break;
	case 4:
		lane_udp_connect(w.ln, pcb, n & 0x10 ? NULL : &remote);
		break;
	case 5:
		if (n & 0x10)
			local.ip = engine_ip(false, n & 0x20);
		lane_udp_bind(w.ln, pcb, &local, n & 0x40);
		break;
	case 6:
		lane_udp_set_rcvbuf(pcb, 2304 + n * 64U);
		lane_udp_set_tos(pcb, n & 1, n);
		do_udp_group(n, pcb);
		break;
	default:
		do_udp_errors(n, pcb);
	}
}

void engine_udp_call(struct fuzz_in *in)
{
	uint8_t call = fuzz_u8(in);
	unsigned int i = call >> 4 & (NR_UDP - 1);

	lane_set_now(w.ln, w.now_us);
	if (!w.udp[i])
		w.udp[i] = lane_udp_create(w.ln, i);
	if (!w.udp[i])
		return;
	if ((call & 0x8f) == 0x8f) {
		lane_udp_put(w.ln, w.udp[i]);
		w.udp[i] = NULL;
		return;
	}
	on_udp(in, w.udp[i], call);
}

void engine_close_all(bool reset)
{
	for (unsigned int i = 0; i < NR_SOCKS; i++) {
		if (w.sock[i].pcb)
			put(&w.sock[i], reset);
	}
	for (unsigned int i = 0; i < NR_UDP; i++) {
		if (w.udp[i])
			lane_udp_put(w.ln, w.udp[i]);
		w.udp[i] = NULL;
	}
}
