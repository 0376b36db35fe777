/*
 * goodput.c - goodput [--mbit N] [--rtt-ms N] [--loss PPM] [--ack-loss PPM] [--burst N]
 *             [--reorder PPM] [--reorder-us N] [--queue BDPs/100] [--mark BDPs/100] [--seconds N]
 *             [--seeds N] [--cc NAME[,NAME...]] [--stagger-ms N] [--no-sack] [--no-ts] [--figures]
 *
 * Bulk flows over a link of this rate, delay, loss and queue, on virtual time: one for each congestion control
 * named, each 'stagger-ms' after the one before. With --mark ECN is on, and the link marks behind so much of a
 * queue. A line for each seed, and the median; with --figures key=value instead. 'shares' are the flows' Mbit/s
 * in the second half of the time.
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
#define FLOWS_MAX 8
#define STEP_US	  500
#define FRAME	  1514
#define RCVBUF	  (64 << 20)
#define LEVELS	  1000 /* of the histogram of the queue, in thousandths of a BDP, 10 BDPs at most */

struct link {
	uint32_t mbit, rtt_ms, loss, ack_loss, burst, reorder, reorder_us, queue, mark, seconds, seeds;
	uint32_t stagger_ms, nr_flows;
	bool no_sack, no_ts, figures;
	uint8_t cc[FLOWS_MAX];
};

struct flow {
	struct lane_tcp *client, *server;
	uint64_t got, late; /* bytes; of the second half */
};

/* One run. */
struct run {
	struct world w;
	struct lane_tcp *listener;
	struct flow flow[FLOWS_MAX];
	uint32_t nr_flows; /* begun */
	uint64_t bdp, nr_samples, queue_sum;
	uint32_t level[LEVELS];
};

static void configure(const struct link *l, uint64_t seed, struct world_config *cfg)
{
	uint64_t bdp = (uint64_t)l->mbit * 125 * l->rtt_ms, queue = bdp * l->queue / 100;

	world_config_default(cfg);
	cfg->pair.ring_size = 1024;
	cfg->faulty = true;
	for (unsigned int i = 0; i < 2; i++) {
		cfg->lane[i].nr_bufs = 65536;
		cfg->lane[i].tcp_wmem[2] = cfg->lane[i].tcp_rmem[2] = 64 << 20;
		cfg->lane[i].timestamps = !l->no_ts;
		cfg->lane[i].ecn = l->mark ? 1 : 0;
		cfg->fault[i].seed = seed * 2 + i;
		cfg->fault[i].delay_us = l->rtt_ms * 500;
		cfg->fault[i].rate_kbps = l->mbit * 1000;
		cfg->fault[i].queue_bytes = (uint32_t)(queue > 2 * FRAME ? queue : 2 * FRAME);
	}
	/* Packets for lane 1 are the text. */
	cfg->fault[1].loss = l->loss;
	cfg->fault[1].burst = l->burst;
	cfg->fault[1].reorder = l->reorder;
	cfg->fault[1].reorder_us = l->reorder_us;
	cfg->fault[1].mark_bytes = (uint32_t)(bdp * l->mark / 100);
	cfg->fault[0].loss = l->ack_loss;
}

/* Both ends run the control: DCTCP's receiver is its own. The receive window is to limit nothing. */
static void set_opts(struct lane *ln, struct lane_tcp *pcb, uint8_t cc)
{
	struct lane_tcp_opts_set o;

	lane_tcp_get_opts(ln, pcb, &o);
	o.cc = cc;
	o.rcvbuf = RCVBUF;
	lane_tcp_set_opts(ln, pcb, &o);
}

static void begin_flow(struct run *r, const struct link *l)
{
	struct lane_ep local = {.port = 0}, remote = {.ip = world_ip(1, false), .port = PORT};
	uint8_t cc = l->cc[r->nr_flows];
	struct flow *f = &r->flow[r->nr_flows];

	set_opts(r->w.ln[1], r->listener, cc);
	f->client = lane_tcp_create(r->w.ln[0], r->nr_flows + 1);
	set_opts(r->w.ln[0], f->client, cc);
	lane_tcp_connect(r->w.ln[0], f->client, &local, &remote);
	for (f->server = NULL; !f->server;) {
		world_run(&r->w, 100);
		f->server = lane_tcp_accept(r->w.ln[1], r->listener, 100 + r->nr_flows);
	}
	if (l->no_sack)
		f->client->flags &= ~LANE_TF_SACK;
	r->nr_flows++;
}

/* Writes what fits, reads what came. */
static void serve(struct run *r, bool late)
{
	static uint8_t text[65536];
	struct lane_event ev;
	ssize_t n;

	for (unsigned int i = 0; i < 2; i++)
		while (lane_event(r->w.ln[i], &ev))
			;
	for (uint32_t i = 0; i < r->nr_flows; i++) {
		struct flow *f = &r->flow[i];

		while (lane_tcp_write(r->w.ln[0], f->client, text, sizeof(text), false, NULL) > 0)
			;
		while ((n = lane_tcp_read(r->w.ln[1], f->server, text, sizeof(text), false, 0, NULL)) > 0) {
			f->got += (uint64_t)n;
			f->late += late ? (uint64_t)n : 0;
		}
	}
}

static void sample_queue(struct run *r)
{
	uint64_t waiting = lane_fault_waiting(r->w.fault[1]);
	uint64_t level = r->bdp ? waiting * 100 / r->bdp : 0;

	r->nr_samples++;
	r->queue_sum += waiting;
	r->level[level < LEVELS ? level : LEVELS - 1]++;
}

/* Hundredths of a BDP that the queue did not exceed for 'share' of the time. */
static unsigned int queue_level(const struct run *r, double share)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < LEVELS; i++) {
		sum += r->level[i];
		if ((double)sum >= share * (double)r->nr_samples)
			return i;
	}
	return LEVELS;
}

static double mbits(uint64_t bytes, double seconds)
{
	return (double)bytes * 8 / 1e6 / seconds;
}

static void report(const struct run *r, const struct link *l, uint64_t seed, double mbit)
{
	const struct lane_fault_stats *path = lane_fault_stats(r->w.fault[1]);
	const struct lane_stats *st = lane_stats(r->w.ln[0]);
	double mean = r->bdp ? (double)r->queue_sum * 100 / (double)r->nr_samples / (double)r->bdp : 0;
	char shares[FLOWS_MAX * 12] = "";
	size_t len = 0;

	for (uint32_t i = 0; i < r->nr_flows; i++)
		len += (size_t)snprintf(shares + len, sizeof(shares) - len, "%s%.2f", i ? "," : "",
					mbits(r->flow[i].late, l->seconds / 2.0));
	printf(l->figures ? "seed=%" PRIu64 " mbit=%.3f shares=%s queue_mean=%.1f queue_p95=%u lost=%" PRIu64
			    " queue_full=%" PRIu64 " marked=%" PRIu64 " again=%" PRIu64
			    " recoveries=%" PRIu64 " timeouts=%" PRIu64 " undone=%" PRIu64
			    " tlps=%" PRIu64 " echoes=%" PRIu64 "\n"
			  : "seed %" PRIu64 ": %.2f Mbit/s, shares %s, queue %.0f %% of a BDP (95 %%: %u), %"
			    PRIu64 " lost, %" PRIu64 " queue full, %" PRIu64 " marked, %" PRIu64
			    " segments again, %" PRIu64 " recoveries, %" PRIu64 " time-outs, %" PRIu64
			    " undone, %" PRIu64 " probes of the tail, %" PRIu64 " echoes\n",
	       seed, mbit, shares, mean, queue_level(r, 0.95), path->nr_lost, path->nr_queue_full,
	       path->nr_marked, st->tcp_retransmits, st->tcp_fast_retransmits, st->tcp_rtos,
	       st->tcp_undone, st->tcp_tlps, st->tcp_ecn_reduced);
}

/* Returns Mbit/s of all flows. */
static double run(const struct link *l, uint64_t seed)
{
	struct run *r = calloc(1, sizeof(*r));
	struct lane_ep any = {.port = PORT};
	struct world_config cfg;
	uint64_t start_us, end_us, got = 0;
	double mbit;

	if (!r)
		exit(2);
	configure(l, seed, &cfg);
	world_open(&r->w, &cfg);
	r->bdp = (uint64_t)l->mbit * 125 * l->rtt_ms;
	r->listener = lane_tcp_create(r->w.ln[1], 99);
	lane_tcp_listen(r->w.ln[1], r->listener, &any, false, FLOWS_MAX);
	start_us = r->w.now_us;
	end_us = start_us + l->seconds * 1000000ULL;
	while (r->w.now_us < end_us) {
		if (r->nr_flows < l->nr_flows && r->w.now_us >= start_us + r->nr_flows * l->stagger_ms * 1000ULL)
			begin_flow(r, l);
		serve(r, r->w.now_us - start_us >= l->seconds * 500000ULL);
		world_run(&r->w, STEP_US);
		sample_queue(r);
	}
	for (uint32_t i = 0; i < r->nr_flows; i++)
		got += r->flow[i].got;
	mbit = mbits(got, l->seconds);
	report(r, l, seed, mbit);
	world_close(&r->w);
	free(r);
	return mbit;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* "cubic,reno" */
static bool parse_ccs(struct link *l, char *names)
{
	char *rest = NULL;

	l->nr_flows = 0;
	for (char *n = strtok_r(names, ",", &rest); n; n = strtok_r(NULL, ",", &rest)) {
		int cc = lane_cc_find(n);

		if (cc < 0 || l->nr_flows == FLOWS_MAX)
			return false;
		l->cc[l->nr_flows++] = (uint8_t)cc;
	}
	return l->nr_flows != 0;
}

static bool parse(int argc, char **argv, struct link *l)
{
	static const struct option opts[] = {
		{"mbit", 1, NULL, 'm'},	      {"rtt-ms", 1, NULL, 'r'},	 {"loss", 1, NULL, 'l'},
		{"ack-loss", 1, NULL, 'a'},   {"burst", 1, NULL, 'b'},	 {"reorder", 1, NULL, 'o'},
		{"reorder-us", 1, NULL, 'u'}, {"queue", 1, NULL, 'q'},	 {"seconds", 1, NULL, 's'},
		{"seeds", 1, NULL, 'n'},      {"cc", 1, NULL, 'c'},	 {"no-sack", 0, NULL, 'S'},
		{"no-ts", 0, NULL, 'T'},      {"mark", 1, NULL, 'k'},	 {"stagger-ms", 1, NULL, 'g'},
		{"figures", 0, NULL, 'F'},    {0},
	};
	uint32_t *num[128] = {['m'] = &l->mbit, ['r'] = &l->rtt_ms, ['l'] = &l->loss,
			      ['a'] = &l->ack_loss, ['b'] = &l->burst, ['o'] = &l->reorder,
			      ['u'] = &l->reorder_us, ['q'] = &l->queue, ['s'] = &l->seconds,
			      ['n'] = &l->seeds, ['k'] = &l->mark, ['g'] = &l->stagger_ms};
	bool *flag[128] = {['S'] = &l->no_sack, ['T'] = &l->no_ts, ['F'] = &l->figures};
	int c;

	while ((c = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		if (c < 128 && flag[c])
			*flag[c] = true;
		else if (c < 128 && num[c])
			*num[c] = (uint32_t)strtoul(optarg, NULL, 0);
		else if (c != 'c' || !parse_ccs(l, optarg))
			return false;
	}
	return l->mbit && l->seconds && l->seeds && l->seeds <= SEEDS_MAX;
}

int main(int argc, char **argv)
{
	struct link l = {.mbit = 100, .rtt_ms = 50, .loss = 10000, .queue = 100, .seconds = 60,
			 .seeds = 5, .nr_flows = 1};
	double mbit[SEEDS_MAX];

	if (!parse(argc, argv, &l)) {
		fprintf(stderr, "see the head of tests/sim/goodput.c\n");
		return 2;
	}
	for (uint32_t i = 0; i < l.seeds; i++)
		mbit[i] = run(&l, i + 1);
	qsort(mbit, l.seeds, sizeof(mbit[0]), by_size);
	if (!l.figures)
		printf("median %.2f Mbit/s\n", mbit[l.seeds / 2]);
	return 0;
}
