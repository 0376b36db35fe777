/*
 * script.h - packet in, packet out: one lane against segments written as lines of text
 *
 * A line: flags (S F R P U, E for ECE, W for CWR, and . for ACK), sequence number, then in any order
 *   ack N  len N  win N  urg N  ecn N (of IP)  mss N  ws N  sackok  ts VAL:ECR  sack START-END ...
 * Sequence numbers count from the sender's SYN, which is 0; so the first byte of text is 1. Text has
 * a pattern by sequence number, which is checked on what the lane sends. Of what the lane sends only
 * the words that the expectation names are compared, besides flags, sequence number, 'len' and 'ack'.
 * PSH is not compared. Peer: 10.0.0.2 port 4000; lane: 10.0.0.1 port 80; MTU 1500. With LANE_SCRIPT_V6 in the
 * environment fd00::2, fd00::1, and each MTU is 20 bytes larger: so the lines are the same. Time is virtual.
 */
#ifndef LANE_TESTS_SCRIPT_H
#define LANE_TESTS_SCRIPT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include <lane/tcp.h>

#include "lane-int/engine.h"
#include "stack/wire/tcp.h"

#define SCRIPT_PORT 80
#define SCRIPT_PEER 4000
#define SCRIPT_ISS  5000u /* the peer's */
#define SCRIPT_V6_MORE 20 /* bytes of an IPv6 header more than of an IPv4 one */

struct script {
	struct lane *ln;
	struct lane_tcp *listener, *pcb;
	bool v6;
	uint32_t iss; /* the lane's, from its last SYN */
	uint16_t port; /* the lane's */
	uint16_t peer; /* the peer's */
	uint16_t limited; /* the port of which the driver is to limit the SYNs, 0: none */
	unsigned int refuse; /* packets that the driver does not take */
	bool hold_tx;  /* the driver keeps frames until script_complete() */
	struct lane_tcp_info last; /* the last segment that was expected, as it came */
};
extern struct script s;

/* A lane with the defaults; 'tune' (may be NULL) changes them before it is made. */
void script_open(void (*tune)(struct lane_config *cfg));
/* Lets everything end, checks that nothing leaked, frees the lane. */
void script_close(void);
/* Host 'i' of the net: the lane is 1, the peer 2. */
struct lane_ip script_ip(unsigned int i);
/* RFC 9293 3.7.1: the MSS of a peer that names none. */
unsigned int script_default_mss(void);
/* The MTU in which as much text fits as in 'mtu' over IPv4. */
uint32_t script_mtu(uint32_t mtu);
/* A segment from the peer, one turn of the lane. */
void script_in(const char *line);
/* The same without a flush: for several in one turn. */
void script_in_burst(const char *line);
/* It waits in the driver and comes together with the next one: one burst. */
void script_in_wait(const char *line);
/* The driver takes super-segments from now on; of one, script_out() sees the first segment. */
void script_cuts(void);
/* Sends what waits. */
void script_flush(void);
/* The next segment that the lane sent is this. */
void script_out(const char *line);
/* It sent nothing (more). */
void script_silent(void);
/* Forgets what was sent. */
void script_skip(void);
/* How many segments wait to be expected. */
unsigned int script_nr_out(void);
/* Time passes, in steps of a timer tick; stops early when something is sent if 'until_out'. */
void script_run_ms(unsigned int ms);
/* The same in steps of 50 ms, for long times. */
void script_run_s(unsigned int seconds);
/* Runs until a segment is sent, at most 'max' ms; returns how many ms it took. */
unsigned int script_until_out(unsigned int max);
void script_complete(void);
/* An ICMP error as the network would say it. */
enum script_icmp { SCRIPT_ICMP_NET, SCRIPT_ICMP_HOST, SCRIPT_ICMP_PORT, SCRIPT_ICMP_TOO_BIG, SCRIPT_ICMP_PARAMETER };
void script_icmp(enum script_icmp what, uint32_t seq, uint32_t mtu);

/* A listener, and a connection opened by the peer with these options: established, accepted,
 * the ACK of the handshake is ". 1 ack 1". */
void script_listen(int backlog);
void script_accept(const char *syn);
/* Then: the peer's window becomes 'wnd', after a byte of text, for a mere repeat does not shrink it. */
void script_shrink(unsigned int wnd);
/* The same with a handshake that takes 'rtt_ms'. */
void script_accept_far(const char *syn, unsigned int rtt_ms);
/* A connection opened by the lane: the peer's SYN-ACK. */
void script_connect(const char *synack);
/* The program writes (all must be taken) or reads (so many must come, and as patterned). */
void script_write(unsigned int len);
void script_read(unsigned int len);
/* The next bytes that the program would write. */
void script_fill(uint8_t *text, unsigned int len);
/* Bits of all events of s.pcb or the listener since the last call. */
uint32_t script_events(const struct lane_tcp *pcb);
enum lane_tcp_state script_state(void);

#endif
