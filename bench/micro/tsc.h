/*
 * tsc.h - the time-stamp counter, and medians of what it measured
 */
#ifndef LANE_BENCH_MICRO_TSC_H
#define LANE_BENCH_MICRO_TSC_H

#include <stdint.h>
#include <stdlib.h>
#include <x86intrin.h>

#define REPEATS_MAX 64

static inline uint64_t tsc(void)
{
	unsigned int core;

	/* Waits for what came before; costs the same each time, which tsc_cost() takes off again.
	 */
	return __rdtscp(&core);
}

static inline int tsc_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts 'v'. */
static inline double tsc_median(double *v, unsigned int n)
{
	qsort(v, n, sizeof(*v), tsc_compare);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* What one pair of tsc() measures when nothing is between them. */
static inline double tsc_cost(void)
{
	double v[REPEATS_MAX];

	for (unsigned int i = 0; i < REPEATS_MAX; i++) {
		uint64_t at = tsc();

		v[i] = (double)(tsc() - at);
	}
	return tsc_median(v, REPEATS_MAX);
}

#endif
