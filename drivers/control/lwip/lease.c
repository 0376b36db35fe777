/*
 * lease.c - when a DHCP lease is renewed, rebound, and over (RFC 2131 4.4.5)
 *
 * lwIP counts in minutes of 16 bits: a lease of two minutes would be renewed when it is over, one of two months would
 * end after 45 days. So its clock stands still, and the three times are kept here; what is sent then is lwIP's. A
 * lease that is over is not given back, its server may have given it to another: the address goes, and all begins
 * anew. The client asks again after half of the time that is left, but not within a minute.
 */
#include "inside.h"

#include "lwip/dhcp.h"
#include "lwip/prot/dhcp.h"

#define LEASE_FOREVER   UINT32_MAX
#define LEASE_MIN_S     4 /* a shorter one, or none said, is taken for this long */
#define LEASE_RETRY_US  60000000
#define LEASE_SEEN      1 /* what 'lease_used' is set to, where lwIP leaves 0 */

static uint64_t after(const struct lane_lwip *lw, uint32_t s)
{
	return lw->now_us + s * 1000000ULL;
}

/* What the server says of T1 and T2 is taken where it makes sense. */
static void begin(struct lane_lwip *lw, const struct dhcp *d)
{
	uint32_t s = d->offered_t0_lease < LEASE_MIN_S ? LEASE_MIN_S : d->offered_t0_lease;
	uint32_t t1 = d->offered_t1_renew, t2 = d->offered_t2_rebind;
	struct lease *l = &lw->lease;

	*l = (struct lease){UINT64_MAX, UINT64_MAX, UINT64_MAX};
	if (s == LEASE_FOREVER)
		return;
	if (t2 == 0 || t2 >= s)
		t2 = (uint32_t)(s * 7ULL / 8);
	if (t1 == 0 || t1 >= t2)
		t1 = s / 2;
	*l = (struct lease){after(lw, t1), after(lw, t2), after(lw, s)};
}

/* When to ask again, between now and 'end'. */
static uint64_t retry(const struct lane_lwip *lw, uint64_t end)
{
	uint64_t half = (end - lw->now_us) / 2;

	return half < LEASE_RETRY_US ? UINT64_MAX : lw->now_us + half;
}

static void expire(struct lane_lwip *lw)
{
	lw->lease = (struct lease){UINT64_MAX, UINT64_MAX, UINT64_MAX};
	lw->nr_expired++;
	netif_set_addr(&lw->netif, IP4_ADDR_ANY4, IP4_ADDR_ANY4, IP4_ADDR_ANY4);
	dhcp_start(&lw->netif);
}

/* lwIP rebinds by its clock only: it is set to one tick before, and far from the others. */
static void rebind(struct dhcp *d)
{
	d->lease_used = d->t0_timeout;
	d->t1_renew_time = 0;
	d->t2_rebind_time = 1;
	dhcp_coarse_tmr();
	d->lease_used = LEASE_SEEN;
	d->t2_rebind_time = 0;
}

void lane_lwip_lease(struct lane_lwip *lw)
{
	struct dhcp *d = netif_dhcp_data(&lw->netif);
	struct lease *l = &lw->lease;

	if (!d)
		return;
	if (d->state == DHCP_STATE_BOUND && d->lease_used != LEASE_SEEN) {
		begin(lw, d);
		d->lease_used = LEASE_SEEN;
	}
	if (ip4_addr_isany_val(*netif_ip4_addr(&lw->netif))) { /* taken away, by a NAK */
		*l = (struct lease){UINT64_MAX, UINT64_MAX, UINT64_MAX};
	} else if (lw->now_us >= l->expire_us) {
		expire(lw);
	} else if (lw->now_us >= l->rebind_us) {
		l->renew_us = UINT64_MAX;
		l->rebind_us = retry(lw, l->expire_us);
		rebind(d);
	} else if (lw->now_us >= l->renew_us) {
		l->renew_us = retry(lw, l->rebind_us);
		if (d->state == DHCP_STATE_BOUND || d->state == DHCP_STATE_RENEWING)
			dhcp_renew(&lw->netif);
	}
}

uint64_t lane_lwip_lease_next(const struct lane_lwip *lw)
{
	const struct lease *l = &lw->lease;
	uint64_t next = l->renew_us < l->rebind_us ? l->renew_us : l->rebind_us;

	return l->expire_us < next ? l->expire_us : next;
}
