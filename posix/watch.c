/*
 * watch.c - registrations of lane sockets in epoll sets, and the sets' ready lists
 *
 * A watch stays on its ep's ready list while it may be ready, as the kernel keeps it: notify puts
 * it there, collecting asks the sock what holds now. Level-triggered ones go back to the tail until
 * they are found not ready; edge-triggered ones leave with each report; EPOLLONESHOT ones are off
 * after it. Cost is in the number of ready watches, never in that of all.
 *
 * The lists lie in shared memory: no walk takes more steps than there are watches, whatever they say.
 */
#include <errno.h>

#include "posix/watch.h"

static void ready_remove(struct shim_view *v, struct shim_ep *ep, struct shim_watch *w)
{
	struct shim_watch *prev = shim_watch_at(v, w->ready_prev);
	struct shim_watch *next = shim_watch_at(v, w->ready_next);

	if (prev)
		prev->ready_next = w->ready_next;
	else
		ep->ready_head = w->ready_next;
	if (next)
		next->ready_prev = w->ready_prev;
	else
		ep->ready_tail = w->ready_prev;
	w->ready_prev = LANE_NIL;
	w->ready_next = LANE_NIL;
	w->flags &= ~(uint32_t)SHIM_WATCH_READY;
	ep->nr_ready--;
	atomic_store_explicit(&ep->nr_ready_hint, ep->nr_ready, memory_order_release);
}

static void ready_append(struct shim_view *v, struct shim_ep *ep, uint32_t i, struct shim_watch *w)
{
	struct shim_watch *tail = shim_watch_at(v, ep->ready_tail);

	w->ready_prev = tail ? ep->ready_tail : LANE_NIL;
	w->ready_next = LANE_NIL;
	if (tail)
		tail->ready_next = i;
	else
		ep->ready_head = i;
	ep->ready_tail = i;
	w->flags |= SHIM_WATCH_READY;
	ep->nr_ready++;
	atomic_store_explicit(&ep->nr_ready_hint, ep->nr_ready, memory_order_release);
}

void shim_watch_ready(struct shim_view *v, uint32_t i)
{
	struct shim_watch *w = shim_watch_at(v, i);
	struct shim_ep *ep = w ? shim_ep_at(v, w->ep) : NULL;

	if (ep && !(w->flags & (SHIM_WATCH_READY | SHIM_WATCH_OFF)))
		ready_append(v, ep, i, w);
}

bool shim_ep_wake(struct shim_view *v, struct shim_ep *ep)
{
	bool asleep = ep->wait_rows != 0;

	v->wakes |= ep->wait_rows;
	ep->wait_rows = 0;
	if (ep->nested)
		v->wakes |= ep->rows;
	return asleep;
}

/* What of the watch's condition holds now. */
static uint32_t watch_mask(struct shim_view *v, const struct shim_watch *w)
{
	const struct shim_sock *s = shim_sock_at(v, w->sock);
	uint32_t asked;

	if (!s || (w->flags & SHIM_WATCH_OFF))
		return 0;
	asked = (w->events & SHIM_POLL_BITS) | SHIM_POLL_ALWAYS;
	return shim_sock_mask(v, s, asked) & asked;
}

uint32_t shim_watch_find(struct shim_view *v, uint32_t sock, uint32_t ep, int fd)
{
	const struct shim_sock *s = shim_sock_at(v, sock);
	uint32_t i = s ? s->watches : LANE_NIL, n;
	const struct shim_watch *w;

	for (n = 0; n < v->nr_watches && (w = shim_watch_at(v, i)); n++) {
		if (w->ep == ep && w->fd == fd)
			return i;
		i = w->sock_next;
	}
	return LANE_NIL;
}

/* Readiness after ADD and MOD is an event of its own (posix.md 20). */
static void watch_evaluate(struct shim_view *v, uint32_t i, struct shim_watch *w)
{
	struct shim_ep *ep = shim_ep_at(v, w->ep);

	if (!ep || !watch_mask(v, w))
		return;
	shim_watch_ready(v, i);
	shim_ep_wake(v, ep);
}

int shim_watch_add(struct shim_view *v, uint32_t sock, uint32_t epi, int fd,
		   const struct epoll_event *ev)
{
	struct shim_sock *s = shim_sock_at(v, sock);
	struct shim_ep *ep = shim_ep_at(v, epi);
	struct shim_watch *w, *head;
	uint32_t i;

	if (!s || !ep)
		return -EBADF;
	if (shim_watch_find(v, sock, epi, fd) != LANE_NIL)
		return -EEXIST;
	i = shim_watch_alloc(v);
	w = shim_watch_at(v, i);
	if (!w)
		return -ENOSPC;
	*w = (struct shim_watch){
		.free_link = w->free_link,
		.sock = sock,
		.ep = epi,
		.sock_next = s->watches,
		.ep_prev = LANE_NIL,
		.ep_next = ep->watches,
		.ready_prev = LANE_NIL,
		.ready_next = LANE_NIL,
		.events = ev->events,
		.fd = fd,
		.data = ev->data.u64,
	};
	s->watches = i;
	head = shim_watch_at(v, ep->watches);
	if (head)
		head->ep_prev = i;
	ep->watches = i;
	watch_evaluate(v, i, w);
	return 0;
}

void shim_watch_mod(struct shim_view *v, uint32_t i, const struct epoll_event *ev)
{
	struct shim_watch *w = shim_watch_at(v, i);

	if (!w)
		return;
	w->events = ev->events;
	w->data = ev->data.u64;
	w->flags &= ~(uint32_t)SHIM_WATCH_OFF;
	watch_evaluate(v, i, w);
}

/* Takes 'w' out of its sock's list, which is short and singly linked. */
static void sock_unlink(struct shim_view *v, uint32_t i, const struct shim_watch *w)
{
	struct shim_sock *s = shim_sock_at(v, w->sock);
	uint32_t *link = s ? &s->watches : NULL, n;

	for (n = 0; n < v->nr_watches && link && *link != i; n++) {
		struct shim_watch *at = shim_watch_at(v, *link);

		link = at ? &at->sock_next : NULL;
	}
	if (link && *link == i)
		*link = w->sock_next;
}

void shim_watch_del(struct shim_view *v, uint32_t i)
{
	struct shim_watch *w = shim_watch_at(v, i);
	struct shim_ep *ep = w ? shim_ep_at(v, w->ep) : NULL;
	struct shim_watch *prev, *next;

	if (!w)
		return;
	if (ep && (w->flags & SHIM_WATCH_READY))
		ready_remove(v, ep, w);
	sock_unlink(v, i, w);
	prev = shim_watch_at(v, w->ep_prev);
	next = shim_watch_at(v, w->ep_next);
	if (prev)
		prev->ep_next = w->ep_next;
	else if (ep)
		ep->watches = w->ep_next;
	if (next)
		next->ep_prev = w->ep_prev;
	shim_watch_free(v, i);
}

int shim_ep_collect(struct shim_view *v, uint32_t epi, struct epoll_event *out, int max)
{
	struct shim_ep *ep = shim_ep_at(v, epi);
	uint32_t todo = ep ? ep->nr_ready : 0; /* each watch is looked at once */
	int nr = 0;

	if (todo > v->nr_watches)
		todo = v->nr_watches;
	while (todo-- > 0 && nr < max) {
		uint32_t i = ep->ready_head, mask;
		struct shim_watch *w = shim_watch_at(v, i);

		if (!w)
			break;
		ready_remove(v, ep, w);
		mask = watch_mask(v, w);
		if (!mask)
			continue;
		out[nr].events = mask;
		out[nr++].data.u64 = w->data;
		if (w->events & EPOLLONESHOT)
			w->flags |= SHIM_WATCH_OFF;
		else if (!(w->events & EPOLLET))
			ready_append(v, ep, i, w);
	}
	return nr;
}

bool shim_ep_is_ready(struct shim_view *v, uint32_t epi)
{
	struct shim_ep *ep = shim_ep_at(v, epi);
	struct shim_watch *w;
	uint32_t n;

	for (n = 0; ep && n < v->nr_watches && (w = shim_watch_at(v, ep->ready_head)); n++) {
		if (watch_mask(v, w))
			return true;
		ready_remove(v, ep, w);
	}
	return false;
}
