/*
 * timers.c - lwIP's timers, each only while it has something to do
 *
 * The period is lwIP's; those that do nothing but count down what is not there are skipped, so that
 * an idle interface costs one look a second.
 */
#include "inside.h"

#include "lwip/dhcp.h"
#include "lwip/igmp.h"
#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/mld6.h"
#include "lwip/nd6.h"
#include "lwip/prot/dhcp.h"

static bool always(const struct lane_lwip *lw)
{
	return true;
}

static bool dhcp_waits(const struct lane_lwip *lw)
{
	const struct dhcp *d = netif_dhcp_data(&lw->netif);

	return d && d->request_timeout > 0;
}

static bool igmp_waits(const struct lane_lwip *lw)
{
	for (const struct igmp_group *g = netif_igmp_data(&lw->netif); g; g = g->next)
		if (g->timer > 0)
			return true;
	return false;
}

static bool mld_waits(const struct lane_lwip *lw)
{
	for (const struct mld_group *g = netif_mld6_data(&lw->netif); g; g = g->next)
		if (g->timer > 0)
			return true;
	return false;
}

static const struct {
	uint32_t period_ms;
	void (*run)(void);
	bool (*due)(const struct lane_lwip *lw);
} timers[LANE_LWIP_NR_TMRS] = {
	{ARP_TMR_INTERVAL, etharp_tmr, always},
	{IP_TMR_INTERVAL, ip_reass_tmr, always},
	{ND6_TMR_INTERVAL, nd6_tmr, always},
	{IP6_REASS_TMR_INTERVAL, ip6_reass_tmr, always},
	{DHCP_FINE_TIMER_MSECS, dhcp_fine_tmr, dhcp_waits},
	{IGMP_TMR_INTERVAL, igmp_tmr, igmp_waits},
	{MLD6_TMR_INTERVAL, mld6_tmr, mld_waits},
};

/* One that sleeps begins its period when it has something to do. */
void lane_lwip_timers(struct lane_lwip *lw)
{
	for (unsigned int i = 0; i < LANE_LWIP_NR_TMRS; i++) {
		uint64_t period_us = timers[i].period_ms * 1000ULL;

		if (!timers[i].due(lw)) {
			lw->tmr_us[i] = 0;
			continue;
		}
		if (lw->tmr_us[i] == 0)
			lw->tmr_us[i] = lw->now_us + period_us;
		if (lw->now_us < lw->tmr_us[i])
			continue;
		/* Late by more than a period: what was missed is not made up for. */
		lw->tmr_us[i] += period_us;
		if (lw->tmr_us[i] <= lw->now_us)
			lw->tmr_us[i] = lw->now_us + period_us;
		timers[i].run();
	}
}

uint64_t lane_lwip_timers_next(const struct lane_lwip *lw)
{
	uint64_t next = UINT64_MAX;

	for (unsigned int i = 0; i < LANE_LWIP_NR_TMRS; i++)
		if (lw->tmr_us[i] && lw->tmr_us[i] < next)
			next = lw->tmr_us[i];
	return next;
}
