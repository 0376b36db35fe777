/*
 * tune.c - the receive buffer grows with what a round trip brings
 *
 * Theory of operation. Who only receives gets no ACKs of its own text, so the round trip is measured as Linux
 * does: with timestamps by the echo in a segment that is as large as they come; without, by the time in which
 * one whole window arrives, of which the shortest counts. Until then it is the sender's. What the program took in such a
 * round is what the path carries: the buffer becomes twice that, more while it grows from round to round.
 *
 * A tick of our timestamps is 1 ms. Within a rack a round trip is a hundredth of it: with 1 ms in its place the window
 * becomes a hundred times what the path holds, a fast peer fills it, and all that is read is read from memory, not from
 * cache. So it is noted when each tick left first. For the same reason, on so short a path and where that much comes, a large
 * buffer grows only for a program that took nearly all there was within the round, and shrinks for one that did not
 * (docs/decisions/0025).
 */
#include "stack/tcp/tune.h"

#define ECHO_MAX_MS 1000000 /* what is older is no echo */
#define TUNE_START  10	  /* segments of the first round, as Linux */
#define NEAR_US	    2000
#define LEAST_US    8 /* eighths of less are nothing */
#define BEHIND_MS   2
#define JUMP	    4 /* times what was known: so much more a round trip may be */

/* Microseconds since the tick left first, at least LEAST_US; 0: it is none of the last two. */
static uint32_t since_told(const struct lane *ln, const struct lane_tcp_x *x, uint16_t tick)
{
	uint32_t told = 0, us;

	if (tick == x->tune_ms)
		told = x->tune_since_us;
	else if ((uint16_t)(tick + 1) == x->tune_ms)
		told = x->tune_prior_us;
	if (!told)
		return 0;
	us = (uint32_t)ln->now_us - told;
	return us > LEAST_US ? us : LEAST_US;
}

void lane_tcp_tune_echo(const struct lane *ln, const struct lane_tcp *pcb, uint32_t echo, uint32_t len)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t tick = echo - pcb->ts_offset, ms = lane_now_ms(ln) - tick, us, known = x->rcv_rtt_us;

	x->tune_mark = echo;
	if (len < pcb->rcv_mss || ms > ECHO_MAX_MS)
		return;
	us = since_told(ln, x, (uint16_t)tick);
	if (us == 0)
		us = ms ? ms * 1000 : 1000;
	/* A closed window takes as long as the program does. */
	if (known && us > known && lane_tcp_is_behind(pcb, x))
		return;
	/* The peer may have had nothing to send. */
	if (known && us / JUMP > known)
		us = JUMP * known;
	x->rcv_rtt_us = known ? known - known / 8 + us / 8 : us;
}

static void by_window(const struct lane *ln, const struct lane_tcp *pcb, struct lane_tcp_x *x)
{
	uint32_t now = (uint32_t)ln->now_us, us = now - x->tune_since_us;

	if (x->tune_since_us) {
		if (lane_seq_lt(pcb->rcv_nxt, x->tune_mark))
			return;
		if (us && (x->rcv_rtt_us == 0 || us < x->rcv_rtt_us))
			x->rcv_rtt_us = us;
	}
	x->tune_mark = pcb->rcv_adv;
	x->tune_since_us = now ? now : 1;
}

void lane_tcp_tune_rtt(const struct lane *ln, const struct lane_tcp *pcb, const struct lane_seg *seg)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	const struct lane_tcp_opts *o = &seg->ti.opts;

	if (!(pcb->flags & LANE_TF_TS))
		by_window(ln, pcb, x);
	else if ((o->have & LANE_OPT_TS) && o->tsecr != x->tune_mark)
		lane_tcp_tune_echo(ln, pcb, o->tsecr, seg->len);
}

uint16_t lane_tcp_peer_text(const struct lane *ln, const struct lane_tcp *pcb)
{
	uint16_t m = lane_tcp_adv_mss(ln, pcb), ts = pcb->flags & LANE_TF_TS ? 12 : 0;

	return m > ts ? m - ts : 1;
}

uint32_t lane_tcp_tune_space(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	return x->tune_space ? x->tune_space : TUNE_START * lane_tcp_peer_text(ln, pcb);
}

/* More comes to this lane than a program reads from memory, by short paths: what waits is to stay in the cache. */
static bool is_fast(struct lane *ln, const struct lane_tcp *pcb, const struct lane_tcp_x *x)
{
	struct lane_state *st = ln->st;
	uint64_t us = ln->now_us - st->rate_us, bytes = st->stats.rx_bytes - st->rate_bytes;

	if (us >= LANE_TUNE_US) {
		st->is_fast = bytes * 1000 / us > st->cfg.rcv_fast;
		st->rate_us = ln->now_us;
		st->rate_bytes = st->stats.rx_bytes;
	}
	us = lane_tcp_round_us(pcb, x);
	return st->is_fast && us && us < NEAR_US;
}

/* Twice what came in this round, and as much more as it was more than in the last: the peer may be in slow start, which
 * no more than doubles it. Linux adds without bound. */
static uint64_t wanted(const struct lane_tcp *pcb, uint32_t copied, uint32_t before, bool fast)
{
	uint64_t want = 2 * (uint64_t)copied + 16 * pcb->rcv_mss;
	uint32_t more = copied - before;

	if (!fast)
		return want + 2 * (want * more / before);
	return want + want * (more < before ? more : before) / before;
}

static void grow(struct lane *ln, struct lane_tcp *pcb, uint64_t want)
{
	uint32_t max = ln->st->cfg.tcp_rmem[2] / 2;

	if (lane_tcp_frames_short(ln))
		return;
	if (want > max)
		want = max;
	if (want > pcb->rcv_limit)
		pcb->rcv_limit = (uint32_t)want;
}

/* A step when the program was behind all the time; not where it, or SO_RCVLOWAT, asked for much. */
static void shrink(const struct lane *ln, struct lane_tcp *pcb, struct lane_tcp_x *x)
{
	uint32_t large = ln->st->cfg.rcv_large;
	uint16_t now_ms = (uint16_t)lane_now_ms(ln);

	if ((uint16_t)(now_ms - x->tune_drained_ms) < BEHIND_MS || lane_tcp_opts(ln, pcb)->rcvbuf / 2 > large)
		return;
	x->tune_drained_ms = now_ms;
	pcb->rcv_limit -= (pcb->rcv_limit - large) / 8;
	if (x->tune_space > pcb->rcv_limit / 2)
		x->tune_space = pcb->rcv_limit / 2;
}

void lane_tcp_tune_round(struct lane *ln, struct lane_tcp *pcb, struct lane_tcp_x *x)
{
	bool fixed = (pcb->flags & LANE_TF_RCVBUF_SET) || !ln->st->cfg.moderate_rcvbuf;
	bool fast = !fixed && pcb->rcv_limit > ln->st->cfg.rcv_large && is_fast(ln, pcb, x), drained = x->tune_drained;
	uint32_t before = lane_tcp_tune_space(ln, pcb), seq = lane_tcp_copied_seq(ln, pcb), copied = seq - x->tune_seq;

	if (!fast && (uint32_t)ln->now_us - x->tune_us < LANE_TUNE_US)
		return;
	lane_tcp_tune_start(ln, pcb);
	x->tune_space = before;
	x->tune_seq = seq;
	x->tune_us = (uint32_t)ln->now_us;
	x->tune_drained = 0;
	if (fast && !drained) {
		shrink(ln, pcb, x);
	} else if (copied > before) {
		x->tune_space = copied;
		if (!fixed)
			grow(ln, pcb, wanted(pcb, copied, before, fast));
	}
}
