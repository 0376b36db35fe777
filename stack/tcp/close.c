/*
 * close.c - the program's end of a connection: shutdown, close, abort, disconnect
 *
 * RFC 9293 3.6 and 3.10.4; RFC 1122 4.2.2.13: a close that throws received text away, or text that
 * comes after it, resets. What the program let go (an orphan) finishes alone, within limits.
 */
#include "stack/tcp/pcb.h"

/* A FIN follows what is queued. */
static void send_fin(struct lane *ln, struct lane_tcp *pcb)
{
	if (pcb->flags & LANE_TF_WR_SHUT)
		return;
	pcb->flags |= LANE_TF_WR_SHUT;
	pcb->flags &= ~LANE_TF_MORE;
	if (pcb->state == LANE_TCP_ESTABLISHED)
		pcb->state = LANE_TCP_FIN_WAIT_1;
	else if (pcb->state == LANE_TCP_CLOSE_WAIT)
		pcb->state = LANE_TCP_LAST_ACK;
	lane_tcp_want_output(ln, pcb);
}

int lane_tcp_shutdown(struct lane *ln, struct lane_tcp *pcb, bool rd, bool wr)
{
	lane_tcp_work(ln, pcb);
	switch (pcb->state) {
	case LANE_TCP_CLOSED:
	case LANE_TCP_TIME_WAIT:
		return -ENOTCONN;
	case LANE_TCP_LISTEN:
		if (rd) {
			lane_tcp_listen_stop(ln, pcb);
			lane_tcp_notify(ln, pcb, LANE_EV_ERROR);
		}
		return 0;
	case LANE_TCP_SYN_SENT:
		/* As Linux: with nothing established there is nothing to finish. */
		lane_tcp_disconnect(ln, pcb);
		lane_tcp_notify(ln, pcb, LANE_EV_ERROR);
		return 0;
	default:
		break;
	}
	if (rd) {
		pcb->flags |= LANE_TF_RD_SHUT;
		lane_tcp_notify(ln, pcb, LANE_EV_EOF | LANE_EV_READABLE);
	}
	if (wr)
		send_fin(ln, pcb);
	return 0;
}

/* The program is gone; the engine finishes. */
static void orphan(struct lane *ln, struct lane_tcp *pcb)
{
	pcb->flags |= LANE_TF_ORPHAN | LANE_TF_RD_SHUT;
	pcb->events = 0;
	ln->st->nr_orphans++;
}

static void reset_and_free(struct lane *ln, struct lane_tcp *pcb)
{
	if (pcb->state >= LANE_TCP_SYN_RECEIVED && pcb->state != LANE_TCP_TIME_WAIT)
		lane_tcp_xmit_rst(ln, pcb);
	lane_tcp_free(ln, pcb);
}

static bool too_many_orphans(const struct lane *ln)
{
	const struct lane_state *st = ln->st;

	return st->nr_orphans > st->tcp_pool.nr / 4 || st->nr_orphans >= st->cfg.max_orphans;
}

void lane_tcp_put(struct lane *ln, struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	lane_tcp_work(ln, pcb);
	switch (pcb->state) {
	case LANE_TCP_LISTEN:
		lane_tcp_listen_stop(ln, pcb);
		lane_tcp_free(ln, pcb);
		return;
	case LANE_TCP_CLOSED:
	case LANE_TCP_TIME_WAIT:
	case LANE_TCP_SYN_SENT:
		lane_tcp_free(ln, pcb);
		return;
	default:
		break;
	}
	if (!x->rcv_queued && too_many_orphans(ln))
		ln->st->stats.tcp_orphans_reset++;
	if (x->rcv_queued || too_many_orphans(ln)) {
		reset_and_free(ln, pcb);
		return;
	}
	orphan(ln, pcb);
	send_fin(ln, pcb);
	if (pcb->state == LANE_TCP_FIN_WAIT_2)
		lane_tcp_linger2_start(ln, pcb);
	else
		lane_tcp_disarm(pcb, LANE_TT_KEEP);
}

void lane_tcp_abort(struct lane *ln, struct lane_tcp *pcb)
{
	lane_tcp_work(ln, pcb);
	if (pcb->state == LANE_TCP_LISTEN)
		lane_tcp_listen_stop(ln, pcb);
	reset_and_free(ln, pcb);
}

void lane_tcp_disconnect(struct lane *ln, struct lane_tcp *pcb)
{
	uint64_t cookie = pcb->cookie;
	uint32_t out_next = pcb->out_next, ev_next = pcb->ev_next;
	uint32_t keep = pcb->flags & (LANE_TF_USED | LANE_TF_OUTPUT | LANE_TF_EVENTS |
				      LANE_TF_RCVBUF_SET | LANE_TF_SNDBUF_SET);
	uint16_t opts = pcb->opts; /* its hold on them goes on */
	bool reset = pcb->state > LANE_TCP_LISTEN && pcb->state != LANE_TCP_TIME_WAIT;

	lane_tcp_work(ln, pcb);
	if (pcb->state == LANE_TCP_LISTEN)
		lane_tcp_listen_stop(ln, pcb);
	/* As Linux: reset what is not closed both ways. */
	if (reset && pcb->state != LANE_TCP_SYN_SENT)
		lane_tcp_xmit_rst(ln, pcb);
	lane_tcp_unqueue(ln, pcb);
	lane_tcp_detach(ln, pcb);
	lane_tcp_free_frames(ln, lane_tcp_x(ln, pcb)->rcvq_head);
	lane_tcp_x_put(ln, pcb);
	memset(pcb, 0, sizeof(*pcb));
	memset(lane_tcp_cold(ln, pcb), 0, sizeof(struct lane_tcp_cold));
	lane_tcp_reset_fields(pcb);
	pcb->flags = keep;
	pcb->cookie = cookie;
	pcb->out_next = out_next;
	pcb->ev_next = ev_next;
	pcb->opts = opts;
	pcb->err = reset ? ECONNRESET : 0; /* as Linux: until it connects again */
}
