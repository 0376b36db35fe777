/*
 * publish.c - what lwIP knows, written to the nettab where it differs from what is there
 *
 * An address stands in the nettab while it may be used: preferred or deprecated, not tentative.
 */
#include "inside.h"

#include "lwip/dhcp.h"
#include "lwip/nd6.h"
#include "lwip/priv/nd6_priv.h"

static uint8_t plen_of(const ip4_addr_t *mask)
{
	return (uint8_t)__builtin_popcount(mask->addr);
}

static struct lane_ip masked(const struct lane_ip *ip, uint8_t plen)
{
	unsigned int bits = plen + (lane_ip_is4(ip) ? 96 : 0);
	struct lane_ip r = *ip;

	for (unsigned int i = 0; i < 16; i++) {
		unsigned int keep = bits > 8 * i ? bits - 8 * i : 0;

		if (keep < 8)
			r.b[i] &= (uint8_t)(0xff00 >> keep);
	}
	return r;
}

static void add_route(struct snapshot *s, const struct lane_ip *dst, uint8_t plen,
		      const struct lane_ip *gw, uint32_t mtu)
{
	struct lane_net_route r = {
		.dst = masked(dst, plen), .plen = plen, .kind = LANE_ROUTE_UNICAST, .mtu = mtu};

	if (gw)
		r.gw = *gw;
	for (uint32_t i = 0; i < s->nr_routes; i++)
		if (s->route[i].plen == plen && lane_ip_equal(&s->route[i].dst, &r.dst))
			return;
	if (s->nr_routes < LANE_LWIP_ROUTES)
		s->route[s->nr_routes++] = r;
}

static void collect4(const struct lane_lwip *lw, struct snapshot *s)
{
	const struct netif *n = &lw->netif;
	struct lane_net_addr *a = &s->addr[s->nr_addrs];
	struct lane_ip gw = lane_lwip_ip4(netif_ip4_gw(n));
	const struct lane_ip all = lane_ip4(0);

	if (ip4_addr_isany_val(*netif_ip4_addr(n)))
		return;
	*a = (struct lane_net_addr){.used = 1, .plen = plen_of(netif_ip4_netmask(n))};
	a->ip = lane_lwip_ip4(netif_ip4_addr(n));
	if (a->plen < 31)
		a->bcast = lane_ip4(netif_ip4_addr(n)->addr | ~netif_ip4_netmask(n)->addr);
	s->nr_addrs++;
	add_route(s, &a->ip, a->plen, NULL, 0);
	if (gw.w[3])
		add_route(s, &all, 0, &gw, 0);
}

static void collect_routers(const struct lane_lwip *lw, struct snapshot *s, uint32_t mtu)
{
	const struct lane_ip all = {.d = {0, 0}};
	struct lane_ip gw;

	if (!lane_ip_is_any(&lw->cfg.gw6)) {
		add_route(s, &all, 0, &lw->cfg.gw6, mtu);
		return;
	}
	for (unsigned int i = 0; lw->cfg.slaac && i < LWIP_ND6_NUM_ROUTERS; i++) {
		const struct nd6_router_list_entry *r = &default_router_list[i];

		if (!r->neighbor_entry || !r->invalidation_timer)
			continue;
		/* The first that is not known to be gone; add_route() takes one. */
		gw = lane_lwip_ip6(&r->neighbor_entry->next_hop_address);
		if (r->neighbor_entry->state != ND6_INCOMPLETE)
			add_route(s, &all, 0, &gw, mtu);
	}
}

static void collect6(const struct lane_lwip *lw, struct snapshot *s)
{
	const struct netif *n = &lw->netif;
	uint32_t mtu = n->mtu6 && n->mtu6 < lw->cfg.mtu ? n->mtu6 : 0;
	struct lane_ip prefix;

	for (unsigned int i = 0; i < LWIP_IPV6_NUM_ADDRESSES && s->nr_addrs < LANE_NET_ADDRS; i++) {
		u8_t state = netif_ip6_addr_state(n, i);
		struct lane_net_addr *a = &s->addr[s->nr_addrs];

		if (!ip6_addr_isvalid(state))
			continue;
		*a = (struct lane_net_addr){.used = 1, .plen = 64};
		a->ip = lane_lwip_ip6(netif_ip6_addr(n, i));
		a->deprecated = !ip6_addr_ispreferred(state);
		s->nr_addrs++;
		/* A prefix that a router announced may be off link; it says so in the list below.
		 */
		if (netif_ip6_addr_isstatic(n, i))
			add_route(s, &a->ip, 64, NULL, mtu);
	}
	for (unsigned int i = 0; lw->cfg.slaac && i < LWIP_ND6_NUM_PREFIXES; i++) {
		if (!prefix_list[i].netif || !prefix_list[i].invalidation_timer)
			continue;
		prefix = lane_lwip_ip6(&prefix_list[i].prefix);
		add_route(s, &prefix, 64, NULL, mtu);
	}
	collect_routers(lw, s, mtu);
}

static bool same(const struct snapshot *a, const struct snapshot *b)
{
	return a->up == b->up && a->mtu == b->mtu && a->nr_addrs == b->nr_addrs &&
	       a->nr_routes == b->nr_routes &&
	       memcmp(a->addr, b->addr, a->nr_addrs * sizeof(a->addr[0])) == 0 &&
	       memcmp(a->route, b->route, a->nr_routes * sizeof(a->route[0])) == 0;
}

static void write_all(struct lane_lwip *lw, const struct snapshot *s)
{
	struct lane_nettab *t = lw->net;

	lane_net_write_begin(t);
	t->up = s->up;
	t->mtu = s->mtu;
	lane_net_set_addrs(t, s->addr, s->nr_addrs);
	t->nr_routes = 0;
	for (uint32_t i = 0; i < s->nr_routes; i++)
		lane_net_route_add(t, &s->route[i]);
	lane_net_write_end(t, true);
	lw->old = *s;
}

/* ---- neighbours ---- */

static bool arp_slot(const struct lane_lwip *lw, unsigned int i, struct slot *s)
{
	struct eth_addr *mac;
	struct netif *netif;
	ip4_addr_t *ip;

	if (!etharp_get_entry(i, &ip, &netif, &mac))
		return false;
	s->ip = lane_lwip_ip4(ip);
	memcpy(s->mac.b, mac->addr, 6);
	return true;
}

static bool nd_slot(unsigned int i, struct slot *s)
{
	const struct nd6_neighbor_cache_entry *e = &neighbor_cache[i];

	if (e->state == ND6_NO_ENTRY || e->state == ND6_INCOMPLETE)
		return false;
	s->ip = lane_lwip_ip6(&e->next_hop_address);
	memcpy(s->mac.b, e->lladdr, 6);
	return true;
}

static bool other_slot_has(const struct lane_lwip *lw, unsigned int i, const struct lane_ip *ip)
{
	for (unsigned int k = 0; k < LANE_LWIP_SLOTS; k++)
		if (k != i && lw->slot[k].used && lane_ip_equal(&lw->slot[k].ip, ip))
			return true;
	return false;
}

/* A slot may be another neighbour's by now: the old one goes first, unless a slot has it too. What finds no
 * room is tried again. */
static void write_slot(struct lane_lwip *lw, unsigned int i, const struct slot *now)
{
	struct slot *s = &lw->slot[i];
	bool gone = s->used && (!now->used || !lane_ip_equal(&s->ip, &now->ip)) && !other_slot_has(lw, i, &s->ip);
	int r = 0;

	lane_net_write_begin(lw->net);
	if (gone)
		lane_net_neigh_set(lw->net, &s->ip, NULL, false);
	if (now->used)
		r = lane_net_neigh_set(lw->net, &now->ip, &now->mac, false);
	lane_net_write_end(lw->net, false);
	*s = *now;
	s->used = now->used && r == 0;
}

static void publish_neighs(struct lane_lwip *lw)
{
	for (unsigned int i = 0; i < LANE_LWIP_SLOTS; i++) {
		const struct slot *old = &lw->slot[i];
		struct slot now = {.used = false};

		now.used = i < ARP_TABLE_SIZE ? arp_slot(lw, i, &now)
					      : nd_slot(i - ARP_TABLE_SIZE, &now);
		if (now.used != old->used ||
		    (now.used && (!lane_ip_equal(&now.ip, &old->ip) ||
				  memcmp(&now.mac, &old->mac, sizeof(now.mac)) != 0)))
			write_slot(lw, i, &now);
	}
}

bool lane_lwip_publish(struct lane_lwip *lw)
{
	struct snapshot s;

	memset(&s, 0, sizeof(s)); /* padding is compared */
	s.up = lw->link;
	s.mtu = lw->cfg.mtu;
	collect4(lw, &s);
	collect6(lw, &s);
	publish_neighs(lw);
	if (same(&s, &lw->old))
		return false;
	write_all(lw, &s);
	return true;
}
