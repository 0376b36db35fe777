/*
 * loss.c - recovery from loss: RFC 6937 (PRR), 6582, 5682 (F-RTO), 3522 and 4015 (Eifel), DSACK undo
 *
 * Theory of operation. What is lost is found by RACK (rack.c), without SACK by three duplicate ACKs and
 * partial ACKs (RFC 6582), after a time-out by its being old. The first mark begins RECOVERY, in
 * which PRR sets cwnd at each ACK to what is in flight and what may leave; a time-out begins LOSS, with
 * slow start. Both end when all that was out at their beginning is acknowledged.
 *
 * Either may prove spurious, and is undone then: by an ACK that moves snd_una with a timestamp from
 * before the episode (Eifel); after a time-out by the ACK of what was sent once only, for which new text
 * goes before old (F-RTO); by DSACKs for all that was sent again.
 */
#include "stack/tcp/pcb.h"

static bool has_sack(const struct lane_tcp *pcb)
{
	return pcb->flags & LANE_TF_SACK;
}

bool lane_tcp_loss_quiet(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	const struct lane_tcp_rec *r = &x->rec;

	return (x->ca_state == LANE_CA_OPEN || x->ca_state == LANE_CA_CWR) && r->nr_sacked == 0 &&
	       r->lost == 0 && r->retrans == 0 && !(r->bits & (LANE_RB_TLP | LANE_RB_TLP_DUE));
}

bool lane_tcp_loss_idle(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	return x->ca_state == LANE_CA_OPEN && lane_tcp_loss_quiet(ln, pcb);
}

/* ---- undo ---- */

/* RFC 3522 3.2, RFC 5682, RFC 3708: from here on all is told that may show the episode spurious. */
static void begin_episode(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_rec *r = &lane_tcp_x(ln, pcb)->rec;

	r->bits |= LANE_RB_UNDO;
	r->undo_una = pcb->snd_una;
	/* What the last episode sent again, and is still on its way, is no original of this one. */
	if (r->retrans == 0)
		r->undo_ms = lane_now_ms(ln);
	r->nr_undo = (r->retrans + pcb->snd_mss - 1) / pcb->snd_mss;
	r->nr_undo_seen = (uint8_t)(r->nr_undo < UINT8_MAX ? r->nr_undo : UINT8_MAX);
}

static void undo(struct lane *ln, struct lane_tcp *pcb, const struct lane_acked *a)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_tcp_rec *r = &x->rec;

	ln->st->stats.tcp_undone++;
	lane_tcp_cc_undo(ln, pcb);
	lane_tcp_unmark_lost(ln, pcb);
	/* RFC 4015 3.2: the delay that was not expected counts; not if the ACK may answer what was sent
	 * again, because the first one was lost: each time it would count for more. */
	if (x->ca_state == LANE_CA_LOSS && a->first_us && ln->now_us - a->resent_us < pcb->min_rtt_us)
		lane_rto_sample(&pcb->rto, (uint32_t)(ln->now_us - a->first_us),
				ln->st->cfg.rto_min_us);
	else if (x->ca_state == LANE_CA_RECOVERY)
		lane_tcp_rack_reordered(pcb, 0);
	r->bits &= (uint8_t)~(LANE_RB_UNDO | LANE_RB_FRTO | LANE_RB_FRTO_NEW);
	pcb->flags &= ~LANE_TF_RTX_HEAD;
	if (!has_sack(pcb))
		r->nr_sacked = 0;
	x->ca_state = LANE_CA_OPEN;
}

/* RFC 3522: was what moved snd_una sent before the episode? */
static bool eifel(const struct lane *ln, const struct lane_tcp *pcb, const struct lane_seg *seg, const struct lane_acked *a)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t echo_ms = seg->ti.opts.tsecr - pcb->ts_offset;

	return a->bytes && a->retransmitted && (pcb->flags & LANE_TF_TS) &&
	       (seg->ti.opts.have & LANE_OPT_TS) && seg->ti.opts.tsecr &&
	       (int32_t)(echo_ms - x->rec.undo_ms) < 0;
}

/* A DSACK of something that this episode sent again. */
static void count_dsack(struct lane *ln, struct lane_tcp *pcb, const struct lane_acked *a)
{
	struct lane_tcp_rec *r = &lane_tcp_x(ln, pcb)->rec;
	uint32_t segs = (a->dsack_end - a->dsack_start + pcb->snd_mss - 1) / pcb->snd_mss;

	if (a->dsack_start == a->dsack_end)
		return;
	/* A probe's duplicate says nothing of reordering. */
	if (!(r->bits & LANE_RB_TLP_RETRANS) || a->dsack_end != r->tlp_end)
		lane_tcp_rack_dsack(ln, pcb);
	if ((r->bits & LANE_RB_UNDO) && lane_seq_ge(a->dsack_start, r->undo_una))
		r->nr_undo -= segs < r->nr_undo ? segs : r->nr_undo;
}

static bool is_spurious(const struct lane *ln, const struct lane_tcp *pcb, const struct lane_seg *seg,
			const struct lane_acked *a)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	const struct lane_tcp_rec *r = &x->rec;

	if (!(r->bits & LANE_RB_UNDO))
		return false;
	if (x->ca_state >= LANE_CA_RECOVERY && eifel(ln, pcb, seg, a))
		return true;
	/* RFC 5682 3.1 3 b; without SACK an ACK of both tells nothing. */
	if ((r->bits & LANE_RB_FRTO) && a->orig && (has_sack(pcb) || !a->retransmitted))
		return true;
	/* RFC 3708: all of it was for nothing. */
	return a->dsack_start != a->dsack_end && r->nr_undo_seen && r->nr_undo == 0;
}

/* ---- recovery ---- */

static void begin_prr(struct lane *ln, struct lane_tcp *pcb, const struct lane_acked *a)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_tcp_rec *r = &x->rec;

	r->prr_delivered = r->prr_out = 0;
	r->prr_fs = a->prior_in_flight ? a->prior_in_flight : pcb->snd_mss;
	x->recover = pcb->snd_nxt;
}

static void enter_recovery(struct lane *ln, struct lane_tcp *pcb, struct lane_acked *a)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	bool reduced = x->ca_state == LANE_CA_CWR;

	ln->st->stats.tcp_fast_retransmits++;
	begin_episode(ln, pcb);
	x->ca_state = LANE_CA_RECOVERY;
	/* RFC 3168 6.1.2: once for what was in flight then. There is nothing to go back to. */
	if (reduced) {
		x->rec.bits &= (uint8_t)~LANE_RB_UNDO;
		x->recover = pcb->snd_nxt;
		return;
	}
	begin_prr(ln, pcb, a);
	lane_tcp_cc_loss(ln, pcb, pcb->snd_nxt - pcb->snd_una);
}

/* RFC 3168 6.1.2: the peer echoes congestion. */
static void enter_cwr(struct lane *ln, struct lane_tcp *pcb, const struct lane_acked *a)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	ln->st->stats.tcp_ecn_reduced++;
	x->rec.bits &= (uint8_t)~LANE_RB_UNDO;
	begin_prr(ln, pcb, a);
	x->ca_state = LANE_CA_CWR;
	lane_tcp_cc_echo(ln, pcb, x->cc.cwnd);
}

/* RFC 6937 3, with the safe ACKs of RFC 9937. */
static void prr(const struct lane *ln, struct lane_tcp *pcb, const struct lane_acked *a)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_tcp_rec *r = &x->rec;
	uint32_t pipe = lane_tcp_in_flight(ln, pcb), ssthresh = x->cc.ssthresh;
	int64_t send;

	/* The first goes out at once; an echo alone is no reason to send less than ssthresh. */
	if ((a->delivered == 0 && (r->prr_out || x->ca_state == LANE_CA_CWR)) || !lane_tcp_cc_wants_prr(ln, pcb))
		return;
	r->prr_delivered += a->delivered;
	if (pipe > ssthresh) {
		send = (int64_t)(((uint64_t)r->prr_delivered * ssthresh + r->prr_fs - 1) / r->prr_fs) -
		       r->prr_out;
	} else {
		int64_t limit = (int64_t)r->prr_delivered - r->prr_out;

		if (limit < a->delivered)
			limit = a->delivered;
		if (a->bytes && a->lost == 0)
			limit += pcb->snd_mss;
		send = (int64_t)ssthresh - pipe < limit ? (int64_t)ssthresh - pipe : limit;
	}
	if (r->prr_out == 0 && send < pcb->snd_mss)
		send = pcb->snd_mss;
	x->cc.cwnd = pipe + (send > 0 ? (uint32_t)send : 0);
	if (x->cc.cwnd < pcb->snd_mss)
		x->cc.cwnd = pcb->snd_mss;
}

void lane_tcp_loss_sent(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_tcp_rec *r = &x->rec;

	if (x->ca_state == LANE_CA_RECOVERY || x->ca_state == LANE_CA_CWR)
		r->prr_out += b->text_len;
	if (b->nr_tx == 0)
		return;
	lane_tcp_mark_retrans(ln, pcb, b);
	if (r->bits & LANE_RB_UNDO) {
		r->nr_undo++;
		if (r->nr_undo_seen < UINT8_MAX)
			r->nr_undo_seen++;
	}
}

/* All that was out when the episode began is acknowledged. */
static void leave(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	if (x->ca_state != LANE_CA_LOSS)
		lane_tcp_cc_recovered(ln, pcb);
	if (x->ca_state != LANE_CA_CWR)
		lane_tcp_rack_recovered(ln, pcb);
	x->rec.bits &= (uint8_t)~(LANE_RB_FRTO | LANE_RB_FRTO_NEW);
	if (!has_sack(pcb))
		x->rec.nr_sacked = 0;
	x->ca_state = LANE_CA_OPEN;
}

/* ---- without SACK: RFC 6582 ---- */

static uint32_t mark_head(struct lane *ln, struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_buf *b = lane_buf_at(&ln->bufs, x->sndq_head);

	if (!b || b->nr_tx == 0 || (b->snd_state & LANE_SND_RETRANS) || !lane_tcp_mark_lost(ln, pcb, b))
		return 0;
	return b->text_len;
}

static void dup_ack(struct lane *ln, struct lane_tcp *pcb, struct lane_acked *a)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_tcp_rec *r = &x->rec;
	/* It cannot say more than that all but one of the segments out there have arrived. */
	uint32_t out = (pcb->snd_nxt - pcb->snd_una + pcb->snd_mss - 1) / pcb->snd_mss;

	if (x->ca_state == LANE_CA_LOSS)
		return;
	if (r->nr_sacked < UINT16_MAX && (r->nr_sacked < out || r->nr_sacked < LANE_DUP_THRESH)) {
		r->nr_sacked++;
		a->delivered += pcb->snd_mss;
	}
	/* 3.2 step 2: not again for what a time-out has sent anew. */
	if (x->ca_state < LANE_CA_RECOVERY && r->nr_sacked >= LANE_DUP_THRESH &&
	    lane_seq_ge(pcb->snd_una, x->recover))
		a->lost += mark_head(ln, pcb);
}

/* One of the acknowledged segments was the hole, the others had made duplicates. */
static void advanced(struct lane *ln, struct lane_tcp *pcb, struct lane_acked *a)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_tcp_rec *r = &x->rec;
	uint32_t segs = (a->bytes + pcb->snd_mss - 1) / pcb->snd_mss;
	uint32_t known = segs > 1 ? segs - 1 : 0;

	if (known > r->nr_sacked)
		known = r->nr_sacked;
	r->nr_sacked -= (uint16_t)known;
	a->delivered -= known * pcb->snd_mss < a->delivered ? known * pcb->snd_mss : a->delivered;
	if (x->ca_state != LANE_CA_RECOVERY)
		r->nr_sacked = 0;
	else
		a->lost += mark_head(ln, pcb); /* 3.2 step 3: the next hole */
}

/* ---- after an ACK ---- */

/* RFC 5682 2.1 and 3.1, as far as it is not spurious yet. */
static void frto(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg, const struct lane_acked *a)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_tcp_rec *r = &x->rec;

	if (!(r->bits & LANE_RB_FRTO))
		return;
	if (r->bits & LANE_RB_FRTO_NEW) {
		/* Step 3 a: a duplicate, or nothing but what was sent again. */
		if (a->bytes || a->sacked || a->dup)
			r->bits &= (uint8_t)~(LANE_RB_FRTO | LANE_RB_FRTO_NEW);
		return;
	}
	if (a->dup || a->sacked) {
		r->bits &= (uint8_t)~LANE_RB_FRTO;
	} else if (a->bytes) {
		/* Step 2 b: new text, if there is any that may leave. */
		if (x->snd_unsent != LANE_NIL &&
		    lane_seq_gt(seg->ack + pcb->snd_wnd, pcb->snd_nxt)) {
			r->bits |= LANE_RB_FRTO_NEW;
			x->recover = pcb->snd_nxt;
		} else {
			r->bits &= (uint8_t)~LANE_RB_FRTO;
		}
	}
}

void lane_tcp_loss_found(struct lane *ln, struct lane_tcp *pcb, struct lane_acked *a)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	if (x->rec.lost == 0)
		return;
	if (x->ca_state < LANE_CA_RECOVERY)
		enter_recovery(ln, pcb, a);
	if (x->ca_state == LANE_CA_RECOVERY)
		prr(ln, pcb, a);
	lane_tcp_want_output(ln, pcb);
}

void lane_tcp_loss_ack(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg,
		       struct lane_acked *a)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	/* An echo counts until the peer has the CWR, which went with what came behind 'recover'. */
	bool over = x->ca_state == LANE_CA_CWR ? lane_seq_gt(pcb->snd_una, x->recover)
						 : lane_seq_ge(pcb->snd_una, x->recover);

	count_dsack(ln, pcb, a);
	lane_tcp_tlp_ack(ln, pcb, seg, a);
	if (is_spurious(ln, pcb, seg, a))
		undo(ln, pcb, a);
	if (x->ca_state == LANE_CA_LOSS && !over)
		frto(ln, pcb, seg, a);
	else if (x->ca_state >= LANE_CA_CWR && over && a->bytes)
		leave(ln, pcb);
	if (has_sack(pcb))
		a->lost += lane_tcp_rack_detect(ln, pcb);
	else if (a->dup)
		dup_ack(ln, pcb, a);
	else if (a->bytes)
		advanced(ln, pcb, a);
	if (x->ca_state < LANE_CA_CWR)
		x->ca_state = x->rec.nr_sacked || x->rec.lost ? LANE_CA_DISORDER : LANE_CA_OPEN;
	if (a->ece && x->ca_state < LANE_CA_CWR)
		enter_cwr(ln, pcb, a);
	if (x->rec.lost && x->ca_state < LANE_CA_RECOVERY)
		enter_recovery(ln, pcb, a);
	if (x->ca_state == LANE_CA_RECOVERY || x->ca_state == LANE_CA_CWR)
		prr(ln, pcb, a);
	lane_tcp_want_output(ln, pcb);
}

/* ---- the time-out ---- */

/* RFC 8985 6.3: the oldest, and what was sent long ago; without SACK all. */
static void mark_on_timeout(struct lane *ln, struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_buf *b = lane_buf_at(&ln->bufs, x->sndq_head), *head = b;

	for (; b && b->nr_tx; b = lane_buf_at(&ln->bufs, b->next)) {
		if (b == head || !has_sack(pcb) || lane_tcp_rack_overdue(ln, pcb, b))
			lane_tcp_mark_lost(ln, pcb, b);
	}
}

void lane_tcp_enter_loss(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_tcp_rec *r = &x->rec;
	bool first = x->ca_state != LANE_CA_LOSS;

	r->bits &= (uint8_t)~(LANE_RB_FRTO | LANE_RB_FRTO_NEW | LANE_RB_TLP | LANE_RB_TLP_RETRANS |
			      LANE_RB_TLP_DUE);
	lane_tcp_disarm(pcb, LANE_TT_LOSS);
	lane_tcp_check_renege(ln, pcb);
	if (!has_sack(pcb))
		r->nr_sacked = 0;
	lane_tcp_cc_rto(ln, pcb, first);
	if (x->ca_state < LANE_CA_RECOVERY) {
		begin_episode(ln, pcb);
		r->bits |= LANE_RB_FRTO;
	}
	x->recover = pcb->snd_nxt;
	x->ca_state = LANE_CA_LOSS;
	mark_on_timeout(ln, pcb);
	/* The window may be full of what is not known to be lost: the oldest goes all the same. */
	pcb->flags |= LANE_TF_RTX_HEAD;
	lane_tcp_want_output(ln, pcb);
}

void lane_tcp_loss_too_big(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_buf *b = lane_buf_at(&ln->bufs, x->sndq_head);

	/* RFC 8201 5.4: no congestion. */
	x->rec.bits &= (uint8_t)~(LANE_RB_UNDO | LANE_RB_FRTO | LANE_RB_FRTO_NEW);
	x->recover = pcb->snd_nxt;
	x->ca_state = LANE_CA_LOSS;
	for (; b && b->nr_tx; b = lane_buf_at(&ln->bufs, b->next)) {
		if (b->text_len > pcb->snd_mss)
			lane_tcp_mark_lost(ln, pcb, b);
	}
	lane_tcp_want_output(ln, pcb);
}
