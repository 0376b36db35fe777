/*
 * defer.c - leaving a lane call: who is woken, and when queued frames leave
 *
 * Theory of operation. A lane call leaves its output in the drivers' rings; the kick that makes it
 * leave is a system call, made outside the lock, as on veth it runs the peer's receive path. After
 * a write it is made at once, but when the thread has more events in hand to answer, one kick can
 * serve them all: then it is left to the thread's next wait. Since the program may compute for
 * long before that, this is done only while the keeper naps, which looks every 2 ms and kicks
 * what lies there; and not beyond DEFER_FRAMES frames or DEFER_US. If the keeper is asleep it is
 * rung, for the next time, and this kick is made.
 */
#include "posix/defer.h"
#include "posix/signal.h"
#include "posix/wake.h"

#define DEFER_FRAMES  16
#define DEFER_US      100
#define RING_EVERY_US 1000

void shim_defer_take(struct shim_view *v)
{
	shim_self.deferred |= shim_kick_take(v);
}

void shim_defer_note(int n)
{
	shim_self.nr_events = n;
}

bool shim_kick_left_frames(struct lane *ln, uint32_t mask)
{
	const struct lane_queue *q;
	unsigned int i;

	for (i = 0; (q = lane_queue(ln, i)); i++)
		if ((mask >> i & 1) && __atomic_load_n(&q->nr_unkicked, __ATOMIC_RELAXED))
			return true;
	return false;
}

/* The kernel took less than all (a queue below is full), and this thread may not come again soon. */
static void leave_to_keeper(struct shim_view *v, struct shim_waiter *me)
{
	uint64_t now_us = shim_now_us();

	if (now_us - me->rung_us <= RING_EVERY_US)
		return;
	me->rung_us = now_us;
	atomic_fetch_add_explicit(&v->a->nr_deferred, 1, memory_order_relaxed);
	if (atomic_load_explicit(&v->a->keeper_state, memory_order_relaxed) == SHIM_KEEPER_ASLEEP)
		shim_ring(v->keeper_bell);
}

void shim_kick_deferred(void)
{
	struct shim_waiter *me = &shim_self;
	uint64_t mask = me->deferred;

	if (shim_likely(!mask))
		return;
	/* No handler may leave it by longjmp: the driver holds the right to send super-segments, and
	 * nobody else would ever get it. A cancelled thread does not end in it either (drivers/sys.h). */
	shim_sig_enter();
	me->deferred = 0;
	me->deferred_us = 0;
	lane_kick(shim.view.ln, (uint32_t)mask);
	if (shim_unlikely(shim_kick_left_frames(shim.view.ln, (uint32_t)mask)))
		leave_to_keeper(&shim.view, me);
	shim_sig_leave();
}

static bool few_frames(struct lane *ln, uint64_t mask)
{
	uint32_t nr = 0;

	for (; mask; mask &= mask - 1) {
		const struct lane_queue *q = lane_queue(ln, (unsigned int)__builtin_ctzll(mask));

		nr += q ? q->nr_unkicked : 0;
	}
	return nr < DEFER_FRAMES;
}

/* More writes are to be expected: true if the kick may wait for this thread's next wait. */
static bool may_gather(struct shim_view *v, struct shim_waiter *me)
{
	uint64_t now_us = shim_now_us();
	uint32_t keeper;

	keeper = atomic_load_explicit(&v->a->keeper_state, memory_order_relaxed);
	if (keeper == SHIM_KEEPER_ASLEEP && now_us - me->rung_us > RING_EVERY_US) {
		me->rung_us = now_us;
		atomic_fetch_add_explicit(&v->a->nr_deferred, 1, memory_order_relaxed);
		shim_ring(v->keeper_bell);
	}
	if (keeper != SHIM_KEEPER_NAPPING || !few_frames(v->ln, me->deferred))
		return false;
	if (me->deferred_us && now_us - me->deferred_us > DEFER_US)
		return false;
	if (!me->deferred_us)
		me->deferred_us = now_us;
	atomic_fetch_add_explicit(&v->a->nr_deferred, 1, memory_order_relaxed);
	return true;
}

void shim_leave_quiet(struct shim_view *v)
{
	shim_rows wakes;

	shim_drain(v);
	wakes = shim_unlock(v);
	if (shim_unlikely(wakes != 0) && v->row >= 0 && (wakes >> v->row & 1))
		shim_wake_local();
	shim_sig_leave();
}

void shim_leave(struct shim_view *v)
{
	struct shim_waiter *me = &shim_self;

	v->kick_mask |= lane_flush(v->ln);
	shim_defer_take(v);
	shim_leave_quiet(v);
	if (me->deferred && (shim_likely(me->nr_events < 2) || !may_gather(v, me)))
		shim_kick_deferred();
}
