/*
 * echo.h - a lane that echoes for a template client: what is measured, and of what it consists
 */
#ifndef LANE_BENCH_MICRO_ECHO_H
#define LANE_BENCH_MICRO_ECHO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct echo_config {
	uint32_t flows;
	uint32_t burst;  /* frames in one poll, at most 32 */
	uint32_t text;   /* bytes in one request */
	uint32_t rounds; /* requests in one repetition */
	bool software;   /* checksums are summed by the engine, as over a NIC that cannot */
	bool cuts;       /* the queue takes super-segments */
	bool apart;      /* the client acknowledges each answer at once, by a segment of its own */
	bool lend;       /* the program sends the frame that it received: no copy */
	uint32_t nr_x; /* extensions, for flows that will be idle; 0: one for each */
};

enum echo_stage { ECHO_POLL, ECHO_PROGRAM, ECHO_FLUSH, ECHO_STAGES };

struct echo_world;
struct lane;

/* All flows connected. Returns owned. */
struct echo_world *echo_open(const struct echo_config *cfg);
/* One repetition: TSC cycles of the server's lane for one echo, by stage. */
void echo_run(struct echo_world *w, double cycles[ECHO_STAGES]);
void echo_close(struct echo_world *w);

/* One flow of full segments into the lane, or out of it: cycles for one segment. */
double echo_bulk_in(struct echo_world *w);
double echo_bulk_out(struct echo_world *w);
/* Every flow echoes once, is acknowledged, and falls idle. */
void echo_settle(struct echo_world *w);
/* The lane, and the memory that it lies in. */
struct lane *echo_lane(struct echo_world *w, void **mem, size_t *size);

#endif
