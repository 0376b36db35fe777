/*
 * cc_dctcp.c - DCTCP (RFC 8257): the window shrinks by how much of it was marked
 *
 * For networks whose switches mark early. 'alpha' is the share of marked bytes, averaged over round trips, in
 * 2^-20; an echo reduces the window by half of it, loss by half the window. It grows as Reno's.
 */
#include "stack/tcp/cc.h"

#include "stack/base/seq.h"

#define ALPHA_BITS 20
#define GAIN_BITS  4 /* RFC 8257 4.2: g = 1/16 */

/* What lies in priv. */
struct dctcp {
	uint32_t alpha;
	uint32_t window_end; /* this observation window ends when it is acknowledged */
	uint32_t delivered, marked; /* bytes within it */
	uint32_t grown; /* lane_cc_reno_grow() */
	uint32_t begun;
} __attribute__((may_alias));

_Static_assert(sizeof(struct dctcp) <= sizeof(((struct lane_cc *)0)->priv), "fits priv");

static struct dctcp *priv(struct lane_cc *cc)
{
	return (struct dctcp *)cc->priv;
}

static void init(struct lane_cc *cc, const struct lane_cc_sample *s)
{
	lane_cc_start(cc, s);
	/* RFC 8257 4.2: the first mark counts like a loss. */
	priv(cc)->alpha = 1U << ALPHA_BITS;
}

/* RFC 8257 3.3: once a round trip. */
static void update_alpha(struct dctcp *p, const struct lane_cc_sample *s)
{
	p->delivered += s->newly_delivered;
	p->marked += s->ce_bytes;
	if (p->begun && !lane_seq_gt(s->snd_una, p->window_end))
		return;
	if (p->begun && p->delivered) {
		uint64_t share = ((uint64_t)p->marked << ALPHA_BITS) / p->delivered;

		p->alpha = p->alpha - (p->alpha >> GAIN_BITS) + (uint32_t)(share >> GAIN_BITS);
	}
	p->begun = 1;
	p->window_end = s->snd_nxt;
	p->delivered = p->marked = 0;
}

static void on_ack(struct lane_cc *cc, const struct lane_cc_sample *s)
{
	update_alpha(priv(cc), s);
	lane_cc_reno_grow(cc, s, &priv(cc)->grown);
}

/* RFC 8257 3.3 and 3.5. */
static void on_loss(struct lane_cc *cc, const struct lane_cc_sample *s)
{
	uint64_t less = (uint64_t)cc->cwnd * priv(cc)->alpha >> (ALPHA_BITS + 1);

	lane_cc_reduce(cc, s->ecn ? cc->cwnd - (uint32_t)less : s->flight / 2, s->mss);
	cc->cwnd = cc->ssthresh;
	priv(cc)->grown = 0;
}

static void on_rto(struct lane_cc *cc, const struct lane_cc_sample *s, bool first)
{
	if (first)
		lane_cc_reduce(cc, s->flight / 2, s->mss);
	cc->cwnd = s->mss;
	priv(cc)->grown = 0;
}

static bool park(const struct lane_cc *cc, uint32_t *kept)
{
	*kept = ((const struct dctcp *)cc->priv)->alpha;
	return true;
}

static void unpark(struct lane_cc *cc, uint32_t kept)
{
	priv(cc)->alpha = kept;
}

const struct lane_cc_ops lane_cc_dctcp = {
	.name = "dctcp",
	.flags = LANE_CC_NEEDS_ECN,
	.init = init,
	.on_ack = on_ack,
	.on_loss = on_loss,
	.on_rto = on_rto,
	.on_recovery_end = lane_cc_end_recovery,
	.on_idle = lane_cc_restart,
	.undo = lane_cc_restore,
	.park = park,
	.unpark = unpark,
};
