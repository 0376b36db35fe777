/*
 * goodput.c - goodput [--mbit N] [--rtt-ms N] [--loss PPM] [--ack-loss PPM] [--burst N]
 *             [--reorder PPM] [--reorder-us N] [--queue BDPs/100] [--seconds N] [--seeds N]
 *             [--cc NAME] [--no-sack] [--no-ts]
 *
 * One bulk flow over a link of this rate, delay and loss, on virtual time. A line for each seed, and the
 * median.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lane/tcp.h>

#include "stack/tcp/pcb.h"
#include "tests/sim/world.h"

#define PORT	  80
#define SEEDS_MAX 100

struct link {
	uint32_t mbit, rtt_ms, loss, ack_loss, burst, reorder, reorder_us, queue, seconds, seeds;
	bool no_sack, no_ts;
	uint8_t cc;
};

static struct lane_tcp *listener, *client, *server;

static void configure(const struct link *l, uint64_t seed, struct world_config *cfg)
{
	uint64_t bdp = (uint64_t)l->mbit * 125 * l->rtt_ms;

	world_config_default(cfg);
	cfg->pair.ring_size = 1024;
	cfg->faulty = true;
	for (unsigned int i = 0; i < 2; i++) {
		cfg->lane[i].nr_bufs = 65536;
		cfg->lane[i].tcp_wmem[2] = cfg->lane[i].tcp_rmem[2] = 64 << 20;
		cfg->lane[i].cc = l->cc;
		cfg->lane[i].timestamps = !l->no_ts;
		cfg->fault[i].seed = seed * 2 + i;
		cfg->fault[i].delay_us = l->rtt_ms * 500;
		cfg->fault[i].rate_kbps = l->mbit * 1000;
		cfg->fault[i].queue_bytes = (uint32_t)(bdp * l->queue / 100);
	}
	/* Packets for lane 1 are the text. */
	cfg->fault[1].loss = l->loss;
	cfg->fault[1].burst = l->burst;
	cfg->fault[1].reorder = l->reorder;
	cfg->fault[1].reorder_us = l->reorder_us;
	cfg->fault[0].loss = l->ack_loss;
}

static void connect_both(struct world *w, bool no_sack)
{
	struct lane_ep any = {.port = PORT}, local = {.port = 0}, remote = {.port = PORT};

	remote.ip = world_ip(1, false);
	listener = lane_tcp_create(w->ln[1], 100);
	client = lane_tcp_create(w->ln[0], 1);
	lane_tcp_listen(w->ln[1], listener, &any, false, 5);
	lane_tcp_connect(w->ln[0], client, &local, &remote);
	for (server = NULL; !server;) {
		world_run(w, 1000);
		server = lane_tcp_accept(w->ln[1], listener, 2);
	}
	if (no_sack)
		client->flags &= ~LANE_TF_SACK;
}

/* Writes what fits, reads what came; returns how much that was. */
static uint64_t serve(struct world *w)
{
	static uint8_t text[65536];
	struct lane_event ev;
	uint64_t got = 0;
	ssize_t r;

	for (unsigned int i = 0; i < 2; i++)
		while (lane_event(w->ln[i], &ev))
			;
	while (lane_tcp_write(w->ln[0], client, text, sizeof(text), false, NULL) > 0)
		;
	while ((r = lane_tcp_read(w->ln[1], server, text, sizeof(text), false, 0, NULL)) > 0)
		got += (uint64_t)r;
	return got;
}

/* Returns Mbit/s. */
static double run(const struct link *l, uint64_t seed)
{
	struct world_config cfg;
	struct world w;
	const struct lane_stats *st;
	uint64_t end, got = 0;
	double mbit;

	configure(l, seed, &cfg);
	world_open(&w, &cfg);
	connect_both(&w, l->no_sack);
	end = w.now_us + l->seconds * 1000000ULL;
	while (w.now_us < end) {
		got += serve(&w);
		world_run(&w, 500);
	}
	mbit = (double)got * 8 / 1e6 / l->seconds;
	st = lane_stats(w.ln[0]);
	printf("seed %" PRIu64 ": %.2f Mbit/s, %" PRIu64 " lost, %" PRIu64 " queue full, %" PRIu64
	       " segments again, %" PRIu64 " recoveries, %" PRIu64 " time-outs, %" PRIu64
	       " undone, %" PRIu64 " probes of the tail\n",
	       seed, mbit, lane_fault_stats(w.fault[1])->nr_lost,
	       lane_fault_stats(w.fault[1])->nr_queue_full, st->tcp_retransmits,
	       st->tcp_fast_retransmits, st->tcp_rtos, st->tcp_undone, st->tcp_tlps);
	world_close(&w);
	return mbit;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static bool parse(int argc, char **argv, struct link *l)
{
	static const struct option opts[] = {
		{"mbit", 1, NULL, 'm'},	   {"rtt-ms", 1, NULL, 'r'},  {"loss", 1, NULL, 'l'},
		{"ack-loss", 1, NULL, 'a'}, {"burst", 1, NULL, 'b'},   {"reorder", 1, NULL, 'o'},
		{"reorder-us", 1, NULL, 'u'}, {"queue", 1, NULL, 'q'}, {"seconds", 1, NULL, 's'},
		{"seeds", 1, NULL, 'n'},   {"cc", 1, NULL, 'c'},      {"no-sack", 0, NULL, 'S'},
		{"no-ts", 0, NULL, 'T'},   {0},
	};
	uint32_t *num[128] = {['m'] = &l->mbit, ['r'] = &l->rtt_ms, ['l'] = &l->loss,
			      ['a'] = &l->ack_loss, ['b'] = &l->burst, ['o'] = &l->reorder,
			      ['u'] = &l->reorder_us, ['q'] = &l->queue, ['s'] = &l->seconds,
			      ['n'] = &l->seeds};
	int c, cc;

	while ((c = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		if (c == 'S') {
			l->no_sack = true;
		} else if (c == 'T') {
			l->no_ts = true;
		} else if (c == 'c') {
			cc = lane_cc_find(optarg);
			if (cc < 0)
				return false;
			l->cc = (uint8_t)cc;
		} else if (c < 128 && num[c]) {
			*num[c] = (uint32_t)strtoul(optarg, NULL, 0);
		} else {
			return false;
		}
	}
	return l->mbit && l->seconds && l->seeds && l->seeds <= SEEDS_MAX;
}

int main(int argc, char **argv)
{
	struct link l = {.mbit = 100, .rtt_ms = 50, .loss = 10000, .queue = 100, .seconds = 60,
			 .seeds = 5};
	double mbit[SEEDS_MAX];

	if (!parse(argc, argv, &l)) {
		fprintf(stderr, "see the head of tests/sim/goodput.c\n");
		return 2;
	}
	for (uint32_t i = 0; i < l.seeds; i++)
		mbit[i] = run(&l, i + 1);
	qsort(mbit, l.seeds, sizeof(mbit[0]), by_size);
	printf("median %.2f Mbit/s\n", mbit[l.seeds / 2]);
	return 0;
}
