/*
 * world.c - two lanes on virtual time, joined by a cable (see world.h)
 */
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>

#define START_US    1000000
#define TURNS_BOUND 10000000

static void fail_unless(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "world: %s\n", what);
	abort();
}

struct lane_mac world_mac(unsigned int i)
{
	return (struct lane_mac){{0x02, 0, 0, 0, 0, (uint8_t)(i + 1)}};
}

struct lane_ip world_ip(unsigned int i, bool v6)
{
	struct lane_ip ip = lane_ip4(0);

	if (v6) {
		memset(&ip, 0, sizeof(ip));
		ip.b[0] = 0xfd;
	} else {
		ip.b[12] = 10;
	}
	ip.b[15] = (uint8_t)(i + 1);
	return ip;
}

void world_config_default(struct world_config *cfg)
{
	memset(cfg, 0, sizeof(*cfg));
	for (unsigned int i = 0; i < 2; i++) {
		struct lane_config *c = &cfg->lane[i];

		lane_config_default(c);
		c->nr_bufs = 1024;
		c->nr_tcp = 64;
		c->nr_tw = 64;
		c->nr_udp = 16;
		c->nr_pace = 64;
		c->seed = 1 + i;
		c->hash_key[0] = 0x1234 + i;
		c->hash_key[1] = 0x5678;
	}
	cfg->mtu = 1500;
	cfg->start_us = START_US;
}

void world_set_neighbour(struct world *w, unsigned int i, bool known)
{
	struct lane_nettab *t = lane_nettab(w->ln[i]);
	struct lane_mac mac = world_mac(!i);

	lane_net_write_begin(t);
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		struct lane_ip ip = world_ip(!i, v6);

		fail_unless(lane_net_neigh_set(t, &ip, known ? &mac : NULL, false) == 0,
			    "neighbour");
	}
	lane_net_write_end(t, false);
}

static void fill_net(struct world *w, unsigned int i)
{
	struct lane_nettab *t = lane_nettab(w->ln[i]);

	lane_net_write_begin(t);
	t->mac = world_mac(i);
	t->up = 1;
	t->mtu = w->cfg.mtu;
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		struct lane_net_route r = {.dst = world_ip(i, v6), .plen = v6 ? 64 : 24};

		t->addr[v6] = (struct lane_net_addr){.ip = r.dst, .plen = r.plen, .used = 1};
		if (!v6) {
			t->addr[v6].bcast = r.dst;
			t->addr[v6].bcast.b[15] = 0xff;
		}
		r.dst.b[15] = 0;
		fail_unless(lane_net_route_add(t, &r) == 0, "route");
	}
	lane_net_write_end(t, true);
}

static void open_lane(struct world *w, unsigned int i)
{
	size_t size = lane_size(&w->cfg.lane[i]);

	w->mem[i] = aligned_alloc(4096, size);
	fail_unless(w->mem[i] != NULL, "memory");
	memset(w->mem[i], 0, size);
	w->ln[i] = lane_create(&w->cfg.lane[i], w->mem[i], w->now_us);
	fail_unless(w->ln[i] != NULL, "lane");
	fill_net(w, i);
}

void world_open(struct world *w, const struct world_config *cfg)
{
	memset(w, 0, sizeof(*w));
	w->cfg = *cfg;
	w->now_us = cfg->start_us;
	w->cfg.pair.now_us = &w->now_us;
	for (unsigned int i = 0; i < 2; i++)
		open_lane(w, i);
	w->pair = lane_pair_create(&w->cfg.pair, lane_bufs(w->ln[0]), lane_bufs(w->ln[1]));
	fail_unless(w->pair != NULL, "cable");
	for (unsigned int i = 0; i < 2; i++) {
		struct lane_queue *q = lane_pair_queue(w->pair, i);

		if (cfg->faulty) {
			w->cfg.fault[i].now_us = &w->now_us;
			fail_unless(lane_fault_open(&w->cfg.fault[i], q, &w->fault[i]) == 0,
				    "fault");
			q = w->fault[i];
		}
		fail_unless(lane_add_queue(w->ln[i], q) == 0, "queue");
		if (!cfg->no_neighbours)
			world_set_neighbour(w, i, true);
	}
}

void world_close(struct world *w)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct lane_queue *q = lane_queue(w->ln[i], 0);

		q->drv->close(q);
	}
	lane_pair_destroy(w->pair);
	for (unsigned int i = 0; i < 2; i++) {
		lane_detach(w->ln[i]);
		free(w->mem[i]);
	}
}

unsigned int world_turn(struct world *w)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < 2; i++) {
		nr += lane_poll(w->ln[i], w->now_us);
		lane_kick(w->ln[i], lane_flush(w->ln[i]));
	}
	return nr;
}

uint64_t world_next(const struct world *w)
{
	uint64_t at = lane_pair_next(w->pair);

	for (unsigned int i = 0; i < 2; i++) {
		uint64_t timer = lane_next_timer(w->ln[i]);
		uint64_t fault = w->fault[i] ? lane_fault_next(w->fault[i]) : UINT64_MAX;

		at = timer < at ? timer : at;
		at = fault < at ? fault : at;
	}
	return at;
}

void world_run(struct world *w, uint64_t us)
{
	uint64_t end = w->now_us + us, next;

	for (unsigned int n = 0; n < TURNS_BOUND; n++) {
		if (world_turn(w))
			continue;
		next = world_next(w);
		if (next > end)
			break;
		w->now_us = next > w->now_us ? next : w->now_us + 1;
	}
	w->now_us = end;
	world_turn(w);
}
