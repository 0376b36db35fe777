/*
 * sandbox.h - what a program that gave up system calls leaves to us (seccomp.c)
 */
#ifndef SHIM_SANDBOX_H
#define SHIM_SANDBOX_H

#include "posix/shim.h"

/* Bits of shim.denied: system calls that lane calls must do without. */
#define SHIM_NO_SENDTO 0x01
#define SHIM_NO_EPOLL  0x02
#define SHIM_NO_PPOLL  0x04
#define SHIM_NO_POLL   0x08
#define SHIM_NO_YIELD  0x10
#define SHIM_NO_NAP    0x20
#define SHIM_NO_LOCK   0x40 /* never set there: without these there is no lane */

#define SHIM_BREATHS 64 /* tries that yield, before those that sleep */

struct sock_filter;
struct seccomp_data;
/* The result of a filter for one system call, SECCOMP_RET_*. */
uint32_t shim_filter_run(const struct sock_filter *prog, size_t n, const struct seccomp_data *sd);

/* A filter ('user': the program's struct sock_fprog), or the strict mode, is about to be installed. */
void shim_seccomp_filter(const void *user);
void shim_seccomp_strict(void);

static inline bool shim_sandboxed(void)
{
	return shim_unlikely(atomic_load_explicit(&shim.denied, memory_order_relaxed) & SHIM_NO_EPOLL);
}

/* Sleeps for 'us' (< 0: until woken) on what 'w' names without the calls that are denied; *kernel: one of
 * the kernel's descriptors is ready. 0, > 0: woken, -errno. A cancellation point it is not. */
int shim_sandbox_sleep(const struct shim_wait *w, int64_t us, bool *kernel);
/* A short pause while another thread works; the 'tries'-th. */
void shim_breathe(unsigned int tries);

#endif
