/*
 * fragments.h - a datagram that is given to a lane in fragments, for the tests of reassembly
 */
#ifndef LANE_TESTS_FRAGMENTS_H
#define LANE_TESTS_FRAGMENTS_H

#include <lane/udp.h>

#include "tests/sim/world.h"

/* A datagram from lane 1's address to lane 0, to be cut. */
struct dgram {
	bool v6;
	uint8_t proto, tos;
	uint32_t id, len; /* of l4 */
	uint32_t piece;   /* frames of so many bytes */
	uint8_t ext[16];  /* extension headers in front of the fragment header; ext_first is their type */
	uint32_t nr_ext;
	uint8_t ext_first;
	uint8_t l4[65536];
};

extern struct world w;
extern struct lane_udp *pcb; /* on lane 0, which gets the fragments */
extern struct dgram d;

int setup(void **state);
/* Nothing is left after a while. */
int teardown(void **state);
uint64_t drops(enum lane_drop why);
uint32_t nr_held(void);
/* 'd' becomes a datagram with 'n' bytes of text that 'id' determines. */
void make(bool v6, uint32_t id, uint32_t n);
/* Gives lane 0 the bytes [off, end) of 'd'. */
void give_as(uint32_t off, uint32_t end, bool more);
/* The same, up to the end of 'd', which is the end of the last fragment. */
void give(uint32_t off, uint32_t end);
/* What was made last is what arrives, and nothing else. */
void assert_arrives(void);
void assert_nothing(void);

#endif
