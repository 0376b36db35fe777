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
	struct newreno *p = priv(cc);
	uint32_t acked;

	if (!lane_cc_may_grow(cc, s))
		return;
	acked = lane_cc_slow_start(cc, s);
	/* RFC 5681 3.1 (3): a segment for each window acknowledged; more at once counts as one. */
	p->acked += acked < cc->cwnd ? acked : cc->cwnd;
	if (p->acked < cc->cwnd)
		return;
	p->acked -= cc->cwnd;
	cc->cwnd += s->mss;
}

/* RFC 5681 3.2 (4). */
static void on_loss(struct lane_cc *cc, uint64_t now_us, uint32_t in_flight, uint32_t mss)
{
	(void)now_us;
	lane_cc_reduce(cc, in_flight / 2, mss);
	cc->cwnd = cc->ssthresh;
	priv(cc)->acked = 0;
}

/* RFC 5681 3.1: the loss window is one segment; ssthresh falls once for the same data. */
static void on_rto(struct lane_cc *cc, uint64_t now_us, uint32_t in_flight, uint32_t mss,
		   bool first)
{
	(void)now_us;
	if (first)
		lane_cc_reduce(cc, in_flight / 2, mss);
	cc->cwnd = mss;
	priv(cc)->acked = 0;
}

/* RFC 6582 3.2 step 3: full acknowledgment. */
static void on_recovery_end(struct lane_cc *cc, uint64_t now_us, uint32_t mss)
{
	(void)now_us;
	(void)mss;
	lane_cc_end_recovery(cc);
}

static void on_idle(struct lane_cc *cc, uint64_t now_us, uint64_t idle_us, uint32_t rto_us,
		    uint32_t mss)
{
	(void)now_us;
	lane_cc_restart(cc, idle_us, rto_us, mss);
}

static void undo(struct lane_cc *cc, uint64_t now_us)
{
	(void)now_us;
	lane_cc_restore(cc);
}

const struct lane_cc_ops lane_cc_newreno = {
	.name = "reno",
	.init = lane_cc_start,
	.on_ack = on_ack,
	.on_loss = on_loss,
	.on_rto = on_rto,
	.on_recovery_end = on_recovery_end,
	.on_idle = on_idle,
	.undo = undo,
};
