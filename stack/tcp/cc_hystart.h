/*
 * cc_hystart.h - HyStart++ (RFC 9406): slow start ends when the round trip grows, not when the queue is full
 *
 * Theory of operation. The shortest round trip of each round is compared with that of the round before.
 * When it has grown by an eighth (4 to 16 ms), slow start goes on at a quarter of its pace for up to
 * five rounds (conservative slow start). Does the round trip shrink again meanwhile, it was a whim of the path
 * and slow start resumes; else congestion avoidance begins.
 */
#ifndef LANE_TCP_CC_HYSTART_H
#define LANE_TCP_CC_HYSTART_H

#include "stack/tcp/cc.h"

struct lane_hystart {
	uint32_t window_end; /* this round ends when it is acknowledged */
	uint32_t last_us, cur_us; /* shortest round trips of the last round and of this one, 0: none */
	uint32_t base_us; /* cur_us when conservative slow start began, 0: it has not */
	uint8_t nr_samples; /* of this round, saturating */
	uint8_t nr_rounds; /* of conservative slow start */
	uint8_t begun;
	uint8_t reserved;
};

/* By what slow start's growth for this ACK is divided; 0: slow start is over. */
uint32_t lane_hystart_ack(struct lane_hystart *h, const struct lane_cc_sample *s);

#endif
