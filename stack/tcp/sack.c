/*
 * sack.c - the scoreboard of a sender: RFC 2018, RFC 2883 (DSACK), RFC 6675's pipe
 *
 * Theory of operation. What is known of a frame of the send queue lies in the frame: SACKED, LOST,
 * RETRANS (sent again and still on its way). SACKED stands alone; LOST and RETRANS may stand together.
 * The pcb keeps the sums in bytes, so that what is in flight costs no walk. An ACK's blocks are
 * sorted and the queue is walked once, up to the last of them.
 */
#include "stack/tcp/pcb.h"

#define BLOCKS_MAX 4

struct blocks {
	uint32_t start[BLOCKS_MAX], end[BLOCKS_MAX];
	unsigned int nr;
};

uint32_t lane_tcp_in_flight(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_tcp_rec *r = &lane_tcp_x(ln, pcb)->rec;
	uint32_t out = pcb->snd_nxt - pcb->snd_una + r->retrans;
	uint32_t gone = r->lost + r->sacked;

	if (!(pcb->flags & LANE_TF_SACK))
		gone += (uint32_t)r->nr_sacked * pcb->snd_mss;
	return gone < out ? out - gone : 0;
}

/* Takes the marks LOST and RETRANS off. */
static void clear_lost(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	if (b->snd_state & LANE_SND_LOST)
		x->rec.lost -= b->text_len;
	if (b->snd_state & LANE_SND_RETRANS)
		x->rec.retrans -= b->text_len;
	b->snd_state &= (uint16_t)~(LANE_SND_LOST | LANE_SND_RETRANS);
}

static void clear_sacked(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	if (!(b->snd_state & LANE_SND_SACKED))
		return;
	x->rec.sacked -= b->text_len;
	x->rec.nr_sacked--;
	b->snd_state &= (uint16_t)~LANE_SND_SACKED;
}

/* 'b' arrived, as this ACK is the first to say. */
static void arrived(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg,
		    const struct lane_buf *b, struct lane_acked *a)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	a->delivered += b->text_len;
	lane_rate_arrived(&a->seen, b);
	if (b->nr_tx > 1) {
		a->retransmitted = true;
		if (b->tx_us > a->resent_us)
			a->resent_us = b->tx_us;
		a->first_us = b->first_tx_us;
	} else {
		a->rtt_us = (uint32_t)(ln->now_us - b->tx_us);
		if (a->rtt_us > a->oldest_us)
			a->oldest_us = a->rtt_us;
		a->orig |= lane_seq_le(b->seq + b->text_len, x->recover);
	}
	lane_tcp_rack_take(ln, pcb, seg, b);
}

void lane_tcp_sack_acked(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg,
			 struct lane_buf *b, struct lane_acked *a)
{
	if (!(b->snd_state & LANE_SND_SACKED))
		arrived(ln, pcb, seg, b, a);
	clear_lost(ln, pcb, b);
	clear_sacked(ln, pcb, b);
}

void lane_tcp_sack_trim(struct lane *ln, struct lane_tcp *pcb, const struct lane_buf *b, uint32_t n)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	if (b->snd_state & LANE_SND_LOST)
		x->rec.lost -= n;
	if (b->snd_state & LANE_SND_RETRANS)
		x->rec.retrans -= n;
	if (b->snd_state & LANE_SND_SACKED)
		x->rec.sacked -= n;
}

bool lane_tcp_mark_lost(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	const struct lane_buf *first = lane_buf_at(&ln->bufs, x->rtx_frame);

	if ((b->snd_state & LANE_SND_SACKED) ||
	    (b->snd_state & (LANE_SND_LOST | LANE_SND_RETRANS)) == LANE_SND_LOST)
		return false;
	clear_lost(ln, pcb, b);
	b->snd_state |= LANE_SND_LOST;
	x->rate.lost++;
	x->rec.lost += b->text_len;
	if (!first || lane_seq_lt(b->seq, first->seq))
		x->rtx_frame = lane_buf_index(&ln->bufs, b);
	return true;
}

void lane_tcp_mark_retrans(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	/* The oldest may be sent again although it was SACKed: then it has arrived. */
	if (b->snd_state & (LANE_SND_RETRANS | LANE_SND_SACKED))
		return;
	b->snd_state |= LANE_SND_RETRANS;
	x->rec.retrans += b->text_len;
}

void lane_tcp_unmark_lost(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_buf *b = lane_buf_at(&ln->bufs, x->sndq_head);

	for (; b && b->nr_tx; b = lane_buf_at(&ln->bufs, b->next))
		b->snd_state &= (uint16_t)~LANE_SND_LOST;
	x->rec.lost = 0;
	x->rtx_frame = LANE_NIL;
}

void lane_tcp_check_renege(struct lane *ln, struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_buf *b = lane_buf_at(&ln->bufs, x->sndq_head);

	if (!b || b->nr_tx == 0 || !(b->snd_state & LANE_SND_SACKED))
		return;
	ln->st->stats.tcp_reneges++;
	for (; b && b->nr_tx; b = lane_buf_at(&ln->bufs, b->next))
		clear_sacked(ln, pcb, b);
}

struct lane_buf *lane_tcp_next_lost(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_buf *b;

	while ((b = lane_buf_at(&ln->bufs, x->rtx_frame)) != NULL) {
		if (b->nr_tx == 0)
			break;
		if ((b->snd_state & (LANE_SND_LOST | LANE_SND_RETRANS)) == LANE_SND_LOST)
			return b;
		x->rtx_frame = b->next;
	}
	x->rtx_frame = LANE_NIL;
	return NULL;
}

/* RFC 2883 4: the first block lies below the ACK, or within the second block. */
static bool is_dsack(const struct lane_tcp *pcb, const struct lane_tcp_opts *o, uint32_t ack)
{
	uint32_t start = o->sack[0].start, end = o->sack[0].end;

	if (!lane_seq_lt(start, end) || lane_seq_gt(end, pcb->snd_nxt))
		return false;
	if (lane_seq_le(end, ack))
		return true;
	return o->nr_sack > 1 && lane_seq_ge(start, o->sack[1].start) &&
	       lane_seq_le(end, o->sack[1].end);
}

/* The good ones of the blocks from 'first' on, in order. */
static void sort_blocks(const struct lane_tcp *pcb, const struct lane_tcp_opts *o, unsigned int first,
			struct blocks *s)
{
	s->nr = 0;
	for (unsigned int i = first; i < o->nr_sack && s->nr < BLOCKS_MAX; i++) {
		uint32_t start = o->sack[i].start, end = o->sack[i].end;
		unsigned int k = s->nr;

		/* What the peer cannot have is not believed. */
		if (!lane_seq_lt(start, end) || lane_seq_lt(start, pcb->snd_una) ||
		    lane_seq_gt(end, pcb->snd_nxt))
			continue;
		for (; k > 0 && lane_seq_lt(start, s->start[k - 1]); k--) {
			s->start[k] = s->start[k - 1];
			s->end[k] = s->end[k - 1];
		}
		s->start[k] = start;
		s->end[k] = end;
		s->nr++;
	}
}

static void mark_sacked(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg,
			struct lane_buf *b, struct lane_acked *a)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	if (b->snd_state & LANE_SND_SACKED)
		return;
	arrived(ln, pcb, seg, b, a);
	clear_lost(ln, pcb, b);
	b->snd_state |= LANE_SND_SACKED;
	x->rec.sacked += b->text_len;
	x->rec.nr_sacked++;
	a->sacked += b->text_len;
}

void lane_tcp_sack_in(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg,
		      struct lane_acked *a)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	const struct lane_tcp_opts *o = &seg->ti.opts;
	struct blocks s;
	struct lane_buf *b;
	unsigned int k = 0;

	if (!(o->have & LANE_OPT_SACK) || o->nr_sack == 0)
		return;
	if (is_dsack(pcb, o, seg->ack)) {
		ln->st->stats.tcp_dsacks_in++;
		a->dsack_start = o->sack[0].start;
		a->dsack_end = o->sack[0].end;
		k = 1;
	}
	sort_blocks(pcb, o, k, &s);
	k = 0;
	for (b = lane_buf_at(&ln->bufs, x->sndq_head); b && b->nr_tx;
	     b = lane_buf_at(&ln->bufs, b->next)) {
		while (k < s.nr && lane_seq_ge(b->seq, s.end[k]))
			k++;
		if (k == s.nr)
			break;
		/* A frame that was received in part counts as not received. */
		if (lane_seq_ge(b->seq, s.start[k]) &&
		    lane_seq_le(b->seq + b->text_len, s.end[k]))
			mark_sacked(ln, pcb, seg, b, a);
	}
}

void lane_tcp_note_dup(struct lane *ln, struct lane_tcp *pcb, uint32_t start, uint32_t end)
{
	struct lane_tcp_x *x;

	if (!(pcb->flags & LANE_TF_SACK) || !lane_seq_lt(start, end))
		return;
	x = lane_tcp_x_get(ln, pcb);
	if (!x)
		return; /* it is not reported */
	x->rec.dsack_start = start;
	x->rec.dsack_end = end;
}
