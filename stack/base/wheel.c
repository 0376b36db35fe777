/*
 * wheel.c - hierarchical timing wheel: 256 x 64 x 64 slots of 1 ms
 *
 * Theory of operation. now_tick is the next tick to fire. A timer that is due within 256 ticks
 * hangs in the slot of its tick in the first wheel; within 256 x 64, in the slot of its 256 ticks
 * in the second; else in the third, at most 2^20 - 1 ticks ahead, however far it is (it comes back
 * there until it is near). When now_tick enters 256 ticks (16,384 ticks), the slot for them in the
 * second (third) wheel is emptied into the wheels below, always before anything else is done,
 * so that a slot of the second wheel with the current index means 64 x 256 ticks ahead.
 *
 * Due timers move to the list 'due' as a whole slot and now_tick behind them: what an owner
 * starts for the past while it handles one fires a tick later, not in the same round for ever.
 */
#include "stack/base/wheel.h"

#include <assert.h>

#define BITS0    8
#define BITS1    6
#define SPAN0    (1U << BITS0)
#define SPAN1    (1U << (BITS0 + BITS1))
#define SPAN2    (1U << (BITS0 + 2 * BITS1))
#define MASK0    (SPAN0 - 1)
#define MASK1    ((1U << BITS1) - 1)
#define FIRST1   SPAN0                /* index of the second wheel's first slot */
#define FIRST2   (FIRST1 + MASK1 + 1) /* of the third's */
#define WORDS0   (SPAN0 / 64)
#define SLOT_DUE LANE_WHEEL_SLOTS /* where struct lane_timer.slot says: on the list of due ones */

static struct lane_timer *timer_at(const struct lane_timers *ts, uint32_t i)
{
	return (struct lane_timer *)((uint8_t *)ts->base + (size_t)i * ts->stride);
}

static uint32_t *head_of(struct lane_wheel *w, uint32_t slot)
{
	return slot == SLOT_DUE ? &w->due : &w->slot[slot];
}

static void link_timer(struct lane_timers *ts, uint32_t i, uint32_t slot)
{
	struct lane_wheel *w = ts->wheel;
	struct lane_timer *t = timer_at(ts, i);

	t->next = w->slot[slot];
	t->prev = LANE_NIL;
	t->slot = (uint16_t)(slot + 1);
	if (t->next != LANE_NIL)
		timer_at(ts, t->next)->prev = i;
	w->slot[slot] = i;
	w->occupied[slot / 64] |= 1ULL << slot % 64;
}

static void unlink_timer(struct lane_timers *ts, uint32_t i)
{
	struct lane_wheel *w = ts->wheel;
	struct lane_timer *t = timer_at(ts, i);
	uint32_t slot = t->slot - 1U;

	if (t->next != LANE_NIL)
		timer_at(ts, t->next)->prev = t->prev;
	if (t->prev != LANE_NIL)
		timer_at(ts, t->prev)->next = t->next;
	else
		*head_of(w, slot) = t->next;
	if (slot != SLOT_DUE && w->slot[slot] == LANE_NIL)
		w->occupied[slot / 64] &= ~(1ULL << slot % 64);
	t->slot = 0;
}

/* Hangs timer 'i' where its tick belongs, seen from now_tick. */
static void place(struct lane_timers *ts, uint32_t i)
{
	struct lane_wheel *w = ts->wheel;
	int32_t ahead = (int32_t)(timer_at(ts, i)->tick - (uint32_t)w->now_tick);
	uint64_t tick;

	if (ahead < 0)
		ahead = 0;
	if ((uint32_t)ahead >= SPAN2)
		ahead = SPAN2 - 1;
	tick = w->now_tick + (uint32_t)ahead;
	if ((uint32_t)ahead < SPAN0)
		link_timer(ts, i, (uint32_t)tick & MASK0);
	else if ((uint32_t)ahead < SPAN1)
		link_timer(ts, i, FIRST1 + ((uint32_t)(tick >> BITS0) & MASK1));
	else
		link_timer(ts, i, FIRST2 + ((uint32_t)(tick >> (BITS0 + BITS1)) & MASK1));
}

/* Takes a slot's whole list off; returns its head. */
static uint32_t take_slot(struct lane_wheel *w, uint32_t slot)
{
	uint32_t i = w->slot[slot];

	w->slot[slot] = LANE_NIL;
	w->occupied[slot / 64] &= ~(1ULL << slot % 64);
	return i;
}

static void empty_into_lower(struct lane_timers *ts, uint32_t slot)
{
	uint32_t i = take_slot(ts->wheel, slot);

	while (i != LANE_NIL) {
		uint32_t next = timer_at(ts, i)->next;

		place(ts, i);
		i = next;
	}
}

/* Moves now_tick, over ticks without timers; at most to the start of the next 256. */
static void set_tick(struct lane_timers *ts, uint64_t tick)
{
	struct lane_wheel *w = ts->wheel;

	w->now_tick = tick;
	if (tick & MASK0)
		return;
	if ((tick & (SPAN1 - 1)) == 0)
		empty_into_lower(ts, FIRST2 + ((uint32_t)(tick >> (BITS0 + BITS1)) & MASK1));
	empty_into_lower(ts, FIRST1 + ((uint32_t)(tick >> BITS0) & MASK1));
}

/* The first occupied slot of the first wheel in [from, 256), or 256. */
static uint32_t first_from(const struct lane_wheel *w, uint32_t from)
{
	uint64_t bits = ~0ULL << from % 64;

	for (uint32_t word = from / 64; word < WORDS0; word++, bits = ~0ULL)
		if (w->occupied[word] & bits)
			return word * 64 + (uint32_t)__builtin_ctzll(w->occupied[word] & bits);
	return SPAN0;
}

static void move_to_due(struct lane_timers *ts, uint32_t slot)
{
	struct lane_wheel *w = ts->wheel;

	w->due = take_slot(w, slot);
	for (uint32_t i = w->due; i != LANE_NIL; i = timer_at(ts, i)->next)
		timer_at(ts, i)->slot = SLOT_DUE + 1;
}

/* Goes on to the next tick with timers, 'to' at most, and makes them due. */
static void advance(struct lane_timers *ts, uint64_t to)
{
	struct lane_wheel *w = ts->wheel;

	while (w->now_tick <= to) {
		uint32_t slot = first_from(w, (uint32_t)w->now_tick & MASK0);
		uint64_t tick = (w->now_tick & ~(uint64_t)MASK0) + slot;

		if (tick > to) {
			set_tick(ts, to + 1);
			return;
		}
		if (slot < SPAN0) {
			move_to_due(ts, slot);
			set_tick(ts, tick + 1);
			return;
		}
		set_tick(ts, tick);
	}
}

/* Steps from bit 'from' + 1 on, around, to the first set bit of a 64-slot wheel: 1 to 64. */
static uint32_t steps_to(uint64_t bits, uint32_t from)
{
	uint32_t r = (from + 1) % 64;
	uint64_t turned = r ? bits >> r | bits << (64 - r) : bits;

	return (uint32_t)__builtin_ctzll(turned) + 1;
}

void lane_wheel_init(struct lane_wheel *w, uint64_t now_us)
{
	lane_wheel_init_ticks(w, LANE_WHEEL_TICK_US, now_us);
}

void lane_wheel_init_ticks(struct lane_wheel *w, uint32_t tick_us, uint64_t now_us)
{
	memset(w, 0, sizeof(*w));
	w->tick_us = tick_us;
	w->now_tick = now_us / tick_us;
	w->due = LANE_NIL;
	for (uint32_t i = 0; i < LANE_WHEEL_SLOTS; i++)
		w->slot[i] = LANE_NIL;
}

void lane_timer_start(struct lane_timers *ts, uint32_t i, uint64_t at_us)
{
	struct lane_wheel *w = ts->wheel;
	struct lane_timer *t = timer_at(ts, i);
	uint64_t tick = at_us / w->tick_us + (at_us % w->tick_us != 0);

	assert(i < ts->nr);
	/* Within half the 32-bit circle: what is due in more than 24 days fires early, and its
	 * owner, which looks at its deadline, starts it again. */
	if (tick < w->now_tick)
		tick = w->now_tick;
	else if (tick - w->now_tick > INT32_MAX)
		tick = w->now_tick + INT32_MAX;
	if (t->slot)
		unlink_timer(ts, i);
	else
		w->nr_started++;
	t->tick = (uint32_t)tick;
	place(ts, i);
}

void lane_timer_stop(struct lane_timers *ts, uint32_t i)
{
	assert(i < ts->nr);
	if (!timer_at(ts, i)->slot)
		return;
	unlink_timer(ts, i);
	ts->wheel->nr_started--;
}

uint32_t lane_timer_expire(struct lane_timers *ts, uint64_t now_us)
{
	struct lane_wheel *w = ts->wheel;
	uint64_t to = now_us / w->tick_us;
	uint32_t i;

	if (w->nr_started == 0) {
		if (to >= w->now_tick)
			w->now_tick = to + 1;
		return LANE_NIL;
	}
	if (w->due == LANE_NIL)
		advance(ts, to);
	i = w->due;
	if (i != LANE_NIL)
		lane_timer_stop(ts, i);
	return i;
}

uint64_t lane_wheel_next(const struct lane_wheel *w)
{
	uint64_t tick = UINT64_MAX / w->tick_us;
	uint32_t at0 = (uint32_t)w->now_tick & MASK0;
	uint32_t slot = first_from(w, at0);
	const uint64_t *occupied1 = &w->occupied[FIRST1 / 64];
	const uint64_t *occupied2 = &w->occupied[FIRST2 / 64];

	if (w->nr_started == 0)
		return UINT64_MAX;
	if (w->due != LANE_NIL)
		return (w->now_tick - 1) * w->tick_us;
	/* Slots before the current one are of the next 256 ticks. */
	if (slot == SPAN0)
		slot = SPAN0 + first_from(w, 0);
	if (slot < 2 * SPAN0)
		tick = w->now_tick - at0 + slot;
	if (*occupied1) {
		uint64_t now1 = w->now_tick >> BITS0;
		uint64_t t = (now1 + steps_to(*occupied1, now1 & MASK1)) << BITS0;

		tick = t < tick ? t : tick;
	}
	if (*occupied2) {
		uint64_t now2 = w->now_tick >> (BITS0 + BITS1);
		uint64_t t = (now2 + steps_to(*occupied2, now2 & MASK1)) << (BITS0 + BITS1);

		tick = t < tick ? t : tick;
	}
	return tick * w->tick_us;
}
