/*
 * super.c - super-segments: text of one connection that leaves as one packet, cut by the driver's
 * edge
 *
 * Theory of operation. output.c sends segment by segment, and each is booked as sent alone: time,
 * marks and retransmission know nothing of super-segments. Where the driver cuts (LANE_CAP_TSO),
 * what lane_tcp_xmit() is given is gathered instead, as long as it goes on where the last one
 * ended, full segments of one size with nothing but text; the header is written once, in front of
 * the first, when something else is to be sent or the connection's output ends. The packet is a
 * chain of the send queue's frames, by its links; the driver notes the frames when it takes the
 * packet, since a frame that is acknowledged leaves the queue. Room in the driver is asked for
 * before the first is gathered: what was booked must leave.
 */
#include "stack/tcp/super.h"

#define SUPER_BYTES 64000U /* of text: what an IP packet holds, less all headers */

/* The driver that the connection's packets leave by takes a chain of any length now. */
static bool has_room(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_queue *q = lane_ip_queue(ln, &pcb->path);

	return q && pcb->path.have_mac && ln->st->nr_txq == 0 &&
	       (q->caps & (LANE_CAP_TSO | LANE_CAP_TX_CSUM)) == (LANE_CAP_TSO | LANE_CAP_TX_CSUM) &&
	       q->drv->room && q->drv->room(q) >= LANE_SG_MAX;
}

/* 'b' may be the first: it is full, and more will follow. */
static bool may_begin(const struct lane *ln, const struct lane_tcp *pcb, const struct lane_buf *b)
{
	const struct lane_buf *next = lane_buf_at(&ln->bufs, b->next);

	return next && !next->nr_tx && b->nr_tx == 0 && b->text_len == pcb->snd_mss &&
	       has_room(ln, pcb);
}

static bool may_follow(const struct lane *ln, const struct lane_super *s,
		       const struct lane_tcp *pcb, const struct lane_buf *b)
{
	const struct lane_buf *last = lane_buf_at(&ln->bufs, s->last);

	return s->pcb == lane_tcp_idx(ln, pcb) && last &&
	       last->next == lane_buf_index(&ln->bufs, b) && b->nr_tx == 0 &&
	       last->text_len == s->size && b->text_len <= s->size && s->nr < LANE_SG_MAX &&
	       s->bytes + b->text_len <= SUPER_BYTES;
}

bool lane_tcp_super_add(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b, uint8_t flags,
			uint8_t ecn)
{
	struct lane_super *s = &ln->super;
	/* ECE says the same on all of them; FIN, URG and CWR belong to one segment. */
	bool plain = !(flags & ~(LANE_WIRE_PSH | LANE_WIRE_ECE)) && !(b->flags & LANE_BUF_TX);

	if (s->nr && (!plain || ecn != s->ecn || !may_follow(ln, s, pcb, b)))
		lane_tcp_super_end(ln);
	if (!plain || (s->nr == 0 && !may_begin(ln, pcb, b)))
		return false;
	if (s->nr == 0) {
		*s = (struct lane_super){.pcb = lane_tcp_idx(ln, pcb),
					 .first = lane_buf_index(&ln->bufs, b),
					 .size = b->text_len,
					 .ecn = ecn};
	}
	s->flags |= flags;
	s->last = lane_buf_index(&ln->bufs, b);
	s->nr++;
	s->bytes += b->text_len;
	return true;
}

/* Makes the frames behind the first a chain that the driver understands, or undoes it. */
static void chain(struct lane *ln, const struct lane_super *s, bool on)
{
	struct lane_buf *b = lane_buf_at(&ln->bufs, s->first);

	for (uint32_t n = 1; b && n < s->nr; n++) {
		if (on)
			b->flags |= LANE_BUF_MORE;
		else
			b->flags &= (uint8_t)~LANE_BUF_MORE;
		b = lane_buf_at(&ln->bufs, b->next);
		if (b && on) {
			b->off = b->text_off;
			b->len = b->text_len;
		}
	}
}

void lane_tcp_super_end(struct lane *ln)
{
	struct lane_super s = ln->super;
	struct lane_tcp *pcb = lane_tcp_get(ln, s.pcb);

	if (s.nr == 0)
		return;
	ln->super.nr = 0;
	if (s.nr > 1)
		ln->st->stats.tcp_supers++;
	chain(ln, &s, true);
	lane_tcp_xmit_super(ln, pcb, &s);
	chain(ln, &s, false);
}
