/*
 * fake_lane.c - an arena in plain memory, and a lane whose sockets are what the test says
 */
#include "fake_lane.h"

struct fake fake;
static struct lane_bufs bufs; /* none */

void fake_reset(void)
{
	uint32_t i;

	memset(&fake, 0, sizeof(fake));
	fake.view = (struct shim_view){
		.a = &fake.arena,
		.socks = fake.socks,
		.eps = fake.eps,
		.watches = fake.watches,
		.nr_socks = FAKE_NR,
		.nr_eps = FAKE_NR,
		.nr_watches = 4 * FAKE_NR,
	};
	fake.arena.nr_socks = FAKE_NR;
	fake.arena.nr_eps = FAKE_NR;
	fake.arena.nr_watches = 4 * FAKE_NR;
	for (i = 0; i < FAKE_NR; i++) {
		fake.socks[i].free_link = i + 1 < FAKE_NR ? i + 1 : LANE_NIL;
		fake.eps[i].free_link = i + 1 < FAKE_NR ? i + 1 : LANE_NIL;
	}
	for (i = 0; i < 4 * FAKE_NR; i++)
		fake.watches[i].free_link = i + 1 < 4 * FAKE_NR ? i + 1 : LANE_NIL;
}

uint32_t fake_sock(enum shim_sock_kind kind, uint32_t pcb)
{
	uint32_t i = shim_sock_alloc(&fake.view);

	fake.socks[i].kind = (uint8_t)kind;
	fake.socks[i].pcb = pcb;
	fake.socks[i].rows = 1;
	return i;
}

uint32_t fake_ep(void)
{
	uint32_t i = shim_ep_alloc(&fake.view);

	fake.eps[i].rows = 1;
	return i;
}

/* ---- what ready.c calls of the lane ---- */

uint64_t shim_now_us(void)
{
	return fake.now_us;
}

struct lane_tcp *lane_tcp_at(const struct lane *ln, uint32_t i)
{
	return i < FAKE_NR ? (struct lane_tcp *)&fake.tcp[i] : NULL;
}

void lane_tcp_get_status(const struct lane *ln, const struct lane_tcp *pcb,
			 struct lane_tcp_status *st)
{
	*st = *(const struct lane_tcp_status *)pcb;
}

void lane_tcp_get_rcv_status(const struct lane *ln, const struct lane_tcp *pcb,
			     struct lane_tcp_status *st)
{
	*st = *(const struct lane_tcp_status *)pcb;
	st->writable = false;
}

void lane_tcp_want_space(struct lane *ln, struct lane_tcp *pcb)
{
	fake.nr_want_space++;
}

void lane_tcp_get_opts(const struct lane *ln, const struct lane_tcp *pcb, struct lane_tcp_opts_set *o)
{
	memset(o, 0, sizeof(*o));
	o->oobinline = fake.oobinline;
}

void lane_tcp_put(struct lane *ln, struct lane_tcp *pcb)
{
	fake.nr_put++;
}

void lane_tcp_abort(struct lane *ln, struct lane_tcp *pcb)
{
	fake.nr_abort++;
}

struct lane_udp *lane_udp_at(const struct lane *ln, uint32_t i)
{
	return (struct lane_udp *)&fake;
}

uint32_t lane_udp_nr_errors(const struct lane_udp *pcb)
{
	(void)pcb;
	return 0;
}

int lane_udp_err(const struct lane_udp *pcb)
{
	return fake.udp_err;
}

uint32_t lane_udp_nr_queued(const struct lane_udp *pcb)
{
	return fake.udp_queued;
}

void lane_udp_put(struct lane *ln, struct lane_udp *pcb)
{
	fake.nr_put++;
}

bool lane_event(struct lane *ln, struct lane_event *ev)
{
	if (!fake.nr_events)
		return false;
	*ev = fake.events[--fake.nr_events];
	return true;
}

unsigned int lane_poll(struct lane *ln, uint64_t now_us)
{
	return 0;
}

uint32_t lane_flush(struct lane *ln)
{
	return 0;
}

struct lane_bufs *lane_bufs(struct lane *ln)
{
	return &bufs;
}

void lane_buf_free(struct lane_bufs *bs, struct lane_buf *b)
{
}
