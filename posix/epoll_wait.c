/*
 * epoll_wait.c - epoll_wait(2), epoll_pwait(2), epoll_pwait2(2)
 *
 * Theory of operation. A set without lane sockets is the kernel's alone. Else events come from two
 * places: the ready list in the arena, and the kernel set. The kernel set costs a system call to
 * look at, so while the lane has events it is looked at every KERNEL_LOOK_US only, and then gets
 * half of the room, so that neither starves the other, and then what the lane left of its own;
 * before sleeping both are looked at. A
 * listener may be ready in both: its two events have the same data word and become one.
 */
#include <limits.h>
#include <pthread.h>
#include <time.h>

#include "posix/defer.h"
#include "posix/epoll.h"
#include "posix/keeper/sys.h"
#include "posix/watch.h"

#define KERNEL_LOOK_US 10
#define BATCH          256 /* lane events in one call */

/* One epoll_wait() under way. */
struct call {
	struct shim_local *e;
	int epfd;
	struct epoll_event *user;
	int max;
	int nr_kernel; /* in user[] */
	int nr;        /* in lane[] */
	bool nest_seen;
	bool kernel_more; /* its share was filled */
	struct epoll_event *lane; /* room for BATCH */
};

static int collect(struct shim_view *v, void *arg)
{
	struct call *c = arg;
	int room = c->max - c->nr_kernel;

	c->nr = shim_ep_collect(v, c->e->index, c->lane, room < BATCH ? room : BATCH);
	return c->nr;
}

/* Takes our own eventfd's event out of ev[0..n). Returns what is left. */
static int without_nest(struct call *c, struct epoll_event *ev, int n)
{
	int i, k;

	for (i = k = 0; i < n; i++) {
		if (ev[i].data.u64 == SHIM_NEST_DATA)
			c->nest_seen = true;
		else
			ev[k++] = ev[i];
	}
	return k;
}

/* Looks at the kernel set, for at most 'room' events. 0 or -errno. */
static int look_kernel(struct call *c, int room)
{
	int n = (int)sys_epoll_now(c->epfd, c->user, room);

	c->e->kernel_us = shim_now_us();
	if (n < 0)
		return n;
	if (n > 0 && c->e->nest_evfd >= 0)
		n = without_nest(c, c->user, n);
	c->nr_kernel = n;
	return 0;
}

static bool kernel_is_due(const struct call *c)
{
	return (atomic_load_explicit(&c->e->nr_kernel, memory_order_relaxed) || c->e->holds_sets) &&
	       shim_now_us() - c->e->kernel_us >= KERNEL_LOOK_US;
}

/* Room for the kernel's events when the lane may have some too. */
static int kernel_share(struct call *c)
{
	if (c->max > 1)
		return c->max - c->max / 2;
	c->e->kernel_turn ^= 1;
	return c->e->kernel_turn;
}

/*
 * The kernel filled its share, and the lane did not: into user[n..max) what else it has. What is
 * level-triggered comes again, behind that. Returns the number of events.
 */
static int look_again(struct call *c, int n)
{
	struct epoll_event *more = c->user + n;
	int i, k, had = n, nr = (int)sys_epoll_now(c->epfd, more, c->max - n);

	if (nr > 0 && c->e->nest_evfd >= 0)
		nr = without_nest(c, more, nr);
	for (i = 0; i < nr; i++) {
		for (k = 0; k < had && c->user[k].data.u64 != more[i].data.u64; k++)
			;
		if (k == had)
			c->user[n++] = more[i];
	}
	return n;
}

/* Both sources into user[]. The number of events, or -EFAULT. */
static int merge(struct call *c)
{
	int i, k, n = c->nr_kernel;

	for (i = 0; i < c->nr; i++) {
		for (k = 0; k < c->nr_kernel && c->user[k].data.u64 != c->lane[i].data.u64; k++)
			;
		if (k < c->nr_kernel)
			c->user[k].events |= c->lane[i].events;
		else if (shim_copy_out(&c->user[n++], &c->lane[i], sizeof(c->lane[i])) < 0)
			return -EFAULT;
	}
	return n;
}

static void abandon(void *arg)
{
	shim_put(((struct call *)arg)->e);
}

/* Waits on both sources. > 0: events are in, 0: timed out, -errno. */
static int wait_both(struct call *c, int64_t timeout_us, const sigset_t *mask)
{
	struct shim_wait w = {
		.ready = collect,
		.arg = c,
		.ep = c->e->index,
		.kernel_epfd = -1,
		.sigmask = mask,
		.abandon = abandon,
	};
	int r, room = kernel_is_due(c) ? kernel_share(c) : 0;

	r = room ? look_kernel(c, room) : 0;
	if (r < 0)
		return r;
	c->kernel_more = room && c->nr_kernel == room;
	if (atomic_load(&c->e->nr_kernel) || c->e->holds_sets || c->e->nest_evfd >= 0)
		w.kernel_epfd = c->epfd;
	w.timeout_us = c->nr_kernel ? 0 : timeout_us;
	/* Room for one, and the kernel took it. */
	r = c->nr_kernel < c->max ? shim_wait(&w) : 0;
	if (r < 0 || c->nr_kernel)
		return c->nr_kernel ? c->nr_kernel + c->nr : r;
	/* Woken by the kernel, or only to look and its set has not been asked yet. */
	if ((r == SHIM_WAIT_KERNEL || (r == 0 && timeout_us == 0 && !room)) && w.kernel_epfd >= 0)
		r = look_kernel(c, c->max);
	return r < 0 ? r : c->nr_kernel + c->nr;
}

/* The eventfd in a nested set is read once its list is empty; else the set would never be quiet. */
static void settle_nest(struct call *c)
{
	struct shim_view *v = &shim.view;

	if (c->e->nest_evfd < 0)
		return;
	shim_enter(v);
	shim_ep_is_ready(v, c->e->index);
	shim_leave_quiet(v);
	if (c->nest_seen)
		shim_epoll_nest_seen(c->e);
	shim_epoll_nest_sync();
}

static int wait_lane(struct shim_local *e, int epfd, struct epoll_event *user, int max,
		     int64_t timeout_us, const sigset_t *mask)
{
	struct epoll_event lane[BATCH];
	struct call c = {.e = e, .epfd = epfd, .user = user, .max = max, .lane = lane};
	uint64_t end_us = timeout_us > 0 ? shim_now_us() + (uint64_t)timeout_us : 0;
	uint64_t now_us;
	int r;

	for (;;) {
		c.nr = c.nr_kernel = 0;
		c.nest_seen = c.kernel_more = false;
		r = wait_both(&c, timeout_us, mask);
		settle_nest(&c);
		if (r > 0)
			r = merge(&c);
		if (r > 0 && r < max && c.kernel_more)
			r = look_again(&c, r);
		if (r != 0 || timeout_us == 0)
			break;
		if (timeout_us < 0)
			continue;
		now_us = shim_now_us();
		if (now_us >= end_us)
			break;
		timeout_us = (int64_t)(end_us - now_us);
	}
	shim_defer_note(r);
	return r;
}

static int libc_wait(int epfd, struct epoll_event *ev, int max, int64_t timeout_us,
		     const sigset_t *mask)
{
	struct timespec ts = {.tv_sec = timeout_us / 1000000,
			      .tv_nsec = timeout_us % 1000000 * 1000};
	int r;

	if (timeout_us < 0 || timeout_us % 1000 == 0) {
		r = shim_libc()->epoll_pwait(epfd, ev, max,
					     timeout_us < 0 ? -1 : (int)(timeout_us / 1000), mask);
	} else {
		r = shim_libc()->epoll_pwait2(epfd, ev, max, &ts, mask);
	}
	return r < 0 ? -errno : r;
}

static void abandon_libc(void *arg)
{
	struct shim_local *e = arg;

	atomic_fetch_sub(&e->nr_in_libc, 1);
	shim_put(e);
}

/* A set that the kernel serves alone, so far: a lane socket may be added while we sleep. */
static int wait_libc(struct shim_local *e, int epfd, struct epoll_event *user, int max,
		     int64_t timeout_us, const sigset_t *mask)
{
	struct call c = {.e = e, .epfd = epfd, .user = user, .max = max};
	int r;

	shim_kick_deferred();
	atomic_fetch_add(&e->nr_in_libc, 1);
	if (__atomic_load_n(&e->index, __ATOMIC_SEQ_CST) != LANE_NIL) {
		atomic_fetch_sub(&e->nr_in_libc, 1);
		return wait_lane(e, epfd, user, max, timeout_us, mask);
	}
	pthread_cleanup_push(abandon_libc, e);
	r = libc_wait(epfd, user, max, timeout_us, mask);
	pthread_cleanup_pop(0);
	atomic_fetch_sub(&e->nr_in_libc, 1);
	if (r > 0 && __atomic_load_n(&e->nest_evfd, __ATOMIC_ACQUIRE) >= 0)
		r = without_nest(&c, user, r);
	if (r == 0 && c.nest_seen)
		return wait_lane(e, epfd, user, max, timeout_us, mask);
	shim_defer_note(r);
	return r;
}

static bool joined(void)
{
	return atomic_load_explicit(&shim.state, memory_order_relaxed) == 2;
}

static int wait_on(int epfd, struct epoll_event *user, int max, int64_t timeout_us,
		   const sigset_t *mask)
{
	struct shim_local *e;
	int r;

	shim_cancel_point();
	e = shim_get(epfd);
	if (!e || e->kind != SHIM_EPOLL || max <= 0 || max > INT_MAX / (int)sizeof(*user)) {
		if (e)
			shim_put(e);
		return libc_wait(epfd, user, max, timeout_us, mask);
	}
	if (joined() && (__atomic_load_n(&e->index, __ATOMIC_RELAXED) != LANE_NIL || e->holds_sets))
		r = wait_lane(e, epfd, user, max, timeout_us, mask);
	else
		r = wait_libc(e, epfd, user, max, timeout_us, mask);
	shim_put(e);
	return r;
}

static int64_t us_of_ms(int ms)
{
	return ms < 0 ? -1 : (int64_t)ms * 1000;
}

LANE_EXPORT int epoll_wait(int epfd, struct epoll_event *ev, int max, int timeout)
{
	return (int)shim_ret(wait_on(epfd, ev, max, us_of_ms(timeout), NULL));
}

LANE_EXPORT int epoll_pwait(int epfd, struct epoll_event *ev, int max, int timeout,
			    const sigset_t *mask)
{
	return (int)shim_ret(wait_on(epfd, ev, max, us_of_ms(timeout), mask));
}

LANE_EXPORT int epoll_pwait2(int epfd, struct epoll_event *ev, int max, const struct timespec *ts,
			     const sigset_t *mask)
{
	int64_t us = -1;

	if (ts && (ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec > 999999999)) {
		errno = EINVAL;
		return -1;
	}
	if (ts && ts->tv_sec < INT64_MAX / 2000000)
		us = (int64_t)ts->tv_sec * 1000000 + (ts->tv_nsec + 999) / 1000;
	return (int)shim_ret(wait_on(epfd, ev, max, us, mask));
}
