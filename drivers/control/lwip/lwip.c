/*
 * lwip.c - the control plane's life: netif, frames in and out, link, one step
 *
 * Theory of operation. lwIP has no thread, no clock and no timers of its own here. Whatever comes
 * from outside (a frame, the link) is given to it at once; lane_lwip_step() then runs the timers
 * that are due and compares what lwIP knows by now with what the nettab has. So nothing hangs on
 * callbacks from inside lwIP, which may not be re-entered. TCP never comes here; UDP only where no
 * lane socket has the port.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "inside.h"

#include "lwip/dhcp.h"
#include "lwip/ethip6.h"
#include "lwip/init.h"
#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/nd6.h"
#include "lwip/priv/nd6_priv.h"
#include "lwip/prot/dhcp.h"
#include "netif/ethernet.h"

const struct lane_lwip_addr *lane_lwip_static4(const struct lane_lwip *lw)
{
	for (uint32_t i = 0; i < lw->cfg.nr_addrs; i++)
		if (lane_ip_is4(&lw->cfg.addr[i].ip))
			return &lw->cfg.addr[i];
	return NULL;
}

/* netif->linkoutput: a whole frame as a chain of pbufs. */
static err_t send_frame(struct netif *netif, struct pbuf *p)
{
	struct lane_lwip *lw = netif->state;
	uint8_t frame[LANE_LWIP_FRAME];

	if (p->tot_len > sizeof(frame) || !lw->link) {
		lw->nr_unsent++;
		return ERR_IF;
	}
	pbuf_copy_partial(p, frame, p->tot_len, 0);
	lw->nr_out++;
	lw->cfg.send(lw->cfg.arg, frame, p->tot_len);
	return ERR_OK;
}

static err_t init_netif(struct netif *netif)
{
	struct lane_lwip *lw = netif->state;

	netif->name[0] = 'l';
	netif->name[1] = 'n';
	netif->output = etharp_output;
	netif->output_ip6 = ethip6_output;
	netif->linkoutput = send_frame;
	netif->mtu = (u16_t)lw->cfg.mtu;
	netif->mtu6 = netif->mtu;
	netif->hwaddr_len = 6;
	memcpy(netif->hwaddr, lw->cfg.mac.b, 6);
	netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET |
		       NETIF_FLAG_IGMP | NETIF_FLAG_MLD6;
	return ERR_OK;
}

/* IPv6 addresses are lwIP's from the start: it detects duplicates of them itself (RFC 4862 5.4). */
static void add_static6(struct lane_lwip *lw)
{
	ip6_addr_t a;
	s8_t at;

	for (uint32_t i = 0; i < lw->cfg.nr_addrs; i++) {
		if (lane_ip_is4(&lw->cfg.addr[i].ip))
			continue;
		memcpy(a.addr, lw->cfg.addr[i].ip.b, 16);
		ip6_addr_clear_zone(&a);
		netif_add_ip6_address(&lw->netif, &a, &at);
	}
}

static void start(struct lane_lwip *lw)
{
	lwip_init();
	/* What an instance before this one left, in tests. */
	memset(neighbor_cache, 0, LWIP_ND6_NUM_NEIGHBORS * sizeof(neighbor_cache[0]));
	memset(destination_cache, 0, LWIP_ND6_NUM_DESTINATIONS * sizeof(destination_cache[0]));
	memset(prefix_list, 0, LWIP_ND6_NUM_PREFIXES * sizeof(prefix_list[0]));
	memset(default_router_list, 0, LWIP_ND6_NUM_ROUTERS * sizeof(default_router_list[0]));
	netif_add_noaddr(&lw->netif, lw, init_netif, ethernet_input);
	netif_set_default(&lw->netif);
	netif_create_ip6_linklocal_address(&lw->netif, 1);
	netif_set_ip6_autoconfig_enabled(&lw->netif, lw->cfg.slaac);
	add_static6(lw);
	netif_set_up(&lw->netif);
	if (lw->cfg.dhcp)
		dhcp_start(&lw->netif);
}

static int check(const struct lane_lwip_config *cfg, char *err)
{
	unsigned int nr4 = 0;

	for (uint32_t i = 0; i < cfg->nr_addrs; i++) {
		bool is4 = lane_ip_is4(&cfg->addr[i].ip);

		nr4 += is4;
		if (is4 ? cfg->addr[i].plen > 32 : cfg->addr[i].plen != 64) {
			snprintf(err, LANE_LWIP_ERR, "the prefix of an IPv%s address",
				 is4 ? "4 has 32 bits at most" : "6 has 64 bits");
			return -EINVAL;
		}
	}
	if (nr4 > 1 || (nr4 && cfg->dhcp)) {
		snprintf(err, LANE_LWIP_ERR, "one IPv4 address, by address= or by dhcp=");
		return -EINVAL;
	}
	return 0;
}

static void init_nettab(const struct lane_lwip *lw)
{
	struct lane_nettab *t = lw->net;

	lane_net_write_begin(t);
	snprintf(t->ifname, sizeof(t->ifname), "%s", lw->cfg.ifname);
	t->ifindex = lw->cfg.ifindex;
	t->mac = lw->cfg.mac;
	t->mtu = lw->cfg.mtu;
	t->own = 1;
	/* No port of this address is ever the kernel's choice. */
	t->port_min = 32768;
	t->port_max = 65535;
	lane_net_write_end(t, true);
}

int lane_lwip_open(const struct lane_lwip_config *cfg, struct lane_nettab *net, uint64_t now_us,
		   struct lane_lwip **out, char *err)
{
	struct lane_lwip *lw;
	int r = check(cfg, err);

	if (r)
		return r;
	lw = calloc(1, sizeof(*lw));
	if (!lw) {
		snprintf(err, LANE_LWIP_ERR, "out of memory");
		return -ENOMEM;
	}
	lw->cfg = *cfg;
	lw->net = net;
	lw->lease = (struct lease){UINT64_MAX, UINT64_MAX, UINT64_MAX};
	lw->now_us = lane_lwip_port.now_us = now_us;
	init_nettab(lw);
	LANE_LWIP_GUARD(start(lw));
	lane_lwip_dad_start(lw);
	*out = lw;
	return 0;
}

static void set_now(struct lane_lwip *lw, uint64_t now_us)
{
	lw->now_us = lane_lwip_port.now_us = now_us;
}

/* As Linux does when the carrier is lost: behind the next one may be others. A router stays, without its MAC, and is
 * asked for it until it answers or its lifetime is over. */
static void forget_neighbours(struct lane_lwip *lw)
{
	etharp_cleanup_netif(&lw->netif);
	for (unsigned int i = 0; i < LWIP_ND6_NUM_NEIGHBORS; i++) {
		struct nd6_neighbor_cache_entry *e = &neighbor_cache[i];

		if (e->state == ND6_NO_ENTRY)
			continue;
		e->state = ND6_INCOMPLETE;
		e->counter.probes_sent = 0;
	}
}

static void set_link(struct lane_lwip *lw, bool up)
{
	if (up) {
		netif_set_link_up(&lw->netif);
		return;
	}
	netif_set_link_down(&lw->netif);
	forget_neighbours(lw);
}

void lane_lwip_link(struct lane_lwip *lw, uint64_t now_us, bool up)
{
	set_now(lw, now_us);
	if (up == lw->link)
		return;
	lw->link = up;
	/* Who has our address may be gone. */
	if (up && (lw->dad.state == DAD_PROBING || lw->dad.state == DAD_CONFLICT))
		lane_lwip_dad_start(lw);
	LANE_LWIP_GUARD(set_link(lw, up));
}

/* RFC 4862 5.4 is about tentative addresses. lwIP gives one up that has long been in use when somebody says that it is
 * his; that would be one frame to put a server out. It stays, as with Linux. */
static void keep_in_use(struct lane_lwip *lw, const u8_t before[LWIP_IPV6_NUM_ADDRESSES])
{
	struct netif *n = &lw->netif;

	for (s8_t i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
		if (!ip6_addr_isvalid(before[i]) || !ip6_addr_isduplicated(netif_ip6_addr_state(n, i)))
			continue;
		lw->nr_conflicts++;
		netif_ip6_addr_set_state(n, i, before[i]);
	}
}

static void input(struct lane_lwip *lw, const uint8_t *frame, uint32_t len)
{
	struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)len, PBUF_RAM);
	u8_t before[LWIP_IPV6_NUM_ADDRESSES];

	if (!p)
		return;
	memcpy(before, lw->netif.ip6_addr_state, sizeof(before));
	pbuf_take(p, frame, (u16_t)len);
	if (lw->netif.input(p, &lw->netif) != ERR_OK)
		pbuf_free(p);
	keep_in_use(lw, before);
}

void lane_lwip_in(struct lane_lwip *lw, uint64_t now_us, const uint8_t *frame, uint32_t len)
{
	set_now(lw, now_us);
	if (len > UINT16_MAX || !lw->link)
		return;
	lw->nr_in++;
	LANE_LWIP_GUARD(lane_lwip_dad_in(lw, frame, len));
	LANE_LWIP_GUARD(input(lw, frame, len));
}

static void run(struct lane_lwip *lw)
{
	lane_lwip_dad_timer(lw);
	lane_lwip_timers(lw);
	lane_lwip_lease(lw);
}

bool lane_lwip_step(struct lane_lwip *lw, uint64_t now_us)
{
	bool changed;

	set_now(lw, now_us);
	LANE_LWIP_GUARD(run(lw));
	changed = lane_lwip_publish(lw);
	LANE_LWIP_GUARD(lane_lwip_resolve(lw));
	return changed;
}

uint64_t lane_lwip_next(const struct lane_lwip *lw)
{
	uint64_t next = lane_lwip_timers_next(lw), other = lane_lwip_resolve_next(lw);

	if (other < next)
		next = other;
	other = lane_lwip_lease_next(lw);
	if (other < next)
		next = other;
	return lw->link && lw->dad.due_us < next ? lw->dad.due_us : next;
}

static int ready6(const struct lane_lwip *lw, const struct lane_ip *ip, char *err)
{
	char text[48];
	ip6_addr_t a;
	s8_t i;

	memcpy(a.addr, ip->b, 16);
	ip6_addr_clear_zone(&a);
	i = netif_get_ip6_addr_match((struct netif *)&lw->netif, &a);
	if (i >= 0 && !ip6_addr_isduplicated(netif_ip6_addr_state(&lw->netif, i)))
		return ip6_addr_isvalid(netif_ip6_addr_state(&lw->netif, i)) ? 0 : -EAGAIN;
	ip6addr_ntoa_r(&a, text, sizeof(text));
	for (char *p = text; *p; p++)
		*p = (char)tolower(*p); /* RFC 5952 4.3 */
	snprintf(err, LANE_LWIP_ERR, "another station has %s", text);
	return -EADDRINUSE;
}

static int ready4(const struct lane_lwip *lw, char *err)
{
	const struct lane_lwip_addr *a = lane_lwip_static4(lw);
	const uint8_t *m = lw->dad.holder.b, *ip = a ? a->ip.b + 12 : NULL;

	if (a && lw->dad.state == DAD_CONFLICT) {
		snprintf(err, LANE_LWIP_ERR,
			 "another station, %02x:%02x:%02x:%02x:%02x:%02x, has %u.%u.%u.%u already",
			 m[0], m[1], m[2], m[3], m[4], m[5], ip[0], ip[1], ip[2], ip[3]);
		return -EADDRINUSE;
	}
	if ((a || lw->cfg.dhcp) && ip4_addr_isany_val(*netif_ip4_addr(&lw->netif)))
		return -EAGAIN;
	return 0;
}

int lane_lwip_ready(const struct lane_lwip *lw, char *err)
{
	int r = ready4(lw, err);

	for (uint32_t i = 0; !r && i < lw->cfg.nr_addrs; i++)
		if (!lane_ip_is4(&lw->cfg.addr[i].ip))
			r = ready6(lw, &lw->cfg.addr[i].ip, err);
	return r;
}

void lane_lwip_describe(const struct lane_lwip *lw, char *out, size_t size)
{
	const struct dhcp *d = netif_dhcp_data((struct netif *)&lw->netif);
	const char *how = !lw->cfg.dhcp                       ? "static"
			  : d && d->state == DHCP_STATE_BOUND ? "dhcp, bound"
							      : "dhcp";

	snprintf(out, size,
		 "%s, link %s, conflicts %llu, frames in %llu out %llu, lwIP assertions %llu", how,
		 lw->link ? "up" : "down", (unsigned long long)lw->nr_conflicts,
		 (unsigned long long)lw->nr_in, (unsigned long long)lw->nr_out,
		 (unsigned long long)lane_lwip_port.nr_asserts);
}

static void stop(struct lane_lwip *lw)
{
	if (lw->cfg.dhcp) {
		dhcp_release_and_stop(&lw->netif);
		dhcp_cleanup(&lw->netif);
	}
	netif_remove(&lw->netif);
	/* Fragments that wait for others; there is no way left to tell their senders. */
	for (unsigned int i = 0; i <= IP_REASS_MAXAGE; i++)
		ip_reass_tmr();
	for (unsigned int i = 0; i <= IPV6_REASS_MAXAGE; i++)
		ip6_reass_tmr();
}

void lane_lwip_close(struct lane_lwip *lw)
{
	if (!lw)
		return;
	LANE_LWIP_GUARD(stop(lw));
	free(lw);
}
