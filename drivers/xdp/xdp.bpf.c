/*
 * xdp.bpf.c - which frames go to the lane; all others pass to the kernel
 *
 * Theory of operation (design.md 3, "shared"). A frame goes to the XSK of its receive queue when
 * it is to our MAC, its destination is in the address table, and its local port is claimed for
 * that address: for a TCP SYN by the mask 'listen' (where nobody listens, if the lane has such a connection), else by
 * 'any'. The port is looked at first, so that a frame to an unclaimed port costs little.
 *
 * The kernel may have connections on a claimed port. So every TCP frame that would go to the
 * lane is looked up among the kernel's sockets, and passes when it belongs to anything but a
 * listener; at a listener, an ACK may be the answer to one of the kernel's SYN cookies. That takes
 * 75 ns and more: connections that the lane has entered among its flows are spared it.
 *
 * What has no ports: later fragments. TCP's follow their first fragment, which is remembered;
 * UDP's pass, the kernel reassembles them. An ICMP error is judged by the packet that it quotes.
 *
 * While a port is under attack by SYNs (stack/tcp/flood.c), new SYNs to it come at a limited rate. The others are
 * dropped and remembered, and pass when they are sent again, a second later: forged ones never are.
 *
 * The program is built twice, for frames in several buffers and for kernels without them (6.6).
 * The headers are always in the first buffer.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "claims.h"

#define IP4_FRAGMENT 0x3fff /* of frag_off: the offset, and more fragments */
#define IP4_OFFSET   0x1fff
#define IP6_OFFSET   0xfff8
#define EXT_HEADERS  6    /* looked through at most; more: the kernel's */
#define TCP_LISTEN   10   /* struct bpf_sock.state */
#define HEADERS_MAX  1024 /* bytes in front of what we look at */
#define AH           51
#define SYN_WAYS     8  /* a power of two */
#define SYN_AGE_MIN  2  /* in 2^28 ns, since it came first: about half a second */
#define SYN_AGE_MAX  30 /* and 8 s */
#define MOBILITY     135
/* <linux/icmp.h> wants libc's headers, which know no BPF. */
#define ICMP4_UNREACH       3
#define ICMP4_TIME_EXCEEDED 11
#define ICMP4_PARAMETER     12
#define ICMP6_INFORMATION   0x80 /* RFC 4443 2.1: a type without this bit is an error */

enum frag { FRAG_NONE, FRAG_FIRST, FRAG_LATER };

struct icmp {
	__u8 type, code;
	__be16 checksum;
	__be32 rest;
};

/* What the walk over IPv6's extension headers starts with and comes to. */
struct ext {
	__u32 next; /* header type */
	__u32 frag; /* enum frag */
	__u32 frag_id;
};

/* Where things are in a packet, or in the packet that an ICMP error quotes. */
struct where {
	void *data, *end; /* the frame */
	void *l3;         /* IP header */
	void *l4;
	__u32 l4_off; /* the same, from 'data' */
	__u32 proto;
	__u32 frag; /* enum frag */
	__u32 frag_id;
	bool is4;
};

struct ip {
	__u32 w[4];
};

/* What the fragments of one datagram have in common (RFC 791, RFC 8200 4.5). */
struct frag_key {
	struct ip src, dst;
	__u32 id;
};

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} lane_xsks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct frag_key);
	__type(value, __u32);
} lane_frags SEC(".maps");

/* When SYNs to ports under attack came first, by their hash: 24 bits of it in each cell, and 8 of time. */
struct syn_set {
	__u32 cell[SYN_WAYS]; /* 0: empty */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LANE_XDP_SYN_SETS);
	__type(key, __u32);
	__type(value, struct syn_set);
} lane_syns SEC(".maps");

struct lane_xdp_claims lane_claims;     /* all of .bss */
const volatile __u32 lane_switches = 0; /* LANE_XDP_PROG_* */

static __always_inline void count(enum lane_xdp_counter what)
{
	lane_claims.counter[bpf_get_smp_processor_id() & (LANE_XDP_CPUS - 1)].n[what]++;
}

/* data + off, in a way that tells the verifier that 'off' (checked before) has a limit. */
static __always_inline void *at(void *data, __u32 off)
{
	asm volatile("" : "+r"(off));
	return data + (off & (2 * HEADERS_MAX - 1));
}

/* Steps over IPv4's header and options. False: damaged, or cut off. */
static __always_inline bool parse_ip4(struct where *w, __u32 l3_off)
{
	struct iphdr *ip = w->l3;
	__u32 off;

	if ((void *)(ip + 1) > w->end || ip->version != 4 || ip->ihl < 5)
		return false;
	off = bpf_ntohs(ip->frag_off);
	w->l4_off = l3_off + ip->ihl * 4;
	w->proto = ip->protocol;
	w->frag_id = ip->id;
	w->frag = !(off & IP4_FRAGMENT) ? FRAG_NONE : off & IP4_OFFSET ? FRAG_LATER : FRAG_FIRST;
	return true;
}

/*
 * Walks over IPv6's extension headers (RFC 8200 4), the first of which lies at 'off'. Returns where
 * the upper-layer header is, 0: damaged, or too many headers. A global function: the verifier
 * looks at it once, and its callers need not know all the ways through it.
 */
__attribute__((noinline)) int lane_xdp_ext(struct xdp_md *ctx, __u32 off, struct ext *e)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (!e)
		return 0;
	for (int i = 0; i < EXT_HEADERS; i++) {
		struct {
			__u8 next, len;
			__be16 frag_off;
			__be32 frag_id;
		} * h;
		__u32 next = e->next;

		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
		    next != IPPROTO_FRAGMENT && next != AH && next != MOBILITY)
			return off;
		if (off > HEADERS_MAX)
			return 0;
		h = at(data, off);
		if ((void *)(h + 1) > end)
			return 0;
		e->next = h->next;
		if (next == IPPROTO_FRAGMENT) {
			__u32 frag = bpf_ntohs(h->frag_off);

			e->frag_id = h->frag_id;
			e->frag = frag & IP6_OFFSET ? FRAG_LATER
				  : frag & 1        ? FRAG_FIRST
						    : FRAG_NONE;
			off += 8;
			if (e->frag == FRAG_LATER)
				return off;
		} else {
			off += next == AH ? (h->len + 2) * 4 : (h->len + 1) * 8;
		}
	}
	return 0;
}

static __always_inline bool parse_ip6(struct xdp_md *ctx, struct where *w, __u32 l3_off)
{
	struct ipv6hdr *ip = w->l3;
	struct ext e = {.frag = FRAG_NONE};

	if ((void *)(ip + 1) > w->end || ip->version != 6)
		return false;
	e.next = ip->nexthdr;
	w->l4_off = l3_off + sizeof(*ip);
	if (e.next != IPPROTO_TCP && e.next != IPPROTO_UDP)
		w->l4_off = lane_xdp_ext(ctx, w->l4_off, &e);
	w->proto = e.next;
	w->frag = e.frag;
	w->frag_id = e.frag_id;
	return w->l4_off > 0;
}

/* Finds the upper layer of the packet whose IP header is 'l3_off' bytes into the frame. */
static __always_inline bool parse_ip(struct xdp_md *ctx, struct where *w, __u32 l3_off, bool is4)
{
	w->data = (void *)(long)ctx->data;
	w->end = (void *)(long)ctx->data_end;
	w->l3 = at(w->data, l3_off);
	w->is4 = is4;
	if (!(is4 ? parse_ip4(w, l3_off) : parse_ip6(ctx, w, l3_off)) || w->l4_off > HEADERS_MAX)
		return false;
	w->l4 = at(w->data, w->l4_off);
	return true;
}

static __always_inline void get_ip(struct ip *ip, const struct where *w, bool source)
{
	const struct iphdr *ip4 = w->l3;
	const struct ipv6hdr *ip6 = w->l3;

	if (w->is4) {
		ip->w[0] = 0;
		ip->w[1] = 0;
		ip->w[2] = bpf_htonl(0xffff);
		ip->w[3] = source ? ip4->saddr : ip4->daddr;
		return;
	}
	__builtin_memcpy(ip, source ? &ip6->saddr : &ip6->daddr, sizeof(*ip));
}

/* True when 'ip' belongs to one of the address slots of 'mask'. A global function is verified once,
 * not on every path that leads to it. */
__attribute__((noinline)) int lane_xdp_ours(const struct ip *ip, __u32 mask)
{
	if (!ip)
		return false;
	mask &= lane_claims.addr_used;
	for (int i = 0; i < LANE_XDP_ADDRS && mask; i++, mask >>= 1) {
		const struct lane_xdp_addr *a = &lane_claims.addr[i];
		__u32 differs = ((ip->w[3] & a->mask[3]) ^ a->ip[3]) |
				((ip->w[2] & a->mask[2]) ^ a->ip[2]) |
				((ip->w[1] & a->mask[1]) ^ a->ip[1]) |
				((ip->w[0] & a->mask[0]) ^ a->ip[0]);

		if (mask & 1 && !differs)
			return true;
	}
	return false;
}

static __always_inline struct lane_xdp_claim *claim_of(__u32 proto, __be16 port)
{
	return &lane_claims.claim[proto][bpf_ntohs(port)];
}

/* True when the kernel has a connection between these two, or (at a listener of its) 'th' answers
 * one of its SYN cookies. 'th' is NULL for a quoted packet. */
static __always_inline bool kernel_has(struct xdp_md *ctx, const struct where *w,
				       const struct ip *remote, __be16 rport,
				       const struct ip *local, __be16 lport, struct tcphdr *th)
{
	struct bpf_sock_tuple tuple;
	struct bpf_sock *sk;
	long cookie = -1;
	__u32 state;

	if (!(lane_switches & LANE_XDP_PROG_SK_LOOKUP))
		return false;
	if (w->is4) {
		tuple.ipv4.saddr = remote->w[3];
		tuple.ipv4.daddr = local->w[3];
		tuple.ipv4.sport = rport;
		tuple.ipv4.dport = lport;
		sk = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, remote, sizeof(*remote));
		__builtin_memcpy(tuple.ipv6.daddr, local, sizeof(*local));
		tuple.ipv6.sport = rport;
		tuple.ipv6.dport = lport;
		sk = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return false;
	state = sk->state;
	if (state == TCP_LISTEN && th && th->ack && !th->syn && !th->rst &&
	    lane_switches & LANE_XDP_PROG_SYNCOOKIE) {
		cookie = w->is4 ? bpf_tcp_check_syncookie(sk, w->l3, sizeof(struct iphdr), th,
							  sizeof(*th))
				: bpf_tcp_check_syncookie(sk, w->l3, sizeof(struct ipv6hdr), th,
							  sizeof(*th));
		if (cookie == 0)
			count(LANE_XDP_C_kernel_cookie);
	}
	bpf_sk_release(sk);
	if (state != TCP_LISTEN)
		count(LANE_XDP_C_kernel_conn);
	return state != TCP_LISTEN || cookie == 0;
}

static __always_inline int to_lane(struct xdp_md *ctx)
{
	long r = bpf_redirect_map(&lane_xsks, ctx->rx_queue_index, XDP_PASS);

	if (r != XDP_REDIRECT)
		count(LANE_XDP_C_no_socket);
	return r;
}

static __always_inline __u64 mix(__u64 h, __u64 x)
{
	h = (h ^ x) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 32;
}

/* Has a SYN with hash 'h' come before, not just now and not too long ago? If it has not come, it has now: in the
 * place of the oldest of its set. */
static __always_inline bool syn_comes_again(__u64 h, __u64 now)
{
	__u32 i = h & (LANE_XDP_SYN_SETS - 1), tag = (h >> 32) & ~0xffu, unit = (now >> 28) & 0xff;
	struct syn_set *set = bpf_map_lookup_elem(&lane_syns, &i);
	__u32 oldest = 0, victim = 0;

	if (!set)
		return false;
#pragma unroll
	for (__u32 w = 0; w < SYN_WAYS; w++) {
		__u32 c = set->cell[w], age = c ? (unit - c) & 0xff : 0xff;

		if (c && (c & ~0xffu) == tag && age <= SYN_AGE_MAX)
			return age >= SYN_AGE_MIN;
		if (age >= oldest) {
			oldest = age;
			victim = w;
		}
	}
	set->cell[victim & (SYN_WAYS - 1)] = tag | unit;
	return false;
}

/* May a SYN to a port under attack pass? */
static __always_inline bool syn_passes(const struct ip *src, const struct tcphdr *th)
{
	__u64 now = bpf_ktime_get_ns(), h = lane_claims.syn_key;

	/* Several processors may be here at once: what they miscount does not matter. */
	if (lane_claims.syn_slot != now >> LANE_XDP_SYN_SLOT) {
		lane_claims.syn_slot = now >> LANE_XDP_SYN_SLOT;
		lane_claims.syn_new = lane_claims.syn_again = 0;
	}
	if (lane_claims.syn_new < LANE_XDP_SYN_NEW) {
		lane_claims.syn_new++;
		return true;
	}
	h = mix(h, src->w[0] | (__u64)src->w[1] << 32);
	h = mix(h, src->w[2] | (__u64)src->w[3] << 32);
	h = mix(h, th->seq | (__u64)th->source << 48 | (__u64)th->dest << 32);
	if (!syn_comes_again(mix(h, 0), now) || lane_claims.syn_again >= LANE_XDP_SYN_AGAIN)
		return false;
	lane_claims.syn_again++;
	return true;
}

static __always_inline void frag_key(struct frag_key *k, const struct where *w)
{
	get_ip(&k->src, w, true);
	get_ip(&k->dst, w, false);
	k->id = w->frag_id;
}

/* True when the lane has entered the connection. */
static __always_inline bool lane_has(const struct where *w, const struct ip *local, __be16 lport,
				     const struct ip *remote, __be16 rport)
{
	__u64 tag = lane_xdp_tag(lane_claims.flow_key, local->w, remote->w, w->is4, lport, rport);

	return lane_claims.flow[tag & (LANE_XDP_FLOWS - 1)] == tag;
}

static __always_inline int tcp_later_fragment(struct xdp_md *ctx, const struct where *w)
{
	struct frag_key k;

	frag_key(&k, w);
	if (!bpf_map_lookup_elem(&lane_frags, &k))
		return XDP_PASS;
	count(LANE_XDP_C_tcp_fragments);
	return to_lane(ctx);
}

static __always_inline int tcp(struct xdp_md *ctx, const struct where *w)
{
	struct tcphdr *th = w->l4;
	struct lane_xdp_claim *c;
	struct ip src, dst;
	__u32 mask;
	__u16 port;
	bool syn;

	if (w->frag == FRAG_LATER)
		return tcp_later_fragment(ctx, w);
	if ((void *)(th + 1) > w->end)
		return XDP_PASS;
	c = claim_of(LANE_XDP_TCP, th->dest);
	syn = th->syn && !th->ack;
	mask = syn ? c->listen : c->any;
	if (!(c->any | c->listen))
		return XDP_PASS;
	get_ip(&dst, w, false);
	get_ip(&src, w, true);
	/* A SYN where nobody listens may be one to challenge, or of a simultaneous open. */
	if (!(syn && c->listen) && w->frag == FRAG_NONE && lane_has(w, &dst, th->dest, &src, th->source))
		return to_lane(ctx);
	if (!lane_xdp_ours(&dst, mask))
		return XDP_PASS;
	port = bpf_ntohs(th->dest);
	if (syn && lane_claims.limited[port / 32] >> port % 32 & 1 &&
	    !syn_passes(&src, th)) {
		count(LANE_XDP_C_syn_limited);
		return XDP_DROP;
	}
	if (kernel_has(ctx, w, &src, th->source, &dst, th->dest, th))
		return XDP_PASS;
	if (w->frag == FRAG_FIRST) {
		struct frag_key k;
		__u32 one = 1;

		frag_key(&k, w);
		bpf_map_update_elem(&lane_frags, &k, &one, BPF_ANY);
		count(LANE_XDP_C_tcp_fragments);
	}
	return to_lane(ctx);
}

/* More than one packet holds: datagrams that a sender beside us (veth) left joined. Only the kernel knows how long each is. */
static __always_inline bool is_joined(const struct where *w, __u32 len)
{
	__u32 hlen = w->is4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);

	return lane_claims.mtu && len + hlen > lane_claims.mtu;
}

static __always_inline int udp(struct xdp_md *ctx, const struct where *w)
{
	struct {
		__be16 source, dest, len;
	} *uh = w->l4;
	struct ip dst;
	__u32 mask;

	if (w->frag == FRAG_LATER || (void *)(uh + 1) > w->end)
		return XDP_PASS;
	mask = claim_of(LANE_XDP_UDP, uh->dest)->any;
	if (!mask)
		return XDP_PASS;
	get_ip(&dst, w, false);
	if (!lane_xdp_ours(&dst, mask))
		return XDP_PASS;
	if (w->frag != FRAG_NONE || is_joined(w, bpf_ntohs(uh->len))) {
		count(w->frag != FRAG_NONE ? LANE_XDP_C_udp_fragments : LANE_XDP_C_udp_joined);
		return XDP_PASS;
	}
	return to_lane(ctx);
}

/* An error about a packet, quoted 'off' bytes into the frame, that one of ours is said to have
 * sent. */
static __always_inline int icmp_error(struct xdp_md *ctx, __u32 off, bool is4)
{
	struct where w;
	struct {
		__be16 source, dest;
	} * ports;
	struct ip local, remote;
	__u32 proto, mask;

	if (!parse_ip(ctx, &w, off, is4) || w.frag == FRAG_LATER)
		return XDP_PASS;
	ports = w.l4;
	if ((w.proto != IPPROTO_TCP && w.proto != IPPROTO_UDP) || (void *)(ports + 1) > w.end)
		return XDP_PASS;
	proto = w.proto == IPPROTO_TCP ? LANE_XDP_TCP : LANE_XDP_UDP;
	mask = claim_of(proto, ports->source)->any;
	if (!mask)
		return XDP_PASS;
	get_ip(&local, &w, true);
	if (!lane_xdp_ours(&local, mask))
		return XDP_PASS;
	get_ip(&remote, &w, false);
	if (proto == LANE_XDP_TCP &&
	    kernel_has(ctx, &w, &remote, ports->dest, &local, ports->source, NULL))
		return XDP_PASS;
	count(LANE_XDP_C_icmp_errors);
	return to_lane(ctx);
}

static __always_inline int icmp4(struct xdp_md *ctx, const struct where *w)
{
	struct icmp *h = w->l4;

	if (w->frag != FRAG_NONE || (void *)(h + 1) > w->end)
		return XDP_PASS;
	if (h->type != ICMP4_UNREACH && h->type != ICMP4_TIME_EXCEEDED &&
	    h->type != ICMP4_PARAMETER)
		return XDP_PASS;
	return icmp_error(ctx, w->l4_off + sizeof(*h), w->is4);
}

static __always_inline int icmp6(struct xdp_md *ctx, const struct where *w)
{
	struct icmp *h = w->l4;

	if (w->frag != FRAG_NONE || (void *)(h + 1) > w->end)
		return XDP_PASS;
	if (h->type & ICMP6_INFORMATION)
		return XDP_PASS;
	return icmp_error(ctx, w->l4_off + sizeof(*h), w->is4);
}

/* Steps over Ethernet and a priority tag (a tag with a VLAN's number is for another interface).
 * Returns the length, 0: the kernel's. */
static __always_inline __u32 parse_eth(struct xdp_md *ctx, __be16 *type)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct {
		__be16 tci, type;
	} *tag = (void *)(eth + 1);
	const __u8 *mac = lane_claims.mac;

	if ((void *)tag > end)
		return 0;
	if (!lane_claims.loopback &&
	    (eth->h_dest[0] != mac[0] || eth->h_dest[1] != mac[1] || eth->h_dest[2] != mac[2] ||
	     eth->h_dest[3] != mac[3] || eth->h_dest[4] != mac[4] || eth->h_dest[5] != mac[5]))
		return 0;
	*type = eth->h_proto;
	if (*type != bpf_htons(ETH_P_8021Q))
		return sizeof(*eth);
	if ((void *)(tag + 1) > end || tag->tci & bpf_htons(0x0fff))
		return 0;
	*type = tag->type;
	return sizeof(*eth) + sizeof(*tag);
}

static __always_inline int packet(struct xdp_md *ctx, __u32 l3_off, bool is4)
{
	struct where w;

	if (!parse_ip(ctx, &w, l3_off, is4))
		return XDP_PASS;
	if (w.proto == IPPROTO_TCP)
		return tcp(ctx, &w);
	if (w.proto == IPPROTO_UDP)
		return udp(ctx, &w);
	if (w.proto == (is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return is4 ? icmp4(ctx, &w) : icmp6(ctx, &w);
	return XDP_PASS;
}

/* The code for each IP version is built apart: the verifier loses track of a common one. */
static __always_inline int frame(struct xdp_md *ctx)
{
	__be16 type = 0;
	__u32 l3_off;

	if (lane_switches & LANE_XDP_PROG_OWN)
		return to_lane(ctx);
	l3_off = parse_eth(ctx, &type);
	if (!l3_off)
		return XDP_PASS;
	if (type == bpf_htons(ETH_P_IP))
		return packet(ctx, l3_off, true);
	if (type == bpf_htons(ETH_P_IPV6))
		return packet(ctx, l3_off, false);
	return XDP_PASS;
}

SEC("xdp.frags")
int lane_xdp_sg(struct xdp_md *ctx)
{
	return frame(ctx);
}

SEC("xdp")
int lane_xdp(struct xdp_md *ctx)
{
	return frame(ctx);
}

/* The kernel lends bpf_tcp_check_syncookie only to what GPL programs may link with, as BSD is. */
char lane_license[] SEC("license") = "Dual BSD/GPL";
