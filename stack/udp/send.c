/*
 * send.c - UDP datagrams on their way out (RFC 768)
 *
 * What does not fit one frame or the interface's MTU is refused with -EMSGSIZE (the shim's shadow
 * socket sends it) unless the socket fragments; what does not fit a smaller MTU that ICMP told of is
 * cut (cut.c) or refused, as the program chose.
 */
#include <errno.h>

#include "stack/base/csum.h"
#include "stack/udp/pcb.h"
#include "stack/wire/udp.h"

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

/* A smaller MTU than the route's was learnt for where the last datagram went. */
static bool is_narrow(const struct lane *ln, const struct lane_udp *pcb)
{
	return lane_pmtu_of(ln, &pcb->path_dst, UINT32_MAX) <= pcb->path.mtu;
}

static uint32_t if_mtu(const struct lane *ln, const struct lane_udp *pcb)
{
	return lane_ifs_net(ln, pcb->path.ifi)->mtu;
}

/* enum lane_pmtudisc of where the last datagram went. */
static uint8_t pmtudisc(const struct lane_udp *pcb)
{
	return pcb->pmtudisc[!lane_ip_is4(&pcb->path_dst)];
}

/* Payload of a datagram that may go in one packet. */
static size_t fits(const struct lane *ln, const struct lane_udp *pcb)
{
	bool by_path = pmtudisc(pcb) < LANE_PMTUDISC_PROBE;

	return room(ln, by_path ? pcb->path.mtu : if_mtu(ln, pcb), lane_ip_is4(&pcb->path_dst));
}

bool lane_udp_is_narrow(const struct lane *ln, const struct lane_udp *pcb, size_t len)
{
	return pmtudisc(pcb) == LANE_PMTUDISC_DO && is_narrow(ln, pcb) &&
	       len <= room(ln, if_mtu(ln, pcb), lane_ip_is4(&pcb->path_dst));
}

/* RFC 768, RFC 791: what the 16 bits of the length fields allow. */
static size_t payload_max(bool is4)
{
	return LANE_UDP_MAX - sizeof(struct lane_udp_hdr) - (is4 ? sizeof(struct lane_ip4_hdr) : 0);
}

/* Would Linux cut what is beyond the MTU? */
static bool may_cut(const struct lane_udp *pcb)
{
	uint8_t how = pmtudisc(pcb);

	return how < LANE_PMTUDISC_DO || how > LANE_PMTUDISC_INTERFACE;
}

/* Before 'len' bytes in datagrams of 'size' go to *remote (NULL: to the peer): the path, the local end. */
static int prepare(struct lane *ln, struct lane_udp *pcb, const struct lane_ep **remote,
		   const struct lane_ip *src, size_t len, size_t size, struct lane_ep *local)
{
	int r = 0;

	if (!*remote)
		*remote = pcb->connected ? &pcb->remote : NULL;
	if (!*remote)
		return -EDESTADDRREQ;
	if (len > payload_max(lane_ip_is4(&(*remote)->ip)))
		return -EMSGSIZE;
	r = update_path(ln, pcb, src && !lane_ip_is_any(src) ? src : &pcb->local.ip, &(*remote)->ip);
	if (r == 0 && !pcb->local.port)
		r = lane_udp_bind_auto(ln, pcb, lane_ip_is4(&(*remote)->ip));
	*local = (struct lane_ep){.ip = pcb->path_src, .port = pcb->local.port};
	/* As Linux: what is wrong with the call comes before what is pending. */
	if (r == 0 && pcb->err && (size <= fits(ln, pcb) || may_cut(pcb)))
		r = -lane_udp_take_error(pcb);
	return r;
}

/* Sends what build() made. */
static void send_one(struct lane *ln, struct lane_udp *pcb, struct lane_buf *b,
		     const struct lane_ip *dst)
{
	bool v6 = !lane_ip_is4(dst);

	if (pcb->pmtudisc[v6] == LANE_PMTUDISC_DONT || pcb->pmtudisc[v6] >= LANE_PMTUDISC_INTERFACE)
		b->flags |= LANE_BUF_NO_DF;
	lane_ip_out(ln, b, &pcb->path, &pcb->path_src, dst, LANE_PROTO_UDP, pcb->tos[v6],
		    pcb->ttl[v6], offsetof(struct lane_udp_hdr, csum));
	ln->st->stats.udp_out++;
}

ssize_t lane_udp_write(struct lane *ln, struct lane_udp *pcb, const struct lane_ep *remote,
		       const struct lane_ip *src, const void *data, size_t len, lane_copy_fn copy)
{
	struct lane_ep local;
	struct lane_buf *b;
	bool cut;
	int r;

	r = prepare(ln, pcb, &remote, src, len, len, &local);
	if (r)
		return r;
	if (!copy)
		copy = copy_plain;
	if (len > fits(ln, pcb)) {
		cut = pcb->fragment || (pmtudisc(pcb) < LANE_PMTUDISC_DO && is_narrow(ln, pcb));
		return cut ? lane_udp_write_cut(ln, pcb, &local, remote, data, len, copy) :
			     -EMSGSIZE;
	}
	b = build(ln, &local, remote, data, len, copy, &r);
	if (!b)
		return r;
	send_one(ln, pcb, b, &remote->ip);
	return (ssize_t)len;
}

/* Frees a queue of frames of one packet each. */
static void free_all(struct lane *ln, struct lane_buf *b)
{
	while (b)
		b = lane_buf_at(&ln->bufs, lane_buf_free_packet(&ln->bufs, b));
}

/* Returns owned a queue of datagrams of 'size' bytes, or NULL and *err. */
static struct lane_buf *build_pieces(struct lane *ln, const struct lane_ep *local,
				     const struct lane_ep *remote, const void *data, size_t len,
				     uint16_t size, lane_copy_fn copy, int *err)
{
	struct lane_buf *first = NULL, *last = NULL, *b;
	size_t done, n;

	for (done = 0; done < len; done += n) {
		n = len - done < size ? len - done : size;
		b = build(ln, local, remote, (const char *)data + done, n, copy, err);
		if (!b) {
			free_all(ln, first);
			return NULL;
		}
		if (last)
			last->next = lane_buf_index(&ln->bufs, b);
		else
			first = b;
		last = b;
	}
	return first;
}

ssize_t lane_udp_write_pieces(struct lane *ln, struct lane_udp *pcb, const struct lane_ep *remote,
			      const struct lane_ip *src, const void *data, size_t len, uint16_t size,
			      lane_copy_fn copy)
{
	struct lane_buf *b, *next;
	struct lane_ep local;
	int r;

	if (size == 0 || len <= size)
		return lane_udp_write(ln, pcb, remote, src, data, len, copy);
	if (len > (size_t)size * LANE_UDP_PIECES_MAX)
		return -EINVAL;
	r = prepare(ln, pcb, &remote, src, len, size, &local);
	if (r)
		return r;
	if (size > fits(ln, pcb))
		return -EMSGSIZE;
	if (ln->st->bufs.nr_free < (len + size - 1) / size)
		return -EAGAIN;
	b = build_pieces(ln, &local, remote, data, len, size, copy ? copy : copy_plain, &r);
	if (!b)
		return r;
	for (; b; b = next) {
		next = lane_buf_at(&ln->bufs, b->next);
		b->next = LANE_NIL;
		send_one(ln, pcb, b, &remote->ip);
	}
	return (ssize_t)len;
}
