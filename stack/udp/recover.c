/*
 * recover.c - UDP's part of the checks, and of the rebuild after a member died inside the lock
 */
#include "stack/udp/pcb.h"

/* Marks the frames of a queue of 'n' datagrams; returns the number of sound ones. */
static uint32_t mark_queue(struct lane *ln, uint32_t i, uint32_t n, uint8_t *seen, bool strict)
{
	uint32_t nr = 0;

	while (nr < n) {
		struct lane_buf *b = lane_buf_at(&ln->bufs, i);
		uint32_t mark = i;

		for (; b && !seen[mark] && (b->flags & LANE_BUF_MORE);
		     b = lane_buf_at(&ln->bufs, mark)) {
			seen[mark] = 1;
			mark = b->next;
		}
		assert(!strict || (b && !seen[mark] && !(b->flags & LANE_BUF_FREE)));
		if (!b || seen[mark])
			return nr;
		seen[mark] = 1;
		i = b->next;
		nr++;
	}
	return nr;
}

void lane_udp_mark_bufs(struct lane *ln, uint8_t *seen)
{
	for (uint32_t i = 0; i < ln->st->cfg.nr_udp; i++) {
		const struct lane_udp *pcb = &ln->udps[i];

		if (!pcb->used)
			continue;
		mark_queue(ln, pcb->rcv_head, pcb->nr_rcv, seen, true);
		mark_queue(ln, pcb->err_head, pcb->nr_errors, seen, true);
	}
	lane_udp_groups_check(ln);
}

static void enter_tables(struct lane *ln, struct lane_udp *pcb)
{
	uint32_t i = lane_udp_index(ln, pcb);
	uint16_t port = pcb->local.port;

	if (port == 0)
		return;
	lane_ftable_insert(ln->udp_table, lane_port_hash(&ln->st->key, LANE_PROTO_UDP, port), i);
	ln->claims[65536 + port].nr_any++;
	if (!pcb->connected)
		return;
	pcb->flow_hash = lane_flow_hash(&ln->st->key, LANE_PROTO_UDP, &pcb->local, &pcb->remote);
	lane_ftable_insert(ln->udp_table, pcb->flow_hash, i);
}

/* Queued datagrams are let go: a queue under work may hold anything. */
void lane_udp_recover(struct lane *ln)
{
	struct lane_state *st = ln->st;
	uint32_t nr_max = st->udp_pool.nr_max;
	uint64_t nr_failed = st->udp_pool.nr_failed;

	lane_ftable_init(ln->udp_table, 2 * st->cfg.nr_udp);
	memset(&ln->claims[65536], 0, 65536 * sizeof(*ln->claims));
	st->udp_events.head = st->udp_events.tail = LANE_NIL;
	st->udp_pool = (struct lane_pool){.free_head = LANE_NIL, .nr = st->cfg.nr_udp};
	for (uint32_t i = st->cfg.nr_udp; i-- > 0;) {
		struct lane_udp *pcb = &ln->udps[i];

		st->udp_pool.nr_used++;
		if (!pcb->used) {
			lane_pool_put(&st->udp_pool, ln->udps, sizeof(*pcb), i);
			continue;
		}
		pcb->rcv_head = pcb->rcv_tail = pcb->ev_next = LANE_NIL;
		pcb->nr_rcv = pcb->rcv_bytes = 0;
		pcb->err_head = pcb->err_tail = LANE_NIL;
		pcb->nr_errors = 0;
		pcb->listed = 0;
		pcb->path = (struct lane_path){0};
		enter_tables(ln, pcb);
		lane_udp_raise(ln, pcb, pcb->events);
	}
	lane_udp_groups_recover(ln);
	st->udp_pool.nr_max = nr_max;
	st->udp_pool.nr_failed = nr_failed;
}
