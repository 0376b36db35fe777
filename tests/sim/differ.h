/*
 * differ.h - what two runs of a seed are compared by
 */
#ifndef LANE_TESTS_DIFFER_H
#define LANE_TESTS_DIFFER_H

#include "tests/sim/sim.h"

/* A frame was sent, a turn is over, the run is: s->digest becomes another one. */
void differ_frame(struct sim *s, unsigned int end, const uint8_t *frame, size_t len);
void differ_turn(struct sim *s);
void differ_end(struct sim *s);

#endif
