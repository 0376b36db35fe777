/*
 * state.h - what a lane is made of: the shared state and a process' handle on it
 *
 * struct lane_state lies at offset 0 of the lane's memory; the arrays behind it are found by
 * offset. Everything in it is plain data: no pointer, no address, no function.
 */
#ifndef LANE_INT_STATE_H
#define LANE_INT_STATE_H

#include <lane/lane.h>

#include "lane-int/nettab.h"
#include "stack/base/ftable.h"
#include "stack/base/hash.h"
#include "stack/base/pool.h"
#include "stack/base/rng.h"
#include "stack/base/wheel.h"

#define LANE_STATE_MAGIC 0x656e616c2d706374ULL
#define LANE_STATE_VERSION 5

struct lane_tcp;
struct lane_tcp_x;
struct lane_tcp_lq;
struct lane_tcp_oset;
struct lane_tcp_ip6;
struct lane_tcp_cold;
struct lane_udp;
struct lane_tw;
struct lane_syn;
struct lane_tcp_pace;

/* Where each array lies, in bytes from the state. */
struct lane_layout {
	uint64_t size; /* of all */
	uint64_t nettab, claims, tcp, tcp_ip6, tcp_cold, tcp_x, lq, oset, syn, tw, tw_ip6, udp, pace, meta, frames;
	uint64_t conn_table, listen_table, syn_table, tw_table, udp_table;
};

/* A queue of pcbs by index, linked through a field of theirs. */
struct lane_list {
	uint32_t head, tail;
};

/* How many sockets hold a local port: the claim's count (design.md 3). */
struct lane_claim_count {
	uint32_t nr_any;    /* pcbs with this local port, listeners included */
	uint32_t nr_listen; /* listeners */
};

/* A packet that waits for its next hop's MAC; its Ethernet header is not filled in yet. */
#define LANE_NR_CTL 256 /* frames that wait for the control plane; a power of two */
#define LANE_NR_PENDING 32
#define LANE_PENDING_US 1000000

struct lane_pending {
	uint32_t buf; /* LANE_NIL: the entry is free */
	uint32_t reserved;
	uint64_t until_us; /* given up then */
};

/* Where a peer's datagrams came from: answers go there until the mirror knows the neighbour. */
#define LANE_NR_SEEN 64

struct lane_seen {
	struct lane_ip ip;
	struct lane_mac mac;
	uint8_t used;
	uint8_t ifi; /* the interface that it came by */
};

/* A destination of port unreachables, and what it was sent of them: stack/net/unreach.c. */
#define LANE_NR_UNREACH 256 /* a power of two */

struct lane_unreach {
	uint32_t key;
	uint32_t spent_ms; /* until then its time is spent */
};

/* Where SYNs came from, for SYN-ACKs that are sent again: stack/tcp/synq.c. */
#define LANE_NR_SYN_MACS 64 /* a power of two */
#define LANE_NR_SYNQ	 16 /* queues of half-open connections, one for each number of time-outs */

struct lane_seen_mac {
	struct lane_mac mac;
	uint8_t ifi;
	uint8_t used;
};

/* Ports that get more SYNs than there is room for: stack/tcp/flood.c. */
#define LANE_NR_FLOODS 4

struct lane_flood {
	uint16_t port;
	uint8_t used, limited;
	uint32_t nr; /* cookies since window_us */
	uint64_t window_us, until_us;
};

/* What went by one interface. */
struct lane_if_stats {
	uint64_t rx_packets, tx_packets;
};

/* A datagram of which fragments have arrived: stack/net/reass.c. */
#define LANE_NR_REASS 64
#define LANE_REASS_FRAGS_MAX 128 /* in one datagram: 64 KB in the 552 bytes of the smallest MTU in use */

struct lane_reass {
	struct lane_ip src, dst;
	uint32_t id;
	uint8_t proto; /* IPv4: a part of the datagram's name */
	uint8_t used;
	uint8_t ecn; /* bit n: a fragment had the ECN field n */
	uint8_t reserved;
	uint32_t head, tail; /* first frames of the first and the last fragment, by offset */
	uint32_t nr_frags, nr_bufs;
	uint32_t have;	/* bytes that are there */
	uint32_t total; /* of all, 0: the last fragment is not there yet */
	uint64_t since_us, until_us;
};

/* A destination's path MTU that is smaller than the interface's (stack/net/pmtu.c). */
#define LANE_NR_PMTU 64

struct lane_pmtu {
	struct lane_ip dst;
	uint32_t mtu; /* 0: the entry is free */
	uint32_t reserved;
	uint64_t until_us;
};

/* A peer towards which every local port was in use: stack/tcp/connect.c. */
struct lane_port_full {
	struct lane_ep remote;
	struct lane_ip local;
	uint64_t unclaims; /* st->tcp_unclaims + 1 at that time, 0: there is none */
	uint16_t min, max; /* the range of ports */
	uint32_t reserved;
};

/* Heads of the chains by which equal options are found. */
#define LANE_OSET_HEADS 64

/* A UDP socket takes what comes to a multicast group (stack/udp/group.c). */
#define LANE_NR_GROUPS 64

struct lane_group {
	struct lane_ip group, source;
	uint32_t udp; /* index of the pcb */
	uint8_t used;
	uint8_t ifi; /* the interface that it joined it on */
	uint8_t any; /* all sources, not 'source' only */
	uint8_t reserved;
};

struct lane_state {
	uint64_t magic;
	uint32_t version;
	uint32_t state_size; /* sizeof(struct lane_state): another build does not fit */
	struct lane_config cfg;
	struct lane_layout at;
	uint64_t now_us;
	struct lane_rng rng;
	struct lane_hash_key key;
	struct lane_buf_pool bufs;
	struct lane_pool tcp_pool, syn_pool, tw_pool, udp_pool;
	struct lane_pool x_pool, lq_pool, oset_pool; /* of tcp pcbs: stack/tcp/pcb.h */
	uint32_t oset_head[LANE_OSET_HEADS];
	uint32_t x_hand; /* where the search for an extension that may be taken back goes on */
	uint32_t x_short; /* none was to be had, and none came back since */
	struct lane_wheel wheel; /* of tcp pcbs */
	struct lane_pool pace_pool;
	struct lane_wheel pace_wheel; /* in microseconds */
	struct lane_list events; /* tcp pcbs with events */
	struct lane_list udp_events;
	struct lane_list output; /* tcp pcbs that may have something to send */
	struct lane_list tw_order; /* TIME_WAIT records, oldest first */
	struct lane_list synq[LANE_NR_SYNQ];
	struct lane_list txq;	 /* packets that no queue took yet: first frames, by 'next' of the last */
	uint32_t nr_txq;
	uint32_t nr_orphans;
	uint64_t ooo_stamp; /* of the range of out-of-order text that changed last (stack/tcp/ooo.c) */
	uint64_t rcv_promised; /* KB of window told to connections with unread text (stack/tcp/rcv.c) */
	uint16_t ip_id;
	uint16_t next_port;
	uint64_t tcp_ports[65536 / 64]; /* bit n: a TCP socket holds port n; as ln->claims say */
	uint64_t tcp_unclaims;		/* how often a TCP socket gave up its port */
	struct lane_port_full port_full;
	uint32_t pcb_at_work; /* index of the tcp pcb that a call is changing, for EOWNERDEAD */
	uint32_t listen_full;  /* SYNs are left to the kernel: cfg.listen_spill */
	uint32_t reserved0;
	uint64_t challenge_window_us;
	uint32_t nr_challenges; /* that may be sent yet, since challenge_window_us */
	uint32_t nr_pending;
	uint32_t pending_version; /* nettab's neigh_version when 'pending' was last tried */
	uint32_t frag_id;	  /* of the last IPv4 datagram that was sent in fragments */
	uint32_t nr_reass, nr_reass_bufs; /* datagrams under reassembly, frames that they hold */
	uint64_t timers_us; /* when lane_poll() last looked at timers */
	uint64_t reass_due_us; /* no datagram is given up before, while there are some */
	struct lane_reass reass[LANE_NR_REASS];
	struct lane_pending pending[LANE_NR_PENDING];
	uint32_t ctl_head, ctl_tail; /* frames for the control plane, own-address mode (stack/net/ctl.c) */
	uint64_t ctl_tokens_us;
	uint32_t ctl_tokens; /* ICMP errors that may be asked for now */
	uint32_t ctl[LANE_NR_CTL]; /* first frames */
	struct lane_seen seen[LANE_NR_SEEN];
	struct lane_seen_mac syn_macs[LANE_NR_SYN_MACS];
	struct lane_unreach unreach[LANE_NR_UNREACH];
	uint64_t unreach_us; /* a second began, in which */
	uint64_t nr_unreach; /* so many left */
	uint64_t rate_us, rate_bytes; /* a ms or more began, and stats.rx_bytes then (stack/tcp/tune.c) */
	bool is_fast;		      /* more than cfg.rcv_fast came in the last one */
	struct lane_flood flood[LANE_NR_FLOODS];
	uint64_t cookies_us; /* when the last SYN cookie was made, 0: never */
	uint32_t nr_pmtu, pmtu_version;
	uint64_t pmtu_due_us; /* no entry expires before */
	struct lane_pmtu pmtu[LANE_NR_PMTU];
	uint32_t nr_groups;
	uint32_t groups_version; /* grows with each change */
	struct lane_group group[LANE_NR_GROUPS];
	struct lane_stats stats;
	struct lane_if_stats ifs[LANE_IFS_MAX];
};

/* Segments that are gathered to leave together: stack/tcp/super.c. */
struct lane_super {
	uint32_t pcb;	     /* whose */
	uint32_t first, last; /* frames of its send queue */
	uint32_t nr;	     /* segments, 0: none is gathered */
	uint32_t bytes;	     /* of text */
	uint16_t size;	     /* bytes in each segment but the last */
	uint8_t flags, ecn;  /* of TCP and IP */
};

/* Of the last packet: the next one mostly has the same. */
struct lane_last {
	struct lane_ip src, dst; /* stack/rx.c */
	uint32_t version;	 /* its nettab's, when they were looked up */
	uint8_t ifi;
	bool ok;      /* they are a peer's and ours */
	uint32_t tcp; /* index of the connection that a segment which came alone was of: stack/tcp/plain_in.c */
};

/* One process' handle. */
struct lane {
	struct lane_state *st;
	uint64_t now_us; /* of this call */
	uint32_t now_ms; /* the same, mod 2^32 */
	struct lane_bufs bufs;
	struct lane_nettab *net; /* one for each interface */
	unsigned int nr_ifs;
	struct lane_claim_count *claims; /* [2][65536]: TCP, UDP */
	struct lane_tcp *tcps;
	struct lane_syn *syns;
	struct lane_tcp_ip6 *tcp_ip6s; /* one for each pcb */
	struct lane_tcp_cold *tcp_colds; /* the same */
	struct lane_tcp_x *xs;	       /* and one more: what counts without one */
	struct lane_tcp_lq *lqs;       /* and one more */
	struct lane_tcp_oset *osets;
	struct lane_tw *tws;
	struct lane_tcp_ip6 *tw_ip6s; /* one for each of them */
	struct lane_tcp_pace *paces;
	struct lane_udp *udps;
	struct lane_ftable *conns, *listeners, *syn_table, *tw_table, *udp_table;
	struct lane_timers timers, pace_timers;
	struct lane_queue *queues[LANE_QUEUES_ALL];
	unsigned int nr_queues;
	struct lane_super super;
	struct lane_last last;
	bool no_plain; /* all segments go the long way (stack/tcp/plain.h): for tests */
	uint64_t nr_plain_in, nr_plain_out; /* how many did not */
	uint32_t kick_mask; /* queues with frames that were not kicked */
};

#endif
