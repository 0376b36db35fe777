/*
 * rate.h - how fast the path delivers: draft-cheng-iccrg-delivery-rate-estimation
 *
 * Theory of operation. Each segment takes along, in its frame, how much had been delivered when it left,
 * and when that was; its ACK then tells how much arrived within which time. The time is the longer of
 * that between the transmissions and that between the ACKs, so that ACKs that were squeezed together
 * do not count as a faster path. A segment that left while the program had too little to send says
 * so: its sample is a lower bound.
 *
 * Times in a frame are distances, in 16 bits with 12 significant ones; so are bytes, with 11. Nothing of struct lane_rate means anything
 * while nothing is in flight, but the last sample, which TCP_INFO shows.
 */
#ifndef LANE_TCP_RATE_H
#define LANE_TCP_RATE_H

#include <lane/buf.h>

#include "stack/base/seq.h"

/* Of a connection. */
struct lane_rate {
	uint32_t delivered_us;  /* when text last arrived at the peer, as far as we know; low half */
	uint32_t first_sent_us; /* when the segment left that the newest sample is of */
	uint32_t limited_until; /* low half of 'delivered': up to it samples are limited by the program */
	uint16_t lost;          /* segments found lost so far, mod 2^16 */
	uint8_t limited;        /* limited_until is good */
	uint8_t sample_limited; /* the last good sample, for TCP_INFO */
	uint32_t bytes, interval_us;
};

/* What the newest segment among those that an ACK tells of took along. */
struct lane_rate_seen {
	bool any, limited;
	uint64_t tx_us;
	uint32_t end_seq;
	uint32_t delivered, since_us, send_us;
	uint32_t in_flight;
	uint16_t lost;
};

#define LANE_RATE_MANTISSA 11 /* bits behind the leading one */
#define LANE_RATE_LIMITED  0x8000U /* lane_buf.rate_flight: the program limited sending */

/* 16 bits for up to 2^32 - 1, rounded down by less than 1 / 2048. */
static inline uint16_t lane_rate_pack(uint32_t v)
{
	uint32_t shift;

	if (v < 2U << LANE_RATE_MANTISSA)
		return (uint16_t)v;
	shift = 31U - LANE_RATE_MANTISSA - (uint32_t)__builtin_clz(v);
	return (uint16_t)((shift + 1) << LANE_RATE_MANTISSA | (v >> shift & ((1U << LANE_RATE_MANTISSA) - 1)));
}

static inline uint32_t lane_rate_unpack(uint16_t p)
{
	uint32_t exp = p >> LANE_RATE_MANTISSA, mantissa = p & ((1U << LANE_RATE_MANTISSA) - 1);

	return exp ? (mantissa | 1U << LANE_RATE_MANTISSA) << (exp - 1) : mantissa;
}

/* 'b' leaves now. 'idle': nothing else is in flight; 'in_flight': bytes, with it. */
static inline void lane_rate_sent(struct lane_rate *r, struct lane_buf *b, uint64_t now_us, uint64_t delivered,
		    bool idle, uint32_t in_flight)
{
	if (idle)
		r->first_sent_us = r->delivered_us = (uint32_t)now_us;
	b->user = (uint32_t)delivered;
	b->rate_ack_us = lane_rate_pack((uint32_t)now_us - r->delivered_us);
	b->rate_send_us = lane_rate_pack((uint32_t)now_us - r->first_sent_us);
	b->rate_lost = r->lost;
	b->rate_flight = lane_rate_pack(in_flight) >> 1;
	if (r->limited)
		b->rate_flight |= LANE_RATE_LIMITED;
}

/* 'b' arrived, as this ACK is the first to tell. */
static inline void lane_rate_arrived(struct lane_rate_seen *seen, const struct lane_buf *b)
{
	uint32_t end_seq = b->seq + b->text_len;

	if (seen->any && (b->tx_us < seen->tx_us || (b->tx_us == seen->tx_us && lane_seq_lt(end_seq, seen->end_seq))))
		return;
	*seen = (struct lane_rate_seen){
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

/* All that this ACK told has been seen; 'delivered' includes it. Returns the sample's interval, 0: none. */
uint32_t lane_rate_acked(struct lane_rate *r, const struct lane_rate_seen *s, uint64_t now_us,
			 uint64_t delivered, uint32_t newly, uint32_t min_rtt_us);
/* The program has no more to send, though more might leave. */
static inline void lane_rate_app_limited(struct lane_rate *r, uint64_t delivered, uint32_t in_flight)
{
	r->limited = 1;
	r->limited_until = (uint32_t)delivered + in_flight;
}

#endif
