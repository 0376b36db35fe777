/*
 * sys.h - system calls that go to the kernel directly, for drivers and the shim
 *
 * libc's are cancellation points, and the shim interposes them: a kick would come back by its own sendto().
 * Each returns as the kernel does: -errno, and leaves errno alone.
 */
#ifndef LANE_DRIVERS_SYS_H
#define LANE_DRIVERS_SYS_H

#include <sys/syscall.h>

#if defined(__x86_64__)
static inline long lane_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}
#elif defined(__aarch64__)
static inline long lane_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#else
#error "sys.h: no raw system call for this machine yet"
#endif

#endif
