/*
 * rate.c - delivery rate samples (see rate.h)
 */
#include "stack/tcp/rate.h"

#include "stack/base/seq.h"

uint32_t lane_rate_unpack(uint16_t p)
{
	uint32_t exp = p >> LANE_RATE_MANTISSA, mantissa = p & ((1U << LANE_RATE_MANTISSA) - 1);

	return exp ? (mantissa | 1U << LANE_RATE_MANTISSA) << (exp - 1) : mantissa;
}

void lane_rate_arrived(struct lane_rate_seen *s, const struct lane_buf *b)
{
	uint32_t end_seq = b->seq + b->text_len;

	if (s->any && (b->tx_us < s->tx_us || (b->tx_us == s->tx_us && lane_seq_lt(end_seq, s->end_seq))))
		return;
	*s = (struct lane_rate_seen){
		.any = true,
		.limited = b->rate_flight & LANE_RATE_LIMITED,
		.tx_us = b->tx_us,
		.end_seq = end_seq,
		.delivered = b->user,
		.since_us = (uint32_t)b->tx_us - lane_rate_unpack(b->rate_ack_us),
		.send_us = lane_rate_unpack(b->rate_send_us),
		.lost = b->rate_lost,
		.in_flight = lane_rate_unpack((uint16_t)(b->rate_flight << 1)),
	};
}

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
