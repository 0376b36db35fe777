/*
 * resolve.c - neighbours that lanes ask for: asked, asked again before they age, given up after
 * three seconds
 *
 * lwIP does not see the lanes' packets, so it cannot know which neighbours are in use. Those that a
 * lane asked for are asked again each minute while they stand in its tables; a neighbour that
 * changed its MAC is found by then at the latest, one that vanished when lwIP's entry ages.
 */
#include "inside.h"

#include "lwip/nd6.h"
#include "lwip/priv/nd6_priv.h"

#define RESOLVE_US 3000000 /* as Linux: three requests, a second apart */
#define REFRESH_US 60000000

static struct want *find_want(struct lane_lwip *lw, const struct lane_ip *ip)
{
	for (unsigned int i = 0; i < LANE_LWIP_WANTS; i++)
		if (lw->want[i].used && lane_ip_equal(&lw->want[i].ip, ip))
			return &lw->want[i];
	return NULL;
}

static bool is_known(const struct lane_lwip *lw, const struct lane_ip *ip)
{
	for (unsigned int i = 0; i < LANE_LWIP_SLOTS; i++)
		if (lw->slot[i].used && lane_ip_equal(&lw->slot[i].ip, ip))
			return true;
	return false;
}

static void publish_failed(struct lane_lwip *lw, struct want *w, bool failed)
{
	lane_net_write_begin(lw->net);
	lane_net_neigh_set(lw->net, &w->ip, NULL, failed);
	lane_net_write_end(lw->net, false);
	w->failed = failed;
}

/* A free place, or that of the one that was refreshed longest ago. */
static struct want *new_want(struct lane_lwip *lw, const struct lane_ip *ip)
{
	struct want *w = &lw->want[0];

	for (unsigned int i = 0; i < LANE_LWIP_WANTS; i++) {
		if (!lw->want[i].used) {
			w = &lw->want[i];
			break;
		}
		if (lw->want[i].refresh_us < w->refresh_us)
			w = &lw->want[i];
	}
	/* Nobody would take its failure out of the table any more. */
	if (w->used && w->failed && !is_known(lw, &w->ip))
		publish_failed(lw, w, false);
	*w = (struct want){.ip = *ip, .used = true};
	return w;
}

/* lwIP resolves for a packet; it is taken from it again, for the lane keeps its own. */
static void ask6(struct lane_lwip *lw, const struct lane_ip *ip)
{
	struct pbuf *q = pbuf_alloc(PBUF_LINK, 0, PBUF_RAM);
	const u8_t *mac;
	ip6_addr_t a;

	if (!q)
		return;
	memcpy(a.addr, ip->b, 16);
	ip6_addr_clear_zone(&a);
	nd6_get_next_hop_addr_or_queue(&lw->netif, q, &a, &mac);
	for (unsigned int i = 0; i < LWIP_ND6_NUM_NEIGHBORS; i++) {
		if (neighbor_cache[i].q != q)
			continue;
		neighbor_cache[i].q = NULL;
		pbuf_free(q);
	}
	pbuf_free(q);
}

static void ask(struct lane_lwip *lw, struct want *w)
{
	const ip4_addr_t a4 = {.addr = w->ip.w[3]};

	w->refresh_us = lw->now_us + REFRESH_US;
	if (lane_ip_is4(&w->ip))
		etharp_query(&lw->netif, &a4, NULL);
	else
		ask6(lw, &w->ip);
}

static void take_wanted(struct lane_lwip *lw)
{
	struct lane_ip ip;

	for (int i = 0; i < LANE_NET_WANTED && lane_net_wanted_pop(lw->net, &ip); i++) {
		struct want *w = find_want(lw, &ip);

		if (!w)
			w = new_want(lw, &ip);
		if (w->until_us)
			continue;
		w->until_us = lw->now_us + RESOLVE_US;
		ask(lw, w);
	}
}

static void look_after(struct lane_lwip *lw, struct want *w)
{
	bool known = is_known(lw, &w->ip);

	if (known) {
		w->until_us = 0;
		w->failed = false; /* the slot's entry took its place */
		if (lw->now_us >= w->refresh_us)
			ask(lw, w);
		return;
	}
	if (w->until_us && lw->now_us >= w->until_us) {
		w->until_us = 0;
		publish_failed(lw, w, true);
		w->refresh_us = lw->now_us + REFRESH_US;
	} else if (!w->until_us && lw->now_us >= w->refresh_us) {
		/* Nobody asked since: forgotten. */
		if (w->failed)
			publish_failed(lw, w, false);
		w->used = false;
	}
}

void lane_lwip_resolve(struct lane_lwip *lw)
{
	take_wanted(lw);
	for (unsigned int i = 0; i < LANE_LWIP_WANTS; i++)
		if (lw->want[i].used)
			look_after(lw, &lw->want[i]);
}

uint64_t lane_lwip_resolve_next(const struct lane_lwip *lw)
{
	uint64_t next = UINT64_MAX;

	for (unsigned int i = 0; i < LANE_LWIP_WANTS; i++) {
		const struct want *w = &lw->want[i];
		uint64_t at = w->until_us ? w->until_us : w->refresh_us;

		if (w->used && at < next)
			next = at;
	}
	return next;
}
