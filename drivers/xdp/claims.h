/*
 * claims.h - the memory that the XDP program and lanes share: claims, flows, addresses, counters
 *
 * One global variable of the BPF object, in a map of its own that every member maps. A claim is a
 * store into it (design.md 3): the next frame obeys. Both sides include this file, so only types
 * of <linux/types.h> appear. The address table has the slots of lane_nettab.addr: bit i of a
 * claim's masks is slot i.
 */
#ifndef LANE_DRIVERS_XDP_CLAIMS_H
#define LANE_DRIVERS_XDP_CLAIMS_H

#include <linux/types.h>

#define LANE_XDP_ADDRS 32
#define LANE_XDP_TCP   0 /* first index of claim[][] */
#define LANE_XDP_UDP   1
#define LANE_XDP_FLOWS 16384 /* a power of two */
#define LANE_XDP_CPUS  16 /* sets of counters, by processor number modulo this; a power of two */

/* Switches of the program, set before it is loaded. */
#define LANE_XDP_PROG_SK_LOOKUP 0x01 /* the kernel has bpf_skc_lookup_tcp: keep its connections */
#define LANE_XDP_PROG_OWN       0x04 /* own-address mode: every frame is the lane's */
#define LANE_XDP_PROG_SYNCOOKIE 0x02 /* it has bpf_tcp_check_syncookie */

/* Frames that did not go the usual way; counted by the program. */
#define LANE_XDP_COUNTERS(X)                                                                       \
	X(kernel_conn, "TCP frames left to a connection of the kernel's on a claimed port")        \
	X(kernel_cookie, "TCP frames left to the kernel: ACKs of its SYN cookies")                 \
	X(tcp_fragments, "TCP fragments sent to the lane")                                         \
	X(udp_fragments, "UDP fragments left to the kernel")                                       \
	X(udp_joined, "joined UDP datagrams (UDP_SEGMENT) left to the kernel")                     \
	X(icmp_errors, "ICMP errors sent to the lane")                                             \
	X(no_socket, "claimed frames left to the kernel: no XSK on their queue")                   \
	X(syn_limited, "SYNs of a flood dropped: their senders' next ones come through")

enum lane_xdp_counter {
#define X(name, text) LANE_XDP_C_##name,
	LANE_XDP_COUNTERS(X)
#undef X
	LANE_XDP_NR_COUNTERS
};

/* SYNs to a port under attack: so many new ones, and such that come again, in a slot of 2^24 ns. */
#define LANE_XDP_SYN_SLOT  24
#define LANE_XDP_SYN_NEW   64
#define LANE_XDP_SYN_AGAIN 512
#define LANE_XDP_SYN_SETS  (1 << 17) /* of 8 that are remembered */

struct lane_xdp_claim {
	__u32 any;    /* addresses whose frames to the port come to the lane, SYNs aside */
	__u32 listen; /* addresses whose SYNs to it do */
};

/* IPv4 as v4-mapped. An address belongs to the entry when (address & mask) == ip. */
struct lane_xdp_addr {
	__u32 ip[4]; /* network order */
	__u32 mask[4];
};

/*
 * A lane's connections by the keyed tag of their addresses and ports, each in the one place that its
 * low bits name; one that another has driven out is found by asking the kernel, as before it was
 * entered. Of 64 bits, with a key that nobody outside knows, two connections never share one.
 */
static inline __u64 lane_xdp_tag_mix(__u64 h, __u64 w)
{
	h = (h ^ w) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 29;
}

/* Addresses and ports in network order. Never 0. */
static inline __u64 lane_xdp_tag(__u64 key, const __u32 local[4], const __u32 remote[4], _Bool is4,
				 __u32 lport, __u32 rport)
{
	__u64 h = lane_xdp_tag_mix(key, (__u64)local[3] << 32 | remote[3]);

	if (!is4) {
		h = lane_xdp_tag_mix(h, (__u64)local[2] << 32 | remote[2]);
		h = lane_xdp_tag_mix(h, (__u64)local[1] << 32 | remote[1]);
		h = lane_xdp_tag_mix(h, (__u64)local[0] << 32 | remote[0]);
	}
	return lane_xdp_tag_mix(h, (__u64)is4 << 32 | lport << 16 | rport) | 1ULL << 63;
}

struct lane_xdp_claims {
	struct lane_xdp_claim claim[2][65536]; /* by protocol and local port in host order */
	struct lane_xdp_addr addr[LANE_XDP_ADDRS];
	__u32 limited[65536 / 32]; /* TCP ports under attack, a bit each */
	__u64 syn_key;		   /* secret: who knows it could make SYNs look like others' */
	__u64 syn_slot;
	__u32 syn_new, syn_again; /* that came in this slot */
	__u32 addr_used; /* bit i: addr[i] holds an address */
	__u32 mtu;	 /* 0: not known yet */
	__u8 mac[6];     /* frames to any other station pass */
	__u8 loopback;   /* MAC addresses mean nothing */
	__u8 reserved;
	__u64 flow_key;
	__u64 flow[LANE_XDP_FLOWS]; /* lane_xdp_tag(), 0: none */
	struct {
		__u64 n[LANE_XDP_NR_COUNTERS];
	} __attribute__((aligned(64))) counter[LANE_XDP_CPUS];
};

#endif
