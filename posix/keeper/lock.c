/*
 * lock.c - the lane's lock: robust, shared by processes
 *
 * It is held inside a lane call only, for microseconds. It is libc's robust mutex, and what is not the free
 * case is libc's work. A free one is taken here as libc would, but that it does not go into the thread's list of
 * robust mutexes: what the kernel reads when the thread dies also has a place for the one mutex whose state
 * is just changing, list_op_pending, and there it stays while it is held. So no other robust mutex may be
 * touched meanwhile. On the way out the keeper is rung when something waits for it: a timer that is due much
 * earlier than it will look, a neighbour to resolve.
 */
#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arena.h"
#include "drivers/robust.h"
#include "lane-int/ctl.h"
#include "lane-int/ifs.h"
#include "lane-int/state.h"
#include "sys.h"

/* A timer that is due so much earlier than the keeper looks rings it: more than its longest sleep
 * while anything is armed, so only the first timer after idleness does. Were it less, the delayed
 * ACK that each request arms, and each answer cancels, would ring for each. */
#define LOCK_RING_SLACK_US 100000
#define LOCK_RING_SOON_US  2000 /* the same for a neighbour to resolve or a claim to clear */

/* What libc has told the kernel about this thread. */
static _Thread_local struct {
	struct robust_list_head *head; /* NULL: not known */
	uint32_t tid;
	bool tried;
	bool held; /* the lock, and libc does not know */
} self __attribute__((tls_model("initial-exec")));

/* Looks what libc does with a robust mutex of our own: system calls may be forbidden by now. */
static void learn_self(void)
{
	const long offset = (long)offsetof(pthread_mutex_t, __data.__lock) -
			    (long)offsetof(pthread_mutex_t, __data.__list.__next);
	struct robust_list_head *head;
	pthread_mutex_t m;

	self.tried = true;
	if (lane_robust_init(&m) < 0 || pthread_mutex_lock(&m))
		return;
	head = (struct robust_list_head *)m.__data.__list.__prev;
	self.tid = (uint32_t)m.__data.__lock & FUTEX_TID_MASK;
	if (head && head->futex_offset == offset && head->list.next == (void *)&m.__data.__list.__next)
		self.head = head;
	pthread_mutex_unlock(&m);
	pthread_mutex_destroy(&m);
}

static void set_pending(void *entry)
{
	__atomic_store_n(&self.head->list_op_pending, entry, __ATOMIC_RELAXED);
	atomic_signal_fence(memory_order_seq_cst);
}

/* Takes the lock if it is free and nobody has died with it. */
static bool take_free(struct shim_view *v)
{
	struct __pthread_mutex_s *m = &v->a->lock.__data;
	int none = 0;

	if (__builtin_expect(!self.head, 0)) {
		if (!self.tried)
			learn_self();
		if (!self.head)
			return false;
	}
	set_pending(&m->__list.__next);
	if (__builtin_expect(!__atomic_compare_exchange_n(&m->__lock, &none, (int)self.tid, false,
							  __ATOMIC_ACQUIRE, __ATOMIC_RELAXED),
			     0)) {
		set_pending(NULL);
		return false;
	}
	self.held = true;
	return true;
}

static void give_free(struct shim_view *v)
{
	struct __pthread_mutex_s *m = &v->a->lock.__data;
	uint32_t was;

	self.held = false;
	was = (uint32_t)__atomic_exchange_n(&m->__lock, 0, __ATOMIC_RELEASE);
	if (__builtin_expect(was & FUTEX_WAITERS, 0))
		sys_call(SYS_futex, (long)&m->__lock, FUTEX_WAKE, 1, 0, 0);
	set_pending(NULL);
}

/* One page that the kernel clears in every child: a child of a raw fork reads 0. */
static _Atomic uint32_t *allow_word;

void shim_lock_allow(void)
{
	void *p;

	if (!allow_word) {
		p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			return;
		madvise(p, 8192, MADV_WIPEONFORK);
		allow_word = p;
	}
	*allow_word = 1;
	self.head = NULL; /* a child's thread has another number */
	self.tried = self.held = false;
}

bool shim_lock_allowed(void)
{
	return allow_word && *allow_word;
}

void (*shim_lock_lost)(struct shim_view *v);

/* A lock that can be neither taken nor repaired: nothing that is shared may be touched any more. The
 * process leaves the lane, and goes on with the lock of an empty arena of its own. */
static void lock_broken(struct shim_view *v, int r)
{
	snprintf(v->a->keeper_error, sizeof(v->a->keeper_error), "the lane's lock is unusable: %s",
		 strerror(r));
	if (shim_lock_lost)
		shim_lock_lost(v);
	if (shim_arena_leave(v) < 0 || pthread_mutex_lock(&v->a->lock))
		abort(); /* no memory for that: not reached, the mapping is only replaced */
}

static void lock_slow(struct shim_view *v, int r)
{
	if (r == EBUSY) {
		v->a->nr_lock_contended++;
		r = pthread_mutex_lock(&v->a->lock);
		if (v->row >= 0)
			v->a->row[v->row].nr_contended++;
	}
	if (r == EOWNERDEAD) {
		v->a->owner_died++;
		lane_set_now(v->ln, shim_now_us());
		shim_repair(v);
		r = pthread_mutex_consistent(&v->a->lock);
	}
	if (r)
		lock_broken(v, r);
}

static void take(struct shim_view *v)
{
	if (__builtin_expect(!take_free(v), 0)) {
		int r = pthread_mutex_trylock(&v->a->lock);

		if (r)
			lock_slow(v, r);
	}
}

void shim_lock(struct shim_view *v)
{
	take(v);
	lane_set_now(v->ln, shim_now_us());
}

void shim_lock_at(struct shim_view *v, uint64_t now_us)
{
	take(v);
	lane_set_now(v->ln, now_us);
}

void shim_ring(int evfd)
{
	uint64_t one = 1;

	if (evfd >= 0)
		sys_write(evfd, &one, sizeof(one));
}

/* True once if the keeper, which will look at 'until', must look before. */
static __attribute__((noinline)) bool is_before(struct shim_view *v, uint64_t until)
{
	struct lane *ln = v->ln;
	uint64_t next;

	if (lane_ifs_wanted(ln) || lane_ctl_waiting(ln)) {
		v->a->keeper_until_us = ln->now_us;
		return true;
	}
	if (until <= ln->now_us + LOCK_RING_SLACK_US)
		return false;
	next = lane_next_due(ln); /* who leaves the lock kicks by itself */
	if (next >= until - LOCK_RING_SLACK_US)
		return false;
	/* The next to leave the lock need not ring for the same timer. */
	v->a->keeper_until_us = next;
	return true;
}

/* A keeper that looks soon, as it does while it naps, need not be told. */
static inline bool keeper_is_due(struct shim_view *v)
{
	uint64_t until = atomic_load_explicit(&v->a->keeper_until_us, memory_order_relaxed);

	return until > v->ln->now_us + LOCK_RING_SOON_US && is_before(v, until);
}

/* Rings the members in 'who' but this one. */
static __attribute__((noinline)) void ring_members(struct shim_view *v, shim_rows who)
{
	uint64_t word;
	int i;

	if (v->row >= 0)
		who &= ~shim_row_bit(v->row);
	for (i = 0; i < SHIM_ROWS / 64; i++) {
		for (word = (uint64_t)(who >> 64 * i); word; word &= word - 1) {
			shim_ring(v->doorbell[64 * i + __builtin_ctzll(word)]);
			v->a->nr_doorbells++;
		}
	}
}

shim_rows shim_unlock(struct shim_view *v)
{
	shim_rows wakes = v->wakes;
	bool keeper = v->row >= 0 && keeper_is_due(v);

	v->wakes = 0;
	v->ln->st->pcb_at_work = LANE_NIL; /* whoever dies in the lock next was not at it */
	if (__builtin_expect(self.held, 1))
		give_free(v);
	else
		pthread_mutex_unlock(&v->a->lock);
	if (__builtin_expect(wakes != 0, 0))
		ring_members(v, wakes);
	if (__builtin_expect(keeper, 0))
		shim_ring(v->keeper_bell);
	return wakes;
}

void shim_kick(struct shim_view *v)
{
	uint64_t mask = shim_kick_take(v);

	if (mask)
		lane_kick(v->ln, (uint32_t)mask);
}

bool shim_rings_pending(struct lane *ln)
{
	const struct lane_queue *q;
	unsigned int i;

	for (i = 0; (q = lane_queue(ln, i)); i++)
		if (q->drv->pending && q->drv->pending(q))
			return true;
	return false;
}
