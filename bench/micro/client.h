/*
 * client.h - the client of the echo benchmarks: a frame template that is patched for each segment
 *
 * No engine: per flow it remembers the next sequence number of either side and the server's
 * timestamp. It is always outside of what is measured.
 */
#ifndef LANE_BENCH_MICRO_CLIENT_H
#define LANE_BENCH_MICRO_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include <lane/types.h>

#define CLIENT_FRAME_MAX   1514
#define CLIENT_SERVER_IP   "\x0a\x00\x00\x01" /* 10.0.0.1/8 */
#define CLIENT_SERVER_PORT 7

struct client_flow {
	uint32_t seq, ack, tsecr;
	bool up; /* the SYN-ACK came */
};

struct client {
	struct client_flow *flow;
	uint32_t nr;
	uint32_t now_ms;
	bool ts; /* with timestamps */
};

void client_init(struct client *c, uint32_t nr, bool ts);
void client_fini(struct client *c);
/* Fills in a segment of flow 'i' with 'len' bytes of text; returns the frame's length. A SYN if the
 * server has not answered one. The checksums are right. */
size_t client_send(struct client *c, uint32_t i, uint32_t len, uint8_t *frame);
/* Reads a frame of the server; returns the flow, LANE_NIL: none of ours. */
uint32_t client_take(struct client *c, const uint8_t *frame, size_t len);
/* The addresses that frames carry. */
struct lane_mac client_mac(bool server);

#endif
