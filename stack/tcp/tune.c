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
 * cache. So it is noted when each tick left first. For the same reason, on so short a path, a large buffer grows only for a
 * program that took nearly all there was within the round, and shrinks for one that did not (docs/decisions/0025).
 */
#include "stack/tcp/tune.h"

#define ECHO_MAX_MS 1000000 /* what is older is no echo */
#define TUNE_START  10	  /* segments of the first round, as Linux */
#define NEAR_US	    2000
#define PLENTY	    (256 << 10) /* bytes: a large buffer */

/* Microseconds since the tick left first; 0: it is none of the last two. */
static uint32_t since_told(const struct lane *ln, const struct lane_tcp_x *x, uint32_t tick)
{
	uint32_t told = tick == x->tune_ms ? x->tune_since_us : tick + 1 == x->tune_ms ? x->tune_prior_us : 0;

	return told ? (uint32_t)ln->now_us - told : 0;
}

void lane_tcp_tune_echo(const struct lane *ln, const struct lane_tcp *pcb, uint32_t echo, uint32_t len)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t tick = echo - pcb->ts_offset, ms = lane_now_ms(ln) - tick, us;

	x->tune_mark = echo;
	if (len < pcb->rcv_mss || ms > ECHO_MAX_MS)
		return;
	us = since_told(ln, x, tick);
	if (us == 0)
		us = ms ? ms * 1000 : 1000;
	/* A closed window takes as long as the program does. */
	if (x->rcv_rtt_us && us > x->rcv_rtt_us && lane_tcp_is_behind(pcb, x))
		return;
	x->rcv_rtt_us = x->rcv_rtt_us ? x->rcv_rtt_us - x->rcv_rtt_us / 8 + us / 8 : us;
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

/* The path is so short that more than it holds does harm. */
static bool is_near(const struct lane_tcp *pcb, const struct lane_tcp_x *x)
{
	return (x->rcv_rtt_us ? x->rcv_rtt_us : pcb->rto.srtt_us) < NEAR_US;
}

/* Twice what came in this round, and as much more as it was more than in the last: the peer may be in slow start, which
 * no more than doubles it. Linux adds without bound. */
static uint64_t wanted(const struct lane_tcp *pcb, const struct lane_tcp_x *x, uint32_t copied, uint32_t before)
{
	uint64_t want = 2 * (uint64_t)copied + 16 * pcb->rcv_mss;
	uint32_t more = copied - before;

	if (!is_near(pcb, x))
		return want + 2 * (want * more / before);
	return want + want * (more < before ? more : before) / before;
}

static void grow(struct lane *ln, struct lane_tcp *pcb, struct lane_tcp_x *x, uint32_t copied, uint32_t before)
{
	uint32_t max = ln->st->cfg.tcp_rmem[2] / 2;
	uint64_t want = wanted(pcb, x, copied, before);

	x->tune_space = copied;
	if (lane_tcp_frames_short(ln))
		return;
	if (want > max)
		want = max;
	if (want > pcb->rcv_limit)
		pcb->rcv_limit = (uint32_t)want;
}

/* Never below what it began with, or SO_RCVLOWAT asked for. */
static void shrink(const struct lane *ln, struct lane_tcp *pcb, struct lane_tcp_x *x)
{
	uint32_t least = lane_tcp_opts(ln, pcb)->rcvbuf / 2;

	least = least > PLENTY ? least : PLENTY;
	if (pcb->rcv_limit > least)
		pcb->rcv_limit -= (pcb->rcv_limit - least) / 8;
	if (x->tune_space > pcb->rcv_limit / 2)
		x->tune_space = pcb->rcv_limit / 2;
}

void lane_tcp_tune_round(struct lane *ln, struct lane_tcp *pcb, struct lane_tcp_x *x)
{
	bool fixed = (pcb->flags & LANE_TF_RCVBUF_SET) || !ln->st->cfg.moderate_rcvbuf, drained = x->tune_drained;
	uint32_t before = lane_tcp_tune_space(ln, pcb), seq = lane_tcp_copied_seq(ln, pcb), copied = seq - x->tune_seq;

	lane_tcp_tune_start(ln, pcb);
	x->tune_space = before;
	x->tune_seq = seq;
	x->tune_us = (uint32_t)ln->now_us;
	x->tune_drained = 0;
	if (fixed && copied > before)
		x->tune_space = copied;
	else if (!fixed && !drained && pcb->rcv_limit > PLENTY && is_near(pcb, x))
		shrink(ln, pcb, x);
	else if (!fixed && copied > before)
		grow(ln, pcb, x, copied, before);
}
