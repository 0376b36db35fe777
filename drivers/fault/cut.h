/*
 * cut.h - cuts a packet into IP fragments of random sizes, as a router or a sender might
 */
#ifndef LANE_DRIVERS_FAULT_CUT_H
#define LANE_DRIVERS_FAULT_CUT_H

#include <lane/buf.h>

#include "stack/base/rng.h"

#define LANE_CUT_MAX 12 /* fragments of one packet */

/* Consumes 'b' and fills out[] with fragments of it, in order; each is one frame or a chain. Returns
 * how many; 1 with out[0] == b: it cannot be cut; 0: no frames, it is lost. */
uint32_t lane_fault_cut(struct lane_bufs *bs, struct lane_rng *rng, uint32_t id, struct lane_buf *b,
			struct lane_buf *out[LANE_CUT_MAX]);

#endif
