/*
 * world.h - two lanes on virtual time, joined by a cable that may have faults
 *
 * Lane i has the addresses 10.0.0.(i+1)/24 and fd00::(i+1)/64. Used by the simulator and by unit
 * tests. An error of the set-up aborts.
 */
#ifndef LANE_TESTS_WORLD_H
#define LANE_TESTS_WORLD_H

#include <lane/lane.h>

#include "drivers/fault/fault.h"
#include "drivers/pair/pair.h"
#include "lane-int/engine.h"

struct world_config {
	struct lane_config lane[2];
	struct lane_pair_config pair;
	bool faulty; /* fault drivers at both ends */
	struct lane_fault_config fault[2];
	uint32_t mtu;
	uint64_t start_us;  /* of the clock */
	bool no_neighbours; /* the tables do not know the other's MAC */
};

struct world {
	struct world_config cfg;
	uint64_t now_us;
	void *mem[2];
	struct lane *ln[2];
	struct lane_pair *pair;
	struct lane_queue *fault[2];
};

/* Small lanes, a clean cable, MTU 1500. */
void world_config_default(struct world_config *cfg);
void world_open(struct world *w, const struct world_config *cfg);
/* Closes the cable and frees the lanes. */
void world_close(struct world *w);
/* Polls and flushes both lanes at the present time; events stay queued. Returns packets received.
 */
unsigned int world_turn(struct world *w);
/* When something may happen next; UINT64_MAX: nothing is armed or on its way. */
uint64_t world_next(const struct world *w);
/* Turns and steps in time until 'us' have passed or nothing is left to happen. */
void world_run(struct world *w, uint64_t us);
struct lane_mac world_mac(unsigned int i);
struct lane_ip world_ip(unsigned int i, bool v6);
/* Fills in or removes lane i's knowledge of the other's MAC. */
void world_set_neighbour(struct world *w, unsigned int i, bool known);

#endif
