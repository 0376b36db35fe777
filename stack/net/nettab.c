/*
 * nettab.c - the table of addresses, routes and neighbours (see lane-int/nettab.h)
 *
 * Readers copy what they need and look at 'seq' again. All loops are bounded, also when the writer
 * died with 'seq' odd: after SPINS_MAX looks a reader takes what is there.
 */
#include "lane-int/nettab.h"

#include <errno.h>

#define SPINS_MAX   4096
#define RETRIES_MAX 16

static uint32_t read_begin(const struct lane_nettab *t)
{
	uint32_t seq = atomic_load_explicit(&t->seq, memory_order_acquire);

	for (unsigned int i = 0; (seq & 1) && i < SPINS_MAX; i++) {
		__builtin_ia32_pause();
		seq = atomic_load_explicit(&t->seq, memory_order_acquire);
	}
	return seq;
}

static bool read_again(const struct lane_nettab *t, uint32_t seq, unsigned int *nr_tries)
{
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load_explicit(&t->seq, memory_order_relaxed) == seq)
		return false;
	return ++*nr_tries < RETRIES_MAX;
}

/* True if the first 'plen' bits, counted in net's own family, of 'ip' and 'net' are equal. */
static bool in_prefix(const struct lane_ip *ip, const struct lane_ip *net, uint8_t plen)
{
	bool is4 = lane_ip_is4(net);
	unsigned int bits = plen + (is4 ? 96 : 0);
	uint8_t mask = (uint8_t)(0xff00 >> (bits % 8));

	if (lane_ip_is4(ip) != is4 || bits > 128 || memcmp(ip->b, net->b, bits / 8) != 0)
		return false;
	return bits % 8 == 0 || ((ip->b[bits / 8] ^ net->b[bits / 8]) & mask) == 0;
}

static uint32_t nr_addrs(const struct lane_nettab *t)
{
	return t->nr_addrs < LANE_NET_ADDRS ? t->nr_addrs : LANE_NET_ADDRS;
}

static int find_addr(const struct lane_nettab *t, const struct lane_ip *ip)
{
	for (uint32_t i = 0; i < nr_addrs(t); i++) {
		const struct lane_net_addr *a = &t->addr[i];

		if (!a->used)
			continue;
		if (lane_ip_equal(&a->ip, ip))
			return (int)i;
		if (a->whole_prefix && in_prefix(ip, &a->ip, a->plen))
			return (int)i;
	}
	return -1;
}

int lane_net_addr(const struct lane_nettab *t, const struct lane_ip *ip)
{
	unsigned int nr_tries = 0;
	uint32_t seq;
	int i;

	do {
		seq = read_begin(t);
		i = find_addr(t, ip);
	} while (read_again(t, seq, &nr_tries));
	return i;
}

static uint32_t addr_mask(const struct lane_nettab *t, const struct lane_ip *ip, bool v6only)
{
	bool want4 = lane_ip_is4(ip) || !v6only;
	bool want6 = !lane_ip_is4(ip);
	uint32_t mask = 0;
	int own;

	if (!lane_ip_is_any(ip)) {
		own = find_addr(t, ip);
		return own < 0 ? 0 : 1u << own;
	}
	for (uint32_t i = 0; i < nr_addrs(t); i++) {
		const struct lane_net_addr *a = &t->addr[i];

		if (a->used && (lane_ip_is4(&a->ip) ? want4 : want6))
			mask |= 1u << i;
	}
	return mask;
}

uint32_t lane_net_addr_mask(const struct lane_nettab *t, const struct lane_ip *ip, bool v6only)
{
	unsigned int nr_tries = 0;
	uint32_t seq, mask;

	do {
		seq = read_begin(t);
		mask = addr_mask(t, ip, v6only);
	} while (read_again(t, seq, &nr_tries));
	return mask;
}

static bool is_bcast(const struct lane_nettab *t, const struct lane_ip *ip)
{
	for (uint32_t i = 0; i < nr_addrs(t); i++) {
		const struct lane_net_addr *a = &t->addr[i];

		if (a->used && lane_ip_is4(&a->bcast) && lane_ip_equal(&a->bcast, ip))
			return true;
	}
	return false;
}

bool lane_net_is_group(const struct lane_nettab *t, const struct lane_ip *ip)
{
	unsigned int nr_tries = 0;
	uint32_t seq;
	bool yes;

	if (!lane_ip_is4(ip))
		return ip->b[0] == 0xff;
	if ((ip->b[12] & 0xf0) == 0xe0 || ip->w[3] == 0xffffffff)
		return true;
	/* 127.255.255.255 */
	if (t->loopback && ip->b[12] == 127 && ip->b[13] == 255 && ip->b[14] == 255 && ip->b[15] == 255)
		return true;
	do {
		seq = read_begin(t);
		yes = is_bcast(t, ip);
	} while (read_again(t, seq, &nr_tries));
	return yes;
}

static unsigned int common_bits(const struct lane_ip *a, const struct lane_ip *b)
{
	unsigned int n = 0;

	while (n < 16 && a->b[n] == b->b[n])
		n++;
	if (n == 16)
		return 128;
	return 8 * n + (unsigned int)__builtin_clz((unsigned int)(a->b[n] ^ b->b[n])) - 24;
}

static bool is_link_local(const struct lane_ip *ip)
{
	return ip->b[0] == 0xfe && (ip->b[1] & 0xc0) == 0x80;
}

/* Of the addresses of dst's family: equal scope before all, then not deprecated, then the longest
 * common prefix (RFC 6724 5, rules 2, 3 and 8). */
static int pick_src(const struct lane_nettab *t, const struct lane_ip *dst, struct lane_ip *src)
{
	unsigned int best = 0;

	for (uint32_t i = 0; i < nr_addrs(t); i++) {
		const struct lane_net_addr *a = &t->addr[i];
		unsigned int score;

		if (!a->used || lane_ip_is4(&a->ip) != lane_ip_is4(dst))
			continue;
		score = 1 + common_bits(&a->ip, dst);
		if (!a->deprecated)
			score += 256;
		if (is_link_local(&a->ip) == is_link_local(dst))
			score += 512;
		if (score > best) {
			best = score;
			*src = a->ip;
		}
	}
	return best ? 0 : -EADDRNOTAVAIL;
}

/* On lo every address of ours is on link; the source of 127/8 is 127.0.0.1, else the address
 * itself. */
static int route_loopback(const struct lane_nettab *t, const struct lane_ip *dst,
			  struct lane_net_hop *hop)
{
	int own = find_addr(t, dst);

	if (own < 0)
		return -EXDEV;
	hop->next = *dst;
	hop->mtu = t->mtu;
	hop->src = t->addr[own].ip;
	return 0;
}

static const struct lane_net_route *find_route(const struct lane_nettab *t,
					       const struct lane_ip *dst)
{
	uint32_t nr = t->nr_routes < LANE_NET_ROUTES ? t->nr_routes : LANE_NET_ROUTES;

	for (uint32_t i = 0; i < nr; i++) {
		if (in_prefix(dst, &t->route[i].dst, t->route[i].plen))
			return &t->route[i];
	}
	return NULL;
}

static int find_hop(const struct lane_nettab *t, const struct lane_ip *dst,
		    struct lane_net_hop *hop)
{
	const struct lane_net_route *r;

	if (t->loopback)
		return route_loopback(t, dst, hop);
	if (find_addr(t, dst) >= 0)
		return -EXDEV;
	r = find_route(t, dst);
	if (!r || r->kind == LANE_ROUTE_UNREACHABLE)
		return -ENETUNREACH;
	if (r->kind != LANE_ROUTE_UNICAST)
		return -EXDEV;
	hop->next = lane_ip_is_any(&r->gw) ? *dst : r->gw;
	hop->mtu = r->mtu && r->mtu < t->mtu ? r->mtu : t->mtu;
	if (!lane_ip_is_any(&r->src)) {
		hop->src = r->src;
		return 0;
	}
	/* On link the destination tells which of our subnets; else the gateway does. */
	return pick_src(t,
			lane_ip_is4(&hop->next) == lane_ip_is4(dst) && !is_link_local(&hop->next)
				? &hop->next
				: dst,
			&hop->src);
}

int lane_net_route(const struct lane_nettab *t, const struct lane_ip *dst,
		   const struct lane_ip *src, struct lane_net_hop *hop)
{
	unsigned int nr_tries = 0;
	uint32_t seq;
	int r;

	if (lane_net_is_group(t, dst))
		return -EXDEV;
	do {
		seq = read_begin(t);
		r = find_hop(t, dst, hop);
	} while (read_again(t, seq, &nr_tries));
	if (lane_ip_is_any(src))
		return r;
	/* A socket with an IPv6 address that sends to a mapped one: the kernel says what it says. */
	if (lane_ip_is4(src) != lane_ip_is4(dst))
		return -EXDEV;
	/* With a source given it does not matter that we found none. */
	hop->src = *src;
	return r == -EADDRNOTAVAIL ? 0 : r;
}

static uint32_t neigh_hash(const struct lane_ip *ip)
{
	uint64_t h = (ip->d[0] ^ (ip->d[1] << 1)) * 0x9e3779b97f4a7c15ULL;

	h = (h ^ ip->d[1]) * 0xbf58476d1ce4e5b9ULL;
	return (uint32_t)(h >> 40) & (LANE_NET_NEIGHS - 1);
}

/* The entry of 'ip', or the empty one where it would go; LANE_NIL: not there and no room. */
static uint32_t find_neigh(const struct lane_nettab *t, const struct lane_ip *ip)
{
	uint32_t i = neigh_hash(ip);

	for (unsigned int n = 0; n < LANE_NET_NEIGHS; n++) {
		if (!t->neigh[i].used || lane_ip_equal(&t->neigh[i].ip, ip))
			return i;
		i = (i + 1) & (LANE_NET_NEIGHS - 1);
	}
	return LANE_NIL;
}

/* Leaves a request for resolution unless the same one still waits. */
static void want(struct lane_nettab *t, const struct lane_ip *ip)
{
	uint32_t head = atomic_load_explicit(&t->wanted_head, memory_order_relaxed);
	uint32_t tail = atomic_load_explicit(&t->wanted_tail, memory_order_acquire);

	if (head - tail >= LANE_NET_WANTED) {
		atomic_fetch_add_explicit(&t->nr_wanted_lost, 1, memory_order_relaxed);
		return;
	}
	for (uint32_t i = tail; i != head; i++) {
		if (lane_ip_equal(&t->wanted[i & (LANE_NET_WANTED - 1)], ip))
			return;
	}
	t->wanted[head & (LANE_NET_WANTED - 1)] = *ip;
	atomic_store_explicit(&t->wanted_head, head + 1, memory_order_release);
}

int lane_net_neigh(struct lane_nettab *t, const struct lane_ip *ip, struct lane_mac *mac)
{
	struct lane_net_neigh n;
	unsigned int nr_tries = 0;
	uint32_t seq, i;

	do {
		seq = read_begin(t);
		i = find_neigh(t, ip);
		n = i == LANE_NIL ? (struct lane_net_neigh){.used = 0} : t->neigh[i];
	} while (read_again(t, seq, &nr_tries));
	if (n.used && !n.failed) {
		*mac = n.mac;
		return 0;
	}
	want(t, ip);
	return n.used ? -EHOSTUNREACH : -EAGAIN;
}

void lane_net_init(struct lane_nettab *t)
{
	memset(t, 0, sizeof(*t));
	/* 0 is what a path that was never filled has. */
	atomic_store_explicit(&t->version, 1, memory_order_relaxed);
	atomic_store_explicit(&t->neigh_version, 1, memory_order_relaxed);
	t->mtu = 1500;
	t->port_min = 61000;
	t->port_max = 65535;
}

void lane_net_write_begin(struct lane_nettab *t)
{
	uint32_t seq = atomic_load_explicit(&t->seq, memory_order_relaxed);

	/* A writer that died inside left it odd; its successor writes everything again. */
	atomic_store_explicit(&t->seq, (seq + 1) | 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

void lane_net_write_end(struct lane_nettab *t, bool routes_changed)
{
	uint32_t seq = atomic_load_explicit(&t->seq, memory_order_relaxed);

	t->nr_addrs = 0;
	for (uint32_t i = 0; i < LANE_NET_ADDRS; i++) {
		if (t->addr[i].used)
			t->nr_addrs = i + 1;
	}
	atomic_store_explicit(&t->seq, seq + 1, memory_order_release);
	if (routes_changed)
		atomic_fetch_add_explicit(&t->version, 1, memory_order_release);
	atomic_fetch_add_explicit(&t->neigh_version, 1, memory_order_release);
}

static bool has_addr(const struct lane_net_addr *addr, uint32_t n, const struct lane_ip *ip)
{
	for (uint32_t i = 0; i < n; i++)
		if (lane_ip_equal(&addr[i].ip, ip))
			return true;
	return false;
}

/* The place that has the address, else a free one: those of gone addresses were freed before. */
static struct lane_net_addr *place_of(struct lane_nettab *t, const struct lane_ip *ip)
{
	struct lane_net_addr *empty = NULL;

	for (int i = 0; i < LANE_NET_ADDRS; i++) {
		if (t->addr[i].used && lane_ip_equal(&t->addr[i].ip, ip))
			return &t->addr[i];
		if (!t->addr[i].used && !empty)
			empty = &t->addr[i];
	}
	return empty;
}

void lane_net_set_addrs(struct lane_nettab *t, const struct lane_net_addr *addr, uint32_t n)
{
	for (int i = 0; i < LANE_NET_ADDRS; i++)
		if (t->addr[i].used && !has_addr(addr, n, &t->addr[i].ip))
			memset(&t->addr[i], 0, sizeof(t->addr[i]));
	for (uint32_t i = 0; i < n; i++) {
		struct lane_net_addr *place = place_of(t, &addr[i].ip);

		if (place)
			*place = addr[i];
	}
}

int lane_net_route_add(struct lane_nettab *t, const struct lane_net_route *r)
{
	uint32_t at = 0;

	if (t->nr_routes >= LANE_NET_ROUTES)
		return -ENOSPC;
	while (at < t->nr_routes &&
	       (t->route[at].plen > r->plen ||
		(t->route[at].plen == r->plen && t->route[at].metric <= r->metric)))
		at++;
	memmove(&t->route[at + 1], &t->route[at], (t->nr_routes - at) * sizeof(*r));
	t->route[at] = *r;
	t->nr_routes++;
	return 0;
}

/* Empties entry 'hole' and moves back what had probed past it, so that no tombstone is needed. */
static void remove_neigh(struct lane_nettab *t, uint32_t hole)
{
	uint32_t i = hole;

	t->neigh[hole].used = 0;
	for (unsigned int n = 1; n < LANE_NET_NEIGHS; n++) {
		uint32_t home;

		i = (i + 1) & (LANE_NET_NEIGHS - 1);
		if (!t->neigh[i].used)
			return;
		home = neigh_hash(&t->neigh[i].ip);
		/* It may move if its home is not cyclically in (hole, i]. */
		if (((i - home) & (LANE_NET_NEIGHS - 1)) < ((i - hole) & (LANE_NET_NEIGHS - 1)))
			continue;
		t->neigh[hole] = t->neigh[i];
		t->neigh[i].used = 0;
		hole = i;
	}
}

int lane_net_neigh_set(struct lane_nettab *t, const struct lane_ip *ip, const struct lane_mac *mac,
		       bool failed)
{
	uint32_t i = find_neigh(t, ip);

	if (i == LANE_NIL)
		return -ENOSPC;
	if (!mac && !failed) {
		if (t->neigh[i].used)
			remove_neigh(t, i);
		return 0;
	}
	t->neigh[i] = (struct lane_net_neigh){.ip = *ip, .used = 1, .failed = failed};
	if (mac)
		t->neigh[i].mac = *mac;
	return 0;
}

bool lane_net_wanted_pop(struct lane_nettab *t, struct lane_ip *ip)
{
	uint32_t tail = atomic_load_explicit(&t->wanted_tail, memory_order_relaxed);
	uint32_t head = atomic_load_explicit(&t->wanted_head, memory_order_acquire);

	if (head == tail)
		return false;
	*ip = t->wanted[tail & (LANE_NET_WANTED - 1)];
	atomic_store_explicit(&t->wanted_tail, tail + 1, memory_order_release);
	return true;
}
