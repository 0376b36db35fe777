/*
 * api.c - what a program asks about a pcb: status, options, figures
 */
#include "stack/tcp/tune.h"

#include "lane-int/tcp_info.h"

/* The window that the peer was told does not take another segment. */
static bool told_less(const struct lane_tcp *pcb)
{
	return lane_seq_le(pcb->rcv_adv, pcb->rcv_nxt) ||
	       pcb->rcv_adv - pcb->rcv_nxt <= pcb->rcv_mss;
}

/* What the urgent mark makes of the status. */
static void take_mark(const struct lane *ln, const struct lane_tcp *pcb, const struct lane_tcp_x *x,
		      struct lane_tcp_status *st)
{
	uint32_t pos = lane_tcp_copied_seq(ln, pcb), to_mark = x->urg_seq - pos;

	/* It lies in what is queued, and its byte is not for reads. */
	if (!lane_tcp_opts(ln, pcb)->oobinline && to_mark < x->rcv_queued) {
		st->rcv_queued -= to_mark == 0;
		st->rcv_inq = to_mark;
	}
	st->urgent = x->urg_state == LANE_URG_AHEAD && lane_seq_lt(x->urg_seq, pos + x->rcv_queued);
	st->at_mark = x->urg_seq == pos;
}

void lane_tcp_get_rcv_status(const struct lane *ln, const struct lane_tcp *pcb, struct lane_tcp_status *st)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	*st = (struct lane_tcp_status){
		.state = pcb->state,
		.err = pcb->err,
		.rcv_queued = x->rcv_queued,
		.rcv_inq = x->rcv_queued,
		.nr_accept = pcb->state == LANE_TCP_LISTEN ? lane_tcp_lq(ln, pcb)->nr_waiting : 0,
		.peer_fin = pcb->flags & LANE_TF_PEER_FIN,
		.rd_shut = pcb->flags & LANE_TF_RD_SHUT,
		.wr_shut = pcb->flags & LANE_TF_WR_SHUT,
		.was_connected = pcb->flags & LANE_TF_CONNECTED,
		.rcv_full = (pcb->flags & LANE_TF_HASHED) && told_less(pcb),
	};
	if (x->urg_state != LANE_URG_NONE)
		take_mark(ln, pcb, x, st);
}

uint32_t lane_tcp_text(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	return x->urg_state == LANE_URG_NONE ? x->rcv_queued : 0;
}

bool lane_tcp_at_mark(const struct lane *ln, const struct lane_tcp *pcb, size_t skip)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	return x->urg_state != LANE_URG_NONE && x->urg_seq - lane_tcp_copied_seq(ln, pcb) == skip;
}

void lane_tcp_get_status(const struct lane *ln, const struct lane_tcp *pcb, struct lane_tcp_status *st)
{
	uint32_t end = lane_tcp_snd_end(ln, pcb);

	lane_tcp_get_rcv_status(ln, pcb, st);
	if (!(pcb->flags & LANE_TF_HASHED) || pcb->state == LANE_TCP_LISTEN ||
	    !(pcb->flags & LANE_TF_CONNECTED))
		return;
	st->snd_queued = lane_seq_gt(end, pcb->snd_una) ? end - pcb->snd_una : 0;
	st->snd_unsent = lane_seq_gt(end, pcb->snd_nxt) ? end - pcb->snd_nxt : 0;
	st->snd_space = lane_tcp_snd_space(ln, pcb);
	st->writable = lane_tcp_is_writable(ln, pcb);
}

int lane_tcp_may_send(const struct lane_tcp *pcb)
{
	if (pcb->err)
		return pcb->err;
	if (pcb->flags & LANE_TF_WR_SHUT)
		return -EPIPE;
	switch (pcb->state) {
	case LANE_TCP_ESTABLISHED:
	case LANE_TCP_CLOSE_WAIT:
		return 0;
	case LANE_TCP_SYN_SENT:
	case LANE_TCP_SYN_RECEIVED:
		return -EAGAIN;
	default:
		return -EPIPE;
	}
}

int lane_tcp_take_error(struct lane *ln, struct lane_tcp *pcb)
{
	int err = pcb->err ? pcb->err : pcb->soft_err;

	lane_tcp_work(ln, pcb);
	if (pcb->err)
		pcb->err = 0;
	else
		pcb->soft_err = 0;
	return err;
}

void lane_tcp_put_error(struct lane *ln, struct lane_tcp *pcb, int err)
{
	lane_tcp_work(ln, pcb);
	pcb->err = (uint8_t)err;
}

void lane_tcp_get_local(const struct lane *ln, const struct lane_tcp *pcb, struct lane_ep *ep)
{
	*ep = lane_tcp_local_ep(ln, pcb);
}

int lane_tcp_get_remote(const struct lane *ln, const struct lane_tcp *pcb, struct lane_ep *ep)
{
	if (pcb->state < LANE_TCP_SYN_RECEIVED || pcb->state == LANE_TCP_TIME_WAIT)
		return -ENOTCONN;
	*ep = lane_tcp_remote_ep(ln, pcb);
	return 0;
}

void lane_tcp_get_peer(const struct lane *ln, const struct lane_tcp *pcb, struct lane_ep *ep)
{
	*ep = lane_tcp_remote_ep(ln, pcb);
}

void lane_tcp_get_opts(const struct lane *ln, const struct lane_tcp *pcb,
		       struct lane_tcp_opts_set *o)
{
	*o = *lane_tcp_opts(ln, pcb);
}

/* Takes up what is different from 'old', of a connection that is established. */
static void apply_opts(struct lane *ln, struct lane_tcp *pcb, const struct lane_tcp_opts_set *old,
		       const struct lane_tcp_opts_set *o)
{
	if (o->cc != old->cc)
		lane_tcp_cc_change(ln, pcb);
	if (o->max_pacing_rate != old->max_pacing_rate)
		lane_tcp_pace_fit(ln, pcb);
	/* What waits to be paced has lost its timer if it is paced no more. */
	if (o->cc != old->cc || o->max_pacing_rate != old->max_pacing_rate)
		lane_tcp_want_output(ln, pcb);
	if (o->maxseg != old->maxseg)
		lane_tcp_update_mss(ln, pcb);
	if (o->keepalive != old->keepalive || o->keepidle_us != old->keepidle_us)
		lane_tcp_keepalive_start(ln, pcb);
	if ((old->cork && !o->cork) || (o->nodelay && !old->nodelay)) {
		if (pcb->x != LANE_NIL)
			lane_tcp_x(ln, pcb)->push = 1;
		lane_tcp_want_output(ln, pcb);
	}
	if (o->quickack == LANE_QUICKACK_NOW) {
		lane_tcp_ack_quick(pcb);
		if (pcb->rcv_nxt != lane_tcp_rcv_acked(ln, pcb))
			lane_tcp_ack_now(ln, pcb);
	}
	lane_tcp_space_back(ln, pcb);
}

int lane_tcp_set_opts(struct lane *ln, struct lane_tcp *pcb, const struct lane_tcp_opts_set *o)
{
	struct lane_tcp_opts_set old = *lane_tcp_opts(ln, pcb), set = *o;
	bool live = pcb->state >= LANE_TCP_ESTABLISHED && (pcb->flags & LANE_TF_HASHED);

	int r;

	lane_tcp_work(ln, pcb);
	set.quickack = o->quickack != 0;
	r = lane_tcp_opts_take(ln, pcb, &set);
	if (r)
		return r;
	if (o->rcvbuf != old.rcvbuf) {
		pcb->flags |= LANE_TF_RCVBUF_SET;
		/* Where the SYN's window still is all, more waits for text; less is less. */
		if (pcb->rcv_limit >= old.rcvbuf / 2 || pcb->rcv_limit > o->rcvbuf / 2)
			pcb->rcv_limit = o->rcvbuf / 2;
	}
	if (o->sndbuf != old.sndbuf)
		pcb->flags |= LANE_TF_SNDBUF_SET;
	if (live)
		apply_opts(ln, pcb, &old, o);
	return 0;
}

static uint32_t ago_us(const struct lane *ln, uint32_t since_ms)
{
	uint64_t us = (uint64_t)(lane_now_ms(ln) - since_ms) * 1000;

	return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

/* Segments that are lost, and that were sent again and are on their way. */
static void count_marks(const struct lane *ln, const struct lane_tcp *pcb, struct lane_tcp_info_out *out)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	const struct lane_buf *b = lane_buf_at(&ln->bufs, x->sndq_head);

	if (x->rec.lost == 0 && x->rec.retrans == 0)
		return;
	for (; b && b->nr_tx; b = lane_buf_at(&ln->bufs, b->next)) {
		out->lost += !!(b->snd_state & LANE_SND_LOST);
		out->retrans += !!(b->snd_state & LANE_SND_RETRANS);
	}
}

/* The last delivery rate sample, in bytes a second. */
static uint64_t rate_of(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_rate *r = &lane_tcp_x(ln, pcb)->rate;
	const struct lane_tcp_cold *cold = lane_tcp_cold(ln, pcb);
	uint64_t bytes = pcb->x == LANE_NIL ? lane_rate_unpack(cold->rate_bytes) : r->bytes;
	uint32_t us = pcb->x == LANE_NIL ? lane_rate_unpack(cold->rate_us) : r->interval_us;

	return us ? bytes * 1000000 / us : 0;
}

void lane_tcp_get_info(const struct lane *ln, const struct lane_tcp *pcb, struct lane_tcp_info_out *out)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t mss = pcb->snd_mss ? pcb->snd_mss : 1;
	uint32_t end = lane_tcp_snd_end(ln, pcb);
	uint32_t flight = pcb->flags & LANE_TF_CONNECTED ? pcb->snd_nxt - pcb->snd_una : 0;
	uint32_t ssthresh = lane_tcp_ssthresh(ln, pcb), mtu = pcb->path.mtu;
	bool opened = (pcb->flags & (LANE_TF_CONNECTED | LANE_TF_PASSIVE)) == LANE_TF_CONNECTED;

	*out = (struct lane_tcp_info_out){
		.state = pcb->state,
		.ca_state = x->ca_state,
		.retransmits = x->retries,
		.probes = pcb->keep_probes,
		.backoff = pcb->rto.nr_backoffs,
		.snd_wscale = pcb->snd_wscale,
		.rcv_wscale = pcb->flags & LANE_TF_WSCALE ? pcb->rcv_wscale : 0,
		.ts_ok = !!(pcb->flags & LANE_TF_TS),
		.sack_ok = !!(pcb->flags & LANE_TF_SACK),
		.wscale_ok = !!(pcb->flags & LANE_TF_WSCALE),
		.ecn_ok = !!(pcb->ecn & LANE_ECN_OK),
		.ecn_seen = !!(pcb->ecn & LANE_ECN_SEEN),
		.rto_us = pcb->rto.rto_us,
		.ato_us = pcb->bytes_received ? LANE_DACK_MAX_US : 0,
		.rtt_us = pcb->rto.srtt_us,
		.rttvar_us = pcb->rto.rttvar_us,
		.min_rtt_us = pcb->min_rtt_us,
		.snd_mss = pcb->snd_mss,
		.rcv_mss = pcb->rcv_mss,
		.advmss = lane_tcp_peer_text(ln, pcb),
		/* An IPv4 packet is no longer. */
		.pmtu = lane_tcp_is_v4(pcb) && mtu > UINT16_MAX ? UINT16_MAX : mtu,
		.cwnd = lane_tcp_cwnd(ln, pcb) / mss,
		.ssthresh = ssthresh == LANE_CC_INFINITE ? ssthresh : ssthresh / mss,
		.unacked = (flight + mss - 1) / mss,
		.sacked = x->rec.nr_sacked,
		.reordering = pcb->reordering,
		.last_data_sent_us = ago_us(ln, pcb->last_tx_ms),
		.last_data_recv_us = ago_us(ln, pcb->last_rxtext_ms),
		.last_ack_recv_us = ago_us(ln, pcb->last_rx_ms),
		.rcv_wnd = pcb->rcv_adv - pcb->rcv_nxt,
		.rcv_rtt_us = x->rcv_rtt_us,
		.rcv_space = lane_tcp_tune_space(ln, pcb),
		.snd_wnd = pcb->snd_wnd,
		.bytes_acked = pcb->bytes_acked,
		.bytes_received = pcb->bytes_received,
		.ctl_acked = opened + lane_tcp_fin_acked(pcb),
		.ctl_received = !!(pcb->flags & LANE_TF_PEER_FIN),
		.bytes_sent = lane_tcp_bytes_sent(pcb),
		.bytes_retrans = pcb->bytes_retrans,
		.segs_out = pcb->segs_out,
		.segs_in = pcb->segs_in,
		.total_retrans = lane_tcp_cold(ln, pcb)->nr_retrans,
		.notsent_bytes =
			lane_seq_gt(end, pcb->snd_nxt) ? end - pcb->snd_nxt : 0,
		.delivery_rate = rate_of(ln, pcb),
		.rate_app_limited = pcb->x == LANE_NIL ? pcb->rate_limited : x->rate.sample_limited,
		.pacing_rate = lane_tcp_pace_rate(ln, pcb),
		.max_pacing_rate = lane_tcp_opts(ln, pcb)->max_pacing_rate,
		.cc_name = lane_cc_ops_at(lane_tcp_opts(ln, pcb)->cc)->name,
	};
	count_marks(ln, pcb, out);
}
