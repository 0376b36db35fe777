/*
 * idle.c - what an idle connection costs: a lane with a million of them, and how much of it is resident
 *
 * Each flow opens, echoes 64 bytes, and has the answer acknowledged; then nothing happens any more. Printed
 * is what the kernel holds in memory for the lane (mincore), all in, and the sum of what belongs to one
 * connection by the sizes of the structs. Exit status 1: more than 300 bytes of memory a connection.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/micro/echo.h"
#include "lane-int/engine.h"

#define MOST 300

/* Bytes of [mem, mem + size) that are in memory, as the kernel says. */
static size_t resident(void *mem, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), nr = (size + page - 1) / page, in = 0;
	unsigned char *v = malloc(nr);

	if (!v || mincore(mem, size, v)) {
		perror("bench-idle: mincore");
		exit(2);
	}
	for (size_t i = 0; i < nr; i++)
		in += v[i] & 1;
	free(v);
	return in * page;
}

static void print(uint32_t flows, double all, const struct lane *ln)
{
	double table = (double)lane_ftable_size(ln->conns->max) / flows;
	double sum = (double)(lane_tcp_pcb_size() + lane_tcp_cold_size()) + table;

	printf("idle connections                %10u\n", flows);
	printf("extensions in use               %10u of %u\n", ln->st->x_pool.nr_used,
	       ln->st->x_pool.nr);
	printf("resident, all of the lane       %10.1f MB\n", all / 1e6);
	printf("  for each connection           %10.1f bytes\n", all / flows);
	printf("pcb, counts, share of the table %10.1f bytes (%zu + %zu + %.1f), IPv6 %zu more\n", sum,
	       lane_tcp_pcb_size(), lane_tcp_cold_size(), table,
	       lane_tcp_ip6_size());
}

int main(int argc, char **argv)
{
	struct echo_config cfg = {.flows = 1000000, .rounds = 1, .nr_x = 16384};
	struct echo_world *w;
	struct lane *ln;
	size_t size, all;
	void *mem;

	if (argc > 2 || (argc == 2 && (cfg.flows = (uint32_t)strtoul(argv[1], NULL, 10)) == 0)) {
		fprintf(stderr, "usage: bench-idle [connections]\n");
		return 2;
	}
	w = echo_open(&cfg);
	echo_settle(w);
	ln = echo_lane(w, &mem, &size);
	all = resident(mem, size);
	print(cfg.flows, (double)all, ln);
	echo_close(w);
	return all / MOST > cfg.flows;
}
