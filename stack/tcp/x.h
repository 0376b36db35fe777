/*
 * x.h - what lies beside a TCP pcb: its extension, a listener's queues, shared options, IPv6 addresses
 *
 * A pcb alone is an idle connection (pcb.h). Here is what only some have: see x.c, listen.c, opts.c.
 */
#ifndef LANE_TCP_X_H
#define LANE_TCP_X_H

#include <lane/tcp.h>

#include "lane-int/state.h"
#include "stack/tcp/cc.h"
#include "stack/tcp/rate.h"

/* Who waits for an extension looks again so often: those who have them may keep them for long. */
#define LANE_X_WAIT_US 50000

/* The deadlines of a pcb. */
enum lane_tcp_timer {
	LANE_TT_RTX,  /* retransmission; zero-window probe while nothing is in flight */
	LANE_TT_DACK, /* delayed ACK */
	LANE_TT_KEEP, /* keepalive; an orphan's FIN_WAIT_2 */
	LANE_TT_CORK, /* the limit of TCP_CORK and MSG_MORE */
	LANE_TT_RETRY, /* a neighbour, a frame, an extension or room in a queue that output waits for */
	LANE_TT_LOSS, /* RFC 8985: reordering is waited for until then, or a tail loss probe is due */
	LANE_TT_TIMERS
};

/* lane_tcp_rec.bits */
#define LANE_RB_DSACK_ROUND 0x02 /* dsack_round is good */
#define LANE_RB_TLP	    0x04 /* a probe is out: tlp_end is good */
#define LANE_RB_TLP_RETRANS 0x08 /* and it was text sent again */
#define LANE_RB_TLP_DUE	    0x10
#define LANE_RB_UNDO	    0x20 /* undo_una, undo_ms, nr_undo are good */
#define LANE_RB_FRTO	    0x40 /* after a time-out, not known yet to be real */
#define LANE_RB_FRTO_NEW    0x80 /* and new text is what tells */

/* A listener's own. */
struct lane_tcp_lq {
	uint32_t link;		  /* free list */
	uint32_t owner;		  /* index of the pcb, LANE_NIL: free */
	struct lane_list waiting; /* for accept */
	uint32_t nr_syns, nr_young; /* half-open ones (synq.c), those without a time-out yet */
	uint32_t nr_waiting, backlog;
};

/* Options that all sockets with the same share. */
struct lane_tcp_oset {
	uint32_t link;	  /* free list; next of the same hash */
	uint32_t nr_refs; /* pcbs, 0: free */
	struct lane_tcp_opts_set o;
};

/* The first 96 bits of a pcb's addresses; IPv4's are always the same, and not here. */
struct lane_tcp_ip6 {
	uint32_t local[3], remote[3];
};

/* Loss detection and recovery of a sender (RFC 8985, 6937, 5682, 3522). */
struct lane_tcp_rec {
	uint32_t sacked, lost, retrans; /* bytes of frames with these marks; without SACK 'sacked' is 0 */
	uint16_t nr_sacked; /* frames; without SACK duplicate ACKs */
	uint8_t bits;	     /* LANE_RB_* */
	uint8_t reo_mult;    /* quarters of min_rtt_us that reordering may take, beyond the first */
	uint8_t reo_persist; /* recoveries for which it stays */
	uint8_t nr_undo_seen; /* retransmissions since undo_una was set, saturating */
	uint32_t rtt_us;      /* RACK.rtt */
	uint64_t xmit_us;     /* RACK.xmit_ts: of the segment sent last that arrived */
	uint32_t end_seq;     /* its end */
	uint32_t fack;	      /* highest end that arrived */
	uint32_t dsack_round, tlp_end;
	uint32_t prr_delivered, prr_out, prr_fs; /* RFC 6937 */
	uint32_t undo_una, undo_ms; /* snd_una and time when this episode began */
	uint32_t nr_undo; /* its retransmissions that no DSACK has reported */
	uint32_t dsack_start, dsack_end; /* a duplicate that came and is to be reported; equal: none */
};

/* What lasts of a pcb besides, and is seldom looked at. */
struct lane_tcp_cold {
	uint32_t nr_retrans;
	uint16_t rate_bytes, rate_us; /* of the last delivery rate sample, as lane_rate_pack() has them */
};

/* What a connection has while it is not idle. The zeros and nils of lane_tcp_x_idle are what counts
 * for one that has none. */
struct lane_tcp_x {
	uint32_t link;	/* free list */
	uint32_t owner; /* index of the pcb, LANE_NIL: free */
	uint32_t rcvq_head, rcvq_tail;
	uint32_t rcv_queued; /* bytes in the receive queue */
	uint32_t rcv_used;   /* bytes of the receive buffer in use: queued and lent */
	uint32_t rcv_promise; /* KB of window that st->rcv_promised counts (rcv.c) */
	uint32_t rcv_acked;  /* rcv_nxt in the last ACK that we sent */
	uint32_t ooo_head;   /* out-of-order ranges (ooo.c) */
	uint32_t sndq_head, sndq_tail, snd_unsent, rtx_frame;
	uint32_t snd_end; /* behind the last byte written */
	uint32_t nr_sndq; /* frames */
	uint32_t snd_sml; /* end of the last short segment sent (Minshall) */
	uint32_t recover; /* RFC 6582 */

	uint32_t due_ms[LANE_TT_TIMERS];
	uint32_t start_ms;  /* when it was opened; user time-out: since when nothing is acked */
	uint32_t ctl_tx_us; /* when SYN or FIN was sent, mod 2^32; 0: never or twice */
	uint8_t ca_state;
	uint8_t retries; /* retransmissions or probes in a row */
	uint8_t push : 1; /* the cork limit passed: the last segment goes now */
	uint8_t tune_drained : 1; /* in this round the program took nearly all there was */
	uint8_t urg_state; /* enum lane_tcp_urg */
	uint16_t nr_ooo;   /* frames */
	uint16_t nr_ranges; /* that they make up */
	uint32_t pace;	   /* index of what pacing has, LANE_NIL: not paced */
	uint32_t fin_seq;  /* LANE_TF_OOO_FIN */
	uint32_t fin_stamp; /* when it came last, among the ranges (ooo.c) */
	uint32_t urg_seq;  /* of the urgent byte, while urg_state is not NONE */
	uint32_t snd_up;
	uint32_t tune_seq, tune_us; /* receive autotuning (tune.c): start of this round */
	uint32_t tune_space;	    /* the most bytes that the program took in one, 0: none is over */
	uint32_t tune_mark;	    /* the last echo, or the edge that a window is measured to */
	uint32_t tune_since_us;	    /* when that was set, or tune_ms left first, mod 2^32; 0: never */
	uint32_t rcv_rtt_us;	    /* the receiver's round trip, 0: unknown */
	uint16_t tune_ms, tune_drained_ms; /* the last tick of our timestamps; when it was drained last, or the buffer shrank; low halves */
	uint32_t tune_prior_us; /* when the tick before it left first, 0: it did not */
	uint64_t delivered;	    /* bytes, SACKed ones included */
	struct lane_cc cc;
	struct lane_tcp_rec rec;
	struct lane_rate rate;
} __attribute__((aligned(64)));

#endif
