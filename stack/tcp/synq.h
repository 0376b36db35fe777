/*
 * synq.h - the record of a half-open connection, and what listen.c, input.c and the others do with it
 */
#ifndef LANE_TCP_SYNQ_H
#define LANE_TCP_SYNQ_H

#include "stack/tcp/pcb.h"

#define LANE_SYN_NO_WSCALE    15
#define LANE_SYN_PREV_NIL     0xffffffU /* LANE_NIL in 24 bits: there are fewer records */
#define LANE_SYN_TIMEOUTS_MAX 15 /* what nr_timeouts can count */

struct lane_syn {
	uint32_t link; /* free list; next in st->synq[nr_timeouts] */
	uint32_t prev : 24;
	uint32_t path_version : 8; /* of the path when the SYN came: since then the window may be told otherwise */
	struct lane_ip local_ip, remote_ip; /* the local port is the listener's */
	uint16_t remote_port;
	uint16_t mss;	   /* the peer's option, or what stands for it */
	uint32_t listener; /* 1 + its index; 0: the record is free */
	uint32_t irs;
	uint32_t ts_recent;
	uint32_t start_us; /* when the SYN came, mod 2^32: gives our ISN, all deadlines, and the RTT */
	uint16_t mac : 10; /* names the MAC that it came from (synq.c) */
	uint16_t wnd_level : 2; /* lane_tcp_start_level(): of the window that was told */
	uint16_t rcv_wscale : 4; /* ours */
	uint8_t iss_page : 3;	 /* how far our ISN lies beyond what RFC 6528 gives, in 2^29 */
	uint8_t nr_timeouts : 4; /* that have passed */
	uint8_t resent : 1;	 /* the SYN-ACK left more than once */
	uint8_t wscale : 4;	 /* the peer's, LANE_SYN_NO_WSCALE: not agreed on */
	uint8_t ts : 1, sack : 1, ecn : 1; /* agreed on */
	uint8_t acked : 1; /* the ACK came too early: TCP_DEFER_ACCEPT, or the accept queue was full */
};

_Static_assert(sizeof(struct lane_syn) == 64, "one cache line a record");

/* ---- listen.c ---- */
/* A segment for a listener. '*pcb' becomes the connection that it opens by a SYN cookie: the segment is to go on
 * there. */
enum lane_drop lane_tcp_listen_in(struct lane *ln, struct lane_tcp *l, struct lane_seg *seg,
				  uint32_t hash, struct lane_tcp **pcb);
/* A segment for a half-open connection; '*pcb' becomes the connection that it completes. */
enum lane_drop lane_tcp_syn_in(struct lane *ln, struct lane_syn *r, struct lane_seg *seg,
			       struct lane_tcp **pcb);
/* Puts a pcb back into the queue that its flags name (recover.c). */
void lane_tcp_requeue(struct lane *ln, struct lane_tcp *pcb);

/* ---- synq.c ---- */
size_t lane_tcp_syn_size(void);
void lane_tcp_syn_init(struct lane *ln);

/* What path_version is for a SYN that comes as 'pkt' did. */
uint8_t lane_tcp_syn_version(const struct lane *ln, const struct lane_pkt *pkt);
/* Fills '*r' with what 'seg', a SYN for 'l', says, but links it nowhere. */
void lane_tcp_syn_fill(struct lane *ln, const struct lane_tcp *l, const struct lane_seg *seg,
		       struct lane_syn *r);
/* True when 'l' has no room for one more. */
bool lane_tcp_syn_is_full(const struct lane *ln, const struct lane_tcp *l);
/* Keeps a copy of 'r', whose flow hash is 'hash'. NULL: no room. */
struct lane_syn *lane_tcp_syn_add(struct lane *ln, const struct lane_syn *r, uint32_t hash);
void lane_tcp_syn_remove(struct lane *ln, struct lane_syn *r);
/* Removes all of listener 'l'. */
void lane_tcp_syn_stop(struct lane *ln, struct lane_tcp *l);
struct lane_syn *lane_tcp_syn_find(const struct lane *ln, uint32_t hash, const struct lane_ep *local,
				   const struct lane_ep *remote);
/* Our ISN. */
uint32_t lane_tcp_syn_iss(const struct lane *ln, const struct lane_syn *r);
/* The TCP_DEFER_ACCEPT of 'l' still waits for text. */
bool lane_tcp_syn_defers(const struct lane *ln, const struct lane_tcp *l, const struct lane_syn *r);
/* Sends the SYN-ACK of 'r' by 'path', which is up to date, with our numbers 'iss' and 'stamp'. */
void lane_tcp_syn_answer(struct lane *ln, const struct lane_syn *r, const struct lane_path *path,
			 uint32_t iss, uint32_t stamp);
/* The same again, to where 'pkt' came from, or NULL. */
void lane_tcp_syn_answer_again(struct lane *ln, struct lane_syn *r, const struct lane_pkt *pkt);
/* Our TSval now. */
uint32_t lane_tcp_syn_stamp(const struct lane *ln, const struct lane_syn *r);
/* Sends an ACK that tells the peer where we are, within the limit for challenges. */
void lane_tcp_syn_challenge(struct lane *ln, const struct lane_syn *r, const struct lane_seg *seg);
/* The window that its SYN-ACK offers, before it is cut to whole segments: what is enforced. */
uint32_t lane_tcp_syn_wnd(const struct lane *ln, const struct lane_syn *r);

/* ---- flood.c ---- */
/* A SYN to 'port' was answered by a cookie. */
void lane_tcp_flood_note(struct lane *ln, uint16_t port);
void lane_tcp_flood_timers(struct lane *ln);
uint64_t lane_tcp_flood_next(const struct lane *ln);

/* ---- synq.c again: time, errors, repair, tests ---- */
void lane_tcp_syn_timers(struct lane *ln);
uint64_t lane_tcp_syn_next(const struct lane *ln);
/* An ICMP error of one's SYN-ACK. False: it belongs to none. */
bool lane_tcp_syn_icmp(struct lane *ln, const struct lane_icmp_info *icmp, uint32_t hash);
/* Enters all records in their table and queues anew (recover.c). */
void lane_tcp_syn_recover(struct lane *ln);
void lane_tcp_syn_check(struct lane *ln);

#endif
