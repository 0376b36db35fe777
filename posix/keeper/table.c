/*
 * table.c - the arena's tables: socks, epoll sets, watches; and the names of fallback reasons
 *
 * An entry that is free is linked by free_link; one in use has SHIM_IN_USE there. An index comes
 * out of shared memory, so it is checked wherever it becomes an address. Generations survive.
 */
#include "arena.h"

/* Takes the head of a free list; a link that points nowhere ends the list. */
#define TABLE_POP(v, name, nr, array)                                                              \
	do {                                                                                       \
		i = (v)->a->name##_free;                                                           \
		if (i >= (v)->nr || (v)->array[i].free_link == SHIM_IN_USE)                        \
			return LANE_NIL;                                                           \
		(v)->a->name##_free = (v)->array[i].free_link;                                     \
		(v)->a->nr_##array##_used++;                                                       \
	} while (0)

uint32_t shim_sock_alloc(struct shim_view *v)
{
	uint32_t generation, i;
	struct shim_sock *s;

	TABLE_POP(v, sock, nr_socks, socks);
	s = &v->socks[i];
	generation = s->generation + 1;
	memset(s, 0, sizeof(*s));
	s->generation = generation;
	s->pcb = s->watches = LANE_NIL;
	s->created_us = shim_now_us();
	s->free_link = SHIM_IN_USE;
	return i;
}

uint32_t shim_ep_alloc(struct shim_view *v)
{
	uint32_t generation, i;
	struct shim_ep *ep;

	TABLE_POP(v, ep, nr_eps, eps);
	ep = &v->eps[i];
	generation = ep->generation + 1;
	memset(ep, 0, sizeof(*ep));
	ep->generation = generation;
	ep->ready_head = ep->ready_tail = ep->watches = LANE_NIL;
	ep->free_link = SHIM_IN_USE;
	return i;
}

uint32_t shim_watch_alloc(struct shim_view *v)
{
	struct shim_watch *w;
	uint32_t i;

	TABLE_POP(v, watch, nr_watches, watches);
	w = &v->watches[i];
	memset(w, 0, sizeof(*w));
	w->sock = w->ep = w->sock_next = LANE_NIL;
	w->ep_prev = w->ep_next = w->ready_prev = w->ready_next = LANE_NIL;
	w->free_link = SHIM_IN_USE;
	return i;
}

void shim_sock_free(struct shim_view *v, uint32_t i)
{
	struct shim_sock *s = shim_sock_at(v, i);

	if (!s)
		return;
	s->kind = SHIM_SOCK_FREE;
	s->rows = s->wait_rows = 0;
	s->free_link = v->a->sock_free;
	v->a->sock_free = i;
	v->a->nr_socks_used--;
}

void shim_ep_free(struct shim_view *v, uint32_t i)
{
	struct shim_ep *ep = shim_ep_at(v, i);

	if (!ep)
		return;
	ep->rows = ep->wait_rows = 0;
	ep->free_link = v->a->ep_free;
	v->a->ep_free = i;
	v->a->nr_eps_used--;
}

void shim_watch_free(struct shim_view *v, uint32_t i)
{
	struct shim_watch *w = shim_watch_at(v, i);

	if (!w)
		return;
	w->sock = w->ep = LANE_NIL;
	w->free_link = v->a->watch_free;
	v->a->watch_free = i;
	v->a->nr_watches_used--;
}

static const struct {
	const char *name, *text;
} fallbacks[SHIM_NR_FB] = {
#define X(name, text) [SHIM_FB_##name] = {#name, text},
	SHIM_FALLBACKS(X)
#undef X
};

const char *shim_fallback_name(enum shim_fallback why)
{
	return (unsigned int)why < SHIM_NR_FB ? fallbacks[why].name : NULL;
}

const char *shim_fallback_text(enum shim_fallback why)
{
	return (unsigned int)why < SHIM_NR_FB ? fallbacks[why].text : NULL;
}
