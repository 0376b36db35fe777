/*
 * rcv.h - receiving: how TCP's other parts call the policy of ACKs (ackpolicy.c), the receive queue and the window
 * (rcv.c), and what is out of order (ooo.c)
 *
 * A part of pcb.h, which includes it.
 */
#ifndef LANE_TCP_RCV_H
#define LANE_TCP_RCV_H

#include "stack/tcp/pcb.h"

/* ---- ackpolicy.c: when we acknowledge (tcp.md 1) ---- */
void lane_tcp_ack_now(struct lane *ln, struct lane_tcp *pcb);
/* The next segments are ACKed at once: after loss, and when a delay did harm. */
void lane_tcp_ack_quick(struct lane_tcp *pcb);
/* Text of ours leaves for the first time. */
void lane_tcp_ack_carried(struct lane *ln, struct lane_tcp *pcb);
/* 'len' bytes came in order; 'push': the peer has no more to send for now. */
void lane_tcp_ack_text(struct lane *ln, struct lane_tcp *pcb, uint32_t len, bool push);
/* The program has taken text. */
void lane_tcp_ack_read(struct lane *ln, struct lane_tcp *pcb);
/* An ACK for something wrong, at most 1000 a second (RFC 5961 7). */
void lane_tcp_challenge(struct lane *ln, struct lane_tcp *pcb);
/* Counts one such ACK; false: it must not be sent. */
bool lane_tcp_may_challenge(struct lane *ln);
/* A segment with our ACK has left. */
void lane_tcp_ack_sent(struct lane *ln, struct lane_tcp *pcb);
/* The same of one that has the extension 'x'. */
static inline void lane_tcp_ack_told(struct lane_tcp *pcb, struct lane_tcp_x *x)
{
	x->rcv_acked = pcb->rcv_nxt;
	pcb->flags &= ~LANE_TF_ACK_NOW;
	pcb->pushed = 0;
	pcb->armed &= (uint8_t)~(1U << LANE_TT_DACK);
}

/* ---- rcv.c, ooo.c ---- */
/* Leaves 'keep' (> 0) bytes behind the first 'skip' of a packet; frees emptied frames. Sets pkt_len and,
 * in 'user', the index of the last frame. Returns owned the first frame left. */
struct lane_buf *lane_tcp_trim(struct lane *ln, struct lane_buf *b, uint32_t skip, uint32_t keep);
/* Takes the text of 'seg', which lies in the window; in order or not. */
enum lane_drop lane_tcp_text_in(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg);
/* Appends a packet made by lane_tcp_trim() that starts at rcv_nxt. Consumes 'b'. */
void lane_tcp_rcvq_append(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b);
enum lane_drop lane_tcp_ooo_insert(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b,
				   uint32_t seq);
/* Moves what became in order to the receive queue. True if it did. */
bool lane_tcp_ooo_deliver(struct lane *ln, struct lane_tcp *pcb);
void lane_tcp_ooo_free(struct lane *ln, struct lane_tcp *pcb);
/* The FIN that waits at fin_seq came just now. */
void lane_tcp_ooo_fin(struct lane *ln, struct lane_tcp *pcb);
/* Where the last range ends. There is one. */
uint32_t lane_tcp_ooo_end(const struct lane *ln, const struct lane_tcp *pcb);
/* Takes an urgent byte that is next away: a newer one is announced, and it would become text. */
void lane_tcp_skip_mark(struct lane *ln, struct lane_tcp *pcb);
/* Fills in SACK blocks: a duplicate (RFC 2883), then the ranges, the latest first (RFC 2018 4). */
void lane_tcp_ooo_sack(struct lane *ln, struct lane_tcp *pcb, struct lane_tcp_opts *o, uint8_t max);
/* The window to advertise now, in bytes, scale applied; moves rcv_adv. */
uint16_t lane_tcp_select_window(struct lane *ln, struct lane_tcp *pcb);
uint32_t lane_tcp_rcv_space(const struct lane *ln, const struct lane_tcp *pcb);
/* How much a SYN may offer now, if there were 'times' as many connections: below LANE_START_LEVELS, the most is 0. */
uint8_t lane_tcp_start_level(const struct lane *ln, uint32_t times);
/* And what it offers, by the options of 'pcb': as Linux whole segments of 'mss' bytes (0: any number) of the buffer. */
uint32_t lane_tcp_start_wnd(const struct lane *ln, const struct lane_tcp *pcb, uint8_t level, uint32_t mss);
/* That is offered, and until text comes no more is, unless frames were short. */
void lane_tcp_offer_start(const struct lane *ln, struct lane_tcp *pcb, uint8_t level, uint32_t mss);
/* The connection ends: what it was promised is free for others. */
void lane_tcp_forget_promise(struct lane *ln, struct lane_tcp *pcb);
/* True when few frames are left: buffers take less. */
bool lane_tcp_frames_short(const struct lane *ln);
/* So few that who has unread text gets no more: what a driver leaves for sending (1/16), and a frame
 * for each connection that has none. */
bool lane_tcp_frames_scarce(const struct lane *ln);
void lane_tcp_urg_in(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg);
/* Sequence number of the next byte that the program reads. */
uint32_t lane_tcp_copied_seq(const struct lane *ln, const struct lane_tcp *pcb);

#endif
