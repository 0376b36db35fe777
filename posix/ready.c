/*
 * ready.c - what is ready, who is told, and the end of socks, eps and rows
 *
 * Used by members and the keeper alike, under the arena's lock: it knows the arena and the lane,
 * nothing of a process. The bits are those that Linux' tcp_poll() and datagram_poll() would give,
 * as measured in posix.md 66-68, 71, 72, 77 and 81.
 */
#include <lane/tcp.h>
#include <lane/udp.h>

#include "lane-int/state.h"

#include "posix/watch.h"

#define IN_BITS  ((uint32_t)(EPOLLIN | EPOLLRDNORM))
#define OUT_BITS ((uint32_t)(EPOLLOUT | EPOLLWRNORM))

/* A connection that has ended, by reset, time-out or both FINs: the kernel shuts both halves. */
#define DEAD_BITS (IN_BITS | OUT_BITS | (uint32_t)(EPOLLRDHUP | EPOLLHUP))

static uint32_t listener_mask(const struct lane_tcp_status *st)
{
	/* shutdown(SHUT_RD) unhashes a listener: an unconnected socket until it listens again. */
	if (st->state != LANE_TCP_LISTEN)
		return OUT_BITS | EPOLLHUP;
	return st->nr_accept ? IN_BITS : 0;
}

/* As much text as SO_RCVLOWAT asks for, or all that the window takes before a read. An urgent byte that
 * lies next and is not in line is none: a read stops before it. */
static bool has_text(const struct shim_sock *s, const struct lane_tcp_status *st)
{
	if (!st->rcv_queued)
		return false;
	return st->rcv_queued >= s->so_rcvlowat || st->rcv_full;
}

static uint32_t stream_mask(const struct shim_sock *s, const struct lane_tcp_status *st)
{
	bool rd_shut = st->peer_fin || st->rd_shut;
	uint32_t mask = 0;

	if (st->err || s->zc_told != s->zc_sent)
		mask |= EPOLLERR;
	if (st->state == LANE_TCP_CLOSED && (s->flags & SHIM_SOCK_UNCONNECTED))
		return mask | OUT_BITS | EPOLLHUP;
	if (st->state == LANE_TCP_CLOSED || st->state == LANE_TCP_TIME_WAIT)
		return mask | DEAD_BITS | (st->urgent ? EPOLLPRI : 0);
	if (rd_shut)
		mask |= IN_BITS | EPOLLRDHUP;
	if (rd_shut && st->wr_shut)
		mask |= EPOLLHUP;
	if (st->state == LANE_TCP_SYN_SENT || st->state == LANE_TCP_SYN_RECEIVED)
		return mask;
	if (has_text(s, st))
		mask |= IN_BITS;
	if (st->writable || st->wr_shut)
		mask |= OUT_BITS;
	if (st->urgent)
		mask |= EPOLLPRI;
	return mask;
}

static uint32_t datagram_mask(const struct shim_sock *s, const struct lane_udp *pcb)
{
	uint32_t mask = OUT_BITS | EPOLLWRBAND;
	bool rd_shut = s->flags & SHIM_SOCK_RD_SHUT;

	if (lane_udp_err(pcb) || lane_udp_nr_errors(pcb) || s->zc_told != s->zc_sent)
		mask |= EPOLLERR;
	if (rd_shut)
		mask |= IN_BITS | EPOLLRDHUP;
	if (rd_shut && (s->flags & SHIM_SOCK_WR_SHUT))
		mask |= EPOLLHUP;
	if (lane_udp_nr_queued(pcb))
		mask |= IN_BITS;
	return mask;
}

/* Who hears that there is no room is told when there is, as by Linux' tcp_poll(): the last write
 * may have left some, and the buffer's limit have shrunk since, with cwnd. */
static bool may_write(const struct lane_tcp_status *st)
{
	return !st->wr_shut &&
	       (st->state == LANE_TCP_ESTABLISHED || st->state == LANE_TCP_CLOSE_WAIT);
}

uint32_t shim_sock_mask(struct shim_view *v, const struct shim_sock *s, uint32_t asked)
{
	struct lane_tcp_status st;
	struct lane_tcp *tcp;
	struct lane_udp *udp;

	if (s->kind == SHIM_SOCK_UDP) {
		udp = lane_udp_at(v->ln, s->pcb);
		return udp ? datagram_mask(s, udp) : DEAD_BITS | EPOLLERR;
	}
	tcp = lane_tcp_at(v->ln, s->pcb);
	if (!tcp)
		return DEAD_BITS | EPOLLERR;
	/* Whether there is room costs more than all the rest. */
	if (asked & OUT_BITS)
		lane_tcp_get_status(v->ln, tcp, &st);
	else
		lane_tcp_get_rcv_status(v->ln, tcp, &st);
	if (s->kind == SHIM_SOCK_LISTENER)
		return listener_mask(&st);
	if (asked & OUT_BITS && !st.writable && may_write(&st))
		lane_tcp_want_space(v->ln, tcp);
	return stream_mask(s, &st);
}

/*
 * EPOLLEXCLUSIVE: every such set gets the watch on its ready list, so that whoever looks finds it,
 * but only the first with a sleeper is woken. All others are woken as Linux wakes them.
 */
void shim_sock_notify(struct shim_view *v, uint32_t sock, uint32_t events)
{
	struct shim_sock *s = shim_sock_at(v, sock);
	bool one_woken = false;
	struct shim_watch *w;
	uint32_t i, n = 0; /* steps, as in watch.c */

	if (!s)
		return;
	s->edges++;
	v->wakes |= s->wait_rows;
	s->wait_rows = 0;
	for (i = s->watches; n++ < v->nr_watches && (w = shim_watch_at(v, i)); i = w->sock_next) {
		struct shim_ep *ep = shim_ep_at(v, w->ep);

		if (!ep || (w->flags & SHIM_WATCH_OFF) ||
		    !(events & (w->events | SHIM_POLL_ALWAYS)))
			continue;
		shim_watch_ready(v, i);
		if (!(w->events & EPOLLEXCLUSIVE))
			shim_ep_wake(v, ep);
		else if (!one_woken)
			one_woken = shim_ep_wake(v, ep);
	}
}

/* Which registered bits an event concerns; a change of state concerns all (Linux' key 0). */
static uint32_t event_bits(uint32_t ev)
{
	uint32_t bits = 0;

	if (ev & (LANE_EV_CONNECTED | LANE_EV_EOF | LANE_EV_ERROR | LANE_EV_DRAINED))
		return UINT32_MAX;
	if (ev & (LANE_EV_READABLE | LANE_EV_ACCEPT | LANE_EV_URGENT))
		bits |= IN_BITS | EPOLLPRI | EPOLLRDBAND;
	if (ev & LANE_EV_WRITABLE)
		bits |= OUT_BITS | EPOLLWRBAND;
	return bits;
}

/* Signals are due: the member that sends them is woken (sigio.c). */
static __attribute__((noinline)) void note_async(struct shim_view *v, struct shim_sock *s, uint32_t events)
{
	unsigned int row = s->async_row - 1u;

	if (row >= SHIM_ROWS)
		return;
	s->async_events |= events;
	v->a->row[row].async = 1;
	v->wakes |= shim_row_bit((int)row);
}

void shim_drain(struct shim_view *v)
{
	struct lane_event ev;

	for (; lane_event(v->ln, &ev); v->nr_events++) {
		struct shim_sock *s = shim_sock_at(v, (uint32_t)ev.cookie);

		/* The sock may have been freed, and its entry used again, since. */
		if (!s || ev.cookie != shim_sock_cookie((uint32_t)ev.cookie, s->generation))
			continue;
		if (ev.events == LANE_EV_READABLE && s->so_rcvlowat > 1 && !(shim_sock_mask(v, s, 0) & EPOLLIN))
			continue;
		if (s->async_row)
			note_async(v, s, ev.events);
		shim_sock_notify(v, (uint32_t)ev.cookie, event_bits(ev.events));
	}
}

unsigned int shim_turn(struct shim_view *v)
{
	uint64_t now_us = v->ln->now_us; /* the lock has just read it */
	unsigned int n = lane_poll(v->ln, now_us);

	v->nr_events = 0;
	shim_drain(v);
	v->kick_mask |= lane_flush(v->ln);
	if (v->row >= 0)
		atomic_store_explicit(&v->a->row[v->row].last_poll_us, now_us,
				      memory_order_relaxed);
	return n;
}

void shim_sock_unwatch(struct shim_view *v, uint32_t sock)
{
	const struct shim_sock *s;

	while ((s = shim_sock_at(v, sock)) && shim_watch_at(v, s->watches))
		shim_watch_del(v, s->watches);
}

void shim_ep_unwatch(struct shim_view *v, uint32_t epi)
{
	const struct shim_ep *ep;

	while ((ep = shim_ep_at(v, epi)) && shim_watch_at(v, ep->watches))
		shim_watch_del(v, ep->watches);
}

/* close(2) of the last descriptor: RST for SO_LINGER 0, else what lane_tcp_put() finds due. */
static void sock_close(struct shim_view *v, const struct shim_sock *s)
{
	struct lane_tcp *tcp;
	struct lane_udp *udp;

	if (s->kind == SHIM_SOCK_UDP) {
		udp = lane_udp_at(v->ln, s->pcb);
		if (udp)
			lane_udp_put(v->ln, udp);
		return;
	}
	tcp = lane_tcp_at(v->ln, s->pcb);
	if (!tcp)
		return;
	if (s->kind == SHIM_SOCK_TCP && (s->flags & SHIM_SOCK_LINGER) && s->linger_s == 0)
		lane_tcp_abort(v->ln, tcp);
	else
		lane_tcp_put(v->ln, tcp);
}

void shim_sock_release(struct shim_view *v, uint32_t sock, int row)
{
	struct shim_sock *s = shim_sock_at(v, sock);

	if (!s)
		return;
	if (row >= 0) {
		s->rows &= ~shim_row_bit(row);
		s->wait_rows &= ~shim_row_bit(row);
		s->exec_rows &= ~shim_row_bit(row);
		if (s->async_row == row + 1)
			s->async_row = 0;
	}
	if (s->rows)
		return;
	shim_sock_unwatch(v, sock);
	if (s->exec_until_us > shim_now_us()) {
		v->a->nr_exec_held++;
		return;
	}
	sock_close(v, s);
	shim_sock_free(v, sock);
}

void shim_exec_expire(struct shim_view *v)
{
	uint32_t i;

	for (i = 0; v->a->nr_exec_held && i < v->nr_socks; i++) {
		const struct shim_sock *s = shim_sock_at(v, i);

		if (!s || s->rows || !s->exec_until_us || s->exec_until_us > shim_now_us())
			continue;
		v->a->nr_exec_held--;
		shim_sock_release(v, i, -1);
	}
}

void shim_ep_release(struct shim_view *v, uint32_t epi, int row)
{
	struct shim_ep *ep = shim_ep_at(v, epi);

	if (!ep)
		return;
	if (row >= 0) {
		ep->rows &= ~shim_row_bit(row);
		ep->wait_rows &= ~shim_row_bit(row);
	}
	if (ep->rows)
		return;
	shim_ep_unwatch(v, epi);
	shim_ep_free(v, epi);
}

/* Frames that a dead member had taken out of the lane to copy from or into. */
static void release_frames(struct shim_view *v, int row)
{
	struct lane_bufs *bs = lane_bufs(v->ln);

	for (uint32_t i = 0; i < bs->nr; i++) {
		struct lane_buf *b = lane_buf_at(bs, i);

		if (b->owner != row + 1 || (b->flags & LANE_BUF_FREE))
			continue;
		b->owner = 0;
		b->next = LANE_NIL;
		b->flags &= (uint8_t)~LANE_BUF_MORE;
		lane_buf_free(bs, b);
	}
}

/* The row's process has no more threads of that program. */
static void release_rest(struct shim_view *v, int row)
{
	struct shim_row *r = &v->a->row[row];

	release_frames(v, row);
	v->kick_mask |= lane_flush(v->ln);
	/* Threads that died while they waited are counted no more. */
	atomic_fetch_sub(&v->a->nr_waiting, atomic_exchange(&r->nr_waiting, 0));
	atomic_fetch_sub(&v->a->nr_spinning, atomic_exchange(&r->nr_spinning, 0));
}

static void release_eps(struct shim_view *v, int row)
{
	for (uint32_t i = 0; i < v->nr_eps; i++) {
		const struct shim_ep *ep = shim_ep_at(v, i);

		if (ep && (ep->rows & shim_row_bit(row)))
			shim_ep_release(v, i, row);
	}
}

bool shim_row_exec(struct shim_view *v, int row)
{
	shim_rows bit = shim_row_bit(row);
	bool crossed = false;

	for (uint32_t i = 0; i < v->nr_socks; i++) {
		struct shim_sock *s = shim_sock_at(v, i);

		if (!s || !(s->rows & bit))
			continue;
		s->wait_rows &= ~bit;
		if (s->exec_rows & bit)
			crossed = true;
		else
			shim_sock_release(v, i, row);
	}
	release_eps(v, row);
	release_rest(v, row);
	return crossed;
}

void shim_row_release(struct shim_view *v, int row)
{
	struct shim_row *r = &v->a->row[row];
	shim_rows bit = shim_row_bit(row);

	release_eps(v, row);
	for (uint32_t i = 0; i < v->nr_socks; i++) {
		const struct shim_sock *s = shim_sock_at(v, i);

		if (s && (s->rows & bit))
			shim_sock_release(v, i, row);
	}
	release_rest(v, row);
	r->uncounted = 0;
	shim_row_set_live(v->a, (unsigned int)row, false);
	atomic_store(&r->pid, 0);
	atomic_store(&r->state, SHIM_ROW_FREE);
}
