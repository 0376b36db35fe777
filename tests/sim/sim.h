/*
 * sim.h - the simulator: random programs on two lanes, and what must hold after every step
 *
 * Everything follows from the seed: the cable's faults, sizes, options and what the programs do. A
 * program acts only when an event or its own pause says so; an event that is lost therefore shows
 * as a run that does not end.
 */
#ifndef LANE_TESTS_SIM_H
#define LANE_TESTS_SIM_H

#include <lane/tcp.h>
#include <lane/udp.h>

#include "stack/base/rng.h"
#include "tests/sim/watch.h"
#include "tests/sim/world.h"

#define SIM_CONNS_MAX 8

/* How a side ends. */
enum sim_ending {
	SIM_SHUTDOWN, /* shutdown(write) behind its text, reads to the end of file, then puts */
	SIM_CLOSE,    /* puts behind its text, whatever it has not read */
	SIM_ABORT,    /* resets after 'abort_at' bytes sent or received */
};

/* What befalls one lane, or the link, for a while. */
enum sim_happening {
	SIM_NOTHING,
	SIM_DEAD_LINK,
	SIM_ADDRS_GONE,
	SIM_NEIGHBOUR_GONE,
	SIM_SMALLER_MTU,
	SIM_RENEGE, /* receivers drop what they have SACKed */
	SIM_DEAD_MEMBER, /* the rebuild after a member died inside the lock, between two calls */
	SIM_HAPPENINGS
};

/* One end of a connection and the program that drives it. */
struct sim_side {
	struct lane_tcp *pcb; /* NULL: not yet, or put */
	bool begun, done;
	bool can_read, can_write; /* no -EAGAIN since the last event */
	bool wr_shut, eof;
	int err;
	enum sim_ending ending;
	uint64_t to_send, sent, rcvd, abort_at;
	uint32_t chunk;               /* at most so many bytes at once */
	uint32_t pause_us, nr_pauses; /* how long, and how many are left */
	uint64_t wake_us;             /* pausing until then */
	uint8_t zero_copy, slow_reader;
};

struct sim_conn {
	unsigned int opener; /* lane */
	bool v6;
	bool dialogue; /* the opener waits for each answer, the other writes only those */
	uint64_t start_us;
	uint16_t port;           /* of the opener */
	struct sim_side side[2]; /* by lane */
};

struct sim {
	uint64_t seed;
	bool trace;
	uint64_t t0_us; /* the clock's start: also where its 32-bit parts are about to wrap */
	struct lane_rng rng;
	struct world w;
	struct watch watch;
	bool harsh;        /* errors are legitimate: heavy loss, or a listener that goes away */
	bool listener_gap; /* the listeners are closed and opened once */
	uint64_t gap_us;
	enum sim_happening happening;
	bool happens; /* now */
	unsigned int happens_to;
	uint64_t happens_us, happens_until_us;
	uint32_t nr_conns;
	struct sim_conn conn[SIM_CONNS_MAX];
	struct lane_tcp *listener[2];
	int backlog;
	uint8_t nodelay, keepalive, cork;
	bool no_sack; /* senders do without, as if their peers lacked it */
	uint32_t rcvbuf, sndbuf;
	uint16_t maxseg;
	uint32_t max_pacing_rate;
	uint64_t nr_steps;
	bool differ;	 /* 'digest' is kept */
	uint64_t digest; /* of all frames and states (differ.h) */
	/* UDP beside it: numbered datagrams both ways */
	struct lane_udp *udp[2];
	bool udp_cut; /* beyond the MTU too, in fragments */
	uint32_t udp_sent[2], udp_rcvd[2], udp_to_send;
	uint64_t udp_wake_us;
};

/* Says what is wrong and how to see it again, and ends the process. */
void sim_fail(const struct sim *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), noreturn));
void sim_log(const struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline uint32_t sim_below(struct sim *s, uint32_t n)
{
	return lane_rng_below(&s->rng, n);
}

/* setup.c: everything random that is fixed for a run. */
void sim_draw(struct sim *s, struct world_config *cfg);

/* happen.c */
void sim_draw_happening(struct sim *s);
void sim_happen(struct sim *s);
void sim_forget_sack(struct sim *s);
uint64_t sim_next_happening(const struct sim *s);

/* program.c */
void sim_open_listeners(struct sim *s);
void sim_close_listeners(struct sim *s);
/* Lane i's events, then its programs. */
void sim_events(struct sim *s, unsigned int i);
void sim_programs(struct sim *s, unsigned int i);
bool sim_all_done(const struct sim *s);
/* Puts sides whose peer is gone without a word, which only a lost RST explains. False: there are
 * none. */
bool sim_give_up_idle(struct sim *s);
/* When a program acts by itself next. */
uint64_t sim_next(const struct sim *s);

#endif
