/*
 * echo.h - lane-echo's parts: its interface (AF_XDP or DPDK), what it does there (answer or ask), its options
 */
#ifndef LANE_APPS_ECHO_H
#define LANE_APPS_ECHO_H

#include <lane/lane.h>

#include "drivers/control/fixed/fixed.h"
#include "drivers/control/netlink/netlink.h"
#include "drivers/dpdk/dpdk.h"
#include "drivers/xdp/xdp.h"

#define ECHO_PIECE (256 * 1024) /* bytes of TCP echoed at once */

struct echo {
	struct lane *ln;
	void *mem; /* the lane's, where it is not the driver's own */
	size_t size;
	uint16_t port;
	bool udp;
	bool spin;    /* never sleep */
	int stop_fd;  /* readable when stopping: a signal just before the sleep is not lost */

	/* AF_XDP */
	struct lane_xdp_config xdp;
	struct lane_xdp_dev *dev;
	struct lane_xdp_share share;
	struct lane_xdp_fds fds;
	struct lane_netlink *nl; /* NULL over DPDK */

	/* DPDK */
	bool use_dpdk;
	const char *eal;
	const struct lane_dpdk_plugin *dpdk;
	struct lane_dpdk_config dpdk_cfg;
	struct lane_fixed fixed;

	/* asking */
	bool ask;
	struct lane_ep server;
	uint32_t nr_conns, request;	/* connections, bytes of a request */
	uint64_t nr_requests;		/* to be made; 0: until 'seconds' are over */
	uint32_t seconds;
	char piece[ECHO_PIECE];
};

/* ---- main.c ---- */
uint64_t echo_now_ns(void);
bool echo_stopping(void);
/* Complains; returns -1. */
int echo_fail(const char *what, const char *why);
/* A lane of 64 MB over e->mem, or over DPDK's memory. */
int echo_create_lane(struct echo *e, uint32_t stride, uint32_t size);

/* ---- loop.c ---- */
/* One turn: what came, 'work' on it, what is to leave. Sleeps if there was nothing to do, until 'until_us' at most. */
void echo_turn(struct echo *e, unsigned int (*work)(struct echo *e, void *arg), void *arg, uint64_t until_us);

/* ---- xdp.c, dpdk.c: each 0, or -1 and a complaint; describe in text[512] ---- */
int echo_open_xdp(struct echo *e);
void echo_describe_xdp(const struct echo *e, char *text, size_t size);
int echo_open_dpdk(struct echo *e);
void echo_describe_dpdk(const struct echo *e, char *text, size_t size);

/* ---- serve.c ---- */
int echo_serve(struct echo *e);
void echo_run(struct echo *e);

/* ---- ask.c ---- */
/* Makes the requests and tells how it went; -1: not all came back. */
int echo_ask(struct echo *e);

/* ---- options.c ---- */
/* 0: go on, 1: done (help), -1: an error was told. */
int echo_parse_options(struct echo *e, int argc, char **argv);

#endif
