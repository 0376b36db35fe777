/*
 * main.c - sim [--differ] [--first N] [--seeds N] | --seed N [--trace] [--long-way]
 *
 * Runs the simulator over seeds. The first that fails is named with the command that shows it
 * again. --differ: each runs twice, with and without the short way of plain segments, and must come to
 * the same (differ.c); --long-way: without only.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "stack/wire/eth.h"
#include "stack/wire/print.h"
#include "tests/sim/differ.h"

#define STEPS_MAX 3000000
/* Virtual time in which the programs must end: a black hole that is found anew as often as the path MTU expires, beside an RTO
 * of minutes, takes hours (seed 9162). */
#define RUN_US    (6 * 3600 * 1000000ULL)
#define QUIET_US  (2 * 3600 * 1000000ULL) /* and after that the engine */
#define LATE_US   (120 * 1000000ULL)      /* listeners stay for what is still under way */

#define SEEDS_MANY 50
#define SEEDS_ALL  1000

static struct sim *current; /* for the handler of signals */
static uint64_t nr_merged, nr_supers, nr_narrow, nr_holes, nr_plain_in, nr_plain_out; /* how often the rarer ways were taken */

static void tell_replay(const struct sim *s)
{
	fprintf(stderr, "at %.6f s; see it again with: sim --seed %" PRIu64 " --trace\n",
		(double)s->w.now_us / 1e6, s->seed);
}

void sim_fail(const struct sim *s, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "seed %" PRIu64 ": ", s->seed);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	tell_replay(s);
	exit(1);
}

/* An invariant was broken, and assert() or a sanitizer has said which; a crash; or it took too long. */
static void on_signal(int sig)
{
	fflush(stdout);
	if (current)
		tell_replay(current);
	_exit(1);
}

/* What ends a run names its seed. A sanitizer's own handlers stay: they abort in the end. */
static void watch_signals(void)
{
	static const int sigs[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTERM, SIGINT};
	struct sigaction was;

	for (unsigned int i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
		if (sigaction(sigs[i], NULL, &was) == 0 && was.sa_handler == SIG_DFL)
			signal(sigs[i], on_signal);
	}
}

/* What the sanitizers ask, whatever the environment says. */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

const char *__asan_default_options(void)
{
	return "abort_on_error=1";
}

const char *__ubsan_default_options(void)
{
	return "halt_on_error=1:abort_on_error=1:print_stacktrace=1";
}

void sim_log(const struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (!s->trace)
		return;
	printf("%12.6f ", (double)s->w.now_us / 1e6);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

/* The cable's trace hook. */
static void on_frame(void *arg, unsigned int end, const uint8_t *frame, size_t len)
{
	struct sim *s = arg;
	const char *wrong = watch_frame(&s->watch, end, frame, len);
	char line[512];

	if (len > LANE_ETH_HLEN + lane_nettab(s->w.ln[end])->mtu)
		wrong = "a frame beyond the MTU";

	if (s->trace) {
		lane_print_frame(line, sizeof(line), frame, len);
		sim_log(s, "%u> %s", end, line);
	}
	if (s->differ)
		differ_frame(s, end, frame, len);
	if (wrong) {
		lane_print_frame(line, sizeof(line), frame, len);
		sim_fail(s, "lane %u sends: %s: %s", end, line, wrong);
	}
}

/* One turn of both lanes and their programs. Returns packets received. */
static unsigned int turn(struct sim *s)
{
	unsigned int nr = 0;

	sim_happen(s);
	for (unsigned int i = 0; i < 2; i++) {
		struct lane *ln = s->w.ln[i];

		nr += lane_poll(ln, s->w.now_us);
		sim_forget_sack(s);
		sim_events(s, i);
		sim_programs(s, i);
		lane_kick(ln, lane_flush(ln));
		sim_events(s, i);
		lane_check(ln);
	}
	if (s->differ)
		differ_turn(s);
	if (++s->nr_steps > STEPS_MAX)
		sim_fail(s, "more than %d steps", STEPS_MAX);
	return nr;
}

/* To the next moment at which something happens; false: there is none. */
static bool advance(struct sim *s)
{
	uint64_t program = sim_next(s), world = world_next(&s->w);
	uint64_t happening = sim_next_happening(s);
	uint64_t at = program < world ? program : world;

	at = happening < at ? happening : at;
	if (at == UINT64_MAX)
		return false;
	s->w.now_us = at > s->w.now_us ? at : s->w.now_us + 1;
	return true;
}

/* The listeners go away in the middle of it, and come back a second later. */
static void gap(struct sim *s)
{
	if (!s->listener_gap)
		return;
	if (s->listener[0] && s->w.now_us >= s->gap_us) {
		sim_close_listeners(s);
		s->gap_us += 1000000;
	} else if (!s->listener[0] && s->w.now_us >= s->gap_us) {
		sim_open_listeners(s);
		s->listener_gap = false;
	}
}

static void run_programs(struct sim *s)
{
	while (!sim_all_done(s)) {
		gap(s);
		turn(s);
		if (sim_all_done(s))
			return;
		if (!advance(s)) {
			if (s->listener_gap)
				s->w.now_us = s->gap_us;
			else if (!sim_give_up_idle(s))
				sim_fail(s, "stuck: programs wait and nothing is armed");
		}
		if (s->w.now_us > s->t0_us + RUN_US)
			sim_fail(s, "the programs did not end");
	}
}

static void run_quiet(struct sim *s)
{
	uint64_t late_us = s->w.now_us + LATE_US, end_us = s->w.now_us + QUIET_US;
	bool more = true;

	while (more || s->listener[0]) {
		turn(s);
		more = advance(s);
		if (s->listener[0] && (!more || s->w.now_us > late_us) && sim_all_done(s)) {
			sim_close_listeners(s);
			more = true;
		}
		if (s->w.now_us > end_us)
			sim_fail(s, "the lanes did not become quiet");
	}
}

/* Everything was given back. */
static void check_end(struct sim *s, unsigned int i)
{
	const struct lane *ln = s->w.ln[i];
	const struct lane_state *st = ln->st;

	if (st->bufs.nr_free != st->bufs.nr)
		sim_fail(s, "lane %u: %u of %u frames are lost", i, st->bufs.nr - st->bufs.nr_free,
			 st->bufs.nr);
	if (st->syn_pool.nr_used)
		sim_fail(s, "lane %u: %u half-open connections left", i, st->syn_pool.nr_used);
	if (st->tcp_pool.nr_used || st->tw_pool.nr_used || st->udp_pool.nr_used)
		sim_fail(s, "lane %u: %u pcbs, %u TIME_WAIT records, %u UDP pcbs left", i,
			 st->tcp_pool.nr_used, st->tw_pool.nr_used, st->udp_pool.nr_used);
	if (st->pace_pool.nr_used || st->pace_wheel.nr_started)
		sim_fail(s, "lane %u: %u paced, %u of their timers left", i, st->pace_pool.nr_used,
			 st->pace_wheel.nr_started);
	if (st->wheel.nr_started || ln->conns->nr || ln->listeners->nr || ln->udp_table->nr)
		sim_fail(s, "lane %u: %u timers, %u flows, %u listeners, %u UDP flows left", i,
			 st->wheel.nr_started, ln->conns->nr, ln->listeners->nr, ln->udp_table->nr);
	for (uint32_t port = 0; port < 2 * 65536; port++) {
		if (ln->claims[port].nr_any || ln->claims[port].nr_listen)
			sim_fail(s, "lane %u: port %u is still claimed", i, port & 0xffff);
	}
}

static void summary(const struct sim *s)
{
	for (unsigned int i = 0; i < 2; i++) {
		const struct lane_stats *st = lane_stats(s->w.ln[i]);

		sim_log(s,
			"lane %u: %" PRIu64 " packets out, %" PRIu64 " segments again, %" PRIu64
			" time-outs, %" PRIu64 " recoveries, %" PRIu64 " undone, %" PRIu64
			" probes of the tail",
			i, st->tx_packets, st->tcp_retransmits, st->tcp_rtos,
			st->tcp_fast_retransmits, st->tcp_undone, st->tcp_tlps);
		for (unsigned int why = 1; why < LANE_NR_DROPS; why++) {
			if (st->drops[why])
				sim_log(s, "lane %u: drop %s %" PRIu64, i, lane_drop_name(why),
					st->drops[why]);
		}
	}
}

struct run {
	uint64_t seed;
	bool trace, differ, long_way;
};

/* Returns the digest of a run that is to be compared. */
static uint64_t run_seed(const struct run *r)
{
	struct world_config cfg;
	struct sim *s = calloc(1, sizeof(*s));
	uint64_t digest;

	if (!s)
		exit(2);
	current = s;
	s->seed = r->seed;
	s->trace = r->trace;
	s->differ = r->differ;
	lane_rng_seed(&s->rng, s->seed);
	sim_draw(s, &cfg);
	cfg.pair.trace = on_frame;
	cfg.pair.arg = s;
	world_open(&s->w, &cfg);
	s->w.ln[0]->no_plain = s->w.ln[1]->no_plain = r->long_way;
	sim_open_listeners(s);
	run_programs(s);
	for (unsigned int i = 0; i < 2; i++) {
		if (s->udp[i])
			lane_udp_put(s->w.ln[i], s->udp[i]);
		s->udp[i] = NULL;
	}
	s->udp_to_send = 0;
	run_quiet(s);
	summary(s);
	check_end(s, 0);
	check_end(s, 1);
	for (unsigned int i = 0; i < 2; i++) {
		nr_merged += lane_stats(s->w.ln[i])->tcp_merged;
		nr_supers += lane_stats(s->w.ln[i])->tcp_supers;
		nr_narrow += lane_stats(s->w.ln[i])->pmtu_learned;
		nr_holes += lane_stats(s->w.ln[i])->pmtu_black_holes;
		nr_plain_in += s->w.ln[i]->nr_plain_in;
		nr_plain_out += s->w.ln[i]->nr_plain_out;
	}
	if (r->differ)
		differ_end(s);
	digest = s->digest;
	world_close(&s->w);
	current = NULL;
	free(s);
	return digest;
}

/* The same seed both ways. */
static void run_both(struct run r)
{
	uint64_t with = run_seed(&r), without;

	r.long_way = true;
	without = run_seed(&r);
	if (with == without)
		return;
	fprintf(stderr, "seed %" PRIu64 ": the short way of plain segments makes a difference: compare sim --seed %" PRIu64
		" --trace with the same and --long-way\n", r.seed, r.seed);
	exit(1);
}

int main(int argc, char **argv)
{
	static const struct option opts[] = {
		{"first", required_argument, NULL, 'f'},
		{"seeds", required_argument, NULL, 'n'},
		{"seed", required_argument, NULL, 's'},
		{"trace", no_argument, NULL, 't'},
		{"differ", no_argument, NULL, 'd'},
		{"long-way", no_argument, NULL, 'l'},
		{0},
	};
	uint64_t first = 1, nr = 20;
	struct run r = {0};
	int c;

	while ((c = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		if (c == 'f')
			first = strtoull(optarg, NULL, 0);
		else if (c == 'n')
			nr = strtoull(optarg, NULL, 0);
		else if (c == 't')
			r.trace = true;
		else if (c == 'd')
			r.differ = true;
		else if (c == 'l')
			r.long_way = true;
		else if (c == 's')
			first = strtoull(optarg, NULL, 0);
		else
			return 2;
		if (c == 's')
			nr = 1;
	}
	watch_signals();
	for (r.seed = first; r.seed < first + nr; r.seed++) {
		if (r.differ)
			run_both(r);
		else
			run_seed(&r);
	}
	printf("%" PRIu64 " seeds from %" PRIu64 " on passed, %" PRIu64 " segments merged, %" PRIu64
	       " super-segments, %" PRIu64 " path MTUs, %" PRIu64 " black holes, plain: %" PRIu64
	       " in, %" PRIu64 " out\n",
	       nr, first, nr_merged, nr_supers, nr_narrow, nr_holes, nr_plain_in, nr_plain_out);
	/* So many seeds have some of all. */
	return (nr >= SEEDS_MANY && (nr_merged == 0 || nr_supers == 0)) ||
	       (nr >= SEEDS_ALL && (nr_narrow == 0 || nr_holes == 0));
}
