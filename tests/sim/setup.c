/*
 * setup.c - draws a run from its seed: the cable, the sizes, the options, the programs
 */
#include "stack/tcp/cc.h"
#include "tests/sim/sim.h"

static uint32_t pick(struct sim *s, const uint32_t of[], uint32_t n)
{
	return of[sim_below(s, n)];
}

#define PICK(s, ...)                                                                               \
	pick(s, (const uint32_t[]){__VA_ARGS__},                                                   \
	     sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

/* From 1 to 'max', small ones as often as large ones. */
static uint32_t log_uniform(struct sim *s, uint32_t max)
{
	uint32_t bits = 32 - (uint32_t)__builtin_clz(max);
	uint32_t n = 1 + sim_below(s, 1u << sim_below(s, bits + 1));

	return n > max ? max : n;
}

static void draw_faults(struct sim *s, struct world_config *cfg)
{
	uint32_t delay = PICK(s, 0, 10, 100, 1000, 20000, 100000);
	uint32_t loss = PICK(s, 0, 0, 1000, 10000, 30000, 100000, 200000);

	cfg->faulty = sim_below(s, 8) != 0;
	for (unsigned int i = 0; i < 2; i++) {
		struct lane_fault_config *f = &cfg->fault[i];

		f->seed = lane_rng_u64(&s->rng);
		/* Also faults in one direction only. */
		if (sim_below(s, 6) == 0)
			continue;
		f->loss = loss;
		f->dup = PICK(s, 0, 0, 1000, 50000);
		f->reorder = PICK(s, 0, 0, 1000, 50000, 300000);
		f->corrupt = PICK(s, 0, 0, 0, 1000, 10000);
		f->delay_us = delay;
		f->jitter_us = sim_below(s, 3) ? 0 : delay / 2;
		f->reorder_us = 1 + delay * 2;
	}
	/* Losses in bursts, and a bottleneck with a short queue. */
	for (unsigned int i = 0; i < 2; i++) {
		uint32_t burst = PICK(s, 0, 0, 3, 20);

		/* A link that loses more than half lets nobody end in time. */
		cfg->fault[i].burst = loss > 30000 ? 0 : loss > 3000 && burst > 3 ? 3 : burst;
		if (sim_below(s, 4) == 0) {
			cfg->fault[i].rate_kbps = PICK(s, 1000, 10000, 100000);
			cfg->fault[i].queue_bytes = PICK(s, 0, 10000, 40000);
		}
	}
	/* A burst may take all SYNs of a connection. */
	s->harsh = cfg->faulty &&
		   (loss >= 100000 || cfg->fault[0].burst || cfg->fault[1].burst);
}

static void draw_lanes(struct sim *s, struct world_config *cfg)
{
	static const uint32_t caps[] = {0, LANE_CAP_TX_CSUM, LANE_CAP_TX_CSUM | LANE_CAP_TSO};

	cfg->mtu = PICK(s, 1500, 1500, 1500, 1280, 1400, 1850);
	cfg->pair.caps = pick(s, caps, 3);
	cfg->pair.partial = cfg->pair.caps && sim_below(s, 2);
	cfg->pair.piece = (uint16_t)PICK(s, 0, 0, 256, 700);
	cfg->pair.ring_size = PICK(s, 8, 32, 256, 256);
	cfg->pair.delay_us = PICK(s, 0, 0, 5, 50);
	for (unsigned int i = 0; i < 2; i++) {
		struct lane_config *c = &cfg->lane[i];

		c->nr_bufs = PICK(s, 120, 400, 1000, 2000);
		c->seed = lane_rng_u64(&s->rng);
		c->hash_key[0] = lane_rng_u64(&s->rng);
		c->hash_key[1] = lane_rng_u64(&s->rng);
		c->timestamps = sim_below(s, 4) != 0;
		c->window_scaling = sim_below(s, 4) != 0;
		c->rto_min_us = PICK(s, 200000, 200000, 5000);
		c->time_wait_us = PICK(s, 1000000, 60000000);
		sim_below(s, 2);
	}
}

/* Congestion controls, ECN and marks, by numbers of their own. Odd seeds are lanes on which much comes. */
static void draw_congestion(struct sim *s, struct world_config *cfg)
{
	static const uint32_t marks[] = {0, 0, 0, 10000, 200000, 1000000};
	struct lane_rng rng;

	lane_rng_seed(&rng, s->seed ^ 0x636f6e67657374ULL);
	for (unsigned int i = 0; i < 2; i++) {
		cfg->lane[i].cc = (uint8_t)lane_rng_below(&rng, lane_cc_count());
		cfg->lane[i].ecn = (uint8_t)lane_rng_below(&rng, 3);
		cfg->lane[i].nr_pace = lane_rng_below(&rng, 3) ? 64 : lane_rng_below(&rng, 4);
		cfg->fault[i].mark = marks[lane_rng_below(&rng, 6)];
		if (s->seed & 1) {
			cfg->lane[i].rcv_fast = 1;
			cfg->lane[i].rcv_large = 65536;
		}
		if (cfg->fault[i].rate_kbps && lane_rng_below(&rng, 2))
			cfg->fault[i].mark_bytes = 1 + lane_rng_below(&rng, 20000);
	}
	if (lane_rng_below(&rng, 4) == 0)
		s->max_pacing_rate = 20000U << lane_rng_below(&rng, 14);
}

static void draw_side(struct sim *s, struct sim_side *side)
{
	uint32_t ending = sim_below(s, 10);

	side->to_send = sim_below(s, 4) ? log_uniform(s, sim_below(s, 4) ? 200000 : 2000000) : 0;
	side->chunk = log_uniform(s, 30000);
	if (side->to_send / side->chunk > 2000)
		side->chunk = (uint32_t)side->to_send / 2000;
	side->nr_pauses = sim_below(s, 3) ? 0 : sim_below(s, 10);
	side->pause_us = log_uniform(s, 3000000);
	side->slow_reader = sim_below(s, 4) == 0;
	side->zero_copy = (uint8_t)sim_below(s, 3) == 0;
	side->ending = ending < 7 ? SIM_SHUTDOWN : ending < 9 ? SIM_CLOSE : SIM_ABORT;
	side->abort_at = sim_below(s, (uint32_t)side->to_send + 1);
}

/* Fragments, by numbers of their own: who has none of them runs as if there were none. */
static void draw_cuts(struct sim *s, struct world_config *cfg)
{
	struct lane_rng rng;
	uint32_t cut[] = {0, 0, 0, 20000, 200000, 600000};

	lane_rng_seed(&rng, s->seed ^ 0x667261676d656e74ULL);
	for (unsigned int i = 0; i < 2; i++) {
		cfg->fault[i].cut = cut[lane_rng_below(&rng, 6)];
		/* Of a dozen fragments one is lost too often for TCP to end some day. */
		if (cfg->fault[i].loss >= 30000)
			cfg->fault[i].cut /= 10;
	}
	s->udp_cut = lane_rng_below(&rng, 2);
}

/* Few half-open connections, and SYN cookies. */
static void draw_syns(struct sim *s, struct world_config *cfg)
{
	uint32_t nr[] = {1, 3, 64, 64}, cookies[] = {1, 1, 1, 2, 0};
	struct lane_rng rng;

	lane_rng_seed(&rng, s->seed ^ 0x73796e73796e73ULL);
	for (unsigned int i = 0; i < 2; i++) {
		cfg->lane[i].nr_syn = nr[lane_rng_below(&rng, 4)];
		cfg->lane[i].syncookies = (uint8_t)cookies[lane_rng_below(&rng, 5)];
		/* Without them a SYN may find no room too often for its patience. */
		s->harsh |= cfg->lane[i].syncookies == 0 && cfg->lane[i].nr_syn < SIM_CONNS_MAX;
	}
}

/* Few extensions, so that connections give theirs back, take them from each other and wait for them. */
static void draw_few(struct sim *s, struct world_config *cfg)
{
	static const uint32_t few[] = {0, 2, 3, 5, 8, 16};
	struct lane_rng rng;

	lane_rng_seed(&rng, s->seed ^ 0x657874656e73696fULL);
	for (unsigned int i = 0; i < 2; i++)
		cfg->lane[i].nr_tcp_x = few[lane_rng_below(&rng, 6)];
}

/* A narrow link on the way that says so, or swallows what is too long: then the lanes look for it. */
static void draw_narrow(struct sim *s, struct world_config *cfg)
{
	static const uint32_t mtus[] = {1280, 1300, 1380, 1450};
	struct lane_rng rng;

	lane_rng_seed(&rng, s->seed ^ 0x6e6172726f77ULL);
	if (lane_rng_below(&rng, 3))
		return;
	for (unsigned int i = 0; i < 2; i++) {
		cfg->fault[i].mtu = mtus[lane_rng_below(&rng, 4)];
		cfg->fault[i].mtu_hole = lane_rng_below(&rng, 2);
		cfg->lane[i].mtu_probing = 1;
		cfg->lane[i].mtu_expires_us = lane_rng_below(&rng, 2) ? 600000000 : 20000000;
	}
}

/* Requests and answers, which take the short way of plain segments. */
static void draw_dialogues(struct sim *s)
{
	struct lane_rng rng;

	lane_rng_seed(&rng, s->seed ^ 0x6469616c6f67ULL);
	if (lane_rng_below(&rng, 2))
		return;
	for (uint32_t i = 0; i < s->nr_conns; i++) {
		struct sim_conn *c = &s->conn[i];
		uint32_t bytes = 1 + lane_rng_below(&rng, 30000);

		c->dialogue = lane_rng_below(&rng, 2);
		for (unsigned int k = 0; c->dialogue && k < 2; k++) {
			c->side[k].to_send = bytes;
			c->side[k].abort_at = lane_rng_below(&rng, bytes);
			c->side[k].chunk = 1 + lane_rng_below(&rng, 1U << lane_rng_below(&rng, 12));
			if (c->side[k].chunk < bytes / 500)
				c->side[k].chunk = bytes / 500;
		}
	}
}

void sim_draw(struct sim *s, struct world_config *cfg)
{
	/* Microseconds and milliseconds are kept in 32 bits in places. */
	static const uint64_t starts[] = {1000000, (1ULL << 32) - 700000,
					  (1ULL << 32) * 1000 - 700000,
					  (1ULL << 31) * 1000 - 700000};

	world_config_default(cfg);
	cfg->start_us = s->t0_us = starts[sim_below(s, 4)];
	draw_faults(s, cfg);
	draw_lanes(s, cfg);
	draw_cuts(s, cfg);
	draw_congestion(s, cfg);
	draw_syns(s, cfg);
	draw_few(s, cfg);
	draw_narrow(s, cfg);
	s->backlog = (int)PICK(s, 0, 1, 5, 128);
	s->listener_gap = sim_below(s, 10) == 0;
	s->gap_us = s->t0_us + log_uniform(s, 1000000);
	s->harsh |= s->listener_gap;
	s->nodelay = (uint8_t)sim_below(s, 2);
	s->cork = sim_below(s, 10) == 0;
	s->keepalive = sim_below(s, 4) == 0;
	s->no_sack = sim_below(s, 6) == 0;
	s->rcvbuf = PICK(s, 0, 0, 4096, 20000, 200000);
	s->sndbuf = PICK(s, 0, 0, 4096, 20000, 200000);
	s->maxseg = (uint16_t)PICK(s, 0, 0, 0, 536, 1000);
	s->nr_conns = 1 + sim_below(s, SIM_CONNS_MAX);
	for (uint32_t i = 0; i < s->nr_conns; i++) {
		struct sim_conn *c = &s->conn[i];

		c->opener = sim_below(s, 2);
		c->v6 = sim_below(s, 2);
		c->start_us = s->t0_us + (sim_below(s, 2) ? log_uniform(s, 2000000) : 0);
		draw_side(s, &c->side[0]);
		draw_side(s, &c->side[1]);
	}
	draw_dialogues(s);
	sim_draw_happening(s);
	s->udp_to_send = sim_below(s, 4) ? 0 : log_uniform(s, 200);
}
