/*
 * probe.c - how fast two cores talk to each other at this minute
 *
 * Prints the round trip of a cache line between two cores and that of a wake-up through two
 * eventfds, in nanoseconds, each the median of some chunks. A virtual machine's cores move under
 * it: a benchmark's numbers mean little without these two beside them (facts.md 0).
 *
 * usage: bench-probe CORE CORE
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define CHUNKS      21
#define LINE_ROUNDS 4000
#define WAKE_ROUNDS 200

struct probe {
	_Atomic uint32_t ball __attribute__((aligned(64))); /* odd: the other core's turn */
	int there __attribute__((aligned(64)));             /* eventfds */
	int back;
	int core;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Exits when the core does not exist or may not be used. */
static void pin(int core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	if (sched_setaffinity(0, sizeof(set), &set)) {
		perror("sched_setaffinity");
		exit(1);
	}
}

static void *other_core(void *arg)
{
	struct probe *p = arg;
	uint64_t v;

	pin(p->core);
	for (uint32_t i = 0; i < CHUNKS * LINE_ROUNDS; i++) {
		while (!(atomic_load_explicit(&p->ball, memory_order_acquire) & 1))
			;
		atomic_fetch_add_explicit(&p->ball, 1, memory_order_release);
	}
	for (uint32_t i = 0; i < CHUNKS * WAKE_ROUNDS; i++) {
		if (read(p->there, &v, sizeof(v)) != sizeof(v) || eventfd_write(p->back, 1) != 0)
			exit(1);
	}
	return NULL;
}

static void line_rounds(struct probe *p)
{
	for (uint32_t i = 0; i < LINE_ROUNDS; i++) {
		atomic_fetch_add_explicit(&p->ball, 1, memory_order_release);
		while (atomic_load_explicit(&p->ball, memory_order_acquire) & 1)
			;
	}
}

static void wake_rounds(struct probe *p)
{
	uint64_t v;

	for (uint32_t i = 0; i < WAKE_ROUNDS; i++) {
		if (eventfd_write(p->there, 1) != 0 || read(p->back, &v, sizeof(v)) != sizeof(v))
			exit(1);
	}
}

static int by_value(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The median over CHUNKS of what one round takes. */
static uint64_t median_ns(struct probe *p, void (*rounds)(struct probe *), uint32_t nr)
{
	uint64_t ns[CHUNKS], start;

	for (int i = 0; i < CHUNKS; i++) {
		start = now_ns();
		rounds(p);
		ns[i] = (now_ns() - start) / nr;
	}
	qsort(ns, CHUNKS, sizeof(ns[0]), by_value);
	return ns[CHUNKS / 2];
}

int main(int argc, char **argv)
{
	struct probe p = {.there = eventfd(0, 0), .back = eventfd(0, 0)};
	pthread_t thread;

	if (argc != 3 || p.there < 0 || p.back < 0) {
		fprintf(stderr, "usage: bench-probe CORE CORE\n");
		return 2;
	}
	alarm(20); /* one core for both threads would take for ever */
	pin(atoi(argv[1]));
	p.core = atoi(argv[2]);
	if (pthread_create(&thread, NULL, other_core, &p))
		return 1;
	printf("line_ns %llu\n", (unsigned long long)median_ns(&p, line_rounds, LINE_ROUNDS));
	printf("wake_ns %llu\n", (unsigned long long)median_ns(&p, wake_rounds, WAKE_ROUNDS));
	pthread_join(thread, NULL);
	return 0;
}
