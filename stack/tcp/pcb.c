/*
 * pcb.c - TCP control blocks: making, finding and ending them
 */
#include "stack/tcp/super.h"
#include "stack/tcp/synq.h"

#include <netinet/in.h>

size_t lane_tcp_pcb_size(void)
{
	return sizeof(struct lane_tcp);
}

size_t lane_tcp_pace_size(void)
{
	return sizeof(struct lane_tcp_pace);
}

size_t lane_tcp_ip6_size(void)
{
	return sizeof(struct lane_tcp_ip6);
}

size_t lane_tcp_cold_size(void)
{
	return sizeof(struct lane_tcp_cold);
}

void lane_tcp_attach(struct lane *ln)
{
	ln->timers = (struct lane_timers){
		.wheel = &ln->st->wheel,
		.base = &ln->tcps[0].timer,
		.stride = sizeof(struct lane_tcp),
		.nr = ln->st->tcp_pool.nr,
	};
	ln->pace_timers = (struct lane_timers){
		.wheel = &ln->st->pace_wheel,
		.base = &ln->paces[0].timer,
		.stride = sizeof(struct lane_tcp_pace),
		.nr = ln->st->pace_pool.nr,
	};
}

struct lane_ip lane_tcp_local_ip(const struct lane *ln, const struct lane_tcp *pcb)
{
	return lane_tcp_ip(pcb->v6, ln->tcp_ip6s[lane_tcp_idx(ln, pcb)].local, pcb->local_w);
}

struct lane_ip lane_tcp_remote_ip(const struct lane *ln, const struct lane_tcp *pcb)
{
	return lane_tcp_ip(pcb->v6, ln->tcp_ip6s[lane_tcp_idx(ln, pcb)].remote, pcb->remote_w);
}

struct lane_ep lane_tcp_local_ep(const struct lane *ln, const struct lane_tcp *pcb)
{
	return (struct lane_ep){lane_tcp_local_ip(ln, pcb), pcb->local_port};
}

struct lane_ep lane_tcp_remote_ep(const struct lane *ln, const struct lane_tcp *pcb)
{
	return (struct lane_ep){lane_tcp_remote_ip(ln, pcb), pcb->remote_port};
}

int lane_tcp_update_path(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_ip local, remote;

	if (pcb->local_w && lane_path_is_fresh(ln, &pcb->path))
		return 0;
	local = lane_tcp_local_ip(ln, pcb);
	remote = lane_tcp_remote_ip(ln, pcb);
	return lane_path_update(ln, &pcb->path, &local, &remote);
}

void lane_tcp_set_eps(struct lane *ln, struct lane_tcp *pcb, const struct lane_ep *local,
		      const struct lane_ep *remote)
{
	struct lane_tcp_ip6 *ip6 = &ln->tcp_ip6s[lane_tcp_idx(ln, pcb)];

	pcb->local_w = local->ip.w[3];
	pcb->remote_w = remote->ip.w[3];
	pcb->local_port = local->port;
	pcb->remote_port = remote->port;
	pcb->v6 = !lane_ip_is4(&local->ip);
	if (!pcb->v6)
		return;
	memcpy(ip6->local, local->ip.w, sizeof(ip6->local));
	memcpy(ip6->remote, remote->ip.w, sizeof(ip6->remote));
}

void lane_tcp_reset_fields(struct lane_tcp *pcb)
{
	pcb->link = pcb->qprev = LANE_NIL;
	pcb->out_next = pcb->ev_next = pcb->x = LANE_NIL;
}

struct lane_tcp *lane_tcp_create(struct lane *ln, uint64_t cookie)
{
	uint32_t i = lane_pool_get(&ln->st->tcp_pool, ln->tcps, sizeof(struct lane_tcp));
	struct lane_tcp *pcb = lane_tcp_get(ln, i);

	if (!pcb)
		return NULL;
	lane_tcp_work(ln, pcb);
	lane_tcp_reset_fields(pcb);
	pcb->flags = LANE_TF_USED;
	pcb->cookie = cookie;
	memset(lane_tcp_cold(ln, pcb), 0, sizeof(struct lane_tcp_cold));
	lane_tcp_opts_fresh(ln, pcb);
	return pcb;
}

uint32_t lane_tcp_index(const struct lane *ln, const struct lane_tcp *pcb)
{
	return lane_tcp_idx(ln, pcb);
}

struct lane_tcp *lane_tcp_at(const struct lane *ln, uint32_t index)
{
	struct lane_tcp *pcb = lane_tcp_get(ln, index);

	return pcb && (pcb->flags & (LANE_TF_USED | LANE_TF_ORPHAN | LANE_TF_DEAD)) == LANE_TF_USED ?
		       pcb :
		       NULL;
}

void lane_tcp_set_cookie(struct lane_tcp *pcb, uint64_t cookie)
{
	pcb->cookie = cookie;
}

uint64_t lane_tcp_cookie(const struct lane_tcp *pcb)
{
	/* In a queue it is not the program's yet. */
	return pcb->flags & (LANE_TF_EMBRYO | LANE_TF_ACCQ) ? 0 : pcb->cookie;
}

/* ---- tables and claims ---- */

static uint32_t pcb_hash(const struct lane *ln, const struct lane_tcp *pcb)
{
	struct lane_ep l = lane_tcp_local_ep(ln, pcb), r = lane_tcp_remote_ep(ln, pcb);

	if (pcb->state == LANE_TCP_LISTEN)
		return lane_port_hash(&ln->st->key, IPPROTO_TCP, pcb->local_port);
	return lane_flow_hash(&ln->st->key, IPPROTO_TCP, &l, &r);
}

static struct lane_ftable *pcb_table(const struct lane *ln, const struct lane_tcp *pcb)
{
	return pcb->state == LANE_TCP_LISTEN ? ln->listeners : ln->conns;
}

static void tell_flow(struct lane *ln, const struct lane_tcp *pcb, bool on)
{
	struct lane_ep local = lane_tcp_local_ep(ln, pcb), remote = lane_tcp_remote_ep(ln, pcb);

	if (pcb->state != LANE_TCP_LISTEN)
		lane_tell_flow(ln, &local, &remote, on);
}

int lane_tcp_hash(struct lane *ln, struct lane_tcp *pcb)
{
	int r = lane_ftable_insert(pcb_table(ln, pcb), pcb_hash(ln, pcb), lane_tcp_idx(ln, pcb));

	if (r < 0)
		return r;
	pcb->flags |= LANE_TF_HASHED;
	tell_flow(ln, pcb, true);
	return 0;
}

void lane_tcp_unhash(struct lane *ln, struct lane_tcp *pcb)
{
	if (!(pcb->flags & LANE_TF_HASHED))
		return;
	lane_ftable_remove(pcb_table(ln, pcb), pcb_hash(ln, pcb), lane_tcp_idx(ln, pcb));
	pcb->flags &= ~LANE_TF_HASHED;
	tell_flow(ln, pcb, false);
}

bool lane_tcp_is(const struct lane *ln, const struct lane_tcp *pcb, const struct lane_ep *local,
		 const struct lane_ep *remote)
{
	const struct lane_tcp_ip6 *ip6 = &ln->tcp_ip6s[lane_tcp_idx(ln, pcb)];

	if (pcb->remote_port != remote->port || pcb->local_port != local->port ||
	    pcb->remote_w != remote->ip.w[3] || pcb->local_w != local->ip.w[3] ||
	    pcb->v6 == lane_ip_is4(&remote->ip))
		return false;
	return !pcb->v6 || (memcmp(ip6->remote, remote->ip.w, sizeof(ip6->remote)) == 0 &&
			    memcmp(ip6->local, local->ip.w, sizeof(ip6->local)) == 0);
}

struct lane_tcp *lane_tcp_find(const struct lane *ln, uint32_t hash, const struct lane_ep *local,
			       const struct lane_ep *remote)
{
	struct lane_ftable_iter it;
	uint32_t i = lane_ftable_first(ln->conns, hash, &it);

	for (; i != LANE_NIL; i = lane_ftable_next(ln->conns, &it)) {
		struct lane_tcp *pcb = lane_tcp_get(ln, i);

		if (pcb && lane_tcp_is(ln, pcb, local, remote))
			return pcb;
	}
	return NULL;
}

void lane_tcp_claim(struct lane *ln, struct lane_tcp *pcb, enum lane_claim_kind kind)
{
	struct lane_ep l = lane_tcp_local_ep(ln, pcb);

	lane_claim(ln, IPPROTO_TCP, &l, pcb->flags & LANE_TF_V6ONLY, kind);
	pcb->flags |= LANE_TF_CLAIMED;
}

void lane_tcp_unclaim(struct lane *ln, struct lane_tcp *pcb)
{
	if (!(pcb->flags & LANE_TF_CLAIMED))
		return;
	lane_unclaim(ln, IPPROTO_TCP, pcb->local_port,
		     pcb->state == LANE_TCP_LISTEN ? LANE_CLAIM_LISTEN : LANE_CLAIM_ANY);
	pcb->flags &= ~LANE_TF_CLAIMED;
}

/* ---- the end ---- */

void lane_tcp_free_frames(struct lane *ln, uint32_t head)
{
	struct lane_buf *b = lane_buf_at(&ln->bufs, head);

	while (b) {
		struct lane_buf *next = lane_buf_at(&ln->bufs, b->next);

		b->flags &= (uint8_t)~(LANE_BUF_SNDQ | LANE_BUF_MORE);
		b->next = LANE_NIL;
		lane_buf_free(&ln->bufs, b);
		b = next;
	}
}

static void free_rcvq(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	if (x->rcvq_head == LANE_NIL)
		return;
	lane_tcp_free_frames(ln, x->rcvq_head);
	x->rcvq_head = x->rcvq_tail = LANE_NIL;
	x->rcv_queued = 0;
}

/* What was to be sent, and what is known of it. */
static void free_sndq(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	if (pcb->x == LANE_NIL)
		return;
	lane_tcp_free_frames(ln, x->sndq_head);
	x->sndq_head = x->sndq_tail = x->snd_unsent = x->rtx_frame = LANE_NIL;
	x->nr_sndq = 0;
	memset(&x->rec, 0, sizeof(x->rec));
}

void lane_tcp_detach(struct lane *ln, struct lane_tcp *pcb)
{
	/* posix.md 71: what waits for accept is still accepted, so it stays in its queue. */
	lane_tcp_unhash(ln, pcb);
	lane_tcp_unclaim(ln, pcb);
	lane_timer_stop(&ln->timers, lane_tcp_idx(ln, pcb));
	lane_tcp_pace_put(ln, pcb);
	pcb->armed = 0;
	lane_tcp_forget_promise(ln, pcb);
	free_sndq(ln, pcb);
	lane_tcp_ooo_free(ln, pcb);
	pcb->flags &= ~(LANE_TF_ACK_NOW | LANE_TF_SYN_DUE | LANE_TF_RTX_HEAD | LANE_TF_PROBE_DUE);
	pcb->state = LANE_TCP_CLOSED;
}

static void free_slot(struct lane *ln, struct lane_tcp *pcb)
{
	uint32_t i = lane_tcp_idx(ln, pcb);

	if (pcb->flags & (LANE_TF_OUTPUT | LANE_TF_EVENTS))
		return;
	pcb->flags = 0;
	lane_pool_put(&ln->st->tcp_pool, ln->tcps, sizeof(*pcb), i);
}

void lane_tcp_free(struct lane *ln, struct lane_tcp *pcb)
{
	lane_tcp_unqueue(ln, pcb);
	lane_tcp_detach(ln, pcb);
	free_rcvq(ln, pcb);
	lane_tcp_x_put(ln, pcb);
	lane_tcp_opts_drop(ln, pcb);
	if (pcb->flags & LANE_TF_ORPHAN)
		ln->st->nr_orphans--;
	pcb->events = 0;
	pcb->flags |= LANE_TF_DEAD;
	free_slot(ln, pcb);
}

void lane_tcp_done(struct lane *ln, struct lane_tcp *pcb)
{
	/* Nobody holds an orphan, nor what its listener has not made known yet. */
	if (pcb->flags & (LANE_TF_ORPHAN | LANE_TF_EMBRYO))
		lane_tcp_free(ln, pcb);
	else
		lane_tcp_detach(ln, pcb);
}

void lane_tcp_fail(struct lane *ln, struct lane_tcp *pcb, int err)
{
	pcb->err = (uint8_t)err;
	pcb->flags |= LANE_TF_WAS_RESET | LANE_TF_WR_SHUT | LANE_TF_RD_SHUT;
	lane_tcp_notify(ln, pcb, LANE_EV_ERROR);
	lane_tcp_done(ln, pcb);
}

/* ---- lists ---- */

static void list_push(struct lane *ln, struct lane_list *l, struct lane_tcp *pcb, size_t link)
{
	struct lane_tcp *tail = lane_tcp_get(ln, l->tail);
	uint32_t i = lane_tcp_idx(ln, pcb);

	*(uint32_t *)((char *)pcb + link) = LANE_NIL;
	if (tail)
		*(uint32_t *)((char *)tail + link) = i;
	else
		l->head = i;
	l->tail = i;
}

static struct lane_tcp *list_pop(struct lane *ln, struct lane_list *l, size_t link)
{
	struct lane_tcp *pcb = lane_tcp_get(ln, l->head);

	if (!pcb)
		return NULL;
	l->head = *(uint32_t *)((char *)pcb + link);
	if (l->head == LANE_NIL)
		l->tail = LANE_NIL;
	return pcb;
}

void lane_tcp_notify(struct lane *ln, struct lane_tcp *pcb, uint8_t events)
{
	/* What is not accepted yet has no program; accept() looks at the state. */
	if (pcb->flags & (LANE_TF_ORPHAN | LANE_TF_EMBRYO | LANE_TF_ACCQ))
		return;
	pcb->events |= events;
	if (pcb->flags & LANE_TF_EVENTS)
		return;
	pcb->flags |= LANE_TF_EVENTS;
	list_push(ln, &ln->st->events, pcb, offsetof(struct lane_tcp, ev_next));
}

bool lane_tcp_event(struct lane *ln, struct lane_event *ev)
{
	struct lane_tcp *pcb;

	while ((pcb = list_pop(ln, &ln->st->events, offsetof(struct lane_tcp, ev_next))) != NULL) {
		pcb->flags &= ~LANE_TF_EVENTS;
		if (pcb->flags & LANE_TF_DEAD)
			free_slot(ln, pcb);
		else if (pcb->events && !(pcb->flags & LANE_TF_ORPHAN)) {
			*ev = (struct lane_event){
				.cookie = pcb->cookie,
				.index = lane_tcp_idx(ln, pcb),
				.proto = IPPROTO_TCP,
				.events = pcb->events,
			};
			pcb->events = 0;
			return true;
		}
	}
	return false;
}

void lane_tcp_want_output(struct lane *ln, struct lane_tcp *pcb)
{
	if (pcb->flags & (LANE_TF_OUTPUT | LANE_TF_DEAD))
		return;
	pcb->flags |= LANE_TF_OUTPUT;
	list_push(ln, &ln->st->output, pcb, offsetof(struct lane_tcp, out_next));
}

void lane_tcp_flush(struct lane *ln)
{
	struct lane_list todo = ln->st->output;
	struct lane_tcp *pcb;

	/* What wants to go again meanwhile is for the next turn: so this ends. */
	ln->st->output = (struct lane_list){LANE_NIL, LANE_NIL};
	while ((pcb = list_pop(ln, &todo, offsetof(struct lane_tcp, out_next))) != NULL) {
		pcb->flags &= ~LANE_TF_OUTPUT;
		if (pcb->flags & LANE_TF_DEAD) {
			free_slot(ln, pcb);
			continue;
		}
		lane_tcp_work(ln, pcb);
		lane_tcp_output(ln, pcb);
		if (ln->super.nr)
			lane_tcp_super_end(ln);
		lane_tcp_rearm(ln, pcb);
		lane_tcp_rest(ln, pcb);
	}
	ln->st->pcb_at_work = LANE_NIL;
}

void lane_tcp_init(struct lane *ln)
{
	struct lane_state *st = ln->st;

	lane_pool_init(&st->tcp_pool, ln->tcps, sizeof(struct lane_tcp), st->cfg.nr_tcp);
	lane_tcp_syn_init(ln);
	lane_pool_init(&st->tw_pool, ln->tws, lane_tcp_tw_size(), st->cfg.nr_tw);
	lane_wheel_init(&st->wheel, ln->now_us);
	lane_tcp_pace_init(ln);
	st->events = st->output = st->tw_order = (struct lane_list){LANE_NIL, LANE_NIL};
	st->pcb_at_work = LANE_NIL;
	lane_tcp_x_init(ln);
	lane_tcp_lq_init(ln);
	lane_tcp_opts_init(ln);
}

const char *lane_tcp_state_name(enum lane_tcp_state s)
{
	static const char *const name[LANE_TCP_STATES] = {
		[LANE_TCP_CLOSED] = "CLOSED",
		[LANE_TCP_LISTEN] = "LISTEN",
		[LANE_TCP_SYN_SENT] = "SYN_SENT",
		[LANE_TCP_SYN_RECEIVED] = "SYN_RECEIVED",
		[LANE_TCP_ESTABLISHED] = "ESTABLISHED",
		[LANE_TCP_FIN_WAIT_1] = "FIN_WAIT_1",
		[LANE_TCP_FIN_WAIT_2] = "FIN_WAIT_2",
		[LANE_TCP_CLOSE_WAIT] = "CLOSE_WAIT",
		[LANE_TCP_CLOSING] = "CLOSING",
		[LANE_TCP_LAST_ACK] = "LAST_ACK",
		[LANE_TCP_TIME_WAIT] = "TIME_WAIT",
	};

	return (unsigned int)s < LANE_TCP_STATES ? name[s] : "?";
}
