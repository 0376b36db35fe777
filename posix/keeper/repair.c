/*
 * repair.c - the arena after a member died inside the lock
 *
 * Nothing that links entries is believed: lists are built anew from what each entry says of
 * itself (in use, rows, sock, ep), in one pass over each table. The lane repairs its own part
 * (lane_recover: free lists, frames by owner, the pcb under work is reset). All watches become
 * ready: whoever collects them drops what is not.
 */
#include <lane/tcp.h>
#include <lane/udp.h>

#include "arena.h"
#include "lane-int/engine.h"

/* An entry that was being made or released when the member died. */
static bool sock_is_half(const struct shim_sock *s)
{
	return s->kind == SHIM_SOCK_FREE || s->kind > SHIM_SOCK_UDP || s->rows == 0;
}

/* The pcb of a sock that nobody holds any more goes too, if it is still this sock's. */
static void sock_drop_pcb(struct shim_view *v, const struct shim_sock *s, uint32_t i)
{
	struct lane_tcp *tcp;
	struct lane_udp *udp;

	if (s->kind == SHIM_SOCK_UDP) {
		udp = lane_udp_at(v->ln, s->pcb);
		if (udp && (uint32_t)lane_udp_cookie(udp) == i)
			lane_udp_put(v->ln, udp);
	} else if (s->kind != SHIM_SOCK_FREE) {
		tcp = lane_tcp_at(v->ln, s->pcb);
		if (tcp && (uint32_t)lane_tcp_cookie(tcp) == i)
			lane_tcp_put(v->ln, tcp);
	}
}

/* Who died while it counted itself left the sum and its row's share apart. */
static void repair_spinning(struct shim_view *v)
{
	uint32_t sum = 0;

	for (int i = 0; i < SHIM_ROWS; i++)
		sum += atomic_load(&v->a->row[i].nr_spinning);
	atomic_store(&v->a->nr_spinning, sum);
}

static void repair_socks(struct shim_view *v)
{
	struct shim_arena *a = v->a;
	struct shim_sock *s;
	uint32_t i;

	a->sock_free = LANE_NIL;
	a->nr_socks_used = 0;
	for (i = v->nr_socks; i-- > 0;) {
		s = &v->socks[i];
		s->watches = LANE_NIL;
		if (s->free_link == SHIM_IN_USE && !sock_is_half(s)) {
			s->flags &= (uint16_t)~SHIM_SOCK_RD_BUSY;
			a->nr_socks_used++;
			continue;
		}
		if (s->free_link == SHIM_IN_USE)
			sock_drop_pcb(v, s, i);
		s->kind = SHIM_SOCK_FREE;
		s->rows = s->wait_rows = 0;
		s->free_link = a->sock_free;
		a->sock_free = i;
	}
}

static void repair_eps(struct shim_view *v)
{
	struct shim_arena *a = v->a;
	struct shim_ep *ep;
	uint32_t i;

	a->ep_free = LANE_NIL;
	a->nr_eps_used = 0;
	for (i = v->nr_eps; i-- > 0;) {
		ep = &v->eps[i];
		ep->ready_head = ep->ready_tail = ep->watches = LANE_NIL;
		ep->nr_ready = 0;
		ep->nr_ready_hint = 0;
		if (ep->free_link == SHIM_IN_USE && ep->rows) {
			a->nr_eps_used++;
			continue;
		}
		ep->rows = ep->wait_rows = 0;
		ep->free_link = a->ep_free;
		a->ep_free = i;
	}
}

/* Hangs watch 'i' into its sock's list, its ep's list and the end of the ep's ready list. */
static void watch_link(struct shim_view *v, uint32_t i, struct shim_sock *s, struct shim_ep *ep)
{
	struct shim_watch *w = &v->watches[i];

	w->sock_next = s->watches;
	s->watches = i;
	w->ep_prev = LANE_NIL;
	w->ep_next = ep->watches;
	if (ep->watches != LANE_NIL)
		v->watches[ep->watches].ep_prev = i;
	ep->watches = i;
	w->flags &= ~(uint32_t)SHIM_WATCH_READY;
	w->ready_prev = w->ready_next = LANE_NIL;
	if (w->flags & SHIM_WATCH_OFF)
		return;
	w->flags |= SHIM_WATCH_READY;
	w->ready_prev = ep->ready_tail;
	if (ep->ready_tail != LANE_NIL)
		v->watches[ep->ready_tail].ready_next = i;
	else
		ep->ready_head = i;
	ep->ready_tail = i;
	ep->nr_ready_hint = ++ep->nr_ready;
	v->wakes |= ep->wait_rows;
}

static void repair_watches(struct shim_view *v)
{
	struct shim_arena *a = v->a;
	struct shim_watch *w;
	struct shim_sock *s;
	struct shim_ep *ep;
	uint32_t i;

	a->watch_free = LANE_NIL;
	a->nr_watches_used = 0;
	for (i = v->nr_watches; i-- > 0;) {
		w = &v->watches[i];
		s = shim_sock_at(v, w->sock);
		ep = shim_ep_at(v, w->ep);
		if (w->free_link == SHIM_IN_USE && s && ep) {
			a->nr_watches_used++;
			watch_link(v, i, s, ep);
			continue;
		}
		w->sock = w->ep = LANE_NIL;
		w->free_link = a->watch_free;
		a->watch_free = i;
	}
}

void shim_repair(struct shim_view *v)
{
	uint64_t live[LANE_OWNERS / 64] = {v->a->live_rows[0], v->a->live_rows[1]};
	uint32_t i;

	lane_recover(v->ln, live);
	repair_socks(v);
	repair_eps(v);
	repair_watches(v);
	repair_spinning(v);
	/* Whoever sleeps on a sock looks for itself. */
	for (i = 0; i < v->nr_socks; i++)
		v->wakes |= v->socks[i].wait_rows;
}
