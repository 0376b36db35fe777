/*
 * rate.c - delivery rate samples (see rate.h)
 */
#include "stack/tcp/rate.h"

uint32_t lane_rate_acked(struct lane_rate *r, const struct lane_rate_seen *s, uint64_t now_us,
			 uint64_t delivered, uint32_t newly, uint32_t min_rtt_us)
{
	uint32_t ack_us, interval;

	if (r->limited && (int32_t)((uint32_t)delivered - r->limited_until) > 0)
		r->limited = 0;
	if (newly)
		r->delivered_us = (uint32_t)now_us;
	if (!s->any)
		return 0;
	r->first_sent_us = (uint32_t)s->tx_us;
	ack_us = (uint32_t)now_us - s->since_us;
	interval = ack_us > s->send_us ? ack_us : s->send_us;
	/* Shorter than a round trip: ACKs of text that was sent again, or a guess of ours. */
	if (interval == 0 || interval < min_rtt_us)
		return 0;
	r->bytes = (uint32_t)delivered - s->delivered;
	r->interval_us = interval;
	r->sample_limited = s->limited;
	return interval;
}
