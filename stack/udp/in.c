/*
 * in.c - UDP input (RFC 768): which socket takes a datagram, and its receive queue
 *
 * A connected socket comes before one that is not, a bound address before any; equal ones
 * (SO_REUSEPORT) share by the flow's hash. A queued datagram keeps its headers in its first frame:
 * l3_off and l4_off tell where, 'off' is at the payload and 'user' its length; 'seq' is how many were
 * dropped before it and 'tx_us' when it came.
 */
#include <errno.h>

#include "stack/udp/pcb.h"
#include "stack/wire/udp.h"

#define MAX_SHARING 1024 /* pcbs on one port that are looked at */

struct lane_udp *lane_udp_find(struct lane *ln, const struct lane_ep *local,
			       const struct lane_ep *remote)
{
	struct lane_ftable_iter it;
	uint32_t hash = lane_flow_hash(&ln->st->key, LANE_PROTO_UDP, local, remote);
	uint32_t i = lane_ftable_first(ln->udp_table, hash, &it);

	for (unsigned int n = 0; i != LANE_NIL && n < MAX_SHARING; n++) {
		struct lane_udp *pcb = lane_udp_at(ln, i);

		if (pcb && pcb->connected && pcb->local.port == local->port &&
		    pcb->remote.port == remote->port && lane_ip_equal(&pcb->local.ip, &local->ip) &&
		    lane_ip_equal(&pcb->remote.ip, &remote->ip))
			return pcb;
		i = lane_ftable_next(ln->udp_table, &it);
	}
	return NULL;
}

/*
 * How well an unconnected pcb fits 'local': 3 by address, 2 by any of its family, 1 by :: for an IPv4 one too
 * (Linux: the socket of its own family comes first), 0 not.
 */
static int score(const struct lane_udp *pcb, const struct lane_ep *local)
{
	bool is4 = lane_ip_is4(&local->ip);

	if (pcb->connected || pcb->local.port != local->port)
		return 0;
	if (lane_ip_equal(&pcb->local.ip, &local->ip))
		return 3;
	if (!lane_ip_is_any(&pcb->local.ip))
		return 0;
	if (lane_ip_is4(&pcb->local.ip) == is4)
		return 2;
	return is4 && !pcb->v6only;
}

/* Of the pcbs on the port with the best score (*best) the one with number 'nth'; counts them. */
static struct lane_udp *scan_port(struct lane *ln, const struct lane_ep *local, int *best,
				  uint32_t *nr, uint32_t nth)
{
	struct lane_ftable_iter it;
	uint32_t hash = lane_port_hash(&ln->st->key, LANE_PROTO_UDP, local->port);
	uint32_t i = lane_ftable_first(ln->udp_table, hash, &it);
	struct lane_udp *found = NULL;

	*nr = 0;
	for (unsigned int n = 0; i != LANE_NIL && n < MAX_SHARING; n++) {
		struct lane_udp *pcb = lane_udp_at(ln, i);
		int s = pcb ? score(pcb, local) : 0;

		if (s > *best) {
			*best = s;
			*nr = 0;
		}
		if (s && s == *best && (*nr)++ <= nth)
			found = pcb;
		i = lane_ftable_next(ln->udp_table, &it);
	}
	return found;
}

struct lane_udp *lane_udp_lookup(struct lane *ln, const struct lane_ep *local,
				 const struct lane_ep *remote)
{
	struct lane_udp *pcb = lane_udp_find(ln, local, remote);
	uint32_t nr, nth;
	int best = 0;

	if (pcb)
		return pcb;
	pcb = scan_port(ln, local, &best, &nr, 0);
	if (nr <= 1)
		return pcb;
	nth = lane_flow_hash(&ln->st->key, LANE_PROTO_UDP, local, remote) % nr;
	return scan_port(ln, local, &best, &nr, nth);
}

/* As Linux charges an skb: a small one takes 768 bytes, a larger one whole frames. */
uint32_t lane_udp_charge(uint32_t len, uint32_t nr)
{
	return len <= 384 ? 768 : nr * 2304;
}

static uint32_t last_frame(const struct lane *ln, struct lane_buf *b, uint32_t *nr)
{
	*nr = 1;
	while ((b->flags & LANE_BUF_MORE) && *nr < ln->bufs.nr) {
		b = lane_buf_at(&ln->bufs, b->next);
		(*nr)++;
	}
	return lane_buf_index(&ln->bufs, b);
}

/* Consumes the packet of 'b' when it returns LANE_OK. */
static enum lane_drop enqueue(struct lane *ln, struct lane_udp *pcb, struct lane_buf *b,
			      uint32_t len)
{
	const struct lane_buf_pool *pool = &ln->st->bufs;
	struct lane_buf *tail;
	uint32_t nr, last = last_frame(ln, b, &nr);

	/* Linux lets one datagram in above the limit. The last frames are not for waiting
	 * datagrams. */
	if (pcb->rcv_bytes > pcb->rcvbuf || (pcb->nr_rcv && pool->nr_free < pool->nr / 32 * 3)) {
		pcb->nr_dropped++;
		return LANE_DROP_UDP_FULL;
	}
	b->user = len;
	b->seq = (uint32_t)pcb->nr_dropped;
	b->tx_us = ln->now_us;
	tail = pcb->nr_rcv ? lane_buf_at(&ln->bufs, pcb->rcv_tail) : NULL;
	if (tail)
		tail->next = lane_buf_index(&ln->bufs, b);
	else
		pcb->rcv_head = lane_buf_index(&ln->bufs, b);
	lane_buf_at(&ln->bufs, last)->next = LANE_NIL;
	pcb->rcv_tail = last;
	pcb->nr_rcv++;
	pcb->rcv_bytes += lane_udp_charge(len, nr);
	return LANE_OK;
}

void lane_udp_pop(struct lane *ln, struct lane_udp *pcb)
{
	struct lane_buf *b = lane_buf_at(&ln->bufs, pcb->rcv_head);
	uint32_t nr, charge;

	last_frame(ln, b, &nr);
	charge = lane_udp_charge(b->user, nr);
	pcb->rcv_bytes -= charge < pcb->rcv_bytes ? charge : pcb->rcv_bytes;
	pcb->rcv_head = lane_buf_free_packet(&ln->bufs, b);
	if (--pcb->nr_rcv == 0)
		pcb->rcv_head = pcb->rcv_tail = LANE_NIL;
}

enum lane_drop lane_udp_deliver(struct lane *ln, struct lane_udp *pcb, struct lane_buf *b, uint16_t hlen,
				uint32_t len)
{
	enum lane_drop why = enqueue(ln, pcb, b, len);

	if (why)
		return why;
	b->off += hlen;
	b->len -= hlen;
	ln->st->stats.udp_in++;
	lane_udp_raise(ln, pcb, LANE_EV_READABLE);
	return LANE_OK;
}

enum lane_drop lane_udp_in(struct lane *ln, struct lane_pkt *pkt)
{
	struct lane_buf *b = pkt->b;
	struct lane_ep local = {.ip = pkt->ip.dst}, remote = {.ip = pkt->ip.src};
	uint16_t at = b->l4_off - b->off;
	struct lane_udp_hdr h;
	struct lane_udp *pcb;
	enum lane_drop why;
	uint32_t len;

	if (pkt->ip.l4_len < sizeof(h) || at + sizeof(h) > b->len)
		return LANE_DROP_UDP_LEN;
	memcpy(&h, lane_buf_data(&ln->bufs, b) + at, sizeof(h));
	len = lane_be16_get(h.len);
	if (len < sizeof(h) || len > pkt->ip.l4_len)
		return LANE_DROP_UDP_LEN;
	local.port = lane_be16_get(h.dport);
	remote.port = lane_be16_get(h.sport);
	at += (uint16_t)sizeof(h);
	len -= (uint32_t)sizeof(h);
	if (pkt->group)
		return lane_udp_group_in(ln, pkt, &local, &remote, at, len);
	pcb = lane_udp_lookup(ln, &local, &remote);
	if (!pcb)
		return LANE_DROP_UDP_NO_PORT;
	why = lane_udp_deliver(ln, pcb, b, at, len);
	if (why)
		return why;
	pcb->path.queue = b->queue;
	if (!ln->net[pkt->ifi].loopback)
		lane_path_seen(ln, pkt->ifi, &remote.ip, &pkt->mac);
	return LANE_OK;
}
