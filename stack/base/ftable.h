/*
 * ftable.h - flow table: hash -> index, one cache line a bucket
 *
 * Theory of operation. Buckets of 8 tags and 8 indices (64 B each), open addressing by bucket
 * with linear probing. A tag is the flow's 32-bit hash, never 0 (0 is an empty slot). Removal
 * leaves no tombstones: a bucket counts, in 'nr_passed', how many entries probed past it, so a
 * look-up stops at the first bucket which nobody passed. The caller compares keys: find()
 * iterates over the candidates with an equal tag. Memory is the caller's and holds no addresses.
 */
#ifndef LANE_BASE_FTABLE_H
#define LANE_BASE_FTABLE_H

#include <stddef.h>
#include <stdint.h>

#include <lane/types.h>

struct lane_ftable_bucket {
	uint32_t tag[8];
	uint32_t idx[8];
};

/* Shared: offsets are relative to this struct, so that it may lie anywhere. */
struct lane_ftable {
	uint32_t nr_buckets; /* a power of two */
	uint32_t nr;	     /* entries */
	uint32_t max;	     /* entries at most */
	uint32_t reserved;
	/* the buckets and then nr_passed[nr_buckets] (uint16_t) follow, at a multiple of 64 B */
};

/* Where a look-up stands. */
struct lane_ftable_iter {
	uint32_t hash, bucket, slot, nr_seen;
};

/* Bytes for a table of at most 'max' entries (60 % load). */
size_t lane_ftable_size(uint32_t max);
/* 'mem' is 64 B aligned and lane_ftable_size(max) long. */
struct lane_ftable *lane_ftable_init(void *mem, uint32_t max);
/* 0, or -ENOSPC. Does not look for an equal entry. 'hash' is not 0. */
int lane_ftable_insert(struct lane_ftable *t, uint32_t hash, uint32_t idx);
/* Removes the entry with exactly this hash and index; -ENOENT if there is none. */
int lane_ftable_remove(struct lane_ftable *t, uint32_t hash, uint32_t idx);
/* The first, then each next index stored under 'hash'; LANE_NIL at the end. */
uint32_t lane_ftable_first(const struct lane_ftable *t, uint32_t hash, struct lane_ftable_iter *it);
uint32_t lane_ftable_next(const struct lane_ftable *t, struct lane_ftable_iter *it);
void lane_ftable_prefetch(const struct lane_ftable *t, uint32_t hash);

#endif
