/*
 * udp.h - UDP of a lane (RFC 768): the raw API
 *
 * As tcp.h: lane calls, -errno, events by cookie, nothing blocks.
 */
#ifndef LANE_UDP_H
#define LANE_UDP_H

#include <sys/types.h>

#include <lane/buf.h>
#include <lane/tcp.h> /* lane_copy_fn */
#include <lane/types.h>

struct lane;
struct lane_udp;

/* What came with a datagram. */
struct lane_udp_msg {
	struct lane_ep remote; /* who sent it */
	struct lane_ip local;  /* the address that it was sent to (IP_PKTINFO) */
	uint32_t len;	       /* bytes of the whole datagram: a shorter buffer truncates */
	uint8_t tos, ttl;
	uint32_t nr_dropped;   /* datagrams that the full buffer had refused before it came */
	uint64_t rx_us;	       /* when it came, on the lane's clock */
};

/* What ICMP said about a datagram of ours. */
struct lane_udp_error {
	int err; /* positive errno */
	uint8_t type, code;
	bool is4;
	uint32_t info;		/* the MTU of a packet that was too big */
	uint32_t len;		/* bytes that are quoted of the datagram */
	struct lane_ep remote;	/* where the datagram went */
	struct lane_ip offender; /* who says so */
};

/* Linux' IP_PMTUDISC_*: whether datagrams may be cut on their way, and which MTU counts. */
enum lane_pmtudisc {
	LANE_PMTUDISC_DONT,	 /* no DF */
	LANE_PMTUDISC_WANT,	 /* DF on what fits the path, the rest is cut here: the default */
	LANE_PMTUDISC_DO,	 /* DF; what does not fit the path is refused */
	LANE_PMTUDISC_PROBE,	 /* DF, by the interface's MTU */
	LANE_PMTUDISC_INTERFACE, /* no DF, by the interface's MTU; ICMP is not believed */
	LANE_PMTUDISC_OMIT	 /* the same, and cut beyond it */
};

struct lane_udp *lane_udp_create(struct lane *ln, uint64_t cookie);
uint32_t lane_udp_index(const struct lane *ln, const struct lane_udp *pcb);
struct lane_udp *lane_udp_at(const struct lane *ln, uint32_t index);
uint64_t lane_udp_cookie(const struct lane_udp *pcb);

/* Takes datagrams to 'local' (port not 0) and claims the port. Several pcbs on one endpoint share by
 * flow hash (SO_REUSEPORT); -EADDRINUSE is the shadow socket's to say. */
int lane_udp_bind(struct lane *ln, struct lane_udp *pcb, const struct lane_ep *local, bool v6only);
/* Whoever stands beside the lane takes what comes to the address from now on, of others that share it too. */
void lane_udp_retire(struct lane *ln, struct lane_udp *pcb);
/* Fixes the peer: datagrams of others are dropped from now on; NULL: no peer. -ENETUNREACH, -EXDEV. */
int lane_udp_connect(struct lane *ln, struct lane_udp *pcb, const struct lane_ep *remote);

/* Takes datagrams to 'group' that come by interface 'ifi' (0: the first) from 'source'; NULL: from all. -EINVAL (also:
 * joined for all and for one source), -EADDRINUSE (is in it already), -ENOBUFS. The end of the socket leaves. */
int lane_udp_join(struct lane *ln, struct lane_udp *pcb, unsigned int ifi, const struct lane_ip *group,
		  const struct lane_ip *source);
/* With 'source' NULL for all of them. -EADDRNOTAVAIL. */
int lane_udp_leave(struct lane *ln, struct lane_udp *pcb, unsigned int ifi, const struct lane_ip *group,
		   const struct lane_ip *source);

/*
 * Sends one datagram by copy to 'remote' (NULL: the connected peer) from 'src' (NULL: by bind or
 * route). Returns 'len', -EDESTADDRREQ, -EMSGSIZE (beyond the MTU: the caller leaves it to the
 * kernel; with lane_udp_set_fragment() beyond 65507 bytes, 65527 over IPv6), -EXDEV, -ENETUNREACH,
 * -EAGAIN (not enough frames: nothing was sent), or the pending error once.
 */
ssize_t lane_udp_write(struct lane *ln, struct lane_udp *pcb, const struct lane_ep *remote,
		       const struct lane_ip *src, const void *data, size_t len, lane_copy_fn copy);
/* Receives one datagram by copy: bytes copied (its length is msg->len), -EAGAIN, the pending error
 * once, -EFAULT (nothing consumed). 'peek' leaves it. */
ssize_t lane_udp_read(struct lane *ln, struct lane_udp *pcb, void *dst, size_t len, bool peek,
		      struct lane_udp_msg *msg, lane_copy_fn copy);

/* As read, but what one sender sent in one size (the last may be shorter), and lies one behind the
 * other, comes as one as far as 'len' goes: *size is each one's length, 0: it is one only. */
ssize_t lane_udp_read_joined(struct lane *ln, struct lane_udp *pcb, void *dst, size_t len,
			     struct lane_udp_msg *msg, uint16_t *size, lane_copy_fn copy);
/* Sends 'data' as datagrams of 'size' bytes, the last may be shorter. As write: all or none; -EMSGSIZE
 * also if 'size' does not fit the path, -EINVAL: more than 128. */
ssize_t lane_udp_write_pieces(struct lane *ln, struct lane_udp *pcb, const struct lane_ep *remote,
			      const struct lane_ip *src, const void *data, size_t len, uint16_t size,
			      lane_copy_fn copy);
/* The next ICMP error, if all are wanted: bytes copied of what is quoted of the datagram, -EAGAIN,
 * -EFAULT. */
ssize_t lane_udp_read_error(struct lane *ln, struct lane_udp *pcb, void *dst, size_t len,
			    struct lane_udp_error *e, lane_copy_fn copy);
uint32_t lane_udp_nr_errors(const struct lane_udp *pcb);
/* Whether all errors are queued (IP_RECVERR, IPV6_RECVERR), of datagrams over IPv4 and IPv6. */
void lane_udp_set_recverr(struct lane_udp *pcb, bool v4, bool v6);
/* This, the TOS and the TTL are of datagrams over IPv4 or ('v6') over IPv6: a socket of both has two of each. */
void lane_udp_set_pmtudisc(struct lane_udp *pcb, bool v6, enum lane_pmtudisc how);
/* The last write was refused for the path's MTU, which is smaller than the interface's: nobody else
 * could send it either. */
bool lane_udp_is_narrow(const struct lane *ln, const struct lane_udp *pcb, size_t len);
void lane_udp_set_rcvbuf(struct lane_udp *pcb, uint32_t bytes);
void lane_udp_set_tos(struct lane_udp *pcb, bool v6, uint8_t tos);
void lane_udp_set_ttl(struct lane_udp *pcb, bool v6, uint8_t ttl);
/* Whether datagrams beyond the interface's MTU, or a frame, are sent in fragments; at first they are
 * refused with -EMSGSIZE. Those beyond a smaller MTU of the path are, unless LANE_PMTUDISC_DO. */
void lane_udp_set_fragment(struct lane_udp *pcb, bool on);
void lane_udp_get_local(const struct lane_udp *pcb, struct lane_ep *ep);
int lane_udp_get_remote(const struct lane_udp *pcb, struct lane_ep *ep); /* -ENOTCONN */
uint32_t lane_udp_nr_queued(const struct lane_udp *pcb);  /* datagrams */
uint32_t lane_udp_first_len(const struct lane *ln, const struct lane_udp *pcb); /* FIONREAD */
uint64_t lane_udp_nr_dropped(const struct lane_udp *pcb); /* receive buffer full */
int lane_udp_err(const struct lane_udp *pcb);		  /* pending error, positive, kept */
int lane_udp_take_error(struct lane_udp *pcb);
void lane_udp_put_error(struct lane_udp *pcb, int err); /* makes it the pending one */
/* Consumes. */
void lane_udp_put(struct lane *ln, struct lane_udp *pcb);

#endif
