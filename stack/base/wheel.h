/*
 * wheel.h - hierarchical timing wheel: 256 x 64 x 64 slots of 1 ms, or of another tick
 *
 * Theory of operation. One entry per object, moved lazily: an object that pushes its deadline out
 * stores the new deadline and leaves the entry where it is; when the entry fires, its owner looks
 * at the deadline and starts it again if it is not due. Links are indices, so the wheel may lie in
 * memory that several processes map at different addresses. The objects' entries lie in an array
 * with a constant stride: entry i is (struct lane_timer *)(base + i * stride).
 */
#ifndef LANE_BASE_WHEEL_H
#define LANE_BASE_WHEEL_H

#include <lane/types.h>

#define LANE_WHEEL_SLOTS (256 + 64 + 64)
#define LANE_WHEEL_TICK_US 1000

struct lane_timer {
	uint32_t next, prev; /* entries of the slot, LANE_NIL at the ends */
	uint32_t tick;	     /* when it fires, in ticks; valid while slot != 0 */
	uint16_t slot;	     /* 1 + where it hangs, 0: not started */
	uint16_t reserved;
};

struct lane_wheel {
	uint64_t now_tick;   /* the next to fire: everything before it has fired or is 'due' */
	uint32_t nr_started; /* entries in the wheel */
	uint32_t due;	     /* list of those whose tick has passed, not popped yet */
	uint32_t tick_us;
	uint32_t reserved;
	uint64_t occupied[LANE_WHEEL_SLOTS / 64]; /* one bit a slot */
	uint32_t slot[LANE_WHEEL_SLOTS];	  /* head of each slot's list */
};

/* The objects whose timers hang in a wheel; a view, made by the caller where it is needed. */
struct lane_timers {
	struct lane_wheel *wheel;
	void *base;	 /* the struct lane_timer of object 0 */
	uint32_t stride; /* bytes from one to the next */
	uint32_t nr;	 /* objects */
};

void lane_wheel_init(struct lane_wheel *w, uint64_t now_us);
/* The same with another tick: the spans are so many ticks as above. */
void lane_wheel_init_ticks(struct lane_wheel *w, uint32_t tick_us, uint64_t now_us);
/* Starts or moves the timer of object 'i' to fire at 'at_us' or up to a tick later. */
void lane_timer_start(struct lane_timers *ts, uint32_t i, uint64_t at_us);
void lane_timer_stop(struct lane_timers *ts, uint32_t i);
/* Pops one object whose timer is due at 'now_us', stopped; LANE_NIL when none is (left). */
uint32_t lane_timer_expire(struct lane_timers *ts, uint64_t now_us);
/* False: lane_timer_expire() has nothing at 'now_us', as no tick has begun since it was asked last. */
static inline bool lane_wheel_has_moved(const struct lane_wheel *w, uint64_t now_us)
{
	return w->due != LANE_NIL || now_us >= w->now_tick * w->tick_us;
}
/* When the next entry may be due, in us (never later than it is; may be up to a slot's span early
 * in the outer wheels); UINT64_MAX if none is started. */
uint64_t lane_wheel_next(const struct lane_wheel *w);

#endif
