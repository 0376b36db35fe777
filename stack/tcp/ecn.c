/*
 * ecn.c - explicit congestion notification: RFC 3168 (TCP's part), RFC 8257's receiver
 *
 * Theory of operation. Both ends agree in the handshake (net.ipv4.tcp_ecn: 0 never, 1 ask and accept, 2 accept).
 * From then on new text leaves as ECT(0). A receiver that got text marked CE sets ECE on all it sends until
 * text with CWR comes; a sender that sees ECE reduces its window once a round trip, and says so by
 * CWR on the next new text (loss.c, LANE_CA_CWR). With DCTCP the receiver's ECE says of each ACK whether the text that it is for was
 * marked: where that changes, what came before is acknowledged at once.
 */
#include "stack/tcp/pcb.h"

#define ECE_CWR (LANE_WIRE_ECE | LANE_WIRE_CWR)
#define ECT0	2
#define CE	3

static bool needs_ecn(const struct lane *ln, const struct lane_tcp *pcb)
{
	return lane_cc_ops_at(lane_tcp_opts(ln, pcb)->cc)->flags & LANE_CC_NEEDS_ECN;
}

/* ---- the handshake: 6.1.1 ---- */

uint8_t lane_tcp_ecn_syn(struct lane *ln, struct lane_tcp *pcb, bool answer, uint8_t *flags)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	bool needed = needs_ecn(ln, pcb);

	if (answer) {
		if (!(pcb->ecn & LANE_ECN_OK))
			return 0;
		*flags |= LANE_WIRE_ECE;
	} else {
		/* 6.1.1.1: if it was lost or refused before, that may have been for this. */
		if (!(ln->st->cfg.ecn == 1 || needed) || x->retries || (pcb->ecn & LANE_ECN_GAVE_UP))
			return 0;
		pcb->ecn |= LANE_ECN_ASKED;
		*flags |= ECE_CWR;
	}
	return needed ? ECT0 : 0;
}

uint8_t lane_tcp_ecn_synack(const struct lane *ln, const struct lane_tcp *l, uint8_t *flags)
{
	*flags |= LANE_WIRE_ECE;
	return needs_ecn(ln, l) ? ECT0 : 0;
}

bool lane_tcp_ecn_wanted(const struct lane *ln, const struct lane_tcp *l, const struct lane_seg *seg)
{
	bool ect = seg->pkt->ip.tos & 3;

	/* 6.1.1: a SYN is not ECT; what marks it has no ECN in mind (DCTCP has). */
	return (seg->ti.flags & ECE_CWR) == ECE_CWR && ((ln->st->cfg.ecn && !ect) || needs_ecn(ln, l));
}

void lane_tcp_ecn_take_syn(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg)
{
	bool ok;

	if (seg->ti.flags & LANE_WIRE_ACK)
		ok = (pcb->ecn & LANE_ECN_ASKED) && (seg->ti.flags & ECE_CWR) == LANE_WIRE_ECE;
	else
		ok = (pcb->flags & LANE_TF_PASSIVE || (pcb->ecn & LANE_ECN_ASKED)) &&
		     lane_tcp_ecn_wanted(ln, pcb, seg);
	if (ok)
		pcb->ecn |= LANE_ECN_OK;
}

bool lane_tcp_ecn_refused(struct lane *ln, struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	if (!(pcb->ecn & LANE_ECN_ASKED) || (pcb->ecn & LANE_ECN_GAVE_UP) || x->retries)
		return false;
	ln->st->stats.tcp_ecn_refused++;
	pcb->ecn |= LANE_ECN_GAVE_UP;
	pcb->flags |= LANE_TF_SYN_DUE;
	lane_tcp_want_output(ln, pcb);
	return true;
}

/* ---- the sender ---- */

uint8_t lane_tcp_ecn_out(struct lane *ln, struct lane_tcp *pcb, bool new_text, uint8_t *flags)
{
	if (!(pcb->ecn & LANE_ECN_OK))
		return 0;
	if (pcb->ecn & LANE_ECN_ECHO)
		*flags |= LANE_WIRE_ECE;
	/* 6.1.4, 6.1.5: nothing but new text is ECT; RFC 8257 3.5 wants all of it. */
	if (!new_text)
		return needs_ecn(ln, pcb) ? ECT0 : 0;
	if (pcb->ecn & LANE_ECN_CWR)
		*flags |= LANE_WIRE_CWR;
	pcb->ecn &= (uint8_t)~LANE_ECN_CWR;
	return ECT0;
}

void lane_tcp_ecn_reduced(struct lane_tcp *pcb)
{
	if (pcb->ecn & LANE_ECN_OK)
		pcb->ecn |= LANE_ECN_CWR;
}

/* ---- the receiver: 6.1.3 ---- */

/* RFC 8257 3.2: ECE is the state of what is acknowledged. */
static void in_dctcp(struct lane *ln, struct lane_tcp *pcb, bool ce)
{
	if (ce == !!(pcb->ecn & LANE_ECN_ECHO))
		return;
	if (pcb->rcv_nxt != lane_tcp_rcv_acked(ln, pcb))
		lane_tcp_xmit_ctl(ln, pcb, 0, pcb->snd_nxt);
	pcb->ecn ^= LANE_ECN_ECHO;
	lane_tcp_ack_now(ln, pcb);
}

void lane_tcp_ecn_in(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg)
{
	uint8_t mark = seg->pkt->ip.tos & 3;

	if (mark)
		pcb->ecn |= LANE_ECN_SEEN;
	if (mark == CE)
		ln->st->stats.tcp_ce_in += seg->nr;
	if (needs_ecn(ln, pcb)) {
		in_dctcp(ln, pcb, mark == CE);
		return;
	}
	/* The sender's window may be one segment now: it waits for this ACK. */
	if (seg->ti.flags & LANE_WIRE_CWR) {
		pcb->ecn &= (uint8_t)~LANE_ECN_ECHO;
		lane_tcp_ack_now(ln, pcb);
	}
	if (mark == CE && !(pcb->ecn & LANE_ECN_ECHO)) {
		pcb->ecn |= LANE_ECN_ECHO;
		lane_tcp_ack_now(ln, pcb);
	}
}
