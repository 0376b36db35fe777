/*
 * dad.c - duplicate detection of a static IPv4 address (RFC 5227), which lwIP 2.1 lacks
 *
 * The address is lwIP's, and so answered for and published, once the probes had no answer. The
 * RFC's times would hold a server's start up for seven seconds; these are shorter, as its 1.1
 * allows where links are quick (decision 0017). While we have the address a claim of another
 * station is answered by one announcement in ten seconds (2.4(c)): a server does not give its
 * address up.
 */
#include <string.h>

#include "inside.h"

#define DAD_PROBES          3
#define DAD_PROBE_GAP_US    200000
#define DAD_ANNOUNCEMENTS   2
#define DAD_ANNOUNCE_GAP_US 2000000
#define DAD_DEFEND_US       10000000

/* An ARP frame for IPv4 over Ethernet, RFC 826. */
struct arp_frame {
	uint8_t dst[6], src[6], type[2];
	uint8_t htype[2], ptype[2], hlen, plen, op[2];
	uint8_t sha[6], spa[4], tha[6], tpa[4];
};

void lane_lwip_dad_start(struct lane_lwip *lw)
{
	lw->dad = (struct dad){.due_us = UINT64_MAX};
	if (!lane_lwip_static4(lw))
		return;
	lw->dad.state = DAD_PROBING;
	lw->dad.due_us = lw->now_us;
}

/* What lwIP sends while its own address is 0.0.0.0 is a probe (2.1.1). */
static void probe(struct lane_lwip *lw)
{
	const ip4_addr_t ip = {.addr = lane_lwip_static4(lw)->ip.w[3]};

	etharp_request(&lw->netif, &ip);
	lw->dad.nr_probes++;
	lw->dad.due_us = lw->now_us + DAD_PROBE_GAP_US;
}

static void take_address(struct lane_lwip *lw)
{
	const struct lane_lwip_addr *a = lane_lwip_static4(lw);
	const ip4_addr_t ip = {.addr = a->ip.w[3]}, gw = {.addr = lw->cfg.gw4.w[3]};
	const ip4_addr_t mask = {.addr = a->plen ? lwip_htonl(~0u << (32 - a->plen)) : 0};

	lw->dad.state = DAD_DONE;
	/* lwIP announces what is new. */
	netif_set_addr(&lw->netif, &ip, &mask, &gw);
	lw->dad.nr_announced = 1;
	lw->dad.due_us = lw->now_us + DAD_ANNOUNCE_GAP_US;
}

void lane_lwip_dad_timer(struct lane_lwip *lw)
{
	struct dad *d = &lw->dad;

	if (!lw->link || lw->now_us < d->due_us)
		return;
	if (d->state == DAD_PROBING && d->nr_probes < DAD_PROBES) {
		probe(lw);
	} else if (d->state == DAD_PROBING) {
		take_address(lw);
	} else if (d->state == DAD_DONE && d->nr_announced < DAD_ANNOUNCEMENTS) {
		etharp_gratuitous(&lw->netif);
		d->nr_announced++;
		d->due_us = lw->now_us + DAD_ANNOUNCE_GAP_US;
	} else {
		d->due_us = UINT64_MAX;
	}
}

static bool is_arp(const struct arp_frame *a)
{
	return a->type[0] == 0x08 && a->type[1] == 0x06 && a->htype[1] == 1 &&
	       a->ptype[0] == 0x08 && a->ptype[1] == 0 && a->hlen == 6 && a->plen == 4;
}

/* 2.4: another station says that the address is its own. */
static void defend(struct lane_lwip *lw)
{
	struct dad *d = &lw->dad;

	lw->nr_conflicts++;
	if (d->defended_us && lw->now_us - d->defended_us < DAD_DEFEND_US)
		return;
	d->defended_us = lw->now_us;
	etharp_gratuitous(&lw->netif);
}

void lane_lwip_dad_in(struct lane_lwip *lw, const uint8_t *frame, uint32_t len)
{
	static const uint8_t none[4];
	const struct lane_lwip_addr *wanted = lane_lwip_static4(lw);
	const ip4_addr_t *have = netif_ip4_addr(&lw->netif);
	struct arp_frame a;

	if (len < sizeof(a))
		return;
	memcpy(&a, frame, sizeof(a));
	if (!is_arp(&a) || memcmp(a.sha, lw->cfg.mac.b, 6) == 0)
		return;
	if (!ip4_addr_isany_val(*have)) {
		if (memcmp(a.spa, &have->addr, 4) == 0)
			defend(lw);
		return;
	}
	if (!wanted || lw->dad.state != DAD_PROBING)
		return;
	/* 2.1.1: it has the address, or probes for it as we do. */
	if (memcmp(a.spa, &wanted->ip.w[3], 4) != 0 &&
	    (memcmp(a.spa, none, 4) != 0 || memcmp(a.tpa, &wanted->ip.w[3], 4) != 0 ||
	     a.op[1] != 1))
		return;
	lw->dad.state = DAD_CONFLICT;
	lw->dad.due_us = UINT64_MAX;
	memcpy(lw->dad.holder.b, a.sha, 6);
}
