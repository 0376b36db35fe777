/*
 * pmtu.c - path MTUs that are smaller than the interface's (RFC 1191, RFC 8201)
 *
 * Theory of operation. What an ICMP error told of a destination, and a black hole that TCP found
 * (RFC 4821), holds for every flow to it, and for mtu_expires. A flow's cached path follows: the
 * number that stands for all tables (lane_pmtu_version()) grows with every change here, and
 * lane_path_update() looks again. A full table forgets what would expire first.
 */
#include "lane-int/engine.h"

#define MIN6 1280

static struct lane_pmtu *find(const struct lane *ln, const struct lane_ip *dst)
{
	struct lane_pmtu *p = ln->st->pmtu;

	for (unsigned int i = 0; ln->st->nr_pmtu && i < LANE_NR_PMTU; i++)
		if (p[i].mtu && lane_ip_equal(&p[i].dst, dst))
			return &p[i];
	return NULL;
}

/* A free entry, or the one that expires first. */
static struct lane_pmtu *place(struct lane *ln)
{
	struct lane_pmtu *p = ln->st->pmtu, *first = p;

	for (unsigned int i = 0; i < LANE_NR_PMTU; i++) {
		if (!p[i].mtu)
			return &p[i];
		if (p[i].until_us < first->until_us)
			first = &p[i];
	}
	ln->st->nr_pmtu--;
	ln->st->stats.pmtu_forgotten++;
	return first;
}

uint32_t lane_pmtu_learn(struct lane *ln, const struct lane_ip *dst, uint32_t mtu)
{
	uint32_t least = lane_ip_is4(dst) ? ln->st->cfg.min_pmtu : MIN6;
	struct lane_pmtu *p = find(ln, dst);

	if (mtu < least)
		mtu = least;
	if (p && p->mtu <= mtu)
		return p->mtu;
	if (!p) {
		p = place(ln);
		p->dst = *dst;
		ln->st->nr_pmtu++;
	}
	p->mtu = mtu;
	p->until_us = ln->now_us + ln->st->cfg.mtu_expires_us;
	if (ln->st->nr_pmtu == 1 || p->until_us < ln->st->pmtu_due_us)
		ln->st->pmtu_due_us = p->until_us;
	ln->st->pmtu_version++;
	ln->st->stats.pmtu_learned++;
	return mtu;
}

uint32_t lane_pmtu_of(const struct lane *ln, const struct lane_ip *dst, uint32_t mtu)
{
	const struct lane_pmtu *p = find(ln, dst);

	return p && p->mtu < mtu ? p->mtu : mtu;
}

void lane_pmtu_timers(struct lane *ln)
{
	struct lane_state *st = ln->st;

	if (!st->nr_pmtu || ln->now_us < st->pmtu_due_us)
		return;
	st->pmtu_due_us = UINT64_MAX;
	for (unsigned int i = 0; i < LANE_NR_PMTU; i++) {
		struct lane_pmtu *p = &st->pmtu[i];

		if (p->mtu && p->until_us <= ln->now_us) {
			p->mtu = 0;
			st->nr_pmtu--;
			st->pmtu_version++;
		} else if (p->mtu && p->until_us < st->pmtu_due_us) {
			st->pmtu_due_us = p->until_us;
		}
	}
}
