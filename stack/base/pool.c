/*
 * pool.c - fixed pools of objects (pcbs, TIME_WAIT records), free ones linked by their first word
 */
#include <assert.h>
#include <string.h>

#include "pool.h"

static uint32_t *link_of(void *base, size_t size, uint32_t index)
{
	return (uint32_t *)((uint8_t *)base + size * index);
}

void lane_pool_init(struct lane_pool *p, void *base, size_t size, uint32_t nr)
{
	memset(p, 0, sizeof(*p));
	p->nr = nr;
	p->free_head = nr ? 0 : LANE_NIL;
	for (uint32_t i = 0; i < nr; i++)
		*link_of(base, size, i) = i + 1 < nr ? i + 1 : LANE_NIL;
}

uint32_t lane_pool_get(struct lane_pool *p, void *base, size_t size)
{
	uint32_t index = p->free_head;

	/* Beyond the end is only what a broken member wrote: it is no object either. */
	if (index >= p->nr) {
		p->nr_failed++;
		return LANE_NIL;
	}
	p->free_head = *link_of(base, size, index);
	memset(link_of(base, size, index), 0, size);
	p->nr_used++;
	if (p->nr_used > p->nr_max)
		p->nr_max = p->nr_used;
	return index;
}

void lane_pool_put(struct lane_pool *p, void *base, size_t size, uint32_t index)
{
	assert(index < p->nr && p->nr_used > 0);
	*link_of(base, size, index) = p->free_head;
	p->free_head = index;
	p->nr_used--;
}
