/*
 * loop.c - the keeper's life: look, nap, keep promises, linger, end
 *
 * Theory of operation. Asleep, it waits for its socket, the bell, netlink, the death of members,
 * frames that no member waits for (its EPOLLEXCLUSIVE entries are the last), and the next timer of
 * the lane. A frame, or the bell, makes it nap: it sleeps 1.5 ms, then looks. If nobody polled the
 * lane meanwhile and there is something to do, it takes the turn; frames that a member queued and
 * did not kick, it kicks. It goes back to sleep after some naps in which nothing happened. While
 * members poll all the time it is blind: its set does not hold the queues, or each frame that comes
 * while they spin would wake it, to sleep on in the kernel as the frame is gone already; and its
 * naps are longer. The first nap without a poll ends that. A member whose spin was worth it rings a
 * keeper that is asleep, so that it gets there.
 *
 * The last member gone, it lingers while connections have something to send or to answer, for at
 * most 60 s; a new member ends that. Then it detaches the program and exits.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "k.h"
#include "lane-int/engine.h"

#define LOOP_NAP_US    1500
#define LOOP_NAPS      4
#define LOOP_BUSY_POLLS 8 /* in one nap: the queues leave the keeper's set */
#define LOOP_BUSY_NAP_US 4000
#define LOOP_MIN_US    500
#define LOOP_MAX_US    100000  /* the longest sleep while anything is armed */
#define LOOP_GRACE_US  2000    /* a member that waits fires its timers itself */
#define LOOP_START_US  5000000 /* somebody must come within it */
#define LOOP_LINGER_US 60000000
#define LOOP_EVENTS    64

void keeper_turn(struct keeper *k)
{
	shim_lock(&k->v);
	shim_turn(&k->v);
	shim_unlock(&k->v);
	shim_kick(&k->v);
	k->v.a->nr_keeper_turns++;
}

/* Takes the queues out of the keeper's set and, with 'in', puts them back, behind all members'. */
static void set_queues(struct keeper *k, bool in)
{
	unsigned int i, q;

	for (i = 0; i < k->s.nr_ifs; i++) {
		for (q = 0; q < LANE_QUEUES_MAX && k->v.xdp[i].xsk[q] >= 0; q++) {
			epoll_ctl(k->epfd, EPOLL_CTL_DEL, k->v.xdp[i].xsk[q], NULL);
			if (in)
				keeper_watch(k, k->v.xdp[i].xsk[q], EPOLLIN | EPOLLEXCLUSIVE, K_XSK, q);
		}
	}
	k->blind = !in;
}

void keeper_xsk_last(struct keeper *k)
{
	if (k->bound && !k->blind)
		set_queues(k, true);
}

/* Addresses, routes or the link changed: the program and the claims follow. */
static void net_changed(struct keeper *k, unsigned int i)
{
	struct lane_nettab *net = lane_nettab_at(k->v.ln, i);
	char name[IF_NAMESIZE];

	if (!if_indextoname(net->ifindex, name)) {
		k->ifs_gone |= 1u << i;
		return;
	}
	k->ifs_gone &= ~(1u << i);
	keeper_device_set_addrs(k, i);
	shim_lock(&k->v);
	lane_claim_refresh(k->v.ln);
	shim_unlock(&k->v);
}

/* Of an interface whose address is the lane's own the link is all that matters. */
static void own_changed(struct keeper *k)
{
	char name[IF_NAMESIZE];

	k->ifs_gone = if_indextoname(k->link_net->ifindex, name) ? 0 : 1;
	keeper_own_link(k);
}

static void net_readable(struct keeper *k, unsigned int i)
{
	if (lane_netlink_read(k->nl[i]) > 0 && !k->own_mode)
		net_changed(k, i);
	if (k->own_mode)
		own_changed(k);
	/* Packets that waited for a neighbour may go now. */
	if (k->v.ln->st->nr_pending)
		keeper_turn(k);
}

static void bell_readable(struct keeper *k)
{
	uint64_t n;

	while (read(k->v.keeper_bell, &n, sizeof(n)) > 0)
		;
	k->rung = true;
}

static void dispatch(struct keeper *k, const struct epoll_event *ev)
{
	unsigned int index = (unsigned int)ev->data.u64;

	switch ((enum keeper_tag)(ev->data.u64 >> 32)) {
	case K_LISTEN:
		keeper_accept(k, index);
		break;
	case K_BELL:
		bell_readable(k);
		break;
	case K_NETLINK:
		net_readable(k, index);
		break;
	case K_XSK:
		k->xsk_ready = true;
		break;
	case K_CONN:
		keeper_conn_readable(k, index);
		break;
	case K_ROW:
		keeper_row_readable(k, (int)index);
		break;
	case K_REG:
		keeper_reg_remove(k, index);
		break;
	}
}

/* One look at everything that may have happened, for at most 'timeout_us'. */
static void look(struct keeper *k, uint64_t timeout_us)
{
	struct timespec ts = {.tv_sec = (time_t)(timeout_us / 1000000),
			      .tv_nsec = (long)(timeout_us % 1000000) * 1000};
	struct epoll_event evs[LOOP_EVENTS];
	int i, n;

	k->xsk_ready = k->rung = false;
	n = epoll_pwait2(k->epfd, evs, LOOP_EVENTS, timeout_us == UINT64_MAX ? NULL : &ts, NULL);
	for (i = 0; i < n; i++)
		dispatch(k, &evs[i]);
	if (k->rung) {
		if (k->v.a->knobs_wanted)
			keeper_knobs(k);
		keeper_rows_scan(k);
		keeper_xsk_last(k);
	}
	for (i = 0; !k->own_mode && i < (int)k->s.nr_ifs && lane_ifs_wanted(k->v.ln); i++)
		lane_netlink_resolve(k->nl[i]);
	if (k->own_mode)
		keeper_own_step(k);
	k->v.a->keeper_seen_us = shim_now_us();
}

/* Frames that members queued and left for later. */
static void kick_left(struct keeper *k)
{
	uint32_t mask = keeper_device_unkicked(k);

	if (mask)
		lane_kick(k->v.ln, mask);
}

static bool timer_due(const struct keeper *k)
{
	return lane_next_timer(k->v.ln) <= shim_now_us();
}

/* A nap has ended in which members polled so often. */
static void judge_busy(struct keeper *k, uint64_t polls)
{
	bool busy = polls >= (k->blind ? 1 : LOOP_BUSY_POLLS);

	if (k->bound && busy != k->blind)
		set_queues(k, !busy);
}

/* Frames wait; a driver that cannot tell without a system call (tap) was looked at by epoll. */
static bool frames_wait(const struct keeper *k)
{
	const struct lane_queue *q = lane_queue(k->v.ln, 0);

	return shim_rings_pending(k->v.ln) || (k->xsk_ready && q && !q->drv->pending);
}

static void nap(struct keeper *k)
{
	uint64_t us = k->blind && !k->deferring ? LOOP_BUSY_NAP_US : LOOP_NAP_US;
	struct timespec ts = {.tv_nsec = (long)us * 1000};
	const struct lane_state *st = k->v.ln->st;
	uint64_t polls = st->stats.polls;

	k->v.a->keeper_until_us = shim_now_us() + us;
	k->v.a->keeper_state = SHIM_KEEPER_NAPPING;
	nanosleep(&ts, NULL);
	look(k, 0);
	polls = st->stats.polls - polls;
	if (!polls && (frames_wait(k) || timer_due(k)))
		keeper_turn(k);
	else
		kick_left(k);
	k->deferring = k->deferred_seen != k->v.a->nr_deferred;
	k->deferred_seen = k->v.a->nr_deferred;
	judge_busy(k, polls);
	if (k->xsk_ready || k->deferring || k->blind)
		k->naps = LOOP_NAPS;
	else
		k->naps--;
}

/* A member's thread looks by itself, or is woken. */
static bool member_waits(const struct keeper *k)
{
	return k->v.a->nr_waiting || k->v.a->nr_spinning;
}

/* When the keeper must look though nothing wakes it: UINT64_MAX never. */
static uint64_t next_look(const struct keeper *k, uint64_t now)
{
	uint64_t next = lane_next_timer(k->v.ln), own = k->own_mode ? keeper_own_next(k) : UINT64_MAX;

	if (next == UINT64_MAX && own < UINT64_MAX)
		return own < now + LOOP_MIN_US ? now + LOOP_MIN_US : own;
	if (own < next)
		next = own;
	if (next == UINT64_MAX && keeper_anybody(k) && !keeper_rows_reserved(k) &&
	    !k->v.a->nr_exec_held && !k->nr_unwatched)
		return UINT64_MAX;
	if (next != UINT64_MAX && member_waits(k))
		next += LOOP_GRACE_US;
	if (next > now + LOOP_MAX_US)
		next = now + LOOP_MAX_US;
	/* Never without a pause, whatever the timers say. */
	return next < now + LOOP_MIN_US ? now + LOOP_MIN_US : next;
}

static void doze(struct keeper *k)
{
	uint64_t now = shim_now_us(), until = next_look(k, now);
	const struct lane_state *st = k->v.ln->st;
	uint64_t polls = st->stats.polls;

	if (k->blind)
		set_queues(k, true);
	k->v.a->keeper_until_us = until;
	k->v.a->keeper_state = SHIM_KEEPER_ASLEEP;
	/* What happened before the lines above were read: a timer armed, a kick left to us. */
	if (until == UINT64_MAX && lane_next_timer(k->v.ln) != UINT64_MAX)
		return;
	if (k->deferred_seen != k->v.a->nr_deferred) {
		k->deferred_seen = k->v.a->nr_deferred;
		k->naps = LOOP_NAPS;
		kick_left(k);
		return;
	}
	look(k, until == UINT64_MAX ? until : until - now);
	keeper_rows_scan(k);
	if (!shim_any_live(k->v.a) ? k->xsk_ready || timer_due(k)
			       : timer_due(k) && (polls == st->stats.polls || !member_waits(k)))
		keeper_turn(k);
	if (!shim_any_live(k->v.a) || !(k->xsk_ready || k->rung))
		return;
	/* Woken though a member waits: its entry is behind ours. */
	if (k->xsk_ready && member_waits(k))
		keeper_xsk_last(k);
	k->naps = LOOP_NAPS;
}

/* Something of the last member's is still to be sent or answered. */
static bool has_left_overs(const struct keeper *k)
{
	const struct lane_state *st = k->v.ln->st;

	return st->tcp_pool.nr_used || st->tw_pool.nr_used || st->nr_txq;
}

/* None of the interfaces is there any more. */
static bool all_gone(const struct keeper *k)
{
	return k->ifs_gone == (1u << k->s.nr_ifs) - 1;
}

/* True when the keeper's time has come. */
static bool is_over(struct keeper *k)
{
	uint64_t now = shim_now_us();

	if (keeper_anybody(k)) {
		k->linger_until_us = 0;
		return false;
	}
	if (!k->somebody_seen && !k->stop)
		return now - k->started_us > LOOP_START_US || all_gone(k);
	if (!k->linger_until_us)
		k->linger_until_us = now + LOOP_LINGER_US;
	return k->stop || all_gone(k) || !has_left_overs(k) || now >= k->linger_until_us;
}

void keeper_loop(struct keeper *k)
{
	unsigned int i;

	while (!is_over(k)) {
		if (k->naps && shim_any_live(k->v.a))
			nap(k);
		else
			doze(k);
	}
	/* The names first: whoever comes now starts the next keeper, which waits for the device. */
	for (i = 0; i < k->s.nr_ifs; i++)
		close(k->listen_fd[i]);
	k->v.a->keeper_state = SHIM_KEEPER_GONE;
	lane_lwip_close(k->lw);
	keeper_device_close_all(k);
	_exit(0);
}
