/*
 * claim.c - which local ports are this lane's: counts, and what the drivers are told
 *
 * For UDP and for SYNs a driver is told exactly the addresses that sockets are bound to. For other
 * TCP frames it is told all of the interface's: it asks the kernel for a connection of its own
 * first (design.md 3), and who has none would be answered by a RST from the kernel as from the
 * lane.
 */
#include "stack/tcp/pcb.h"

/* Shares of the pcb pool: SYNs go to the kernel below the one, and to the lane again above the other. */
#define SPILL_START 64
#define SPILL_END   16

static struct lane_claim_count *count_of(const struct lane *ln, uint8_t proto, uint16_t port)
{
	return &ln->claims[(proto == LANE_PROTO_UDP ? 65536 : 0) + port];
}

static void tell(struct lane *ln, unsigned int ifi, uint8_t proto, uint16_t port, uint32_t any,
		 uint32_t listen)
{
	for (unsigned int i = 0; i < ln->nr_queues; i++) {
		struct lane_queue *q = ln->queues[i];

		if (q->ifi == ifi && q->drv->claim)
			q->drv->claim(q, proto, port, any, listen);
	}
}

void lane_tell_flow(struct lane *ln, const struct lane_ep *local, const struct lane_ep *remote, bool on)
{
	for (unsigned int i = 0; i < ln->nr_queues; i++) {
		struct lane_queue *q = ln->queues[i];

		/* The queues of an interface share what they know. */
		if (q->drv->flow && (i == 0 || q->ifi != ln->queues[i - 1]->ifi))
			q->drv->flow(q, local, remote, on);
	}
}

uint32_t lane_tcp_listen_mask(const struct lane *ln, unsigned int ifi, uint16_t port, uint32_t more)
{
	uint32_t hash = lane_port_hash(&ln->st->key, LANE_PROTO_TCP, port), mask[2] = {more, 0};
	struct lane_ftable_iter it;

	for (uint32_t i = lane_ftable_first(ln->listeners, hash, &it); i != LANE_NIL;
	     i = lane_ftable_next(ln->listeners, &it)) {
		const struct lane_tcp *l = lane_tcp_get(ln, i);
		struct lane_ip ip;

		if (!l || l->state != LANE_TCP_LISTEN || l->local_port != port)
			continue;
		ip = lane_tcp_local_ip(ln, l);
		mask[!!(l->flags & LANE_TF_RETIRED)] |= lane_ifs_addr_mask(ln, ifi, &ip, l->flags & LANE_TF_V6ONLY);
	}
	return mask[0] & ~mask[1];
}

/* 'more' (may be NULL), 'v6only': of a socket that is about to enter its table. */
static void update_if(struct lane *ln, unsigned int ifi, uint8_t proto, uint16_t port,
		      const struct lane_ip *more, bool v6only)
{
	static const struct lane_ip all; /* :: */
	const struct lane_claim_count *c = count_of(ln, proto, port);
	uint32_t extra = more ? lane_ifs_addr_mask(ln, ifi, more, v6only) : 0;
	uint32_t any = 0, listen = 0;

	if (proto == LANE_PROTO_UDP) {
		if (c->nr_any)
			any = lane_udp_mask(ln, ifi, port, extra);
	} else if (c->nr_any) {
		any = lane_ifs_addr_mask(ln, ifi, &all, false);
		if (c->nr_listen && !ln->st->listen_full)
			listen = lane_tcp_listen_mask(ln, ifi, port, extra);
	}
	tell(ln, ifi, proto, port, any, listen);
}

static void update(struct lane *ln, uint8_t proto, uint16_t port, const struct lane_ip *more,
		   bool v6only)
{
	for (unsigned int i = 0; i < ln->nr_ifs; i++)
		update_if(ln, i, proto, port, more, v6only);
}

void lane_claim_again(struct lane *ln, uint8_t proto, uint16_t port)
{
	update(ln, proto, port, NULL, false);
}

void lane_claim(struct lane *ln, uint8_t proto, const struct lane_ep *local, bool v6only,
		enum lane_claim_kind kind)
{
	struct lane_claim_count *c = count_of(ln, proto, local->port);

	c->nr_any++;
	if (proto == LANE_PROTO_TCP)
		ln->st->tcp_ports[local->port / 64] |= 1ULL << local->port % 64;
	if (kind == LANE_CLAIM_LISTEN)
		c->nr_listen++;
	/* A connection more on a claimed TCP port changes nothing that drivers know. */
	if (proto == LANE_PROTO_TCP && kind == LANE_CLAIM_ANY && c->nr_any > 1)
		return;
	update(ln, proto, local->port, &local->ip, v6only);
}

void lane_unclaim(struct lane *ln, uint8_t proto, uint16_t port, enum lane_claim_kind kind)
{
	struct lane_claim_count *c = count_of(ln, proto, port);

	/* Not asserted: a member that died between a count and its pcb leaves them apart. */
	if (c->nr_any > 0)
		c->nr_any--;
	if (kind == LANE_CLAIM_LISTEN && c->nr_listen > 0)
		c->nr_listen--;
	if (proto == LANE_PROTO_TCP) {
		ln->st->tcp_unclaims++;
		if (c->nr_any == 0)
			ln->st->tcp_ports[port / 64] &= ~(1ULL << port % 64);
	}
	if (proto == LANE_PROTO_TCP && kind == LANE_CLAIM_ANY && c->nr_any > 0)
		return;
	update(ln, proto, port, NULL, false);
}

uint32_t lane_claim_spare(const struct lane *ln)
{
	const struct lane_pool *p = &ln->st->tcp_pool;
	/* Where there is no kernel to turn to, who is half open takes nothing from the others. */
	uint32_t taken = p->nr_used + (ln->st->cfg.listen_spill ? ln->st->syn_pool.nr_used : 0);

	return p->nr > taken ? p->nr - taken : 0;
}

void lane_claim_spill(struct lane *ln)
{
	const struct lane_pool *p = &ln->st->tcp_pool;
	uint32_t spare = lane_claim_spare(ln);
	bool full = ln->st->cfg.listen_spill &&
		    spare < (ln->st->listen_full ? p->nr / SPILL_END : p->nr / SPILL_START);

	if (full == (bool)ln->st->listen_full)
		return;
	ln->st->listen_full = full;
	lane_claim_refresh(ln);
}

bool lane_claim_is_free(const struct lane *ln, uint8_t proto, uint16_t port)
{
	return count_of(ln, proto, port)->nr_any == 0;
}

bool lane_claim_connected(const struct lane *ln, uint16_t port)
{
	const struct lane_claim_count *c = count_of(ln, LANE_PROTO_TCP, port);

	return c->nr_any > c->nr_listen;
}

uint16_t lane_claim_first_free(const struct lane *ln, uint16_t from, uint16_t to)
{
	for (uint32_t p = from; p <= to; p = (p / 64 + 1) * 64) {
		uint64_t free = ~ln->st->tcp_ports[p / 64] >> p % 64;

		if (free) {
			p += (uint32_t)__builtin_ctzll(free);
			return p <= to ? (uint16_t)p : 0;
		}
	}
	return 0;
}

bool lane_claim_listens(const struct lane *ln, uint16_t port)
{
	return count_of(ln, LANE_PROTO_TCP, port)->nr_listen > 0;
}

void lane_claim_forget_tcp(struct lane *ln)
{
	memset(ln->claims, 0, 65536 * sizeof(*ln->claims));
	memset(ln->st->tcp_ports, 0, sizeof(ln->st->tcp_ports));
	ln->st->tcp_unclaims++;
}

void lane_claim_refresh(struct lane *ln)
{
	static const uint8_t protos[] = {LANE_PROTO_TCP, LANE_PROTO_UDP};

	for (unsigned int i = 0; i < 2; i++) {
		for (uint32_t port = 0; port < 65536; port++) {
			if (count_of(ln, protos[i], (uint16_t)port)->nr_any)
				update(ln, protos[i], (uint16_t)port, NULL, false);
		}
	}
}
