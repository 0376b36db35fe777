/*
 * select.c - select(2) and pselect(2) over lane and kernel descriptors
 *
 * Sets without a lane socket go to libc as they are. Else they become a poll array, by the kernel's
 * own table of what readable, writable and exceptional mean, and back. A set may be longer than
 * FD_SETSIZE, as with the kernel.
 */
#include <limits.h>
#include <string.h>
#include <time.h>

#include "posix/poll.h"

#define WORD_BITS (8 * sizeof(unsigned long))
#define SMALL     64 /* descriptors on the stack */

#define READ_EVENTS  (POLLIN | POLLRDNORM | POLLRDBAND)
#define WRITE_EVENTS (POLLOUT | POLLWRNORM | POLLWRBAND)
#define READ_SET     (READ_EVENTS | POLLHUP | POLLERR)
#define WRITE_SET    (WRITE_EVENTS | POLLERR)

enum which { READ, WRITE, EXCEPT, NR_SETS };

struct sets {
	unsigned long *user[NR_SETS]; /* NULL: not asked for */
	unsigned int nr_fds;
};

static bool bit(const unsigned long *set, unsigned int fd)
{
	return set && (set[fd / WORD_BITS] >> (fd % WORD_BITS) & 1);
}

static bool wanted(const struct sets *s, unsigned int fd)
{
	return bit(s->user[READ], fd) || bit(s->user[WRITE], fd) || bit(s->user[EXCEPT], fd);
}

static bool word_is_empty(const struct sets *s, unsigned int fd)
{
	unsigned long all = 0;
	int i;

	for (i = 0; i < NR_SETS; i++)
		all |= s->user[i] ? s->user[i][fd / WORD_BITS] : 0;
	return !all;
}

/* How many descriptors are asked for; *ours: one of them is the lane's. */
static unsigned int count(const struct sets *s, bool *ours)
{
	unsigned int fd, n = 0;

	*ours = false;
	for (fd = 0; fd < s->nr_fds; fd++) {
		if (fd % WORD_BITS == 0 && word_is_empty(s, fd)) {
			fd += WORD_BITS - 1;
			continue;
		}
		if (!wanted(s, fd))
			continue;
		n++;
		*ours = *ours || shim_poll_is_ours((int)fd);
	}
	return n;
}

static void to_poll(const struct sets *s, struct pollfd *fds)
{
	unsigned int fd, n = 0;

	for (fd = 0; fd < s->nr_fds; fd++) {
		short events = 0;

		if (!wanted(s, fd))
			continue;
		if (bit(s->user[READ], fd))
			events |= READ_EVENTS;
		if (bit(s->user[WRITE], fd))
			events |= WRITE_EVENTS;
		if (bit(s->user[EXCEPT], fd))
			events |= POLLPRI;
		fds[n++] = (struct pollfd){.fd = (int)fd, .events = events};
	}
}

static int put_bit(unsigned long *set, unsigned int fd, bool on)
{
	if (!bit(set, fd))
		return 0;
	if (!on)
		set[fd / WORD_BITS] &= ~(1UL << (fd % WORD_BITS));
	return on;
}

/* Leaves in the sets what is ready; the number of bits, or -EBADF with the sets as they were. */
static int from_poll(const struct sets *s, const struct pollfd *fds, unsigned int n)
{
	unsigned int i;
	int bits = 0;

	for (i = 0; i < n; i++)
		if (fds[i].revents & POLLNVAL)
			return -EBADF;
	for (i = 0; i < n; i++) {
		unsigned int fd = (unsigned int)fds[i].fd;

		bits += put_bit(s->user[READ], fd, fds[i].revents & READ_SET);
		bits += put_bit(s->user[WRITE], fd, fds[i].revents & WRITE_SET);
		bits += put_bit(s->user[EXCEPT], fd, fds[i].revents & POLLPRI);
	}
	return bits;
}

static int select_lane(const struct sets *s, unsigned int n, int64_t timeout_us,
		       const sigset_t *mask)
{
	struct pollfd small[SMALL], *fds = small;
	size_t size = n * sizeof(*fds);
	int r;

	if (n > SMALL)
		fds = shim_poll_alloc(size);
	if (!fds)
		return -ENOMEM;
	to_poll(s, fds);
	r = fds == small ? shim_poll(fds, n, timeout_us, mask)
			 : shim_poll_long(fds, n, timeout_us, mask, size);
	if (r >= 0)
		r = from_poll(s, fds, n);
	if (fds != small)
		shim_poll_free(fds, size);
	return r;
}

static struct sets sets_of(int nr, fd_set *r, fd_set *w, fd_set *e)
{
	struct sets s = {
		.user = {(unsigned long *)r, (unsigned long *)w, (unsigned long *)e},
		.nr_fds = (unsigned int)nr,
	};

	return s;
}

/* A set that is no memory is the kernel's to complain about. */
static bool are_readable(const struct sets *s)
{
	unsigned long word;
	int i;

	for (i = 0; i < NR_SETS; i++) {
		const unsigned long *set = s->user[i];

		if (set && (shim_copy_in(&word, set, sizeof(word)) < 0 ||
			    shim_copy_in(&word, &set[(s->nr_fds - 1) / WORD_BITS], sizeof(word)) < 0))
			return false;
	}
	return true;
}

static bool is_lane(const struct sets *s, int nr, unsigned int *n)
{
	bool ours = false;

	if (nr > 0 && atomic_load_explicit(&shim.state, memory_order_relaxed) == 2 && are_readable(s))
		*n = count(s, &ours);
	return ours;
}

LANE_EXPORT int select(int nr, fd_set *r, fd_set *w, fd_set *e, struct timeval *tv)
{
	struct sets s = sets_of(nr, r, w, e);
	uint64_t start_us, spent;
	int64_t us = -1;
	unsigned int n;
	int ret;

	shim_cancel_point();
	if ((tv && (tv->tv_sec < 0 || tv->tv_usec < 0)) || !is_lane(&s, nr, &n)) {
		shim_kick_deferred();
		return shim_libc()->select(nr, r, w, e, tv);
	}
	if (tv && tv->tv_sec < INT64_MAX / 2000000)
		us = (int64_t)tv->tv_sec * 1000000 + tv->tv_usec;
	start_us = shim_now_us();
	ret = select_lane(&s, n, us, NULL);
	if (us >= 0) {
		/* Linux tells how much time was left. */
		spent = shim_now_us() - start_us;
		us = spent < (uint64_t)us ? us - (int64_t)spent : 0;
		tv->tv_sec = us / 1000000;
		tv->tv_usec = us % 1000000;
	}
	return (int)shim_ret(ret);
}

LANE_EXPORT int pselect(int nr, fd_set *r, fd_set *w, fd_set *e, const struct timespec *ts,
			const sigset_t *mask)
{
	struct sets s = sets_of(nr, r, w, e);
	int64_t us = -1;
	unsigned int n;

	shim_cancel_point();
	if ((ts && (ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec > 999999999)) ||
	    !is_lane(&s, nr, &n)) {
		shim_kick_deferred();
		return shim_libc()->pselect(nr, r, w, e, ts, mask);
	}
	if (ts && ts->tv_sec < INT64_MAX / 2000000)
		us = (int64_t)ts->tv_sec * 1000000 + (ts->tv_nsec + 999) / 1000;
	return (int)shim_ret(select_lane(&s, n, us, mask));
}

int __select(int nr, fd_set *r, fd_set *w, fd_set *e, struct timeval *tv);
LANE_EXPORT int __select(int nr, fd_set *r, fd_set *w, fd_set *e, struct timeval *tv)
{
	return select(nr, r, w, e, tv);
}
