/*
 * listen.c - listeners: which one a SYN is for, half-open connections, the queue for accept()
 *
 * Theory of operation. A listener's SYN queue holds its SYN_RECEIVED connections, oldest first,
 * and is bounded: a new SYN takes the place of the oldest, so that a flood cannot keep a quick client
 * out (RFC 4987 3.4). The accept queue holds 'backlog' + 1 connections as in Linux; when it is full,
 * SYNs and the ACKs that would complete a handshake are dropped in silence, and the peers try again.
 */
#include "stack/tcp/pcb.h"

#include <netinet/in.h>

#define SYN_YOUNG_MS 100

/* ---- which listener ---- */

/* 0: not for this address; more: better. */
static unsigned int match(const struct lane_tcp *l, const struct lane_ep *local)
{
	if (l->state != LANE_TCP_LISTEN || l->local_port != local->port)
		return 0;
	if (lane_ip_equal(&l->local_ip, &local->ip))
		return 3;
	if (!lane_ip_is_any(&l->local_ip))
		return 0;
	if (lane_ip_is4(&l->local_ip))
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
		unsigned int m = l ? match(l, local) : 0;

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

/* ---- its queues: doubly linked by link and qprev ---- */

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

	if (!l || !(pcb->flags & (LANE_TF_SYNQ | LANE_TF_ACCQ)))
		return;
	if (pcb->flags & LANE_TF_SYNQ) {
		queue_remove(ln, &l->lq.syns, pcb);
		l->lq.nr_syns--;
	} else {
		queue_remove(ln, &l->lq.waiting, pcb);
		l->lq.nr_waiting--;
	}
	pcb->flags &= ~(LANE_TF_SYNQ | LANE_TF_ACCQ);
	pcb->parent = LANE_NIL;
}

static bool accept_full(const struct lane_tcp *l)
{
	return l->lq.nr_waiting > l->lq.backlog;
}

/* ---- the handshake ---- */

static uint32_t max_syns(const struct lane *ln, const struct lane_tcp *l)
{
	uint32_t n = l->lq.backlog > LANE_SYNQ_MIN ? l->lq.backlog : LANE_SYNQ_MIN;
	uint32_t share = ln->st->tcp_pool.nr / 8 + 1;

	return n < share ? n : share;
}

/* What a connection has of its listener. */
static void inherit(struct lane_tcp *pcb, const struct lane_tcp *l)
{
	pcb->opts = l->opts;
	pcb->flags |= l->flags & (LANE_TF_RCVBUF_SET | LANE_TF_SNDBUF_SET);
	pcb->flags |= LANE_TF_PASSIVE | LANE_TF_SYNQ;
}

/*
 * True if there is room for one more half-open connection. In a full queue the oldest makes room, but
 * not one so young that its ACK may be on the way: a burst of clients waits for its next SYN instead
 * of being reset, and a flood still passes through.
 */
static bool make_room(struct lane *ln, struct lane_tcp *l)
{
	struct lane_tcp *oldest = lane_tcp_get(ln, l->lq.syns.head);

	if (!oldest || l->lq.nr_syns < max_syns(ln, l))
		return true;
	if (lane_now_ms(ln) - oldest->start_ms < SYN_YOUNG_MS)
		return false;
	lane_count_drop(ln, LANE_DROP_TCP_BACKLOG);
	lane_tcp_free(ln, oldest);
	return true;
}

/* Makes the SYN_RECEIVED connection that 'seg' asks for. */
static struct lane_tcp *new_conn(struct lane *ln, struct lane_tcp *l, const struct lane_seg *seg)
{
	const struct lane_pkt *pkt = seg->pkt;
	struct lane_tcp *pcb = lane_tcp_create(ln, 0);

	if (!pcb)
		return NULL;
	inherit(pcb, l);
	pcb->state = LANE_TCP_SYN_RECEIVED;
	pcb->local_ip = pkt->ip.dst;
	pcb->local_port = seg->ti.dport;
	pcb->remote_ip = pkt->ip.src;
	pcb->remote_port = seg->ti.sport;
	pcb->path.mac = pkt->mac;
	pcb->path.have_mac = 1;
	pcb->path.from_peer = 1;
	pcb->path.queue = pkt->b->queue;
	pcb->path.ifi = pkt->ifi;
	pcb->path.version = UINT32_MAX; /* looked up at the first output */
	pcb->parent = lane_tcp_idx(ln, l);
	queue_push(ln, &l->lq.syns, pcb);
	l->lq.nr_syns++;
	return pcb;
}

enum lane_drop lane_tcp_listen_in(struct lane *ln, struct lane_tcp *l, struct lane_seg *seg)
{
	struct lane_tcp *pcb;

	if (seg->flags & LANE_WIRE_ACK) {
		lane_tcp_reply_rst(ln, seg);
		return LANE_DROP_TCP_NO_PORT;
	}
	if (!(seg->flags & LANE_WIRE_SYN) || (seg->flags & LANE_WIRE_FIN))
		return LANE_DROP_TCP_FLAGS;
	if (accept_full(l) || !make_room(ln, l))
		return LANE_DROP_TCP_BACKLOG;
	pcb = new_conn(ln, l, seg);
	if (!pcb)
		return LANE_DROP_TCP_NO_PCB;
	/* The path's MTU bounds the MSS that we offer. */
	if (lane_path_update(ln, &pcb->path, &pcb->local_ip, &pcb->remote_ip) < 0 &&
	    !pcb->path.have_mac) {
		lane_tcp_free(ln, pcb);
		return LANE_DROP_NO_ROUTE;
	}
	if (lane_tcp_hash(ln, pcb) < 0) {
		lane_tcp_free(ln, pcb);
		return LANE_DROP_TCP_NO_PCB;
	}
	lane_tcp_claim(ln, pcb, LANE_CLAIM_ANY);
	lane_tcp_start(ln, pcb, seg->iss);
	lane_tcp_take_syn(ln, pcb, seg);
	return LANE_OK;
}

bool lane_tcp_may_complete(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg)
{
	const struct lane_tcp *l = lane_tcp_get(ln, pcb->parent);
	uint32_t defer_ms;

	if (!(pcb->flags & LANE_TF_PASSIVE))
		return true;
	if (!l || accept_full(l))
		return false;
	/* TCP_DEFER_ACCEPT: wait for text, but not for ever. */
	defer_ms = l->opts.defer_accept_us / 1000;
	if (defer_ms && seg->len == 0 && !(seg->flags & LANE_WIRE_FIN) &&
	    lane_now_ms(ln) - pcb->start_ms < defer_ms) {
		pcb->flags |= LANE_TF_DEFER_ACKED;
		lane_tcp_arm(ln, pcb, LANE_TT_RTX,
			     (uint64_t)(defer_ms - (lane_now_ms(ln) - pcb->start_ms)) * 1000);
		return false;
	}
	return true;
}

void lane_tcp_complete(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp *l = lane_tcp_get(ln, pcb->parent);

	ln->st->stats.tcp_accepts++;
	if (!l)
		return;
	queue_remove(ln, &l->lq.syns, pcb);
	l->lq.nr_syns--;
	pcb->flags = (pcb->flags & ~LANE_TF_SYNQ) | LANE_TF_ACCQ;
	queue_push(ln, &l->lq.waiting, pcb);
	l->lq.nr_waiting++;
	lane_tcp_notify(ln, l, LANE_EV_ACCEPT);
}

/* ---- the program's side ---- */

int lane_tcp_listen(struct lane *ln, struct lane_tcp *pcb, const struct lane_ep *local, bool v6only,
		    int backlog)
{
	uint32_t n = backlog < 0 ? UINT16_MAX : (uint32_t)backlog;

	lane_tcp_work(ln, pcb);
	if (pcb->state == LANE_TCP_LISTEN) {
		pcb->lq.backlog = n;
		return 0;
	}
	if (pcb->state != LANE_TCP_CLOSED)
		return -EINVAL;
	pcb->local_ip = local->ip;
	pcb->local_port = local->port;
	pcb->lq.backlog = n;
	pcb->state = LANE_TCP_LISTEN;
	pcb->flags &= ~(LANE_TF_V6ONLY | LANE_TF_RD_SHUT | LANE_TF_WR_SHUT);
	if (v6only)
		pcb->flags |= LANE_TF_V6ONLY;
	if (lane_tcp_hash(ln, pcb) < 0) {
		pcb->state = LANE_TCP_CLOSED;
		return -EADDRINUSE;
	}
	lane_tcp_claim(ln, pcb, LANE_CLAIM_LISTEN);
	return 0;
}

struct lane_tcp *lane_tcp_accept(struct lane *ln, struct lane_tcp *listener, uint64_t cookie)
{
	struct lane_tcp *pcb = lane_tcp_get(ln, listener->lq.waiting.head);

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

	while ((pcb = lane_tcp_get(ln, l->lq.syns.head)) != NULL)
		lane_tcp_free(ln, pcb);
	while ((pcb = lane_tcp_get(ln, l->lq.waiting.head)) != NULL) {
		if (pcb->state != LANE_TCP_CLOSED && pcb->state != LANE_TCP_TIME_WAIT)
			lane_tcp_xmit_rst(ln, pcb);
		lane_tcp_free(ln, pcb);
	}
	lane_tcp_unhash(ln, l);
	lane_tcp_unclaim(ln, l);
	l->state = LANE_TCP_CLOSED;
}

void lane_tcp_requeue(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp *l = lane_tcp_get(ln, pcb->parent);

	if (!l || l->state != LANE_TCP_LISTEN) {
		pcb->flags &= ~(LANE_TF_SYNQ | LANE_TF_ACCQ);
		lane_tcp_free(ln, pcb);
	} else if (pcb->flags & LANE_TF_SYNQ) {
		queue_push(ln, &l->lq.syns, pcb);
		l->lq.nr_syns++;
	} else {
		queue_push(ln, &l->lq.waiting, pcb);
		l->lq.nr_waiting++;
	}
}
