/*
 * csum.c - the Internet checksum (RFC 1071), 32 bits at a time into 64-bit sums
 *
 * 32-bit words are added without carries: a 64-bit sum of them overflows after 16 GB only, and is
 * cut to 33 bits at the end of each call. From WIDE bytes on AVX2 does it where the CPU has it.
 */
#include "stack/base/csum.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define WIDE 128U /* below it the scalar loop is as fast */

static inline uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* The last 0 to 3 bytes. An odd byte is the first of a word whose second is 0. */
static uint64_t add_tail(uint64_t sum, const uint8_t *p, size_t len)
{
	uint16_t pair;

	if (len >= 2) {
		memcpy(&pair, p, sizeof(pair));
		sum += pair;
		p += 2;
	}
	return len & 1 ? sum + *p : sum;
}

static uint64_t add_narrow(uint64_t sum, const uint8_t *p, size_t len)
{
	for (; len >= 8; len -= 8, p += 8)
		sum += (uint64_t)load32(p) + load32(p + 4);
	if (len >= 4) {
		sum += load32(p);
		len -= 4;
		p += 4;
	}
	return lane_csum_cut(add_tail(lane_csum_cut(sum), p, len));
}

#if defined(__x86_64__)
static bool have_avx2(void)
{
	return __builtin_cpu_supports("avx2");
}

__attribute__((target("avx2"))) static inline uint64_t sum_lanes(__m256i even, __m256i odd)
{
	uint64_t v[4];
	uint64_t sum = 0;

	_mm256_storeu_si256((__m256i *)v, _mm256_add_epi64(even, odd));
	for (int i = 0; i < 4; i++)
		sum += v[i];
	return sum;
}

/* Adds 'nr' blocks of 32 bytes; copies them too unless 'dst' is NULL. */
__attribute__((target("avx2"))) static uint64_t add_blocks(uint8_t *dst, const uint8_t *p,
							   size_t nr)
{
	__m256i low = _mm256_set1_epi64x(UINT32_MAX);
	__m256i even = _mm256_setzero_si256();
	__m256i odd = even;

	for (size_t i = 0; i < nr; i++) {
		__m256i v = _mm256_loadu_si256((const __m256i *)(p + 32 * i));

		if (dst)
			_mm256_storeu_si256((__m256i *)(dst + 32 * i), v);
		even = _mm256_add_epi64(even, _mm256_and_si256(v, low));
		odd = _mm256_add_epi64(odd, _mm256_srli_epi64(v, 32));
	}
	return sum_lanes(even, odd);
}
#else
static bool have_avx2(void)
{
	return false;
}

static uint64_t add_blocks(uint8_t *dst, const uint8_t *p, size_t nr)
{
	if (dst)
		memcpy(dst, p, 32 * nr);
	return add_narrow(0, p, 32 * nr);
}
#endif

uint64_t lane_csum_add(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;

	if (len >= WIDE && have_avx2()) {
		size_t done = len & ~(size_t)31;

		sum = lane_csum_cut(sum) + add_blocks(NULL, p, len / 32);
		p += done;
		len -= done;
	}
	return add_narrow(sum, p, len);
}

uint64_t lane_csum_copy(uint64_t sum, void *dst, const void *src, size_t len)
{
	const uint8_t *p = src;
	uint8_t *d = dst;

	if (len >= WIDE && have_avx2()) {
		size_t done = len & ~(size_t)31;

		sum = lane_csum_cut(sum) + add_blocks(d, p, len / 32);
		d += done;
		p += done;
		len -= done;
	}
	/* In two passes, the second over the cached destination: the two may not overlap. */
	memcpy(d, p, len);
	return add_narrow(sum, d, len);
}

uint64_t lane_csum_pseudo(const struct lane_ip *src, const struct lane_ip *dst, uint8_t proto,
			  uint32_t len)
{
	uint64_t sum = (uint64_t)__builtin_bswap32(len) + __builtin_bswap32(proto);

	if (lane_ip_is4(src))
		return sum + src->w[3] + dst->w[3];
	for (int i = 0; i < 4; i++)
		sum += (uint64_t)src->w[i] + dst->w[i];
	return sum;
}
