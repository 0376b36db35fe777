/*
 * lane.h - a lane: one engine over one or more queues
 *
 * Theory of operation. A lane's state lies in one piece of memory that holds indices and offsets
 * only, so that several processes may map it anywhere. A 'struct lane' is one process' handle on
 * it: pointers into that memory and the drivers' queues. One caller at a time (the shim takes the
 * lane's lock around every call; native programs keep a lane to one thread).
 *
 * A turn: lane_poll() takes a burst from each queue, runs input and timers and queues events; the
 * caller drains them by lane_event(); lane_flush() sends what became due; then, outside any lock,
 * lane_kick() makes it leave. The engine never reads a clock: 'now_us' is any monotonic count of
 * microseconds, the same for all who use the lane.
 */
#ifndef LANE_LANE_H
#define LANE_LANE_H

#include <stddef.h>
#include <sys/types.h>

#include <lane/buf.h>
#include <lane/driver.h>
#include <lane/stats.h>
#include <lane/types.h>

struct lane;
struct lane_nettab;

#define LANE_QUEUES_MAX 16 /* of one interface */
#define LANE_IFS_MAX 4	   /* interfaces of one lane */
#define LANE_QUEUES_ALL 32 /* of all its interfaces: a mask of them is 32 bits */

/* Sizes, fixed at creation. lane_config_default() fills in what suits 64 MB. */
struct lane_config {
	uint32_t nr_bufs;
	uint32_t buf_stride; /* no power of two */
	uint32_t buf_size;
	uint32_t nr_tcp;  /* pcbs */
	uint32_t nr_syn;  /* half-open connections */
	uint32_t nr_tcp_x; /* extensions of those that are not idle; 0: one for each */
	uint32_t nr_listen; /* listeners among them; 0: as many as pcbs */
	uint32_t nr_tw;   /* TIME_WAIT records */
	uint32_t nr_udp;
	uint32_t nr_pace; /* connections that can be paced at once, by BBR or SO_MAX_PACING_RATE */
	uint32_t rto_min_us; /* RFC 6298: 200 ms by default */
	uint32_t time_wait_us;
	uint64_t seed;	     /* of the lane's random numbers */
	uint64_t hash_key[2]; /* secret: from getrandom(2) */
	/* defaults and limits of sockets, with the names of Linux' sysctls */
	uint32_t tcp_rmem[3], tcp_wmem[3]; /* bytes of buffer: least, at first, most by autotuning */
	uint32_t rmem_default, wmem_default; /* bytes of UDP's buffers */
	uint32_t rmem_max, wmem_max; /* bytes: what SO_RCVBUF and SO_SNDBUF may ask for */
	uint32_t notsent_lowat; /* bytes, UINT32_MAX: none */
	uint64_t keepalive_time_us, keepalive_intvl_us; /* Linux' two hours do not fit 32 bits */
	uint32_t fin_timeout_us;
	uint32_t max_orphans, max_syn_backlog, somaxconn;
	uint32_t rcv_fast; /* bytes a ms to all sockets beyond which receive buffers on short paths are kept small: */
	uint32_t rcv_large; /* bytes of one beyond which it is watched */
	uint32_t base_mss, min_snd_mss; /* bytes: path MTU probing starts at the one, not below the other */
	uint32_t probe_interval_us;     /* between path MTU probes */
	uint32_t mtu_expires_us;        /* a path MTU that ICMP told is forgotten after it */
	uint32_t min_pmtu;	        /* bytes: the least that ICMP may tell of an IPv4 path */
	uint8_t keepalive_probes, syn_retries, synack_retries, retries1, retries2, orphan_retries;
	uint8_t timestamps, window_scaling, sack, dsack, ecn, ttl, cc;
	uint8_t syncookies; /* 0 never, 1 when a SYN queue is full, 2 always */
	uint8_t abort_on_overflow, tw_reuse;
	uint8_t slow_start_after_idle, moderate_rcvbuf, mtu_probing;
	uint8_t listen_spill; /* the kernel listens too: when pcbs run out, SYNs are left to it */
	uint8_t nr_ifs; /* interfaces, at most LANE_IFS_MAX; 0 is 1 */
};

void lane_config_default(struct lane_config *cfg);
/* Scales the pools to 'bytes' of memory. -EINVAL: too little. */
int lane_config_memory(struct lane_config *cfg, size_t bytes);

/* Bytes of memory that a lane with this configuration takes; a multiple of 4096. */
size_t lane_size(const struct lane_config *cfg);
/* Makes a lane in 'mem' (zeroed, page aligned) and a handle on it. Returns owned, NULL: out of memory. */
struct lane *lane_create(const struct lane_config *cfg, void *mem, uint64_t now_us);
/* A handle on a lane that exists in 'mem' (shared with its creator). NULL with errno EPROTO: another
 * layout version or damaged. */
struct lane *lane_attach(void *mem, size_t size);
/* Frees the handle (not the memory). */
void lane_detach(struct lane *ln);

/* Adds an open queue; the lane borrows it. -ENOSPC, -EINVAL: the lane has no interface q->ifi. */
int lane_add_queue(struct lane *ln, struct lane_queue *q);
struct lane_queue *lane_queue(struct lane *ln, unsigned int idx); /* NULL beyond the last */
struct lane_bufs *lane_bufs(struct lane *ln);
struct lane_nettab *lane_nettab(struct lane *ln); /* of the first interface */
struct lane_nettab *lane_nettab_at(struct lane *ln, unsigned int ifi); /* NULL beyond the last */
const struct lane_stats *lane_stats(const struct lane *ln);

/* Tells the drivers all claims anew: after the interface's addresses changed, and at recovery. */
void lane_claim_refresh(struct lane *ln);

/* One burst from every queue, input; timers, unless packets came and they were looked at within 8 us. Returns the
 * number of packets received. */
unsigned int lane_poll(struct lane *ln, uint64_t now_us);
/* Only tells the time: before calls outside a poll, so that timers and RTTs are right. */
void lane_set_now(struct lane *ln, uint64_t now_us);
/* Builds and queues to the drivers all that may be sent now. Returns a mask of queues to kick. */
uint32_t lane_flush(struct lane *ln);
/* Kicks the queues of 'mask'. No lock needed. */
void lane_kick(struct lane *ln, uint32_t mask);
/* When the next timer may be due, in us on the lane's clock; UINT64_MAX: none. */
uint64_t lane_next_timer(const struct lane *ln);
/* The same for a caller that kicks at once: frames that wait for it do not count. */
uint64_t lane_next_due(const struct lane *ln);

#define LANE_EV_READABLE 0x01  /* text or a datagram arrived: an edge each time */
#define LANE_EV_WRITABLE 0x02  /* space came back after a short write */
#define LANE_EV_ACCEPT 0x04    /* a connection waits */
#define LANE_EV_CONNECTED 0x08 /* connect() succeeded */
#define LANE_EV_EOF 0x10       /* the peer's FIN */
#define LANE_EV_ERROR 0x20     /* reset, timed out, refused: read the pending error */
#define LANE_EV_URGENT 0x40    /* urgent data announced */
#define LANE_EV_DRAINED 0x80   /* after shutdown or put with linger: all was acknowledged */

struct lane_event {
	uint64_t cookie;
	uint32_t index; /* of the pcb */
	uint8_t proto;	/* LANE_PROTO_TCP or LANE_PROTO_UDP (IPPROTO_*) */
	uint32_t events;
};

/* Pops the next pcb with events (all its bits at once); false: none. */
bool lane_event(struct lane *ln, struct lane_event *ev);

#endif
