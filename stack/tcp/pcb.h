/*
 * pcb.h - a TCP connection's control block, and how the parts of stack/tcp call each other
 *
 * Theory of operation. A pcb lies in the lane's shared memory and is named by its index; all links
 * are indices. It is on up to four lists at once, each with a link of its own: the flow table (or
 * listener table), its listener's accept queue (link, qprev), the events list and the output
 * list. The last two are drained once a turn, so a pcb that ends while it is on them is only
 * marked LANE_TF_DEAD and its slot is freed when it is taken off.
 *
 * Sequence numbers: snd_una <= snd_nxt <= snd_end + 1 (FIN). snd_nxt is the highest ever sent and
 * never moves back; what is to be sent again are the frames marked LANE_SND_LOST (none lies before
 * rtx_frame) and, with LANE_TF_RTX_HEAD, the oldest segment. Text lies in frames from sndq_head on, one
 * segment a frame; snd_unsent is the first that never left. SYN and FIN have no frame. The marks of the
 * frames are RFC 2018's scoreboard; struct lane_tcp_rec sums them up (sack.c, rack.c, loss.c).
 *
 * The receive queue is a flat list of frames; rcv_used counts also what lane_tcp_take() lent and
 * lane_tcp_received() did not give back. rcv_adv is the right edge of the window that the peer was
 * told; it never moves left, and nothing beyond it is taken.
 *
 * Timers: a few deadlines in milliseconds (mod 2^32), one entry in the lane's wheel (timer.c).
 */
#ifndef LANE_TCP_PCB_H
#define LANE_TCP_PCB_H

#include <assert.h>
#include <errno.h>

#include <lane/tcp.h>

#include "lane-int/engine.h"
#include "stack/base/seq.h"
#include "stack/tcp/cc.h"
#include "stack/tcp/pace.h"
#include "stack/tcp/rate.h"
#include "stack/tcp/rto.h"
#include "stack/wire/tcp.h"

#define LANE_TF_USED        0x00000001U /* the slot is taken */
#define LANE_TF_ORPHAN      0x00000002U /* the program let go */
#define LANE_TF_HASHED      0x00000004U /* in conns (or listeners) */
#define LANE_TF_CLAIMED     0x00000008U /* counts in the claim of its local port */
#define LANE_TF_OUTPUT      0x00000010U /* on st->output */
#define LANE_TF_EVENTS      0x00000020U /* on st->events */
#define LANE_TF_DEAD        0x00000040U /* free it when it leaves the lists */
#define LANE_TF_EMBRYO      0x00000080U /* being made of a handshake: nobody holds it yet */
#define LANE_TF_ACCQ        0x00000100U /* in its listener's accept queue */
#define LANE_TF_TS          0x00000200U /* timestamps were agreed on */
#define LANE_TF_SACK        0x00000400U /* SACK was agreed on */
#define LANE_TF_WSCALE      0x00000800U /* window scaling was agreed on */
#define LANE_TF_ACK_NOW     0x00001000U /* an ACK is due at the end of this turn */
#define LANE_TF_SYN_DUE     0x00002000U /* a SYN or SYN-ACK is due */
#define LANE_TF_RTX_HEAD    0x00004000U /* the oldest segment is due again */
#define LANE_TF_PROBE_DUE   0x00008000U /* a window or keepalive probe is due */
#define LANE_TF_WR_SHUT     0x00010000U /* nothing will be written any more: a FIN follows the text */
#define LANE_TF_FIN_SENT    0x00020000U /* our FIN has left (it is snd_end) */
#define LANE_TF_RD_SHUT     0x00040000U /* the program wants no more text */
#define LANE_TF_PEER_FIN    0x00080000U /* the peer's FIN came, and all before it */
#define LANE_TF_OOO_FIN     0x00100000U /* a FIN waits at fin_seq */
#define LANE_TF_CONNECTED   0x00200000U /* got to ESTABLISHED */
#define LANE_TF_NOSPACE     0x00400000U /* a write fell short: tell when space is back */
#define LANE_TF_MORE        0x00800000U /* the last write said MSG_MORE */
#define LANE_TF_URG_SND     0x01000000U /* snd_up is ahead of snd_una */
#define LANE_TF_RCVBUF_SET  0x02000000U /* the program chose rcvbuf: no autotuning */
#define LANE_TF_SNDBUF_SET  0x04000000U /* the same for sndbuf */
#define LANE_TF_V6ONLY      0x08000000U /* listener */
#define LANE_TF_CWND_LIMITED 0x10000000U /* the window stopped output last time */
#define LANE_TF_WAS_RESET   0x40000000U /* ended by error: read gives 0 and write EPIPE after it */
#define LANE_TF_PASSIVE     0x80000000U /* opened by the peer */

/* The deadlines of a pcb. */
enum lane_tcp_timer {
	LANE_TT_RTX,  /* retransmission; zero-window probe while nothing is in flight */
	LANE_TT_DACK, /* delayed ACK */
	LANE_TT_KEEP, /* keepalive; an orphan's FIN_WAIT_2 */
	LANE_TT_CORK, /* the limit of TCP_CORK and MSG_MORE */
	LANE_TT_RETRY, /* a neighbour, a frame or room in a queue that output waits for */
	LANE_TT_LOSS, /* RFC 8985: reordering is waited for until then, or a tail loss probe is due */
	LANE_TT_TIMERS
};

/* As Linux' tcpi_ca_state. */
enum lane_tcp_ca {
	LANE_CA_OPEN = 0,
	LANE_CA_DISORDER = 1,
	LANE_CA_CWR = 2, /* the peer echoed congestion: PRR reduces the window */
	LANE_CA_RECOVERY = 3,
	LANE_CA_LOSS = 4
};

/* lane_buf.snd_state of a frame that was sent. */
#define LANE_SND_SACKED	 0x1 /* the peer has it, but not all before it */
#define LANE_SND_LOST	 0x2
#define LANE_SND_RETRANS 0x4 /* sent again, and that is still on its way */

/* lane_tcp_rec.bits */
#define LANE_RB_REORDERED   0x01 /* the path reorders: RACK waits */
#define LANE_RB_DSACK_ROUND 0x02 /* dsack_round is good */
#define LANE_RB_TLP	    0x04 /* a probe is out: tlp_end is good */
#define LANE_RB_TLP_RETRANS 0x08 /* and it was text sent again */
#define LANE_RB_TLP_DUE	    0x10
#define LANE_RB_UNDO	    0x20 /* undo_una, undo_ms, nr_undo are good */
#define LANE_RB_FRTO	    0x40 /* after a time-out, not known yet to be real */
#define LANE_RB_FRTO_NEW    0x80 /* and new text is what tells */

/* lane_tcp.ecn */
#define LANE_ECN_OK	 0x01 /* agreed on */
#define LANE_ECN_ASKED	 0x02 /* a SYN of ours asked */
#define LANE_ECN_GAVE_UP 0x04 /* and was refused */
#define LANE_ECN_ECHO	 0x08 /* ECE is due on all that leaves */
#define LANE_ECN_CWR	 0x10 /* CWR is due on the next new text */
#define LANE_ECN_SEEN	 0x20 /* text came as ECT */

enum lane_tcp_urg { LANE_URG_NONE, LANE_URG_AHEAD, LANE_URG_HERE, LANE_URG_READ };

#define LANE_QUICK_ACKS     16	   /* segments that are ACKed at once at the start and after loss */
#define LANE_DACK_MAX_US    40000  /* tcp.md 1 */
#define LANE_CORK_US	    200000 /* TCP_CORK holds no longer */
#define LANE_RETRY_US	    2000   /* look again for a neighbour, a frame, room in the tx queue */
#define LANE_DUP_THRESH	    3	   /* RFC 5681 */
#define LANE_REORDERING_MAX 300	   /* segments, as Linux */
#define LANE_TXQ_HIGH	    128	   /* packets on st->txq beyond which no new text is sent */
#define LANE_SYNQ_MIN	    128	   /* half-open connections that any listener may have, if the pool has them */

/* A listener's own; it has no congestion control. */
struct lane_tcp_lq {
	struct lane_list waiting; /* for accept */
	uint32_t nr_syns, nr_young; /* half-open ones (synq.c), those without a time-out yet */
	uint32_t nr_waiting, backlog;
};

/* Loss detection and recovery of a sender (RFC 8985, 6937, 5682, 3522). */
struct lane_tcp_rec {
	uint32_t sacked, lost, retrans; /* bytes of frames with these marks; without SACK 'sacked' is 0 */
	uint16_t nr_sacked; /* frames; without SACK duplicate ACKs */
	uint16_t reordering; /* segments, the most seen */
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

struct lane_tcp {
	/* RX-hot */
	uint32_t link;	/* free list; next in the listener's queue */
	uint32_t flags; /* LANE_TF_* */
	uint8_t state;	/* enum lane_tcp_state */
	uint8_t snd_wscale, rcv_wscale;
	uint8_t quick; /* segments still to be ACKed at once */
	uint32_t rcv_nxt, rcv_adv;
	uint32_t rcv_acked; /* rcv_nxt in the last ACK that we sent */
	uint32_t snd_una, snd_nxt, snd_wnd, snd_wl1, snd_wl2;
	uint32_t ts_recent, ts_offset;
	uint32_t rcvq_head;
	uint32_t last_rx_ms;

	struct lane_ip local_ip, remote_ip;
	uint16_t local_port, remote_port;
	uint32_t rcvq_tail;
	uint32_t rcv_queued; /* bytes in the receive queue */
	uint32_t rcv_used;   /* bytes of the receive buffer in use: queued and lent */
	uint32_t rcv_limit;  /* bytes of payload that it may hold */
	uint32_t ooo_head;   /* out-of-order ranges (ooo.c) */

	/* TX-hot */
	struct lane_path path;
	uint32_t sndq_head, sndq_tail, snd_unsent, rtx_frame;
	uint32_t snd_end;     /* behind the last byte written */
	uint32_t nr_sndq;     /* frames */
	uint32_t snd_max_wnd; /* the largest that the peer offered */
	uint32_t snd_sml;     /* end of the last short segment sent (Minshall) */
	uint32_t recover;     /* RFC 6582 */

	struct lane_rto rto;
	struct lane_timer timer;
	uint32_t due_ms[LANE_TT_TIMERS];
	uint16_t snd_mss;  /* text bytes of a full segment now */
	uint16_t peer_mss; /* the peer's MSS option, 536 without */
	uint8_t armed;	   /* 1 << enum lane_tcp_timer */
	uint8_t ecn;	   /* LANE_ECN_* */
	uint8_t ca_state;
	uint8_t retries;  /* retransmissions or probes in a row */
	uint8_t pingpong; /* our text answers the peer's: it will carry the ACKs */

	struct lane_cc cc; /* unused by a listener, as is what follows */
	struct lane_tcp_rec rec;
	struct lane_rate rate;
	uint32_t pace; /* index of what pacing has, LANE_NIL: not paced */
	uint64_t delivered; /* bytes, SACKed ones included */
	struct lane_tcp_lq lq;

	uint32_t out_next, ev_next, qprev;
	uint32_t parent; /* listener, while in its queue */
	uint64_t cookie;
	uint8_t events; /* LANE_EV_* */
	uint8_t err;	/* pending errno */
	uint8_t soft_err;
	uint8_t urg_state; /* enum lane_tcp_urg */
	uint8_t keep_probes;
	uint8_t push; /* the cork limit passed: the last segment goes now */
	uint16_t nr_ooo; /* frames */
	uint32_t rcv_mss;
	uint32_t sack_seq; /* lies in the range that changed last */
	uint32_t fin_seq;  /* LANE_TF_OOO_FIN */
	uint32_t urg_seq;  /* of the urgent byte, while urg_state is not NONE */
	uint32_t snd_up;
	uint32_t ctl_tx_us; /* when SYN or FIN was sent, mod 2^32; 0: never or twice */
	uint32_t tune_seq, tune_us; /* receive autotuning: start of this round */
	uint32_t start_ms;	/* when it was opened; user time-out: since when nothing is acked */
	uint32_t last_tx_ms;	/* text */
	uint32_t last_rxtext_ms;
	uint32_t min_rtt_us;
	uint32_t segs_in, segs_out, nr_retrans;
	uint64_t bytes_received, bytes_sent, bytes_retrans;
	struct lane_tcp_opts_set opts;
} __attribute__((aligned(64)));

/* A received segment on its way through input; its text lies in pkt->b once stripped. */
struct lane_seg {
	struct lane_pkt *pkt;
	uint32_t seq, ack;
	uint32_t len; /* bytes of text */
	uint32_t wnd; /* unscaled */
	uint8_t flags;
	uint32_t skip; /* bytes of text cut off in front */
	uint32_t iss;  /* from a TIME_WAIT record that gave way, 0: none */
	uint32_t hash; /* of its flow */
	uint32_t maybe; /* pcb that it probably belongs to, LANE_NIL: none */
	uint32_t nr;	/* segments that were merged to this one */
	uint32_t part;	/* bytes of text in the longest of them */
	bool done;     /* the connection is no more: leave the pcb alone */
	struct lane_tcp_info ti; /* as it came */
};

static inline void lane_seg_eps(const struct lane_seg *seg, struct lane_ep *local, struct lane_ep *remote)
{
	local->ip = seg->pkt->ip.dst;
	local->port = seg->ti.dport;
	remote->ip = seg->pkt->ip.src;
	remote->port = seg->ti.sport;
}

/* Bytes in front of the text of a packet that has its headers still. */
static inline uint32_t lane_seg_hdrs(const struct lane_seg *seg)
{
	return (uint32_t)(seg->pkt->b->l4_off - seg->pkt->b->off) + seg->ti.hlen;
}

/* ---- input.c ---- */
/* One parsed segment through the RFC's steps; returns as lane_tcp_in() sets it. */
enum lane_drop lane_tcp_seg_in(struct lane *ln, struct lane_seg *seg);

/* ---- pcb.c ---- */
static inline uint32_t lane_tcp_idx(const struct lane *ln, const struct lane_tcp *pcb)
{
	return (uint32_t)(pcb - ln->tcps);
}

static inline struct lane_tcp *lane_tcp_get(const struct lane *ln, uint32_t i)
{
	return i < ln->st->tcp_pool.nr ? &ln->tcps[i] : NULL;
}

/* Fetches it into the cache. */
static inline void lane_tcp_prefetch(const struct lane *ln, uint32_t i)
{
	const char *pcb = (const char *)lane_tcp_get(ln, i);

	for (size_t at = 0; pcb && at < sizeof(struct lane_tcp); at += 64)
		__builtin_prefetch(pcb + at, 1);
}

/* It is the connection local <- remote. */
static inline bool lane_tcp_is(const struct lane_tcp *pcb, const struct lane_ep *local,
			       const struct lane_ep *remote)
{
	return pcb->remote_port == remote->port && pcb->local_port == local->port &&
	       lane_ip_equal(&pcb->remote_ip, &remote->ip) &&
	       lane_ip_equal(&pcb->local_ip, &local->ip);
}

static inline uint32_t lane_now_ms(const struct lane *ln)
{
	return (uint32_t)(ln->now_us / 1000);
}

/* Names the pcb that a call is about to change: it is reset if the caller dies in the lock. */
static inline void lane_tcp_work(struct lane *ln, const struct lane_tcp *pcb)
{
	ln->st->pcb_at_work = lane_tcp_idx(ln, pcb);
}

/* Our FIN is to be sent and has not left yet. */
static inline bool lane_tcp_fin_due(const struct lane_tcp *pcb)
{
	return (pcb->flags & LANE_TF_WR_SHUT) && !(pcb->flags & LANE_TF_FIN_SENT);
}

struct lane_ep lane_tcp_local_ep(const struct lane_tcp *pcb);
struct lane_ep lane_tcp_remote_ep(const struct lane_tcp *pcb);
/* Enters and removes a connection in ln->conns (a listener in ln->listeners). -ENOSPC. */
int lane_tcp_hash(struct lane *ln, struct lane_tcp *pcb);
void lane_tcp_unhash(struct lane *ln, struct lane_tcp *pcb);
/* The connection local <- remote, whose flow hash is 'hash', or NULL. */
struct lane_tcp *lane_tcp_find(const struct lane *ln, uint32_t hash, const struct lane_ep *local,
			       const struct lane_ep *remote);
void lane_tcp_claim(struct lane *ln, struct lane_tcp *pcb, enum lane_claim_kind kind);
void lane_tcp_unclaim(struct lane *ln, struct lane_tcp *pcb);
/* Ends a connection's life in the network: no timers, tables, claims, frames to send; state CLOSED. */
void lane_tcp_detach(struct lane *ln, struct lane_tcp *pcb);
/* Detaches, and frees the slot once it is off the lists. 'pcb' must not be used again. */
void lane_tcp_free(struct lane *ln, struct lane_tcp *pcb);
/* A connection that ended: detached, kept for a program that holds it, else freed. */
void lane_tcp_done(struct lane *ln, struct lane_tcp *pcb);
/* The same with an error for the program. */
void lane_tcp_fail(struct lane *ln, struct lane_tcp *pcb, int err);
void lane_tcp_notify(struct lane *ln, struct lane_tcp *pcb, uint8_t events);
/* Puts it on the output list. */
void lane_tcp_want_output(struct lane *ln, struct lane_tcp *pcb);
/* Every link of a zeroed pcb names nothing. */
void lane_tcp_reset_fields(struct lane_tcp *pcb);
void lane_tcp_default_opts(const struct lane *ln, struct lane_tcp_opts_set *o);
/* Frees a flat list of frames. */
void lane_tcp_free_frames(struct lane *ln, uint32_t head);

/* ---- listen.c ---- */
/* A listener for a SYN to 'local' whose flow hash is 'hash', or NULL. */
struct lane_tcp *lane_tcp_find_listener(const struct lane *ln, const struct lane_ep *local,
					uint32_t hash);
/* A connection that a peer opened is established: it waits for accept. */
void lane_tcp_complete(struct lane *ln, struct lane_tcp *pcb);
/* Takes it out of its listener's queue. */
void lane_tcp_unqueue(struct lane *ln, struct lane_tcp *pcb);
/* Ends a listener: its queued connections are reset. */
void lane_tcp_listen_stop(struct lane *ln, struct lane_tcp *l);

/* ---- connect.c, handshake of both kinds ---- */
/* Takes what the peer's SYN (or SYN-ACK) offers; 'seg' also gives irs. */
void lane_tcp_take_syn(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg);
/* Sets up sequence numbers and windows of a new connection. */
void lane_tcp_start(struct lane *ln, struct lane_tcp *pcb, uint32_t iss);
/* SYN_SENT or SYN_RECEIVED -> ESTABLISHED. */
void lane_tcp_established(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg);
/* snd_mss from the peer's MSS, the path's MTU and the options that each segment carries. */
void lane_tcp_update_mss(struct lane *ln, struct lane_tcp *pcb);
/* The scale of the windows that we offer; of a listener, that its connections will. */
uint8_t lane_tcp_pick_wscale(const struct lane *ln, const struct lane_tcp *pcb);
/* What a peer takes that does not say its MSS (RFC 9293 3.7.1). */
uint16_t lane_tcp_default_mss(const struct lane_ip *remote);
/* The MSS that we offer on a path, 'maxseg' (0: none) at most; and of a connection. */
uint16_t lane_tcp_offer_mss(const struct lane_path *path, const struct lane_ip *remote, uint16_t maxseg);
uint16_t lane_tcp_adv_mss(const struct lane *ln, const struct lane_tcp *pcb);
enum lane_drop lane_tcp_in_syn_sent(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg);

/* What one ACK brought, gathered before the congestion control hears of it. */
struct lane_acked {
	uint32_t bytes;	    /* cumulatively */
	uint32_t delivered; /* newly, by SACK or without */
	uint32_t sacked;    /* newly SACKed */
	uint32_t lost;	    /* newly marked */
	uint32_t rtt_us;    /* 0: none */
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

/* ---- ack.c ---- */
enum lane_drop lane_tcp_ack_in(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg);
/* True when our FIN was sent and is acknowledged. */
bool lane_tcp_fin_acked(const struct lane_tcp *pcb);

/* ---- sack.c: the scoreboard ---- */
/* Bytes that are thought to be in the network (RFC 6675's pipe). */
uint32_t lane_tcp_in_flight(const struct lane_tcp *pcb);
/* Marks what the SACK blocks of 'seg' name; a DSACK goes to 'a'. */
void lane_tcp_sack_in(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg,
		      struct lane_acked *a);
/* 'b' is acknowledged cumulatively: its marks go, and what they tell is taken. */
void lane_tcp_sack_acked(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg,
			 struct lane_buf *b, struct lane_acked *a);
/* The first 'n' bytes of 'b' are acknowledged: the sums get smaller. */
void lane_tcp_sack_trim(struct lane_tcp *pcb, const struct lane_buf *b, uint32_t n);
/* 'b' is to be sent (again), unless it was SACKed or waits for that. True if it was marked. */
bool lane_tcp_mark_lost(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b);
/* 'b' was sent again. */
void lane_tcp_mark_retrans(struct lane_tcp *pcb, struct lane_buf *b);
/* Nothing is lost after all. */
void lane_tcp_unmark_lost(struct lane *ln, struct lane_tcp *pcb);
/* RFC 2018 8: the peer has dropped what it had SACKed, if it lacks the first. */
void lane_tcp_check_renege(struct lane *ln, struct lane_tcp *pcb);
/* The next frame to send again, NULL: none. */
struct lane_buf *lane_tcp_next_lost(struct lane *ln, struct lane_tcp *pcb);
/* The peer sent [start, end) again: report it (RFC 2883). */
void lane_tcp_note_dup(struct lane_tcp *pcb, uint32_t start, uint32_t end);

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
void lane_tcp_rack_dsack(struct lane_tcp *pcb);
/* A recovery has ended. */
void lane_tcp_rack_recovered(struct lane_tcp *pcb);
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
bool lane_tcp_loss_idle(const struct lane_tcp *pcb);
/* The same, or the window is only being reduced for an echo of congestion. */
bool lane_tcp_loss_quiet(const struct lane_tcp *pcb);
/* Something was marked lost without an ACK: recovery begins, unless it is under way. */
void lane_tcp_loss_found(struct lane *ln, struct lane_tcp *pcb, struct lane_acked *a);
/* The retransmission timer expired. */
void lane_tcp_enter_loss(struct lane *ln, struct lane_tcp *pcb);
/* The path takes no more than snd_mss: what is larger and in flight goes again. */
void lane_tcp_loss_too_big(struct lane *ln, struct lane_tcp *pcb);
/* 'b' leaves, again if nr_tx says so. */
void lane_tcp_loss_sent(struct lane_tcp *pcb, struct lane_buf *b);

/* ---- ackpolicy.c: when we acknowledge (tcp.md 1) ---- */
void lane_tcp_ack_now(struct lane *ln, struct lane_tcp *pcb);
/* The next segments are ACKed at once: after loss, and when a delay did harm. */
void lane_tcp_ack_quick(struct lane_tcp *pcb);
/* Text of ours leaves for the first time. */
void lane_tcp_ack_carried(struct lane *ln, struct lane_tcp *pcb);
/* 'len' bytes came in order. */
void lane_tcp_ack_text(struct lane *ln, struct lane_tcp *pcb, uint32_t len);
/* An ACK for something wrong, at most 1000 a second (RFC 5961 7). */
void lane_tcp_challenge(struct lane *ln, struct lane_tcp *pcb);
/* Counts one such ACK; false: it must not be sent. */
bool lane_tcp_may_challenge(struct lane *ln);
/* A segment with our ACK has left. */
void lane_tcp_ack_sent(struct lane *ln, struct lane_tcp *pcb);

/* ---- rcv.c, ooo.c ---- */
/* Leaves 'keep' (> 0) bytes behind the first 'skip' of a packet; frees emptied frames. Sets pkt_len and,
 * in 'user', the index of the last frame. Returns owned the first frame left. */
struct lane_buf *lane_tcp_trim(struct lane *ln, struct lane_buf *b, uint32_t skip, uint32_t keep);
/* Takes the text of 'seg', which lies in the window; in order or not. */
enum lane_drop lane_tcp_text_in(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg);
/* Appends a packet made by lane_tcp_trim() that starts at rcv_nxt. Consumes 'b'. */
void lane_tcp_rcvq_append(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b);
enum lane_drop lane_tcp_ooo_insert(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b,
				   uint32_t seq);
/* Moves what became in order to the receive queue. True if it did. */
bool lane_tcp_ooo_deliver(struct lane *ln, struct lane_tcp *pcb);
void lane_tcp_ooo_free(struct lane *ln, struct lane_tcp *pcb);
/* Where the last range ends. There is one. */
uint32_t lane_tcp_ooo_end(const struct lane *ln, const struct lane_tcp *pcb);
/* Takes an urgent byte that is next away: a newer one is announced, and it would become text. */
void lane_tcp_skip_mark(struct lane *ln, struct lane_tcp *pcb);
/* Fills in SACK blocks: a duplicate (RFC 2883), then the latest range (RFC 2018 4). */
void lane_tcp_ooo_sack(struct lane *ln, struct lane_tcp *pcb, struct lane_tcp_opts *o, uint8_t max);
/* The window to advertise now, in bytes, scale applied; moves rcv_adv. */
uint16_t lane_tcp_select_window(struct lane *ln, struct lane_tcp *pcb);
uint32_t lane_tcp_rcv_space(const struct lane *ln, const struct lane_tcp *pcb);
/* True when few frames are left: buffers take less. */
bool lane_tcp_frames_short(const struct lane *ln);
/* So few that who has unread text gets no more: what a driver leaves for sending (1/16), and a frame
 * for each connection that has none. */
bool lane_tcp_frames_scarce(const struct lane *ln);
void lane_tcp_urg_in(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg);
/* Sequence number of the next byte that the program reads. */
uint32_t lane_tcp_copied_seq(const struct lane_tcp *pcb);

/* ---- output.c, segment.c ---- */
/* Sends all that may be sent: control, retransmissions, new text, FIN, a due ACK. */
void lane_tcp_output(struct lane *ln, struct lane_tcp *pcb);
/* Transmits the frame 'b' of the send queue, in place or by a copy. False: no frame. */
bool lane_tcp_xmit(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b);
/* Sends a segment without text: ACK, FIN, SYN, probe (seq snd_una - 1). False: no frame. */
bool lane_tcp_xmit_ctl(struct lane *ln, struct lane_tcp *pcb, uint8_t flags, uint32_t seq);
bool lane_tcp_xmit_syn(struct lane *ln, struct lane_tcp *pcb);
/* RST for a connection, at snd_nxt. */
void lane_tcp_xmit_rst(struct lane *ln, struct lane_tcp *pcb);
/* RST that answers a stray segment (RFC 9293 3.5.2). */
void lane_tcp_reply_rst(struct lane *ln, const struct lane_seg *seg);
/* Sends a segment of no pcb by 'path', which is up to date. */
void lane_tcp_xmit_to(struct lane *ln, const struct lane_path *path, const struct lane_ip *src,
		      const struct lane_ip *dst, const struct lane_tcp_info *info, uint8_t tos,
		      uint8_t ttl);
/* Answers with a segment of no pcb: 'info' has ports, seq, ack, flags, wnd, options. */
void lane_tcp_reply(struct lane *ln, const struct lane_pkt *pkt, struct lane_tcp_info *info);
/* Fills in the timestamp option. */
void lane_tcp_put_ts(const struct lane *ln, const struct lane_tcp *pcb, struct lane_tcp_opts *o);

/* ---- icmp.c ---- */
/* Nothing comes back though it is sent again: smaller segments may get through (RFC 4821). */
void lane_tcp_black_hole(struct lane *ln, struct lane_tcp *pcb);

/* ---- write.c ---- */
/* Bytes that a connection may queue. With half of the frames in use all connections together get a
 * quarter of them: those that do not read must leave something to those who come later. */
uint32_t lane_tcp_fair_share(const struct lane *ln);
uint32_t lane_tcp_snd_limit(const struct lane *ln, const struct lane_tcp *pcb);
uint32_t lane_tcp_snd_space(const struct lane *ln, const struct lane_tcp *pcb);
bool lane_tcp_is_writable(const struct lane *ln, const struct lane_tcp *pcb);
/* Tells a writer that waits when space is back. */
void lane_tcp_space_back(struct lane *ln, struct lane_tcp *pcb);

/* ---- timer.c ---- */
void lane_tcp_arm(struct lane *ln, struct lane_tcp *pcb, enum lane_tcp_timer t, uint64_t in_us);
static inline void lane_tcp_disarm(struct lane_tcp *pcb, enum lane_tcp_timer t)
{
	pcb->armed &= (uint8_t)~(1U << t);
}
static inline bool lane_tcp_armed(const struct lane_tcp *pcb, enum lane_tcp_timer t)
{
	return pcb->armed & (1U << t);
}
/* Starts the wheel's entry for what is armed, unless it stands there or before. */
void lane_tcp_rearm(struct lane *ln, struct lane_tcp *pcb);
void lane_tcp_keepalive_start(struct lane *ln, struct lane_tcp *pcb);

/* ---- timewait.c ---- */
/* The connection goes to TIME_WAIT: a record answers for it from now on. */
void lane_tcp_time_wait(struct lane *ln, struct lane_tcp *pcb);
struct lane_tw *lane_tcp_tw_find(const struct lane *ln, uint32_t hash, const struct lane_ep *local,
				 const struct lane_ep *remote);
/* A segment for a record. LANE_OK: a SYN that may open the connection anew (RFC 6191); the record is
 * gone and seg->iss is where to start. */
enum lane_drop lane_tcp_tw_in(struct lane *ln, struct lane_tw *tw, struct lane_seg *seg);
void lane_tcp_tw_remove(struct lane *ln, struct lane_tw *tw);
/* May an active open take a 4-tuple that is in TIME_WAIT? Then the record is gone, and *iss (if not 0)
 * is where to start. */
bool lane_tcp_tw_yield(struct lane *ln, struct lane_tw *tw, uint32_t *iss);
/* Enters all records in their table and list anew (recover.c). */
void lane_tcp_tw_recover(struct lane *ln);
void lane_tcp_tw_timers(struct lane *ln);
uint64_t lane_tcp_tw_next(const struct lane *ln);

#include "stack/tcp/congest.h"

#endif
