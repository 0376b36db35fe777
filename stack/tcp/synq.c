/*
 * synq.c - half-open connections: a record of 64 bytes for each SYN that waits for its ACK
 *
 * Theory of operation. A record is what RFC 9293's SYN_RECEIVED needs and no more: who, the peer's
 * numbers and options, and when the SYN came, from which follow our initial sequence number (so that
 * SYN-ACKs that are sent again are equal), all deadlines, and the round trip. The pcb is made when the ACK
 * comes (listen.c). Records lie in ln->syns and are found by ln->syn_table, under the flow's hash.
 *
 * Timers. As in Linux the SYN-ACK is sent again after 1, 3, 7, ... s. All records with as many time-outs
 * passed have the same time to wait, so they stand in one queue in the order of their deadlines:
 * st->synq[nr_timeouts]; the head is the next. After a rebuild they are in no order, and
 * served late by one such time at most.
 *
 * A record has no room for the MAC that its SYN came from. It names an entry of st->syn_macs by 10 bits of the
 * MAC's hash; when another MAC took that entry, the SYN-ACK is not sent again until the peer's SYN comes again
 * or the mirror knows the neighbour. Forged sources behind one router are one MAC.
 */
#include "stack/tcp/synq.h"

#include <netinet/in.h>

#include "lane-int/tcp_info.h"

#include "stack/tcp/isn.h"

#define PAGE_BITS     29
#define TIMEOUT_MS    1000
#define TIMEOUT_MAX_MS 120000

static const struct lane_list empty = {LANE_NIL, LANE_NIL};

size_t lane_tcp_syn_size(void)
{
	return sizeof(struct lane_syn);
}

static struct lane_syn *syn_at(const struct lane *ln, uint32_t i)
{
	return i < ln->st->syn_pool.nr ? &ln->syns[i] : NULL;
}

static uint32_t syn_index(const struct lane *ln, const struct lane_syn *r)
{
	return (uint32_t)(r - ln->syns);
}

/* Its listener; NULL only for a free record. */
static struct lane_tcp *listener_of(const struct lane *ln, const struct lane_syn *r)
{
	return lane_tcp_get(ln, r->listener - 1);
}

static struct lane_ep local_of(const struct lane *ln, const struct lane_syn *r)
{
	const struct lane_tcp *l = listener_of(ln, r);

	return (struct lane_ep){r->local_ip, l ? l->local_port : 0};
}

static struct lane_ep remote_of(const struct lane_syn *r)
{
	return (struct lane_ep){r->remote_ip, r->remote_port};
}

static uint32_t syn_hash(const struct lane *ln, const struct lane_syn *r)
{
	struct lane_ep l = local_of(ln, r), p = remote_of(r);

	return lane_flow_hash(&ln->st->key, IPPROTO_TCP, &l, &p);
}

/* ---- the queues ---- */

static void queue_push(struct lane *ln, struct lane_syn *r)
{
	struct lane_list *q = &ln->st->synq[r->nr_timeouts];
	struct lane_syn *tail = syn_at(ln, q->tail);
	uint32_t i = syn_index(ln, r);

	r->link = LANE_NIL;
	r->prev = q->tail & LANE_SYN_PREV_NIL;
	if (tail)
		tail->link = i;
	else
		q->head = i;
	q->tail = i;
}

static void queue_remove(struct lane *ln, struct lane_syn *r)
{
	struct lane_list *q = &ln->st->synq[r->nr_timeouts];
	struct lane_syn *prev = syn_at(ln, r->prev), *next = syn_at(ln, r->link);

	if (prev)
		prev->link = r->link;
	else
		q->head = r->link;
	if (next)
		next->prev = r->prev;
	else
		q->tail = prev ? r->prev : LANE_NIL;
}

/* ---- MACs ---- */

/* 10 bits that name the MAC and the interface; the low ones are the entry. */
static uint16_t mac_name(const struct lane_mac *mac, uint8_t ifi)
{
	uint64_t x = ifi;

	memcpy((char *)&x + 1, mac->b, sizeof(mac->b));
	return (uint16_t)(x * 0x9e3779b97f4a7c15ULL >> 54);
}

static uint16_t keep_mac(struct lane *ln, const struct lane_pkt *pkt)
{
	uint16_t name = mac_name(&pkt->mac, pkt->ifi);
	struct lane_seen_mac *m = &ln->st->syn_macs[name % LANE_NR_SYN_MACS];

	*m = (struct lane_seen_mac){.mac = pkt->mac, .ifi = pkt->ifi, .used = 1};
	return name;
}

static struct lane_path path_of(const struct lane *ln, const struct lane_syn *r)
{
	const struct lane_seen_mac *m = &ln->st->syn_macs[r->mac % LANE_NR_SYN_MACS];
	struct lane_path path = {.queue = UINT8_MAX, .version = LANE_PATH_VERSION_MASK};

	if (!m->used || mac_name(&m->mac, m->ifi) != r->mac)
		return path;
	path.mac = m->mac;
	path.ifi = m->ifi;
	path.have_mac = path.from_peer = 1;
	return path;
}

/* ---- numbers ---- */

static uint32_t first_iss(const struct lane *ln, const struct lane_syn *r)
{
	struct lane_ep l = local_of(ln, r), p = remote_of(r);
	uint32_t age_us = (uint32_t)ln->now_us - r->start_us;

	return lane_isn(&ln->st->key, &l, &p, ln->now_us - age_us);
}

uint32_t lane_tcp_syn_iss(const struct lane *ln, const struct lane_syn *r)
{
	return first_iss(ln, r) + ((uint32_t)r->iss_page << PAGE_BITS);
}

/* So many pages that our ISN is not before 'iss', which a TIME_WAIT record asks for. */
static uint8_t page_for(const struct lane *ln, const struct lane_syn *r, uint32_t iss)
{
	uint32_t ahead = iss - first_iss(ln, r);

	return (uint8_t)(((ahead + (1U << PAGE_BITS) - 1) >> PAGE_BITS) & 7);
}

uint32_t lane_tcp_syn_stamp(const struct lane *ln, const struct lane_syn *r)
{
	struct lane_ep l = local_of(ln, r), p = remote_of(r);

	return lane_now_ms(ln) + lane_ts_offset(&ln->st->key, &l, &p);
}

uint32_t lane_tcp_syn_wnd(const struct lane *ln, const struct lane_syn *r)
{
	return lane_tcp_start_wnd(ln, listener_of(ln, r), r->wnd_level, 0);
}

/* ---- making and ending them ---- */

void lane_tcp_syn_init(struct lane *ln)
{
	struct lane_state *st = ln->st;

	lane_pool_init(&st->syn_pool, ln->syns, sizeof(struct lane_syn), st->cfg.nr_syn);
	for (unsigned int i = 0; i < LANE_NR_SYNQ; i++)
		st->synq[i] = empty;
}

uint8_t lane_tcp_syn_version(const struct lane *ln, const struct lane_pkt *pkt)
{
	return (uint8_t)lane_path_version(ln, lane_ifs_net(ln, pkt->ifi));
}

void lane_tcp_syn_fill(struct lane *ln, const struct lane_tcp *l, const struct lane_seg *seg,
		       struct lane_syn *r)
{
	const struct lane_tcp_opts *o = &seg->ti.opts;
	const struct lane_config *cfg = &ln->st->cfg;
	const struct lane_pkt *pkt = seg->pkt;

	*r = (struct lane_syn){
		.local_ip = pkt->ip.dst,
		.remote_ip = pkt->ip.src,
		.remote_port = seg->ti.sport,
		.mss = o->have & LANE_OPT_MSS ? o->mss : lane_tcp_default_mss(&pkt->ip.src),
		.listener = lane_tcp_idx(ln, l) + 1,
		.irs = seg->ti.seq,
		.start_us = (uint32_t)ln->now_us,
		.mac = keep_mac(ln, pkt),
		.path_version = lane_tcp_syn_version(ln, pkt),
		/* Twice as many connections may be there when it is one: what was told must not shrink. */
		.wnd_level = lane_tcp_start_level(ln, 2) & (LANE_START_LEVELS - 1),
		.wscale = LANE_SYN_NO_WSCALE,
		.sack = (o->have & LANE_OPT_SACK_OK) && cfg->sack,
		.ecn = lane_tcp_ecn_wanted(ln, l, seg),
	};
	/* RFC 7323 2.2: only if both ends offered it. */
	if ((o->have & LANE_OPT_WSCALE) && cfg->window_scaling) {
		r->wscale = o->wscale < 14 ? o->wscale : 14;
		r->rcv_wscale = lane_tcp_pick_wscale(ln, l);
	}
	if ((o->have & LANE_OPT_TS) && cfg->timestamps) {
		r->ts = 1;
		r->ts_recent = o->tsval;
	}
	if (seg->iss)
		r->iss_page = page_for(ln, r, seg->iss);
}

bool lane_tcp_syn_is_full(const struct lane *ln, const struct lane_tcp *l)
{
	const struct lane_pool *p = &ln->st->syn_pool;
	uint32_t max = lane_tcp_lq(ln, l)->backlog > LANE_SYNQ_MIN ? lane_tcp_lq(ln, l)->backlog : LANE_SYNQ_MIN;

	/* No listener leaves nothing to the others. */
	return lane_tcp_lq(ln, l)->nr_syns >= max || lane_tcp_lq(ln, l)->nr_syns > p->nr / 2 || p->nr_used == p->nr;
}

/* Queues, table and counts of what its fields say. False: the table is full. */
static bool enter(struct lane *ln, struct lane_syn *r, uint32_t hash)
{
	struct lane_tcp *l = listener_of(ln, r);

	if (lane_ftable_insert(ln->syn_table, hash, syn_index(ln, r)) < 0)
		return false;
	queue_push(ln, r);
	lane_tcp_lq(ln, l)->nr_syns++;
	lane_tcp_lq(ln, l)->nr_young += r->nr_timeouts == 0;
	return true;
}

struct lane_syn *lane_tcp_syn_add(struct lane *ln, const struct lane_syn *from, uint32_t hash)
{
	uint32_t i = lane_pool_get(&ln->st->syn_pool, ln->syns, sizeof(struct lane_syn));
	struct lane_syn *r = syn_at(ln, i);

	if (!r)
		return NULL;
	*r = *from;
	/* Until it names its listener a record is free, for who repairs what a death left here. */
	r->listener = 0;
	__atomic_signal_fence(__ATOMIC_RELEASE);
	__atomic_store_n(&r->listener, from->listener, __ATOMIC_RELAXED);
	if (enter(ln, r, hash))
		return r;
	r->listener = 0;
	lane_pool_put(&ln->st->syn_pool, ln->syns, sizeof(*r), i);
	return NULL;
}

void lane_tcp_syn_remove(struct lane *ln, struct lane_syn *r)
{
	struct lane_tcp *l = listener_of(ln, r);
	uint32_t i = syn_index(ln, r);

	lane_ftable_remove(ln->syn_table, syn_hash(ln, r), i);
	queue_remove(ln, r);
	lane_tcp_lq(ln, l)->nr_syns--;
	lane_tcp_lq(ln, l)->nr_young -= r->nr_timeouts == 0;
	r->listener = 0;
	lane_pool_put(&ln->st->syn_pool, ln->syns, sizeof(*r), i);
}

void lane_tcp_syn_stop(struct lane *ln, struct lane_tcp *l)
{
	uint32_t name = lane_tcp_idx(ln, l) + 1;

	/* As Linux without a word: what the peers say next is answered by RST. */
	for (uint32_t i = 0; lane_tcp_lq(ln, l)->nr_syns && i < ln->st->syn_pool.nr; i++) {
		if (ln->syns[i].listener == name)
			lane_tcp_syn_remove(ln, &ln->syns[i]);
	}
}

struct lane_syn *lane_tcp_syn_find(const struct lane *ln, uint32_t hash, const struct lane_ep *local,
				   const struct lane_ep *remote)
{
	struct lane_ftable_iter it;
	uint32_t i;

	if (ln->st->syn_pool.nr_used == 0)
		return NULL;
	i = lane_ftable_first(ln->syn_table, hash, &it);
	for (; i != LANE_NIL; i = lane_ftable_next(ln->syn_table, &it)) {
		struct lane_syn *r = syn_at(ln, i);

		if (r && r->listener && r->remote_port == remote->port &&
		    local_of(ln, r).port == local->port &&
		    lane_ip_equal(&r->remote_ip, &remote->ip) &&
		    lane_ip_equal(&r->local_ip, &local->ip))
			return r;
	}
	return NULL;
}

bool lane_tcp_syn_at(const struct lane *ln, uint32_t index, struct lane_ep *local,
		     struct lane_ep *remote)
{
	const struct lane_syn *r = syn_at(ln, index);

	if (!r || !listener_of(ln, r))
		return false;
	*local = local_of(ln, r);
	*remote = remote_of(r);
	return true;
}

/* ---- what we say ---- */

void lane_tcp_syn_answer(struct lane *ln, const struct lane_syn *r, const struct lane_path *path,
			 uint32_t iss, uint32_t stamp)
{
	const struct lane_tcp *l = listener_of(ln, r);
	struct lane_tcp_info info = {
		.sport = l->local_port,
		.dport = r->remote_port,
		.seq = iss,
		.ack = r->irs + 1,
		.flags = LANE_WIRE_SYN | LANE_WIRE_ACK,
		.opts.have = LANE_OPT_MSS,
		.opts.mss = lane_tcp_offer_mss(path, &r->remote_ip, lane_tcp_opts(ln, l)->maxseg),
	};
	uint8_t tos = lane_tcp_opts(ln, l)->tos;

	/* As Linux: timestamps come out of the MSS here, in a SYN they do not. */
	info.wnd = (uint16_t)lane_tcp_start_wnd(ln, l, r->wnd_level, info.opts.mss - (r->ts ? 12U : 0));
	if (r->wscale != LANE_SYN_NO_WSCALE) {
		info.opts.have |= LANE_OPT_WSCALE;
		info.opts.wscale = r->rcv_wscale;
	}
	if (r->ts) {
		info.opts.have |= LANE_OPT_TS;
		info.opts.tsval = stamp;
		info.opts.tsecr = r->ts_recent;
	}
	if (r->sack)
		info.opts.have |= LANE_OPT_SACK_OK;
	if (r->ecn)
		tos |= lane_tcp_ecn_synack(ln, l, &info.flags);
	lane_tcp_xmit_to(ln, path, &r->local_ip, &r->remote_ip, &info, tos, lane_tcp_opts(ln, l)->ttl);
}

void lane_tcp_syn_answer_again(struct lane *ln, struct lane_syn *r, const struct lane_pkt *pkt)
{
	struct lane_ip src = r->local_ip;
	struct lane_path path;

	if (pkt)
		r->mac = keep_mac(ln, pkt);
	path = path_of(ln, r);
	/* Karn: no round trip is measured from now on. */
	r->resent = 1;
	ln->st->stats.tcp_synacks_again++;
	if (lane_path_update(ln, &path, &src, &r->remote_ip) == 0)
		lane_tcp_syn_answer(ln, r, &path, lane_tcp_syn_iss(ln, r),
				    lane_tcp_syn_stamp(ln, r));
}

void lane_tcp_syn_challenge(struct lane *ln, const struct lane_syn *r, const struct lane_seg *seg)
{
	const struct lane_tcp *l = listener_of(ln, r);
	struct lane_tcp_info info = {
		.sport = l->local_port,
		.dport = r->remote_port,
		.seq = lane_tcp_syn_iss(ln, r) + 1,
		.ack = r->irs + 1,
		.flags = LANE_WIRE_ACK,
		.wnd = lane_tcp_syn_wnd(ln, r) >> r->rcv_wscale,
	};

	if (!lane_tcp_may_challenge(ln))
		return;
	if (r->ts) {
		info.opts.have = LANE_OPT_TS;
		info.opts.tsval = lane_tcp_syn_stamp(ln, r);
		info.opts.tsecr = r->ts_recent;
	}
	lane_tcp_reply(ln, seg->pkt, &info);
}

/* ---- time ---- */

/* How long the n-th time-out is. */
static uint32_t timeout_ms(unsigned int n)
{
	return n < 7 ? TIMEOUT_MS << n : TIMEOUT_MAX_MS;
}

/* Milliseconds until the next time-out of 'r', 0: now. */
static uint32_t left_ms(const struct lane *ln, const struct lane_syn *r)
{
	/* The lane's time, not the handle's: also others than the one at work ask. */
	uint32_t past = ((uint32_t)ln->st->now_us - r->start_us) / 1000, due = 0;

	for (unsigned int n = 0; n <= r->nr_timeouts; n++)
		due += timeout_ms(n);
	return past < due ? due - past : 0;
}

/* How many time-outs the TCP_DEFER_ACCEPT of 'l' lasts. */
static unsigned int nr_defer(const struct lane *ln, const struct lane_tcp *l)
{
	unsigned int n = 0;
	uint32_t ms = 0;

	while (n < LANE_SYN_TIMEOUTS_MAX && ms < lane_tcp_opts(ln, l)->defer_accept_us / 1000)
		ms += timeout_ms(n++);
	return n;
}

bool lane_tcp_syn_defers(const struct lane *ln, const struct lane_tcp *l, const struct lane_syn *r)
{
	return r->nr_timeouts < nr_defer(ln, l);
}

/* How often a SYN-ACK is sent again. As Linux, when half of the queue is in use the old ones go sooner, so that
 * the other half is left to those that may still be answered. */
static unsigned int max_retries(const struct lane *ln, const struct lane_tcp *l)
{
	const struct lane_config *cfg = &ln->st->cfg;
	uint32_t young = 2 * lane_tcp_lq(ln, l)->nr_young;
	uint32_t room = lane_tcp_lq(ln, l)->backlog > LANE_SYNQ_MIN ? lane_tcp_lq(ln, l)->backlog : LANE_SYNQ_MIN;
	/* TCP_SYNCNT counts for a listener's too. */
	unsigned int max = lane_tcp_opts(ln, l)->syncnt != cfg->syn_retries ? lane_tcp_opts(ln, l)->syncnt : cfg->synack_retries;

	if (2 * lane_tcp_lq(ln, l)->nr_syns > room) {
		for (; max > 2 && lane_tcp_lq(ln, l)->nr_syns >= young; max--)
			young *= 2;
	}
	return max < LANE_SYN_TIMEOUTS_MAX ? max : LANE_SYN_TIMEOUTS_MAX;
}

/* Is 'r' silent, though a time-out is over? While text is waited for, but for a last chance at the end; and where
 * the kernel gets the SYNs now: a peer that has not answered sends its SYN again, and of two SYN-ACKs with
 * different numbers it may answer the wrong one, which is a RST. */
static bool is_silent(const struct lane *ln, const struct lane_syn *r, unsigned int defer)
{
	if (!r->acked)
		return ln->st->listen_full;
	return r->nr_timeouts < defer;
}

/* One that has waited long enough. */
static void expire(struct lane *ln, struct lane_syn *r)
{
	struct lane_tcp *l = listener_of(ln, r);
	unsigned int n = r->nr_timeouts, defer = nr_defer(ln, l);
	bool over = n >= max_retries(ln, l);

	if (defer)
		over = over && (!r->acked || n >= defer);
	if (over || n == LANE_SYN_TIMEOUTS_MAX) {
		lane_tcp_syn_remove(ln, r);
		return;
	}
	queue_remove(ln, r);
	lane_tcp_lq(ln, l)->nr_young -= n == 0;
	r->nr_timeouts++;
	queue_push(ln, r);
	if (!is_silent(ln, r, defer))
		lane_tcp_syn_answer_again(ln, r, NULL);
}

void lane_tcp_syn_timers(struct lane *ln)
{
	struct lane_syn *r;

	if (ln->st->syn_pool.nr_used == 0)
		return;
	/* From the last on: each is served once. */
	for (unsigned int i = LANE_NR_SYNQ; i-- > 0;) {
		uint32_t n = ln->st->syn_pool.nr;

		while (n-- && (r = syn_at(ln, ln->st->synq[i].head)) != NULL &&
		       left_ms(ln, r) == 0)
			expire(ln, r);
	}
}

uint64_t lane_tcp_syn_next(const struct lane *ln)
{
	uint64_t at = UINT64_MAX;

	if (ln->st->syn_pool.nr_used == 0)
		return at;
	for (unsigned int i = 0; i < LANE_NR_SYNQ; i++) {
		const struct lane_syn *r = syn_at(ln, ln->st->synq[i].head);
		uint64_t in;

		if (!r)
			continue;
		in = ln->st->now_us + (uint64_t)left_ms(ln, r) * 1000;
		at = in < at ? in : at;
	}
	return at;
}

/* ---- ICMP ---- */

/* As Linux: over IPv4 unreachable networks (code 0) and hosts (1), time exceeded, a wrong parameter; over IPv6 what
 * will not get better. */
static bool is_fatal(const struct lane_icmp_info *icmp)
{
	if (lane_ip_is4(&icmp->remote.ip))
		return icmp->type != LANE_ICMP4_UNREACH || icmp->code <= 1;
	return icmp->hard && icmp->kind != LANE_ICMP_TOO_BIG;
}

bool lane_tcp_syn_icmp(struct lane *ln, const struct lane_icmp_info *icmp, uint32_t hash)
{
	struct lane_syn *r = lane_tcp_syn_find(ln, hash, &icmp->local, &icmp->remote);

	if (!r || !icmp->has_seq || icmp->seq != lane_tcp_syn_iss(ln, r))
		return false;
	/* There is no program that could be told. */
	if (is_fatal(icmp))
		lane_tcp_syn_remove(ln, r);
	return true;
}

/* ---- after a death, and in tests ---- */

static bool is_sound(const struct lane *ln, const struct lane_syn *r)
{
	const struct lane_tcp *l = r->listener ? listener_of(ln, r) : NULL;

	return l && l->state == LANE_TCP_LISTEN && (l->flags & LANE_TF_HASHED);
}

void lane_tcp_syn_recover(struct lane *ln)
{
	struct lane_state *st = ln->st;

	lane_ftable_init(ln->syn_table, st->cfg.nr_syn);
	for (unsigned int i = 0; i < LANE_NR_SYNQ; i++)
		st->synq[i] = empty;
	st->syn_pool.free_head = LANE_NIL;
	st->syn_pool.nr_used = st->syn_pool.nr;
	for (uint32_t i = st->syn_pool.nr; i-- > 0;) {
		struct lane_syn *r = &ln->syns[i];

		if (is_sound(ln, r) && enter(ln, r, syn_hash(ln, r)))
			continue;
		r->listener = 0;
		lane_pool_put(&st->syn_pool, ln->syns, sizeof(*r), i);
	}
}

static void check_queue(const struct lane *ln, unsigned int n, uint32_t *nr)
{
	uint32_t prev = LANE_NIL;

	for (uint32_t i = ln->st->synq[n].head; i != LANE_NIL; i = ln->syns[i].link) {
		const struct lane_syn *r = syn_at(ln, i);

		assert(r && r->nr_timeouts == n && r->prev == (prev & LANE_SYN_PREV_NIL) && is_sound(ln, r));
		prev = i;
		(*nr)++;
	}
	assert(ln->st->synq[n].tail == prev);
}

void lane_tcp_syn_check(struct lane *ln)
{
	uint32_t nr = 0, counted = 0, young = 0, nr_young = 0;

	for (unsigned int n = 0; n < LANE_NR_SYNQ; n++) {
		check_queue(ln, n, &nr);
		if (n == 0)
			young = nr;
	}
	for (uint32_t i = 0; i < ln->st->tcp_pool.nr; i++) {
		if (ln->tcps[i].state != LANE_TCP_LISTEN)
			continue;
		counted += lane_tcp_lq(ln, &ln->tcps[i])->nr_syns;
		nr_young += lane_tcp_lq(ln, &ln->tcps[i])->nr_young;
	}
	assert(nr == ln->st->syn_pool.nr_used && nr == counted && young == nr_young);
	assert(ln->syn_table->nr == nr);
}
