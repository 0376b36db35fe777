/*
 * pool.h - fixed pools of objects of one kind, free ones linked through their first word
 *
 * Objects lie in an array; they begin with a uint32_t that is the free link while they are not in use.
 */
#ifndef LANE_BASE_POOL_H
#define LANE_BASE_POOL_H

#include <stddef.h>

#include <lane/types.h>

struct lane_pool {
	uint32_t free_head;
	uint32_t nr_used;
	uint32_t nr_max; /* most used so far */
	uint32_t nr;	 /* objects in all */
	uint64_t nr_failed;
};

void lane_pool_init(struct lane_pool *p, void *base, size_t size, uint32_t nr);
/* Index of a zeroed object, LANE_NIL when the pool is empty. */
uint32_t lane_pool_get(struct lane_pool *p, void *base, size_t size);
void lane_pool_put(struct lane_pool *p, void *base, size_t size, uint32_t index);

#endif
