/*
 * loss.h - what ACKs tell of losses and congestion, and who learns of it: a part of pcb.h
 */
#ifndef LANE_TCP_LOSS_H
#define LANE_TCP_LOSS_H

#include "stack/tcp/pcb.h"

/* What one ACK brought, gathered before the congestion control hears of it. */
struct lane_acked {
	uint32_t bytes;	    /* cumulatively */
	uint32_t delivered; /* newly, by SACK or without */
	uint32_t sacked;    /* newly SACKed */
	uint32_t lost;	    /* newly marked */
	uint32_t rtt_us;    /* of the newest, 0: none */
	uint32_t oldest_us; /* of the oldest */
	uint64_t resent_us; /* when what was sent twice left last */
	uint64_t first_us;  /* and first */
	uint32_t prior_in_flight;
	uint32_t dsack_start, dsack_end; /* a duplicate that the peer reports; equal: none */
	struct lane_rate_seen seen;
	bool dup;	    /* a duplicate ACK of a connection without SACK */
	bool ece;	    /* congestion is echoed */
	bool retransmitted; /* some of it was sent twice: Karn's rule */
	bool orig;	    /* some of it was sent once only, before the time-out */
};

/* ---- sack.c: the scoreboard ---- */
/* Bytes that are thought to be in the network (RFC 6675's pipe). */
uint32_t lane_tcp_in_flight(const struct lane *ln, const struct lane_tcp *pcb);
/* Marks what the SACK blocks of 'seg' name; a DSACK goes to 'a'. */
void lane_tcp_sack_in(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg,
		      struct lane_acked *a);
/* 'b' is acknowledged cumulatively: its marks go, and what they tell is taken. */
void lane_tcp_sack_acked(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg,
			 struct lane_buf *b, struct lane_acked *a);
/* The first 'n' bytes of 'b' are acknowledged: the sums get smaller. */
void lane_tcp_sack_trim(struct lane *ln, struct lane_tcp *pcb, const struct lane_buf *b, uint32_t n);
/* 'b' is to be sent (again), unless it was SACKed or waits for that. True if it was marked. */
bool lane_tcp_mark_lost(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b);
/* 'b' was sent again. */
void lane_tcp_mark_retrans(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b);
/* Nothing is lost after all. */
void lane_tcp_unmark_lost(struct lane *ln, struct lane_tcp *pcb);
/* RFC 2018 8: the peer has dropped what it had SACKed, if it lacks the first. */
void lane_tcp_check_renege(struct lane *ln, struct lane_tcp *pcb);
/* The next frame to send again, NULL: none. */
struct lane_buf *lane_tcp_next_lost(struct lane *ln, struct lane_tcp *pcb);
/* The peer sent [start, end) again: report it (RFC 2883). */
void lane_tcp_note_dup(struct lane *ln, struct lane_tcp *pcb, uint32_t start, uint32_t end);

/* ---- rack.c: RFC 8985 ---- */
/* 'b' has arrived, as 'seg' says. */
void lane_tcp_rack_take(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg,
			const struct lane_buf *b);
/* Marks what is lost; arms LANE_TT_LOSS for what may be. Returns bytes marked. */
uint32_t lane_tcp_rack_detect(struct lane *ln, struct lane_tcp *pcb);
/* True if 'b' was sent so long ago that a time-out finds it lost. */
bool lane_tcp_rack_overdue(const struct lane *ln, const struct lane_tcp *pcb, const struct lane_buf *b);
/* The path reorders: 'segs' is how far, 0: unknown. */
void lane_tcp_rack_reordered(struct lane_tcp *pcb, uint32_t segs);
/* What a DSACK tells of the reordering window. */
void lane_tcp_rack_dsack(struct lane *ln, struct lane_tcp *pcb);
/* A recovery has ended. */
void lane_tcp_rack_recovered(struct lane *ln, struct lane_tcp *pcb);
#define LANE_PTO_SLACK_US   4000   /* beyond two round trips: a tick, and a peer that is not at once there */
#define LANE_PTO_DACK_US    200000 /* WCDelAckT: one segment alone may wait for its ACK */
#define LANE_PTO_INITIAL_US 1000000
/* 7.2: how long a tail loss probe waits; 'alone': one segment is out. */
static inline uint64_t lane_tcp_pto_us(const struct lane_tcp *pcb, bool alone)
{
	uint64_t rtts_us = 2 * (uint64_t)pcb->rto.srtt_us;

	return (rtts_us ? rtts_us + LANE_PTO_SLACK_US : LANE_PTO_INITIAL_US) + (alone ? LANE_PTO_DACK_US : 0);
}
/* Arms LANE_TT_LOSS for a tail loss probe, if one may be due. */
void lane_tcp_tlp_arm(struct lane *ln, struct lane_tcp *pcb);
/* The probe has left. */
void lane_tcp_tlp_sent(struct lane *ln, struct lane_tcp *pcb, bool retrans);
/* RFC 8985 7.4: what an ACK says of the probe. */
void lane_tcp_tlp_ack(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg,
		      const struct lane_acked *a);
/* LANE_TT_LOSS fired. */
void lane_tcp_loss_timeout(struct lane *ln, struct lane_tcp *pcb);

/* ---- loss.c: recovery ---- */
/* After an ACK: states, marks, undo, PRR. Only when lane_tcp_loss_idle() is false. */
void lane_tcp_loss_ack(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg,
		       struct lane_acked *a);
/* Nothing is lost, SACKed, sent again or probed for. */
bool lane_tcp_loss_idle(const struct lane *ln, const struct lane_tcp *pcb);
/* The same, or the window is only being reduced for an echo of congestion. */
bool lane_tcp_loss_quiet(const struct lane *ln, const struct lane_tcp *pcb);
/* Something was marked lost without an ACK: recovery begins, unless it is under way. */
void lane_tcp_loss_found(struct lane *ln, struct lane_tcp *pcb, struct lane_acked *a);
/* The retransmission timer expired. */
void lane_tcp_enter_loss(struct lane *ln, struct lane_tcp *pcb);
/* The path takes no more than snd_mss: what is larger and in flight goes again. */
void lane_tcp_loss_too_big(struct lane *ln, struct lane_tcp *pcb);
/* 'b' leaves, again if nr_tx says so. */
void lane_tcp_loss_sent(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b);

#endif
