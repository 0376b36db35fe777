/*
 * tcp.h - TCP of a lane (RFC 9293): the raw API
 *
 * Every function is a lane call: one caller at a time for one lane (the shim holds the lane's
 * lock). None blocks. Errors are -errno as Linux' socket calls return them. What happens later is
 * told by events (lane.h): a pcb's 'cookie' names it to the program.
 *
 * Life of a pcb: lane_tcp_create() -> bind/listen/connect -> ... -> lane_tcp_put(). Until put the pcb
 * stays, whatever the peer does, so that errors can be read; after put the engine finishes alone
 * (FIN, retransmission, TIME_WAIT) and the pointer must not be used again.
 */
#ifndef LANE_TCP_H
#define LANE_TCP_H

#include <sys/types.h>

#include <lane/buf.h>
#include <lane/types.h>

struct lane;
struct lane_tcp;

/* RFC 9293 3.3.2. LISTEN pcbs hold no connection; TIME_WAIT may have left for a record. */
enum lane_tcp_state {
	LANE_TCP_CLOSED,
	LANE_TCP_LISTEN,
	LANE_TCP_SYN_SENT,
	LANE_TCP_SYN_RECEIVED,
	LANE_TCP_ESTABLISHED,
	LANE_TCP_FIN_WAIT_1,
	LANE_TCP_FIN_WAIT_2,
	LANE_TCP_CLOSE_WAIT,
	LANE_TCP_CLOSING,
	LANE_TCP_LAST_ACK,
	LANE_TCP_TIME_WAIT,
	LANE_TCP_STATES
};

/* What a program sees of a pcb at one moment. */
struct lane_tcp_status {
	enum lane_tcp_state state;
	int err;	       /* pending error (positive errno), 0: none; reading does not clear it */
	uint32_t rcv_queued;   /* bytes that can be received: without an urgent byte that is skipped */
	uint32_t rcv_inq;      /* the same up to the urgent mark (SIOCINQ) */
	uint32_t snd_space;    /* bytes that can be sent now */
	uint32_t snd_queued;   /* bytes accepted and not acknowledged (SIOCOUTQ) */
	uint32_t snd_unsent;   /* bytes accepted and never sent (SIOCOUTQNSD) */
	uint32_t nr_accept;    /* listener: connections waiting */
	bool peer_fin;	       /* the peer's FIN is received and everything before it */
	bool rd_shut, wr_shut; /* shutdown() by the program */
	bool was_connected;    /* got to ESTABLISHED */
	bool writable;	       /* OUT: space is at least a third of the send buffer */
	bool urgent;	       /* PRI: urgent data is announced and unread */
	bool at_mark;	       /* SIOCATMARK */
	bool rcv_full;	       /* the peer may send less than a segment: more will not come before a read */
};

#define LANE_QUICKACK_NOW 2

/* Per-socket settings; a listener's are inherited. Times in us, 0 in user_timeout: none. */
struct lane_tcp_opts_set {
	uint32_t rcvbuf, sndbuf; /* bytes, as SO_RCVBUF reads them (doubled); payload limit is half */
	uint64_t keepidle_us, keepintvl_us;
	uint32_t user_timeout_us;
	uint32_t linger2_us;	  /* FIN_WAIT_2 of an orphan; UINT32_MAX: none, the peer is reset */
	uint32_t defer_accept_us; /* listener: 0: off */
	uint32_t notsent_lowat;	  /* bytes, UINT32_MAX: the lane's (lane_config) */
	uint32_t window_clamp;	  /* 0: none */
	uint64_t max_pacing_rate; /* bytes a second, 0: none */
	uint16_t maxseg;	  /* 0: from the MTU */
	uint8_t keepcnt, syncnt;
	uint8_t tos, ttl;
	uint8_t cc; /* index of the congestion control */
	uint8_t keepalive, nodelay, cork;
	uint8_t quickack; /* reads as 0 or 1; LANE_QUICKACK_NOW also ACKs what is pending */
	uint8_t oobinline;
};

struct lane_tcp_info_out; /* lane-int/tcp_info.h: struct tcp_info's figures */

/* Returns owned a CLOSED pcb with the lane's default settings, or NULL: pool empty. */
struct lane_tcp *lane_tcp_create(struct lane *ln, uint64_t cookie);
/* Index <-> pcb; the index stays good in every process. at() checks it and returns NULL. */
uint32_t lane_tcp_index(const struct lane *ln, const struct lane_tcp *pcb);
struct lane_tcp *lane_tcp_at(const struct lane *ln, uint32_t index);
void lane_tcp_set_cookie(struct lane_tcp *pcb, uint64_t cookie);
uint64_t lane_tcp_cookie(const struct lane_tcp *pcb);

/* Listeners: whoever stands beside the lane takes the SYNs to the address from now on, of others that share it too. */
void lane_tcp_retire(struct lane *ln, struct lane_tcp *pcb);
/*
 * Makes a listener on 'local' (any address: all of the table; a :: listener takes IPv4 too unless
 * 'v6only'). Several listeners on one endpoint share its SYNs by flow hash (SO_REUSEPORT).
 * Claims the port. 'backlog' n holds n + 1 connections. On a listener: changes the backlog. -EINVAL: it
 * is or was a connection; lane_tcp_disconnect() makes it fresh.
 */
int lane_tcp_listen(struct lane *ln, struct lane_tcp *pcb, const struct lane_ep *local, bool v6only,
		    int backlog);
/* Takes the next connection: returns owned an established (or already reset) pcb, NULL: none. The
 * pcb's cookie is 'cookie'. */
struct lane_tcp *lane_tcp_accept(struct lane *ln, struct lane_tcp *listener, uint64_t cookie);

/*
 * Starts an active open from 'local' (any address: chosen by route; port 0: one of
 * nettab's port_min..port_max, RFC 6056) to 'remote'. 0: under way, LANE_EV_CONNECTED or
 * LANE_EV_ERROR follows. -EADDRNOTAVAIL, -ENETUNREACH, -EXDEV (leave it to the kernel), -EADDRINUSE.
 */
int lane_tcp_connect(struct lane *ln, struct lane_tcp *pcb, const struct lane_ep *local,
		     const struct lane_ep *remote);

/*
 * Sending, zero copy: consumes 'n' frames from lane_buf_alloc() whose text lies at data()
 * (off >= LANE_HEADROOM). All or nothing: 0, -EAGAIN (no space for all), -EPIPE, -ENOTCONN or the
 * pending error; on error the frames stay the caller's. 'more': hold a last short segment (MSG_MORE).
 */
int lane_tcp_send(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *bufs[], uint32_t n, bool more);
/*
 * Sending by copy: returns bytes taken (maybe fewer than 'len'), or as above. Fills the last unsent
 * frame before it takes new ones. 'copy' (NULL: memcpy) returns 0, or -EFAULT: then nothing of that
 * piece was taken. 'src' is handed to 'copy' only, with the offset already taken.
 */
typedef int (*lane_copy_fn)(void *dst, const void *src, size_t len);
ssize_t lane_tcp_write(struct lane *ln, struct lane_tcp *pcb, const void *src, size_t len, bool more,
		       lane_copy_fn copy);
/* Sends one urgent byte's worth: as write, and sets the urgent pointer behind its last byte. */
ssize_t lane_tcp_write_oob(struct lane *ln, struct lane_tcp *pcb, const void *src, size_t len,
			   lane_copy_fn copy);
/* A send is going to take less than the program has: LANE_EV_WRITABLE tells when there is space. For
 * who looks at the status and fills frames; the calls above do it themselves. */
void lane_tcp_want_space(struct lane *ln, struct lane_tcp *pcb);
/* Text bytes that fit one segment now (the effective send MSS). */
/* Bytes that the last segment takes, which has not left; 0: it is full, or there is none. */
uint32_t lane_tcp_tail_room(const struct lane *ln, const struct lane_tcp *pcb);
uint32_t lane_tcp_snd_mss(const struct lane *ln, const struct lane_tcp *pcb);

/*
 * Receiving by copy: returns bytes (0: end of file), -EAGAIN: nothing yet, or the pending error,
 * once. 'peek' leaves them, from 'skip' bytes on (0 unless peeking on). 'dst' NULL discards
 * (MSG_TRUNC). A read stops before the urgent mark (RFC 6093). -EFAULT consumes nothing.
 */
ssize_t lane_tcp_read(struct lane *ln, struct lane_tcp *pcb, void *dst, size_t len, bool peek,
		      size_t skip, lane_copy_fn copy);
/*
 * Receiving, zero copy: moves whole frames of at most 'max' bytes in sum (at least one piece; the
 * last frame is left if it does not fit whole) into out[0..n), returns owned, text at data(). The return is the number of
 * frames, 0: end of file, or -errno as read; -ENOBUFS: 'max' cuts the first frame and no frame is free
 * for its front, lane_tcp_read() will do. Window credit is given by lane_tcp_received().
 */
int lane_tcp_take(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *out[], uint32_t n, size_t max);
/* Consumes: puts frames that one take() gave back to the front of the queue, in order (a copy that
 * failed). */
void lane_tcp_untake(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *bufs[], uint32_t n);
/* 'bytes' of taken text were consumed: opens the window and sends an update when it is due. */
void lane_tcp_received(struct lane *ln, struct lane_tcp *pcb, size_t bytes);
/* A read has come to the urgent byte, which is next and not in line: it is gone. */
void lane_tcp_pass_urgent(struct lane *ln, struct lane_tcp *pcb);
/* SO_RCVLOWAT: the buffer grows to hold 'bytes'. Returns what it can hold at most of them, at least 1. */
uint32_t lane_tcp_rcv_lowat(struct lane *ln, struct lane_tcp *pcb, uint32_t bytes);
/* MSG_OOB: 1 and the byte; -EAGAIN: announced and not here; -EINVAL: none, or read before. */
int lane_tcp_read_oob(struct lane *ln, struct lane_tcp *pcb, uint8_t *byte, bool peek);

/* shutdown(2): 'rd', 'wr' or both. -ENOTCONN. On a listener, rd: stops listening. */
int lane_tcp_shutdown(struct lane *ln, struct lane_tcp *pcb, bool rd, bool wr);
/* Consumes the program's hold: close(2). RST if text was unread, else FIN behind what is queued. A
 * listener resets its waiting connections. */
void lane_tcp_put(struct lane *ln, struct lane_tcp *pcb);
/* Consumes: RST at once (SO_LINGER 0). */
void lane_tcp_abort(struct lane *ln, struct lane_tcp *pcb);
/* Back to CLOSED and usable for a new connect(): connect(AF_UNSPEC) and after a failed connect. */
void lane_tcp_disconnect(struct lane *ln, struct lane_tcp *pcb);

void lane_tcp_get_status(const struct lane *ln, const struct lane_tcp *pcb, struct lane_tcp_status *st);
/* The same but for the fields of sending, which are 0. */
void lane_tcp_get_rcv_status(const struct lane *ln, const struct lane_tcp *pcb, struct lane_tcp_status *st);
/* Bytes that a read may take; 0 also where an urgent mark is in the way: then the status says. */
uint32_t lane_tcp_text(const struct lane *ln, const struct lane_tcp *pcb);
/* The byte 'skip' bytes from here is the urgent one. */
bool lane_tcp_at_mark(const struct lane *ln, const struct lane_tcp *pcb, size_t skip);
/* What a write meets: 0, it may go on; -EAGAIN: once it is connected; -EPIPE: never; positive: the error that waits. */
int lane_tcp_may_send(const struct lane_tcp *pcb);
/* Reads and clears the pending error (SO_ERROR): positive errno or 0. */
int lane_tcp_take_error(struct lane *ln, struct lane_tcp *pcb);
/* Makes 'err', a positive errno, the error that waits. */
void lane_tcp_put_error(struct lane *ln, struct lane_tcp *pcb, int err);
void lane_tcp_get_local(const struct lane *ln, const struct lane_tcp *pcb, struct lane_ep *ep);
/* -ENOTCONN unless connected. */
int lane_tcp_get_remote(const struct lane *ln, const struct lane_tcp *pcb, struct lane_ep *ep);
/* Who it was, even when the connection was reset while it waited for lane_tcp_accept(). */
void lane_tcp_get_peer(const struct lane *ln, const struct lane_tcp *pcb, struct lane_ep *ep);
void lane_tcp_get_opts(const struct lane *ln, const struct lane_tcp *pcb,
		       struct lane_tcp_opts_set *o);
/* Applies: a cleared cork or a set nodelay sends what was held, LANE_QUICKACK_NOW ACKs.
 * -ENOBUFS: the lane's sockets have too many different sets of options (LANE_TCP_OSETS). */
int lane_tcp_set_opts(struct lane *ln, struct lane_tcp *pcb, const struct lane_tcp_opts_set *o);
void lane_tcp_get_info(const struct lane *ln, const struct lane_tcp *pcb, struct lane_tcp_info_out *out);

const char *lane_tcp_state_name(enum lane_tcp_state s);

#endif
