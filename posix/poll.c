/*
 * poll.c - poll(2) and ppoll(2) over lane and kernel descriptors
 *
 * An array without a lane socket goes to libc as it is. Else the array is split: what the lane
 * knows, and what the kernel knows; a listener and a UDP socket are in both. A set of epoll with
 * lane sockets in it is made to be readable in the kernel (shim_epoll_nest).
 */
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "posix/defer.h"
#include "posix/epoll.h"
#include "posix/keeper/sys.h"
#include "posix/poll.h"

#define SMALL 32

struct entry {
	struct shim_local *l; /* held */
	uint32_t at;          /* index in the program's array */
};

/* One poll() under way. */
struct call {
	struct pollfd *fds;
	unsigned int nr;
	struct entry *ours;
	uint32_t *socks; /* sock indices, as in ours[] */
	unsigned int nr_ours;
	struct pollfd *kernel; /* as fds[], with -1 where the kernel has no part */
	unsigned int nr_kernel;
	bool sets; /* epoll sets of ours among the kernel's */
};

void *shim_poll_alloc(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void shim_poll_free(void *p, size_t size)
{
	munmap(p, size);
}

/* A set with lane sockets in it, straight or in a set inside it. */
static bool set_is_ours(const struct shim_local *l)
{
	return l->kind == SHIM_EPOLL && (l->index != LANE_NIL || l->holds_sets);
}

bool shim_poll_is_ours(int fd)
{
	struct shim_local *l = shim_get(fd);
	bool ours;

	if (!l)
		return false;
	ours = l->kind == SHIM_SOCK || set_is_ours(l);
	shim_put(l);
	return ours;
}

/* Under the lock: sets revents of the lane's part; how many are ready. */
static int look_ours(struct shim_view *v, void *arg)
{
	struct call *c = arg;
	unsigned int i;
	int n = 0;

	for (i = 0; i < c->nr_ours; i++) {
		struct pollfd *p = &c->fds[c->ours[i].at];
		const struct shim_sock *s = shim_sock_of(c->ours[i].l);
		uint32_t asked = (uint16_t)p->events | POLLERR | POLLHUP;

		p->revents = s ? (short)(shim_sock_mask(v, s, asked) & asked) : POLLNVAL;
		n += p->revents != 0;
	}
	return n;
}

/* The kernel's part, without waiting: ORs its revents in. How many of its entries are ready. */
static int look_kernel(struct call *c)
{
	unsigned int i;
	int n;

	n = c->nr_kernel ? (int)sys_poll_now(c->kernel, c->nr) : 0;
	for (i = 0; n > 0 && i < c->nr; i++)
		if (c->kernel[i].fd >= 0)
			c->fds[i].revents |= c->kernel[i].revents;
	return n;
}

/* Decides for one entry who polls it. */
static void sort_entry(struct call *c, unsigned int i)
{
	struct shim_local *l = c->fds[i].fd < 0 ? NULL : shim_get(c->fds[i].fd);
	bool kernel = true;

	if (l && set_is_ours(l)) {
		shim_epoll_nest(l);
		c->sets = true;
	}
	if (l && l->kind == SHIM_SOCK) {
		kernel = l->shadow >= 0;
		c->socks[c->nr_ours] = l->index;
		c->ours[c->nr_ours++] = (struct entry){.l = l, .at = i};
	} else if (l) {
		shim_put(l);
	}
	c->kernel[i] =
		(struct pollfd){.fd = kernel ? c->fds[i].fd : -1, .events = c->fds[i].events};
	c->nr_kernel += c->kernel[i].fd >= 0;
}

static void let_go(struct call *c)
{
	unsigned int i;

	for (i = 0; i < c->nr_ours; i++)
		shim_put(c->ours[i].l);
}

static void abandon(void *arg)
{
	let_go(arg);
}

static int poll_both(struct call *c, int64_t timeout_us, const sigset_t *mask)
{
	struct shim_wait w = {
		.ready = look_ours,
		.arg = c,
		.socks = c->socks,
		.nr_socks = c->nr_ours,
		.ep = LANE_NIL,
		.kernel_epfd = -1,
		.kernel_fds = c->nr_kernel ? c->kernel : NULL,
		.nr_kernel_fds = c->nr_kernel ? c->nr : 0,
		.sigmask = mask,
		.abandon = abandon,
	};
	uint64_t end_us = timeout_us > 0 ? shim_now_us() + (uint64_t)timeout_us : 0, now_us;
	int kernel, r;
	unsigned int i, n;

	for (;;) {
		kernel = look_kernel(c);
		if (kernel < 0)
			return kernel;
		w.timeout_us = kernel ? 0 : timeout_us;
		r = shim_wait(&w);
		if (r == -EINTR && !kernel)
			return r;
		if (r == SHIM_WAIT_KERNEL || kernel || r > 0)
			look_kernel(c);
		for (i = n = 0; i < c->nr; i++)
			n += c->fds[i].revents != 0;
		if (n || timeout_us == 0 || (r == 0 && !kernel))
			return (int)n;
		/* A kernel descriptor was ready for a moment only. */
		now_us = shim_now_us();
		if (timeout_us > 0)
			timeout_us = end_us > now_us ? (int64_t)(end_us - now_us) : 0;
	}
}

void shim_poll_drop(void *array)
{
	const struct shim_poll_array *a = array;

	shim_poll_free(a->at, a->size);
}

/* The same with arrays of its own, which a cancelled thread must not leave behind. */
static int poll_big(struct call *c, int64_t timeout_us, const sigset_t *mask,
		    struct shim_poll_array *array)
{
	int r;

	pthread_cleanup_push(shim_poll_drop, array);
	r = poll_both(c, timeout_us, mask);
	pthread_cleanup_pop(0);
	return r;
}

int shim_poll(struct pollfd *fds, unsigned int nr, int64_t timeout_us, const sigset_t *mask)
{
	struct pollfd small_kernel[SMALL];
	struct entry small_ours[SMALL];
	uint32_t small_socks[SMALL];
	struct call c = {.fds = fds, .nr = nr};
	size_t size = nr * (sizeof(*c.kernel) + sizeof(*c.ours) + sizeof(*c.socks));
	void *big = nr > SMALL ? shim_poll_alloc(size) : NULL;
	unsigned int i;
	int r;

	if (nr > SMALL && !big)
		return -ENOMEM;
	c.ours = big ? big : small_ours;
	c.kernel = big ? (struct pollfd *)(c.ours + nr) : small_kernel;
	c.socks = big ? (uint32_t *)(c.kernel + nr) : small_socks;
	for (i = 0; i < nr; i++) {
		fds[i].revents = 0;
		sort_entry(&c, i);
	}
	if (big)
		r = poll_big(&c, timeout_us, mask, &(struct shim_poll_array){big, size});
	else
		r = poll_both(&c, timeout_us, mask);
	let_go(&c);
	if (big)
		shim_poll_free(big, size);
	shim_defer_note(r);
	return r;
}

int shim_poll_long(struct pollfd *fds, unsigned int nr, int64_t timeout_us, const sigset_t *mask,
		   size_t size)
{
	struct shim_poll_array array = {fds, size};
	int r;

	pthread_cleanup_push(shim_poll_drop, &array);
	r = shim_poll(fds, nr, timeout_us, mask);
	pthread_cleanup_pop(0);
	return r;
}

/* The program's array, copied and copied back, so that a bad address is EFAULT. */
static int poll_user(struct pollfd *user, nfds_t nr, int64_t timeout_us, const sigset_t *mask)
{
	struct pollfd small[SMALL], *fds = small;
	size_t size = nr * sizeof(*fds);
	int r;

	if (nr > SMALL)
		fds = shim_poll_alloc(size);
	if (!fds)
		return -ENOMEM;
	r = shim_copy_in(fds, user, size);
	if (r == 0)
		r = fds == small ? shim_poll(fds, (unsigned int)nr, timeout_us, mask)
				 : shim_poll_long(fds, (unsigned int)nr, timeout_us, mask, size);
	if (r >= 0 && shim_copy_out(user, fds, size) < 0)
		r = -EFAULT;
	if (fds != small)
		shim_poll_free(fds, size);
	return r;
}

/* A bad array, too long or unreadable, is libc's to refuse. */
static bool any_ours(struct pollfd *fds, nfds_t nr)
{
	struct pollfd p;
	nfds_t i;

	if (atomic_load_explicit(&shim.state, memory_order_relaxed) != 2 || nr > 1U << 20)
		return false;
	/* glibc declares the array write-only; it is read. */
	__asm__("" : "+r"(fds));
	for (i = 0; i < nr; i++) {
		if (shim_copy_in(&p, &fds[i], sizeof(p)) < 0)
			return false;
		if (p.fd >= 0 && shim_poll_is_ours(p.fd))
			return true;
	}
	return false;
}

LANE_EXPORT int poll(struct pollfd *fds, nfds_t nr, int timeout)
{
	shim_cancel_point();
	if (any_ours(fds, nr))
		return (int)shim_ret(
			poll_user(fds, nr, timeout < 0 ? -1 : (int64_t)timeout * 1000, NULL));
	shim_kick_deferred();
	return shim_libc()->poll(fds, nr, timeout);
}

static int64_t us_of_timespec(const struct timespec *ts)
{
	if (!ts || ts->tv_sec >= INT64_MAX / 2000000)
		return -1;
	return (int64_t)ts->tv_sec * 1000000 + (ts->tv_nsec + 999) / 1000;
}

LANE_EXPORT int ppoll(struct pollfd *fds, nfds_t nr, const struct timespec *ts,
		      const sigset_t *mask)
{
	bool bad = ts && (ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec > 999999999);

	shim_cancel_point();
	if (!bad && any_ours(fds, nr))
		return (int)shim_ret(poll_user(fds, nr, us_of_timespec(ts), mask));
	shim_kick_deferred();
	return shim_libc()->ppoll(fds, nr, ts, mask);
}

int __poll(struct pollfd *fds, nfds_t nr, int timeout);
LANE_EXPORT int __poll(struct pollfd *fds, nfds_t nr, int timeout)
{
	return poll(fds, nr, timeout);
}

/* The fortified forms: 'size' is what the compiler knows of the array. */
int __poll_chk(struct pollfd *fds, nfds_t nr, int timeout, size_t size);
int __ppoll_chk(struct pollfd *fds, nfds_t nr, const struct timespec *ts, const sigset_t *mask,
		size_t size);
void __chk_fail(void) __attribute__((noreturn));

LANE_EXPORT int __poll_chk(struct pollfd *fds, nfds_t nr, int timeout, size_t size)
{
	if (size / sizeof(*fds) < nr)
		__chk_fail();
	return poll(fds, nr, timeout);
}

LANE_EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t nr, const struct timespec *ts,
			    const sigset_t *mask, size_t size)
{
	if (size / sizeof(*fds) < nr)
		__chk_fail();
	return ppoll(fds, nr, ts, mask);
}
