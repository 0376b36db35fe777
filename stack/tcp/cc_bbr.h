/*
 * cc_bbr.h - what the two files of BBR share: the state of a connection
 *
 * Bandwidths are bytes a second, times microseconds mod 2^32, amounts bytes. The names are those of
 * draft-ietf-ccwg-bbr; _lo is its shortterm, _hi its longterm.
 */
#ifndef LANE_TCP_CC_BBR_H
#define LANE_TCP_CC_BBR_H

#include "stack/tcp/cc.h"

#define BBR_INF UINT32_MAX /* inflight_hi, inflight_lo, bw_lo (64 bits of it): no bound */

enum bbr_state {
	BBR_STARTUP,
	BBR_DRAIN,
	BBR_DOWN, /* ProbeBW's four */
	BBR_CRUISE,
	BBR_REFILL,
	BBR_UP,
	BBR_PROBE_RTT,
	BBR_STATES
};

enum bbr_ack_phase { BBR_ACKS_INIT, BBR_ACKS_REFILLING, BBR_ACKS_STARTING, BBR_ACKS_FEEDBACK, BBR_ACKS_STOPPING };

struct bbr {
	uint64_t max_bw[2]; /* of the last probing cycle and of this one */
	uint64_t bw, bw_lo, bw_latest, full_bw;
	uint32_t next_round, loss_round; /* low half of 'delivered' where this round ends */
	uint32_t inflight_hi, inflight_lo, inflight_latest;
	uint32_t prior_cwnd;
	uint32_t min_rtt_us, min_rtt_at;
	uint32_t probe_rtt_min_us, probe_rtt_min_at, probe_rtt_done_at;
	uint32_t cycle_at, probe_wait_us;
	uint32_t probe_up_cnt, probe_up_acks;
	uint32_t extra_acked[2], extra_delivered, extra_at;
	uint32_t lost_in_round; /* bytes */
	uint32_t random;
	uint8_t state, ack_phase;
	uint8_t full_bw_count, probe_up_rounds, rounds_since_probe, extra_rounds, extra_idx;
	uint8_t round_start : 1, loss_round_start : 1, loss_in_round : 1, full_bw_now : 1;
	uint8_t full_bw_reached : 1, probe_samples : 1, idle_restart : 1, probe_rtt_round_done : 1;
	uint8_t probe_rtt_expired : 1, probe_rtt_timed : 1, has_min_rtt : 1, in_loss : 1;
};

_Static_assert(sizeof(struct bbr) <= sizeof(((struct lane_cc_ext *)0)->priv), "fits the extension");

static inline struct bbr *bbr_of(const struct lane_cc_sample *s)
{
	return (struct bbr *)s->ext->priv;
}

/* ---- cc_bbr_model.c: what the path is like ---- */
void lane_bbr_start_round(struct bbr *b, const struct lane_cc_sample *s);
/* Bandwidth of the sample, 0: none. */
uint64_t lane_bbr_sample_bw(const struct lane_cc_sample *s);
/* 'gain' (in 2^-8) times the bandwidth-delay product. */
uint32_t lane_bbr_bdp(const struct bbr *b, const struct lane_cc_sample *s, uint32_t gain);
/* The same with room for bursts at both ends. */
uint32_t lane_bbr_inflight(const struct bbr *b, const struct lane_cc_sample *s, uint32_t gain);
uint32_t lane_bbr_inflight_with_headroom(const struct bbr *b, const struct lane_cc_sample *s);
uint32_t lane_bbr_target_inflight(const struct bbr *b, const struct lane_cc *cc, const struct lane_cc_sample *s);
void lane_bbr_reset_full_bw(struct bbr *b, uint64_t bw);
void lane_bbr_reset_lower_bounds(struct bbr *b);
void lane_bbr_reset_signals(struct bbr *b);
bool lane_bbr_is_inflight_too_high(const struct lane_cc_sample *s);
/* The parts of the update for each ACK, in the draft's order. */
void lane_bbr_update_signals(struct bbr *b, const struct lane_cc *cc, const struct lane_cc_sample *s);
void lane_bbr_update_aggregation(struct bbr *b, const struct lane_cc *cc, const struct lane_cc_sample *s);
void lane_bbr_check_full_bw(struct bbr *b, const struct lane_cc_sample *s);
void lane_bbr_update_min_rtt(struct bbr *b, const struct lane_cc_sample *s);
void lane_bbr_advance_signals(struct bbr *b, const struct lane_cc_sample *s);
void lane_bbr_advance_max_bw(struct bbr *b);

#endif
