/*
 * seq.h - sequence number arithmetic modulo 2^32 (RFC 9293 3.4)
 */
#ifndef LANE_BASE_SEQ_H
#define LANE_BASE_SEQ_H

#include <stdbool.h>
#include <stdint.h>

static inline bool lane_seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool lane_seq_le(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

static inline bool lane_seq_gt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static inline bool lane_seq_ge(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) >= 0;
}

#endif
