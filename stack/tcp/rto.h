/*
 * rto.h - retransmission time-out of a connection (RFC 6298), in microseconds
 *
 * Plain data: it lies in the pcb, in memory that several processes map.
 */
#ifndef LANE_TCP_RTO_H
#define LANE_TCP_RTO_H

#include <stdint.h>

#define LANE_RTO_INITIAL_US 1000000   /* RFC 6298 2.1: before the first sample */
#define LANE_RTO_MAX_US     120000000 /* RFC 6298 2.5: at least 60 s; Linux' figure */

struct lane_rto {
	uint32_t srtt_us;    /* smoothed round-trip time, 0: no sample yet */
	uint32_t rttvar_us;  /* its mean deviation */
	uint32_t rto_us : 27;     /* the time-out to arm the timer with, backoff included */
	uint32_t nr_backoffs : 5; /* how often it was doubled since the last sample or reset, saturating */
};

_Static_assert(LANE_RTO_MAX_US < 1 << 27, "fits rto_us");

/* No samples yet. In all of them 'min_us' is the floor of the variance part, rto >= srtt + min: 200 ms as
 * Linux has it, down to 5 ms for data centres. */
void lane_rto_init(struct lane_rto *r, uint32_t min_us);
/* Takes one measured round trip; the caller obeys Karn's rule. Ends the backoff. */
void lane_rto_sample(struct lane_rto *r, uint32_t rtt_us, uint32_t min_us);
/* The timer expired: doubles the time-out (RFC 6298 5.5). */
void lane_rto_backoff(struct lane_rto *r);
/* New data was acknowledged without a sample: the time-out is computed afresh from what is known.
 */
void lane_rto_reset_backoff(struct lane_rto *r, uint32_t min_us);

#endif
