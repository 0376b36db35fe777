/*
 * ackpolicy.c - when we acknowledge: tcp.md 1; RFC 9293 3.8.6.3, RFC 5681 4.2
 *
 * An ACK is decided during input and sent by the flush at the end of the turn, unless text that
 * leaves carries it: so a burst of one flow gets one ACK. Where the program answers the peer (pingpong,
 * as Linux has it), no segment is ACKed at once; a delayed ACK that had to be sent ends that.
 *
 * A delayed ACK waits for the program's answer. One that has read all of what the peer wrote and is not in
 * such a dialogue has none: then the ACK leaves with the read, as the peer's Nagle may wait for it.
 */
#include "stack/tcp/tune.h"

#define CHALLENGES_PER_S 1000
#define GROW_TEXT	 36 /* a segment of less does not widen the window: as Linux, which counts what it takes */

__attribute__((noinline)) void lane_tcp_ack_now(struct lane *ln, struct lane_tcp *pcb)
{
	pcb->flags |= LANE_TF_ACK_NOW;
	lane_tcp_want_output(ln, pcb);
}

void lane_tcp_ack_quick(struct lane_tcp *pcb)
{
	pcb->quick = LANE_QUICK_ACKS;
	pcb->pingpong = 0;
}

void lane_tcp_ack_carried(struct lane *ln, struct lane_tcp *pcb)
{
	if (pcb->bytes_received &&
	    lane_now_ms(ln) - pcb->last_rxtext_ms < LANE_DACK_MAX_US / 1000)
		pcb->pingpong = 1;
}

/*
 * In a dialogue the answer is to carry it, however short the round trip is: nobody waits for it, but for a peer whose
 * time-outs may be as short as ours (as Linux).
 */
static uint32_t delay_us(const struct lane *ln, const struct lane_tcp *pcb)
{
	uint32_t d = pcb->pingpong ? 0 : pcb->rto.srtt_us / 4, rto_min_us = ln->st->cfg.rto_min_us;

	d = d && d < LANE_DACK_MAX_US ? d : LANE_DACK_MAX_US;
	if (d + LANE_WHEEL_TICK_US > rto_min_us)
		d = rto_min_us > LANE_WHEEL_TICK_US ? rto_min_us - LANE_WHEEL_TICK_US : 0;
	return d;
}

/* So much unacknowledged text is ACKed at once: two full segments, or a part of a small window. */
static uint32_t threshold(const struct lane_tcp *pcb)
{
	uint32_t two = 2 * pcb->rcv_mss;

	return two < pcb->rcv_limit / 4 ? two : pcb->rcv_limit / 4;
}

void lane_tcp_ack_text(struct lane *ln, struct lane_tcp *pcb, uint32_t len, bool push)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t now = lane_now_ms(ln);

	if (len > pcb->rcv_mss) {
		uint32_t mss = lane_tcp_peer_text(ln, pcb);

		pcb->rcv_mss = len < mss ? len : mss;
	}
	/* A full segment with PSH ends a write, but never is the second of two small ones (as Linux). */
	if (len < pcb->rcv_mss)
		pcb->pushed = pcb->pushed ? 2 : 1;
	else if (push && !pcb->pushed)
		pcb->pushed = 1;
	/* After a pause the peer starts again with a small window. */
	if (now - pcb->last_rxtext_ms > pcb->rto.rto_us / 1000)
		pcb->quick = LANE_QUICK_ACKS;
	pcb->last_rxtext_ms = now;
	if (pcb->quick && !pcb->pingpong && lane_tcp_opts(ln, pcb)->quickack) {
		pcb->quick--;
		if (len >= GROW_TEXT)
			lane_tcp_tune_start(ln, pcb);
		lane_tcp_ack_now(ln, pcb);
	} else if (pcb->rcv_nxt - x->rcv_acked >= threshold(pcb)) {
		lane_tcp_ack_now(ln, pcb);
	} else if (!lane_tcp_armed(pcb, LANE_TT_DACK)) {
		/* The flush knows whether text of ours has carried it. */
		lane_tcp_want_output(ln, pcb);
		/* As lane_tcp_arm() while output is due. */
		x->due_ms[LANE_TT_DACK] = now + delay_us(ln, pcb) / 1000 + 1;
		pcb->armed |= 1U << LANE_TT_DACK;
	}
}

void lane_tcp_ack_read(struct lane *ln, struct lane_tcp *pcb)
{
	/* As Linux: in a dialogue two short segments only, as the peer's second write may have waited. */
	if (lane_tcp_armed(pcb, LANE_TT_DACK) && pcb->pushed > pcb->pingpong &&
	    lane_tcp_x(ln, pcb)->rcv_used == 0)
		lane_tcp_ack_now(ln, pcb);
}

bool lane_tcp_may_challenge(struct lane *ln)
{
	struct lane_state *st = ln->st;

	/* So many, more or less: who counts them must not learn of others' connections (CVE-2016-5696). */
	if (ln->now_us - st->challenge_window_us >= 1000000) {
		st->challenge_window_us = ln->now_us;
		st->nr_challenges = CHALLENGES_PER_S / 2 + lane_rng_below(&st->rng, CHALLENGES_PER_S);
	}
	if (st->nr_challenges == 0) {
		st->stats.tcp_challenges_withheld++;
		return false;
	}
	st->nr_challenges--;
	return true;
}

void lane_tcp_challenge(struct lane *ln, struct lane_tcp *pcb)
{
	if (lane_tcp_may_challenge(ln))
		lane_tcp_ack_now(ln, pcb);
}

void lane_tcp_ack_sent(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	if (pcb->x != LANE_NIL) {
		x->rcv_acked = pcb->rcv_nxt;
		lane_tcp_tune_told(ln, pcb, x);
	}
	pcb->flags &= ~LANE_TF_ACK_NOW;
	pcb->pushed = 0;
	lane_tcp_disarm(pcb, LANE_TT_DACK);
}
