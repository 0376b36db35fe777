/*
 * pcb.h - what a UDP socket of a lane is made of
 *
 * A bound pcb stands in udp_table under its port's hash; a connected one under its flow's hash too.
 */
#ifndef LANE_UDP_PCB_H
#define LANE_UDP_PCB_H

#include <lane/udp.h>

#include "lane-int/engine.h"

#define LANE_UDP_MAX	    65535
#define LANE_UDP_PIECES_MAX 128 /* as Linux' UDP_MAX_SEGMENTS */

struct lane_udp {
	uint32_t free_link; /* first: of the pool */
	uint8_t used;
	uint8_t v6only;
	uint8_t retired; /* its address is claimed no more, for all that share it */
	uint8_t connected;
	uint8_t auto_local; /* connect() chose the local address: disconnecting takes it back */
	uint8_t tos[2], ttl[2]; /* of datagrams over IPv4 and over IPv6 */
	uint8_t fragment; /* datagrams beyond the MTU are cut, not refused */
	uint8_t listed; /* in st->udp_events */
	uint8_t events; /* LANE_EV_* */
	uint32_t ev_next;
	int err;                      /* pending, positive errno */
	struct lane_ep local, remote; /* local.port 0: not bound */
	uint64_t cookie;
	uint32_t flow_hash;          /* under which it stands when connected */
	uint32_t rcv_head, rcv_tail; /* first frame of the first datagram, last frame of the last */
	uint32_t nr_rcv;
	uint32_t rcv_bytes; /* what the queue is charged for, as Linux' truesize */
	uint32_t rcvbuf;
	uint64_t nr_dropped;
	uint32_t err_head, err_tail; /* ICMP errors that wait (error.c) */
	uint8_t nr_errors;
	uint8_t recverr4, recverr6; /* all errors are wanted, by family of the datagram */
	uint8_t pmtudisc[2];	    /* enum lane_pmtudisc, by family too */
	/* where the last datagram went: the next one mostly goes there too */
	struct lane_path path;
	struct lane_ip path_dst, path_src;
};

static inline struct lane_udp *lane_udp_obj(const struct lane *ln, uint32_t index)
{
	return &ln->udps[index];
}

/* Queues 'events' for the program. */
void lane_udp_raise(struct lane *ln, struct lane_udp *pcb, uint8_t events);
/* Bytes that a datagram of 'len' bytes in 'nr' frames is charged for. */
uint32_t lane_udp_charge(uint32_t len, uint32_t nr);
/* The connected pcb of a flow, NULL. */
struct lane_udp *lane_udp_find(struct lane *ln, const struct lane_ep *local,
			       const struct lane_ep *remote);
/* Binds to a port of the lane's own range that no socket has (RFC 6056 3.3.1: a random one). */
int lane_udp_bind_auto(struct lane *ln, struct lane_udp *pcb, bool is4);
/* The pcb that takes a datagram remote -> local, NULL. */
struct lane_udp *lane_udp_lookup(struct lane *ln, const struct lane_ep *local,
				 const struct lane_ep *remote);
/* Frees the first error that waits. */
void lane_udp_pop_error(struct lane *ln, struct lane_udp *pcb);
/* Sends a datagram that does not fit one frame or the MTU: 'len', or -errno and nothing was sent. */
ssize_t lane_udp_write_cut(struct lane *ln, struct lane_udp *pcb, const struct lane_ep *local,
			   const struct lane_ep *remote, const void *data, size_t len,
			   lane_copy_fn copy);
/* Puts a datagram of 'len' bytes, behind 'hlen' bytes of headers, into the queue. Consumes 'b' if it returns LANE_OK. */
enum lane_drop lane_udp_deliver(struct lane *ln, struct lane_udp *pcb, struct lane_buf *b, uint16_t hlen,
				uint32_t len);
/* The same for each socket that is in the group local->ip and takes it. */
enum lane_drop lane_udp_group_in(struct lane *ln, const struct lane_pkt *pkt, const struct lane_ep *local,
				 const struct lane_ep *remote, uint16_t hlen, uint32_t len);
void lane_udp_leave_all(struct lane *ln, const struct lane_udp *pcb);
bool lane_udp_is_multicast(const struct lane_ip *ip);
void lane_udp_groups_check(const struct lane *ln);
void lane_udp_groups_recover(struct lane *ln);
/* Frees the first datagram of the queue. */
void lane_udp_pop(struct lane *ln, struct lane_udp *pcb);

#endif
