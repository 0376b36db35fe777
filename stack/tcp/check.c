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
	uint32_t nr = 0, seq = 0, last = LANE_NIL;
	uint32_t sacked = 0, lost = 0, retrans = 0, nr_sacked = 0;
	bool unsent = false, waits = false;

	for (uint32_t i = pcb->sndq_head; i != LANE_NIL; i = ln->bufs.meta[i].next) {
		const struct lane_buf *b = lane_buf_at(&ln->bufs, i);

		assert(b && b->text_len > 0 && (b->flags & LANE_BUF_SNDQ));
		assert(nr == 0 || b->seq == seq);
		if (i == pcb->snd_unsent)
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
		waits |= i == pcb->rtx_frame;
		assert(waits || (b->snd_state & (LANE_SND_LOST | LANE_SND_RETRANS)) != LANE_SND_LOST);
		seq = b->seq + b->text_len;
		last = i;
		nr++;
	}
	assert(nr == pcb->nr_sndq && last == pcb->sndq_tail);
	assert(unsent == (pcb->snd_unsent != LANE_NIL));
	assert(nr == 0 || seq == pcb->snd_end);
	assert(sacked == pcb->rec.sacked && lost == pcb->rec.lost && retrans == pcb->rec.retrans);
	assert(!(pcb->flags & LANE_TF_SACK) || nr_sacked == pcb->rec.nr_sacked);
}

static void check_rcvq(const struct lane *ln, const struct lane_tcp *pcb)
{
	uint32_t bytes = 0, last = LANE_NIL;

	for (uint32_t i = pcb->rcvq_head; i != LANE_NIL; i = ln->bufs.meta[i].next) {
		bytes += ln->bufs.meta[i].len;
		last = i;
	}
	assert(bytes == pcb->rcv_queued && last == pcb->rcvq_tail);
	assert(pcb->rcv_used >= pcb->rcv_queued);
}

static void check_ooo(const struct lane *ln, const struct lane_tcp *pcb)
{
	uint32_t nr = 0, edge = pcb->rcv_nxt;

	for (uint32_t i = pcb->ooo_head; i != LANE_NIL;) {
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
	assert(nr == pcb->nr_ooo);
}

/* Timers stand where something waits for them. */
static void check_timers(const struct lane_tcp *pcb)
{
	for (unsigned int t = 0; t < LANE_TT_TIMERS; t++) {
		/* The next flush starts the wheel's entry, where output is due. */
		if (lane_tcp_armed(pcb, t) && !(pcb->flags & LANE_TF_OUTPUT))
			assert(pcb->timer.slot != 0 &&
			       (int32_t)(pcb->timer.tick - pcb->due_ms[t]) <= 0);
	}
	/* What is in flight has a timer, unless the next output is about to set it. */
	if (pcb->state >= LANE_TCP_ESTABLISHED && pcb->snd_una != pcb->snd_nxt &&
	    !(pcb->flags & LANE_TF_OUTPUT))
		assert(lane_tcp_armed(pcb, LANE_TT_RTX));
}

static void check_conn(const struct lane *ln, const struct lane_tcp *pcb)
{
	assert(pcb->flags & LANE_TF_HASHED);
	assert(lane_seq_le(pcb->snd_una, pcb->snd_nxt));
	assert(lane_seq_le(pcb->snd_nxt, pcb->snd_end + 1));
	assert(lane_seq_ge(pcb->rcv_adv, pcb->rcv_nxt) ||
	       (pcb->flags & LANE_TF_PEER_FIN));
	if (pcb->state >= LANE_TCP_ESTABLISHED)
		assert(pcb->cc.cwnd >= pcb->snd_mss / 2);
	check_sndq(ln, pcb);
	check_ooo(ln, pcb);
	check_timers(pcb);
}

static void check_listener(const struct lane *ln, const struct lane_tcp *l)
{
	uint32_t nr = 0;

	for (uint32_t i = l->lq.waiting.head; i != LANE_NIL; i = ln->tcps[i].link) {
		assert(ln->tcps[i].flags & LANE_TF_ACCQ);
		nr++;
	}
	assert(nr == l->lq.nr_waiting);
}

void lane_tcp_check_all(struct lane *ln)
{
	uint32_t used = 0, orphans = 0;

	for (uint32_t i = 0; i < ln->st->tcp_pool.nr; i++) {
		const struct lane_tcp *pcb = &ln->tcps[i];

		used += !!(pcb->flags & LANE_TF_USED);
		if (!is_live(pcb))
			continue;
		orphans += !!(pcb->flags & LANE_TF_ORPHAN);
		assert(pcb->state < LANE_TCP_STATES);
		check_rcvq(ln, pcb);
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
		if (!is_live(&ln->tcps[i]))
			continue;
		mark(ln, seen, ln->tcps[i].rcvq_head);
		mark(ln, seen, ln->tcps[i].ooo_head);
		mark(ln, seen, ln->tcps[i].sndq_head);
	}
}
