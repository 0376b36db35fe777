/*
 * engine.c - fuzzes a lane's input with live pcbs in every state
 *
 * The input is a program: four bytes of configuration, then steps until it ends. A step is a frame
 * (raw, or built from fields that are right but for what the input says), a call of a program, time
 * that passes, or something that befalls the lane's surroundings. After each step every invariant
 * is checked (lane_check()), and at the end all must be free again.
 *
 * Making a lane is slow beside running one, so it is made once and copied back before each input.
 * Claims are left out: they are large, and the driver is told which ones change.
 */
#include "tests/fuzz/engine.h"

#include "lane-int/tcp_info.h"

#define START_US    1000000
#define STEPS_MAX   96
#define REFRESH_MAX 1 /* looks at all ports */

struct world w;

static struct {
	struct lane ln;                       /* the handle as it was made */
	uint8_t *mem;                         /* the lane's memory as it was made */
	uint8_t *live;                        /* and as it is */
	size_t claims, behind_claims, frames; /* offsets */
} made;

static void fill_net(struct lane_nettab *nt)
{
	struct lane_mac mac = {{2, 0, 0, 0, 0, 2}};

	lane_net_write_begin(nt);
	nt->mac = (struct lane_mac){{2, 0, 0, 0, 0, 1}};
	nt->up = 1;
	nt->mtu = 1500;
	nt->port_min = 30000;
	nt->port_max = 30007;
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		struct lane_ip ip = engine_ip(false, v6), peer = engine_ip(true, v6);
		struct lane_net_route r = {.dst = ip, .plen = v6 ? 64 : 24};

		nt->addr[v6] = (struct lane_net_addr){.ip = ip, .plen = r.plen, .used = 1};
		r.dst.b[15] = 0;
		FUZZ_CHECK(lane_net_route_add(nt, &r) == 0);
		FUZZ_CHECK(lane_net_neigh_set(nt, &peer, &mac, false) == 0);
	}
	nt->addr[0].bcast = engine_ip(false, false);
	nt->addr[0].bcast.b[15] = 255;
	lane_net_write_end(nt, true);
}

/* Sockets that every input finds: a listener, a bound and a connected UDP socket. */
static void open_socks(struct lane *ln)
{
	struct lane_ep http = {.port = 80}, bound = {.port = 7000}, conn = {.port = 7001};
	struct lane_ep peer = {.ip = engine_ip(true, false), .port = PEER_PORT};

	w.sock[0].pcb = lane_tcp_create(ln, 0);
	FUZZ_CHECK(lane_tcp_listen(ln, w.sock[0].pcb, &http, false, 3) == 0);
	for (unsigned int i = 0; i < 2; i++) {
		w.udp[i] = lane_udp_create(ln, i);
		FUZZ_CHECK(lane_udp_bind(ln, w.udp[i], i ? &conn : &bound, false) == 0);
	}
	FUZZ_CHECK(lane_udp_connect(ln, w.udp[1], &peer) == 0);
}

static void make(void)
{
	struct lane_config cfg;
	struct lane *ln;
	size_t size;

	lane_config_default(&cfg);
	cfg.nr_bufs = NR_BUFS;
	cfg.nr_tcp = 20;
	cfg.nr_tcp_x = 8; /* few, so that they run out */
	cfg.nr_listen = 4;
	cfg.nr_pace = 4;
	cfg.nr_syn = 8;
	cfg.nr_tw = 4;
	cfg.nr_udp = 6;
	size = lane_size(&cfg);
	made.mem = aligned_alloc(4096, size);
	made.live = aligned_alloc(4096, size);
	FUZZ_CHECK(made.mem && made.live);
	memset(made.live, 0, size);
	ln = lane_create(&cfg, made.live, START_US);
	FUZZ_CHECK(ln);
	w.drv.q = (struct lane_queue){.drv = &engine_driver, .bufs = lane_bufs(ln)};
	FUZZ_CHECK(lane_add_queue(ln, &w.drv.q) == 0);
	fill_net(lane_nettab(ln));
	open_socks(ln);
	memcpy(made.mem, made.live, size);
	made.claims = ln->st->at.claims;
	made.behind_claims = made.claims + 2 * 65536 * sizeof(struct lane_claim_count);
	made.frames = ln->st->at.frames;
	made.ln = *ln;
	w.ln = ln;
}

static void restore(void)
{
	static struct world fresh;

	if (!made.mem) {
		make();
		fresh = w;
		fresh.now_us = START_US;
	}
	memcpy(made.live, made.mem, made.claims);
	memcpy(made.live + made.behind_claims, made.mem + made.behind_claims,
	       made.frames - made.behind_claims);
	for (unsigned int i = 0; i < w.drv.nr_claimed; i++) {
		size_t at =
			made.claims + sizeof(struct lane_claim_count) *
					      ((w.drv.claimed[i].proto == LANE_PROTO_UDP) * 65536U +
					       w.drv.claimed[i].port);

		memcpy(made.live + at, made.mem + at, sizeof(struct lane_claim_count));
	}
	w = fresh;
	w.drv.room = LANE_BURST;
	w.max_mtu = 1500;
	*w.ln = made.ln;
	for (unsigned int i = 0; i < NR_PEERS; i++)
		w.peer[i] = (struct peer){.lane_port = 80, .seq = PEER_ISS};
}

static void configure(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	static const char *const ccs[] = {"cubic", "reno", "dctcp", "bbr"};
	static const uint32_t mems[] = {524288, 131072, 16384, 4608};
	struct lane_config *cfg = &w.ln->st->cfg;
	int cc = lane_cc_find(ccs[a >> 4 & 3]);

	cfg->timestamps = !(a & 1);
	cfg->window_scaling = !(a & 2);
	cfg->listen_spill = !!(a & 4);
	w.drv.q.caps = a & 8 ? LANE_CAP_TX_CSUM : 0;
	cfg->cc = cc < 0 ? 0 : (uint8_t)cc;
	w.drv.hold = a & 0x40;
	w.drv.piece = (uint16_t[]){0, 300, 120, 64}[b & 3];
	cfg->tcp_rmem[1] = cfg->tcp_wmem[1] = cfg->rmem_default = mems[b >> 2 & 3];
	cfg->rto_min_us = b & 0x10 ? 5000 : 200000;
	cfg->time_wait_us = b & 0x20 ? 1000 : 60000000;
	cfg->retries2 = b & 0x40 ? 3 : 15;
	cfg->sack = !(c & 1);
	cfg->dsack = !(c & 2);
	cfg->ecn = (uint8_t[]){2, 0, 1, 3}[c >> 2 & 3];
	cfg->syncookies = (uint8_t[]){1, 0, 2, 1}[c >> 4 & 3];
	cfg->abort_on_overflow = !!(c & 0x40);
	cfg->tw_reuse = !!(c & 0x80);
	cfg->mtu_probing = d % 3;
	cfg->moderate_rcvbuf = !(d & 4);
	cfg->slow_start_after_idle = !(d & 8);
	cfg->rcv_fast = d & 8 ? 1 : 1500000;
	cfg->rcv_large = d & 8 ? 2304 : 256 << 10;
	if (d & 0x10)
		cfg->max_orphans = 2;
	if (d & 0x20)
		cfg->max_syn_backlog = 2;
	if (d & 0x40)
		cfg->mtu_expires_us = 100000;
	if (d & 0x80)
		cfg->notsent_lowat = 4096;
}

void engine_turn(void)
{
	struct lane_event ev;

	lane_poll(w.ln, w.now_us);
	while (lane_event(w.ln, &ev)) {
		if (ev.proto == LANE_PROTO_TCP)
			FUZZ_CHECK(lane_tcp_at(w.ln, ev.index));
		else
			FUZZ_CHECK(lane_udp_at(w.ln, ev.index));
	}
	lane_flush(w.ln);
	lane_check(w.ln);
}

/* Up to the next timer, or by a power of two of microseconds. */
static void time_step(struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in);
	uint64_t next = lane_next_timer(w.ln);

	if (how < 0x80)
		w.now_us += (1ULL << (how & 31)) + (how >> 5);
	else if (next != UINT64_MAX && next > w.now_us)
		w.now_us = next + (how & 0x7f);
}

static void net_step(struct fuzz_in *in)
{
	static const uint32_t mtus[] = {1500, 1400, 1280, 576, 296, 1850, 9000, 68};
	uint8_t what = fuzz_u8(in), n = fuzz_u8(in);
	bool v6 = what & 0x10;
	struct lane_nettab *nt = lane_nettab(w.ln);
	struct lane_ip peer = engine_ip(true, v6);
	struct lane_mac mac = {{2, 0, 0, 0, 0, (uint8_t)(2 + (n & 1))}};

	lane_net_write_begin(nt);
	switch (what & 7) {
	case 0:
		lane_net_neigh_set(nt, &peer, NULL, false);
		break;
	case 1:
		lane_net_neigh_set(nt, &peer, &mac, n & 2);
		break;
	case 2:
		nt->mtu = mtus[n & 7];
		if (nt->mtu > w.max_mtu)
			w.max_mtu = nt->mtu;
		break;
	case 3:
		nt->addr[v6].used = n & 1;
		break;
	case 4:
		nt->nr_routes = n & 3 ? 2 : 0; /* the entries stay */
		break;
	default:
		nt->route[v6].kind = n % 3;
	}
	lane_net_write_end(nt, (what & 7) > 1);
	if ((what & 7) == 3 && w.nr_refreshed++ < REFRESH_MAX)
		lane_claim_refresh(w.ln);
}

/* A member has died, perhaps in the middle of a call about one connection. */
static void death_step(struct fuzz_in *in)
{
	const uint64_t live[LANE_OWNERS / 64] = {1};
	uint8_t i = fuzz_u8(in);

	if (w.nr_refreshed++ >= REFRESH_MAX)
		return;
	engine_turn();
	w.ln->st->pcb_at_work = i < w.ln->st->tcp_pool.nr ? i : LANE_NIL;
	lane_recover(w.ln, live);
	w.ln->st->pcb_at_work = LANE_NIL;
}

static void step(struct fuzz_in *in)
{
	static void (*const steps[16])(struct fuzz_in *) = {
		engine_segment,  engine_segment,  engine_segment,  engine_segment,
		engine_tcp_call, engine_tcp_call, engine_tcp_call, engine_handshake,
		time_step,       engine_udp_call, engine_datagram, engine_fragment,
		engine_icmp,     engine_raw,      net_step,        engine_driver_step,
	};
	uint8_t op = fuzz_u8(in);

	if (op == 0xff)
		death_step(in);
	else
		steps[op & 15](in);
	/* Several frames may come in one burst. */
	if ((op & 0x10) && w.drv.nr_rx < LANE_BURST)
		lane_check(w.ln);
	else
		engine_turn();
}

/* All sockets are closed and all time-outs pass: everything must be free. */
static void end(bool reset)
{
	const struct lane_state *st = w.ln->st;

	engine_turn();
	engine_close_all(reset);
	for (unsigned int i = 0; i < 100; i++) {
		engine_driver_release();
		w.now_us += 100000000;
		engine_turn();
		if (st->bufs.nr_free == st->bufs.nr && st->tcp_pool.nr_used == 0 &&
		    st->syn_pool.nr_used == 0 && st->tw_pool.nr_used == 0)
			break;
	}
	engine_driver_release();
	FUZZ_CHECK(st->tcp_pool.nr_used == 0 && st->tw_pool.nr_used == 0 &&
		   st->udp_pool.nr_used == 0);
	FUZZ_CHECK(st->syn_pool.nr_used == 0);
	FUZZ_CHECK(st->bufs.nr_free == st->bufs.nr);
	FUZZ_CHECK(st->nr_reass == 0 && st->nr_txq == 0 && st->nr_pending == 0 &&
		   st->nr_orphans == 0);
	FUZZ_CHECK(st->events.head == LANE_NIL && st->output.head == LANE_NIL);
	for (unsigned int i = 0; i < w.drv.nr_claimed; i++)
		FUZZ_CHECK(lane_claim_is_free(w.ln, w.drv.claimed[i].proto, w.drv.claimed[i].port));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	uint8_t a, b, c;

	restore();
	a = fuzz_u8(&in);
	b = fuzz_u8(&in);
	c = fuzz_u8(&in);
	configure(a, b, c, fuzz_u8(&in));
	for (unsigned int i = 0; i < STEPS_MAX && in.left; i++)
		step(&in);
	end(b & 0x80);
	return 0;
}
