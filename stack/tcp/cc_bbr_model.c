/*
 * cc_bbr_model.c - BBR's model of the path: bandwidth, round trip, aggregation, what loss says
 *
 * draft-ietf-ccwg-bbr 5.5. Deviation: what a loss says of the amount in flight is read from the rate
 * sample of the ACK that found it, not segment by segment.
 */
#include "stack/tcp/cc_bbr.h"

#define GAIN_ONE	 256U
#define LOSS_THRESH	 50      /* one in so many: 2 % */
#define BETA		 179U    /* 0.7 in 2^-8 */
#define HEADROOM	 38U     /* 0.15 */
#define FULL_BW_ROUNDS	 3
#define MIN_RTT_WIN_US	 10000000U
#define PROBE_RTT_INT_US 5000000U
#define EXTRA_ROUNDS	 5 /* of each half of the filter */
#define MIN_PIPE_SEGS	 4

void lane_bbr_start_round(struct bbr *b, const struct lane_cc_sample *s)
{
	b->next_round = (uint32_t)s->delivered;
}

uint64_t lane_bbr_sample_bw(const struct lane_cc_sample *s)
{
	return s->interval_us ? (uint64_t)s->rate_bytes * 1000000 / s->interval_us : 0;
}

static uint64_t max_bw(const struct bbr *b)
{
	return b->max_bw[0] > b->max_bw[1] ? b->max_bw[0] : b->max_bw[1];
}

static uint32_t scaled(uint32_t v, uint32_t gain)
{
	return (uint32_t)((uint64_t)v * gain / GAIN_ONE);
}

static uint32_t max32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* ---- amounts in flight ---- */

uint32_t lane_bbr_bdp(const struct bbr *b, const struct lane_cc_sample *s, uint32_t gain)
{
	unsigned __int128 bdp;

	if (!b->has_min_rtt || b->bw == 0)
		return scaled(lane_cc_initial_window(s->mss), gain);
	bdp = (unsigned __int128)b->bw * b->min_rtt_us * gain / (1000000ULL * GAIN_ONE);
	return bdp < LANE_CC_CWND_MAX ? (uint32_t)bdp : LANE_CC_CWND_MAX;
}

uint32_t lane_bbr_inflight(const struct bbr *b, const struct lane_cc_sample *s, uint32_t gain)
{
	uint32_t n = lane_bbr_bdp(b, s, gain);

	/* 5.6.4.3: what offloads and delayed ACKs keep from leaving. */
	n = max32(n, 3 * s->ext->quantum);
	n = max32(n, MIN_PIPE_SEGS * s->mss);
	return b->state == BBR_UP ? n + 2 * s->mss : n;
}

uint32_t lane_bbr_inflight_with_headroom(const struct bbr *b, const struct lane_cc_sample *s)
{
	uint32_t room;

	if (b->inflight_hi == BBR_INF)
		return BBR_INF;
	room = max32(scaled(b->inflight_hi, HEADROOM), s->mss);
	return max32(b->inflight_hi > room ? b->inflight_hi - room : 0, MIN_PIPE_SEGS * s->mss);
}

uint32_t lane_bbr_target_inflight(const struct bbr *b, const struct lane_cc *cc, const struct lane_cc_sample *s)
{
	uint32_t bdp = lane_bbr_bdp(b, s, GAIN_ONE);

	return bdp < cc->cwnd ? bdp : cc->cwnd;
}

bool lane_bbr_is_inflight_too_high(const struct lane_cc_sample *s)
{
	return s->has_rate && s->lost_since > s->tx_in_flight / LOSS_THRESH;
}

/* ---- full bandwidth: 5.3.1.2 ---- */

void lane_bbr_reset_full_bw(struct bbr *b, uint64_t bw)
{
	b->full_bw = bw;
	b->full_bw_count = 0;
	b->full_bw_now = 0;
}

void lane_bbr_check_full_bw(struct bbr *b, const struct lane_cc_sample *s)
{
	uint64_t bw = lane_bbr_sample_bw(s);

	if (b->full_bw_now || s->rate_app_limited || !s->has_rate)
		return;
	if (bw >= b->full_bw + b->full_bw / 4) {
		lane_bbr_reset_full_bw(b, bw);
		return;
	}
	if (!b->round_start)
		return;
	b->full_bw_now = ++b->full_bw_count >= FULL_BW_ROUNDS;
	b->full_bw_reached |= b->full_bw_now;
}

/* ---- bandwidth and congestion: 5.5.5, 5.5.10 ---- */

void lane_bbr_reset_lower_bounds(struct bbr *b)
{
	b->bw_lo = UINT64_MAX;
	b->inflight_lo = BBR_INF;
}

void lane_bbr_reset_signals(struct bbr *b)
{
	b->loss_in_round = 0;
	b->lost_in_round = 0;
	b->bw_latest = 0;
	b->inflight_latest = 0;
}

static void update_round(struct bbr *b, const struct lane_cc_sample *s)
{
	b->round_start = 0;
	if (!s->has_rate || (int32_t)(s->prior_delivered - b->next_round) < 0)
		return;
	lane_bbr_start_round(b, s);
	b->round_start = 1;
	if (b->rounds_since_probe < UINT8_MAX)
		b->rounds_since_probe++;
}

static void update_max_bw(struct bbr *b, const struct lane_cc_sample *s)
{
	uint64_t bw = lane_bbr_sample_bw(s);

	if (bw && (bw >= max_bw(b) || !s->rate_app_limited) && bw > b->max_bw[1])
		b->max_bw[1] = bw;
}

void lane_bbr_advance_max_bw(struct bbr *b)
{
	if (b->max_bw[1] == 0)
		return;
	b->max_bw[0] = b->max_bw[1];
	b->max_bw[1] = 0;
}

/* 5.5.10.3: what arrived in a round with loss is a bound for the next. */
static void adapt_lower_bounds(struct bbr *b, const struct lane_cc *cc)
{
	uint64_t less;

	if (b->state == BBR_STARTUP || b->state == BBR_REFILL || b->state == BBR_UP || !b->loss_in_round)
		return;
	if (b->bw_lo == UINT64_MAX)
		b->bw_lo = max_bw(b);
	if (b->inflight_lo == BBR_INF)
		b->inflight_lo = cc->cwnd;
	less = b->bw_lo / GAIN_ONE * BETA;
	b->bw_lo = b->bw_latest > less ? b->bw_latest : less;
	b->inflight_lo = max32(b->inflight_latest, scaled(b->inflight_lo, BETA));
}

void lane_bbr_update_signals(struct bbr *b, const struct lane_cc *cc, const struct lane_cc_sample *s)
{
	uint64_t bw = lane_bbr_sample_bw(s);

	b->loss_round_start = 0;
	if (bw > b->bw_latest)
		b->bw_latest = bw;
	if (s->has_rate)
		b->inflight_latest = max32(b->inflight_latest, s->rate_bytes);
	if (s->has_rate && (int32_t)(s->prior_delivered - b->loss_round) >= 0) {
		b->loss_round = (uint32_t)s->delivered;
		b->loss_round_start = 1;
	}
	update_round(b, s);
	update_max_bw(b, s);
	b->lost_in_round += s->lost;
	b->loss_in_round |= s->lost != 0;
	if (!b->loss_round_start)
		return;
	adapt_lower_bounds(b, cc);
	b->loss_in_round = 0;
}

void lane_bbr_advance_signals(struct bbr *b, const struct lane_cc_sample *s)
{
	uint64_t most = max_bw(b);

	if (b->loss_round_start) {
		b->bw_latest = lane_bbr_sample_bw(s);
		b->inflight_latest = s->rate_bytes;
		b->lost_in_round = 0;
	}
	b->bw = most < b->bw_lo ? most : b->bw_lo;
}

/* ---- aggregation: 5.5.9 ---- */

void lane_bbr_update_aggregation(struct bbr *b, const struct lane_cc *cc, const struct lane_cc_sample *s)
{
	uint32_t past_us = (uint32_t)s->now_us - b->extra_at, extra;
	uint64_t expected = (uint64_t)((unsigned __int128)b->bw * past_us / 1000000);

	if (b->round_start && ++b->extra_rounds >= (b->full_bw_reached ? EXTRA_ROUNDS : 1)) {
		b->extra_rounds = 0;
		b->extra_idx ^= 1;
		b->extra_acked[b->extra_idx] = 0;
	}
	if (b->extra_delivered <= expected) {
		b->extra_delivered = 0;
		b->extra_at = (uint32_t)s->now_us;
		expected = 0;
	}
	b->extra_delivered += s->newly_delivered;
	extra = b->extra_delivered > expected ? b->extra_delivered - (uint32_t)expected : 0;
	if (extra > cc->cwnd)
		extra = cc->cwnd;
	b->extra_acked[b->extra_idx] = max32(b->extra_acked[b->extra_idx], extra);
}

/* ---- the round trip: 5.5.6 ---- */

void lane_bbr_update_min_rtt(struct bbr *b, const struct lane_cc_sample *s)
{
	uint32_t now = (uint32_t)s->now_us;

	b->probe_rtt_expired = b->has_min_rtt && now - b->probe_rtt_min_at > PROBE_RTT_INT_US;
	if (s->rtt_us && (!b->has_min_rtt || s->rtt_us < b->probe_rtt_min_us || b->probe_rtt_expired)) {
		b->probe_rtt_min_us = s->rtt_us;
		b->probe_rtt_min_at = now;
	}
	if (b->probe_rtt_min_us && (!b->has_min_rtt || b->probe_rtt_min_us < b->min_rtt_us ||
				    now - b->min_rtt_at > MIN_RTT_WIN_US)) {
		b->has_min_rtt = 1;
		b->min_rtt_us = b->probe_rtt_min_us;
		b->min_rtt_at = b->probe_rtt_min_at;
	}
}
