/*
 * epoll.c - the program's epoll sets: making, changing, nesting, forgetting
 *
 * Theory of operation. The program's number is a real epoll descriptor. Kernel descriptors are
 * registered in it with the program's own data words. A lane socket is a watch in the arena
 * (watch.c) and costs no system call; a listener and a UDP socket are both, as their shadows are
 * served too. A FRESH socket is registered in the kernel, and remembered, so that it can move when
 * the lane gets it (shim_epoll_adopt).
 *
 * A set that is polled by other means than our epoll_wait, because it is inside another set or a
 * poll array, or because a thread sleeps in libc on it while its first lane socket is added, gets
 * an eventfd of ours in its kernel set, readable while its ready list is not empty.
 */
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "posix/epoll.h"
#include "posix/keeper/sys.h"
#include "posix/sock.h"
#include "posix/wake.h"
#include "posix/watch.h"

/* What Linux lets EPOLLEXCLUSIVE stand with. */
#define EXCLUSIVE_OK                                                                               \
	((uint32_t)(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET |             \
		    EPOLLEXCLUSIVE))

const char shim_nest_tag;

/* Guards the lists of registrations and of nested sets. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct shim_reg *free_regs;

static struct shim_local *nested; /* by nest_next */
static _Atomic uint32_t nr_nested;
static _Atomic uint32_t last_generation; /* of sets: entries are used again */

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

/* ---- registrations of FRESH sockets; with the mutex ---- */

#define REG_CHUNK 65536

static struct shim_reg *reg_get(void)
{
	struct shim_reg *r = free_regs;
	size_t i;

	if (!r) {
		r = mmap(NULL, REG_CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 0);
		if (r == MAP_FAILED)
			return NULL;
		for (i = 0; i + 1 < REG_CHUNK / sizeof(*r); i++)
			r[i].next = &r[i + 1];
	}
	free_regs = r->next;
	return r;
}

static void reg_put(struct shim_reg *r)
{
	r->next = free_regs;
	free_regs = r;
}

static struct shim_reg **reg_find(struct shim_local *l, const struct shim_local *e, int fd)
{
	struct shim_reg **at = &l->regs;

	while (*at && !((*at)->ep == e && (*at)->fd == fd))
		at = &(*at)->next;
	return at;
}

static void reg_remember(struct shim_local *l, struct shim_local *e, int epfd, int fd,
			 const struct epoll_event *ev)
{
	struct shim_reg **at = reg_find(l, e, fd), *r = *at;

	if (!r) {
		r = reg_get();
		if (!r)
			return;
		*r = (struct shim_reg){.next = l->regs, .ep = e, .epfd = epfd, .fd = fd};
		l->regs = r;
	}
	r->ep_generation = e->generation;
	r->events = ev->events;
	r->data = ev->data.u64;
}

static void reg_forget(struct shim_local *l, const struct shim_local *e, int fd)
{
	struct shim_reg **at = reg_find(l, e, fd), *r = *at;

	if (!r)
		return;
	*at = r->next;
	reg_put(r);
}

/* ---- nesting ---- */

static void nest_set(struct shim_local *e, bool ready)
{
	uint64_t count;

	if (ready && !e->nest_set)
		shim_ring(e->nest_evfd);
	else if (!ready && e->nest_set)
		sys_read(e->nest_evfd, &count, sizeof(count));
	e->nest_set = ready;
}

void shim_epoll_nest_sync(void)
{
	struct shim_view *v = &shim.view;
	struct shim_local *e;

	if (shim_likely(!atomic_load_explicit(&nr_nested, memory_order_relaxed)))
		return;
	hold();
	for (e = nested; e; e = e->nest_next) {
		if (e->index < v->nr_eps)
			nest_set(e, atomic_load(&v->eps[e->index].nr_ready_hint) != 0);
	}
	let_go();
}

void shim_epoll_nest_seen(struct shim_local *e)
{
	struct shim_view *v = &shim.view;
	bool ready;

	hold();
	if (e->index < v->nr_eps) {
		ready = atomic_load(&v->eps[e->index].nr_ready_hint) != 0;
		e->nest_set = !ready;
		nest_set(e, ready);
	}
	let_go();
}

int shim_epoll_nest(struct shim_local *e)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = SHIM_NEST_DATA};
	struct shim_view *v = &shim.view;
	struct shim_ep *ep;
	int fd;

	if (__atomic_load_n(&e->nest_evfd, __ATOMIC_ACQUIRE) >= 0)
		return 0;
	fd = shim_fd_hide(shim_libc()->eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (fd < 0)
		return -errno;
	if (shim_libc()->epoll_ctl(e->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		shim_fd_unhide(fd);
		sys_close(fd);
		return -errno;
	}
	hold();
	if (e->nest_evfd >= 0) { /* another thread was quicker */
		let_go();
		shim_fd_unhide(fd);
		sys_close(fd);
		return 0;
	}
	__atomic_store_n(&e->nest_evfd, fd, __ATOMIC_RELEASE);
	e->nest_next = nested;
	nested = e;
	atomic_fetch_add(&nr_nested, 1);
	let_go();
	if (e->index != LANE_NIL) {
		shim_enter(v);
		ep = shim_ep_at(v, e->index);
		if (ep)
			ep->nested = 1;
		shim_leave_quiet(v);
	}
	shim_epoll_nest_sync();
	return 0;
}

static void nest_forget(struct shim_local *e)
{
	struct shim_local **at;

	if (e->nest_evfd < 0)
		return;
	hold();
	for (at = &nested; *at && *at != e; at = &(*at)->nest_next)
		;
	if (*at) {
		*at = e->nest_next;
		atomic_fetch_sub(&nr_nested, 1);
	}
	let_go();
	shim_fd_unhide(e->nest_evfd);
	sys_close(e->nest_evfd);
	e->nest_evfd = -1;
}

/* ---- changing a set ---- */

/* With the lock: the arena's set behind 'e', made when the first lane socket comes. */
static uint32_t ep_index(struct shim_view *v, struct shim_local *e)
{
	struct shim_ep *ep;
	uint32_t index;

	if (e->index != LANE_NIL)
		return e->index;
	index = shim_ep_alloc(v);
	ep = shim_ep_at(v, index);
	if (ep) {
		ep->rows = shim_row_bit(v->row);
		ep->nested = e->nest_evfd >= 0;
	}
	/* Before 'nr_in_libc' is looked at; who waits looks in the other order. */
	__atomic_store_n(&e->index, index, __ATOMIC_SEQ_CST);
	return index;
}

static int kernel_ctl(struct shim_local *e, int epfd, int op, int fd, struct epoll_event *ev)
{
	int r = shim_libc()->epoll_ctl(epfd, op, fd, ev);

	if (r < 0)
		return -errno;
	if (op == EPOLL_CTL_ADD)
		atomic_fetch_add(&e->nr_kernel, 1);
	else if (op == EPOLL_CTL_DEL && atomic_load(&e->nr_kernel))
		atomic_fetch_sub(&e->nr_kernel, 1);
	return 0;
}

/* Linux' do_epoll_ctl() before it looks at the set. */
static int check_event(int op, const struct epoll_event *ev)
{
	if (op != EPOLL_CTL_ADD && op != EPOLL_CTL_MOD && op != EPOLL_CTL_DEL)
		return -EINVAL;
	if (op == EPOLL_CTL_DEL || !(ev->events & EPOLLEXCLUSIVE))
		return 0;
	return op == EPOLL_CTL_MOD || (ev->events & ~EXCLUSIVE_OK) ? -EINVAL : 0;
}

/* With the lock. */
static int watch_ctl(struct shim_view *v, struct shim_local *e, const struct shim_local *l, int op,
		     int fd, const struct epoll_event *ev)
{
	uint32_t ep = e->index, w;

	if (op == EPOLL_CTL_ADD) {
		ep = ep_index(v, e);
		return ep == LANE_NIL ? -ENOSPC : shim_watch_add(v, l->index, ep, fd, ev);
	}
	w = ep == LANE_NIL ? LANE_NIL : shim_watch_find(v, l->index, ep, fd);
	if (w == LANE_NIL)
		return -ENOENT;
	if (op == EPOLL_CTL_DEL) {
		shim_watch_del(v, w);
		return 0;
	}
	if (shim_watch_at(v, w)->events & EPOLLEXCLUSIVE)
		return -EINVAL;
	shim_watch_mod(v, w, ev);
	return 0;
}

static int sock_ctl(struct shim_local *e, int epfd, struct shim_local *l, int op, int fd,
		    struct epoll_event *ev)
{
	struct shim_view *v = &shim.view;
	const struct shim_sock *s;
	bool shadow;
	int r;

	shim_enter(v);
	s = shim_sock_of(l);
	shadow = s && s->kind != SHIM_SOCK_TCP && (s->flags & SHIM_SOCK_SHADOW);
	r = s ? watch_ctl(v, e, l, op, fd, ev) : -EBADF;
	shim_leave_quiet(v);
	if (r < 0)
		return r;
	if (shadow)
		r = kernel_ctl(e, epfd, op, fd, ev);
	if (r < 0 && op == EPOLL_CTL_ADD) {
		shim_enter(v);
		watch_ctl(v, e, l, EPOLL_CTL_DEL, fd, NULL);
		shim_leave_quiet(v);
	}
	/* Threads that sleep in libc on this set must learn that it is ours now. */
	if (r == 0 && op == EPOLL_CTL_ADD && atomic_load(&e->nr_in_libc)) {
		shim_epoll_nest(e);
		shim_ring(e->nest_evfd);
	}
	return op == EPOLL_CTL_ADD ? r : 0;
}

static int fresh_ctl(struct shim_local *e, int epfd, struct shim_local *l, int op, int fd,
		     struct epoll_event *ev)
{
	int r;

	hold();
	r = kernel_ctl(e, epfd, op, fd, ev);
	if (r == 0 && op == EPOLL_CTL_DEL)
		reg_forget(l, e, fd);
	else if (r == 0)
		reg_remember(l, e, epfd, fd, ev);
	let_go();
	return r;
}

static int ctl(struct shim_local *e, int epfd, struct shim_local *l, int op, int fd,
	       struct epoll_event *ev)
{
	int r;

	if (l->kind == SHIM_EPOLL) {
		r = l == e || op != EPOLL_CTL_ADD ? 0 : shim_epoll_nest(l);
		if (r == 0 && op == EPOLL_CTL_ADD)
			e->holds_sets = 1;
		return r ? r : kernel_ctl(e, epfd, op, fd, ev);
	}
	r = check_event(op, ev);
	if (r)
		return r;
	if (l->kind == SHIM_FRESH)
		return fresh_ctl(e, epfd, l, op, fd, ev);
	return sock_ctl(e, epfd, l, op, fd, ev);
}

LANE_EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *user)
{
	struct shim_local *e = shim_get(epfd), *l;
	struct epoll_event copy = {0};
	int r;

	if (!e)
		return shim_libc()->epoll_ctl(epfd, op, fd, user);
	l = shim_get(fd);
	if (!l && shim_adopt_inherited(fd))
		l = shim_get(fd);
	if (e->kind != SHIM_EPOLL) {
		r = shim_libc()->epoll_ctl(epfd, op, fd, user);
		r = r < 0 ? -errno : r;
	} else if (!l) {
		r = kernel_ctl(e, epfd, op, fd, user);
	} else if (op != EPOLL_CTL_DEL && shim_copy_in(&copy, user, sizeof(copy)) < 0) {
		r = -EFAULT;
	} else {
		r = ctl(e, epfd, l, op, fd, &copy);
	}
	if (l)
		shim_put(l);
	shim_put(e);
	return (int)shim_ret(r);
}

static int made(int epfd)
{
	struct shim_local *e;

	epfd = shim_fd_within(epfd);
	if (epfd < 0 || !shim_started())
		return (int)shim_ret(epfd);
	shim_fd_new(epfd);
	e = shim_local_alloc(SHIM_EPOLL);
	if (!e)
		return epfd;
	e->epfd = epfd;
	e->generation = atomic_fetch_add(&last_generation, 1) + 1;
	shim_fd_set(epfd, e);
	return epfd;
}

LANE_EXPORT int epoll_create1(int flags)
{
	return made(shim_libc()->epoll_create1(flags));
}

LANE_EXPORT int epoll_create(int size)
{
	return made(shim_libc()->epoll_create(size));
}

/* ---- what sockets and numbers do to sets ---- */

static void adopt_one(const struct shim_reg *r, struct shim_local *sock, bool keep_kernel)
{
	struct epoll_event ev = {.events = r->events, .data.u64 = r->data};
	struct shim_view *v = &shim.view;

	if (r->ep->generation != r->ep_generation || r->ep->kind != SHIM_EPOLL)
		return; /* the set is closed */
	shim_enter(v);
	watch_ctl(v, r->ep, sock, EPOLL_CTL_ADD, r->fd, &ev);
	shim_leave_quiet(v);
	if (!keep_kernel)
		kernel_ctl(r->ep, r->epfd, EPOLL_CTL_DEL, r->fd, NULL);
	if (atomic_load(&r->ep->nr_in_libc)) {
		shim_epoll_nest(r->ep);
		shim_ring(r->ep->nest_evfd);
	}
}

void shim_epoll_adopt(struct shim_local *fresh, struct shim_local *sock, bool keep_kernel)
{
	struct shim_reg *r, *list;

	hold();
	list = fresh->regs;
	fresh->regs = NULL;
	let_go();
	while ((r = list)) {
		list = r->next;
		adopt_one(r, sock, keep_kernel);
		hold();
		reg_put(r);
		let_go();
	}
}

void shim_epoll_forget(struct shim_local *l)
{
	struct shim_view *v = &shim.view;
	struct shim_reg *r;

	if (l->kind == SHIM_FRESH && l->regs) {
		hold();
		while ((r = l->regs)) {
			l->regs = r->next;
			reg_put(r);
		}
		let_go();
	}
	if (l->kind != SHIM_EPOLL)
		return;
	nest_forget(l);
	l->generation = 0;
	shim_waiter_epfd_closed();
	if (l->index == LANE_NIL || !shim_lock_allowed())
		return;
	shim_fork_wait();
	shim_enter(v);
	shim_ep_release(v, l->index, v->row);
	shim_leave_quiet(v);
	l->index = LANE_NIL;
}

void shim_epoll_closed_fd(struct shim_local *l, int fd)
{
	struct shim_reg **at, *r;

	if (l->kind == SHIM_EPOLL)
		shim_waiter_epfd_closed();
	if (l->kind != SHIM_FRESH || !l->regs)
		return;
	hold();
	for (at = &l->regs; (r = *at);) {
		if (r->fd != fd) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		reg_put(r);
	}
	let_go();
}

void shim_epoll_fork(enum shim_fork_step step)
{
	if (step == SHIM_FORK_PREPARE)
		hold();
	else
		let_go(); /* in the child too: it is this thread that took it */
}
