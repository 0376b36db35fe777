/*
 * cc.c - the table of congestion controls, and what they have in common
 */
#include "stack/tcp/cc.h"

#include <errno.h>
#include <string.h>

#define INITIAL_SEGMENTS 10 /* RFC 6928 2 */
#define INITIAL_BYTES    14600

/* By index, as sockets store it. New ones go to the end. */
static const struct lane_cc_ops *const controls[] = {
	[LANE_CC_DEFAULT] = &lane_cc_cubic,
	&lane_cc_newreno,
	&lane_cc_dctcp,
	&lane_cc_bbr,
};

#define NR_CONTROLS (sizeof(controls) / sizeof(controls[0]))

const struct lane_cc_ops *lane_cc_ops_at(unsigned int index)
{
	return controls[index < NR_CONTROLS ? index : LANE_CC_DEFAULT];
}

const char *lane_cc_name(unsigned int index)
{
	return lane_cc_ops_at(index)->name;
}

int lane_cc_find(const char *name)
{
	for (unsigned int i = 0; i < NR_CONTROLS; i++)
		if (strcmp(controls[i]->name, name) == 0)
			return (int)i;
	return -ENOENT;
}

bool lane_cc_park(unsigned int index, const struct lane_cc *cc, uint32_t *kept)
{
	const struct lane_cc_ops *ops = lane_cc_ops_at(index);

	*kept = 0;
	return ops->park && ops->park(cc, kept);
}

void lane_cc_unpark(unsigned int index, struct lane_cc *cc, uint32_t cwnd, uint32_t ssthresh,
		    uint32_t kept)
{
	const struct lane_cc_ops *ops = lane_cc_ops_at(index);

	cc->cwnd = cc->prior_cwnd = cwnd;
	cc->ssthresh = cc->prior_ssthresh = ssthresh;
	if (ops->unpark)
		ops->unpark(cc, kept);
}

unsigned int lane_cc_count(void)
{
	return NR_CONTROLS;
}

uint32_t lane_cc_initial_window(uint32_t mss)
{
	uint32_t most = 2 * mss > INITIAL_BYTES ? 2 * mss : INITIAL_BYTES;

	return INITIAL_SEGMENTS * mss < most ? INITIAL_SEGMENTS * mss : most;
}

void lane_cc_start(struct lane_cc *cc, const struct lane_cc_sample *s)
{
	memset(cc, 0, sizeof(*cc));
	cc->cwnd = lane_cc_initial_window(s->mss);
	cc->ssthresh = LANE_CC_INFINITE;
	cc->prior_cwnd = cc->cwnd;
	cc->prior_ssthresh = cc->ssthresh;
}

bool lane_cc_may_grow(const struct lane_cc *cc, const struct lane_cc_sample *s)
{
	if (s->acked == 0 || s->in_recovery || cc->cwnd >= LANE_CC_CWND_MAX)
		return false;
	return !s->app_limited || !lane_cc_is_limited(cc, s->prior_in_flight);
}

uint32_t lane_cc_slow_start(struct lane_cc *cc, const struct lane_cc_sample *s)
{
	uint32_t grow = s->acked;

	if (cc->cwnd >= cc->ssthresh)
		return s->acked;
	if (grow > cc->ssthresh - cc->cwnd)
		grow = cc->ssthresh - cc->cwnd;
	if (grow > LANE_CC_CWND_MAX - cc->cwnd)
		grow = LANE_CC_CWND_MAX - cc->cwnd;
	cc->cwnd += grow;
	return s->acked - grow;
}

void lane_cc_reno_grow(struct lane_cc *cc, const struct lane_cc_sample *s, uint32_t *grown)
{
	uint32_t acked;

	if (!lane_cc_may_grow(cc, s))
		return;
	acked = lane_cc_slow_start(cc, s);
	/* RFC 5681 3.1 (3): more than a window at once counts as one. */
	*grown += acked < cc->cwnd ? acked : cc->cwnd;
	if (*grown < cc->cwnd)
		return;
	*grown -= cc->cwnd;
	cc->cwnd += s->mss;
}

void lane_cc_reduce(struct lane_cc *cc, uint32_t target, uint32_t mss)
{
	cc->prior_cwnd = cc->cwnd;
	cc->prior_ssthresh = cc->ssthresh;
	cc->ssthresh = target > 2 * mss ? target : 2 * mss; /* RFC 5681 (4) */
}

void lane_cc_end_recovery(struct lane_cc *cc, const struct lane_cc_sample *s)
{
	(void)s;
	if (cc->ssthresh <= LANE_CC_CWND_MAX)
		cc->cwnd = cc->ssthresh;
}

void lane_cc_restart(struct lane_cc *cc, const struct lane_cc_sample *s, uint64_t idle_us, uint32_t rto_us)
{
	uint32_t least = lane_cc_initial_window(s->mss);
	uint32_t kept = cc->cwnd / 4 * 3;

	if (rto_us == 0 || idle_us < rto_us)
		return;
	/* RFC 2861 3.2: the old window is remembered as a threshold. */
	if (cc->ssthresh < kept)
		cc->ssthresh = kept;
	/* At most 30 times: cwnd has no more bits. */
	for (; idle_us >= rto_us && cc->cwnd > least; idle_us -= rto_us)
		cc->cwnd = cc->cwnd / 2 > least ? cc->cwnd / 2 : least;
}

void lane_cc_restore(struct lane_cc *cc, const struct lane_cc_sample *s)
{
	(void)s;
	if (cc->cwnd < cc->prior_cwnd)
		cc->cwnd = cc->prior_cwnd;
	if (cc->ssthresh < cc->prior_ssthresh)
		cc->ssthresh = cc->prior_ssthresh;
}
