/*
 * udp.c - UDP sockets of a lane: the API of lane/udp.h
 *
 * Sending is send.c's, memberships of groups are group.c's. Sending to groups is the kernel's (-EXDEV).
 */
#include <errno.h>

#include "stack/udp/pcb.h"
#include "stack/wire/udp.h"

#define PORT_TRIES     64

size_t lane_udp_pcb_size(void)
{
	return sizeof(struct lane_udp);
}

void lane_udp_init(struct lane *ln)
{
	lane_pool_init(&ln->st->udp_pool, ln->udps, sizeof(struct lane_udp), ln->st->cfg.nr_udp);
}

struct lane_udp *lane_udp_create(struct lane *ln, uint64_t cookie)
{
	uint32_t i = lane_pool_get(&ln->st->udp_pool, ln->udps, sizeof(struct lane_udp));
	struct lane_udp *pcb;

	if (i == LANE_NIL)
		return NULL;
	pcb = &ln->udps[i];
	pcb->used = 1;
	pcb->cookie = cookie;
	pcb->rcvbuf = ln->st->cfg.rmem_default;
	pcb->rcv_head = pcb->rcv_tail = pcb->ev_next = LANE_NIL;
	pcb->err_head = pcb->err_tail = LANE_NIL;
	pcb->pmtudisc[0] = pcb->pmtudisc[1] = LANE_PMTUDISC_WANT;
	return pcb;
}

uint32_t lane_udp_index(const struct lane *ln, const struct lane_udp *pcb)
{
	return (uint32_t)(pcb - ln->udps);
}

struct lane_udp *lane_udp_at(const struct lane *ln, uint32_t index)
{
	return index < ln->st->cfg.nr_udp && ln->udps[index].used ? &ln->udps[index] : NULL;
}

uint64_t lane_udp_cookie(const struct lane_udp *pcb)
{
	return pcb->cookie;
}

/* ---- events ---- */

void lane_udp_raise(struct lane *ln, struct lane_udp *pcb, uint8_t events)
{
	struct lane_list *list = &ln->st->udp_events;
	uint32_t i = lane_udp_index(ln, pcb);

	pcb->events |= events;
	if (pcb->listed)
		return;
	pcb->listed = 1;
	pcb->ev_next = LANE_NIL;
	if (list->tail == LANE_NIL)
		list->head = i;
	else
		ln->udps[list->tail].ev_next = i;
	list->tail = i;
}

bool lane_udp_event(struct lane *ln, struct lane_event *ev)
{
	struct lane_list *list = &ln->st->udp_events;
	struct lane_udp *pcb;

	if (list->head == LANE_NIL)
		return false;
	pcb = &ln->udps[list->head];
	ev->index = list->head;
	ev->cookie = pcb->cookie;
	ev->proto = LANE_PROTO_UDP;
	ev->events = pcb->events;
	list->head = pcb->ev_next;
	if (list->head == LANE_NIL)
		list->tail = LANE_NIL;
	pcb->events = 0;
	pcb->listed = 0;
	return true;
}

/* Takes a pcb that goes out of the list of events. */
static void unlist(struct lane *ln, struct lane_udp *pcb)
{
	struct lane_list *list = &ln->st->udp_events;
	uint32_t me = lane_udp_index(ln, pcb), prev = LANE_NIL;

	if (!pcb->listed)
		return;
	for (uint32_t i = list->head; i != LANE_NIL && i != me; i = ln->udps[i].ev_next)
		prev = i;
	if (prev == LANE_NIL)
		list->head = pcb->ev_next;
	else
		ln->udps[prev].ev_next = pcb->ev_next;
	if (list->tail == me)
		list->tail = prev;
	pcb->listed = 0;
}

/* ---- bind and connect ---- */

uint32_t lane_udp_mask(const struct lane *ln, unsigned int ifi, uint16_t port, uint32_t more)
{
	uint32_t hash = lane_port_hash(&ln->st->key, LANE_PROTO_UDP, port), mask[2] = {more, 0};
	struct lane_ftable_iter it;

	for (uint32_t i = lane_ftable_first(ln->udp_table, hash, &it); i != LANE_NIL;
	     i = lane_ftable_next(ln->udp_table, &it)) {
		const struct lane_udp *pcb = lane_udp_at(ln, i);

		if (pcb && pcb->local.port == port)
			mask[pcb->retired] |= lane_ifs_addr_mask(ln, ifi, &pcb->local.ip, pcb->v6only);
	}
	return mask[0] & ~mask[1];
}

void lane_udp_retire(struct lane *ln, struct lane_udp *pcb)
{
	pcb->retired = 1;
	if (pcb->local.port)
		lane_claim_again(ln, LANE_PROTO_UDP, pcb->local.port);
}

int lane_udp_bind(struct lane *ln, struct lane_udp *pcb, const struct lane_ep *local, bool v6only)
{
	uint32_t hash = lane_port_hash(&ln->st->key, LANE_PROTO_UDP, local->port);
	int r;

	if (local->port == 0 || pcb->local.port)
		return -EINVAL;
	if (!lane_ip_is_any(&local->ip) && lane_ifs_addr(ln, &local->ip) < 0 && !lane_udp_is_multicast(&local->ip))
		return -EADDRNOTAVAIL;
	r = lane_ftable_insert(ln->udp_table, hash, lane_udp_index(ln, pcb));
	if (r)
		return r;
	pcb->local = *local;
	pcb->v6only = v6only;
	lane_claim(ln, LANE_PROTO_UDP, local, v6only, LANE_CLAIM_ANY);
	return 0;
}

/* A port of the lane's own range that no socket has (RFC 6056 3.3.1: a random one). */
int lane_udp_bind_auto(struct lane *ln, struct lane_udp *pcb, bool is4)
{
	const struct lane_nettab *t = ln->net;
	struct lane_ep any = {.ip = is4 ? lane_ip4(0) : (struct lane_ip){.d = {0, 0}}};

	for (unsigned int n = 0; n < PORT_TRIES; n++) {
		any.port = (uint16_t)(t->port_min +
				      lane_rng_below(&ln->st->rng, t->port_max - t->port_min + 1u));
		if (any.port && lane_claim_is_free(ln, LANE_PROTO_UDP, any.port))
			return lane_udp_bind(ln, pcb, &any, false);
	}
	return -EADDRINUSE;
}

static void disconnect(struct lane *ln, struct lane_udp *pcb)
{
	if (!pcb->connected)
		return;
	lane_ftable_remove(ln->udp_table, pcb->flow_hash, lane_udp_index(ln, pcb));
	pcb->connected = 0;
	if (pcb->auto_local)
		pcb->local.ip = pcb->auto_local == 4 ? lane_ip4(0) : (struct lane_ip){.d = {0, 0}};
	pcb->auto_local = 0;
	memset(&pcb->remote, 0, sizeof(pcb->remote));
}

int lane_udp_connect(struct lane *ln, struct lane_udp *pcb, const struct lane_ep *remote)
{
	struct lane_net_hop hop;
	int r;

	disconnect(ln, pcb);
	if (!remote)
		return 0;
	r = lane_ifs_route(ln, 0, &remote->ip, &pcb->local.ip, &hop);
	if (r < 0)
		return r;
	if (!pcb->local.port) {
		r = lane_udp_bind_auto(ln, pcb, lane_ip_is4(&remote->ip));
		if (r)
			return r;
	}
	if (lane_ip_is_any(&pcb->local.ip)) {
		/* Remembers which any-address it was. */
		pcb->auto_local = lane_ip_is4(&pcb->local.ip) ? 4 : 6;
		pcb->local.ip = hop.src;
	}
	pcb->remote = *remote;
	pcb->flow_hash = lane_flow_hash(&ln->st->key, LANE_PROTO_UDP, &pcb->local, remote);
	pcb->connected = 1;
	return lane_ftable_insert(ln->udp_table, pcb->flow_hash, lane_udp_index(ln, pcb));
}

/* ---- receiving ---- */

static int copy_plain(void *dst, const void *src, size_t len)
{
	memcpy(dst, src, len);
	return 0;
}

/* Reads the headers that the first frame of a datagram still has in front of its payload. */
static void get_msg(const struct lane *ln, const struct lane_buf *b, struct lane_udp_msg *msg)
{
	const uint8_t *frame = lane_buf_frame(&ln->bufs, b), *ip;
	struct lane_udp_hdr h = {0};
	struct lane_ip_info info = {0};

	*msg = (struct lane_udp_msg){.len = b->user};
	/* The record lies in memory that others may write. */
	if (b->l3_off >= b->l4_off || b->l4_off + sizeof(h) > ln->bufs.size)
		return;
	ip = frame + b->l3_off;
	lane_ip_parse(ip, b->l4_off - b->l3_off, LANE_UDP_MAX + 40, &info);
	memcpy(&h, frame + b->l4_off, sizeof(h));
	msg->remote = (struct lane_ep){.ip = info.src, .port = lane_be16_get(h.sport)};
	msg->local = info.dst;
	msg->tos = info.tos;
	msg->ttl = info.ttl;
	msg->nr_dropped = b->seq;
	msg->rx_us = b->tx_us;
}

static int copy_out(const struct lane *ln, const struct lane_buf *b, void *dst, size_t len,
		    lane_copy_fn copy)
{
	size_t done = 0;

	while (done < len) {
		size_t n = b->len < len - done ? b->len : len - done;
		int r = n ? copy((char *)dst + done, lane_buf_data(&ln->bufs, b), n) : 0;

		if (r)
			return r;
		done += n;
		b = b->flags & LANE_BUF_MORE ? lane_buf_at(&ln->bufs, b->next) : NULL;
		if (!b)
			break;
	}
	return 0;
}

ssize_t lane_udp_read(struct lane *ln, struct lane_udp *pcb, void *dst, size_t len, bool peek,
		      struct lane_udp_msg *msg, lane_copy_fn copy)
{
	struct lane_buf *b = pcb->nr_rcv ? lane_buf_at(&ln->bufs, pcb->rcv_head) : NULL;
	int r;

	if (pcb->err)
		return -lane_udp_take_error(pcb);
	if (!b)
		return -EAGAIN;
	if (len > b->user)
		len = b->user;
	r = copy_out(ln, b, dst, len, copy ? copy : copy_plain);
	if (r)
		return r;
	if (msg)
		get_msg(ln, b, msg);
	if (!peek)
		lane_udp_pop(ln, pcb);
	return (ssize_t)len;
}

/* The first datagram of the queue may go behind what 'm' tells of: one sender, no larger. */
static bool goes_behind(const struct lane *ln, const struct lane_udp *pcb,
			const struct lane_udp_msg *m, uint32_t size, size_t left)
{
	const struct lane_buf *b = pcb->nr_rcv ? lane_buf_at(&ln->bufs, pcb->rcv_head) : NULL;
	struct lane_udp_msg o;

	if (!b || b->user == 0 || b->user > size || b->user > left)
		return false;
	get_msg(ln, b, &o);
	return o.remote.port == m->remote.port && lane_ip_equal(&o.remote.ip, &m->remote.ip) &&
	       lane_ip_equal(&o.local, &m->local) && o.tos == m->tos && o.ttl == m->ttl;
}

ssize_t lane_udp_read_joined(struct lane *ln, struct lane_udp *pcb, void *dst, size_t len,
			     struct lane_udp_msg *msg, uint16_t *size, lane_copy_fn copy)
{
	ssize_t r = lane_udp_read(ln, pcb, dst, len, false, msg, copy);
	uint32_t first = msg->len, last = first;
	struct lane_udp_msg next;
	size_t got = (size_t)r;

	*size = 0;
	if (r < 0 || msg->len > len)
		return r;
	for (unsigned int n = 1; n < LANE_UDP_PIECES_MAX && last == first; n++) {
		if (!goes_behind(ln, pcb, msg, first, len - got) || got + first > LANE_UDP_MAX)
			break;
		r = lane_udp_read(ln, pcb, (char *)dst + got, len - got, false, &next, copy);
		if (r < 0)
			break;
		got += (size_t)r;
		last = next.len;
		*size = (uint16_t)first;
	}
	msg->len = (uint32_t)got;
	return (ssize_t)got;
}

/* ---- small things ---- */

void lane_udp_set_rcvbuf(struct lane_udp *pcb, uint32_t bytes)
{
	pcb->rcvbuf = bytes;
}

void lane_udp_set_tos(struct lane_udp *pcb, bool v6, uint8_t tos)
{
	pcb->tos[v6] = tos;
}

void lane_udp_set_ttl(struct lane_udp *pcb, bool v6, uint8_t ttl)
{
	pcb->ttl[v6] = ttl;
}

void lane_udp_set_fragment(struct lane_udp *pcb, bool on)
{
	pcb->fragment = on;
}

void lane_udp_get_local(const struct lane_udp *pcb, struct lane_ep *ep)
{
	*ep = pcb->local;
}

int lane_udp_get_remote(const struct lane_udp *pcb, struct lane_ep *ep)
{
	*ep = pcb->remote;
	return pcb->connected ? 0 : -ENOTCONN;
}

uint32_t lane_udp_nr_queued(const struct lane_udp *pcb)
{
	return pcb->nr_rcv;
}

uint32_t lane_udp_first_len(const struct lane *ln, const struct lane_udp *pcb)
{
	const struct lane_buf *b = pcb->nr_rcv ? lane_buf_at(&ln->bufs, pcb->rcv_head) : NULL;

	return b ? b->user : 0;
}

uint64_t lane_udp_nr_dropped(const struct lane_udp *pcb)
{
	return pcb->nr_dropped;
}

int lane_udp_err(const struct lane_udp *pcb)
{
	return pcb->err;
}

void lane_udp_put_error(struct lane_udp *pcb, int err)
{
	pcb->err = err;
}

int lane_udp_take_error(struct lane_udp *pcb)
{
	int err = pcb->err;

	pcb->err = 0;
	return err;
}

void lane_udp_put(struct lane *ln, struct lane_udp *pcb)
{
	uint32_t i = lane_udp_index(ln, pcb);
	uint16_t port = pcb->local.port;

	unlist(ln, pcb);
	lane_udp_leave_all(ln, pcb);
	disconnect(ln, pcb);
	while (pcb->nr_rcv)
		lane_udp_pop(ln, pcb);
	while (pcb->nr_errors)
		lane_udp_pop_error(ln, pcb);
	if (port) {
		lane_ftable_remove(ln->udp_table,
				   lane_port_hash(&ln->st->key, LANE_PROTO_UDP, port), i);
		lane_unclaim(ln, LANE_PROTO_UDP, port, LANE_CLAIM_ANY);
	}
	pcb->used = 0;
	lane_pool_put(&ln->st->udp_pool, ln->udps, sizeof(struct lane_udp), i);
}
