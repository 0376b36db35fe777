/*
 * timewait.c - TIME_WAIT in records of 40 bytes (RFC 9293 3.6.1, RFC 6191)
 *
 * A record answers for a connection that ended with our FIN: in ln->tws, found by ln->tw_table, kept
 * in the order of their ends on st->tw_order. It took over the pcb's claim on the port. When the pool is
 * empty the oldest gives way.
 */
#include "stack/tcp/timewait.h"

#include <netinet/in.h>

#include "stack/tcp/isn.h"

#define END_MASK 0x7fffffffU

size_t lane_tcp_tw_size(void)
{
	return sizeof(struct lane_tw);
}

static struct lane_tw *tw_at(const struct lane *ln, uint32_t i)
{
	return i < ln->st->tw_pool.nr ? &ln->tws[i] : NULL;
}

static uint32_t tw_index(const struct lane *ln, const struct lane_tw *tw)
{
	return (uint32_t)(tw - ln->tws);
}

static struct lane_ep local_of(const struct lane *ln, const struct lane_tw *tw)
{
	const uint32_t *top = ln->tw_ip6s[tw_index(ln, tw)].local;

	return (struct lane_ep){lane_tcp_ip(tw->v6, top, tw->local_w), tw->local_port};
}

static struct lane_ep remote_of(const struct lane *ln, const struct lane_tw *tw)
{
	const uint32_t *top = ln->tw_ip6s[tw_index(ln, tw)].remote;

	return (struct lane_ep){lane_tcp_ip(tw->v6, top, tw->remote_w), tw->remote_port};
}

static bool is_flow(const struct lane *ln, const struct lane_tw *tw, const struct lane_ep *local,
		    const struct lane_ep *remote)
{
	struct lane_ep l = local_of(ln, tw), r = remote_of(ln, tw);

	return r.port == remote->port && l.port == local->port &&
	       lane_ip_equal(&r.ip, &remote->ip) && lane_ip_equal(&l.ip, &local->ip);
}

static uint32_t tw_hash(const struct lane *ln, const struct lane_tw *tw)
{
	struct lane_ep l = local_of(ln, tw), r = remote_of(ln, tw);

	return lane_flow_hash(&ln->st->key, IPPROTO_TCP, &l, &r);
}

static void order_push(struct lane *ln, struct lane_tw *tw)
{
	struct lane_list *o = &ln->st->tw_order;
	struct lane_tw *tail = tw_at(ln, o->tail);
	uint32_t i = tw_index(ln, tw);

	tw->link = LANE_NIL;
	tw->prev = o->tail;
	if (tail)
		tail->link = i;
	else
		o->head = i;
	o->tail = i;
}

static void order_remove(struct lane *ln, struct lane_tw *tw)
{
	struct lane_list *o = &ln->st->tw_order;
	struct lane_tw *prev = tw_at(ln, tw->prev), *next = tw_at(ln, tw->link);

	if (prev)
		prev->link = tw->link;
	else
		o->head = tw->link;
	if (next)
		next->prev = tw->prev;
	else
		o->tail = tw->prev;
}

void lane_tcp_tw_remove(struct lane *ln, struct lane_tw *tw)
{
	uint32_t i = tw_index(ln, tw);

	lane_ftable_remove(ln->tw_table, tw_hash(ln, tw), i);
	order_remove(ln, tw);
	lane_unclaim(ln, IPPROTO_TCP, tw->local_port, LANE_CLAIM_ANY);
	tw->remote_port = 0;
	lane_pool_put(&ln->st->tw_pool, ln->tws, sizeof(*tw), i);
}

static struct lane_tw *tw_alloc(struct lane *ln)
{
	uint32_t i = lane_pool_get(&ln->st->tw_pool, ln->tws, sizeof(struct lane_tw));

	if (i == LANE_NIL && ln->st->tw_order.head != LANE_NIL) {
		lane_tcp_tw_remove(ln, tw_at(ln, ln->st->tw_order.head));
		i = lane_pool_get(&ln->st->tw_pool, ln->tws, sizeof(struct lane_tw));
	}
	return tw_at(ln, i);
}

static void set_end(struct lane *ln, struct lane_tw *tw)
{
	tw->end_ms = (lane_now_ms(ln) + ln->st->cfg.time_wait_us / 1000) & END_MASK;
}

/* Records 'pcb', which is still hashed and claimed. False: there is no room for it. */
static bool record(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tw *tw = tw_alloc(ln);
	uint32_t i;

	if (!tw)
		return false;
	i = tw_index(ln, tw);
	tw->local_w = pcb->local_w;
	tw->remote_w = pcb->remote_w;
	tw->v6 = pcb->v6;
	if (pcb->v6)
		ln->tw_ip6s[i] = ln->tcp_ip6s[lane_tcp_idx(ln, pcb)];
	tw->local_port = pcb->local_port;
	tw->remote_port = pcb->remote_port;
	tw->snd_nxt = pcb->snd_nxt;
	tw->rcv_nxt = pcb->rcv_nxt;
	tw->ts_recent = pcb->ts_recent;
	tw->ts_ok = !!(pcb->flags & LANE_TF_TS);
	tw->wnd = lane_tcp_select_window(ln, pcb);
	set_end(ln, tw);
	if (lane_ftable_insert(ln->tw_table, tw_hash(ln, tw), i) < 0) {
		tw->remote_port = 0;
		lane_pool_put(&ln->st->tw_pool, ln->tws, sizeof(*tw), i);
		return false;
	}
	order_push(ln, tw);
	/* The claim goes over to the record. */
	pcb->flags &= ~LANE_TF_CLAIMED;
	return true;
}

void lane_tcp_time_wait(struct lane *ln, struct lane_tcp *pcb)
{
	ln->st->stats.tcp_time_waits++;
	record(ln, pcb);
	lane_tcp_done(ln, pcb);
	/* A program that still holds it may read what came. */
	if ((pcb->flags & LANE_TF_USED) && !(pcb->flags & LANE_TF_DEAD))
		pcb->state = LANE_TCP_TIME_WAIT;
}

struct lane_tw *lane_tcp_tw_find(const struct lane *ln, uint32_t hash, const struct lane_ep *local,
				 const struct lane_ep *remote)
{
	struct lane_ftable_iter it;
	uint32_t i = lane_ftable_first(ln->tw_table, hash, &it);

	for (; i != LANE_NIL; i = lane_ftable_next(ln->tw_table, &it)) {
		struct lane_tw *tw = tw_at(ln, i);

		if (tw && is_flow(ln, tw, local, remote))
			return tw;
	}
	return NULL;
}

static void reply_ack(struct lane *ln, const struct lane_tw *tw, const struct lane_seg *seg)
{
	struct lane_ep l = local_of(ln, tw), r = remote_of(ln, tw);
	struct lane_tcp_info info = {
		.sport = tw->local_port,
		.dport = tw->remote_port,
		.seq = tw->snd_nxt,
		.ack = tw->rcv_nxt,
		.flags = LANE_WIRE_ACK,
		.wnd = tw->wnd,
	};

	if (tw->ts_ok) {
		info.opts.have = LANE_OPT_TS;
		info.opts.tsval = lane_now_ms(ln) + lane_ts_offset(&ln->st->key, &l, &r);
		info.opts.tsecr = tw->ts_recent;
	}
	lane_tcp_reply(ln, seg->pkt, &info);
}

/* RFC 6191 2: the SYN is newer than anything of the old connection. */
static bool is_newer(const struct lane_tw *tw, const struct lane_seg *seg)
{
	if (tw->ts_ok && (seg->ti.opts.have & LANE_OPT_TS) &&
	    seg->ti.opts.tsval != tw->ts_recent)
		return lane_seq_gt(seg->ti.opts.tsval, tw->ts_recent);
	return lane_seq_gt(seg->seq, tw->rcv_nxt);
}

/* Beyond all that the old connection sent (RFC 9293 3.4.1). */
static uint32_t next_iss(const struct lane_tw *tw)
{
	uint32_t iss = tw->snd_nxt + UINT16_MAX + 2;

	return iss ? iss : 1;
}

static bool has_listener(const struct lane *ln, const struct lane_seg *seg)
{
	struct lane_ep local, remote;

	lane_seg_eps(seg, &local, &remote);
	return lane_tcp_find_listener(ln, &local, seg->hash) != NULL;
}

enum lane_drop lane_tcp_tw_in(struct lane *ln, struct lane_tw *tw, struct lane_seg *seg)
{
	bool old_ts = tw->ts_ok && (seg->ti.opts.have & LANE_OPT_TS) &&
		      lane_seq_lt(seg->ti.opts.tsval, tw->ts_recent);

	/* As Linux: who could not open the connection anew does not end the record. */
	if ((seg->flags & LANE_WIRE_SYN) && !(seg->flags & (LANE_WIRE_ACK | LANE_WIRE_RST)) &&
	    is_newer(tw, seg) && has_listener(ln, seg)) {
		seg->iss = next_iss(tw);
		lane_tcp_tw_remove(ln, tw);
		return LANE_OK;
	}
	/* As Linux: an exact RST ends it (not RFC 1337), for it answers our ACK of a SYN that was not newer, and
	 * the peer's next SYN may open the connection. */
	if (seg->flags & LANE_WIRE_RST) {
		if (seg->seq == tw->rcv_nxt && !old_ts)
			lane_tcp_tw_remove(ln, tw);
		return LANE_DROP_TCP_TIME_WAIT;
	}
	/* RFC 7323 4.3: what is in place and no more than an ACK moves the clock, as in Linux. */
	if (tw->ts_ok && (seg->ti.opts.have & LANE_OPT_TS) && !old_ts && seg->seq == tw->rcv_nxt &&
	    seg->len == 0 && !(seg->flags & (LANE_WIRE_FIN | LANE_WIRE_SYN)))
		tw->ts_recent = seg->ti.opts.tsval;
	/* A FIN that comes again starts the time anew (RFC 9293 3.10.7.4, eighth). */
	if ((seg->flags & LANE_WIRE_FIN) && !old_ts &&
	    seg->seq + seg->len + 1 == tw->rcv_nxt) {
		order_remove(ln, tw);
		set_end(ln, tw);
		order_push(ln, tw);
	}
	/* What carries nothing but an acceptable ACK is not answered: no ACK for an ACK. Another may come from
	 * an end that disagrees with us, and would answer ours. */
	if (seg->len || (seg->flags & (LANE_WIRE_FIN | LANE_WIRE_SYN)) ||
	    ((old_ts || seg->seq != tw->rcv_nxt) && lane_tcp_may_challenge(ln)))
		reply_ack(ln, tw, seg);
	return LANE_DROP_TCP_TIME_WAIT;
}

bool lane_tcp_tw_yield(struct lane *ln, struct lane_tw *tw, uint32_t *iss)
{
	uint32_t left = (tw->end_ms - lane_now_ms(ln)) & END_MASK;

	/* With timestamps, and after a second, unless tcp_tw_reuse forbids. Its 2 is for loopback only;
	 * the lane's range of ports is narrower than the kernel's, so it is taken as 1. */
	if (!tw->ts_ok || !ln->st->cfg.tw_reuse || left + 1000 > ln->st->cfg.time_wait_us / 1000)
		return false;
	*iss = next_iss(tw);
	lane_tcp_tw_remove(ln, tw);
	return true;
}

/* Milliseconds until 'tw' ends, 0: now. */
static uint32_t left_ms(const struct lane *ln, const struct lane_tw *tw)
{
	uint32_t left = (tw->end_ms - lane_now_ms(ln)) & END_MASK;

	return left > END_MASK / 2 ? 0 : left;
}

void lane_tcp_tw_timers(struct lane *ln)
{
	struct lane_tw *tw;

	while ((tw = tw_at(ln, ln->st->tw_order.head)) != NULL && left_ms(ln, tw) == 0)
		lane_tcp_tw_remove(ln, tw);
}

uint64_t lane_tcp_tw_next(const struct lane *ln)
{
	const struct lane_tw *tw = tw_at(ln, ln->st->tw_order.head);

	return tw ? (ln->st->now_us / 1000 + left_ms(ln, tw)) * 1000 : UINT64_MAX;
}

void lane_tcp_tw_recover(struct lane *ln)
{
	for (uint32_t i = 0; i < ln->st->tw_pool.nr; i++) {
		struct lane_tw *tw = &ln->tws[i];
		struct lane_ep l = local_of(ln, tw);

		if (tw->remote_port == 0)
			continue;
		/* In no order now: each stays as long as the longest. */
		set_end(ln, tw);
		lane_ftable_insert(ln->tw_table, tw_hash(ln, tw), i);
		order_push(ln, tw);
		lane_claim(ln, IPPROTO_TCP, &l, false, LANE_CLAIM_ANY);
	}
}
