/*
 * x.c - extensions: what a connection has only while it is not idle
 *
 * Theory of operation. A pcb holds what lasts; the rest (queues, deadlines, the scoreboard, the memory of
 * congestion control) is in an extension from a pool that is smaller than that of pcbs. A connection takes
 * one when something is queued, sent or received, and gives it back when all of that is over: at
 * once while more than half of the pool is in use, else when another needs it. Then a hand goes round the
 * extensions and takes one whose owner is idle, or has nothing but text behind a hole that the peer has long not
 * filled: RFC 2018 8 allows to forget that, and the peer may be gone. What congestion control knows of the last
 * seconds is lost by that; what it knows of the path is kept (lane_cc_ops.park). Without an extension
 * lane_tcp_x() gives the one behind the last: empty queues, nothing armed; it is only read.
 *
 * If there is none to be had, the connection waits as it does for a frame: what came is dropped and
 * will be sent again, what was to be sent is tried again later (LANE_TT_RETRY needs none). Each time counts
 * in lane_stats.tcp_no_x. The last quarter is for those who receive: what they have is read some day, while
 * two lanes whose extensions all wait for ACKs of the other's would wait for ever. So nobody begins to
 * send with one of them: a write finds no room, and a FIN waits.
 *
 * The extension names its owner, the owner its extension. A member that dies between the two
 * leaves one that nobody names, which lane_tcp_x_recover() frees.
 */
#include "stack/tcp/pcb.h"

#define SEARCH_MAX 64 /* extensions that are looked at for one that may be taken */
#define STALE_MS   5000 /* so long nothing came for a hole */

/* While one of these is set, something is going on. */
#define BUSY                                                                                       \
	(LANE_TF_OUTPUT | LANE_TF_DEAD | LANE_TF_EMBRYO | LANE_TF_ACK_NOW |         \
	 LANE_TF_SYN_DUE | LANE_TF_RTX_HEAD | LANE_TF_PROBE_DUE | LANE_TF_URG_SND)

size_t lane_tcp_x_size(void)
{
	return sizeof(struct lane_tcp_x);
}

static void set_nil(struct lane_tcp_x *x)
{
	x->link = x->owner = LANE_NIL;
	x->rcvq_head = x->rcvq_tail = x->ooo_head = LANE_NIL;
	x->sndq_head = x->sndq_tail = x->snd_unsent = x->rtx_frame = LANE_NIL;
	x->pace = LANE_NIL;
}

static void empty(struct lane_tcp_x *x)
{
	memset(x, 0, sizeof(*x));
	set_nil(x);
}

/* What follows from the pcb. */
static void fill(struct lane *ln, struct lane_tcp *pcb, struct lane_tcp_x *x)
{
	const struct lane_tcp_cold *cold = lane_tcp_cold(ln, pcb);

	x->snd_end = pcb->snd_nxt - !!(pcb->flags & LANE_TF_FIN_SENT);
	x->snd_sml = x->recover = x->rec.fack = pcb->snd_una;
	x->rec.rtt_us = pcb->rto.srtt_us;
	x->rcv_acked = pcb->rcv_nxt;
	x->tune_seq = lane_tcp_copied_seq(ln, pcb);
	x->tune_us = (uint32_t)ln->now_us;
	x->start_ms = lane_now_ms(ln);
	x->delivered = pcb->bytes_acked;
	x->due_ms[LANE_TT_KEEP] = x->due_ms[LANE_TT_RETRY] = pcb->timer.tick;
	x->rate.bytes = lane_rate_unpack(cold->rate_bytes);
	x->rate.interval_us = lane_rate_unpack(cold->rate_us);
	x->rate.sample_limited = pcb->rate_limited;
	lane_cc_unpark(lane_tcp_opts(ln, pcb)->cc, &x->cc, pcb->cwnd, pcb->ssthresh, pcb->cc_kept);
	if (!(pcb->flags & LANE_TF_HASHED) || pcb->state < LANE_TCP_ESTABLISHED)
		return;
	/* A control that paces begins anew. */
	lane_tcp_pace_fit(ln, pcb);
	if (x->pace != LANE_NIL)
		lane_tcp_cc_change(ln, pcb);
}

/* Text, or a FIN, waits behind a hole. */
static bool has_hole(const struct lane_tcp *pcb, const struct lane_tcp_x *x)
{
	return x->ooo_head != LANE_NIL || (pcb->flags & LANE_TF_OOO_FIN);
}

/* Nothing of 'pcb' is queued in order, under way, armed or due. */
static bool is_still(const struct lane *ln, const struct lane_tcp *pcb, const struct lane_tcp_x *x)
{
	if ((pcb->flags & BUSY) || x->rcvq_head != LANE_NIL || x->rcv_used || x->urg_state)
		return false;
	if (!(pcb->flags & LANE_TF_HASHED))
		return true;
	if (pcb->state < LANE_TCP_ESTABLISHED || pcb->snd_una != pcb->snd_nxt ||
	    x->sndq_head != LANE_NIL || x->rcv_acked != pcb->rcv_nxt)
		return false;
	/* A reduction for an echo ends with what was sent behind it, which may never be. */
	return lane_tcp_loss_quiet(ln, pcb) && x->rec.dsack_start == x->rec.dsack_end && !x->retries &&
	       !x->push && !(pcb->armed & ~(1U << LANE_TT_KEEP | 1U << LANE_TT_RETRY)) &&
	       (!pcb->keep_probes || !lane_tcp_armed(pcb, LANE_TT_KEEP));
}

/* The pcb alone says all. */
static bool is_idle(const struct lane *ln, const struct lane_tcp *pcb, const struct lane_tcp_x *x)
{
	return !has_hole(pcb, x) && is_still(ln, pcb, x);
}

/* The same but for what waits behind a hole, and the peer has sent nothing for long. */
static bool is_stale(const struct lane *ln, const struct lane_tcp *pcb, const struct lane_tcp_x *x)
{
	return has_hole(pcb, x) && lane_now_ms(ln) - pcb->last_rx_ms >= STALE_MS && is_still(ln, pcb, x);
}

/* Nothing is lost if an idle connection's extension goes now. */
static bool is_spare(const struct lane *ln, const struct lane_tcp *pcb, const struct lane_tcp_x *x)
{
	uint32_t kept;

	return !(x->rec.bits & LANE_RB_UNDO) && !x->rec.reo_persist && x->pace == LANE_NIL &&
	       lane_tcp_copied_seq(ln, pcb) - x->tune_seq < 4U * pcb->rcv_mss &&
	       lane_cc_park(lane_tcp_opts(ln, pcb)->cc, &x->cc, &kept);
}

void lane_tcp_x_put(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_tcp_cold *cold = lane_tcp_cold(ln, pcb);
	uint32_t i = pcb->x, kept = 0;

	if (i >= ln->st->x_pool.nr)
		return;
	lane_tcp_forget_promise(ln, pcb);
	if (x->ca_state == LANE_CA_CWR)
		lane_tcp_cc_recovered(ln, pcb);
	lane_cc_park(lane_tcp_opts(ln, pcb)->cc, &x->cc, &kept);
	pcb->cwnd = x->cc.cwnd;
	pcb->ssthresh = x->cc.ssthresh;
	pcb->cc_kept = kept;
	cold->rate_bytes = lane_rate_pack(x->rate.bytes);
	cold->rate_us = lane_rate_pack(x->rate.interval_us);
	pcb->rate_limited = x->rate.sample_limited;
	lane_tcp_pace_put(ln, pcb);
	pcb->x = LANE_NIL;
	x->owner = LANE_NIL;
	lane_pool_put(&ln->st->x_pool, ln->xs, sizeof(*x), i);
	if (!lane_tcp_x_low(ln, NULL))
		ln->st->x_short = 0;
}

/* The hand goes on until it finds an idle owner. */
static bool take_back(struct lane *ln)
{
	struct lane_state *st = ln->st;

	for (uint32_t n = 0; n < SEARCH_MAX && n < st->x_pool.nr; n++) {
		struct lane_tcp_x *x = &ln->xs[st->x_hand % st->x_pool.nr];
		struct lane_tcp *pcb = lane_tcp_get(ln, x->owner);

		st->x_hand = (st->x_hand + 1) % st->x_pool.nr;
		/* Who is at work is about to use it. */
		if (!pcb || x->owner == st->pcb_at_work || lane_tcp_x(ln, pcb) != x)
			continue;
		if (is_stale(ln, pcb, x)) {
			lane_tcp_ooo_free(ln, pcb);
			st->stats.tcp_ooo_forgotten++;
		}
		if (!is_idle(ln, pcb, x))
			continue;
		lane_tcp_x_put(ln, pcb);
		return true;
	}
	return false;
}

struct lane_tcp_x *lane_tcp_x_get(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_pool *p = &ln->st->x_pool;
	struct lane_tcp_x *x;
	uint32_t i;

	if (pcb->x != LANE_NIL)
		return lane_tcp_x(ln, pcb);
	if (p->nr_used == p->nr && !take_back(ln)) {
		ln->st->stats.tcp_no_x++;
		return NULL;
	}
	i = lane_pool_get(p, ln->xs, sizeof(*x));
	if (i == LANE_NIL)
		return NULL;
	x = &ln->xs[i];
	set_nil(x);
	x->owner = lane_tcp_idx(ln, pcb);
	pcb->x = i;
	fill(ln, pcb, x);
	return x;
}

struct lane_tcp_x *lane_tcp_x_get_tx(struct lane *ln, struct lane_tcp *pcb)
{
	bool sends = pcb->snd_una != pcb->snd_nxt || lane_tcp_x(ln, pcb)->sndq_head != LANE_NIL;

	if (pcb->x != LANE_NIL && (sends || !lane_tcp_x_low(ln, pcb)))
		return lane_tcp_x(ln, pcb);
	while (lane_tcp_x_low(ln, pcb)) {
		if (take_back(ln))
			continue;
		ln->st->x_short = 1;
		ln->st->stats.tcp_no_x++;
		return NULL;
	}
	ln->st->x_short = 0;
	return lane_tcp_x_get(ln, pcb);
}

void lane_tcp_x_rest(struct lane *ln, struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	if (pcb->x != LANE_NIL && is_idle(ln, pcb, x) && is_spare(ln, pcb, x))
		lane_tcp_x_put(ln, pcb);
}

void lane_tcp_x_init(struct lane *ln)
{
	uint32_t nr = lane_config_tcp_x(&ln->st->cfg);

	for (uint32_t i = 0; i <= nr; i++)
		empty(&ln->xs[i]);
	lane_pool_init(&ln->st->x_pool, ln->xs, sizeof(struct lane_tcp_x), nr);
}

void lane_tcp_x_recover(struct lane *ln)
{
	struct lane_pool *p = &ln->st->x_pool;

	for (uint32_t i = 0; i < ln->st->tcp_pool.nr; i++) {
		struct lane_tcp *pcb = &ln->tcps[i];

		if (!(pcb->flags & LANE_TF_USED))
			continue;
		if (pcb->x >= p->nr || ln->xs[pcb->x].owner != i)
			pcb->x = LANE_NIL;
	}
	p->free_head = LANE_NIL;
	p->nr_used = p->nr;
	for (uint32_t i = p->nr; i-- > 0;) {
		struct lane_tcp_x *x = &ln->xs[i];
		const struct lane_tcp *pcb = lane_tcp_get(ln, x->owner);

		x->rcv_promise = 0; /* counted anew with the next ACK */
		if (pcb && (pcb->flags & LANE_TF_USED) && pcb->x == i)
			continue;
		empty(x);
		lane_pool_put(p, ln->xs, sizeof(*x), i);
	}
	empty(&ln->xs[p->nr]);
	ln->st->rcv_promised = 0;
	ln->st->x_short = 0;
}

void lane_tcp_x_check(const struct lane *ln)
{
	const struct lane_pool *p = &ln->st->x_pool;
	struct lane_tcp_x idle;
	uint32_t used = 0;

	for (uint32_t i = 0; i < p->nr; i++) {
		const struct lane_tcp *pcb = lane_tcp_get(ln, ln->xs[i].owner);

		if (ln->xs[i].owner == LANE_NIL)
			continue;
		assert(pcb && (pcb->flags & LANE_TF_USED) && pcb->x == i);
		used++;
	}
	for (uint32_t i = 0; i < ln->st->tcp_pool.nr; i++) {
		const struct lane_tcp *pcb = &ln->tcps[i];

		if ((pcb->flags & LANE_TF_USED) && pcb->x != LANE_NIL)
			assert(pcb->x < p->nr && ln->xs[pcb->x].owner == i);
	}
	empty(&idle);
	assert(used == p->nr_used && memcmp(&idle, &ln->xs[p->nr], sizeof(idle)) == 0);
}
