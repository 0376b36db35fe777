/*
 * clock.c - CLOCK_MONOTONIC in us, for a third of the vDSO's price
 *
 * Theory of operation. Each thread reads the kernel's clock at most every AHEAD_US, an anchor, and between two
 * of them goes by the processor's time stamp counter: without the barrier and the seconds that clock_gettime(2)
 * takes its time for. What the counter ticks per us is learnt from anchors a while apart, and again each while.
 * Trust in it is limited: from an anchor the clock goes on for less than AHEAD_US of its own and LATE_TICKS of
 * the counter, whatever that does when a machine sleeps or moves to another host; then the kernel is asked.
 * A thread's clock does not go back, unless the kernel's does (setns(2) to another time namespace). Elsewhere than on x86-64 with a counter that never changes its rate, and
 * until the rate is known, it is the kernel's each time.
 */
#ifdef __x86_64__
#include <cpuid.h>
#endif
#include <time.h>

#include "arena.h"

#define AHEAD_US     100
#define LEARN_US     1000  /* between the two anchors that the rate is taken from, at least */
#define CLEAN_TICKS  2500  /* a reading of the kernel's clock that took so long was interrupted */
#define RATE_BITS    32
#define LATE_TICKS   1000000 /* 100 us at 10 GHz: no counter is faster */
#define BACK_US      1000 /* further back goes the kernel's clock only */

int (*shim_clock)(clockid_t, struct timespec *) = clock_gettime;

static uint64_t kernel_now_us(void)
{
	struct timespec ts;

	shim_clock(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

#ifdef __x86_64__
struct anchor {
	uint64_t us, ticks;
};

static _Thread_local struct {
	struct anchor at;
	uint64_t limit; /* ticks from 'at' on; 0: the rate is not known */
	uint64_t rate;  /* us per tick, << RATE_BITS */
	uint64_t last_us;
	struct anchor learn; /* where the rate's measure begins; 0: nowhere yet */
	uint32_t nr_anchors;
} self __attribute__((tls_model("initial-exec")));

/* Its rate is the same in all states of power. Asked once: in a virtual machine that takes microseconds. */
static bool is_invariant(void)
{
	static _Atomic int known; /* 1: it is not, 2: it is */
	unsigned int a, b, c, d;

	if (!known)
		known = __get_cpuid(0x80000007, &a, &b, &c, &d) && d & 1U << 8 ? 2 : 1;
	return known == 2;
}

static uint64_t read_ticks(void)
{
	return __builtin_ia32_rdtsc();
}

static void learn_rate(const struct anchor *now)
{
	uint64_t ticks = now->ticks - self.learn.ticks, us = now->us - self.learn.us;

	if (self.learn.us && us < LEARN_US)
		return;
	/* Before the counter stood still or jumped it is unknown: between 0.1 and 10 GHz. */
	if (!self.learn.us || us > UINT32_MAX || ticks < us * 100 || ticks > us * 10000)
		self.rate = 0;
	else
		self.rate = (us << RATE_BITS) / ticks;
	self.learn = *now;
}

static __attribute__((noinline)) uint64_t anchor_now_us(uint64_t before)
{
	struct anchor now = {.us = kernel_now_us(), .ticks = read_ticks()};

	/* A handler that comes between finds no anchor. */
	self.limit = 0;
	self.nr_anchors++;
	atomic_signal_fence(memory_order_seq_cst);
	if (is_invariant() && now.ticks - before < CLEAN_TICKS) {
		learn_rate(&now);
		self.at = now;
		atomic_signal_fence(memory_order_seq_cst);
		if (self.rate)
			self.limit = ((uint64_t)AHEAD_US << RATE_BITS) / self.rate;
		if (self.limit > LATE_TICKS)
			self.limit = LATE_TICKS;
	}
	return now.us;
}

uint64_t shim_now_us(void)
{
	uint32_t nr = self.nr_anchors;
	uint64_t ticks, since, us;
	bool known;

	atomic_signal_fence(memory_order_seq_cst);
	ticks = read_ticks();
	since = ticks - self.at.ticks;
	us = self.at.us + (since * self.rate >> RATE_BITS);
	known = since < self.limit;
	atomic_signal_fence(memory_order_seq_cst);
	/* Another number: parts of two anchors, as a handler has read the clock. */
	if (__builtin_expect(!known || nr != self.nr_anchors, 0))
		us = anchor_now_us(ticks);
	if (us < self.last_us && self.last_us - us < BACK_US)
		return self.last_us;
	self.last_us = us;
	return us;
}
#else
uint64_t shim_now_us(void)
{
	return kernel_now_us();
}
#endif
