/*
 * cc_newreno.c - the standard congestion control (RFC 5681), with byte counting (RFC 3465)
 */
#include "stack/tcp/cc.h"

/* What lies in priv. */
struct newreno {
	uint32_t acked; /* bytes acknowledged since the window last grew, in congestion avoidance */
} __attribute__((may_alias));

static struct newreno *priv(struct lane_cc *cc)
{
	return (struct newreno *)cc->priv;
}

static void on_ack(struct lane_cc *cc, const struct lane_cc_sample *s)
{
	lane_cc_reno_grow(cc, s, &priv(cc)->acked);
}

/* RFC 5681 3.2 (4). */
static void on_loss(struct lane_cc *cc, const struct lane_cc_sample *s)
{
	lane_cc_reduce(cc, s->flight / 2, s->mss);
	cc->cwnd = cc->ssthresh;
	priv(cc)->acked = 0;
}

/* RFC 5681 3.1: the loss window is one segment; ssthresh falls once for the same data. */
static void on_rto(struct lane_cc *cc, const struct lane_cc_sample *s, bool first)
{
	if (first)
		lane_cc_reduce(cc, s->flight / 2, s->mss);
	cc->cwnd = s->mss;
	priv(cc)->acked = 0;
}

static bool park(const struct lane_cc *cc, uint32_t *kept)
{
	*kept = ((const struct newreno *)cc->priv)->acked;
	return true;
}

static void unpark(struct lane_cc *cc, uint32_t kept)
{
	priv(cc)->acked = kept;
}

/* RFC 2861 2: what is not used does not grow. */
static void on_ack_limited(struct lane_cc *cc, uint64_t now_us)
{
	(void)cc;
	(void)now_us;
}

const struct lane_cc_ops lane_cc_newreno = {
	.name = "reno",
	.init = lane_cc_start,
	.on_ack = on_ack,
	.on_ack_limited = on_ack_limited,
	.on_loss = on_loss,
	.on_rto = on_rto,
	.on_recovery_end = lane_cc_end_recovery, /* RFC 6582 3.2 step 3: full acknowledgment */
	.on_idle = lane_cc_restart,
	.undo = lane_cc_restore,
	.park = park,
	.unpark = unpark,
};
