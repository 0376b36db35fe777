/*
 * arena.h - the memory that the members and the keeper of one or more interfaces share
 *
 * Theory of operation (design.md 4). One MAP_SHARED memfd: this header, the tables of socks, epoll
 * sets and watches, then the lane (lane_create). Indices only; an index is checked where it
 * becomes an address. All of it but the fields said to be atomic is changed under 'lock'.
 *
 * - A row is a member process. Sets of members are masks of rows (shim_rows).
 * - A sock is an open file description of a socket that the lane serves. sock.rows says which
 *   members have descriptors of it; how many, each member counts for itself. When the mask
 *   becomes empty the sock is closed as the kernel would; when a member dies the keeper clears its bit.
 * - An ep is an epoll set with lane sockets in it; a watch is one (ep, fd) registration.
 *   It hangs in its sock's list and, while it may be ready, in its ep's ready list.
 * - Waiting: a member with a thread that sleeps on a sock (recv, poll) sets its bit in
 *   sock.wait_rows, one that sleeps in epoll_wait in ep.wait_rows. Whoever makes them ready
 *   collects those masks under the lock and rings the members' doorbells after unlocking.
 */
#ifndef SHIM_ARENA_H
#define SHIM_ARENA_H

#include <pthread.h>
#include <stdatomic.h>

#include <lane/lane.h>

#include "drivers/tap/tap.h"
#include "drivers/xdp/xdp.h"

#define SHIM_ARENA_MAGIC 0x616e65726165616cULL
#define SHIM_ARENA_VERSION 3
/* Each member holds a doorbell of every other, and they come in one message: 253 descriptors at most. */
#define SHIM_ROWS 128

__extension__ typedef unsigned __int128 shim_rows;

static inline shim_rows shim_row_bit(int row)
{
	return (shim_rows)1 << row;
}

/* Why a socket stays with the kernel, or goes back to it. */
#define SHIM_FALLBACKS(X)                                                                          \
	X(NO_LANE, "no lane could be opened (see the keeper's error)")                             \
	X(OTHER_UID, "another user holds the interface's lane")                                    \
	X(PID_NAMESPACE, "the program is in another pid namespace than the lane")                  \
	X(MEMBERS, "128 processes share the lane already")                                          \
	X(ARENA_FULL, "arena full: raise memory=")                                                 \
	X(NOT_INET, "address family other than IPv4 and IPv6")                                     \
	X(TYPE, "socket type or protocol other than TCP and UDP")                                  \
	X(LOOPBACK, "loopback or one of the host's own addresses")                                 \
	X(OTHER_IF, "the route leaves by another interface")                                       \
	X(NO_ROUTE, "no route: the kernel gives the error")                                        \
	X(BOUND_DEVICE, "SO_BINDTODEVICE names another interface, or one of several of the lane")   \
	X(MULTICAST, "multicast or broadcast")                                                     \
	X(LINK_LOCAL, "IPv6 link-local address of another scope")                                  \
	X(OPTION, "a socket option that lane does not serve (TRANSPARENT, MD5SIG, SIGIO, ...)") \
	X(IO_URING, "the program uses io_uring")                                                   \
	X(PORTS, "the port is outside ports= of the configuration")                                \
	X(EXCLUDED, "the configuration excludes it")                                               \
	X(KERNEL_HALF, "accepted by the kernel's half of a listener: by another way than the lane")\
	X(RAW_FORK, "child of a raw fork or clone")                                                \
	X(NETNS, "the program went to another network namespace than the lane's")                 \
	X(EAL, "a DPDK port is for the program that started EAL, and its forks")                  \
	X(SECCOMP, "the program gave up the system calls that lane cannot do without")                                                \
	X(KEEPER_GONE, "the keeper has ended: new sockets stay with the kernel")

enum shim_fallback {
#define X(name, text) SHIM_FB_##name,
	SHIM_FALLBACKS(X)
#undef X
	SHIM_NR_FB
};

enum shim_row_state { SHIM_ROW_FREE, SHIM_ROW_RESERVED, SHIM_ROW_LIVE };

struct shim_row {
	_Atomic uint32_t state; /* enum shim_row_state */
	_Atomic int32_t pid;
	uint32_t uid;
	uint32_t generation; /* grows with each use of the row */
	char comm[16];
	_Atomic uint64_t last_poll_us;
	_Atomic uint64_t in_call_us; /* nothing but a hint for `lane stat` */
	uint64_t nr_contended;
	uint32_t uncounted; /* a child that has not yet said which of the references are its own (inherit.c) */
	uint32_t async; /* a sock that it looks after has async_events */
	/* of arena.nr_waiting and nr_spinning, so that a dead member's share can be taken off */
	_Atomic uint32_t nr_waiting, nr_spinning;
};

enum shim_sock_kind { SHIM_SOCK_FREE, SHIM_SOCK_LISTENER, SHIM_SOCK_TCP, SHIM_SOCK_UDP };

#define SHIM_SOCK_NONBLOCK 0x01	  /* O_NONBLOCK of the description */
#define SHIM_SOCK_V6 0x02	  /* made as AF_INET6: addresses read ::ffff:... */
#define SHIM_SOCK_SHADOW 0x04	  /* a real kernel socket of its own is under its numbers */
#define SHIM_SOCK_LINGER 0x08	  /* SO_LINGER on */
#define SHIM_SOCK_CONNECTING 0x10 /* connect() under way or its result not told yet */
#define SHIM_SOCK_V6ONLY 0x20
#define SHIM_SOCK_ASYNC 0x40 /* O_ASYNC */
#define SHIM_SOCK_RD_BUSY 0x80 /* a reader copies outside the lock: others wait */
#define SHIM_SOCK_UNCONNECTED 0x1000 /* connect(AF_UNSPEC) made it a fresh stream socket again */
#define SHIM_SOCK_RD_SHUT 0x2000     /* UDP: shutdown(2) by the program */
#define SHIM_SOCK_WR_SHUT 0x4000
#define SHIM_SOCK_CORKED 0x100 /* UDP: the kernel's shadow holds the start of a MSG_MORE datagram */
#define SHIM_SOCK_BOUND 0x200  /* UDP: a fixed local address */
#define SHIM_SOCK_APPEND 0x400 /* O_APPEND, O_NOATIME: only told */
#define SHIM_SOCK_NOATIME 0x800
#define SHIM_SOCK_RETIRED 0x8000 /* UDP: the kernel's half sends (retire.c) */

/* Members that pass a connection at the same time have a kernel socket each that stands for it. */
#define SHIM_COOKIES 4

/* Who has a sock's SIGIO and SIGURG: fcntl(2)'s F_SETOWN_EX and F_SETSIG. */
struct shim_owner {
	int32_t pid; /* 0: nobody */
	uint8_t type, sig;
};

struct shim_sock {
	uint32_t free_link; /* first: of the pool */
	uint8_t kind;	    /* enum shim_sock_kind */
	uint8_t rd_row;	    /* SHIM_SOCK_RD_BUSY: row + 1 of the reader */
	_Atomic uint16_t flags; /* SHIM_SOCK_* */
	uint32_t pcb;		/* index of the lane's tcp or udp pcb */
	uint32_t watches;	/* first watch, LANE_NIL */
	shim_rows rows;		/* members with descriptors */
	shim_rows wait_rows;	/* members with a thread that sleeps on it directly */
	uint32_t generation;	/* grows with each use of the entry */
	uint32_t linger_s;
	uint32_t rcvtimeo_ms, sndtimeo_ms; /* 0: none */
	uint32_t edges;		/* counts events, so that an edge is seen once */
	int32_t so_priority, so_mark, so_incoming_cpu;
	uint32_t so_rcvlowat; /* bytes, 0 is 1 */
	uint32_t cmsg; /* SHIM_CMSG_*, control messages that the program asked for */
	uint16_t udp_segment; /* bytes of each datagram that a send is cut into (UDP_SEGMENT), 0: none */
	uint32_t so_bits; /* switches that are only stored and told (opt.c) */
	struct shim_owner owner;
	uint32_t async_events; /* LANE_EV_* that its owner has not been told of yet (sigio.c) */
	uint8_t async_row; /* row + 1 of the member that tells it; 0: it need not be told */
	uint32_t zc_sent, zc_told; /* MSG_ZEROCOPY: sends so far, and those that the error queue has told */
	uint64_t created_us;
	/* What goes to another process: SO_COOKIE of the kernel socket that stands for it, and how
	 * long it outlives its last member for the receiver to find it (exec.c, pass.c). */
	uint64_t exec_cookies[SHIM_COOKIES], exec_until_us;
	shim_rows exec_rows; /* members that execute another program with it (pass.c) */
	uint32_t nr_passing; /* messages under way that hold it */
};

#define SHIM_CMSG_PKTINFO 0x01
#define SHIM_CMSG_TTL 0x02
#define SHIM_CMSG_TOS 0x04
#define SHIM_CMSG_TIMESTAMP 0x08
#define SHIM_CMSG_TIMESTAMPNS 0x10
#define SHIM_CMSG_OVFL 0x20
#define SHIM_CMSG_GRO 0x40 /* datagrams of one size come joined (UDP_GRO) */
#define SHIM_CMSG_RECVERR4 0x80 /* ICMP errors are queued, of datagrams over IPv4 */
#define SHIM_CMSG_RECVERR6 0x100
#define SHIM_CMSG_INQ 0x200 /* TCP: what is left to read */

/* The cookie of a sock's pcb: the generation tells events of an entry's former use. */
static inline uint64_t shim_sock_cookie(uint32_t index, uint32_t generation)
{
	return (uint64_t)generation << 32 | index;
}

struct shim_ep {
	uint32_t free_link;
	uint32_t ready_head, ready_tail; /* watches */
	uint32_t nr_ready;
	shim_rows rows;	    /* members that have it */
	shim_rows wait_rows; /* members with a thread in epoll_wait on it */
	uint32_t watches;   /* first of all its watches, by ep_next */
	uint32_t generation;
	_Atomic uint32_t nr_ready_hint; /* nr_ready, to be read without the lock */
	uint32_t nested; /* it is inside another epoll set or poll: set its eventfd when ready */
};

#define SHIM_WATCH_READY 0x01 /* in the ready list */
#define SHIM_WATCH_OFF 0x02   /* EPOLLONESHOT has fired */

struct shim_watch {
	uint32_t free_link;
	uint32_t sock, ep;
	uint32_t sock_next;		 /* of the sock */
	uint32_t ep_prev, ep_next;	 /* of the ep */
	uint32_t ready_prev, ready_next; /* of the ready list */
	uint32_t events;		 /* EPOLL* as registered */
	int32_t fd;			 /* the number it was registered by */
	uint32_t flags;			 /* SHIM_WATCH_* */
	uint32_t reserved;
	uint64_t data;
};

#define LANE_OWN_TEXT 640 /* bytes: 8 addresses and 2 gateways */

/* What drives the interfaces; the value of driver= */
enum shim_device { LANE_DEV_XDP, LANE_DEV_TAP, LANE_DEV_DPDK };

#define SHIM_DPDK_STATS 4096 /* bytes of text */

/* Of a port of DPDK's, for `lane stat`. */
struct shim_dpdk {
	char device[256]; /* what it is and can do */
	char said[256];	  /* by EAL and its PMDs at the start, "": nothing */
	char stats[SHIM_DPDK_STATS]; /* "name value" a line, as of the last question */
};

struct shim_arena {
	uint64_t magic;
	uint32_t version;
	uint32_t header_size; /* of the structs here, mixed: another build does not fit */
	uint64_t size;	      /* of the memfd */
	uint64_t sock_off, ep_off, watch_off, lane_off, lane_size;
	uint32_t nr_socks, nr_eps, nr_watches;
	uint32_t sock_free, ep_free, watch_free; /* heads of the free lists */
	uint32_t nr_socks_used, nr_eps_used, nr_watches_used;
	char ifname[16]; /* of the first interface; all are in their nettabs */
	int32_t keeper_pid;
	_Atomic uint32_t keeper_state;	  /* enum shim_keeper_state */
	_Atomic uint64_t keeper_until_us; /* when it will look next; UINT64_MAX: only when rung */
	_Atomic uint64_t keeper_seen_us;  /* when it last looked */
	_Atomic uint64_t knobs_us;	  /* when the sysctls were last read */
	_Atomic uint32_t knobs_wanted;	  /* a member asks the keeper to read them again */
	uint64_t knobs;			  /* which of them could be read: bits by index */
	_Atomic uint32_t nr_deferred;	  /* grows when a member defers a kick: the keeper goes on napping */
	_Atomic uint32_t nr_waiting;	  /* threads that wait, and do not spin */
	_Atomic uint32_t nr_spinning;
	_Atomic uint64_t live_rows[SHIM_ROWS / 64];
	_Atomic uint64_t fallbacks[SHIM_NR_FB];
	_Atomic uint64_t nr_lock_contended, nr_sleeps, nr_wakes, nr_stand_bys, nr_doorbells, nr_keeper_turns;
	_Atomic uint32_t owner_died; /* times */
	uint32_t nr_exec_held; /* listeners without a member, kept for a successor */
	char keeper_error[256];	     /* last thing that went wrong, for `lane stat` */
	char warning[256];	     /* netfilter rules and the like, for `lane stat` */
	struct shim_row row[SHIM_ROWS];
	uint32_t driver; /* enum shim_device */
	struct lane_xdp_share xdp[LANE_IFS_MAX]; /* of the lane's interfaces */
	struct lane_tap_share tap;
	struct shim_dpdk dpdk;
	char own[LANE_OWN_TEXT]; /* which addresses it was opened with: lane_settings_own_text() */
	char control[256]; /* what the control plane of own-address mode does, for `lane stat`; "": none */
	pthread_mutex_t lock __attribute__((aligned(64))); /* robust, process-shared */
};

enum shim_keeper_state {
	SHIM_KEEPER_OPENING,
	SHIM_KEEPER_ASLEEP,
	SHIM_KEEPER_NAPPING, /* looks at the lane at least every 2 ms: kicks may be deferred */
	SHIM_KEEPER_GONE,
};

/* A process' view of an arena. */
struct shim_view {
	struct shim_arena *a;
	struct lane *ln;
	struct shim_sock *socks;
	struct shim_ep *eps;
	struct shim_watch *watches;
	int row; /* of this process, -1: the keeper or an onlooker */
	int memfd;
	int doorbell[SHIM_ROWS]; /* eventfds */
	int keeper_bell;	 /* eventfd: wakes the keeper */
	struct lane_xdp_fds xdp[LANE_IFS_MAX];
	shim_rows wakes;      /* collected under the lock, rung by shim_unlock() */
	uint64_t kick_mask;   /* queues to kick, by shim_unlock() or later */
	uint32_t nr_events;   /* of sockets, that the last turn told of, and who had the lock since */
	uint32_t nr_socks, nr_eps, nr_watches; /* the arena's, as checked at mapping */
	size_t size;	      /* bytes mapped */
	int conn;	      /* to the keeper, CLOEXEC: its end of file tells the keeper of an exec */
	bool readonly;	      /* set before mapping: an onlooker */
	bool other_pidns;     /* its pids are not the keeper's */
};

static inline bool shim_row_is_live(const struct shim_arena *a, unsigned int row)
{
	return a->live_rows[row / 64] >> row % 64 & 1;
}

static inline void shim_row_set_live(struct shim_arena *a, unsigned int row, bool live)
{
	uint64_t bit = 1ULL << row % 64;

	if (live)
		a->live_rows[row / 64] |= bit;
	else
		a->live_rows[row / 64] &= ~bit;
}

static inline bool shim_any_live(const struct shim_arena *a)
{
	return a->live_rows[0] || a->live_rows[1];
}

/* ---- making and mapping ---- */
struct shim_arena_config {
	char ifname[16];
	size_t memory; /* bytes, 0: 64 MB */
	struct lane_config lane; /* defaults and seeds; pool sizes are scaled to 'memory' */
};
/* Creates the memfd, the arena and its lane; fills *v (row -1). 0 or -errno. */
int shim_arena_create(const struct shim_arena_config *cfg, struct shim_view *v);
/* No mapping, no descriptors (all -1), row -1. */
void shim_view_init(struct shim_view *v);
/* Calls fn for each descriptor that the view holds, so that it may be moved or hidden. */
void shim_view_each_fd(struct shim_view *v, void (*fn)(int *fd, void *arg), void *arg);
/* Maps an existing one from v->memfd and attaches the lane. -EPROTO: another version, -EBADMSG:
 * damaged. */
int shim_arena_map(struct shim_view *v);
/* Puts an empty arena of this process' own in its place: its socks and sets are gone. 0 or -errno. */
int shim_arena_leave(struct shim_view *v);
/* Adds the queues of interface 'i' to the view's lane, from its descriptors. 0 or -errno. */
int shim_device_map(struct shim_view *v, unsigned int i);
/* Unmaps and closes all descriptors of the view. */
void shim_arena_unmap(struct shim_view *v);

/* ---- clock.c ---- */
/* CLOCK_MONOTONIC in us, less than 100 us ahead and, as a rule, 2 us behind: the clock of all lanes. It goes back in a
 * thread only where the kernel's does. */
uint64_t shim_now_us(void);
/* Where it comes from: libc's clock_gettime(), which a library of the program may have bent (start.c). */
extern int (*shim_clock)(clockid_t, struct timespec *) __attribute__((visibility("hidden")));

/* ---- the lock ---- */
/* Called when the lock turns out to be unusable, before this process leaves the arena. NULL: nothing. */
extern void (*shim_lock_lost)(struct shim_view *v);
/* Takes the lane's lock. After EOWNERDEAD it has repaired the arena. Sets ln->now_us. */
void shim_lock(struct shim_view *v);
void shim_lock_at(struct shim_view *v, uint64_t now_us); /* by who knows the time */
/* Unlocks, then rings the doorbells in v->wakes but the own one, and the keeper's bell when there is
 * a timer, a neighbour or a claim for it. Does not kick: shim_kick(). Returns what v->wakes was. */
shim_rows shim_unlock(struct shim_view *v);
/* False in a child of a raw fork or clone, which no wrapper registered: it must not take the lock. */
bool shim_lock_allowed(void);
/* This process may take the lock: after mapping, and in a registered child. */
void shim_lock_allow(void);
/* Adds one to an eventfd of the arena. */
void shim_ring(int evfd);
/* What is left after a member died inside the lock is made consistent again. By shim_lock(). */
void shim_repair(struct shim_view *v);
/* Under the lock: v->kick_mask is the caller's to kick. */
static inline uint64_t shim_kick_take(struct shim_view *v)
{
	uint64_t mask = v->kick_mask;

	v->kick_mask = 0;
	return mask;
}
/* Kicks v->kick_mask's queues. Without the lock: for a process of one thread, the keeper. */
void shim_kick(struct shim_view *v);
/* True if a turn would find frames. Without the lock. */
bool shim_rings_pending(struct lane *ln);

/* ---- tables, under the lock; alloc returns LANE_NIL when full, else a zeroed entry with links LANE_NIL ---- */
#define SHIM_IN_USE (LANE_NIL - 1) /* free_link of an entry that is not free */
uint32_t shim_sock_alloc(struct shim_view *v);
uint32_t shim_ep_alloc(struct shim_view *v);
uint32_t shim_watch_alloc(struct shim_view *v);
void shim_sock_free(struct shim_view *v, uint32_t i);
void shim_ep_free(struct shim_view *v, uint32_t i);
void shim_watch_free(struct shim_view *v, uint32_t i);

/* NULL: not in use. */
static inline struct shim_sock *shim_sock_at(struct shim_view *v, uint32_t i)
{
	return i < v->nr_socks && v->socks[i].free_link == SHIM_IN_USE ? &v->socks[i] : NULL;
}

static inline struct shim_ep *shim_ep_at(struct shim_view *v, uint32_t i)
{
	return i < v->nr_eps && v->eps[i].free_link == SHIM_IN_USE ? &v->eps[i] : NULL;
}

static inline struct shim_watch *shim_watch_at(struct shim_view *v, uint32_t i)
{
	return i < v->nr_watches && v->watches[i].free_link == SHIM_IN_USE ? &v->watches[i] : NULL;
}

/* ---- readiness (posix/ready.c; the keeper and all members) ---- */
/* EPOLL* bits that hold now, those of writing only if some of them are 'asked'. */
uint32_t shim_sock_mask(struct shim_view *v, const struct shim_sock *s, uint32_t asked);
/* A sock may have become ready: puts its watches on ready lists, collects v->wakes. */
void shim_sock_notify(struct shim_view *v, uint32_t sock, uint32_t events);
/* Drains the lane's events into shim_sock_notify(). */
void shim_drain(struct shim_view *v);
/* One turn under the lock: poll, drain, flush. Returns packets received. */
unsigned int shim_turn(struct shim_view *v);
/* Removes all watches of a sock, or of an ep. */
void shim_sock_unwatch(struct shim_view *v, uint32_t sock);
void shim_ep_unwatch(struct shim_view *v, uint32_t ep);
/* 'row' has no more descriptors of the sock: closes it as the kernel would when it was the last. */
void shim_sock_release(struct shim_view *v, uint32_t sock, int row);
void shim_ep_release(struct shim_view *v, uint32_t ep, int row);
/* Closes the listeners whose successor did not come in time. */
void shim_exec_expire(struct shim_view *v);
/* A member has executed another program: releases all that did not cross. False: nothing did. */
bool shim_row_exec(struct shim_view *v, int row);
/* A member died: releases all that it held and frees its row. */
void shim_row_release(struct shim_view *v, int row);

const char *shim_fallback_name(enum shim_fallback why);
const char *shim_fallback_text(enum shim_fallback why);

#endif
