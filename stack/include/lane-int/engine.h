/*
 * engine.h - how the engine's parts call each other: rx -> net -> tcp | udp, and the way out
 *
 * Part of the lane's inside; nothing above stack/ includes it.
 */
#ifndef LANE_INT_ENGINE_H
#define LANE_INT_ENGINE_H

#include "lane-int/ifs.h"
#include "lane-int/state.h"
#include "stack/wire/icmp.h"
#include "stack/wire/ip.h"

/* A received packet on its way in. 'b' is the first frame; its off/len cover the whole Ethernet
 * frame; b->l3_off and b->l4_off are set. 'mac' is the sender's, to answer to. */
struct lane_pkt {
	struct lane_buf *b;
	struct lane_ip_info ip;
	struct lane_mac mac;
	uint8_t ifi; /* the interface that it came by */
	bool group;  /* to many stations */
	enum lane_drop why; /* from lane_tcp_in() */
};

/* ---- input; each returns why the packet was dropped, or LANE_OK: it was consumed ---- */
/* At most LANE_BURST packets whose checksums are right, in the order of their arrival. Sets why and b of
 * each: LANE_OK: it was consumed; else it is the caller's to free, unless b is NULL. */
void lane_tcp_in(struct lane *ln, struct lane_pkt pkt[], unsigned int n);
/* A frame that came alone: if it is a plain segment of a plain connection (tcp/plain.h) it is consumed, else nothing
 * has changed. */
bool lane_tcp_plain_rx(struct lane *ln, struct lane_buf *b);
enum lane_drop lane_udp_in(struct lane *ln, struct lane_pkt *pkt);
void lane_tcp_icmp(struct lane *ln, const struct lane_icmp_info *icmp);
/* Somebody is in the multicast group 'group' on interface 'ifi'. */
bool lane_udp_is_member(const struct lane *ln, unsigned int ifi, const struct lane_ip *group);
/* True: the packet was consumed. */
bool lane_udp_icmp(struct lane *ln, struct lane_pkt *pkt, const struct lane_icmp_info *icmp);
/* Checks the L4 checksum of a packet over all its frames, by the frames' flags (facts.md A4: a
 * same-host peer's partial sum is accepted where LANE_BUF_PARTIAL_OK). */
bool lane_l4_csum_ok(struct lane *ln, const struct lane_pkt *pkt);
void lane_count_drop(struct lane *ln, enum lane_drop why);
/* A packet from 'src' to 'dst' that came by interface 'ifi' for its MAC is ours, from one who may be a peer. */
bool lane_rx_addrs_ok(struct lane *ln, unsigned int ifi, const struct lane_ip *src, const struct lane_ip *dst);
/* At most LANE_BURST received packets, the whole way in. Consumes them. */
void lane_rx(struct lane *ln, struct lane_buf *bufs[], unsigned int n);

/* ---- own-address mode (stack/net/ctl.c; lane-int/ctl.h) ---- */
/* A packet that is to be dropped because of 'why'. True: the control plane has it, it was consumed. */
bool lane_ctl_in(struct lane *ln, struct lane_pkt *pkt, enum lane_drop why);
void lane_ctl_mark_bufs(struct lane *ln, uint8_t *seen); /* as lane_tcp_mark_bufs() */

/* ---- what no socket takes (stack/net/unreach.c) ---- */
/* Answers the datagram with an ICMP error, within limits. */
void lane_unreach(struct lane *ln, const struct lane_pkt *pkt);

/* ---- reassembly (stack/net/reass.c) ---- */
/* Takes a fragment whose headers in_ip() has checked, b->l4_off set, without trailing bytes. Returns
 * why it was dropped (it is the caller's still), or LANE_OK: it was consumed and pkt->b is the whole
 * packet, as if it had arrived uncut and not yet been looked at beyond Ethernet, or NULL. */
enum lane_drop lane_reass_in(struct lane *ln, struct lane_pkt *pkt);
/* Gives up what did not become whole in time. */
void lane_reass_timers(struct lane *ln);
uint64_t lane_reass_next_timer(const struct lane *ln);
void lane_reass_mark_bufs(struct lane *ln, uint8_t *seen); /* as lane_tcp_mark_bufs() */
void lane_reass_recover(struct lane *ln); /* forgets all; the rebuild of the pool frees it */

/* ---- output ---- */
/* Where packets of a flow go; cached in pcbs, filled and refreshed by lane_path_update(). */
struct lane_path {
	struct lane_mac mac;
	uint8_t queue;	       /* to leave by, if it is the interface's: else by the first of its queues */
	uint8_t ifi : 6;       /* the interface to leave by; of have_mac's MAC too */
	uint8_t have_mac : 1;  /* mac may be used */
	uint8_t from_peer : 1; /* it is the MAC that the peer's frames came from, not the mirror's */
	uint64_t mtu : 18;
	uint64_t version : 23;	     /* its nettab's, when the route was looked up, mod 2^23 */
	uint64_t neigh_version : 23; /* nettab's, when the neighbour was looked up, mod 2^23 */
};

_Static_assert(sizeof(struct lane_path) == 16, "its share of the pcb");

#define LANE_PATH_VERSION_MASK 0x7fffffU /* as 'version': no route was looked up yet */

/* Makes 'path' usable for local -> remote; 0, -EAGAIN (neighbour being resolved), or -errno as
 * lane_net_route(). Cheap while nothing changed. 'src' is filled in where it is any. */
int lane_path_update(struct lane *ln, struct lane_path *path, struct lane_ip *src,
		     const struct lane_ip *dst);

/* Of routes and path MTUs. Both only grow: so their sum tells that either has changed. */
static inline uint32_t lane_path_version(const struct lane *ln, const struct lane_nettab *net)
{
	return (atomic_load_explicit(&net->version, memory_order_acquire) + ln->st->pmtu_version) &
	       LANE_PATH_VERSION_MASK;
}

static inline uint32_t lane_path_neigh_version(const struct lane_nettab *net)
{
	return atomic_load_explicit(&net->neigh_version, memory_order_acquire) & LANE_PATH_VERSION_MASK;
}

/* Nothing changed: lane_path_update() would leave it as it is, unless 'src' is any. */
static inline bool lane_path_is_fresh(const struct lane *ln, const struct lane_path *path)
{
	const struct lane_nettab *net = &ln->net[path->ifi < ln->nr_ifs ? path->ifi : 0];

	return path->version == lane_path_version(ln, net) &&
	       path->neigh_version == lane_path_neigh_version(net) && path->have_mac;
}

/*
 * Sends an L4 packet: data() of 'b' is the L4 header with text behind it, pkt_len its length (one frame, or a
 * TCP super-segment, a chain of at most LANE_SG_MAX, for a queue with LANE_CAP_TSO that has room);
 * IP and Ethernet headers are put in front (the frame needs the headroom). The L4 checksum field holds
 * the folded, uncomplemented pseudo-header sum and 'csum_off' says where it is from the L4 header; it
 * is completed by the driver or here. Consumes 'b' unless it is held by a send queue
 * (LANE_BUF_SNDQ): then the driver's hold is added. Never fails: a full queue keeps it on txq, and
 * beyond a limit drops and counts (LANE_DROP_TX_FULL) - a frame of a send queue is then just
 * not marked LANE_BUF_TX.
 */
void lane_ip_out(struct lane *ln, struct lane_buf *b, const struct lane_path *path,
		 const struct lane_ip *src, const struct lane_ip *dst, uint8_t proto, uint8_t tos,
		 uint8_t ttl, uint16_t csum_off);

/* Sends a whole frame as it is by interface path->ifi. Consumes 'b', as lane_ip_out(). */
void lane_ip_out_frame(struct lane *ln, struct lane_buf *b, const struct lane_path *path);

/* Hands a packet with all its headers to queue b->queue. False: the ring is full, and nothing changed. */
bool lane_ip_tx(struct lane *ln, struct lane_buf *b);

/* The queue that packets of 'path' leave by, NULL: there is none. */
struct lane_queue *lane_ip_queue(const struct lane *ln, const struct lane_path *path);

/* Sends one fragment: data() of 'b' is what it carries, with every checksum done; 'info' is complete but for
 * l4_len, with is_frag. Consumes 'b', as lane_ip_out(). */
void lane_ip_out_fragment(struct lane *ln, struct lane_buf *b, const struct lane_path *path,
			  const struct lane_ip_info *info);

/* ---- path MTUs (stack/net/pmtu.c) ---- */
/* Packets to 'dst' may be 'mtu' bytes long at most. Returns what is in force, not below the least. */
uint32_t lane_pmtu_learn(struct lane *ln, const struct lane_ip *dst, uint32_t mtu);
/* 'mtu', the interface's, or what is known to be less. */
uint32_t lane_pmtu_of(const struct lane *ln, const struct lane_ip *dst, uint32_t mtu);
void lane_pmtu_timers(struct lane *ln);

/* Remembers that packets of 'ip' came by interface 'ifi' from 'mac', for answers without a pcb that could keep it. */
void lane_path_seen(struct lane *ln, unsigned int ifi, const struct lane_ip *ip,
		    const struct lane_mac *mac);
/* Sends what waits on txq and what waits for a neighbour; drops what waited too long. */
void lane_ip_retry(struct lane *ln);

/*
 * ---- claims: count one more or one less socket on a local port; tells the queues' drivers ----
 * A listener counts once, with LANE_CLAIM_LISTEN. Claim before the peer can send to the port; unclaim
 * after the pcb left its table.
 */
enum lane_claim_kind { LANE_CLAIM_ANY, LANE_CLAIM_LISTEN };
void lane_claim(struct lane *ln, uint8_t proto, const struct lane_ep *local, bool v6only,
		enum lane_claim_kind kind);
void lane_unclaim(struct lane *ln, uint8_t proto, uint16_t port, enum lane_claim_kind kind);
/* A connection is in the flow table, or no longer: tells the drivers. Both NULL: none is. */
void lane_tell_flow(struct lane *ln, const struct lane_ep *local, const struct lane_ep *remote, bool on);
/* The addresses (mask) of interface 'ifi' that listeners, or UDP sockets, of 'port' take packets to; 'more': those of one that
 * is about to enter its table. */
uint32_t lane_tcp_listen_mask(const struct lane *ln, unsigned int ifi, uint16_t port, uint32_t more);
uint32_t lane_udp_mask(const struct lane *ln, unsigned int ifi, uint16_t port, uint32_t more);
/* Tells the drivers anew, when a socket of the port was retired. */
void lane_claim_again(struct lane *ln, uint8_t proto, uint16_t port);
/* After pcbs were taken or freed: leaves SYNs to the kernel's listeners while there are hardly any, if
 * cfg.listen_spill says that it has such. */
void lane_claim_spill(struct lane *ln);
/* Pcbs that are free and that no half-open connection will need. */
uint32_t lane_claim_spare(const struct lane *ln);
/* True when no socket holds the port (for the choice of ports). */
bool lane_claim_is_free(const struct lane *ln, uint8_t proto, uint16_t port);
/* Whether a TCP port has others than listeners. */
bool lane_claim_connected(const struct lane *ln, uint16_t port);
/* The first port of [from, to] that no TCP socket holds, 0: none. Cheap however many are held. */
uint16_t lane_claim_first_free(const struct lane *ln, uint16_t from, uint16_t to);
/* True when there is a TCP listener on the port. */
bool lane_claim_listens(const struct lane *ln, uint16_t port);
/* No TCP port is held: for the rebuild, which claims anew. */
void lane_claim_forget_tcp(struct lane *ln);

/* ---- TCP's part in a turn and at creation ---- */
/* How many extensions and listeners there are: 0 in the configuration means one for each pcb. */
uint32_t lane_config_tcp_x(const struct lane_config *cfg);
uint32_t lane_config_listen(const struct lane_config *cfg);
size_t lane_tcp_pcb_size(void);
size_t lane_tcp_syn_size(void);
size_t lane_tcp_ip6_size(void);
size_t lane_tcp_cold_size(void);
size_t lane_tcp_x_size(void);
size_t lane_tcp_lq_size(void);
size_t lane_tcp_oset_size(void);
#define LANE_TCP_OSETS 1024 /* different sets of options in use at one time */
size_t lane_tcp_tw_size(void);
size_t lane_tcp_pace_size(void);
size_t lane_udp_pcb_size(void);
void lane_tcp_init(struct lane *ln); /* pools, after the arrays are laid out */
void lane_udp_init(struct lane *ln);
void lane_tcp_attach(struct lane *ln); /* the handle's own pointers: ln->timers */
void lane_tcp_timers(struct lane *ln); /* all that is due at ln->now_us */
uint64_t lane_tcp_next_timer(const struct lane *ln); /* TIME_WAIT and half-open ones included */
void lane_tcp_flush(struct lane *ln);  /* output of every pcb on st->output */
bool lane_tcp_event(struct lane *ln, struct lane_event *ev);
bool lane_udp_event(struct lane *ln, struct lane_event *ev);
/* After a member died inside the lock: rebuild free lists and lists, reset st->pcb_at_work's flow. */
void lane_tcp_recover(struct lane *ln);
void lane_udp_recover(struct lane *ln);
/* The whole of it: frames not held by any pcb, queue or live owner become free. Live rows: bit set;
 * NULL: none. */
#define LANE_OWNERS 128
void lane_recover(struct lane *ln, const uint64_t live_owners[LANE_OWNERS / 64]);

/* Every invariant, for tests and the simulator: aborts by assert. */
void lane_check(struct lane *ln);
void lane_tcp_check_all(struct lane *ln);
/* Marks in seen[] (one byte a frame) each frame that TCP or UDP holds; asserts that none is there twice. */
void lane_tcp_mark_bufs(struct lane *ln, uint8_t *seen);
void lane_udp_mark_bufs(struct lane *ln, uint8_t *seen);

#endif
