/*
 * connect.c - opening a connection: active opens, and what both kinds of handshake share
 *
 * RFC 9293 3.5 and 3.10.7.3, RFC 6056 (ports), RFC 6528 (ISN), RFC 7323 and 2018 (options).
 */
#include "stack/tcp/pcb.h"

#include <netinet/in.h>

#include "stack/tcp/isn.h"
#include "stack/tcp/synq.h"

#define MSS_DEFAULT4 536 /* RFC 9293 3.7.1 */
#define MSS_DEFAULT6 1220
#define MSS_MIN	     48 /* as Linux: whatever the peer says */

#define SYN_AGAIN_US 2000

#define HOME_TRIES 1024 /* free ports looked at for one whose flow comes here: enough for 64 lanes */

static uint16_t offer_mss(const struct lane_path *path, bool is4, uint16_t maxseg)
{
	/* Text of a segment that fills a packet of the path, without TCP options. */
	uint32_t mtu = path->mtu ? path->mtu : 1500, hlen = (is4 ? 20 : 40) + sizeof(struct lane_tcp_hdr), m;

	if (mtu > UINT16_MAX)
		mtu = UINT16_MAX;
	m = mtu > hlen + MSS_MIN ? mtu - hlen : MSS_MIN;
	return (uint16_t)(maxseg && m > maxseg ? maxseg : m);
}

uint16_t lane_tcp_offer_mss(const struct lane_path *path, const struct lane_ip *remote, uint16_t maxseg)
{
	return offer_mss(path, lane_ip_is4(remote), maxseg);
}

uint16_t lane_tcp_adv_mss(const struct lane *ln, const struct lane_tcp *pcb)
{
	return offer_mss(&pcb->path, lane_tcp_is_v4(pcb), lane_tcp_opts(ln, pcb)->maxseg);
}

uint16_t lane_tcp_default_mss(const struct lane_ip *remote)
{
	return lane_ip_is4(remote) ? MSS_DEFAULT4 : MSS_DEFAULT6;
}

void lane_tcp_update_mss(struct lane *ln, struct lane_tcp *pcb)
{
	uint32_t *cwnd = pcb->x == LANE_NIL ? &pcb->cwnd : &lane_tcp_x(ln, pcb)->cc.cwnd;
	uint32_t m = lane_tcp_adv_mss(ln, pcb);
	uint32_t frame = ln->bufs.size - LANE_HEADROOM, least = ln->st->cfg.min_snd_mss;

	least = least < MSS_MIN ? MSS_MIN : least < frame ? least : frame;
	if (pcb->peer_mss && m > pcb->peer_mss)
		m = pcb->peer_mss;
	/* RFC 6691 2: options come out of the MSS. A peer may offer less than they take. */
	if (pcb->flags & LANE_TF_TS)
		m -= m < 12 ? m : 12;
	if (m > frame)
		m = frame;
	pcb->snd_mss = (uint16_t)(m > least ? m : least);
	/* RFC 5681 3.1: the window is one segment at least, also when segments become larger. */
	if (pcb->state >= LANE_TCP_ESTABLISHED && *cwnd < pcb->snd_mss)
		*cwnd = pcb->snd_mss;
}

/* As Linux: for the largest window that the sysctls, or the program, will ever allow. */
uint8_t lane_tcp_pick_wscale(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_config *cfg = &ln->st->cfg;
	uint32_t space = cfg->tcp_rmem[2] > cfg->rmem_max ? cfg->tcp_rmem[2] : cfg->rmem_max;
	uint8_t s = 0;

	if ((pcb->flags & LANE_TF_RCVBUF_SET) && space > lane_tcp_opts(ln, pcb)->rcvbuf / 2)
		space = lane_tcp_opts(ln, pcb)->rcvbuf / 2;
	if (lane_tcp_opts(ln, pcb)->window_clamp && space > lane_tcp_opts(ln, pcb)->window_clamp)
		space = lane_tcp_opts(ln, pcb)->window_clamp;
	while (s < 14 && space >> s > UINT16_MAX)
		s++;
	return s;
}

void lane_tcp_start(struct lane *ln, struct lane_tcp *pcb, uint32_t iss)
{
	struct lane_ep l = lane_tcp_local_ep(ln, pcb), r = lane_tcp_remote_ep(ln, pcb);

	pcb->snd_una = iss;
	pcb->snd_nxt = iss + 1;
	pcb->ts_offset = lane_ts_offset(&ln->st->key, &l, &r);
	pcb->rcv_wscale = lane_tcp_pick_wscale(ln, pcb);
	lane_tcp_offer_start(ln, pcb, lane_tcp_start_level(ln, 1), lane_tcp_adv_mss(ln, pcb));
	pcb->rcv_mss = MSS_DEFAULT4;
	pcb->last_rx_ms = lane_now_ms(ln);
	pcb->flags |= LANE_TF_SYN_DUE;
	/* If there is none, the SYN leaves as soon as there is. */
	lane_tcp_x_put(ln, pcb);
	lane_tcp_x_get_tx(ln, pcb);
	lane_rto_init(&pcb->rto, ln->st->cfg.rto_min_us);
	lane_tcp_update_mss(ln, pcb);
	lane_tcp_arm(ln, pcb, LANE_TT_RTX, pcb->rto.rto_us);
	lane_tcp_want_output(ln, pcb);
}

void lane_tcp_take_syn(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg)
{
	const struct lane_tcp_opts *o = &seg->ti.opts;
	const struct lane_config *cfg = &ln->st->cfg;
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t wnd = pcb->rcv_adv - pcb->rcv_nxt;

	pcb->rcv_nxt = x->rcv_acked = seg->ti.seq + 1;
	pcb->rcv_adv = pcb->rcv_nxt + wnd;
	x->tune_seq = pcb->rcv_nxt;
	pcb->peer_mss = lane_tcp_is_v4(pcb) ? MSS_DEFAULT4 : MSS_DEFAULT6;
	if (o->have & LANE_OPT_MSS)
		pcb->peer_mss = o->mss;
	/* RFC 7323 2.2: only if both ends offered it. */
	if ((o->have & LANE_OPT_WSCALE) && cfg->window_scaling) {
		pcb->flags |= LANE_TF_WSCALE;
		pcb->snd_wscale = o->wscale < 14 ? o->wscale : 14;
	}
	if ((o->have & LANE_OPT_TS) && cfg->timestamps) {
		pcb->flags |= LANE_TF_TS;
		pcb->ts_recent = o->tsval;
	}
	if ((o->have & LANE_OPT_SACK_OK) && cfg->sack)
		pcb->flags |= LANE_TF_SACK;
	lane_tcp_ecn_take_syn(ln, pcb, seg);
	pcb->snd_wnd = pcb->snd_max_wnd = seg->wnd;
	pcb->snd_wl1 = seg->ti.seq;
	lane_tcp_update_mss(ln, pcb);
}

void lane_tcp_established(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	/* A program may have closed during a simultaneous open: its FIN is next. */
	pcb->state = pcb->flags & LANE_TF_WR_SHUT ? LANE_TCP_FIN_WAIT_1 : LANE_TCP_ESTABLISHED;
	pcb->flags |= LANE_TF_CONNECTED;
	lane_tcp_want_output(ln, pcb);
	pcb->flags &= ~LANE_TF_SYN_DUE;
	x->retries = 0;
	lane_tcp_disarm(pcb, LANE_TT_RTX);
	pcb->snd_una = x->recover = x->snd_sml = x->rec.fack = pcb->snd_una + 1;
	pcb->reordering = LANE_DUP_THRESH;
	if (!(seg->ti.flags & LANE_WIRE_SYN)) {
		pcb->snd_wnd = seg->wnd << pcb->snd_wscale;
		pcb->snd_max_wnd = pcb->snd_wnd;
	}
	pcb->snd_wl1 = seg->seq;
	if (x->ctl_tx_us) {
		pcb->min_rtt_us = x->rec.rtt_us = (uint32_t)ln->now_us - x->ctl_tx_us;
		lane_rto_sample(&pcb->rto, pcb->min_rtt_us ? pcb->min_rtt_us : 1,
				ln->st->cfg.rto_min_us);
	} else {
		lane_rto_reset_backoff(&pcb->rto, ln->st->cfg.rto_min_us);
	}
	lane_tcp_cc_init(ln, pcb);
	pcb->quick = LANE_QUICK_ACKS;
	x->tune_us = (uint32_t)ln->now_us;
	x->start_ms = pcb->last_rxtext_ms = pcb->last_tx_ms = lane_now_ms(ln);
	lane_tcp_keepalive_start(ln, pcb);
	if (pcb->flags & LANE_TF_PASSIVE)
		lane_tcp_complete(ln, pcb);
	else
		lane_tcp_notify(ln, pcb, LANE_EV_CONNECTED | LANE_EV_WRITABLE);
}

/* ---- active opens ---- */

/* May 'port' be the local one? A 4-tuple in TIME_WAIT may give way (RFC 6191), telling 'iss'. */
static bool port_fits(struct lane *ln, struct lane_tcp *pcb, uint16_t port, uint32_t *iss)
{
	struct lane_ep l = {lane_tcp_local_ip(ln, pcb), port}, r = lane_tcp_remote_ep(ln, pcb);
	uint32_t hash = lane_flow_hash(&ln->st->key, IPPROTO_TCP, &l, &r);
	struct lane_tw *tw;

	if (lane_tcp_find(ln, hash, &l, &r) || lane_tcp_syn_find(ln, hash, &l, &r))
		return false;
	tw = lane_tcp_tw_find(ln, hash, &l, &r);
	return !tw || lane_tcp_tw_yield(ln, tw, iss);
}

/* Do the peer's segments to 'port' come by a queue of ours? Where a NIC spreads flows over lanes by a hash, most do not. */
static bool is_home(const struct lane *ln, const struct lane_tcp *pcb, uint16_t port)
{
	struct lane_ep l = {lane_tcp_local_ip(ln, pcb), port}, r = lane_tcp_remote_ep(ln, pcb);
	bool elsewhere = false;

	for (unsigned int i = 0; i < ln->nr_queues; i++) {
		const struct lane_queue *q = ln->queues[i];

		if (q->ifi != pcb->path.ifi)
			continue;
		if (!q->drv->home || q->drv->home(q, &l, &r))
			return true;
		elsewhere = true;
	}
	return !elsewhere;
}

/* Is it known that no port is left towards this peer? */
static bool is_full(const struct lane *ln, const struct lane_port_full *now)
{
	const struct lane_port_full *f = &ln->st->port_full;

	return f->unclaims == now->unclaims && f->min == now->min && f->max == now->max &&
	       f->remote.port == now->remote.port &&
	       lane_ip_equal(&f->remote.ip, &now->remote.ip) &&
	       lane_ip_equal(&f->local, &now->local);
}

/* All ports of the range are held: one that is free towards this peer. 0: there is none, which holds until a
 * socket gives its port up, or a TIME_WAIT gives way. */
static uint16_t share_port(struct lane *ln, struct lane_tcp *pcb, uint32_t offset,
			   struct lane_port_full *full, uint32_t *iss)
{
	uint32_t n = (uint32_t)full->max - full->min + 1, waits = ln->st->tw_pool.nr_used;

	if (is_full(ln, full))
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		uint16_t port = lane_port_pick(offset, full->min, full->max,
					       (uint32_t)ln->st->next_port + i);

		ln->st->stats.tcp_port_probes++;
		if (!lane_claim_listens(ln, port) && is_home(ln, pcb, port) && port_fits(ln, pcb, port, iss))
			return port;
	}
	if (waits == 0)
		ln->st->port_full = *full;
	return 0;
}

/* The next search begins behind 'port', which was found in a search from 'first' on. */
static void begin_behind(struct lane *ln, const struct lane_port_full *full, uint16_t first, uint16_t port)
{
	ln->st->next_port += (uint16_t)(port >= first ? port - first + 1 :
						     full->max - first + 1 + port - full->min + 1);
}

/* A port that no socket holds, 0: none was found. */
static uint16_t free_port(struct lane *ln, struct lane_tcp *pcb, uint32_t offset, const struct lane_port_full *full)
{
	uint16_t port, first;

	for (unsigned int i = 0; i < HOME_TRIES; i++) {
		first = lane_port_pick(offset, full->min, full->max, ln->st->next_port);
		port = lane_claim_first_free(ln, first, full->max);
		if (!port)
			port = lane_claim_first_free(ln, full->min, first);
		if (!port)
			return 0;
		begin_behind(ln, full, first, port);
		if (is_home(ln, pcb, port))
			return port;
	}
	return 0;
}

/* A free port first; when the range is used up, one that is free towards this peer. */
static int pick_port(struct lane *ln, struct lane_tcp *pcb, uint32_t *iss)
{
	struct lane_port_full full = {
		.remote = lane_tcp_remote_ep(ln, pcb),
		.local = lane_tcp_local_ip(ln, pcb),
		.unclaims = ln->st->tcp_unclaims + 1,
		.min = ln->net->port_min,
		.max = ln->net->port_max,
	};
	uint32_t offset = lane_port_offset(&ln->st->key, &full.local, &full.remote);
	uint16_t port;

	if (full.min == 0 || full.max < full.min)
		return -EADDRNOTAVAIL;
	port = free_port(ln, pcb, offset, &full);
	if (!port) {
		port = share_port(ln, pcb, offset, &full, iss);
		if (!port)
			return -EADDRNOTAVAIL;
		begin_behind(ln, &full, lane_port_pick(offset, full.min, full.max, ln->st->next_port), port);
	}
	pcb->local_port = port;
	return 0;
}

/* RFC 6528. */
static uint32_t first_iss(const struct lane *ln, const struct lane_tcp *pcb)
{
	struct lane_ep l = lane_tcp_local_ep(ln, pcb), r = lane_tcp_remote_ep(ln, pcb);

	return lane_isn(&ln->st->key, &l, &r, ln->now_us);
}

int lane_tcp_connect(struct lane *ln, struct lane_tcp *pcb, const struct lane_ep *local,
		     const struct lane_ep *remote)
{
	struct lane_ep from = *local;
	uint32_t iss = 0;
	int r;

	if (pcb->state != LANE_TCP_CLOSED || (pcb->flags & (LANE_TF_CONNECTED | LANE_TF_WAS_RESET)))
		return -EISCONN;
	lane_tcp_work(ln, pcb);
	r = lane_path_update(ln, &pcb->path, &from.ip, &remote->ip);
	if (r && r != -EAGAIN)
		return r;
	lane_tcp_set_eps(ln, pcb, &from, remote);
	if (local->port == 0)
		r = pick_port(ln, pcb, &iss);
	else
		r = port_fits(ln, pcb, local->port, &iss) ? 0 : -EADDRNOTAVAIL;
	if (r)
		return r;
	pcb->state = LANE_TCP_SYN_SENT;
	if (lane_tcp_hash(ln, pcb) < 0) {
		pcb->state = LANE_TCP_CLOSED;
		return -EADDRNOTAVAIL;
	}
	pcb->err = pcb->soft_err = 0; /* of what was here before */
	lane_tcp_claim(ln, pcb, LANE_CLAIM_ANY);
	ln->st->stats.tcp_connects++;
	if (iss == 0)
		iss = first_iss(ln, pcb);
	lane_tcp_start(ln, pcb, iss);
	return 0;
}

/* The peer still has a connection of before, which our RST has ended: the SYN goes once more, as Linux. More such
 * ACKs do not push it out. */
static void syn_again_soon(struct lane *ln, struct lane_tcp *pcb)
{
	if (lane_tcp_x(ln, pcb)->retries || !lane_tcp_armed(pcb, LANE_TT_RTX) ||
	    (int32_t)(lane_tcp_due_ms(ln, pcb, LANE_TT_RTX) - lane_now_ms(ln)) <= SYN_AGAIN_US / 1000 + 1)
		return;
	lane_tcp_arm(ln, pcb, LANE_TT_RTX, SYN_AGAIN_US);
}

/* RFC 9293 3.10.7.3. */
enum lane_drop lane_tcp_in_syn_sent(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg)
{
	bool ack = seg->flags & LANE_WIRE_ACK;

	if (ack && (lane_seq_le(seg->ack, pcb->snd_una) || lane_seq_gt(seg->ack, pcb->snd_nxt))) {
		if (!(seg->flags & LANE_WIRE_RST))
			lane_tcp_reply_rst(ln, seg);
		syn_again_soon(ln, pcb);
		return LANE_DROP_TCP_ACK_INVALID;
	}
	if (seg->flags & LANE_WIRE_RST) {
		if (!ack || lane_tcp_ecn_refused(ln, pcb))
			return LANE_DROP_TCP_RST_IGNORED;
		ln->st->stats.tcp_resets_in++;
		seg->done = true;
		lane_tcp_fail(ln, pcb, ECONNREFUSED);
		return LANE_OK;
	}
	if (!(seg->flags & LANE_WIRE_SYN))
		return LANE_DROP_TCP_NO_ACK;
	lane_tcp_take_syn(ln, pcb, seg);
	seg->seq++;
	if (ack) {
		lane_tcp_established(ln, pcb, seg);
		lane_tcp_ack_now(ln, pcb);
		/* Text beyond the window that our SYN offered stays out. */
		if (lane_seq_gt(seg->seq + seg->len, pcb->rcv_adv)) {
			seg->len = pcb->rcv_adv - seg->seq;
			seg->flags &= (uint8_t)~LANE_WIRE_FIN;
		}
		return LANE_OK;
	}
	/* Simultaneous open: text and FIN are sent again, they are not acknowledged here. */
	pcb->state = LANE_TCP_SYN_RECEIVED;
	pcb->flags |= LANE_TF_SYN_DUE;
	lane_tcp_want_output(ln, pcb);
	seg->done = true;
	return LANE_OK;
}
