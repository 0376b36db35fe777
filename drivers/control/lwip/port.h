/*
 * port.h - the platform's state: there is one lwIP in a process
 */
#ifndef LANE_DRIVERS_LWIP_PORT_H
#define LANE_DRIVERS_LWIP_PORT_H

#include <setjmp.h>
#include <stdint.h>

struct lane_lwip_port {
	uint64_t now_us;
	uint32_t seed; /* of the numbers that lwIP draws, for tests; 0: the kernel's */
	jmp_buf out; /* where a failed assertion of lwIP's goes on */
	uint64_t nr_asserts;
	const char *last_assert;
};

extern struct lane_lwip_port lane_lwip_port;

/* Runs 'what' with lwIP: what an assertion ends is dropped, and counted. Not nested. */
#define LANE_LWIP_GUARD(what)                                                                      \
	do {                                                                                       \
		if (setjmp(lane_lwip_port.out) == 0) {                                             \
			what;                                                                      \
		}                                                                                  \
	} while (0)

#endif
