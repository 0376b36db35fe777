/*
 * lwip.h - the same echo by Debian's liblwip, where it is installed
 */
#ifndef LANE_BENCH_MICRO_LWIP_H
#define LANE_BENCH_MICRO_LWIP_H

#include <stdint.h>

/* Connects up to 'flows' and measures the medians of 'repeats' of 'rounds' echoes of 'text' bytes,
 * in random order. Cycles for one echo; below 0: not built with lwIP. Once in a process' life for
 * each 'flows', which may not get smaller. */
double lwip_echo(uint32_t flows, uint32_t text, uint32_t rounds, unsigned int repeats);

#endif
