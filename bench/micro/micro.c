/*
 * micro.c - bench-micro: TSC cycles of the engine alone
 *
 * bench-micro [-q] [-r REPEATS] [-f FLOWS]
 *
 * A 64-byte TCP echo at 1, 1 k, 100 k and 1 M connections in random order, in bursts of 32; the
 * client is a frame template and outside of what is measured. Beside it Debian's liblwip does the
 * same (up to 10 k: its connections are a list), then one bulk flow, then the parts alone. All are
 * medians of REPEATS (7). -q: a quick round without 1 M and lwIP; -f: only the echo of so many
 * flows, for perf.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/micro/echo.h"
#include "bench/micro/lwip.h"
#include "bench/micro/parts.h"
#include "bench/micro/tsc.h"

#define TEXT      64
#define LWIP_MOST 10000

struct result {
	double stage[ECHO_STAGES]; /* medians */
	double total, least, most;
};

static struct result measure(const struct echo_config *cfg, unsigned int repeats)
{
	double v[ECHO_STAGES + 1][REPEATS_MAX], one[ECHO_STAGES];
	struct echo_world *w = echo_open(cfg);
	struct result r;

	echo_run(w, one); /* warms up */
	for (unsigned int k = 0; k < repeats; k++) {
		echo_run(w, one);
		v[ECHO_STAGES][k] = 0;
		for (int i = 0; i < ECHO_STAGES; i++) {
			v[i][k] = one[i];
			v[ECHO_STAGES][k] += one[i];
		}
	}
	echo_close(w);
	for (int i = 0; i < ECHO_STAGES; i++)
		r.stage[i] = tsc_median(v[i], repeats);
	r.total = tsc_median(v[ECHO_STAGES], repeats);
	r.least = v[ECHO_STAGES][0];
	r.most = v[ECHO_STAGES][repeats - 1];
	return r;
}

static struct echo_config config(uint32_t flows)
{
	return (struct echo_config){
		.flows = flows,
		.burst = flows < 32 ? 1 : 32,
		.text = TEXT,
		.rounds = flows > 100000 ? flows : 100000,
	};
}

static double print_echo(uint32_t flows, const char *what, const struct echo_config *cfg,
			 unsigned int repeats)
{
	struct result r = measure(cfg, repeats);

	printf("%8u  %-22s %7.0f %7.0f %7.0f %8.0f   %.0f..%.0f\n", flows, what, r.stage[ECHO_POLL],
	       r.stage[ECHO_PROGRAM], r.stage[ECHO_FLUSH], r.total, r.least, r.most);
	fflush(stdout);
	return r.total;
}

static void print_lwip(uint32_t flows, double ours, unsigned int repeats)
{
	double lwip;

	if (flows > LWIP_MOST)
		return;
	lwip = lwip_echo(flows, TEXT, flows > 1000 ? 2000 : 20000, repeats);
	if (lwip < 0)
		printf("%8u  liblwip is not installed\n", flows);
	else
		printf("%8u  %-22s %7s %7s %7s %8.0f   %.1f x lane\n", flows, "liblwip, summed", "",
		       "", "", lwip, lwip / ours);
}

static void print_flows(uint32_t flows, bool quick, unsigned int repeats)
{
	struct echo_config cfg = config(flows);
	double summed;

	print_echo(flows, "lane", &cfg, repeats);
	if (quick)
		return;
	cfg.lend = true;
	print_echo(flows, "lane, frame lent", &cfg, repeats);
	cfg.lend = false;
	cfg.apart = true;
	print_echo(flows, "lane, ACKs apart", &cfg, repeats);
	cfg.apart = false;
	cfg.software = true;
	summed = print_echo(flows, "lane, summed", &cfg, repeats);
	print_lwip(flows, summed, repeats);
}

static void print_bulk(const char *what, bool software, bool cuts,
		       double (*run)(struct echo_world *), unsigned int repeats)
{
	struct echo_config cfg = {.flows = 1,
				  .burst = 32,
				  .text = TEXT,
				  .rounds = 50000,
				  .software = software,
				  .cuts = cuts};
	struct echo_world *w = echo_open(&cfg);
	double v[REPEATS_MAX];

	run(w);
	for (unsigned int i = 0; i < repeats; i++)
		v[i] = run(w);
	echo_close(w);
	printf("%-40s %10.1f\n", what, tsc_median(v, repeats));
}

int main(int argc, char **argv)
{
	unsigned int repeats = 7;
	uint32_t only = 0;
	bool quick = false;
	int c;

	while ((c = getopt(argc, argv, "qr:f:")) != -1) {
		if (c == 'q')
			quick = true;
		else if (c == 'r' && atoi(optarg) > 0 && atoi(optarg) <= REPEATS_MAX)
			repeats = (unsigned int)atoi(optarg);
		else if (c == 'f' && atoi(optarg) > 0)
			only = (uint32_t)atoi(optarg);
		else
			return 2;
	}
	printf("%8s  %-22s %7s %7s %7s %8s   (TSC cycles for one echo of %d bytes)\n", "flows",
	       "stack", "poll", "program", "flush", "all", TEXT);
	if (only) {
		print_flows(only, true, repeats);
		return 0;
	}
	print_flows(1, quick, repeats);
	print_flows(1000, quick, repeats);
	if (!quick)
		print_flows(10000, quick, repeats);
	print_flows(100000, quick, repeats);
	if (!quick)
		print_flows(1000000, quick, repeats);
	printf("\n%-40s %10s\n", "one flow, segments of 1448 bytes", "cycles");
	print_bulk("received, 32 a burst", false, false, echo_bulk_in, repeats);
	print_bulk("received and summed", true, false, echo_bulk_in, repeats);
	print_bulk("sent, an ACK for 64", false, false, echo_bulk_out, repeats);
	print_bulk("sent and summed", true, false, echo_bulk_out, repeats);
	print_bulk("sent in super-segments", false, true, echo_bulk_out, repeats);
	parts_print(repeats);
	return 0;
}
