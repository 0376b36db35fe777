/*
 * rng.h - a lane's own random numbers: xoshiro256**, seeded by whoever creates the lane
 *
 * Reproducible from its seed, so that a simulation replays. Not for secrets: keyed values
 * (ISN, hashes) use SipHash with a key of the lane (hash.h), which the opener takes from the kernel.
 */
#ifndef LANE_BASE_RNG_H
#define LANE_BASE_RNG_H

#include <stdint.h>

struct lane_rng {
	uint64_t s[4];
};

void lane_rng_seed(struct lane_rng *r, uint64_t seed);
uint64_t lane_rng_u64(struct lane_rng *r);
/* Uniform in [0, n); 0 if n is 0. */
uint32_t lane_rng_below(struct lane_rng *r, uint32_t n);

#endif
