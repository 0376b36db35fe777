/*
 * parts.h - what the engine's parts cost alone
 */
#ifndef LANE_BENCH_MICRO_PARTS_H
#define LANE_BENCH_MICRO_PARTS_H

/* Measures and prints a table of medians of 'repeats'. */
void parts_print(unsigned int repeats);

#endif
