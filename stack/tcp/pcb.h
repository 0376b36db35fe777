/*
 * pcb.h - a TCP connection's control block, and how the parts of stack/tcp call each other
 *
 * Theory of operation. A pcb lies in the lane's shared memory and is named by its index; all links
 * are indices. It is on up to four lists at once, each with a link of its own: the flow table (or
 * listener table), its listener's accept queue (link, qprev), the events list and the output
 * list. The last two are drained once a turn, so a pcb that ends while it is on them is only
 * marked LANE_TF_DEAD and its slot is freed when it is taken off.
 *
 * An idle connection is its pcb alone. What counts only while something is queued, in flight, out of order,
 * armed, being recovered or measured lies in an extension (struct lane_tcp_x) of a smaller pool; x.c says
 * when a connection has one. Options are shared by all who have the same (opts.c), a listener's queues
 * lie apart (struct lane_tcp_lq), as do the upper 96 bits of IPv6 addresses (struct lane_tcp_ip6).
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
#include "stack/tcp/x.h"
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
#define LANE_TF_RETIRED     0x20000000U /* listener: its address is claimed no more, for all that share it */
#define LANE_TF_WAS_RESET   0x40000000U /* ended by error: read gives 0 and write EPIPE after it */
#define LANE_TF_PASSIVE     0x80000000U /* opened by the peer */

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

/* lane_tcp.ecn */
#define LANE_ECN_OK	 0x01 /* agreed on */
#define LANE_ECN_ASKED	 0x02 /* a SYN of ours asked */
#define LANE_ECN_GAVE_UP 0x04 /* and was refused */
#define LANE_ECN_ECHO	 0x08 /* ECE is due on all that leaves */
#define LANE_ECN_CWR	 0x10 /* CWR is due on the next new text */
#define LANE_ECN_SEEN	 0x20 /* text came as ECT */

enum lane_tcp_urg { LANE_URG_NONE, LANE_URG_AHEAD, LANE_URG_HERE, LANE_URG_READ };

#define LANE_BASE_WND	    16384U /* what anyone may be told with frames enough: more than RFC 6928's initial window */
#define LANE_START_LEVELS   4	   /* of the window that a SYN offers; the last is the least */
#define LANE_QUICK_ACKS     16	   /* segments that are ACKed at once at the start and after loss */
#define LANE_DACK_MAX_US    40000  /* tcp.md 1 */
#define LANE_CORK_US	    200000 /* TCP_CORK holds no longer */
#define LANE_RETRY_US	    2000   /* look again for a neighbour, a frame, room in the tx queue */
#define LANE_DUP_THRESH	    3	   /* RFC 5681 */
#define LANE_REORDERING_MAX 300	   /* segments, as Linux */
#define LANE_TXQ_HIGH	    128	   /* packets on st->txq beyond which no new text is sent */
#define LANE_SYNQ_MIN	    128	   /* half-open connections that any listener may have, if the pool has them */

struct lane_tcp {
	/* RX-hot */
	union {
		uint64_t cookie;
		struct { /* while no program has it */
			uint32_t link;	/* free list; next in the listener's queue */
			uint32_t qprev;
		};
	};
	uint32_t flags;		/* LANE_TF_* */
	uint8_t state : 4;	/* enum lane_tcp_state */
	uint8_t snd_wscale : 4;
	uint8_t armed;	/* 1 << enum lane_tcp_timer */
	uint8_t ecn;	/* LANE_ECN_* */
	uint8_t events; /* LANE_EV_* */
	uint32_t local_w, remote_w; /* the last words of the addresses */
	uint16_t local_port, remote_port;
	uint32_t x; /* extension, LANE_NIL: none */
	union {
		uint32_t rcv_nxt;
		uint32_t lq; /* of a listener */
	};
	uint32_t rcv_adv;
	uint32_t snd_una, snd_nxt, snd_wnd, snd_wl1;
	uint32_t ts_recent;
	uint32_t last_rx_ms;

	/* TX-hot */
	struct lane_path path;
	struct lane_rto rto;
	uint32_t ts_offset;
	uint32_t cwnd, ssthresh, cc_kept; /* of struct lane_cc, without extension */
	uint16_t snd_mss; /* text bytes of a full segment now */
	uint16_t rcv_mss;
	uint16_t opts;	   /* struct lane_tcp_oset */
	uint16_t peer_mss; /* the peer's MSS option, 536 without */
	uint32_t last_tx_ms; /* text; of an orphan in FIN_WAIT_2: since when it is */
	uint32_t last_rxtext_ms;
	uint32_t rcv_limit; /* bytes of payload that the receive buffer may hold */

	/* warm */
	struct lane_timer timer;
	uint32_t out_next;
	union {
		uint32_t ev_next;
		uint32_t parent; /* listener, while in its queue: there are no events yet */
	};
	uint32_t min_rtt_us;
	uint32_t snd_max_wnd; /* the largest that the peer offered */
	uint32_t segs_in, segs_out;
	uint64_t err : 8; /* pending errno */
	uint64_t soft_err : 8;
	uint64_t bytes_acked : 48; /* above: to add takes no mask */
	uint64_t keep_probes : 8;
	uint64_t quick : 5;    /* segments still to be ACKed at once */
	uint64_t pingpong : 1; /* our text answers the peer's: it will carry the ACKs */
	uint64_t v6 : 1;       /* struct lane_tcp_ip6 is good */
	uint64_t reordered : 1; /* the path reorders: RACK waits */
	uint64_t bytes_received : 48;
	uint64_t reordering : 9; /* segments, the most seen */
	uint64_t rate_limited : 1; /* of struct lane_tcp_cold */
	uint64_t rcv_wscale : 4;
	uint64_t pushed : 2; /* segments that end what the peer wrote, since our last ACK; 2: more than one */
	uint64_t bytes_retrans : 48;
} __attribute__((aligned(64)));

/* RX-hot, TX-hot, warm: docs/tcp.md says what an idle connection costs. */
_Static_assert(sizeof(struct lane_tcp) == 192, "three cache lines");
_Static_assert(LANE_TCP_STATES <= 16 && LANE_TT_TIMERS <= 8 && LANE_REORDERING_MAX < 512, "fit");

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

static inline uint32_t lane_now_ms(const struct lane *ln)
{
	return ln->now_ms;
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

static inline struct lane_tcp_oset *lane_tcp_oset(const struct lane *ln, uint32_t i)
{
	return &ln->osets[i < ln->st->oset_pool.nr ? i : 0];
}

static inline const struct lane_tcp_opts_set *lane_tcp_opts(const struct lane *ln,
							    const struct lane_tcp *pcb)
{
	return &lane_tcp_oset(ln, pcb->opts)->o;
}

/* The queues of a listener; of what is none, empty ones that nobody may write. */
static inline struct lane_tcp_lq *lane_tcp_lq(const struct lane *ln, const struct lane_tcp *l)
{
	uint32_t nr = ln->st->lq_pool.nr;

	return &ln->lqs[l->state == LANE_TCP_LISTEN && l->lq < nr ? l->lq : nr];
}

/* The extension of 'pcb', or what counts without one, which nobody may write. */
static inline struct lane_tcp_x *lane_tcp_x(const struct lane *ln, const struct lane_tcp *pcb)
{
	return &ln->xs[pcb->x < ln->st->x_pool.nr ? pcb->x : ln->st->x_pool.nr];
}

/* Fetches it. */
static inline void lane_tcp_x_prefetch(const struct lane *ln, const struct lane_tcp *pcb)
{
	const char *x = (const char *)lane_tcp_x(ln, pcb);

	for (size_t at = 0; at < sizeof(struct lane_tcp_x); at += 64)
		__builtin_prefetch(x + at, 1);
}

/* What is asked for seldom. */
static inline struct lane_tcp_cold *lane_tcp_cold(const struct lane *ln, const struct lane_tcp *pcb)
{
	return &ln->tcp_colds[lane_tcp_idx(ln, pcb)];
}

static inline bool lane_tcp_is_v4(const struct lane_tcp *pcb)
{
	return !pcb->v6;
}

/* The address whose last word is 'last'; 'top' counts for IPv6 only. */
static inline struct lane_ip lane_tcp_ip(bool v6, const uint32_t top[3], uint32_t last)
{
	struct lane_ip ip;

	if (!v6)
		return lane_ip4(last);
	memcpy(ip.w, top, 3 * sizeof(ip.w[0]));
	ip.w[3] = last;
	return ip;
}

/* It is the connection local <- remote. */
bool lane_tcp_is(const struct lane *ln, const struct lane_tcp *pcb, const struct lane_ep *local,
		 const struct lane_ep *remote);
struct lane_ip lane_tcp_local_ip(const struct lane *ln, const struct lane_tcp *pcb);
struct lane_ip lane_tcp_remote_ip(const struct lane *ln, const struct lane_tcp *pcb);
struct lane_ep lane_tcp_local_ep(const struct lane *ln, const struct lane_tcp *pcb);
struct lane_ep lane_tcp_remote_ep(const struct lane *ln, const struct lane_tcp *pcb);
/* lane_path_update() of its path. */
int lane_tcp_update_path(struct lane *ln, struct lane_tcp *pcb);
/* Both ends; 'remote' of the family of 'local'. */
void lane_tcp_set_eps(struct lane *ln, struct lane_tcp *pcb, const struct lane_ep *local,
		      const struct lane_ep *remote);
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
/* Frees a flat list of frames. */
void lane_tcp_free_frames(struct lane *ln, uint32_t head);

/* ---- x.c ---- */
/* Takes an extension, unless there is one. NULL: none to be had; 'pcb' is as it was. */
struct lane_tcp_x *lane_tcp_x_get(struct lane *ln, struct lane_tcp *pcb);
/* The same for one that is about to send: it leaves some for those who receive. */
struct lane_tcp_x *lane_tcp_x_get_tx(struct lane *ln, struct lane_tcp *pcb);
/* Gives it back; what lasts goes to the pcb. Frames in its queues are forgotten. */
void lane_tcp_x_put(struct lane *ln, struct lane_tcp *pcb);
/* The same if 'pcb' is idle and soon has one again for little. */
void lane_tcp_x_rest(struct lane *ln, struct lane_tcp *pcb);
/* Half of them are free: who has one may keep it. */
static inline bool lane_tcp_x_plenty(const struct lane *ln)
{
	return ln->st->x_pool.nr_used <= ln->st->x_pool.nr / 2;
}

/* The same while they are not plenty. */
static inline void lane_tcp_rest(struct lane *ln, struct lane_tcp *pcb)
{
	if (!lane_tcp_x_plenty(ln))
		lane_tcp_x_rest(ln, pcb);
}

/* So many are not for who begins to send. */
static inline uint32_t lane_tcp_x_reserve(const struct lane *ln)
{
	const struct lane_pool *p = &ln->st->x_pool;

	/* With one for each pcb nobody waits. */
	return p->nr >= ln->st->tcp_pool.nr ? 0 : p->nr / 4 + (p->nr < 4);
}

/* One for 'pcb' (NULL: for one that has none) would be of the reserve. */
static inline bool lane_tcp_x_low(const struct lane *ln, const struct lane_tcp *pcb)
{
	uint32_t left = ln->st->x_pool.nr - ln->st->x_pool.nr_used;
	/* Two lanes that open connections to each other must not wait for each other either. */
	bool answers = pcb && pcb->state == LANE_TCP_SYN_RECEIVED && (pcb->flags & LANE_TF_PASSIVE);

	return left + (pcb && pcb->x != LANE_NIL) <= lane_tcp_x_reserve(ln) >> answers;
}

/* 'pcb' may begin to send: it has an extension, or would get one. */
static inline bool lane_tcp_x_may_send(const struct lane *ln, const struct lane_tcp *pcb)
{
	return !lane_tcp_x_low(ln, pcb) || pcb->snd_una != pcb->snd_nxt ||
	       lane_tcp_x(ln, pcb)->sndq_head != LANE_NIL || !ln->st->x_short;
}

void lane_tcp_x_init(struct lane *ln);
void lane_tcp_x_recover(struct lane *ln);
void lane_tcp_x_check(const struct lane *ln);

/* Behind the last byte written. */
static inline uint32_t lane_tcp_snd_end(const struct lane *ln, const struct lane_tcp *pcb)
{
	if (pcb->x == LANE_NIL)
		return pcb->snd_nxt - !!(pcb->flags & LANE_TF_FIN_SENT);
	return lane_tcp_x(ln, pcb)->snd_end;
}

/* Bytes of text sent, again and again counted: all that was sent once is acknowledged or in flight. */
static inline uint64_t lane_tcp_bytes_sent(const struct lane_tcp *pcb)
{
	uint32_t flight = pcb->snd_nxt - pcb->snd_una;

	if (!(pcb->flags & LANE_TF_CONNECTED))
		return 0;
	if (flight && (pcb->flags & LANE_TF_FIN_SENT))
		flight--;
	return pcb->bytes_acked + flight + pcb->bytes_retrans;
}

/* rcv_nxt in the last ACK that we sent. */
static inline uint32_t lane_tcp_rcv_acked(const struct lane *ln, const struct lane_tcp *pcb)
{
	return pcb->x == LANE_NIL ? pcb->rcv_nxt : lane_tcp_x(ln, pcb)->rcv_acked;
}

static inline uint32_t lane_tcp_cwnd(const struct lane *ln, const struct lane_tcp *pcb)
{
	return pcb->x == LANE_NIL ? pcb->cwnd : lane_tcp_x(ln, pcb)->cc.cwnd;
}

static inline uint32_t lane_tcp_ssthresh(const struct lane *ln, const struct lane_tcp *pcb)
{
	return pcb->x == LANE_NIL ? pcb->ssthresh : lane_tcp_x(ln, pcb)->cc.ssthresh;
}

/* ---- opts.c ---- */
void lane_tcp_default_opts(const struct lane *ln, struct lane_tcp_opts_set *o);
/* 'pcb' has these options from now on. -ENOBUFS: too many different ones. */
int lane_tcp_opts_take(struct lane *ln, struct lane_tcp *pcb, const struct lane_tcp_opts_set *o);
/* A new pcb has the defaults of now: sysctls may have changed since the lane was made. */
void lane_tcp_opts_fresh(struct lane *ln, struct lane_tcp *pcb);
/* It has those of another pcb. */
void lane_tcp_opts_share(struct lane *ln, struct lane_tcp *pcb, const struct lane_tcp *of);
/* It has the lane's defaults. */
void lane_tcp_opts_drop(struct lane *ln, struct lane_tcp *pcb);
void lane_tcp_opts_init(struct lane *ln);
void lane_tcp_opts_recover(struct lane *ln);
void lane_tcp_opts_check(const struct lane *ln);

/* ---- listen.c ---- */
/* A listener's queues. -ENOBUFS. */
int lane_tcp_lq_get(struct lane *ln, struct lane_tcp *l);
void lane_tcp_lq_put(struct lane *ln, struct lane_tcp *l);
void lane_tcp_lq_init(struct lane *ln);
void lane_tcp_lq_recover(struct lane *ln);
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

/* ---- ack.c ---- */
enum lane_drop lane_tcp_ack_in(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg);
/* True when our FIN was sent and is acknowledged. */
bool lane_tcp_fin_acked(const struct lane_tcp *pcb);

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
/* When an armed one is due. */
uint32_t lane_tcp_due_ms(const struct lane *ln, const struct lane_tcp *pcb, enum lane_tcp_timer t);
/* Starts the wheel's entry for what is armed, unless it stands there or before. */
void lane_tcp_rearm(struct lane *ln, struct lane_tcp *pcb);
void lane_tcp_keepalive_start(struct lane *ln, struct lane_tcp *pcb);
/* An orphan is in FIN_WAIT_2 from now on, for so long as its options say. False: not at all, it is gone. */
bool lane_tcp_linger2_start(struct lane *ln, struct lane_tcp *pcb);

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
#include "stack/tcp/loss.h"
#include "stack/tcp/rcv.h"

#endif
