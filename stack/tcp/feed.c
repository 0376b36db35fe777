/*
 * feed.c - what the congestion control of a connection is told, and when
 *
 * The one place that calls it: what it needs to know is gathered here from the pcb and the ACK.
 */
#include "stack/tcp/pcb.h"

/* What all calls tell. */
static struct lane_cc_sample sample(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_tcp_pace *p = lane_tcp_pace(ln, pcb);

	return (struct lane_cc_sample){
		.ext = p ? &p->cc : NULL,
		.now_us = ln->now_us,
		.delivered = x->delivered,
		.mss = pcb->snd_mss,
		.srtt_us = pcb->rto.srtt_us,
		.flight = pcb->snd_nxt - pcb->snd_una,
		.in_flight = lane_tcp_in_flight(ln, pcb),
		.snd_una = pcb->snd_una,
		.snd_nxt = pcb->snd_nxt,
	};
}

/* A control without the extension that it needs, or not begun with it, is CUBIC. */
static const struct lane_cc_ops *ops_of(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_cc_ops *ops = lane_cc_ops_at(lane_tcp_opts(ln, pcb)->cc);
	const struct lane_tcp_pace *p;

	if (!(ops->flags & LANE_CC_PACED))
		return ops;
	p = lane_tcp_pace(ln, pcb);
	return p && p->cc.begun ? ops : lane_cc_ops_at(LANE_CC_DEFAULT);
}

bool lane_tcp_cc_wants_prr(const struct lane *ln, const struct lane_tcp *pcb)
{
	return !(ops_of(ln, pcb)->flags & LANE_CC_PACED);
}

void lane_tcp_cc_init(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_tcp_pace *p;
	struct lane_cc_sample s;

	lane_tcp_pace_fit(ln, pcb);
	p = lane_tcp_pace(ln, pcb);
	if (p) {
		memset(&p->cc, 0, sizeof(p->cc));
		p->cc.begun = !!(lane_cc_ops_at(lane_tcp_opts(ln, pcb)->cc)->flags & LANE_CC_PACED);
	}
	s = sample(ln, pcb);
	ops_of(ln, pcb)->init(&x->cc, &s);
}

/* It starts anew on the window that there is. */
void lane_tcp_cc_change(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t cwnd = x->cc.cwnd, ssthresh = x->cc.ssthresh;

	pcb->cc_kept = 0;
	if (pcb->x == LANE_NIL)
		return;
	lane_tcp_cc_init(ln, pcb);
	x->cc.cwnd = cwnd;
	x->cc.ssthresh = ssthresh;
}

static void take_rate(struct lane *ln, struct lane_tcp *pcb, const struct lane_acked *a,
		      struct lane_cc_sample *s)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	const struct lane_rate_seen *seen = &a->seen;

	s->interval_us = lane_rate_acked(&x->rate, seen, ln->now_us, x->delivered, a->delivered,
					 pcb->min_rtt_us);
	s->has_rate = seen->any;
	s->rate_app_limited = seen->limited;
	s->rate_bytes = (uint32_t)x->delivered - seen->delivered;
	s->prior_delivered = seen->delivered;
	s->tx_in_flight = seen->in_flight;
	s->lost_since = (uint16_t)(x->rate.lost - seen->lost) * (uint32_t)pcb->snd_mss;
}

void lane_tcp_cc_ack(struct lane *ln, struct lane_tcp *pcb, const struct lane_acked *a)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_cc_sample s = sample(ln, pcb);

	s.acked = a->bytes ? a->delivered : 0;
	s.newly_sacked = a->sacked;
	s.newly_delivered = a->delivered;
	s.lost = a->lost;
	s.rtt_us = a->rtt_us;
	s.prior_in_flight = a->prior_in_flight;
	s.app_limited = !(pcb->flags & LANE_TF_CWND_LIMITED);
	s.in_recovery = x->ca_state == LANE_CA_RECOVERY || x->ca_state == LANE_CA_CWR;
	s.ce_bytes = a->ece ? a->delivered : 0;
	take_rate(ln, pcb, a, &s);
	ops_of(ln, pcb)->on_ack(&x->cc, &s);
	if (s.ext && s.ext->mark_limited) {
		s.ext->mark_limited = 0;
		lane_rate_app_limited(&x->rate, x->delivered, s.in_flight);
	}
}

void lane_tcp_cc_ack_plain(struct lane *ln, struct lane_tcp *pcb, struct lane_tcp_x *x, const struct lane_acked *a)
{
	const struct lane_cc_ops *ops = lane_cc_ops_at(lane_tcp_opts(ln, pcb)->cc);

	if (!ops->on_ack_limited || (pcb->flags & LANE_TF_CWND_LIMITED) ||
	    !lane_cc_is_limited(&x->cc, a->prior_in_flight)) {
		lane_tcp_cc_ack(ln, pcb, a);
		return;
	}
	lane_rate_acked(&x->rate, &a->seen, ln->now_us, x->delivered, a->delivered, pcb->min_rtt_us);
	ops->on_ack_limited(&x->cc, ln->now_us);
}

void lane_tcp_cc_echo(struct lane *ln, struct lane_tcp *pcb, uint32_t flight)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_cc_sample s = sample(ln, pcb);

	s.ecn = true;
	s.flight = flight;
	lane_tcp_ecn_reduced(pcb);
	ops_of(ln, pcb)->on_loss(&x->cc, &s);
}

void lane_tcp_cc_loss(struct lane *ln, struct lane_tcp *pcb, uint32_t flight)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_cc_sample s = sample(ln, pcb);

	s.flight = flight;
	lane_tcp_ecn_reduced(pcb);
	ops_of(ln, pcb)->on_loss(&x->cc, &s);
}

void lane_tcp_cc_rto(struct lane *ln, struct lane_tcp *pcb, bool first)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_cc_sample s = sample(ln, pcb);

	lane_tcp_ecn_reduced(pcb);
	ops_of(ln, pcb)->on_rto(&x->cc, &s, first);
}

void lane_tcp_cc_recovered(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_cc_sample s = sample(ln, pcb);

	ops_of(ln, pcb)->on_recovery_end(&x->cc, &s);
}

void lane_tcp_cc_idle(struct lane *ln, struct lane_tcp *pcb, uint64_t idle_us)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_cc_sample s = sample(ln, pcb);

	s.app_limited = x->rate.limited;
	ops_of(ln, pcb)->on_idle(&x->cc, &s, idle_us, pcb->rto.rto_us);
}

void lane_tcp_cc_undo(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_cc_sample s = sample(ln, pcb);

	ops_of(ln, pcb)->undo(&x->cc, &s);
}

void lane_tcp_cc_sent(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t out = lane_tcp_in_flight(ln, pcb);

	lane_tcp_pace_sent(ln, pcb, b->text_len);
	lane_rate_sent(&x->rate, b, ln->now_us, x->delivered, pcb->snd_nxt == pcb->snd_una,
		       out + b->text_len);
}

/* draft-cheng-iccrg-delivery-rate-estimation 3.4: no text waits, and the window would take more. */
void lane_tcp_cc_ran_dry(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t out = lane_tcp_in_flight(ln, pcb);

	(void)ln;
	if (x->snd_unsent == LANE_NIL && out < x->cc.cwnd && x->rec.lost <= x->rec.retrans)
		lane_rate_app_limited(&x->rate, x->delivered, out);
}
