/*
 * engine.h - the world that engine.c fuzzes: one lane, a driver in memory, programs and peers
 *
 * The lane is 10.0.0.1 and fd00::1. Peers are the ports 4000 to 4015 of 10.0.0.2 (even ones) and
 * fd00::2 (odd ones). What a peer sends is said relative to what the lane has sent it, so that it
 * is mostly right and wrong by a little. Text has a pattern by sequence number in both directions:
 * what the lane sends and what programs read must follow it.
 */
#ifndef LANE_TESTS_FUZZ_ENGINE_H
#define LANE_TESTS_FUZZ_ENGINE_H

#include <lane/tcp.h>
#include <lane/udp.h>

#include "lane-int/engine.h"
#include "tests/fuzz/fuzz.h"

#define NR_PEERS  16
#define NR_SOCKS  8
#define NR_UDP    4
#define NR_BUFS   160
#define NR_TAKEN  8
#define PEER_PORT 4000
#define PEER_ISS  5000u
#define MAX_FRAME 2048

/* What a peer knows of its connection, from what the lane has sent. */
struct peer {
	uint16_t lane_port;
	uint32_t seq;   /* what the lane expects next: its last ACK */
	uint32_t ack;   /* behind all that the lane has sent */
	uint32_t una;   /* what the peer has acknowledged */
	uint32_t tsval; /* the lane's last */
};

/* A program's socket, and frames that it has taken. */
struct sock {
	struct lane_tcp *pcb; /* NULL: none */
	struct lane_buf *taken[NR_TAKEN];
	unsigned int nr_taken;
	uint32_t nr_bytes; /* taken, their credit not given back yet */
};

struct driver {
	struct lane_queue q;
	struct lane_buf *rx[LANE_BURST];
	unsigned int nr_rx;
	struct lane_buf *held[NR_BUFS]; /* sent, not completed */
	unsigned int nr_held;
	struct lane_buf *away[NR_BUFS]; /* in the driver's own ring */
	unsigned int nr_away;
	uint16_t room;  /* frames that one burst takes */
	bool hold;      /* completions come later */
	uint16_t piece; /* received packets are chains of frames of so many bytes */
	struct {
		uint8_t proto;
		uint16_t port;
	} claimed[256]; /* ports whose claims were ever told */
	unsigned int nr_claimed;
};

struct world {
	struct lane *ln;
	uint64_t now_us;
	struct driver drv;
	struct peer peer[NR_PEERS];
	struct sock sock[NR_SOCKS];
	struct lane_udp *udp[NR_UDP];
	unsigned int nr_refreshed;
	uint32_t nr_cut;  /* segments that came in fragments */
	uint32_t max_mtu; /* the largest that there was */
	bool to_group;    /* datagrams go to the group */
	bool urged;       /* a peer has sent an urgent pointer */
	bool tainted;     /* text without the pattern may have come */
};
extern struct world w;

static inline uint8_t pattern(uint32_t seq)
{
	return (uint8_t)(seq * 7 + (seq >> 8));
}

/* ---- engine_net.c: the driver, and what comes from peers ---- */
extern const struct lane_driver engine_driver;
struct lane_ip engine_ip(bool peer, bool v6);
struct lane_ip engine_group(bool v6); /* multicast */
/* Everything that a peer can send; each reads its particulars from 'in' and stages frames. */
void engine_segment(struct fuzz_in *in);
void engine_handshake(struct fuzz_in *in);
void engine_datagram(struct fuzz_in *in);
void engine_fragment(struct fuzz_in *in);
void engine_icmp(struct fuzz_in *in);
void engine_raw(struct fuzz_in *in);
/* Frames and completions that the driver keeps, or gives back. */
void engine_driver_step(struct fuzz_in *in);
void engine_driver_release(void);

/* ---- engine_app.c: programs ---- */
void engine_tcp_call(struct fuzz_in *in);
void engine_udp_call(struct fuzz_in *in);
/* A connection that is there at once: peer 'i' opens it, or the lane. */
void engine_accept(void);
void engine_close_all(bool reset);

/* ---- engine.c ---- */
/* What was staged goes in; events are taken, output leaves, and everything is checked. */
void engine_turn(void);

#endif
