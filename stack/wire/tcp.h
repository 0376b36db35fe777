/*
 * tcp.h - TCP header (RFC 9293 3.1) and options (RFC 9293 3.2, 7323, 2018): parse and emit
 */
#ifndef LANE_WIRE_TCP_H
#define LANE_WIRE_TCP_H

#include <lane/stats.h>
#include <lane/types.h>

#include "wire.h"

#define LANE_WIRE_FIN 0x01
#define LANE_WIRE_SYN 0x02
#define LANE_WIRE_RST 0x04
#define LANE_WIRE_PSH 0x08
#define LANE_WIRE_ACK 0x10
#define LANE_WIRE_URG 0x20
#define LANE_WIRE_ECE 0x40
#define LANE_WIRE_CWR 0x80

struct lane_tcp_hdr {
	struct lane_be16 sport, dport;
	struct lane_be32 seq, ack;
	uint8_t off; /* header length in 32-bit words, in the upper four bits */
	uint8_t flags;
	struct lane_be16 wnd;
	uint16_t csum;
	struct lane_be16 urg;
} __attribute__((packed));

_Static_assert(sizeof(struct lane_tcp_hdr) == 20, "TCP header");

#define LANE_OPT_MSS 0x01
#define LANE_OPT_WSCALE 0x02
#define LANE_OPT_SACK_OK 0x04
#define LANE_OPT_TS 0x08
#define LANE_OPT_SACK 0x10

struct lane_tcp_opts {
	uint8_t have; /* LANE_OPT_* */
	uint8_t wscale;
	uint8_t nr_sack;
	uint16_t mss;
	uint32_t tsval, tsecr;
	struct {
		uint32_t start, end; /* [start, end) */
	} sack[4];
};

/* A segment, decoded. 'len' is RFC 9293's SEG.LEN without SYN and FIN: bytes of text. */
struct lane_tcp_info {
	uint16_t sport, dport;
	uint32_t seq, ack;
	uint32_t wnd; /* unscaled */
	uint16_t urg;
	uint8_t flags; /* LANE_WIRE_* */
	uint8_t hlen;
	uint16_t csum; /* for lane_tcp_emit(), as it lies in memory; not parsed: 0 */
	uint32_t len;
	struct lane_tcp_opts opts;
};

/* 'p': the TCP header, 'avail' bytes in this frame, 'l4_len' bytes in the whole packet. Malformed
 * options end the option list, as in Linux; they do not drop the segment. */
enum lane_drop lane_tcp_parse(const uint8_t *p, uint32_t avail, uint32_t l4_len,
			      struct lane_tcp_info *out);

/* Bytes that 'opts' take on the wire, a multiple of 4, 40 at most. */
uint8_t lane_tcp_opts_len(const struct lane_tcp_opts *opts);
/* Writes header and options (checksum 0) at 'p'; returns the header's length. */
uint8_t lane_tcp_emit(uint8_t *p, const struct lane_tcp_info *info);

#endif
