/*
 * check.c - TCP's invariants, for tests and the simulator, and which frames it holds
 */
#include "stack/tcp/synq.h"

static bool is_live(const struct lane_tcp *pcb)
{
	return (pcb->flags & LANE_TF_USED) && !(pcb->flags & LANE_TF_DEAD);
}

/* The send queue: in order, without holes, sent frames before unsent ones. */
static void check_sndq(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t nr = 0, seq = 0, last = LANE_NIL;
	uint32_t sacked = 0, lost = 0, retrans = 0, nr_sacked = 0;
	bool unsent = false, waits = false;

	for (uint32_t i = x->sndq_head; i != LANE_NIL; i = ln->bufs.meta[i].next) {
		const struct lane_buf *b = lane_buf_at(&ln->bufs, i);

		assert(b && b->text_len > 0 && (b->flags & LANE_BUF_SNDQ));
		assert(nr == 0 || b->seq == seq);
		if (i == x->snd_unsent)
			unsent = true;
		assert(unsent == (b->nr_tx == 0));
		assert(nr != 0 || lane_seq_ge(pcb->snd_una, b->seq));
		sacked += b->snd_state & LANE_SND_SACKED ? b->text_len : 0;
		nr_sacked += !!(b->snd_state & LANE_SND_SACKED);
		lost += b->snd_state & LANE_SND_LOST ? b->text_len : 0;
		retrans += b->snd_state & LANE_SND_RETRANS ? b->text_len : 0;
		assert(b->nr_tx || b->snd_state == 0);
		assert(!(b->snd_state & LANE_SND_SACKED) || b->snd_state == LANE_SND_SACKED);
		/* Nothing that is to be sent again lies before rtx_frame. */
		waits |= i == x->rtx_frame;
		assert(waits || (b->snd_state & (LANE_SND_LOST | LANE_SND_RETRANS)) != LANE_SND_LOST);
		seq = b->seq + b->text_len;
		last = i;
		nr++;
	}
	assert(nr == x->nr_sndq && last == x->sndq_tail);
	assert(unsent == (x->snd_unsent != LANE_NIL));
	assert(nr == 0 || seq == x->snd_end);
	assert(sacked == x->rec.sacked && lost == x->rec.lost && retrans == x->rec.retrans);
	assert(!(pcb->flags & LANE_TF_SACK) || nr_sacked == x->rec.nr_sacked);
}

static void check_rcvq(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t bytes = 0, last = LANE_NIL;

	for (uint32_t i = x->rcvq_head; i != LANE_NIL; i = ln->bufs.meta[i].next) {
		bytes += ln->bufs.meta[i].len;
		last = i;
	}
	assert(bytes == x->rcv_queued && last == x->rcvq_tail);
	assert(x->rcv_used >= x->rcv_queued);
}

static void check_ooo(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t nr = 0, ranges = 0, edge = pcb->rcv_nxt;

	for (uint32_t i = x->ooo_head; i != LANE_NIL; ranges++) {
		const struct lane_buf *r = lane_buf_at(&ln->bufs, i), *f = r;
		uint32_t bytes = r->len;

		assert(lane_seq_gt(r->seq, edge));
		for (nr++; f->flags & LANE_BUF_MORE; nr++) {
			f = lane_buf_at(&ln->bufs, f->next);
			bytes += f->len;
		}
		assert(bytes == r->pkt_len && r->user == lane_buf_index(&ln->bufs, f));
		edge = r->seq + r->pkt_len;
		assert(lane_seq_le(edge, pcb->rcv_adv));
		i = f->next;
	}
	assert(nr == x->nr_ooo && ranges == x->nr_ranges);
}

/* Timers stand where something waits for them. */
static void check_timers(const struct lane *ln, const struct lane_tcp *pcb)
{
	for (unsigned int t = 0; t < LANE_TT_TIMERS; t++) {
		/* The next flush starts the wheel's entry, where output is due. */
		if (lane_tcp_armed(pcb, t) && !(pcb->flags & LANE_TF_OUTPUT))
			assert(pcb->timer.slot != 0 &&
			       (int32_t)(pcb->timer.tick - lane_tcp_due_ms(ln, pcb, t)) <= 0);
	}
	if (pcb->x == LANE_NIL)
		assert(!(pcb->armed & ~(1U << LANE_TT_KEEP | 1U << LANE_TT_RETRY)));
	/* What is in flight has a timer, unless the next output is about to set it. */
	if (pcb->state >= LANE_TCP_ESTABLISHED && pcb->snd_una != pcb->snd_nxt &&
	    !(pcb->flags & LANE_TF_OUTPUT))
		assert(lane_tcp_armed(pcb, LANE_TT_RTX));
}

static void check_conn(const struct lane *ln, const struct lane_tcp *pcb)
{
	assert(pcb->flags & LANE_TF_HASHED);
	assert(lane_seq_le(pcb->snd_una, pcb->snd_nxt));
	assert(lane_seq_le(pcb->snd_nxt, lane_tcp_snd_end(ln, pcb) + 1));
	assert(lane_seq_ge(pcb->rcv_adv, pcb->rcv_nxt) ||
	       (pcb->flags & LANE_TF_PEER_FIN));
	if (pcb->state >= LANE_TCP_ESTABLISHED)
		assert(lane_tcp_cwnd(ln, pcb) >= pcb->snd_mss / 2);
	if (pcb->x == LANE_NIL)
		assert(pcb->snd_una == pcb->snd_nxt || (pcb->flags & LANE_TF_SYN_DUE));
	check_sndq(ln, pcb);
	check_ooo(ln, pcb);
	check_timers(ln, pcb);
}

static void check_listener(const struct lane *ln, const struct lane_tcp *l)
{
	const struct lane_tcp_lq *q = lane_tcp_lq(ln, l);
	uint32_t nr = 0;

	for (uint32_t i = lane_tcp_lq(ln, l)->waiting.head; i != LANE_NIL; i = ln->tcps[i].link) {
		assert(ln->tcps[i].flags & LANE_TF_ACCQ);
		nr++;
	}
	assert(nr == q->nr_waiting);
}

void lane_tcp_check_all(struct lane *ln)
{
	uint32_t used = 0, orphans = 0, listeners = 0;
	uint64_t promised = 0;

	lane_tcp_x_check(ln);
	lane_tcp_opts_check(ln);
	for (uint32_t i = 0; i < ln->st->tcp_pool.nr; i++) {
		const struct lane_tcp *pcb = &ln->tcps[i];

		used += !!(pcb->flags & LANE_TF_USED);
		if (!is_live(pcb))
			continue;
		orphans += !!(pcb->flags & LANE_TF_ORPHAN);
		promised += lane_tcp_x(ln, pcb)->rcv_promise;
		assert(pcb->state < LANE_TCP_STATES);
		check_rcvq(ln, pcb);
		listeners += pcb->state == LANE_TCP_LISTEN;
		if (pcb->state == LANE_TCP_LISTEN)
			check_listener(ln, pcb);
		else if (pcb->state != LANE_TCP_CLOSED && pcb->state != LANE_TCP_TIME_WAIT)
			check_conn(ln, pcb);
		else
			assert(!(pcb->flags & (LANE_TF_HASHED | LANE_TF_ORPHAN)) && !pcb->armed);
	}
	lane_tcp_syn_check(ln);
	lane_tcp_pace_check(ln);
	assert(used == ln->st->tcp_pool.nr_used && orphans == ln->st->nr_orphans);
	assert(listeners == ln->st->lq_pool.nr_used);
	assert(promised == ln->st->rcv_promised);
}

static void mark(struct lane *ln, uint8_t *seen, uint32_t head)
{
	for (uint32_t i = head; i != LANE_NIL; i = ln->bufs.meta[i].next) {
		assert(i < ln->bufs.nr && !seen[i] && !(ln->bufs.meta[i].flags & LANE_BUF_FREE));
		seen[i] = 1;
	}
}

void lane_tcp_mark_bufs(struct lane *ln, uint8_t *seen)
{
	for (uint32_t i = 0; i < ln->st->tcp_pool.nr; i++) {
		const struct lane_tcp_x *x;

		if (!is_live(&ln->tcps[i]))
			continue;
		x = lane_tcp_x(ln, &ln->tcps[i]);
		mark(ln, seen, x->rcvq_head);
		mark(ln, seen, x->ooo_head);
		mark(ln, seen, x->sndq_head);
	}
}
