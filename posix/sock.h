/*
 * sock.h - how the files of the shim's socket half call each other
 *
 * All results are -errno. 'fd' is the number that the program used; 'l' is held by the caller.
 */
#ifndef SHIM_SOCK_H
#define SHIM_SOCK_H

#include <netinet/in.h>

#include "posix/shim.h"

#define SHIM_COPY_LOCKED 2048	/* payload copied inside the lock; more is copied outside */
#define SHIM_RW_MAX 0x7ffff000	/* Linux' MAX_RW_COUNT */
#define SHIM_IOV_MAX 1024
#define SHIM_UDP_SEGMENT 103 /* UDP_SEGMENT, UDP_GRO: missing in older headers */
#define SHIM_UDP_GRO 104
#define SHIM_MSG_BATCH 0x40000 /* the kernel's MSG_BATCH: more messages of one sendmmsg() follow */

/* ---- addr.c ---- */
struct shim_addr {
	struct lane_ep ep;
	sa_family_t family;
	uint32_t scope; /* IPv6 */
};
/* Reads a program's address. -EFAULT, -EINVAL (too short), -EAFNOSUPPORT; AF_UNSPEC is 0 too. */
int shim_addr_get(struct shim_addr *a, const struct sockaddr *user, socklen_t len);
/* As the kernel gives it: v4-mapped on an IPv6 socket. Returns the length. */
socklen_t shim_addr_fill(const struct lane_ep *ep, bool v6, struct sockaddr_storage *ss);
/* Writes it to the program, truncated to *user_len, and the full length there. 'user' NULL: nothing. */
int shim_addr_put(const struct lane_ep *ep, bool v6, struct sockaddr *user, socklen_t *user_len);
bool shim_ip_is_loopback(const struct lane_ip *ip);
/* The kernel's getsockname(). */
int shim_addr_of_kernel(int fd, struct lane_ep *ep);
/* ---- own.c ---- */
/* The lane has an address of its own, which the kernel does not have. */
bool shim_own_mode(void);
/* And a way to 'ip'. */
bool shim_own_reaches(const struct lane_ip *ip);
/* bind() has failed with EADDRNOTAVAIL: once more if the address is the lane's. 0 or -errno. */
int shim_own_bind(int fd, const struct shim_local *l, const struct sockaddr *addr, socklen_t len);
/* The kernel socket, which is to have no peer, gets a port if it has none, and hears nobody. 0 or -errno. */
int shim_own_port(int fd, const struct shim_local *l);
/* It hears again. */
void shim_own_hear(int fd);

/* ---- sock.c ---- */
/* Under the lock: a sock with this member's bit; LANE_NIL when full. Its cookie in *cookie. */
uint32_t shim_sock_make(struct shim_view *v, enum shim_sock_kind kind, unsigned int flags,
			uint64_t *cookie);
/* Under the lock: the pcb behind 'l' and its sock, or NULL. */
static inline struct lane_tcp *shim_tcp_of(const struct shim_local *l, struct shim_sock **s)
{
	*s = shim_sock_of(l);
	return *s && (*s)->kind != SHIM_SOCK_UDP ? lane_tcp_at(shim.view.ln, (*s)->pcb) : NULL;
}

/* lane_tcp_get_rcv_status() by who has not the lock; zeros: the connection is gone. */
void shim_rcv_status(struct shim_local *l, struct lane_tcp_status *st);
struct lane_udp *shim_udp_of(struct shim_local *l, struct shim_sock **s);
/* The numbers of 'fresh' become the sock 'index' (made before). Without the lock. -ENOMEM. */
int shim_fresh_become(int fd, struct shim_local *fresh, uint32_t index, bool keep_kernel);
/* A sock whose connect() failed or was undone is its kernel socket again, with what that had until then:
 * to be bound or to listen. The caller's hold is on the old one. */
bool shim_refresh(int fd, struct shim_local *l);
/* The kernel serves 'fresh' for good, for reason 'why'. */
void shim_fresh_kernel(struct shim_local *fresh, enum shim_fallback why);
/* Whether FRESH socket 'l' may be served on 'local': SHIM_NR_FB, or the reason against it. */
enum shim_fallback shim_refuses(int fd, const struct shim_local *l, const struct lane_ep *local);
/* An option whose work the lane cannot do: a FRESH socket that has it stays with the kernel. */
bool shim_opt_is_kernels(int level, int name);
/* retire.c: the kernel's half of a listener or UDP socket takes over; the second: if the option asks for it. */
void shim_retire(struct shim_local *l);
void shim_retire_for(struct shim_local *l, int level, int name, const void *val, socklen_t len);
bool shim_opt_is_groups(int level, int name);
/* Flags of a description, read without the lock. */
unsigned int shim_sock_flags(struct shim_local *l);
void shim_sock_set_flag(struct shim_local *l, unsigned int flag, bool on);
/* Time-outs in us for shim_wait(): -1 for ever. */
int64_t shim_rcvtimeo_us(struct shim_local *l);
int64_t shim_sndtimeo_us(struct shim_local *l);
/* What is left of 'timeo_us' (-1: for ever) since *start, which 0 sets to now; 0 when it is over. */
int64_t shim_time_left(int64_t timeo_us, uint64_t *start);
/* A new number of the program: -EMFILE (and closed) where it is beyond the program's own limit. */
int shim_fd_within(int fd);
/* Before a call on 'fd' that takes something to give it a number: 0 if the program's limit has one left, or
 * -errno. Another thread may take it meanwhile: shim_fd_within() still has to look. */
int shim_fd_room(int fd);

/* ---- listen.c, accept.c, connect.c, close.c ---- */
int shim_listen(int fd, struct shim_local *l, int backlog);
int shim_accept(int fd, struct shim_local *l, struct sockaddr *addr, socklen_t *len, int flags);
int shim_connect(int fd, struct shim_local *l, const struct sockaddr *addr, socklen_t len);
/* What a connect() of a sock says that is not unconnected: 0 once, when it was under way and succeeded. */
int shim_connect_again(struct shim_local *l);
/* Its connect() is over, without success, and the program has not called connect() again. */
bool shim_connect_failed(struct shim_local *l);
int shim_shutdown(int fd, struct shim_local *l, int how);
/* close(2) and its kin, of any number. */
int shim_close(int fd);
int shim_close_range(unsigned int first, unsigned int last, int flags);
int shim_dup(int fd);
int shim_dup3(int fd, int to, int flags, bool is_dup2);
/* 'new', if not negative, was just made by the kernel as a duplicate of 'l' (may be NULL). */
int shim_dup_done(struct shim_local *l, int new);

/* ---- io ---- */
/* As shim_wait_sock(), but POLLIN counts only beyond 'have' queued bytes, and 'restart' is the caller's. */
int shim_io_wait(struct shim_local *l, uint32_t events, int64_t timeout_us, bool restart, size_t have);
/* The same; *locked: the lock is held, for shim_leave(). */
int shim_io_wait_locked(struct shim_local *l, uint32_t events, int64_t timeout_us, bool restart,
			size_t have, bool *locked);
/* A turn, if packets wait: a program that never sleeps must see them too. True: look again. */
bool shim_look(void);
/* Sleeps 'us' (at most) while turns go on: frames may come back. 0 or -EINTR. */
int shim_pause(struct shim_local *l, int64_t us);
/* Where a walk through a program's buffers stands. */
struct shim_cursor {
	const struct iovec *iov;
	int n;
	size_t done; /* bytes of iov[0] that are behind us */
};
/* The longest piece at the cursor, at most 'max' bytes; NULL with *len 0 at the end. */
void *shim_cursor_piece(struct shim_cursor *c, size_t max, size_t *len);
void shim_cursor_advance(struct shim_cursor *c, size_t len);
/* Total length, cut to SHIM_RW_MAX; -EINVAL where the kernel says so. */
ssize_t shim_iov_sum(const struct iovec *iov, int n);
/* One buffer, as read and write hand it over, at an address that a program may have. */
static inline bool shim_iov_is_one(const struct iovec *iov, int n)
{
	return shim_likely(n == 1 && iov->iov_len <= SHIM_RW_MAX &&
			   (intptr_t)((uintptr_t)iov->iov_base + iov->iov_len) >= 0);
}

static inline ssize_t shim_iov_total(const struct iovec *iov, int n)
{
	return shim_iov_is_one(iov, n) ? (ssize_t)iov->iov_len : shim_iov_sum(iov, n);
}
/* Copies a program's array in; -EINVAL beyond IOV_MAX, -EFAULT. */
int shim_iov_get(struct iovec *own, const struct iovec *user, int n);
/* SIGPIPE as the kernel sends it, unless MSG_NOSIGNAL. Returns 'r'. */
ssize_t shim_pipe_signal(ssize_t r, int flags);

/* The frames of one bracket of a large copy. */
#define SHIM_FRAMES 64
struct shim_frames {
	struct lane_buf *buf[SHIM_FRAMES];
	unsigned int n;
	uint32_t room; /* text bytes that one of them takes */
	uint32_t first; /* that the first one takes */
};
static inline uint32_t shim_frame_room(const struct shim_frames *f, unsigned int i)
{
	return i ? f->room : f->first;
}
/* Takes frames for at most 'want' bytes out of the lane: bytes that fit, or -errno as a send. If
 * positive, handlers are put off until shim_frames_send(). */
ssize_t shim_frames_get(struct shim_local *l, struct shim_frames *f, size_t want);
/* Sets the lengths of the first frames for 'len' bytes of text in all, sends them, frees the rest.
 * Returns 'len' or -errno; 0 only frees. */
ssize_t shim_frames_send(struct shim_local *l, struct shim_frames *f, size_t len, bool more);
/* Whether a call with these MSG_ flags may sleep. */
bool shim_may_block(struct shim_local *l, int flags);

/* ---- udp.c, msg.c ---- */
/* 'm' is the shim's copy of the program's header; its iov too. Lengths and flags are filled in. */
ssize_t shim_recvmsg(struct shim_local *l, struct msghdr *m, int flags);
ssize_t shim_sendmsg(struct shim_local *l, const struct msghdr *m, int flags);
ssize_t shim_udp_recv(struct shim_local *l, struct msghdr *m, int flags);
ssize_t shim_udp_send(struct shim_local *l, const struct msghdr *m, int flags);
/* bind() of the kernel socket has succeeded: what it says, 0 or -ENOBUFS. */
int shim_udp_bound(int fd, struct shim_local *fresh);
int shim_udp_connect(int fd, struct shim_local *l, const struct sockaddr *addr, socklen_t len);
/* First send of a socket that is not bound: if the lane reaches 'addr', it becomes a sock. */
void shim_udp_first_send(int fd, struct shim_local *fresh, const struct sockaddr *addr,
			 socklen_t len);

/* ---- sigio.c ---- */
/* F_SETOWN, F_SETOWN_EX, F_SETSIG of a sock. 0 or -errno. */
int shim_sigio_set(int fd, struct shim_local *l, int cmd, long arg);
/* F_GETOWN (negative: a group), F_GETOWN_EX, F_GETSIG of one whose number is not its kernel socket's. 0 or -errno. */
int shim_sigio_get(struct shim_local *l, int cmd, void *arg, int *out);
/* Its owner has changed, or O_ASYNC: this member is the one that sends the signals. */
void shim_sigio_update(struct shim_local *l);

/* ---- zerocopy.c ---- */
/* A send with MSG_ZEROCOPY has taken bytes, or a datagram: it has the next number, if the socket asked for them. */
void shim_zerocopy_sent(struct shim_local *l);
/* MSG_ERRQUEUE: the numbers that were not told yet. 0 or -EAGAIN. */
ssize_t shim_zerocopy_recv(struct shim_local *l, struct msghdr *m);

/* ---- opt.c, opt_tcp.c ---- */
int shim_getsockopt(int fd, struct shim_local *l, int level, int name, void *val, socklen_t *len);
int shim_setsockopt(int fd, struct shim_local *l, int level, int name, const void *val,
		    socklen_t len);
/* SO_ERROR: the error that waits, and waits no longer; 0: none. */
int shim_take_error(struct shim_local *l);
/* setsockopt(2) of a kernel socket, but for memberships of groups on an interface whose address is the lane's (group.c). */
int shim_group_set(int fd, struct shim_local *l, int level, int name, const void *val, socklen_t len);
/* An option of 'l' that is kept; 0, 0: an empty place. NULL: none. */
struct shim_kept *shim_kept_find(struct shim_local *l, int level, int name);
/* Under the lock: 'pcb' joins what the socket has joined before it was bound. -ENOBUFS: the lane has no room for it. */
int shim_group_adopt(const struct shim_local *fresh, struct lane_udp *pcb);
/* opt_udp.c: the kernel socket of a UDP sock took this option: the lane follows. */
void shim_udp_mirror_opt(int fd, struct shim_local *l, int level, int name);
/* What a kernel socket's options are, for a pcb that takes over from it. */
#define SHIM_KOPTS_INTS 24
struct shim_kopts {
	unsigned int flags; /* SHIM_SOCK_* */
	uint32_t linger_s, rcvtimeo_ms, sndtimeo_ms, cmsg, so_bits;
	uint16_t udp_segment;
	/* UDP: of datagrams over IPv4 and over IPv6, if has_ip */
	struct {
		uint8_t tos, ttl, pmtudisc;
	} ip[2];
	bool has_ip;
	int cc; /* index of the congestion control, -1: not set by the program */
	int value[SHIM_KOPTS_INTS]; /* of opt_adopt.c's table; INT_MIN: not set by the program */
};
void shim_kopts_read(int fd, const struct shim_local *fresh, struct shim_kopts *k);
/* Under the lock: onto the lane's defaults. */
void shim_kopts_apply(struct shim_sock *s, const struct shim_kopts *k);

/* opt_tcp.c: options that the lane's pcb has, by the kernel's rules. Under no lock. -ENOPROTOOPT: not
 * one of these. */
int shim_tcp_getopt(struct shim_local *l, int level, int name, int *val);
int shim_tcp_setopt(struct shim_local *l, int level, int name, int val);
/* The same on a pcb's settings; 'state' is enum lane_tcp_state. */
int shim_tcp_opt_store(struct lane_tcp_opts_set *o, const struct lane_config *cfg, int state,
		       int level, int name, int val);
/* False: there is no such connection any more. */
bool shim_tcp_info(struct shim_local *l, struct lane_tcp_info_out *o);
/* TCP_INFO; *len is the room, and becomes the length. */
int shim_tcp_getinfo(struct shim_local *l, void *out, socklen_t *len);
/* SHIM_CMSG_* of an option that asks for control messages; 0: it does not. */
uint32_t shim_opt_cmsg(int level, int name);
/* The bit of a switch in shim_sock.so_bits; 0: not one. */
uint32_t shim_opt_bit(int name);

/* ---- name.c, ioctl.c, fcntl.c ---- */
int shim_getsockname(int fd, struct shim_local *l, struct sockaddr *addr, socklen_t *len);
int shim_getpeername(int fd, struct shim_local *l, struct sockaddr *addr, socklen_t *len);
int shim_ioctl(int fd, struct shim_local *l, unsigned long req, void *arg);
/* 'l' may be NULL. */
long shim_fcntl(int fd, struct shim_local *l, int cmd, long arg);

#endif
