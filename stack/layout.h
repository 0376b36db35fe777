/*
 * layout.h - where the arrays of a lane with a given configuration lie
 */
#ifndef LANE_STACK_LAYOUT_H
#define LANE_STACK_LAYOUT_H

#include "lane-int/state.h"

/* How many interfaces it has: 1 to LANE_IFS_MAX. */
unsigned int lane_config_ifs(const struct lane_config *cfg);
/* Fills in every offset and the size of all, a multiple of 4096. */
void lane_layout_make(const struct lane_config *cfg, struct lane_layout *at);

#endif
