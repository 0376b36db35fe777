/*
 * ack.c - what an ACK does: frees what arrived, measures the round trip, opens windows
 *
 * RFC 9293 3.10.7.4 (fifth), RFC 5961 5, RFC 5681. What it says of losses is for sack.c (the
 * scoreboard), rack.c (what is lost) and loss.c (what follows), which are passed by when nothing is.
 */
#include "stack/tcp/pcb.h"

#define RENEGE_US 10000 /* at least, as Linux */

bool lane_tcp_fin_acked(const struct lane_tcp *pcb)
{
	/* Once it was sent, nothing lies behind it. */
	return (pcb->flags & LANE_TF_FIN_SENT) && pcb->snd_una == pcb->snd_nxt;
}

/* The front of 'b' is acknowledged. */
static void trim_front(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b, uint32_t n,
		       struct lane_acked *a)
{
	if (!(b->snd_state & LANE_SND_SACKED))
		a->delivered += n;
	if (b->nr_tx > 1) {
		a->retransmitted = true;
		if (b->tx_us > a->resent_us)
			a->resent_us = b->tx_us;
	}
	lane_tcp_sack_trim(ln, pcb, b, n);
	b->text_off += (uint16_t)n;
	b->text_len -= (uint16_t)n;
	b->seq += n;
}

/* Frees what lies before 'ack'; a frame that is acknowledged in part loses its front. */
static void free_acked(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg,
		       struct lane_acked *a)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t ack = seg->ack;
	struct lane_buf *b;

	while ((b = lane_buf_at(&ln->bufs, x->sndq_head)) != NULL && b->nr_tx) {
		if (lane_seq_gt(b->seq + b->text_len, ack)) {
			if (lane_seq_gt(ack, b->seq))
				trim_front(ln, pcb, b, ack - b->seq, a);
			return;
		}
		lane_tcp_sack_acked(ln, pcb, seg, b, a);
		if (x->rtx_frame == x->sndq_head)
			x->rtx_frame = b->next;
		x->sndq_head = b->next;
		if (x->sndq_head == LANE_NIL)
			x->sndq_tail = LANE_NIL;
		x->nr_sndq--;
		b->next = LANE_NIL;
		b->flags &= (uint8_t)~LANE_BUF_SNDQ;
		lane_buf_free(&ln->bufs, b);
	}
}

/* The round trip of what was sent twice, by the timestamp that came back; 0: unknown. A timestamp from
 * before the last transmission tells nothing: mostly the first ACK was lost, and the time until we
 * tried again would count as the path's, each time more (it did, up to 120 s). */
static uint32_t rtt_of_resent(const struct lane *ln, const struct lane_tcp *pcb,
			      const struct lane_seg *seg, const struct lane_acked *a)
{
	uint32_t sent_ms = seg->ti.opts.tsecr - pcb->ts_offset;

	if (!(pcb->flags & LANE_TF_TS) || !(seg->ti.opts.have & LANE_OPT_TS) ||
	    (int32_t)(sent_ms - (uint32_t)(a->resent_us / 1000)) < 0 ||
	    (int32_t)(lane_now_ms(ln) - sent_ms) < 0)
		return 0;
	return (lane_now_ms(ln) - sent_ms) * 1000 + 500;
}

/* RFC 6298 3 (Karn) and RFC 7323 4: by our own clock in microseconds if nothing was sent twice. Without
 * a measurement the time-out stays as long as it has become. It is to last for the oldest of what was acknowledged
 * together, which waited for the ACK the longest (as Linux). */
static void measure(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg, struct lane_acked *a)
{
	if (a->retransmitted)
		a->rtt_us = a->oldest_us = rtt_of_resent(ln, pcb, seg, a);
	if (a->rtt_us == 0)
		return;
	lane_rto_sample(&pcb->rto, a->oldest_us > a->rtt_us ? a->oldest_us : a->rtt_us, ln->st->cfg.rto_min_us);
	if (pcb->min_rtt_us == 0 || a->rtt_us < pcb->min_rtt_us)
		pcb->min_rtt_us = a->rtt_us;
}

/* May more leave now that the window has moved? */
static bool has_output(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	return x->snd_unsent != LANE_NIL || x->rtx_frame != LANE_NIL ||
	       (pcb->flags & LANE_TF_RTX_HEAD) ||
	       (pcb->flags & (LANE_TF_WR_SHUT | LANE_TF_FIN_SENT)) == LANE_TF_WR_SHUT;
}

/* snd_una moves. */
static void advance(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg,
		    struct lane_acked *a)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	bool fin = (pcb->flags & LANE_TF_FIN_SENT) && seg->ack == x->snd_end + 1;

	a->bytes = seg->ack - pcb->snd_una;
	pcb->bytes_acked += a->bytes - fin;
	free_acked(ln, pcb, seg, a);
	if (fin && a->rtt_us == 0 && x->ctl_tx_us)
		a->rtt_us = (uint32_t)ln->now_us - x->ctl_tx_us;
	pcb->snd_una = seg->ack;
	x->retries = 0;
	pcb->soft_err = 0;
	x->start_ms = lane_now_ms(ln);
	pcb->flags &= ~LANE_TF_RTX_HEAD;
	if ((pcb->flags & LANE_TF_URG_SND) && lane_seq_ge(pcb->snd_una, x->snd_up))
		pcb->flags &= ~LANE_TF_URG_SND;
}

/* RFC 2018 8: a peer that has SACKed the oldest but does not acknowledge it may have dropped it. There
 * is no use in waiting for a whole time-out. */
static uint64_t rtx_us(struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	const struct lane_buf *b = lane_buf_at(&ln->bufs, x->sndq_head);
	uint32_t soon_us = pcb->rto.srtt_us / 2 > RENEGE_US ? pcb->rto.srtt_us / 2 : RENEGE_US;

	if (b && (b->snd_state & LANE_SND_SACKED) && soon_us < pcb->rto.rto_us)
		return soon_us;
	return pcb->rto.rto_us;
}

/* RFC 6298 5.2, 5.3; a probe of the tail counts from the last ACK, too. */
static void restart_timers(struct lane *ln, struct lane_tcp *pcb)
{
	lane_tcp_disarm(pcb, LANE_TT_RTX);
	if (pcb->snd_una != pcb->snd_nxt)
		lane_tcp_arm(ln, pcb, LANE_TT_RTX, rtx_us(ln, pcb));
	if (!lane_tcp_loss_quiet(ln, pcb))
		return;
	lane_tcp_disarm(pcb, LANE_TT_LOSS);
	if (pcb->snd_una != pcb->snd_nxt)
		lane_tcp_tlp_arm(ln, pcb);
}

/* All that an ACK says of what was sent. */
static void take_ack(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg, bool dup)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_acked a = {
		.prior_in_flight = lane_tcp_in_flight(ln, pcb),
		.ece = (pcb->ecn & LANE_ECN_OK) && (seg->ti.flags & (LANE_WIRE_ECE | LANE_WIRE_SYN)) == LANE_WIRE_ECE,
	};

	if (lane_seq_gt(seg->ack, pcb->snd_una))
		advance(ln, pcb, seg, &a);
	if (pcb->flags & LANE_TF_SACK)
		lane_tcp_sack_in(ln, pcb, seg, &a);
	else
		a.dup = dup;
	if (a.bytes || a.sacked)
		measure(ln, pcb, seg, &a);
	if (!lane_tcp_loss_idle(ln, pcb) || a.dup || a.ece || a.dsack_start != a.dsack_end)
		lane_tcp_loss_ack(ln, pcb, seg, &a);
	x->delivered += a.delivered;
	if (a.bytes || a.sacked)
		lane_tcp_cc_ack(ln, pcb, &a);
	if (a.bytes == 0)
		return;
	restart_timers(ln, pcb);
	lane_tcp_space_back(ln, pcb);
	if (has_output(ln, pcb))
		lane_tcp_want_output(ln, pcb);
}

/* RFC 9293 3.10.7.4: true when the peer's window is not what it was. */
static bool update_window(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg)
{
	/* RFC 7323 2.2: that of a SYN-ACK (a simultaneous open) is not scaled. */
	uint32_t wnd = seg->wnd << (seg->ti.flags & LANE_WIRE_SYN ? 0 : pcb->snd_wscale);
	bool changed = wnd != pcb->snd_wnd;

	/* An ACK that moves snd_una says also from where its window counts, however old its text is: with
	 * the old window the right edge would be beyond what the peer offered (as Linux). No older ACK than
	 * snd_una gets here, so there is no SND.WL2. */
	if (!lane_seq_gt(seg->ack, pcb->snd_una)) {
		if (lane_seq_lt(seg->seq, pcb->snd_wl1))
			return false;
		/* Of two that say the same, nobody knows which is the later: the window does not shrink, but to
		 * nothing (as Linux). */
		if (seg->seq == pcb->snd_wl1 && wnd && wnd <= pcb->snd_wnd)
			return false;
	}
	pcb->snd_wnd = wnd;
	pcb->snd_wl1 = seg->seq;
	if (wnd > pcb->snd_max_wnd)
		pcb->snd_max_wnd = wnd;
	if (changed)
		lane_tcp_want_output(ln, pcb);
	return changed;
}

/* An ACK from before the peer's largest window, or of less than was ever sent, as Linux. */
static bool is_too_old(const struct lane_tcp *pcb, uint32_t ack)
{
	bool opened = (pcb->flags & (LANE_TF_CONNECTED | LANE_TF_PASSIVE)) == LANE_TF_CONNECTED;
	uint64_t bytes = pcb->bytes_acked + opened + lane_tcp_fin_acked(pcb);

	return pcb->snd_una - ack > (bytes < pcb->snd_max_wnd ? bytes : pcb->snd_max_wnd);
}

enum lane_drop lane_tcp_ack_in(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg)
{
	/* What it says of segments that are not in flight any more is for an extension, too. */
	bool changed, news = (seg->ti.opts.have & LANE_OPT_SACK) && lane_tcp_x_get(ln, pcb);

	/* RFC 5961 5.2. */
	if (lane_seq_gt(seg->ack, pcb->snd_nxt) ||
	    (lane_seq_lt(seg->ack, pcb->snd_una) && is_too_old(pcb, seg->ack))) {
		/* Of an orphan in FIN_WAIT_2 Linux has a record only, which looks at no ACK. */
		if (pcb->state != LANE_TCP_FIN_WAIT_2 || !(pcb->flags & LANE_TF_ORPHAN))
			lane_tcp_challenge(ln, pcb);
		return LANE_DROP_TCP_ACK_INVALID;
	}
	if (lane_seq_lt(seg->ack, pcb->snd_una)) {
		/* Overtaken; its blocks and its text may be good. */
		if (news && (pcb->flags & LANE_TF_SACK))
			take_ack(ln, pcb, seg, false);
		return LANE_OK;
	}
	changed = update_window(ln, pcb, seg);
	if (seg->ack == pcb->snd_una && pcb->snd_una == pcb->snd_nxt) {
		/* A probe of a closed window was answered. Its backoff ends with the closed window. */
		if (pcb->x != LANE_NIL)
			lane_tcp_x(ln, pcb)->retries = 0;
		if (pcb->snd_wnd)
			lane_rto_reset_backoff(&pcb->rto, ln->st->cfg.rto_min_us);
		if (!(lane_tcp_x(ln, pcb)->rec.bits & LANE_RB_TLP) && !news)
			return LANE_OK;
	}
	/* RFC 5681 2: what a duplicate ACK is. */
	take_ack(ln, pcb, seg,
		 seg->ack == pcb->snd_una && pcb->snd_una != pcb->snd_nxt && !changed &&
			 seg->ti.len == 0 && !(seg->ti.flags & (LANE_WIRE_FIN | LANE_WIRE_SYN)));
	return LANE_OK;
}
