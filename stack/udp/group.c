/*
 * group.c - multicast memberships of UDP sockets (RFC 1112, RFC 4607): who takes what comes to a group
 *
 * A datagram to a group goes to every socket that joined it on the interface that it came by, takes its source and
 * is bound to its port; each gets frames of its own. Nobody else's membership counts (Linux' IP_MULTICAST_ALL 0).
 * The drivers of the interface hear of a group's first membership and of the end of its last: what the network is to be
 * told (IGMP, MLD), and the NIC's filter, are theirs. Sending to groups is the kernel's.
 */
#include <errno.h>

#include "stack/udp/pcb.h"

bool lane_udp_is_multicast(const struct lane_ip *ip)
{
	return lane_ip_is4(ip) ? (ip->b[12] & 0xf0) == 0xe0 : ip->b[0] == 0xff;
}

static bool is_of(const struct lane_group *g, unsigned int ifi, const struct lane_ip *group)
{
	return g->used && g->ifi == ifi && lane_ip_equal(&g->group, group);
}

bool lane_udp_is_member(const struct lane *ln, unsigned int ifi, const struct lane_ip *group)
{
	for (unsigned int i = 0; ln->st->nr_groups && i < LANE_NR_GROUPS; i++) {
		if (is_of(&ln->st->group[i], ifi, group))
			return true;
	}
	return false;
}

static void tell(struct lane *ln, unsigned int ifi, const struct lane_ip *group, bool on)
{
	for (unsigned int i = 0; i < ln->nr_queues; i++) {
		struct lane_queue *q = ln->queues[i];

		if (q->ifi == ifi && q->drv->group)
			q->drv->group(q, group, on);
	}
}

/* The membership of 'pcb' in 'group' for 'source'; any source: the first one. */
static struct lane_group *find(struct lane *ln, const struct lane_udp *pcb, unsigned int ifi,
			       const struct lane_ip *group, const struct lane_ip *source)
{
	for (unsigned int i = 0; i < LANE_NR_GROUPS; i++) {
		struct lane_group *g = &ln->st->group[i];

		if (is_of(g, ifi, group) && g->udp == lane_udp_index(ln, pcb) &&
		    (!source || lane_ip_equal(&g->source, source)))
			return g;
	}
	return NULL;
}

int lane_udp_join(struct lane *ln, struct lane_udp *pcb, unsigned int ifi, const struct lane_ip *group,
		  const struct lane_ip *source)
{
	const struct lane_group *other = find(ln, pcb, ifi, group, NULL);
	bool first = !lane_udp_is_member(ln, ifi, group);
	struct lane_group *g = ln->st->group;

	if (ifi >= ln->nr_ifs || !lane_udp_is_multicast(group) ||
	    (source && lane_ip_is4(source) != lane_ip_is4(group)))
		return -EINVAL;
	/* All sources, or some: not both. */
	if (other && other->any != !source)
		return -EINVAL;
	if (find(ln, pcb, ifi, group, source))
		return -EADDRINUSE;
	while (g < ln->st->group + LANE_NR_GROUPS && g->used)
		g++;
	if (g == ln->st->group + LANE_NR_GROUPS)
		return -ENOBUFS;
	*g = (struct lane_group){.group = *group, .udp = lane_udp_index(ln, pcb), .ifi = (uint8_t)ifi, .any = !source};
	if (source)
		g->source = *source;
	g->used = 1;
	ln->st->nr_groups++;
	ln->st->groups_version++;
	if (first)
		tell(ln, ifi, group, true);
	return 0;
}

static void leave(struct lane *ln, struct lane_group *g)
{
	g->used = 0;
	ln->st->nr_groups--;
	ln->st->groups_version++;
	if (!lane_udp_is_member(ln, g->ifi, &g->group))
		tell(ln, g->ifi, &g->group, false);
}

int lane_udp_leave(struct lane *ln, struct lane_udp *pcb, unsigned int ifi, const struct lane_ip *group,
		   const struct lane_ip *source)
{
	struct lane_group *g = find(ln, pcb, ifi, group, source);

	if (!g)
		return -EADDRNOTAVAIL;
	for (; g; g = source ? NULL : find(ln, pcb, ifi, group, NULL))
		leave(ln, g);
	return 0;
}

void lane_udp_leave_all(struct lane *ln, const struct lane_udp *pcb)
{
	for (unsigned int i = 0; ln->st->nr_groups && i < LANE_NR_GROUPS; i++) {
		struct lane_group *g = &ln->st->group[i];

		if (g->used && g->udp == lane_udp_index(ln, pcb))
			leave(ln, g);
	}
}

/* ---- input ---- */

/* The socket of 'g', if it takes a datagram remote -> local that came by 'ifi'; else NULL. */
static struct lane_udp *taker(const struct lane *ln, const struct lane_group *g, unsigned int ifi,
			      const struct lane_ep *local, const struct lane_ep *remote)
{
	struct lane_udp *pcb = is_of(g, ifi, &local->ip) ? lane_udp_at(ln, g->udp) : NULL;
	const struct lane_ip *bound = pcb ? &pcb->local.ip : NULL;

	if (!pcb || pcb->local.port != local->port || (!g->any && !lane_ip_equal(&g->source, &remote->ip)))
		return NULL;
	if (pcb->connected &&
	    (pcb->remote.port != remote->port || !lane_ip_equal(&pcb->remote.ip, &remote->ip)))
		return NULL;
	if (!lane_ip_is_any(bound))
		return lane_ip_equal(bound, &local->ip) ? pcb : NULL;
	if (lane_ip_is4(&local->ip))
		return lane_ip_is4(bound) || !pcb->v6only ? pcb : NULL;
	return lane_ip_is4(bound) ? NULL : pcb;
}

/* Returns owned a copy of a packet, NULL: no frames. */
static struct lane_buf *copy_packet(struct lane_bufs *bs, const struct lane_buf *b)
{
	struct lane_buf *first = NULL, *last = NULL, *c;

	for (uint32_t n = 0; b && n < bs->nr; n++) {
		c = lane_buf_alloc(bs);
		if (!c)
			goto out_free;
		c->off = b->off;
		c->len = b->len;
		c->pkt_len = b->pkt_len;
		c->queue = b->queue;
		c->l3_off = b->l3_off;
		c->l4_off = b->l4_off;
		/* The headers in front of the payload too. */
		memcpy(lane_buf_frame(bs, c), lane_buf_frame(bs, b), (size_t)b->off + b->len);
		if (last) {
			last->flags |= LANE_BUF_MORE;
			last->next = lane_buf_index(bs, c);
		} else {
			first = c;
		}
		last = c;
		b = b->flags & LANE_BUF_MORE ? lane_buf_at(bs, b->next) : NULL;
	}
	return first;
out_free:
	if (first)
		lane_buf_free_packet(bs, first);
	return NULL;
}

static void give_copy(struct lane *ln, struct lane_udp *pcb, const struct lane_buf *b, uint16_t hlen, uint32_t len)
{
	struct lane_buf *copy = copy_packet(&ln->bufs, b);
	enum lane_drop why = copy ? lane_udp_deliver(ln, pcb, copy, hlen, len) : LANE_DROP_NO_BUF;

	if (why)
		lane_count_drop(ln, why);
	if (why && copy)
		lane_buf_free_packet(&ln->bufs, copy);
}

enum lane_drop lane_udp_group_in(struct lane *ln, const struct lane_pkt *pkt, const struct lane_ep *local,
				 const struct lane_ep *remote, uint16_t hlen, uint32_t len)
{
	struct lane_udp *last = NULL;

	for (unsigned int i = 0; i < LANE_NR_GROUPS; i++) {
		struct lane_udp *pcb = taker(ln, &ln->st->group[i], pkt->ifi, local, remote);

		if (pcb && last)
			give_copy(ln, last, pkt->b, hlen, len);
		if (pcb)
			last = pcb;
	}
	return last ? lane_udp_deliver(ln, last, pkt->b, hlen, len) : LANE_DROP_UDP_NO_PORT;
}

/* ---- after a death, and in tests ---- */

void lane_udp_groups_check(const struct lane *ln)
{
	uint32_t nr = 0;

	for (unsigned int i = 0; i < LANE_NR_GROUPS; i++) {
		const struct lane_group *g = &ln->st->group[i];

		nr += g->used;
		assert(!g->used || (lane_udp_at(ln, g->udp) && g->ifi < ln->nr_ifs));
	}
	assert(nr == ln->st->nr_groups);
}

/* What the drivers were told last is not known: they are told again. */
void lane_udp_groups_recover(struct lane *ln)
{
	struct lane_state *st = ln->st;

	st->nr_groups = 0;
	st->groups_version++;
	for (unsigned int i = 0; i < LANE_NR_GROUPS; i++) {
		struct lane_group *g = &st->group[i];

		if (!g->used)
			continue;
		g->used = lane_udp_at(ln, g->udp) && g->ifi < ln->nr_ifs && lane_udp_is_multicast(&g->group);
		st->nr_groups += g->used;
		tell(ln, g->ifi, &g->group, g->used || lane_udp_is_member(ln, g->ifi, &g->group));
	}
}
