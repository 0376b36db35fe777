/*
 * happen.c - what befalls a run from outside: a dead link, an address or a neighbour that is gone
 * for a while, a smaller MTU, a receiver that reneges, a member of the lane that dies
 *
 * All of it is shorter than what a connection must survive (tcp.md 4): it is no excuse for an
 * error.
 */
#include "stack/tcp/pcb.h"
#include "tests/sim/sim.h"

#define LONGEST_US 8000000

void sim_draw_happening(struct sim *s)
{
	s->happening = SIM_NOTHING;
	if (sim_below(s, 3))
		return;
	s->happening = 1 + sim_below(s, SIM_HAPPENINGS - 1);
	s->happens_to = sim_below(s, 2);
	s->happens_us = s->t0_us + (1u << sim_below(s, 22));
	s->happens_until_us = s->happens_us + 1 + sim_below(s, LONGEST_US);
}

static void set_loss(struct sim *s, bool dead)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct lane_fault_config cfg = s->w.cfg.fault[i];

		if (!s->w.fault[i])
			continue;
		if (dead)
			cfg.loss = 1000000;
		lane_fault_set(s->w.fault[i], &cfg);
	}
}

static void set_addrs(struct lane_nettab *t, bool there)
{
	lane_net_write_begin(t);
	t->addr[0].used = t->addr[1].used = there;
	t->nr_routes = there ? 2 : 0; /* the entries stay as they were */
	lane_net_write_end(t, true);
}

static void set_mtu(struct lane_nettab *t, uint32_t mtu)
{
	lane_net_write_begin(t);
	t->mtu = mtu;
	lane_net_write_end(t, true);
}

/* RFC 2018 8: a receiver may. */
static void renege(struct lane *ln)
{
	for (uint32_t i = 0; i < ln->st->tcp_pool.nr; i++) {
		struct lane_tcp *pcb = &ln->tcps[i];

		if ((pcb->flags & LANE_TF_USED) && !(pcb->flags & LANE_TF_DEAD) &&
		    pcb->state != LANE_TCP_LISTEN)
			lane_tcp_ooo_free(ln, pcb);
	}
}

void sim_forget_sack(struct sim *s)
{
	for (unsigned int k = 0; k < 2 && s->no_sack; k++) {
		for (uint32_t i = 0; i < s->w.ln[k]->st->tcp_pool.nr; i++)
			s->w.ln[k]->tcps[i].flags &= ~LANE_TF_SACK;
	}
}

static void change(struct sim *s, bool begins)
{
	struct lane_nettab *t = lane_nettab(s->w.ln[s->happens_to]);

	sim_log(s, "lane %u: happening %d %s", s->happens_to, (int)s->happening,
		begins ? "begins" : "ends");
	switch (s->happening) {
	case SIM_DEAD_LINK:
		set_loss(s, begins);
		break;
	case SIM_ADDRS_GONE:
		set_addrs(t, !begins);
		break;
	case SIM_NEIGHBOUR_GONE:
		world_set_neighbour(&s->w, s->happens_to, !begins);
		break;
	case SIM_RENEGE:
		renege(s->w.ln[s->happens_to]);
		break;
	case SIM_DEAD_MEMBER:
		if (begins)
			lane_recover(s->w.ln[s->happens_to], 0);
		break;
	case SIM_SMALLER_MTU:
		set_mtu(t, begins ? 1280 : s->w.cfg.mtu);
		break;
	default:
		break;
	}
}

void sim_happen(struct sim *s)
{
	if (s->happening == SIM_NOTHING)
		return;
	if (!s->happens && s->w.now_us >= s->happens_us) {
		change(s, true);
		s->happens = true;
	}
	if (s->happens && s->w.now_us >= s->happens_until_us) {
		change(s, false);
		s->happens = false;
		s->happening = SIM_NOTHING;
	}
}

uint64_t sim_next_happening(const struct sim *s)
{
	if (s->happening == SIM_NOTHING)
		return UINT64_MAX;
	return s->happens ? s->happens_until_us : s->happens_us;
}
