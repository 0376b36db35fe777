/*
 * ftable.c - flow table: hash -> index, one cache line a bucket
 *
 * See ftable.h for the theory. An entry lies in the first bucket with room, counted from its home
 * bucket (the hash's low bits), and each bucket before that one has it in its nr_passed.
 */
#include "stack/base/ftable.h"

#include <assert.h>
#include <errno.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define SLOTS      8U
#define HEAD_BYTES 64U /* the struct itself, up to the next cache line */

static uint32_t nr_buckets_for(uint32_t max)
{
	/* 60 % of 8 slots is 4.8 entries a bucket. */
	uint64_t need = ((uint64_t)max * 5 + 23) / 24;
	uint64_t nr = 1;

	while (nr < need)
		nr *= 2;
	return (uint32_t)nr;
}

static struct lane_ftable_bucket *bucket_at(const struct lane_ftable *t, uint32_t i)
{
	return (struct lane_ftable_bucket *)((uintptr_t)t + HEAD_BYTES) + i;
}

static uint16_t *nr_passed(const struct lane_ftable *t, uint32_t i)
{
	return (uint16_t *)bucket_at(t, t->nr_buckets) + i;
}

/* One bit for each slot of 'b' with this tag. */
static uint32_t match(const struct lane_ftable_bucket *b, uint32_t tag)
{
#if defined(__SSE2__)
	__m128i want = _mm_set1_epi32((int)tag);
	__m128i lo = _mm_cmpeq_epi32(_mm_load_si128((const __m128i *)&b->tag[0]), want);
	__m128i hi = _mm_cmpeq_epi32(_mm_load_si128((const __m128i *)&b->tag[4]), want);

	return (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(lo)) |
	       (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(hi)) << 4;
#else
	uint32_t m = 0;

	for (uint32_t i = 0; i < SLOTS; i++)
		m |= (uint32_t)(b->tag[i] == tag) << i;
	return m;
#endif
}

size_t lane_ftable_size(uint32_t max)
{
	size_t nr = nr_buckets_for(max);
	size_t size = HEAD_BYTES + nr * (sizeof(struct lane_ftable_bucket) + sizeof(uint16_t));

	return (size + 63) & ~(size_t)63;
}

struct lane_ftable *lane_ftable_init(void *mem, uint32_t max)
{
	struct lane_ftable *t = mem;

	assert(((uintptr_t)mem & 63) == 0);
	memset(mem, 0, lane_ftable_size(max));
	t->nr_buckets = nr_buckets_for(max);
	t->max = max;
	return t;
}

int lane_ftable_insert(struct lane_ftable *t, uint32_t hash, uint32_t idx)
{
	uint32_t mask = t->nr_buckets - 1;
	uint32_t home = hash & mask;
	uint32_t dist, slots = 0;

	assert(hash != 0);
	if (t->nr >= t->max)
		return -ENOSPC;
	for (dist = 0; dist <= mask; dist++) {
		uint32_t i = (home + dist) & mask;

		slots = match(bucket_at(t, i), 0);
		if (slots)
			break;
		/* Very many entries with one hash: the counter is the limit of a probe chain. */
		if (*nr_passed(t, i) == UINT16_MAX)
			return -ENOSPC;
	}
	if (!slots)
		return -ENOSPC;
	for (uint32_t d = 0; d < dist; d++)
		(*nr_passed(t, (home + d) & mask))++;

	struct lane_ftable_bucket *b = bucket_at(t, (home + dist) & mask);
	uint32_t slot = (uint32_t)__builtin_ctz(slots);

	b->tag[slot] = hash;
	b->idx[slot] = idx;
	t->nr++;
	return 0;
}

int lane_ftable_remove(struct lane_ftable *t, uint32_t hash, uint32_t idx)
{
	struct lane_ftable_iter it;
	uint32_t mask = t->nr_buckets - 1;
	uint32_t found = lane_ftable_first(t, hash, &it);

	while (found != LANE_NIL && found != idx)
		found = lane_ftable_next(t, &it);
	if (found == LANE_NIL)
		return -ENOENT;
	/* The iterator stands one slot behind what it returned. */
	bucket_at(t, it.bucket)->tag[it.slot - 1] = 0;
	for (uint32_t i = hash & mask; i != it.bucket; i = (i + 1) & mask)
		(*nr_passed(t, i))--;
	t->nr--;
	return 0;
}

uint32_t lane_ftable_first(const struct lane_ftable *t, uint32_t hash, struct lane_ftable_iter *it)
{
	it->hash = hash;
	it->bucket = hash & (t->nr_buckets - 1);
	it->slot = 0;
	it->nr_seen = 1;
	return lane_ftable_next(t, it);
}

uint32_t lane_ftable_next(const struct lane_ftable *t, struct lane_ftable_iter *it)
{
	for (;;) {
		const struct lane_ftable_bucket *b = bucket_at(t, it->bucket);
		uint32_t slots = match(b, it->hash) & ~((1U << it->slot) - 1);

		if (slots) {
			uint32_t slot = (uint32_t)__builtin_ctz(slots);

			it->slot = slot + 1;
			return b->idx[slot];
		}
		if (*nr_passed(t, it->bucket) == 0 || it->nr_seen >= t->nr_buckets)
			return LANE_NIL;
		it->bucket = (it->bucket + 1) & (t->nr_buckets - 1);
		it->slot = 0;
		it->nr_seen++;
	}
}

void lane_ftable_prefetch(const struct lane_ftable *t, uint32_t hash)
{
	__builtin_prefetch(bucket_at(t, hash & (t->nr_buckets - 1)));
}
