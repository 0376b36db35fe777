/*
 * rack.c - when is a segment lost: RACK and the tail loss probe (RFC 8985)
 *
 * Theory of operation. A segment is lost when one that was sent later has arrived, and the time that
 * reordering may take has passed since. That time is 0 when three segments were SACKed and the path
 * was never seen to reorder (the rule of three duplicate ACKs); else a quarter of the shortest
 * round trip, more for each round with a DSACK. A frame that was sent again is judged by its last
 * transmission, so a lost retransmission is found in the same way.
 *
 * When an ACK fails to come for about two round trips, the last segment (or a new one) is sent as a probe:
 * its SACK then shows what is lost. Clocks are in microseconds, the timer wheel's tick is 1 ms.
 */
#include "stack/tcp/pcb.h"

#define REO_PERSIST	16     /* RFC 8985 6.2 step 4 */

/* RACK_sent_after() */
static bool sent_after(uint64_t us1, uint32_t end1, uint64_t us2, uint32_t end2)
{
	return us1 > us2 || (us1 == us2 && lane_seq_gt(end1, end2));
}

void lane_tcp_rack_reordered(struct lane_tcp *pcb, uint32_t segs)
{
	if (segs > LANE_REORDERING_MAX)
		segs = LANE_REORDERING_MAX;
	if (segs > pcb->reordering)
		pcb->reordering = (uint16_t)segs;
	pcb->reordered = true;
}

/* 6.2 step 3. */
static void look_for_reordering(struct lane *ln, struct lane_tcp *pcb, const struct lane_buf *b)
{
	struct lane_tcp_rec *r = &lane_tcp_x(ln, pcb)->rec;
	uint32_t end = b->seq + b->text_len;

	if (lane_seq_ge(end, r->fack))
		r->fack = end;
	else if (b->nr_tx == 1)
		lane_tcp_rack_reordered(pcb, (r->fack - b->seq + pcb->snd_mss - 1) / pcb->snd_mss);
}

/* 6.2 step 2: may this be the ACK of an earlier transmission? */
static bool is_ambiguous(const struct lane_tcp *pcb, const struct lane_seg *seg,
			 const struct lane_buf *b, uint32_t rtt_us)
{
	uint32_t echo_ms = seg->ti.opts.tsecr - pcb->ts_offset;

	if (b->nr_tx < 2)
		return false;
	if ((pcb->flags & LANE_TF_TS) && (seg->ti.opts.have & LANE_OPT_TS) &&
	    (int32_t)(echo_ms - (uint32_t)(b->tx_us / 1000)) < 0)
		return true;
	return rtt_us < pcb->min_rtt_us;
}

void lane_tcp_rack_take(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg,
			const struct lane_buf *b)
{
	struct lane_tcp_rec *r = &lane_tcp_x(ln, pcb)->rec;
	uint32_t rtt_us = (uint32_t)(ln->now_us - b->tx_us), end = b->seq + b->text_len;

	look_for_reordering(ln, pcb, b);
	if (is_ambiguous(pcb, seg, b, rtt_us) || !sent_after(b->tx_us, end, r->xmit_us, r->end_seq))
		return;
	r->rtt_us = rtt_us;
	r->xmit_us = b->tx_us;
	r->end_seq = end;
}

/* 6.2 step 4: RACK_update_reo_wnd(). */
static uint32_t reo_wnd_us(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	const struct lane_tcp_rec *r = &x->rec;
	uint64_t w;

	if (!pcb->reordered &&
	    (x->ca_state >= LANE_CA_RECOVERY || r->nr_sacked >= LANE_DUP_THRESH))
		return 0;
	w = (uint64_t)(x->rec.reo_mult + 1) * pcb->min_rtt_us / 4;
	return w < pcb->rto.srtt_us ? (uint32_t)w : pcb->rto.srtt_us;
}

void lane_tcp_rack_dsack(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_tcp_rec *r = &lane_tcp_x(ln, pcb)->rec;

	if ((r->bits & LANE_RB_DSACK_ROUND) && lane_seq_lt(pcb->snd_una, r->dsack_round))
		return;
	r->bits |= LANE_RB_DSACK_ROUND;
	r->dsack_round = pcb->snd_nxt;
	x->rec.reo_persist = REO_PERSIST;
	if (x->rec.reo_mult < UINT8_MAX)
		x->rec.reo_mult++;
}

void lane_tcp_rack_recovered(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	if (x->rec.reo_persist && --x->rec.reo_persist == 0)
		x->rec.reo_mult = 0;
}

/* How long to wait for 'b' yet, in microseconds; not positive: it is lost. */
static int64_t left_us(const struct lane *ln, const struct lane_tcp *pcb, const struct lane_buf *b,
		       uint32_t wnd_us)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	return (int64_t)(b->tx_us + x->rec.rtt_us + wnd_us - ln->now_us);
}

bool lane_tcp_rack_overdue(const struct lane *ln, const struct lane_tcp *pcb, const struct lane_buf *b)
{
	return left_us(ln, pcb, b, reo_wnd_us(ln, pcb)) <= 0;
}

/* 6.2 step 5: RACK_detect_loss(). */
uint32_t lane_tcp_rack_detect(struct lane *ln, struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	const struct lane_tcp_rec *r = &x->rec;
	uint32_t wnd_us = reo_wnd_us(ln, pcb), bytes = 0;
	struct lane_buf *b = lane_buf_at(&ln->bufs, x->sndq_head);
	int64_t wait_us = 0;

	/* Frames behind one that was first sent later than xmit_us were sent later, too. */
	for (; b && b->nr_tx && b->first_tx_us <= r->xmit_us; b = lane_buf_at(&ln->bufs, b->next)) {
		int64_t left;

		if ((b->snd_state & LANE_SND_SACKED) ||
		    (b->snd_state & (LANE_SND_LOST | LANE_SND_RETRANS)) == LANE_SND_LOST ||
		    !sent_after(r->xmit_us, r->end_seq, b->tx_us, b->seq + b->text_len))
			continue;
		left = left_us(ln, pcb, b, wnd_us);
		if (left > wait_us)
			wait_us = left;
		if (left <= 0 && lane_tcp_mark_lost(ln, pcb, b)) {
			bytes += b->text_len;
			ln->st->stats.tcp_rack_lost++;
		}
	}
	if (wait_us)
		lane_tcp_arm(ln, pcb, LANE_TT_LOSS, (uint64_t)wait_us);
	else
		lane_tcp_disarm(pcb, LANE_TT_LOSS);
	return bytes;
}

/* ---- the tail loss probe ---- */

/* 7.2: PTO, and whether it is for this connection at all. */
void lane_tcp_tlp_arm(struct lane *ln, struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	const struct lane_buf *b = lane_buf_at(&ln->bufs, x->sndq_head);
	uint64_t pto_us;

	if (lane_tcp_armed(pcb, LANE_TT_LOSS) || !(pcb->flags & LANE_TF_SACK) ||
	    (x->ca_state != LANE_CA_OPEN && x->ca_state != LANE_CA_CWR) || x->rec.nr_sacked || (x->rec.bits & LANE_RB_TLP) ||
	    x->retries || !b || b->nr_tx == 0)
		return;
	pto_us = lane_tcp_pto_us(pcb, b->next == LANE_NIL || b->next == x->snd_unsent);
	/* The time-out comes first: nothing to do. */
	if ((int32_t)(x->due_ms[LANE_TT_RTX] - lane_now_ms(ln)) <= (int32_t)(pto_us / 1000) + 1)
		return;
	lane_tcp_arm(ln, pcb, LANE_TT_LOSS, pto_us);
}

void lane_tcp_tlp_sent(struct lane *ln, struct lane_tcp *pcb, bool retrans)
{
	struct lane_tcp_rec *r = &lane_tcp_x(ln, pcb)->rec;

	ln->st->stats.tcp_tlps++;
	r->bits &= (uint8_t)~(LANE_RB_TLP_DUE | LANE_RB_TLP_RETRANS);
	r->bits |= LANE_RB_TLP | (retrans ? LANE_RB_TLP_RETRANS : 0);
	r->tlp_end = pcb->snd_nxt;
	/* 7.3: the time-out counts from the probe. */
	lane_tcp_arm(ln, pcb, LANE_TT_RTX, pcb->rto.rto_us);
}

void lane_tcp_tlp_ack(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg,
		      const struct lane_acked *a)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_tcp_rec *r = &x->rec;

	if (!(r->bits & LANE_RB_TLP) || lane_seq_lt(seg->ack, r->tlp_end))
		return;
	if (r->bits & LANE_RB_TLP_RETRANS) {
		bool spurious = a->dsack_start != a->dsack_end && a->dsack_end == r->tlp_end;

		/* Wait: the original and the probe are acknowledged one by one. */
		if (!spurious && seg->ack == r->tlp_end &&
		    (a->bytes || seg->len || (seg->ti.opts.have & LANE_OPT_SACK)))
			return;
		/* The probe repaired a loss: it has to count as one. */
		if (!spurious && seg->ack != r->tlp_end && x->ca_state < LANE_CA_RECOVERY)
			lane_tcp_cc_loss(ln, pcb, x->cc.cwnd);
	}
	r->bits &= (uint8_t)~(LANE_RB_TLP | LANE_RB_TLP_RETRANS);
}

void lane_tcp_loss_timeout(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_acked a = {.prior_in_flight = lane_tcp_in_flight(ln, pcb)};

	if (pcb->snd_una == pcb->snd_nxt)
		return;
	if ((x->ca_state == LANE_CA_OPEN || x->ca_state == LANE_CA_CWR) && x->rec.nr_sacked == 0) {
		x->rec.bits |= LANE_RB_TLP_DUE;
		lane_tcp_want_output(ln, pcb);
		return;
	}
	a.lost = lane_tcp_rack_detect(ln, pcb);
	lane_tcp_loss_found(ln, pcb, &a);
}
