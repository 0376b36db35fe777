/*
 * tune.c - the receive buffer grows with what a round trip brings
 *
 * Theory of operation. Who only receives gets no ACKs of its own text, so the round trip is measured as Linux
 * does: with timestamps by the echo in a segment that is as large as they come; without, by the time in which
 * one whole window arrives, of which the shortest counts. Until then it is the sender's. What the program took in such a
 * round is what the path carries: the buffer becomes twice that, more while it grows from round to round.
 */
#include "stack/tcp/tune.h"

#define ECHO_MAX_MS 1000000 /* what is older is no echo */
#define TUNE_START  10	  /* segments of the first round, as Linux */

void lane_tcp_tune_echo(const struct lane *ln, const struct lane_tcp *pcb, uint32_t echo, uint32_t len)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t ms = lane_now_ms(ln) + pcb->ts_offset - echo;

	x->tune_mark = echo;
	if (len < pcb->rcv_mss || ms > ECHO_MAX_MS)
		return;
	/* A tick is the least that can be seen. */
	ms = ms ? ms * 1000 : 1000;
	x->rcv_rtt_us = x->rcv_rtt_us ? x->rcv_rtt_us - x->rcv_rtt_us / 8 + ms / 8 : ms;
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

/* Twice what came in this round, and as much more as it was more than in the last: the peer may be in slow start. */
static uint64_t wanted(const struct lane_tcp *pcb, uint32_t copied, uint32_t before)
{
	uint64_t want = 2 * (uint64_t)copied + 16 * pcb->rcv_mss;

	return want + 2 * (want * (copied - before) / before);
}

void lane_tcp_tune_round(struct lane *ln, struct lane_tcp *pcb, struct lane_tcp_x *x)
{
	uint32_t max = ln->st->cfg.tcp_rmem[2] / 2, before, seq, copied;

	lane_tcp_tune_start(ln, pcb);
	if (x->tune_space == 0)
		x->tune_space = lane_tcp_tune_space(ln, pcb);
	before = x->tune_space;
	seq = lane_tcp_copied_seq(ln, pcb);
	copied = seq - x->tune_seq;
	x->tune_seq = seq;
	x->tune_us = (uint32_t)ln->now_us;
	if (copied <= before)
		return;
	x->tune_space = copied;
	if (!(pcb->flags & LANE_TF_RCVBUF_SET) && ln->st->cfg.moderate_rcvbuf && !lane_tcp_frames_short(ln)) {
		uint64_t want = wanted(pcb, copied, before);

		if (want > max)
			want = max;
		if (want > pcb->rcv_limit)
			pcb->rcv_limit = (uint32_t)want;
	}
}
