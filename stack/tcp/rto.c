/*
 * rto.c - retransmission time-out of a connection (RFC 6298), in microseconds
 *
 * Deviation from RFC 6298 2.4 as in Linux: the floor is not one second for the whole but 'min_us'
 * for the variance part, so that a steady path never fires right at its round-trip time.
 */
#include "stack/tcp/rto.h"

#include <string.h>

static uint32_t at_most(uint32_t v, uint32_t max)
{
	return v < max ? v : max;
}

/* RFC 6298 2.2, 2.3: SRTT + max(G, 4 * RTTVAR), with the floor in place of the granularity G. */
static void compute(struct lane_rto *r, uint32_t min_us)
{
	uint32_t var = 4 * r->rttvar_us, min = at_most(min_us, LANE_RTO_MAX_US);
	uint32_t rto_us = LANE_RTO_INITIAL_US;

	if (r->srtt_us)
		rto_us = at_most(r->srtt_us + (var > min ? var : min), LANE_RTO_MAX_US);
	/* Together: one store of the word that they share, which is read again soon. */
	r->rto_us = rto_us;
	r->nr_backoffs = 0;
}

void lane_rto_init(struct lane_rto *r, uint32_t min_us)
{
	memset(r, 0, sizeof(*r));
	compute(r, min_us);
}

void lane_rto_sample(struct lane_rto *r, uint32_t rtt_us, uint32_t min_us)
{
	uint32_t rtt = at_most(rtt_us ? rtt_us : 1, LANE_RTO_MAX_US);

	if (r->srtt_us == 0) { /* RFC 6298 2.2 */
		r->srtt_us = rtt;
		r->rttvar_us = rtt / 2;
	} else { /* RFC 6298 2.3: in this order, rounded */
		uint32_t err = r->srtt_us > rtt ? r->srtt_us - rtt : rtt - r->srtt_us;

		r->rttvar_us = (3 * r->rttvar_us + err + 2) / 4;
		r->srtt_us = (7 * r->srtt_us + rtt + 4) / 8;
	}
	compute(r, min_us);
}

void lane_rto_backoff(struct lane_rto *r)
{
	r->rto_us = at_most(2 * (uint32_t)r->rto_us, LANE_RTO_MAX_US);
	if (r->nr_backoffs < 31)
		r->nr_backoffs++;
}

void lane_rto_reset_backoff(struct lane_rto *r, uint32_t min_us)
{
	compute(r, min_us);
}
