/*
 * wake.c - the threads of this process that wait, and what each of them sleeps on
 *
 * Theory of operation. Each thread that ever sleeps has an entry in the registry and an internal
 * epoll set with the queues (EPOLLEXCLUSIVE: a frame wakes one thread of all members, and the
 * keeper only if none sleeps; EPOLLET: nobody sleeps before the rings are seen empty), the process'
 * doorbell and an eventfd of its own. While a set holds a queue, each frame costs the kernel a
 * callback, slept or not: so the queues enter the set at a sleep, and leave it after some waits
 * that did not sleep. A thread notes the socks' edges under the lane's lock, after it saw that
 * nothing is ready. While it spins it looks at them itself; before it sleeps it arms: it sets this
 * member's bits in the arena, under the lock, and again after a look. Whoever
 * makes something ready clears the bits and rings the member, or, in this process, calls
 * shim_wake_local(), which compares and writes eventfds. With nobody asleep that costs one load.
 *
 * Of several threads only those should sleep on the queues that frames come for: one that a queue has
 * woken FOR_OTHERS times in a row for others, like a server's that only accepts, stands by: it woke another
 * each time, or its turn told of others' sockets, and another had just looked, which would have found that
 * itself. It sleeps without the queues, until something comes for it, or another process rings: then nobody
 * here looked, but the keeper did, which is late by a nap at most; the thread stands by less easily then. It
 * relies on nobody for more: it looks when KEEPER_SLEEP_US are over, and takes the queues again if no other
 * thread has looked at them for so long.
 *
 * Nothing here is held while asleep. The registry's mutex is taken with signals put off.
 */
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lane-int/engine.h"
#include "posix/epoll.h"
#include "posix/keeper/sys.h"
#include "posix/sandbox.h"
#include "posix/wake.h"

#define AWAKE_WAITS 64 /* waits in a row that did not sleep: the queues leave the internal set */
#define FOR_OTHERS  64U /* wakes in a row that were: the thread stands by */
#define DOUBTS_MAX  4  /* that number doubles so often */
#define LOOKED_US   500

#define NOT_OPEN .ep = LANE_NIL, .epfd = -1, .evfd = -1, .scratch = -1, .program_epfd = -1

_Thread_local struct shim_waiter shim_self = {NOT_OPEN};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct shim_waiter *registry;
static _Atomic uint32_t nr_armed;
/* Under the lane's lock: the last look of a thread that does not stand by. */
static const struct shim_waiter *last_looker; /* to be compared only */
static uint64_t last_look_us;
static _Atomic uint32_t epfd_generation;
static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;
static bool exit_key_made;

static void hold(void)
{
	shim_sig_enter();
	pthread_mutex_lock(&mutex);
}

static void let_go(void)
{
	pthread_mutex_unlock(&mutex);
	shim_sig_leave();
}

/* ---- a thread's descriptors ---- */

static void close_hidden(int *fd)
{
	if (*fd < 0)
		return;
	shim_fd_unhide(*fd);
	sys_close(*fd);
	*fd = -1;
}

static void close_fds(struct shim_waiter *w)
{
	close_hidden(&w->epfd);
	close_hidden(&w->evfd);
	close_hidden(&w->scratch);
	w->program_epfd = -1;
	w->has_queues = false;
}

/* Under the mutex. Another thread sleeps on the queues, or is being woken from that. */
static bool watched_by_others(const struct shim_waiter *me)
{
	const struct shim_waiter *w;

	for (w = registry; w; w = w->next)
		if (w != me && !w->stands_by && w->has_queues &&
		    atomic_load(&w->state) != SHIM_WAITER_IDLE)
			return true;
	return false;
}

/* Under the mutex. It takes the queues before it sleeps on: it is woken if it may be asleep. */
static void put_back(struct shim_waiter *w)
{
	uint32_t armed = SHIM_WAITER_ARMED;

	if (atomic_exchange(&w->stands_by, false) &&
	    atomic_compare_exchange_strong(&w->state, &armed, SHIM_WAITER_WOKEN))
		shim_ring(w->evfd);
}

static void at_thread_exit(void *arg)
{
	struct shim_waiter *me = arg, *w;

	shim_kick_deferred();
	shim_spin_is_over();
	shim_waiter_disarm(NULL);
	hold();
	if (me->prev)
		me->prev->next = me->next;
	else
		registry = me->next;
	if (me->next)
		me->next->prev = me->prev;
	me->registered = false;
	for (w = watched_by_others(me) ? NULL : registry; w; w = w->next)
		put_back(w);
	let_go();
	close_fds(me);
}

static void make_exit_key(void)
{
	exit_key_made = pthread_key_create(&exit_key, at_thread_exit) == 0;
}

static void enlist(struct shim_waiter *me)
{
	pthread_once(&exit_once, make_exit_key);
	if (exit_key_made)
		pthread_setspecific(exit_key, me);
	hold();
	me->prev = NULL;
	me->next = registry;
	if (registry)
		registry->prev = me;
	registry = me;
	me->registered = true;
	let_go();
}

static int add(int epfd, int fd, uint32_t events, uint32_t tag)
{
	struct epoll_event ev = {.events = events, .data.u32 = tag};

	return shim_libc()->epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev);
}

/* Puts the queues into the internal set, or takes them out. */
static void set_queues(struct shim_waiter *me, bool in)
{
	struct shim_view *v = &shim.view;
	struct lane_queue *q;
	unsigned int i;
	int fd;

	for (i = 0; (q = lane_queue(v->ln, i)); i++) {
		fd = q->drv->arm ? q->drv->arm(q) : -1;
		if (fd >= 0 && in)
			add(me->epfd, fd, EPOLLIN | EPOLLET | EPOLLEXCLUSIVE, SHIM_TAG_QUEUE);
		else if (fd >= 0)
			shim_libc()->epoll_ctl(me->epfd, EPOLL_CTL_DEL, fd, NULL);
	}
	me->has_queues = in;
}

void shim_waiter_looks(const struct shim_view *v)
{
	struct shim_waiter *me = &shim_self;

	me->told = v->nr_events > 0;
	me->looked_us = v->ln->now_us;
	if (last_looker != me)
		me->other_us = last_look_us;
	if (me->stands_by)
		return;
	last_looker = me;
	last_look_us = me->looked_us;
}

void shim_waiter_sleeps(void)
{
	struct shim_waiter *me = &shim_self;

	me->nr_awake = 0;
	if (me->stands_by && shim.view.a->keeper_state == SHIM_KEEPER_GONE)
		me->stands_by = false;
	if (!me->stands_by && !me->has_queues)
		set_queues(me, true);
}

/* Leaves the queues to the others. If none watches them the one that this one woke, should it stand by, is
 * put back first, and this one keeps them until it wakes it again. */
static void hand_over(struct shim_waiter *me, bool looked)
{
	struct shim_waiter *w;

	hold();
	me->stands_by = looked || watched_by_others(me);
	for (w = me->stands_by ? NULL : registry; w; w = w->next)
		if (w == me->woke)
			put_back(w);
	let_go();
	if (!me->stands_by)
		return;
	me->nr_for_others = 0;
	me->other_us = me->looked_us;
	atomic_fetch_add_explicit(&shim.view.a->nr_stand_bys, 1, memory_order_relaxed);
	set_queues(me, false);
}

/* If nobody here has looked, it takes more to make this thread stand by the next time. */
static void end_standing(struct shim_waiter *me, bool others_look)
{
	me->stands_by = false;
	if (others_look && me->doubts > 0)
		me->doubts--;
	else if (!others_look && me->doubts < DOUBTS_MAX)
		me->doubts++;
}

void shim_waiter_woken(uint32_t tags, bool found)
{
	struct shim_waiter *me = &shim_self;
	bool rung = tags & 1U << SHIM_TAG_BELL, looked = me->looked_us - me->other_us < LOOKED_US;

	if (found)
		me->nr_for_others = 0;
	if (me->stands_by) {
		if (found || rung || me->looked_us - me->other_us >= KEEPER_SLEEP_US)
			end_standing(me, found && !rung);
		return;
	}
	if (found || tags != 1U << SHIM_TAG_QUEUE || (!me->woke && !me->told))
		return;
	if (!me->woke && !looked)
		me->nr_for_others = 0; /* nobody else would have found it */
	else if (++me->nr_for_others >= FOR_OTHERS << me->doubts)
		hand_over(me, looked);
}

void shim_waiter_awake(void)
{
	struct shim_waiter *me = &shim_self;

	/* A filter may kill who calls epoll_ctl(). */
	if (++me->nr_awake >= AWAKE_WAITS && me->has_queues && !shim_sandboxed())
		set_queues(me, false);
}

bool shim_waiter_open(void)
{
	struct shim_waiter *me = &shim_self;

	if (shim_likely(me->epfd >= 0))
		return true;
	if (shim_sandboxed())
		return false;
	me->evfd = shim_fd_hide(shim_libc()->eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	me->epfd = shim_fd_hide(shim_libc()->epoll_create1(EPOLL_CLOEXEC));
	if (me->evfd < 0 || me->epfd < 0) {
		close_fds(me);
		return false;
	}
	add(me->epfd, me->evfd, EPOLLIN, SHIM_TAG_OWN);
	if (shim.view.row >= 0)
		add(me->epfd, shim.view.doorbell[shim.view.row], EPOLLIN | EPOLLEXCLUSIVE, SHIM_TAG_BELL);
	if (!me->registered)
		enlist(me);
	return true;
}

void shim_waiter_epfd_closed(void)
{
	atomic_fetch_add(&epfd_generation, 1);
}

int shim_waiter_program_epfd(int epfd)
{
	struct shim_waiter *me = &shim_self;
	uint32_t generation = atomic_load(&epfd_generation);

	if (me->program_epfd == epfd && (epfd < 0 || me->program_generation == generation))
		return 0;
	if (me->program_epfd >= 0)
		shim_libc()->epoll_ctl(me->epfd, EPOLL_CTL_DEL, me->program_epfd, NULL);
	/* The number may have come to mean another set, which was never ours to remove. */
	if (me->program_epfd >= 0 && me->program_epfd != epfd && epfd >= 0)
		shim_libc()->epoll_ctl(me->epfd, EPOLL_CTL_DEL, epfd, NULL);
	me->program_epfd = -1;
	if (epfd < 0)
		return 0;
	if (add(me->epfd, epfd, EPOLLIN, SHIM_TAG_KERNEL) < 0 && errno != EEXIST)
		return -errno;
	me->program_epfd = epfd;
	me->program_generation = generation;
	return 0;
}

int shim_waiter_poll(const struct pollfd *fds, unsigned int nr)
{
	struct shim_waiter *me = &shim_self;
	unsigned int i;

	if (me->scratch < 0) {
		me->scratch = shim_fd_hide(shim_libc()->epoll_create1(EPOLL_CLOEXEC));
		if (me->scratch < 0 || add(me->epfd, me->scratch, EPOLLIN, SHIM_TAG_KERNEL) < 0)
			return -errno;
	}
	for (i = 0; i < nr; i++) {
		struct epoll_event ev = {.events = (uint16_t)fds[i].events};

		if (fds[i].fd < 0)
			continue;
		/* The same descriptor twice in one array: all that any entry asks for. */
		if (shim_libc()->epoll_ctl(me->scratch, EPOLL_CTL_ADD, fds[i].fd, &ev) < 0 &&
		    errno == EEXIST) {
			for (unsigned int k = 0; k < i; k++)
				if (fds[k].fd == fds[i].fd)
					ev.events |= (uint16_t)fds[k].events;
			shim_libc()->epoll_ctl(me->scratch, EPOLL_CTL_MOD, fds[i].fd, &ev);
		}
	}
	return 0;
}

void shim_waiter_unpoll(const struct pollfd *fds, unsigned int nr)
{
	struct shim_waiter *me = &shim_self;
	unsigned int i, k;

	for (i = 0; i < nr; i++) {
		if (fds[i].fd < 0 ||
		    shim_libc()->epoll_ctl(me->scratch, EPOLL_CTL_DEL, fds[i].fd, NULL) == 0)
			continue;
		for (k = 0; k < i && fds[k].fd != fds[i].fd; k++)
			;
		if (k < i || errno == EPERM)
			continue;
		/* Closed meanwhile, and perhaps alive under another number: start afresh. */
		close_hidden(&me->scratch);
		return;
	}
}

/* ---- arming and waking ---- */

void shim_waiter_note(struct shim_view *v, const struct shim_wait *w)
{
	struct shim_waiter *me = &shim_self;
	struct shim_ep *ep = shim_ep_at(v, w->ep);
	struct shim_sock *s;
	uint32_t i;

	for (i = 0; i < w->nr_socks && i < SHIM_WAITER_SOCKS; i++) {
		s = shim_sock_at(v, w->socks[i]);
		__atomic_store_n(&me->socks[i], w->socks[i], __ATOMIC_RELAXED);
		__atomic_store_n(&me->edges[i], s ? s->edges : 0, __ATOMIC_RELAXED);
	}
	/* EPOLLEXCLUSIVE: who spins is there to be woken, in place of one who sleeps. */
	if (ep && v->row >= 0)
		ep->wait_rows |= shim_row_bit(v->row);
	__atomic_store_n(&me->ep, ep ? w->ep : LANE_NIL, __ATOMIC_RELAXED);
	__atomic_store_n(&me->nr_socks, w->nr_socks, __ATOMIC_RELAXED);
}

void shim_waiter_arm(struct shim_view *v, const struct shim_wait *w)
{
	struct shim_waiter *me = &shim_self;
	shim_rows bit = v->row >= 0 ? shim_row_bit(v->row) : 0;
	struct shim_sock *s;
	uint32_t i;

	shim_waiter_note(v, w);
	for (i = 0; i < w->nr_socks; i++) {
		s = shim_sock_at(v, w->socks[i]);
		if (s)
			s->wait_rows |= bit;
	}
	if (atomic_exchange(&me->state, SHIM_WAITER_ARMED) == SHIM_WAITER_IDLE)
		atomic_fetch_add(&nr_armed, 1);
	if (!me->waiting) {
		me->waiting = true;
		atomic_fetch_add(&v->a->nr_waiting, 1);
		if (v->row >= 0)
			atomic_fetch_add(&v->a->row[v->row].nr_waiting, 1);
	}
}

/* The member's bits go only if no other thread of it may rely on them. */
static void clear_bits(struct shim_view *v, const struct shim_waiter *me)
{
	shim_rows bit = v->row >= 0 ? shim_row_bit(v->row) : 0;
	struct shim_ep *ep = shim_ep_at(v, me->ep);
	struct shim_sock *s;
	uint32_t i;

	if (ep)
		ep->wait_rows &= ~bit;
	for (i = 0; i < me->nr_socks && i < SHIM_WAITER_SOCKS; i++) {
		s = shim_sock_at(v, me->socks[i]);
		if (s)
			s->wait_rows &= ~bit;
	}
}

void shim_waiter_disarm(struct shim_view *v)
{
	struct shim_waiter *me = &shim_self;
	struct shim_arena *a = shim.view.a;
	int row = shim.view.row;
	uint64_t count;
	uint32_t was;

	if (me->waiting) {
		me->waiting = false;
		atomic_fetch_sub(&a->nr_waiting, 1);
		if (row >= 0)
			atomic_fetch_sub(&a->row[row].nr_waiting, 1);
	}
	/* Only this thread arms it. */
	if (atomic_load_explicit(&me->state, memory_order_relaxed) == SHIM_WAITER_IDLE) {
		if (v && me->ep != LANE_NIL && !atomic_load_explicit(&nr_armed, memory_order_relaxed))
			clear_bits(v, me);
		if (v)
			__atomic_store_n(&me->ep, LANE_NIL, __ATOMIC_RELAXED);
		return;
	}
	was = atomic_exchange(&me->state, SHIM_WAITER_IDLE);
	if (atomic_fetch_sub(&nr_armed, 1) == 1 && v)
		clear_bits(v, me);
	if (was == SHIM_WAITER_WOKEN)
		sys_read(me->evfd, &count, sizeof(count));
}

bool shim_waiter_hit(const struct shim_waiter *me)
{
	struct shim_view *v = &shim.view;
	uint32_t ep = __atomic_load_n(&me->ep, __ATOMIC_RELAXED), i, sock, was;
	uint32_t nr = __atomic_load_n(&me->nr_socks, __ATOMIC_RELAXED);

	if (ep < v->nr_eps && atomic_load_explicit(&v->eps[ep].nr_ready_hint, memory_order_relaxed))
		return true;
	for (i = 0; i < nr && i < SHIM_WAITER_SOCKS; i++) {
		sock = __atomic_load_n(&me->socks[i], __ATOMIC_RELAXED);
		was = __atomic_load_n(&me->edges[i], __ATOMIC_RELAXED);
		if (sock < v->nr_socks && __atomic_load_n(&v->socks[sock].edges, __ATOMIC_RELAXED) != was)
			return true;
	}
	return false;
}

void shim_wake_local(void)
{
	struct shim_waiter *w;
	uint32_t armed;

	shim_epoll_nest_sync();
	armed = atomic_load(&nr_armed);
	if (!armed || (armed == 1 && atomic_load(&shim_self.state) == SHIM_WAITER_ARMED))
		return;
	hold();
	for (w = registry; w; w = w->next) {
		armed = SHIM_WAITER_ARMED;
		if (w == &shim_self || atomic_load(&w->state) != armed)
			continue;
		if (__atomic_load_n(&w->nr_socks, __ATOMIC_RELAXED) <= SHIM_WAITER_SOCKS && !shim_waiter_hit(w))
			continue;
		if (atomic_compare_exchange_strong(&w->state, &armed, SHIM_WAITER_WOKEN)) {
			shim_ring(w->evfd);
			shim_self.woke = w;
			atomic_fetch_add_explicit(&shim.view.a->nr_wakes, 1, memory_order_relaxed);
		}
	}
	let_go();
}

/* ---- fork ---- */

void shim_wake_fork_prepare(void)
{
	hold();
}

void shim_wake_fork_parent(void)
{
	let_go();
}

void shim_wake_fork_child(void)
{
	struct shim_waiter *w, *me = &shim_self;

	/* The sets are the parent's too: closing our numbers of them leaves those alone. */
	for (w = registry; w; w = w->next)
		close_fds(w);
	*me = (struct shim_waiter){NOT_OPEN};
	registry = NULL;
	atomic_store(&nr_armed, 0);
	let_go(); /* this thread took it before the fork */
}
