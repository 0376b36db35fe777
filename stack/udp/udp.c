/*
 * udp.c - UDP sockets of a lane: the API of lane/udp.h
 *
 * What does not fit one frame or the MTU is refused with -EMSGSIZE (the shim's shadow socket sends
 * it) unless the socket fragments (cut.c). Groups are the kernel's (-EXDEV).
 */
#include <errno.h>

#include "stack/base/csum.h"
#include "stack/udp/pcb.h"
#include "stack/wire/udp.h"

#define DATAGRAM_MAX   65535
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

uint32_t lane_udp_mask(const struct lane *ln, unsigned int ifi, uint16_t port)
{
	uint32_t hash = lane_port_hash(&ln->st->key, LANE_PROTO_UDP, port), mask = 0;
	struct lane_ftable_iter it;

	for (uint32_t i = lane_ftable_first(ln->udp_table, hash, &it); i != LANE_NIL;
	     i = lane_ftable_next(ln->udp_table, &it)) {
		const struct lane_udp *pcb = lane_udp_at(ln, i);

		if (pcb && pcb->local.port == port)
			mask |= lane_ifs_addr_mask(ln, ifi, &pcb->local.ip, pcb->v6only);
	}
	return mask;
}

int lane_udp_bind(struct lane *ln, struct lane_udp *pcb, const struct lane_ep *local, bool v6only)
{
	uint32_t hash = lane_port_hash(&ln->st->key, LANE_PROTO_UDP, local->port);
	int r;

	if (local->port == 0 || pcb->local.port)
		return -EINVAL;
	if (!lane_ip_is_any(&local->ip) && lane_ifs_addr(ln, &local->ip) < 0)
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
static int bind_auto(struct lane *ln, struct lane_udp *pcb, bool is4)
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
		r = bind_auto(ln, pcb, lane_ip_is4(&remote->ip));
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

/* ---- data ---- */

static int copy_plain(void *dst, const void *src, size_t len)
{
	memcpy(dst, src, len);
	return 0;
}

/* Makes pcb->path good for 'dst'; -EAGAIN is no error: the packet waits for the neighbour. */
static int update_path(struct lane *ln, struct lane_udp *pcb, const struct lane_ip *src,
		       const struct lane_ip *dst)
{
	uint8_t queue = pcb->path.queue;
	int r;

	if (!lane_ip_equal(&pcb->path_dst, dst) ||
	    (!lane_ip_is_any(src) && !lane_ip_equal(&pcb->path_src, src))) {
		pcb->path = (struct lane_path){.queue = queue};
		pcb->path_dst = *dst;
		pcb->path_src = *src;
	}
	r = lane_path_update(ln, &pcb->path, &pcb->path_src, dst);
	return r == -EAGAIN ? 0 : r;
}

/* Returns owned a frame with header and text, or NULL and *err. */
static struct lane_buf *build(struct lane *ln, const struct lane_ep *local,
			      const struct lane_ep *remote, const void *data, size_t len,
			      lane_copy_fn copy, int *err)
{
	struct lane_buf *b = lane_buf_alloc(&ln->bufs);
	uint32_t l4_len = (uint32_t)(len + sizeof(struct lane_udp_hdr));
	struct lane_udp_hdr h = {
		.sport = lane_be16_of(local->port),
		.dport = lane_be16_of(remote->port),
		.len = lane_be16_of((uint16_t)l4_len),
	};

	*err = -EAGAIN;
	if (!b)
		return NULL;
	*err = len ? copy(lane_buf_data(&ln->bufs, b), data, len) : 0;
	if (*err) {
		lane_buf_free(&ln->bufs, b);
		return NULL;
	}
	h.csum = lane_csum_fold(lane_csum_pseudo(&local->ip, &remote->ip, LANE_PROTO_UDP, l4_len));
	b->off -= (uint16_t)sizeof(h);
	b->len = (uint16_t)l4_len;
	b->pkt_len = l4_len;
	memcpy(lane_buf_data(&ln->bufs, b), &h, sizeof(h));
	return b;
}

static size_t room(const struct lane *ln, uint32_t mtu, bool is4)
{
	size_t hlen = sizeof(struct lane_udp_hdr) +
		      (is4 ? sizeof(struct lane_ip4_hdr) : sizeof(struct lane_ip6_hdr));
	size_t frame = ln->bufs.size - LANE_HEADROOM;

	return mtu < hlen ? 0 : mtu - hlen < frame ? mtu - hlen : frame;
}

ssize_t lane_udp_write(struct lane *ln, struct lane_udp *pcb, const struct lane_ep *remote,
		       const struct lane_ip *src, const void *data, size_t len, lane_copy_fn copy)
{
	struct lane_ep local;
	struct lane_buf *b;
	int r;

	if (pcb->err)
		return -lane_udp_take_error(pcb);
	if (!remote)
		remote = pcb->connected ? &pcb->remote : NULL;
	if (!remote)
		return -EDESTADDRREQ;
	if (len > DATAGRAM_MAX)
		return -EMSGSIZE;
	r = update_path(ln, pcb, src && !lane_ip_is_any(src) ? src : &pcb->local.ip, &remote->ip);
	if (r)
		return r;
	if (!pcb->local.port) {
		r = bind_auto(ln, pcb, lane_ip_is4(&remote->ip));
		if (r)
			return r;
	}
	local = (struct lane_ep){.ip = pcb->path_src, .port = pcb->local.port};
	if (!copy)
		copy = copy_plain;
	if (len > room(ln, pcb->path.mtu, lane_ip_is4(&remote->ip)))
		return pcb->fragment ? lane_udp_write_cut(ln, pcb, &local, remote, data, len, copy)
				     : -EMSGSIZE;
	b = build(ln, &local, remote, data, len, copy, &r);
	if (!b)
		return r;
	lane_ip_out(ln, b, &pcb->path, &local.ip, &remote->ip, LANE_PROTO_UDP, pcb->tos, pcb->ttl,
		    offsetof(struct lane_udp_hdr, csum));
	ln->st->stats.udp_out++;
	return (ssize_t)len;
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
	lane_ip_parse(ip, b->l4_off - b->l3_off, DATAGRAM_MAX + 40, &info);
	memcpy(&h, frame + b->l4_off, sizeof(h));
	msg->remote = (struct lane_ep){.ip = info.src, .port = lane_be16_get(h.sport)};
	msg->local = info.dst;
	msg->tos = info.tos;
	msg->ttl = info.ttl;
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

/* ---- small things ---- */

void lane_udp_set_rcvbuf(struct lane_udp *pcb, uint32_t bytes)
{
	pcb->rcvbuf = bytes;
}

void lane_udp_set_tos_ttl(struct lane_udp *pcb, uint8_t tos, uint8_t ttl)
{
	pcb->tos = tos;
	pcb->ttl = ttl;
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
	disconnect(ln, pcb);
	while (pcb->nr_rcv)
		lane_udp_pop(ln, pcb);
	if (port) {
		lane_ftable_remove(ln->udp_table,
				   lane_port_hash(&ln->st->key, LANE_PROTO_UDP, port), i);
		lane_unclaim(ln, LANE_PROTO_UDP, port, LANE_CLAIM_ANY);
	}
	pcb->used = 0;
	lane_pool_put(&ln->st->udp_pool, ln->udps, sizeof(struct lane_udp), i);
}
