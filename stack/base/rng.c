/*
 * rng.c - xoshiro256** (Blackman, Vigna), its state filled by splitmix64
 */
#include "stack/base/rng.h"

static uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static uint64_t splitmix64(uint64_t *x)
{
	uint64_t z = *x += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

void lane_rng_seed(struct lane_rng *r, uint64_t seed)
{
	for (int i = 0; i < 4; i++)
		r->s[i] = splitmix64(&seed);
}

uint64_t lane_rng_u64(struct lane_rng *r)
{
	uint64_t *s = r->s;
	uint64_t out = rotl(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return out;
}

uint32_t lane_rng_below(struct lane_rng *r, uint32_t n)
{
	uint64_t m;

	if (n == 0)
		return 0;
	/* The high half of a product is uniform once the 2^32 mod n lowest low halves are refused.
	 */
	do
		m = (lane_rng_u64(r) >> 32) * n;
	while ((uint32_t)m < -n % n);
	return (uint32_t)(m >> 32);
}
