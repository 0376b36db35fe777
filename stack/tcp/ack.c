/*
 * ack.c - what an ACK does: frees what arrived, measures the round trip, finds losses, opens windows
 *
 * RFC 9293 3.10.7.4 (fifth), RFC 5961 5, RFC 5681, RFC 6582 (NewReno), RFC 3042 (limited transmit).
 *
 * Theory of operation. Three duplicate ACKs begin recovery; each duplicate is a segment that left the
 * network, so lane_tcp_in_flight() falls and output goes on, with new text or with what is lost;
 * the window is never inflated. A partial ACK shows the next hole, which goes out at once. After a
 * time-out all that was in flight is lost: rtx_frame walks through it as the window opens again. Where
 * a scoreboard will know better (SACK), it has to answer the same two questions: how much is in flight,
 * and which frame is next.
 */
#include "stack/tcp/pcb.h"

/* What one ACK brought, gathered before the congestion control hears of it. */
struct acked {
	uint32_t bytes;
	uint32_t rtt_us;   /* 0: none */
	bool retransmitted; /* some of it was sent twice: Karn's rule */
	uint64_t resent_us; /* when that left last */
	uint32_t prior_in_flight;
};

bool lane_tcp_fin_acked(const struct lane_tcp *pcb)
{
	return (pcb->flags & LANE_TF_FIN_SENT) && pcb->snd_una == pcb->snd_end + 1;
}

uint32_t lane_tcp_in_flight(const struct lane *ln, const struct lane_tcp *pcb)
{
	uint32_t flight = pcb->snd_nxt - pcb->snd_una;
	uint32_t gone = (uint32_t)pcb->dupacks * pcb->snd_mss;
	const struct lane_buf *b = lane_buf_at(&ln->bufs, pcb->rtx_frame);

	if (b && lane_seq_gt(pcb->recover, b->seq))
		gone += pcb->recover - b->seq;
	return gone < flight ? flight - gone : 0;
}

/* Frees what lies before 'ack'; a frame that is acknowledged in part loses its front. */
static void free_acked(struct lane *ln, struct lane_tcp *pcb, uint32_t ack, struct acked *a)
{
	struct lane_buf *b;

	while ((b = lane_buf_at(&ln->bufs, pcb->sndq_head)) != NULL && b->nr_tx) {
		uint32_t i = pcb->sndq_head;

		if (b->nr_tx > 1 && lane_seq_gt(ack, b->seq)) {
			a->retransmitted = true;
			if (b->tx_us > a->resent_us)
				a->resent_us = b->tx_us;
		}
		if (lane_seq_gt(b->seq + b->text_len, ack)) {
			if (lane_seq_gt(ack, b->seq)) {
				b->text_off += ack - b->seq;
				b->text_len -= ack - b->seq;
				b->seq = ack;
			}
			return;
		}
		a->rtt_us = (uint32_t)(ln->now_us - b->tx_us);
		pcb->sndq_head = b->next;
		if (pcb->rtx_frame == i)
			pcb->rtx_frame = b->next;
		if (pcb->sndq_head == LANE_NIL)
			pcb->sndq_tail = LANE_NIL;
		pcb->nr_sndq--;
		b->next = LANE_NIL;
		b->flags &= (uint8_t)~LANE_BUF_SNDQ;
		lane_buf_free(&ln->bufs, b);
	}
}

/* The round trip of what was sent twice, by the timestamp that came back; 0: unknown. A timestamp from
 * before the last transmission tells nothing: mostly the first ACK was lost, and the time until we
 * tried again would count as the path's, each time more (it did, up to 120 s). */
static uint32_t rtt_of_resent(const struct lane *ln, const struct lane_tcp *pcb,
			      const struct lane_seg *seg, const struct acked *a)
{
	uint32_t sent_ms = seg->ti.opts.tsecr - pcb->ts_offset;

	if (!(pcb->flags & LANE_TF_TS) || !(seg->ti.opts.have & LANE_OPT_TS) ||
	    (int32_t)(sent_ms - (uint32_t)(a->resent_us / 1000)) < 0 ||
	    (int32_t)(lane_now_ms(ln) - sent_ms) < 0)
		return 0;
	return (lane_now_ms(ln) - sent_ms) * 1000 + 500;
}

/* RFC 6298 3 (Karn) and RFC 7323 4: by our own clock in microseconds if nothing was sent twice. Without
 * a measurement the time-out stays as long as it has become. */
static void measure(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg, struct acked *a)
{
	if (a->retransmitted)
		a->rtt_us = rtt_of_resent(ln, pcb, seg, a);
	if (a->rtt_us == 0)
		return;
	lane_rto_sample(&pcb->rto, a->rtt_us);
	if (pcb->min_rtt_us == 0 || a->rtt_us < pcb->min_rtt_us)
		pcb->min_rtt_us = a->rtt_us;
}

/* Some of what was lost arrived. */
static void partial_ack(struct lane *ln, struct lane_tcp *pcb, uint32_t bytes)
{
	uint32_t segs = (bytes + pcb->snd_mss - 1) / pcb->snd_mss;

	/* One of the acknowledged segments was the hole, the others had made duplicates. */
	pcb->dupacks -= segs > 1 ? (segs - 1 < pcb->dupacks ? segs - 1 : pcb->dupacks) : 0;
	/* RFC 6582 3.2 step 3: the next hole. */
	pcb->flags |= LANE_TF_RTX_HEAD;
}

static void update_recovery(struct lane *ln, struct lane_tcp *pcb, uint32_t bytes)
{
	const struct lane_cc_ops *cc = lane_cc_ops_at(pcb->opts.cc);
	bool over = lane_seq_ge(pcb->snd_una, pcb->recover);

	switch (pcb->ca_state) {
	case LANE_CA_RECOVERY:
		if (!over) {
			partial_ack(ln, pcb, bytes);
			return;
		}
		cc->on_recovery_end(&pcb->cc, ln->now_us, pcb->snd_mss);
		break;
	case LANE_CA_LOSS:
		if (!over) {
			pcb->dupacks = 0;
			return;
		}
		pcb->rtx_frame = LANE_NIL;
		break;
	default:
		break;
	}
	pcb->dupacks = 0;
	pcb->ca_state = LANE_CA_OPEN;
}

static void tell_cc(struct lane *ln, struct lane_tcp *pcb, const struct acked *a)
{
	struct lane_cc_sample s = {
		.now_us = ln->now_us,
		.delivered = pcb->delivered,
		.acked = a->bytes,
		.rtt_us = a->rtt_us,
		.srtt_us = pcb->rto.srtt_us,
		.prior_in_flight = a->prior_in_flight,
		.snd_una = pcb->snd_una,
		.snd_nxt = pcb->snd_nxt,
		.mss = pcb->snd_mss,
		.app_limited = !(pcb->flags & LANE_TF_CWND_LIMITED),
		.in_recovery = pcb->ca_state == LANE_CA_RECOVERY,
	};

	lane_cc_ops_at(pcb->opts.cc)->on_ack(&pcb->cc, &s);
}

/* May more leave now that the window has moved? */
static bool has_output(const struct lane_tcp *pcb)
{
	return pcb->snd_unsent != LANE_NIL || pcb->rtx_frame != LANE_NIL ||
	       (pcb->flags & LANE_TF_RTX_HEAD) ||
	       (pcb->flags & (LANE_TF_WR_SHUT | LANE_TF_FIN_SENT)) == LANE_TF_WR_SHUT;
}

static void new_ack(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg)
{
	struct acked a = {.bytes = seg->ack - pcb->snd_una,
			  .prior_in_flight = lane_tcp_in_flight(ln, pcb)};
	bool fin = (pcb->flags & LANE_TF_FIN_SENT) && seg->ack == pcb->snd_end + 1;

	free_acked(ln, pcb, seg->ack, &a);
	if (fin && a.rtt_us == 0 && pcb->ctl_tx_us)
		a.rtt_us = (uint32_t)ln->now_us - pcb->ctl_tx_us;
	pcb->snd_una = seg->ack;
	pcb->delivered += a.bytes - fin;
	pcb->retries = 0;
	pcb->soft_err = 0;
	pcb->start_ms = lane_now_ms(ln);
	pcb->flags &= ~LANE_TF_RTX_HEAD;
	if ((pcb->flags & LANE_TF_URG_SND) && lane_seq_ge(pcb->snd_una, pcb->snd_up))
		pcb->flags &= ~LANE_TF_URG_SND;
	measure(ln, pcb, seg, &a);
	update_recovery(ln, pcb, a.bytes);
	tell_cc(ln, pcb, &a);
	/* RFC 6298 5.2, 5.3. */
	lane_tcp_disarm(pcb, LANE_TT_RTX);
	if (pcb->snd_una != pcb->snd_nxt)
		lane_tcp_arm(ln, pcb, LANE_TT_RTX, pcb->rto.rto_us);
	lane_tcp_space_back(ln, pcb);
	if (has_output(pcb))
		lane_tcp_want_output(ln, pcb);
}

static void enter_recovery(struct lane *ln, struct lane_tcp *pcb)
{
	uint32_t flight = pcb->snd_nxt - pcb->snd_una;

	ln->st->stats.tcp_fast_retransmits++;
	pcb->recover = pcb->snd_nxt;
	pcb->ca_state = LANE_CA_RECOVERY;
	pcb->flags |= LANE_TF_RTX_HEAD;
	lane_cc_ops_at(pcb->opts.cc)->on_loss(&pcb->cc, ln->now_us, flight, pcb->snd_mss);
}

static void dup_ack(struct lane *ln, struct lane_tcp *pcb)
{
	/* It cannot say more than that all but one of the segments out there have arrived. */
	uint32_t out = (pcb->snd_nxt - pcb->snd_una + pcb->snd_mss - 1) / pcb->snd_mss;

	if (pcb->dupacks < UINT16_MAX && (pcb->dupacks < out || pcb->dupacks < LANE_DUP_THRESH))
		pcb->dupacks++;
	if (pcb->ca_state == LANE_CA_OPEN)
		pcb->ca_state = LANE_CA_DISORDER;
	/* RFC 6582 3.2 step 2: not again for what a time-out has sent anew. */
	if (pcb->ca_state == LANE_CA_DISORDER && pcb->dupacks >= LANE_DUP_THRESH &&
	    lane_seq_ge(pcb->snd_una, pcb->recover))
		enter_recovery(ln, pcb);
	lane_tcp_want_output(ln, pcb);
}

void lane_tcp_enter_loss(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_buf *b = lane_buf_at(&ln->bufs, pcb->sndq_head);
	uint32_t flight = pcb->snd_nxt - pcb->snd_una;

	lane_cc_ops_at(pcb->opts.cc)
		->on_rto(&pcb->cc, ln->now_us, flight, pcb->snd_mss, pcb->ca_state != LANE_CA_LOSS);
	pcb->recover = pcb->snd_nxt;
	pcb->ca_state = LANE_CA_LOSS;
	pcb->dupacks = 0;
	pcb->rtx_frame = b && b->nr_tx ? pcb->sndq_head : LANE_NIL;
	if (pcb->rtx_frame == LANE_NIL)
		pcb->flags |= LANE_TF_RTX_HEAD; /* only the FIN is out */
	lane_tcp_want_output(ln, pcb);
}

/* RFC 9293 3.10.7.4: true when the peer's window is not what it was. */
static bool update_window(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg)
{
	uint32_t wnd = seg->wnd << pcb->snd_wscale;
	bool changed = wnd != pcb->snd_wnd;

	/* An ACK that moves snd_una says also from where its window counts, however old its text is: with
	 * the old window the right edge would be beyond what the peer offered (as Linux). */
	if (!lane_seq_gt(seg->ack, pcb->snd_una) &&
	    (lane_seq_lt(seg->seq, pcb->snd_wl1) ||
	     (seg->seq == pcb->snd_wl1 && lane_seq_lt(seg->ack, pcb->snd_wl2))))
		return false;
	pcb->snd_wnd = wnd;
	pcb->snd_wl1 = seg->seq;
	pcb->snd_wl2 = seg->ack;
	if (wnd > pcb->snd_max_wnd)
		pcb->snd_max_wnd = wnd;
	if (changed)
		lane_tcp_want_output(ln, pcb);
	return changed;
}

enum lane_drop lane_tcp_ack_in(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg)
{
	bool changed;

	/* RFC 5961 5.2. */
	if (lane_seq_gt(seg->ack, pcb->snd_nxt) ||
	    lane_seq_lt(seg->ack, pcb->snd_una - pcb->snd_max_wnd)) {
		lane_tcp_challenge(ln, pcb);
		return LANE_DROP_TCP_ACK_INVALID;
	}
	if (lane_seq_lt(seg->ack, pcb->snd_una))
		return LANE_OK; /* overtaken; its text may be good */
	changed = update_window(ln, pcb, seg);
	if (seg->ack != pcb->snd_una) {
		new_ack(ln, pcb, seg);
		return LANE_OK;
	}
	/* A probe of a closed window was answered. Its backoff ends with the closed window. */
	if (pcb->snd_una == pcb->snd_nxt) {
		pcb->retries = 0;
		if (pcb->snd_wnd)
			lane_rto_reset_backoff(&pcb->rto);
		return LANE_OK;
	}
	/* RFC 5681 2: what a duplicate ACK is. */
	if (!changed && seg->ti.len == 0 && !(seg->ti.flags & (LANE_WIRE_FIN | LANE_WIRE_SYN)))
		dup_ack(ln, pcb);
	return LANE_OK;
}
