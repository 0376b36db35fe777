/*
 * cc.h - congestion control as a plug-in: what TCP tells it, and what it decides
 *
 * Theory of operation. TCP detects losses and decides which segment goes next; a congestion
 * control only moves 'cwnd' and 'ssthresh', both in bytes. It hears of every ACK by one sample
 * with the figures that any control in use needs (Reno, CUBIC, DCTCP, BBR), and of losses by a
 * call each. Its memory is the 'priv' words of struct lane_cc: plain data inside the pcb, which
 * several processes map, so no pointers; who needs more or paces has a struct lane_cc_ext from a pool.
 * All arithmetic is fixed-point, so that a run replays. feed.c makes the calls.
 *
 * Calls in the life of a connection: init, on_ack for every ACK that acknowledges or marks
 * something; on_loss when fast recovery begins or the peer echoes congestion, then on_ack with
 * in_recovery set (cwnd stays with TCP, which runs PRR), on_recovery_end when it ends; or on_rto,
 * after which on_ack grows the window in slow start again. undo when the last of these was spurious.
 */
#ifndef LANE_TCP_CC_H
#define LANE_TCP_CC_H

#include <stdbool.h>
#include <stdint.h>

#define LANE_CC_DEFAULT  0           /* index of CUBIC */
#define LANE_CC_NAME_MAX 16          /* with its final 0, as TCP_CA_NAME_MAX */
#define LANE_CC_INFINITE 0x7fffffffU /* ssthresh before the first loss */
#define LANE_CC_CWND_MAX (1U << 30)  /* no window beyond it is of use (RFC 7323 2.3) */

struct lane_cc {
	uint32_t cwnd;                       /* bytes */
	uint32_t ssthresh;                   /* bytes */
	uint32_t prior_cwnd, prior_ssthresh; /* before the last reduction, for undo */
	uint64_t priv[4];                    /* the control's own, zeroed by init */
};

_Static_assert(sizeof(struct lane_cc) == 48, "its share of the pcb");

/* What a control has that paces, from a pool (pace.h). */
struct lane_cc_ext {
	uint64_t pacing_rate; /* bytes a second, headers included; 0: none */
	uint32_t quantum;     /* bytes that may leave at once */
	uint8_t begun;	      /* init was called */
	uint8_t mark_limited; /* on_ack: what leaves from now on says nothing of the bandwidth */
	uint8_t reserved[2];
	uint64_t priv[26];    /* the control's own */
};

/* What one ACK told. Bytes, except where a unit is given. Calls other than on_ack have the first part only. */
struct lane_cc_sample {
	uint64_t now_us;
	uint64_t delivered;        /* of the connection so far, SACKed ones included */
	struct lane_cc_ext *ext;   /* NULL, unless the control has LANE_CC_PACED */
	uint32_t mss;              /* effective send MSS */
	uint32_t srtt_us;          /* smoothed, 0: none */
	uint32_t flight;           /* FlightSize of RFC 5681: sent and not acknowledged; before the loss was found */
	uint32_t in_flight;        /* RFC 6675's pipe, now */
	uint32_t snd_una, snd_nxt; /* sequence numbers after this ACK, to tell rounds */

	uint32_t acked;            /* newly acknowledged cumulatively */
	uint32_t newly_sacked;     /* newly acknowledged by SACK blocks */
	uint32_t newly_delivered;  /* by either */
	uint32_t lost;             /* newly marked as lost */
	uint32_t ce_bytes;         /* newly acknowledged and ECN-marked by the path */
	uint32_t rtt_us;           /* of this ACK, 0: none */
	uint32_t prior_in_flight;  /* before this ACK */
	bool app_limited; /* not the window but the program (or the peer's window) limited sending */
	bool in_recovery; /* fast recovery: the window is TCP's */
	bool ecn; /* on_loss: it is an echo of congestion, nothing is lost */

	/* the rate sample (rate.c): of the newest segment that this ACK is the first to tell of */
	bool has_rate;
	bool rate_app_limited;    /* the program had too little to send when it left */
	uint32_t rate_bytes;      /* delivered since it left */
	uint32_t interval_us;     /* and in which time; 0: no sample */
	uint32_t prior_delivered; /* low half of 'delivered' when it left */
	uint32_t tx_in_flight;    /* when it left, itself included */
	uint32_t lost_since;      /* found lost since it left */
};

#define LANE_CC_NEEDS_ECN 0x1 /* asks for ECN, whatever the lane's configuration says */
#define LANE_CC_PACED	  0x2 /* has an extension; its window is its own in recovery, too (no PRR) */

/* No function is NULL unless it says so. on_loss and on_rto use s->flight. */
struct lane_cc_ops {
	const char *name; /* as TCP_CONGESTION has it */
	uint8_t flags;    /* LANE_CC_* */
	/* The connection is established: cwnd is the initial window. */
	void (*init)(struct lane_cc *cc, const struct lane_cc_sample *s);
	void (*on_ack)(struct lane_cc *cc, const struct lane_cc_sample *s);
	/* The same for an ACK that cannot grow the window, as not the window limited sending (app_limited) and it is no
	 * half of the slow start's: NULL: on_ack has to hear of it. */
	void (*on_ack_limited)(struct lane_cc *cc, uint64_t now_us);
	/* Fast recovery begins: sets ssthresh, and cwnd to it. Also for an ECN echo (once a round). */
	void (*on_loss)(struct lane_cc *cc, const struct lane_cc_sample *s);
	/* The retransmission timer expired: cwnd is one segment. 'first': not again for the same data. */
	void (*on_rto)(struct lane_cc *cc, const struct lane_cc_sample *s, bool first);
	/* Fast recovery is over: cwnd is ssthresh, however TCP moved it meanwhile. */
	void (*on_recovery_end)(struct lane_cc *cc, const struct lane_cc_sample *s);
	/* About to send after 'idle_us' without anything in flight; reduces cwnd if that was an RTO or more. */
	void (*on_idle)(struct lane_cc *cc, const struct lane_cc_sample *s, uint64_t idle_us,
			uint32_t rto_us);
	/* The last on_loss or on_rto was spurious. */
	void (*undo)(struct lane_cc *cc, const struct lane_cc_sample *s);
	/* The connection is idle and gives its memory away: cwnd, ssthresh and one word, '*kept' (0), stay.
	 * False: more would be lost than that, so not now unless it must be. unpark: it is back; all but
	 * the windows is 0. */
	bool (*park)(const struct lane_cc *cc, uint32_t *kept);
	void (*unpark)(struct lane_cc *cc, uint32_t kept);
};

/* The control with this index; the default one for an index that names none (it may come from a
 * damaged pcb). Never NULL. */
const struct lane_cc_ops *lane_cc_ops_at(unsigned int index);
/* Calls park() of control 'index'; one that has none gives nothing away, and starts with 'cwnd' again. */
bool lane_cc_park(unsigned int index, const struct lane_cc *cc, uint32_t *kept);
/* Fills in 'cc', all zero. */
void lane_cc_unpark(unsigned int index, struct lane_cc *cc, uint32_t cwnd, uint32_t ssthresh,
		    uint32_t kept);
/* Index of "cubic", "reno"; -ENOENT. */
int lane_cc_find(const char *name);
const char *lane_cc_name(unsigned int index);
/* How many there are: 0 .. n-1 are indices. */
unsigned int lane_cc_count(void);

/* RFC 6928 2: min(10 * mss, max(2 * mss, 14600)) bytes. */
uint32_t lane_cc_initial_window(uint32_t mss);

/* ---- for the controls themselves ---- */

extern const struct lane_cc_ops lane_cc_cubic, lane_cc_newreno, lane_cc_dctcp, lane_cc_bbr;

/* Zeroes 'cc' and sets the initial window. */
void lane_cc_start(struct lane_cc *cc, const struct lane_cc_sample *s);
/* May the window grow by this ACK? RFC 9438 5.8, Linux: in slow start up to twice what is used. */
bool lane_cc_may_grow(const struct lane_cc *cc, const struct lane_cc_sample *s);
/* The program limits sending, 'in_flight' bytes of it were out: the window stays as it is. */
static inline bool lane_cc_is_limited(const struct lane_cc *cc, uint32_t in_flight)
{
	return cc->cwnd >= cc->ssthresh || cc->cwnd / 2 >= in_flight;
}
/* Slow start: grows cwnd by s->acked up to ssthresh; returns the acked bytes left beyond it. */
uint32_t lane_cc_slow_start(struct lane_cc *cc, const struct lane_cc_sample *s);
/* RFC 5681 3.1: slow start, then a segment for each window; '*grown' counts towards the next. */
void lane_cc_reno_grow(struct lane_cc *cc, const struct lane_cc_sample *s, uint32_t *grown);
/* Remembers the window for undo, and sets ssthresh to 'target', two segments at least. */
void lane_cc_reduce(struct lane_cc *cc, uint32_t target, uint32_t mss);
/* Sets cwnd to ssthresh, unless there is none: an undo has put it back to infinity. */
void lane_cc_end_recovery(struct lane_cc *cc, const struct lane_cc_sample *s);
/* RFC 5681 4.1 and RFC 2861: one halving for each RTO passed, the initial window at least. */
void lane_cc_restart(struct lane_cc *cc, const struct lane_cc_sample *s, uint64_t idle_us, uint32_t rto_us);
/* Back to the window before the last reduction. */
void lane_cc_restore(struct lane_cc *cc, const struct lane_cc_sample *s);

#endif
