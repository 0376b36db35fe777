/*
 * cc_cubic.c - CUBIC (RFC 9438), with HyStart++ (RFC 9406) in its first slow start
 *
 * Theory of operation. After a loss the window returns to W_max, where the loss was, along
 * W(t) = C * mss * (t - K)^3 + W_max: fast at first, slowly around W_max at t = K, then faster and
 * faster beyond it. Where a Reno flow would be further (short paths), its estimate W_est is
 * followed instead. Time within an epoch counts only while the window limits sending.
 *
 * Fixed point: times of the curve in units of 2^-10 s, C and the betas in 2^-10, W_est in 2^-16
 * bytes. So K^3 has 30 binary places. Bytes in place of RFC 9438's segments: C becomes C * mss.
 */
#include "stack/tcp/cc.h"

#include <string.h>

#include "stack/tcp/cc_hystart.h"

#define UNIT_BITS 10
#define C_SCALED  410U /* 0.4, RFC 9438 5.1 */
#define BETA      717U /* 0.7, RFC 9438 4.6 */
#define BETA_FAST 870U /* (1 + beta) / 2, RFC 9438 4.7 */
#define ALPHA     542U /* 3 * (1 - beta) / (1 + beta), RFC 9438 4.3 */
#define EST_BITS  16
#define SMALL_CWND 65536
#define MAX_UNITS (1U << 20) /* 1024 s from W_max: its cube fits 64 bits */

/* What lies in priv: the curve, or before there is any loss HyStart++. */
struct cubic {
	union {
		struct {
			uint64_t epoch_us; /* start of this congestion avoidance, 0: not begun */
			uint64_t w_est;    /* what Reno would have, 2^-16 bytes */
			uint32_t w_max;    /* bytes; the curve's plateau, 0: none known */
			uint32_t k;        /* 2^-10 s from the epoch's start to the plateau */
		};
		struct lane_hystart hystart; /* while ssthresh is infinite */
	};
	uint32_t last_us; /* low half of the time of the last ACK */
	uint32_t reserved;
} __attribute__((may_alias));

_Static_assert(sizeof(struct cubic) <= sizeof(((struct lane_cc *)0)->priv), "fits priv");

static struct cubic *priv(struct lane_cc *cc)
{
	return (struct cubic *)cc->priv;
}

/* RFC 9406 4.3: the first slow start only. */
static bool is_first(const struct lane_cc *cc)
{
	return cc->ssthresh == LANE_CC_INFINITE;
}

/* The first slow start is over, or begins again. */
static void forget(struct lane_cc *cc)
{
	uint32_t last_us = priv(cc)->last_us;

	memset(cc->priv, 0, sizeof(cc->priv));
	priv(cc)->last_us = last_us;
}

static uint32_t scaled(uint32_t bytes, uint32_t factor)
{
	return (uint32_t)((uint64_t)bytes * factor >> UNIT_BITS);
}

/* Integer cube root, rounded down: one binary digit of the root for three of 'x'. */
static uint32_t cube_root(uint64_t x)
{
	uint64_t root = 0;

	for (int shift = 63; shift >= 0; shift -= 3) {
		uint64_t step;

		root *= 2;
		step = 3 * root * (root + 1) + 1; /* (root + 1)^3 - root^3 */
		if (x >> shift >= step) {
			x -= step << shift;
			root++;
		}
	}
	return (uint32_t)root;
}

/* RFC 9438 4.2 (2): K, for a window that is 'below' bytes below W_max. */
static uint32_t k_of(uint32_t below, uint32_t mss)
{
	return cube_root(((uint64_t)below << 30) / ((uint64_t)C_SCALED * mss) << UNIT_BITS);
}

/* RFC 9438 4.2 (1): W_cubic at 't_us' of the epoch, in bytes. */
static uint64_t w_cubic(const struct cubic *p, uint64_t t_us, uint32_t mss)
{
	uint64_t t = (t_us << UNIT_BITS) / 1000000;
	uint64_t d = t > p->k ? t - p->k : p->k - t;
	uint64_t cube, bytes;

	if (d > MAX_UNITS)
		d = MAX_UNITS;
	cube = d * d * d;
	bytes = (uint64_t)((unsigned __int128)cube * C_SCALED * mss >> (4 * UNIT_BITS));
	if (t > p->k)
		return p->w_max + bytes;
	return p->w_max > bytes ? p->w_max - bytes : 0;
}

static void start_epoch(struct lane_cc *cc, const struct lane_cc_sample *s)
{
	struct cubic *p = priv(cc);

	p->epoch_us = s->now_us ? s->now_us : 1;
	p->w_est = (uint64_t)cc->cwnd << EST_BITS;
	if (cc->cwnd < p->w_max) {
		p->k = k_of(p->w_max - cc->cwnd, s->mss);
	} else { /* RFC 9438 4.8: also after a time-out, when W_max is 0 */
		p->k = 0;
		p->w_max = cc->cwnd;
	}
}

/* RFC 9438 4.3 (4): what Reno's window would be now. Returns bytes. */
static uint32_t update_w_est(struct lane_cc *cc, uint32_t acked, uint32_t mss)
{
	struct cubic *p = priv(cc);
	uint64_t grow = ((uint64_t)mss * acked << EST_BITS) / cc->cwnd;

	/* alpha is 1 from the window of the last loss on. */
	if (p->w_est >> EST_BITS < cc->prior_cwnd)
		grow = grow * ALPHA >> UNIT_BITS;
	p->w_est += grow;
	if (p->w_est >> EST_BITS > LANE_CC_CWND_MAX)
		p->w_est = (uint64_t)LANE_CC_CWND_MAX << EST_BITS;
	return (uint32_t)(p->w_est >> EST_BITS);
}

static void avoid(struct lane_cc *cc, const struct lane_cc_sample *s, uint32_t acked)
{
	struct cubic *p = priv(cc);
	uint64_t t, target;
	uint32_t w_est;

	if (acked > cc->cwnd)
		acked = cc->cwnd;
	if (p->epoch_us == 0)
		start_epoch(cc, s);
	t = s->now_us > p->epoch_us ? s->now_us - p->epoch_us : 0;
	w_est = update_w_est(cc, acked, s->mss);
	if (w_cubic(p, t, s->mss) < w_est) { /* RFC 9438 4.3: the Reno-friendly region */
		if (cc->cwnd < w_est)
			cc->cwnd = w_est;
		return;
	}
	/* RFC 9438 4.4, 4.5: towards the window of one round trip later, 1.5 times this one at
	 * most. */
	target = w_cubic(p, t + s->srtt_us, s->mss);
	if (target > cc->cwnd + cc->cwnd / 2)
		target = cc->cwnd + cc->cwnd / 2;
	if (target > LANE_CC_CWND_MAX)
		target = LANE_CC_CWND_MAX;
	if (target > cc->cwnd)
		cc->cwnd += (uint32_t)(((target - cc->cwnd) * acked + cc->cwnd - 1) / cc->cwnd);
}

/* Returns the acked bytes that are left for congestion avoidance. */
static uint32_t slow_start(struct lane_cc *cc, const struct lane_cc_sample *s)
{
	struct lane_cc_sample part = *s;
	uint32_t divisor;

	if (!is_first(cc))
		return lane_cc_slow_start(cc, s);
	divisor = lane_hystart_ack(&priv(cc)->hystart, s);
	if (divisor == 0) {
		cc->ssthresh = cc->cwnd;
		forget(cc);
		return s->acked;
	}
	part.acked /= divisor;
	return lane_cc_slow_start(cc, &part);
}

/* RFC 9438 4.2: the curve stands still while the window is not what limits. */
static void on_ack_limited(struct lane_cc *cc, uint64_t now_us)
{
	struct cubic *p = priv(cc);
	uint32_t since_us = (uint32_t)now_us - p->last_us;

	p->last_us = (uint32_t)now_us;
	if (!is_first(cc) && p->epoch_us)
		p->epoch_us += since_us;
}

static void on_ack(struct lane_cc *cc, const struct lane_cc_sample *s)
{
	bool grows = lane_cc_may_grow(cc, s);
	uint32_t acked;

	if (!grows && s->app_limited) {
		on_ack_limited(cc, s->now_us);
		return;
	}
	priv(cc)->last_us = (uint32_t)s->now_us;
	if (!grows)
		return;
	acked = slow_start(cc, s);
	if (acked)
		avoid(cc, s, acked);
}

/* RFC 9438 4.6: the multiplicative decrease, of what was really in flight. */
static void reduce(struct lane_cc *cc, const struct lane_cc_sample *s)
{
	uint32_t used = s->flight < cc->cwnd ? s->flight : cc->cwnd;

	lane_cc_reduce(cc, scaled(used, BETA), s->mss);
	priv(cc)->epoch_us = 0;
}

static void on_loss(struct lane_cc *cc, const struct lane_cc_sample *s)
{
	struct cubic *p = priv(cc);

	if (is_first(cc))
		forget(cc);
	/* RFC 9438 4.7: a flow that lost before it was back at W_max makes room for others. */
	p->w_max = cc->cwnd < p->w_max ? scaled(cc->cwnd, BETA_FAST) : cc->cwnd;
	reduce(cc, s);
	cc->cwnd = cc->ssthresh;
}

static void on_rto(struct lane_cc *cc, const struct lane_cc_sample *s, bool first)
{
	if (is_first(cc))
		forget(cc);
	if (first)
		reduce(cc, s);
	priv(cc)->w_max = 0;
	priv(cc)->epoch_us = 0;
	cc->cwnd = s->mss;
}

static void on_idle(struct lane_cc *cc, const struct lane_cc_sample *s, uint64_t idle_us, uint32_t rto_us)
{
	struct cubic *p = priv(cc);

	lane_cc_restart(cc, s, idle_us, rto_us);
	/* RFC 9438 5.8: idle time is no time of the curve; after a restart a new one begins. */
	if (is_first(cc))
		forget(cc);
	else if (idle_us >= rto_us)
		p->epoch_us = 0;
	else if (p->epoch_us)
		p->epoch_us += idle_us;
	p->last_us = (uint32_t)s->now_us;
}

/* The curve begins anew from the restored window. */
static void undo(struct lane_cc *cc, const struct lane_cc_sample *s)
{
	lane_cc_restore(cc, s);
	if (is_first(cc))
		forget(cc);
	else
		priv(cc)->epoch_us = 0;
}

/* After a time-out without sending a new curve begins (on_idle), so that then W_max is all that counts. */
static bool park(const struct lane_cc *cc, uint32_t *kept)
{
	const struct cubic *p = (const struct cubic *)cc->priv;

	/* A small window has learnt little that slow start would not learn again. */
	if (is_first(cc))
		return cc->cwnd < SMALL_CWND;
	*kept = p->w_max;
	return p->epoch_us == 0;
}

static void unpark(struct lane_cc *cc, uint32_t kept)
{
	if (is_first(cc))
		return;
	priv(cc)->w_max = kept;
	if (cc->prior_cwnd < kept)
		cc->prior_cwnd = kept;
}

const struct lane_cc_ops lane_cc_cubic = {
	.name = "cubic",
	.init = lane_cc_start,
	.on_ack = on_ack,
	.on_ack_limited = on_ack_limited,
	.on_loss = on_loss,
	.on_rto = on_rto,
	.on_recovery_end = lane_cc_end_recovery,
	.on_idle = on_idle,
	.undo = undo,
	.park = park,
	.unpark = unpark,
};
