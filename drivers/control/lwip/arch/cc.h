/*
 * cc.h - what lwIP asks of its platform
 */
#ifndef LANE_LWIP_CC_H
#define LANE_LWIP_CC_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

#define LWIP_NO_UNISTD_H 1

/* An invariant of lwIP's does not hold: what is at work is dropped and counted (port.c). */
void lane_lwip_assert(const char *what) __attribute__((noreturn));
uint32_t lane_lwip_rand(void);

#define LWIP_PLATFORM_ASSERT(x) lane_lwip_assert(x)
#define LWIP_PLATFORM_DIAG(x)   ((void)0)
#define LWIP_RAND()             lane_lwip_rand()

#endif
