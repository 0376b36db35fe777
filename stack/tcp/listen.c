/*
 * listen.c - listeners: which one a SYN is for, the handshake, the queue for accept()
 *
 * Theory of operation. A SYN leaves a record (synq.c); when its SYN queue is full, or always if
 * tcp_syncookies is 2, it leaves nothing and the SYN-ACK is a cookie (cookie.c). The ACK that answers either
 * makes the connection, which is ESTABLISHED from its first moment on and waits in the accept queue. That holds
 * 'backlog' + 1 connections as in Linux; when it is full, SYNs and the ACKs that would complete a
 * handshake are dropped in silence, and the peers, or our SYN-ACKs, come again.
 *
 * Text in a SYN is not kept, as in Linux without fast open: the SYN-ACK acknowledges the SYN only.
 */
#include "stack/tcp/synq.h"

#include <netinet/in.h>

#include "stack/tcp/cookie.h"
#include "stack/tcp/isn.h"

/* lane_tcp_start_level() that a cookie stands for, which has no place for it: its SYN-ACK offers no more. */
#define COOKIE_LEVEL 1

/* ---- which listener ---- */

/* 0: not for this address; more: better. */
static unsigned int match(const struct lane *ln, const struct lane_tcp *l, const struct lane_ep *local)
{
	struct lane_ip ip = lane_tcp_local_ip(ln, l);

	if (l->state != LANE_TCP_LISTEN || l->local_port != local->port)
		return 0;
	if (lane_ip_equal(&ip, &local->ip))
		return 3;
	if (!lane_ip_is_any(&ip))
		return 0;
	if (lane_ip_is4(&ip))
		return lane_ip_is4(&local->ip) ? 2 : 0;
	if (lane_ip_is4(&local->ip))
		return l->flags & LANE_TF_V6ONLY ? 0 : 1;
	return 2;
}

/* Counts the listeners that match best; returns the 'nth' of them, or NULL. */
static struct lane_tcp *best(const struct lane *ln, const struct lane_ep *local, uint32_t nth,
			     uint32_t *nr)
{
	struct lane_tcp *found = NULL;
	struct lane_ftable_iter it;
	unsigned int top = 0;
	uint32_t i;

	*nr = 0;
	i = lane_ftable_first(ln->listeners, lane_port_hash(&ln->st->key, IPPROTO_TCP, local->port),
			      &it);
	for (; i != LANE_NIL; i = lane_ftable_next(ln->listeners, &it)) {
		struct lane_tcp *l = lane_tcp_get(ln, i);
		unsigned int m = l ? match(ln, l, local) : 0;

		if (m > top) {
			top = m;
			*nr = 0;
		}
		if (m && m == top && (*nr)++ == nth)
			found = l;
		else if (m && m == top && *nr == 1)
			found = l;
	}
	return found;
}

struct lane_tcp *lane_tcp_find_listener(const struct lane *ln, const struct lane_ep *local,
					uint32_t hash)
{
	uint32_t nr;
	struct lane_tcp *l = best(ln, local, 0, &nr);

	return nr > 1 ? best(ln, local, hash % nr, &nr) : l;
}

/* ---- its queue: doubly linked by link and qprev ---- */

static void queue_push(struct lane *ln, struct lane_list *q, struct lane_tcp *pcb)
{
	struct lane_tcp *tail = lane_tcp_get(ln, q->tail);
	uint32_t i = lane_tcp_idx(ln, pcb);

	pcb->link = LANE_NIL;
	pcb->qprev = q->tail;
	if (tail)
		tail->link = i;
	else
		q->head = i;
	q->tail = i;
}

static void queue_remove(struct lane *ln, struct lane_list *q, struct lane_tcp *pcb)
{
	struct lane_tcp *prev = lane_tcp_get(ln, pcb->qprev), *next = lane_tcp_get(ln, pcb->link);

	if (prev)
		prev->link = pcb->link;
	else
		q->head = pcb->link;
	if (next)
		next->qprev = pcb->qprev;
	else
		q->tail = pcb->qprev;
	pcb->link = pcb->qprev = LANE_NIL;
}

void lane_tcp_unqueue(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp *l = lane_tcp_get(ln, pcb->parent);

	if (!l || !(pcb->flags & LANE_TF_ACCQ))
		return;
	queue_remove(ln, &lane_tcp_lq(ln, l)->waiting, pcb);
	lane_tcp_lq(ln, l)->nr_waiting--;
	pcb->flags &= ~LANE_TF_ACCQ;
	pcb->parent = LANE_NIL;
}

static bool accept_full(const struct lane *ln, const struct lane_tcp *l)
{
	return lane_tcp_lq(ln, l)->nr_waiting > lane_tcp_lq(ln, l)->backlog;
}

void lane_tcp_complete(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp *l = lane_tcp_get(ln, pcb->parent);

	ln->st->stats.tcp_accepts++;
	if (!l)
		return;
	pcb->flags = (pcb->flags & ~LANE_TF_EMBRYO) | LANE_TF_ACCQ;
	queue_push(ln, &lane_tcp_lq(ln, l)->waiting, pcb);
	lane_tcp_lq(ln, l)->nr_waiting++;
	lane_tcp_notify(ln, l, LANE_EV_ACCEPT);
}

/* ---- the connection that a handshake ends in ---- */

static struct lane_path path_back(const struct lane_pkt *pkt)
{
	return (struct lane_path){
		.mac = pkt->mac,
		.have_mac = 1,
		.from_peer = 1,
		.queue = pkt->b->queue,
		.ifi = pkt->ifi,
		.version = LANE_PATH_VERSION_MASK, /* not looked up yet */
	};
}

/* What a connection has of its listener, and of the packet that completes it. */
static void inherit(struct lane *ln, struct lane_tcp *pcb, const struct lane_tcp *l,
		    const struct lane_seg *seg)
{
	const struct lane_pkt *pkt = seg->pkt;
	struct lane_ep local = {pkt->ip.dst, seg->ti.dport}, remote = {pkt->ip.src, seg->ti.sport};

	lane_tcp_opts_share(ln, pcb, l);
	pcb->flags |= l->flags & (LANE_TF_RCVBUF_SET | LANE_TF_SNDBUF_SET);
	pcb->flags |= LANE_TF_PASSIVE;
	pcb->state = LANE_TCP_SYN_RECEIVED;
	lane_tcp_set_eps(ln, pcb, &local, &remote);
	pcb->path = path_back(pkt);
	pcb->parent = lane_tcp_idx(ln, l);
}

/* The SYN that left 'r', as far as it matters now. */
static struct lane_seg syn_of(const struct lane_syn *r, const struct lane_seg *seg)
{
	struct lane_seg syn = {
		.pkt = seg->pkt,
		.wnd = seg->wnd,
		.ti.seq = r->irs,
		.ti.flags = LANE_WIRE_SYN,
		.ti.opts.have = LANE_OPT_MSS,
		.ti.opts.mss = r->mss,
		.ti.opts.wscale = r->wscale,
		.ti.opts.tsval = r->ts_recent,
	};

	if (r->wscale != LANE_SYN_NO_WSCALE)
		syn.ti.opts.have |= LANE_OPT_WSCALE;
	if (r->ts)
		syn.ti.opts.have |= LANE_OPT_TS;
	if (r->sack)
		syn.ti.opts.have |= LANE_OPT_SACK_OK;
	return syn;
}

/* The established connection whose handshake 'r' and 'seg' complete, in the accept queue. There is a pcb;
 * NULL: '*why' there is none. */
static struct lane_tcp *open_conn(struct lane *ln, struct lane_tcp *l, const struct lane_seg *seg,
				  const struct lane_syn *r, uint32_t iss, enum lane_drop *why)
{
	struct lane_seg syn = syn_of(r, seg);
	struct lane_tcp *pcb = lane_tcp_create(ln, 0);

	*why = LANE_DROP_NO_ROUTE;
	if (!pcb)
		return NULL;
	pcb->flags |= LANE_TF_EMBRYO;
	inherit(ln, pcb, l, seg);
	if ((lane_tcp_update_path(ln, pcb) < 0 && !pcb->path.have_mac) ||
	    lane_tcp_hash(ln, pcb) < 0) {
		lane_tcp_free(ln, pcb);
		return NULL;
	}
	lane_tcp_claim(ln, pcb, LANE_CLAIM_ANY);
	lane_tcp_start(ln, pcb, iss);
	if (pcb->x == LANE_NIL) {
		lane_tcp_free(ln, pcb);
		*why = LANE_DROP_TCP_NO_X;
		return NULL;
	}
	pcb->rcv_wscale = r->rcv_wscale;
	pcb->segs_in = 1; /* the SYN */
	/* What the SYN-ACK offered, or the most that it may have if the path's MTU was another then. */
	lane_tcp_offer_start(ln, pcb, r->wnd_level,
			     r->path_version == lane_tcp_syn_version(ln, seg->pkt) ? lane_tcp_adv_mss(ln, pcb) - (r->ts ? 12U : 0) : 0);
	lane_tcp_take_syn(ln, pcb, &syn);
	if (r->ecn)
		pcb->ecn |= LANE_ECN_OK;
	if (!r->resent)
		lane_tcp_x(ln, pcb)->ctl_tx_us = r->start_us;
	lane_tcp_cold(ln, pcb)->nr_retrans = r->nr_timeouts;
	lane_tcp_established(ln, pcb, seg);
	return pcb;
}

/* ---- cookies ---- */

/* The SYN-ACK that remembers 'r', which nobody else does. */
static void answer_cookie(struct lane *ln, struct lane_syn *r, const struct lane_tcp *l,
			  const struct lane_path *path)
{
	struct lane_ep local = {r->local_ip, l->local_port}, remote = {r->remote_ip, r->remote_port};
	struct lane_cookie_opts o = {.wscale = r->wscale, .sack = r->sack, .ecn = r->ecn};
	uint32_t offset = 0, stamp = 0, iss;

	if (r->ts) {
		offset = lane_ts_offset(&ln->st->key, &local, &remote);
		stamp = lane_cookie_stamp(lane_now_ms(ln), &o) + offset;
	} else {
		/* There is no place to keep them in. */
		r->wscale = LANE_SYN_NO_WSCALE;
		r->sack = r->ecn = 0;
	}
	if (r->wnd_level < COOKIE_LEVEL)
		r->wnd_level = COOKIE_LEVEL;
	iss = lane_cookie_make(&ln->st->key, &local, &remote, r->irs, &r->mss, ln->now_us);
	ln->st->cookies_us = ln->now_us;
	lane_tcp_flood_note(ln, l->local_port);
	ln->st->stats.tcp_cookies_sent++;
	lane_tcp_syn_answer(ln, r, path, iss, stamp);
}

/* What the SYN of the cookie in 'seg' said. False: it is none of ours, or too old. */
static bool read_cookie(struct lane *ln, const struct lane_tcp *l, const struct lane_seg *seg,
			struct lane_syn *r)
{
	const struct lane_pkt *pkt = seg->pkt;
	struct lane_ep local = {pkt->ip.dst, seg->ti.dport}, remote = {pkt->ip.src, seg->ti.sport};
	const struct lane_config *cfg = &ln->st->cfg;
	const struct lane_tcp_opts *opts = &seg->ti.opts;
	struct lane_cookie_opts o;

	*r = (struct lane_syn){
		.listener = lane_tcp_idx(ln, l) + 1,
		.irs = seg->seq - 1,
		.wnd_level = COOKIE_LEVEL,
		.wscale = LANE_SYN_NO_WSCALE,
		.resent = 1, /* nothing tells when it left */
		.path_version = lane_tcp_syn_version(ln, pkt) ^ 1U, /* nor by which path */
	};
	if (!lane_cookie_check(&ln->st->key, &local, &remote, r->irs, seg->ack - 1, ln->now_us,
			       &r->mss))
		return false;
	if (!(opts->have & LANE_OPT_TS) || !opts->tsecr || !cfg->timestamps)
		return true;
	o = lane_cookie_read_stamp(opts->tsecr -
				   lane_ts_offset(&ln->st->key, &local, &remote));
	r->ts = 1;
	r->ts_recent = opts->tsval;
	r->sack = o.sack;
	r->ecn = o.ecn;
	if (o.wscale != LANE_COOKIE_NO_WSCALE && cfg->window_scaling) {
		r->wscale = o.wscale & 0xf;
		r->rcv_wscale = lane_tcp_pick_wscale(ln, l);
	}
	return true;
}

static bool may_follow(const struct lane *ln, const struct lane_seg *seg)
{
	const struct lane_pkt *pkt = seg->pkt;
	struct lane_ep local = {pkt->ip.dst, seg->ti.dport}, remote = {pkt->ip.src, seg->ti.sport};

	return lane_cookie_may_follow(&ln->st->key, &local, &remote, seg->seq - 1, seg->ack - 1,
				      ln->now_us);
}

/* An ACK for a listener: it brings a cookie back, or it is a stray. */
static enum lane_drop ack_in(struct lane *ln, struct lane_tcp *l, struct lane_seg *seg,
			     struct lane_tcp **pcb)
{
	const struct lane_state *st = ln->st;
	bool cookies = st->cfg.syncookies && st->cookies_us &&
		       !(seg->flags & (LANE_WIRE_SYN | LANE_WIRE_RST)) &&
		       ln->now_us - st->cookies_us <
			       LANE_COOKIE_PERIODS * LANE_COOKIE_PERIOD_US;
	enum lane_drop why;
	struct lane_syn r;

	if (!cookies || !read_cookie(ln, l, seg, &r)) {
		/* It comes again behind the one that it follows. */
		if (cookies && may_follow(ln, seg))
			return LANE_DROP_TCP_COOKIE;
		ln->st->stats.tcp_cookies_bad += cookies;
		lane_tcp_reply_rst(ln, seg);
		return LANE_DROP_TCP_NO_PORT;
	}
	if (accept_full(ln, l))
		return LANE_DROP_TCP_BACKLOG;
	if (st->tcp_pool.nr_used == st->tcp_pool.nr)
		return LANE_DROP_TCP_NO_PCB;
	*pcb = open_conn(ln, l, seg, &r, seg->ack - 1, &why);
	if (!*pcb)
		return why;
	ln->st->stats.tcp_cookies_good++;
	return LANE_OK;
}

/* ---- input ---- */

/* Without cookies Linux leaves the last quarter of tcp_max_syn_backlog to peers that it knows; we know none. */
static bool no_room(const struct lane *ln, const struct lane_tcp *l, bool full)
{
	uint32_t max = ln->st->cfg.max_syn_backlog;

	return !ln->st->cfg.syncookies && (full || lane_tcp_lq(ln, l)->nr_syns > max - max / 4);
}

enum lane_drop lane_tcp_listen_in(struct lane *ln, struct lane_tcp *l, struct lane_seg *seg,
				  uint32_t hash, struct lane_tcp **pcb)
{
	const struct lane_pkt *pkt = seg->pkt;
	struct lane_path path = path_back(pkt);
	struct lane_ip local = pkt->ip.dst;
	struct lane_syn r;
	/* What follows a TIME_WAIT needs a number beyond its own, which no cookie has. */
	bool cookie = !seg->iss &&
		      (ln->st->cfg.syncookies == 2 || lane_tcp_syn_is_full(ln, l));

	if (seg->flags & LANE_WIRE_ACK)
		return ack_in(ln, l, seg, pcb);
	if (!(seg->flags & LANE_WIRE_SYN) || (seg->flags & LANE_WIRE_FIN))
		return LANE_DROP_TCP_FLAGS;
	if (accept_full(ln, l) || no_room(ln, l, cookie))
		return LANE_DROP_TCP_BACKLOG;
	/* Its peer would take the SYN-ACK for a connection that then waits for another's end. It comes again, to
	 * the kernel. */
	if (ln->st->cfg.listen_spill && !lane_claim_spare(ln))
		return LANE_DROP_TCP_NO_PCB;
	/* The path's MTU bounds the MSS that we offer. */
	if (lane_path_update(ln, &path, &local, &pkt->ip.src) < 0 && !path.have_mac)
		return LANE_DROP_NO_ROUTE;
	lane_tcp_syn_fill(ln, l, seg, &r);
	if (cookie) {
		answer_cookie(ln, &r, l, &path);
		return LANE_OK;
	}
	if (!lane_tcp_syn_add(ln, &r, hash))
		return LANE_DROP_TCP_BACKLOG;
	lane_tcp_syn_answer(ln, &r, &path, lane_tcp_syn_iss(ln, &r), lane_tcp_syn_stamp(ln, &r));
	return LANE_OK;
}

/* RFC 9293 3.10.7.4, first, with SYN and FIN as a part of the segment. */
static bool in_window(const struct lane_seg *seg, uint32_t nxt, uint32_t wnd)
{
	uint32_t end = seg->seq + seg->len + !!(seg->flags & LANE_WIRE_SYN) +
		       !!(seg->flags & LANE_WIRE_FIN);

	if (seg->seq == nxt)
		return true;
	if (lane_seq_gt(end, nxt) && lane_seq_lt(seg->seq, nxt + wnd))
		return true;
	return seg->seq == nxt + wnd && end == seg->seq;
}

/* RFC 7323 5; 0 in a SYN is no time, as Linux has it. */
static bool is_old(const struct lane_syn *r, const struct lane_seg *seg)
{
	return r->ts && r->ts_recent && (seg->ti.opts.have & LANE_OPT_TS) &&
	       !(seg->flags & LANE_WIRE_RST) && lane_seq_lt(seg->ti.opts.tsval, r->ts_recent);
}

/* RST ends it if it is exact (RFC 5961 3.2). */
static enum lane_drop rst_in(struct lane *ln, struct lane_syn *r, const struct lane_seg *seg)
{
	if (seg->seq != r->irs + 1) {
		lane_tcp_syn_challenge(ln, r, seg);
		return LANE_DROP_TCP_RST_CHALLENGE;
	}
	ln->st->stats.tcp_resets_in++;
	lane_tcp_syn_remove(ln, r);
	return LANE_OK;
}

/* The ACK is good: the connection, unless it must wait. */
static enum lane_drop complete(struct lane *ln, struct lane_tcp *l, struct lane_syn *r,
			       const struct lane_seg *seg, uint32_t iss, struct lane_tcp **pcb)
{
	bool bare = seg->len == 0 && !(seg->flags & LANE_WIRE_FIN);
	enum lane_drop why = LANE_OK, no;

	if (bare && lane_tcp_syn_defers(ln, l, r))
		why = LANE_DROP_TCP_DEFER;
	else if (accept_full(ln, l))
		why = LANE_DROP_TCP_BACKLOG;
	else if (ln->st->tcp_pool.nr_used == ln->st->tcp_pool.nr)
		why = LANE_DROP_TCP_NO_PCB;
	else if ((*pcb = open_conn(ln, l, seg, r, iss, &no)) == NULL)
		why = no;
	r->acked = 1;
	if (why == LANE_OK) {
		lane_tcp_syn_remove(ln, r);
	} else if (why != LANE_DROP_TCP_DEFER && ln->st->cfg.abort_on_overflow) {
		lane_tcp_reply_rst(ln, seg);
		lane_tcp_syn_remove(ln, r);
	}
	return why;
}

/* An ACK of another SYN-ACK than the record's, perhaps of a cookie. */
static enum lane_drop other_ack(struct lane *ln, struct lane_tcp *l, struct lane_syn *r,
				struct lane_seg *seg, struct lane_tcp **pcb)
{
	enum lane_drop why = ack_in(ln, l, seg, pcb);

	if (*pcb)
		lane_tcp_syn_remove(ln, r);
	return why;
}

enum lane_drop lane_tcp_syn_in(struct lane *ln, struct lane_syn *r, struct lane_seg *seg,
			       struct lane_tcp **pcb)
{
	static const uint8_t kinds = LANE_WIRE_SYN | LANE_WIRE_ACK | LANE_WIRE_RST;
	struct lane_tcp *l = lane_tcp_get(ln, r->listener - 1);
	uint32_t iss = lane_tcp_syn_iss(ln, r);
	bool old = is_old(r, seg);

	if ((seg->flags & kinds) == LANE_WIRE_SYN && seg->seq == r->irs && !old) {
		lane_tcp_syn_answer_again(ln, r, seg->pkt);
		return LANE_DROP_TCP_DUP;
	}
	/* Of a RST only the number counts, as in Linux. */
	if ((seg->flags & (LANE_WIRE_ACK | LANE_WIRE_RST)) == LANE_WIRE_ACK && seg->ack != iss + 1)
		return other_ack(ln, l, r, seg, pcb);
	if (old || !in_window(seg, r->irs + 1, lane_tcp_syn_wnd(ln, r))) {
		if (!(seg->flags & LANE_WIRE_RST))
			lane_tcp_syn_challenge(ln, r, seg);
		return old ? LANE_DROP_TCP_PAWS : LANE_DROP_TCP_SEQ;
	}
	if (seg->flags & LANE_WIRE_RST)
		return rst_in(ln, r, seg);
	if (r->ts && (seg->ti.opts.have & LANE_OPT_TS) && lane_seq_le(seg->seq, r->irs + 1))
		r->ts_recent = seg->ti.opts.tsval;
	/* Another SYN in the window: the peer has begun anew. RFC 9293 3.10.7.4 goes back to LISTEN; Linux says
	 * so by RST, and the peer tries again. */
	if ((seg->flags & LANE_WIRE_SYN) && seg->seq != r->irs) {
		lane_tcp_reply_rst(ln, seg);
		lane_tcp_syn_remove(ln, r);
		return LANE_DROP_TCP_SYN_CHALLENGE;
	}
	if (!(seg->flags & LANE_WIRE_ACK))
		return LANE_DROP_TCP_NO_ACK;
	return complete(ln, l, r, seg, iss, pcb);
}

/* ---- the program's side ---- */

int lane_tcp_listen(struct lane *ln, struct lane_tcp *pcb, const struct lane_ep *local, bool v6only,
		    int backlog)
{
	uint32_t n = backlog < 0 ? UINT16_MAX : (uint32_t)backlog;
	const struct lane_ep any = {.port = 0};

	lane_tcp_work(ln, pcb);
	if (pcb->state == LANE_TCP_LISTEN) {
		lane_tcp_lq(ln, pcb)->backlog = n;
		return 0;
	}
	/* What is left of a connection (text to read) is no listener's. */
	if (pcb->state != LANE_TCP_CLOSED || (pcb->flags & (LANE_TF_CONNECTED | LANE_TF_WAS_RESET)))
		return -EINVAL;
	if (lane_tcp_lq_get(ln, pcb) < 0)
		return -ENOBUFS;
	lane_tcp_set_eps(ln, pcb, local, &any);
	pcb->state = LANE_TCP_LISTEN;
	lane_tcp_lq(ln, pcb)->backlog = n;
	pcb->flags &= ~(LANE_TF_V6ONLY | LANE_TF_RD_SHUT | LANE_TF_WR_SHUT);
	if (v6only)
		pcb->flags |= LANE_TF_V6ONLY;
	if (lane_tcp_hash(ln, pcb) < 0) {
		lane_tcp_lq_put(ln, pcb);
		pcb->state = LANE_TCP_CLOSED;
		return -EADDRINUSE;
	}
	lane_tcp_claim(ln, pcb, LANE_CLAIM_LISTEN);
	return 0;
}

void lane_tcp_retire(struct lane *ln, struct lane_tcp *pcb)
{
	lane_tcp_work(ln, pcb);
	if (pcb->state != LANE_TCP_LISTEN)
		return;
	pcb->flags |= LANE_TF_RETIRED;
	lane_claim_again(ln, LANE_PROTO_TCP, pcb->local_port);
}

struct lane_tcp *lane_tcp_accept(struct lane *ln, struct lane_tcp *listener, uint64_t cookie)
{
	struct lane_tcp *pcb = lane_tcp_get(ln, lane_tcp_lq(ln, listener)->waiting.head);

	if (listener->state != LANE_TCP_LISTEN || !pcb)
		return NULL;
	lane_tcp_work(ln, pcb);
	lane_tcp_unqueue(ln, pcb);
	pcb->cookie = cookie;
	return pcb;
}

void lane_tcp_listen_stop(struct lane *ln, struct lane_tcp *l)
{
	struct lane_tcp *pcb;

	lane_tcp_syn_stop(ln, l);
	while ((pcb = lane_tcp_get(ln, lane_tcp_lq(ln, l)->waiting.head)) != NULL) {
		if (pcb->state != LANE_TCP_CLOSED && pcb->state != LANE_TCP_TIME_WAIT)
			lane_tcp_xmit_rst(ln, pcb);
		lane_tcp_free(ln, pcb);
	}
	lane_tcp_unhash(ln, l);
	lane_tcp_unclaim(ln, l);
	lane_tcp_lq_put(ln, l);
	l->state = LANE_TCP_CLOSED;
}

void lane_tcp_requeue(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp *l = lane_tcp_get(ln, pcb->parent);

	if (!l || l->state != LANE_TCP_LISTEN) {
		pcb->flags &= ~LANE_TF_ACCQ;
		lane_tcp_free(ln, pcb);
	} else {
		queue_push(ln, &lane_tcp_lq(ln, l)->waiting, pcb);
		lane_tcp_lq(ln, l)->nr_waiting++;
	}
}
