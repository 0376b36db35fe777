/*
 * port.c - what lwIP calls: the clock, random numbers, and a way out of a failed assertion
 *
 * lwIP is one instance with global state, so this is too: a process opens one control plane.
 */
#include <setjmp.h>
#include <sys/random.h>

#include "arch/cc.h"
#include "lwip/sys.h"
#include "port.h"

struct lane_lwip_port lane_lwip_port;

u32_t sys_now(void)
{
	return (u32_t)(lane_lwip_port.now_us / 1000);
}

uint32_t lane_lwip_rand(void)
{
	uint32_t n = lane_lwip_port.seed;

	if (n)
		return lane_lwip_port.seed = n * 1664525 + 1013904223;
	(void)!getrandom(&n, sizeof(n), 0);
	return n;
}

void lane_lwip_assert(const char *what)
{
	lane_lwip_port.nr_asserts++;
	lane_lwip_port.last_assert = what;
	longjmp(lane_lwip_port.out, 1);
}
