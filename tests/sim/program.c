/*
 * program.c - what the simulated programs do, and what they may see
 *
 * Byte 'off' that lane 'from' sends on connection 'conn' has a value that follows from these three,
 * so a byte that is lost, doubled, misplaced or damaged is noticed by whoever reads it.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "tests/sim/sim.h"

#define PORT          5000
#define COOKIE_LISTEN 1000
#define COOKIE_UDP    2000
#define OPS_A_TURN    8
#define FRAMES_A_TIME 8
#define BUF_SIZE      65536

static uint8_t pattern(uint32_t conn, unsigned int from, uint64_t off)
{
	return (uint8_t)(off * 167 + (off >> 8) * 13 + (off >> 16) + conn * 31 + from * 101);
}

static void fill(uint8_t *p, size_t len, uint32_t conn, unsigned int from, uint64_t off)
{
	for (size_t i = 0; i < len; i++)
		p[i] = pattern(conn, from, off + i);
}

static void verify(struct sim *s, const uint8_t *p, size_t len, uint32_t conn, unsigned int from,
		   uint64_t off)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i] != pattern(conn, from, off + i))
			sim_fail(s,
				 "connection %u: byte %" PRIu64 " that lane %u sent arrived wrong",
				 conn, off + i, from);
	}
}

static struct lane_ep any_ep(bool v6, uint16_t port)
{
	struct lane_ep ep = {.port = port};

	if (!v6)
		ep.ip = lane_ip4(0);
	return ep;
}

static void set_opts(struct sim *s, struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_opts_set o;

	lane_tcp_get_opts(ln, pcb, &o);
	o.nodelay = s->nodelay;
	o.keepalive = s->keepalive;
	o.keepidle_us = 5000000;
	o.keepintvl_us = 1000000;
	o.maxseg = s->maxseg;
	o.max_pacing_rate = s->max_pacing_rate;
	if (s->rcvbuf)
		o.rcvbuf = s->rcvbuf;
	if (s->sndbuf)
		o.sndbuf = s->sndbuf;
	lane_tcp_set_opts(ln, pcb, &o);
}

void sim_open_listeners(struct sim *s)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct lane *ln = s->w.ln[i];
		struct lane_ep local = any_ep(true, (uint16_t)(PORT + i));
		int r;

		s->listener[i] = lane_tcp_create(ln, COOKIE_LISTEN + i);
		if (!s->listener[i])
			sim_fail(s, "no pcb for a listener");
		set_opts(s, ln, s->listener[i]);
		r = lane_tcp_listen(ln, s->listener[i], &local, false, s->backlog);
		if (r)
			sim_fail(s, "listen: %s", strerror(-r));
		sim_log(s, "lane %u listens", i);
	}
}

void sim_close_listeners(struct sim *s)
{
	for (unsigned int i = 0; i < 2; i++) {
		if (s->listener[i])
			lane_tcp_put(s->w.ln[i], s->listener[i]);
		s->listener[i] = NULL;
		sim_log(s, "lane %u listens no more", i);
	}
}

/* ---- events ---- */

static struct sim_conn *find_conn(struct sim *s, unsigned int opener, const struct lane_ep *remote)
{
	bool v6 = !lane_ip_is4(&remote->ip);

	for (uint32_t i = s->nr_conns; i-- > 0;) {
		struct sim_conn *c = &s->conn[i];

		if (c->opener == opener && c->side[opener].begun && !c->side[!opener].begun &&
		    c->port == remote->port && c->v6 == v6)
			return c;
	}
	return NULL;
}

static void accept_all(struct sim *s, unsigned int i)
{
	struct lane *ln = s->w.ln[i];
	struct lane_tcp *pcb;

	while (s->listener[i] && (pcb = lane_tcp_accept(ln, s->listener[i], 0)) != NULL) {
		struct lane_ep remote;
		struct sim_conn *c;
		struct sim_side *side;

		if (lane_tcp_get_remote(ln, pcb, &remote) != 0) {
			sim_log(s, "lane %u accepted what was reset already", i);
			lane_tcp_put(ln, pcb);
			continue;
		}
		c = find_conn(s, !i, &remote);
		/* A segment that was late may bring a cookie back that was used: nothing remembers it. */
		if (!c && lane_stats(ln)->tcp_cookies_good) {
			sim_log(s, "lane %u accepted a ghost, port %u", i, remote.port);
			lane_tcp_abort(ln, pcb);
			continue;
		}
		if (!c)
			sim_fail(s, "lane %u accepted a connection that nobody opened, port %u", i,
				 remote.port);
		side = &c->side[i];
		side->pcb = pcb;
		side->begun = side->can_read = side->can_write = true;
		lane_tcp_set_cookie(pcb, (uint64_t)(c - s->conn) * 2 + i);
		sim_log(s, "lane %u accepted connection %u", i, (unsigned int)(c - s->conn));
	}
}

void sim_events(struct sim *s, unsigned int i)
{
	struct lane_event ev;

	while (lane_event(s->w.ln[i], &ev)) {
		struct lane_tcp_status st;
		struct sim_side *side;

		if (ev.cookie >= COOKIE_UDP)
			continue; /* its program looks at every turn */
		if (ev.cookie >= COOKIE_LISTEN) {
			accept_all(s, i);
			continue;
		}
		if (ev.cookie / 2 >= s->nr_conns)
			sim_fail(s, "an event for cookie %" PRIu64, ev.cookie);
		side = &s->conn[ev.cookie / 2].side[i];
		sim_log(s, "lane %u connection %u events %#x", i, (unsigned int)ev.cookie / 2,
			ev.events);
		if (!side->pcb)
			continue;
		/* An event may come without a reason, but not before there is a connection or an
		 * error. */
		lane_tcp_get_status(s->w.ln[i], side->pcb, &st);
		if (st.state == LANE_TCP_SYN_SENT)
			continue;
		if (ev.events &
		    (LANE_EV_READABLE | LANE_EV_EOF | LANE_EV_ERROR | LANE_EV_CONNECTED))
			side->can_read = true;
		if (ev.events & (LANE_EV_WRITABLE | LANE_EV_ERROR | LANE_EV_CONNECTED))
			side->can_write = true;
	}
}

/* ---- one side of a connection ---- */

/* Errors are legitimate where one side does not end in good order. */
static bool may_fail(const struct sim *s, const struct sim_conn *c)
{
	return s->harsh || c->side[0].ending != SIM_SHUTDOWN || c->side[1].ending != SIM_SHUTDOWN;
}

static void end_side(struct sim *s, struct sim_conn *c, unsigned int i)
{
	struct sim_side *side = &c->side[i];

	lane_tcp_put(s->w.ln[i], side->pcb);
	side->pcb = NULL;
	side->done = true;
	sim_log(s, "lane %u connection %u put, sent %" PRIu64 " rcvd %" PRIu64 " err %d", i,
		(unsigned int)(c - s->conn), side->sent, side->rcvd, side->err);
}

static void side_error(struct sim *s, struct sim_conn *c, unsigned int i, int err,
		       const char *where)
{
	if (!may_fail(s, c))
		sim_fail(s, "connection %u, lane %u: %s: %s", (unsigned int)(c - s->conn), i, where,
			 strerror(err));
	c->side[i].err = err;
	end_side(s, c, i);
}

/* In a dialogue: is it this side's turn? */
static bool may_speak(const struct sim_conn *c, unsigned int i)
{
	const struct sim_side *side = &c->side[i];

	if (!c->dialogue || side->eof)
		return true;
	if (side->sent >= side->to_send)
		return true; /* it ends */
	return i == c->opener ? side->rcvd >= side->sent : side->rcvd > side->sent;
}

static uint32_t next_chunk(struct sim *s, const struct sim_conn *c, unsigned int i)
{
	const struct sim_side *side = &c->side[i];
	bool answers = c->dialogue && i != c->opener && !side->eof;
	uint64_t left = (answers ? side->rcvd : side->to_send) - side->sent;
	uint32_t n = 1 + sim_below(s, side->chunk);

	return n < left ? n : (uint32_t)left;
}

/* As lane_tcp_write(), by frames: 0 is not returned. */
static ssize_t send_frames(struct sim *s, struct sim_conn *c, unsigned int i, uint32_t len)
{
	struct sim_side *side = &c->side[i];
	struct lane *ln = s->w.ln[i];
	struct lane_buf *bufs[FRAMES_A_TIME];
	struct lane_tcp_status st;
	uint32_t nr = 0, done = 0, mss = lane_tcp_snd_mss(ln, side->pcb);
	int r = -EAGAIN;

	lane_tcp_get_status(ln, side->pcb, &st);
	if (st.snd_space && len > st.snd_space)
		len = st.snd_space;
	while (done < len && nr < FRAMES_A_TIME) {
		struct lane_buf *b = lane_buf_alloc(lane_bufs(ln));

		if (!b)
			break;
		b->len = (uint16_t)(len - done < mss ? len - done : mss);
		b->pkt_len = b->len;
		fill(lane_buf_data(lane_bufs(ln), b), b->len, (uint32_t)(c - s->conn), i,
		     side->sent + done);
		done += b->len;
		bufs[nr++] = b;
	}
	/* Without a frame a copying write is tried, which leaves the wish to be told. */
	if (nr == 0)
		return 0;
	r = lane_tcp_send(ln, side->pcb, bufs, nr, false);
	if (r == 0)
		return done;
	while (nr > 0)
		lane_buf_free(lane_bufs(ln), bufs[--nr]);
	return r;
}

static bool step_write(struct sim *s, struct sim_conn *c, unsigned int i)
{
	static uint8_t buf[BUF_SIZE];
	struct sim_side *side = &c->side[i];
	uint32_t len = next_chunk(s, c, i);
	ssize_t r = 0;

	if (side->zero_copy)
		r = send_frames(s, c, i, len);
	if (r == 0) {
		fill(buf, len, (uint32_t)(c - s->conn), i, side->sent);
		r = lane_tcp_write(s->w.ln[i], side->pcb, buf, len, sim_below(s, 8) == 0, NULL);
		if (r > 0 && r < len)
			side->can_write = false;
	}
	sim_log(s, "lane %u connection %u writes %u at %" PRIu64 ": %zd", i,
		(unsigned int)(c - s->conn), len, side->sent, r);
	if (r == -EAGAIN || r == 0) {
		side->can_write = false;
		return false;
	}
	if (r < 0) {
		side_error(s, c, i, (int)-r, "write");
		return false;
	}
	side->sent += (uint64_t)r;
	return true;
}

/* As lane_tcp_read(), by frames; now and then some are put back. */
static ssize_t take_frames(struct sim *s, struct sim_conn *c, unsigned int i)
{
	struct sim_side *side = &c->side[i];
	struct lane *ln = s->w.ln[i];
	struct lane_buf *out[FRAMES_A_TIME];
	size_t len = 0;
	int nr = lane_tcp_take(ln, side->pcb, out, FRAMES_A_TIME, 1 + sim_below(s, BUF_SIZE));

	if (nr > 0 && sim_below(s, 4) == 0) {
		lane_tcp_untake(ln, side->pcb, out, (uint32_t)nr);
		nr = lane_tcp_take(ln, side->pcb, out, FRAMES_A_TIME, BUF_SIZE);
	}
	if (nr <= 0)
		return nr;
	for (int k = 0; k < nr; k++) {
		verify(s, lane_buf_data(lane_bufs(ln), out[k]), out[k]->len,
		       (uint32_t)(c - s->conn), !i, side->rcvd + len);
		len += out[k]->len;
		lane_buf_free(lane_bufs(ln), out[k]);
	}
	lane_tcp_received(ln, side->pcb, len);
	return (ssize_t)len;
}

static ssize_t copy_text(struct sim *s, struct sim_conn *c, unsigned int i)
{
	static uint8_t buf[BUF_SIZE];
	struct sim_side *side = &c->side[i];
	struct lane *ln = s->w.ln[i];
	size_t len = 1 + sim_below(s, BUF_SIZE);
	ssize_t r;

	if (sim_below(s, 8) == 0) {
		r = lane_tcp_read(ln, side->pcb, buf, len, true, 0, NULL);
		/* An error is told once. */
		if (r < 0)
			return r;
		verify(s, buf, (size_t)r, (uint32_t)(c - s->conn), !i, side->rcvd);
	}
	r = lane_tcp_read(ln, side->pcb, buf, len, false, 0, NULL);
	if (r > 0)
		verify(s, buf, (size_t)r, (uint32_t)(c - s->conn), !i, side->rcvd);
	return r;
}

static bool step_read(struct sim *s, struct sim_conn *c, unsigned int i)
{
	struct sim_side *side = &c->side[i];
	const struct sim_side *peer = &c->side[!i];
	ssize_t r = side->zero_copy ? take_frames(s, c, i) : copy_text(s, c, i);

	/* A part of a frame takes a frame of its own, and there is none. */
	if (r == -ENOBUFS)
		r = copy_text(s, c, i);

	sim_log(s, "lane %u connection %u reads at %" PRIu64 ": %zd", i,
		(unsigned int)(c - s->conn), side->rcvd, r);
	if (r == -EAGAIN) {
		side->can_read = false;
		return false;
	}
	if (r < 0) {
		side_error(s, c, i, (int)-r, "read");
		return false;
	}
	side->rcvd += (uint64_t)r;
	if (side->rcvd > peer->sent)
		sim_fail(s, "connection %u: lane %u read more than was sent",
			 (unsigned int)(c - s->conn), i);
	if (r > 0) {
		if (side->slow_reader)
			side->wake_us = s->w.now_us + side->pause_us / 16;
		return true;
	}
	side->eof = true;
	if (side->rcvd != peer->sent || !(peer->wr_shut || peer->done))
		sim_fail(s,
			 "connection %u: lane %u read the end of file at %" PRIu64 " of %" PRIu64,
			 (unsigned int)(c - s->conn), i, side->rcvd, peer->sent);
	return true;
}

/* All is written: ends its direction, or the whole. */
static bool step_finish(struct sim *s, struct sim_conn *c, unsigned int i)
{
	struct sim_side *side = &c->side[i];
	int r;

	if (side->ending != SIM_SHUTDOWN) {
		end_side(s, c, i);
		return false;
	}
	r = lane_tcp_shutdown(s->w.ln[i], side->pcb, false, true);
	sim_log(s, "lane %u connection %u shuts down: %d", i, (unsigned int)(c - s->conn), r);
	if (r) {
		side_error(s, c, i, -r, "shutdown");
		return false;
	}
	side->wr_shut = true;
	return true;
}

static void abort_side(struct sim *s, struct sim_conn *c, unsigned int i)
{
	struct sim_side *side = &c->side[i];

	lane_tcp_abort(s->w.ln[i], side->pcb);
	side->pcb = NULL;
	side->done = true;
	sim_log(s, "lane %u connection %u aborts", i, (unsigned int)(c - s->conn));
}

/* Does one thing; false: nothing more can be done now. */
static bool step_side(struct sim *s, struct sim_conn *c, unsigned int i)
{
	struct sim_side *side = &c->side[i];
	bool acted = false;

	if (side->nr_pauses && sim_below(s, 8) == 0) {
		side->nr_pauses--;
		side->wake_us = s->w.now_us + 1 + sim_below(s, side->pause_us);
		return false;
	}
	if (side->ending == SIM_ABORT && side->sent >= side->abort_at && side->can_write) {
		abort_side(s, c, i);
		return false;
	}
	if (side->can_write && !side->wr_shut && side->sent >= side->to_send)
		acted = step_finish(s, c, i);
	else if (side->can_write && !side->wr_shut && may_speak(c, i))
		acted = step_write(s, c, i);
	if (!side->done && side->can_read && !side->eof)
		acted |= step_read(s, c, i);
	if (!side->done && side->eof && side->wr_shut)
		end_side(s, c, i);
	return acted && !side->done;
}

static void open_conn(struct sim *s, struct sim_conn *c)
{
	unsigned int i = c->opener;
	struct lane *ln = s->w.ln[i];
	struct sim_side *side = &c->side[i];
	struct lane_ep local = any_ep(c->v6, 0);
	struct lane_ep remote = {.ip = world_ip(!i, c->v6), .port = (uint16_t)(PORT + !i)};
	int r;

	side->pcb = lane_tcp_create(ln, (uint64_t)(c - s->conn) * 2 + i);
	if (!side->pcb)
		sim_fail(s, "no pcb to connect");
	set_opts(s, ln, side->pcb);
	r = lane_tcp_connect(ln, side->pcb, &local, &remote);
	if (r == -ENETUNREACH && s->happening == SIM_ADDRS_GONE) {
		lane_tcp_put(ln, side->pcb);
		side->pcb = NULL;
		c->start_us = s->happens_until_us;
		return;
	}
	if (r)
		sim_fail(s, "connect: %s", strerror(-r));
	lane_tcp_get_local(ln, side->pcb, &local);
	c->port = local.port;
	side->begun = true;
	sim_log(s, "lane %u opens connection %u from port %u", i, (unsigned int)(c - s->conn),
		c->port);
}

/* ---- UDP ---- */

static void udp_program(struct sim *s, unsigned int i)
{
	struct lane *ln = s->w.ln[i];
	struct lane_ep local = any_ep(true, 7000);
	struct lane_ep remote = {.ip = world_ip(!i, s->seed & 1), .port = 7000};
	struct lane_udp_msg msg;
	uint8_t buf[6000];
	ssize_t r;

	if (!s->udp[i]) {
		s->udp[i] = lane_udp_create(ln, COOKIE_UDP + i);
		if (!s->udp[i] || lane_udp_bind(ln, s->udp[i], &local, false) != 0)
			sim_fail(s, "UDP socket");
		lane_udp_set_fragment(s->udp[i], s->udp_cut);
	}
	while ((r = lane_udp_read(ln, s->udp[i], buf, sizeof(buf), false, &msg, NULL)) >= 0) {
		if ((size_t)r != msg.len || r < 1 || msg.remote.port != 7000 ||
		    !lane_ip_equal(&msg.remote.ip, &remote.ip))
			sim_fail(s, "a datagram of %zd bytes that nobody sent", r);
		verify(s, buf + 1, (size_t)r - 1, buf[0], !i, 0);
		s->udp_rcvd[i]++;
	}
	if (s->udp_sent[i] >= s->udp_to_send || s->w.now_us < s->udp_wake_us)
		return;
	r = (1 + (ssize_t)sim_below(s, 1200)) * (s->udp_cut ? 5 : 1);
	buf[0] = (uint8_t)s->udp_sent[i]++;
	fill(buf + 1, (size_t)r - 1, buf[0], i, 0);
	r = lane_udp_write(ln, s->udp[i], &remote, NULL, buf, (size_t)r, NULL);
	if (r < 0 && r != -EAGAIN && s->happening != SIM_ADDRS_GONE)
		sim_fail(s, "UDP write: %s", strerror((int)-r));
	if (i == 1)
		s->udp_wake_us = s->w.now_us + sim_below(s, 3000);
}

/* ---- all of them ---- */

void sim_programs(struct sim *s, unsigned int i)
{
	for (uint32_t k = 0; k < s->nr_conns; k++) {
		struct sim_conn *c = &s->conn[k];
		struct sim_side *side = &c->side[i];

		if (c->opener == i && !side->begun && s->w.now_us >= c->start_us)
			open_conn(s, c);
		for (unsigned int n = 0; n < OPS_A_TURN; n++) {
			if (!side->pcb || s->w.now_us < side->wake_us || !step_side(s, c, i))
				break;
		}
	}
	if (s->udp_to_send)
		udp_program(s, i);
}

/* Nothing is armed any more. A side whose peer left without a FIN that got through waits for ever,
 * and may. */
bool sim_give_up_idle(struct sim *s)
{
	bool any = false;

	for (uint32_t k = 0; k < s->nr_conns; k++) {
		struct sim_conn *c = &s->conn[k];

		for (unsigned int i = 0; i < 2; i++) {
			const struct sim_side *peer = &c->side[!i];

			if (!c->side[i].pcb || !peer->done || !may_fail(s, c))
				continue;
			end_side(s, c, i);
			any = true;
		}
	}
	return any;
}

bool sim_all_done(const struct sim *s)
{
	for (uint32_t k = 0; k < s->nr_conns; k++) {
		const struct sim_conn *c = &s->conn[k];

		if (!c->side[c->opener].done)
			return false;
		if (c->side[!c->opener].begun && !c->side[!c->opener].done)
			return false;
	}
	return s->udp_sent[0] >= s->udp_to_send && s->udp_sent[1] >= s->udp_to_send;
}

uint64_t sim_next(const struct sim *s)
{
	uint64_t at = UINT64_MAX;

	for (uint32_t k = 0; k < s->nr_conns; k++) {
		const struct sim_conn *c = &s->conn[k];

		if (!c->side[c->opener].begun && c->start_us < at)
			at = c->start_us;
		for (unsigned int i = 0; i < 2; i++) {
			const struct sim_side *side = &c->side[i];
			bool acts = side->pcb && ((side->can_read && !side->eof) ||
						  (side->can_write && !side->wr_shut && may_speak(c, i)));

			if (acts && side->wake_us < at)
				at = side->wake_us;
		}
	}
	if (s->udp_sent[1] < s->udp_to_send && s->udp_wake_us < at)
		at = s->udp_wake_us;
	return at;
}
