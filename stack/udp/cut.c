/*
 * cut.c - UDP datagrams that leave in fragments (RFC 791 2.3, RFC 8200 4.5)
 *
 * The UDP header and the text are laid into as many frames as there are fragments, the checksum is
 * done over all, and only then the fragments leave: a bad pointer or a short pool sends nothing.
 */
#include <errno.h>

#include "stack/base/csum.h"
#include "stack/udp/pcb.h"
#include "stack/wire/udp.h"

#define HLEN sizeof(struct lane_udp_hdr)

/* Bytes of the datagram, UDP header included, in each fragment but the last. */
static uint32_t piece(const struct lane *ln, uint32_t mtu, bool is4)
{
	uint32_t hlen = is4 ? sizeof(struct lane_ip4_hdr)
			    : sizeof(struct lane_ip6_hdr) + sizeof(struct lane_ip6_frag_hdr);
	uint32_t frame = ln->bufs.size - LANE_HEADROOM;
	uint32_t n = mtu < hlen ? 0 : mtu - hlen;

	return (n < frame ? n : frame) & ~7U;
}

static void free_all(struct lane *ln, uint32_t head)
{
	struct lane_buf *b;

	while ((b = lane_buf_at(&ln->bufs, head)) != NULL)
		head = lane_buf_free_packet(&ln->bufs, b);
}

/* Lays zeroed room for the header and the text into frames of 'size' bytes, a queue of packets.
 * Returns owned the first, or NULL and *err. *sum: over all. */
static struct lane_buf *lay(struct lane *ln, const void *data, size_t len, uint32_t size,
			    lane_copy_fn copy, uint64_t *sum, int *err)
{
	struct lane_buf *first = NULL, *last = NULL;
	size_t done = 0;

	for (uint32_t skip = HLEN; !first || done < len; skip = 0) {
		struct lane_buf *b = lane_buf_alloc(&ln->bufs);
		size_t n = len - done < size - skip ? len - done : size - skip;

		*err = -EAGAIN;
		if (!b)
			goto out_free;
		if (last)
			last->next = lane_buf_index(&ln->bufs, b);
		else
			first = b;
		last = b;
		memset(lane_buf_data(&ln->bufs, b), 0, skip);
		*err = copy(lane_buf_data(&ln->bufs, b) + skip, (const char *)data + done, n);
		if (*err)
			goto out_free;
		b->len = (uint16_t)(skip + n);
		b->pkt_len = b->len;
		*sum += lane_csum_fold(lane_csum_add(0, lane_buf_data(&ln->bufs, b), b->len));
		done += n;
	}
	return first;
out_free:
	if (first)
		free_all(ln, lane_buf_index(&ln->bufs, first));
	return NULL;
}

static void put_header(struct lane *ln, const struct lane_buf *b, const struct lane_ep *local,
		       const struct lane_ep *remote, uint32_t l4_len, uint64_t sum)
{
	struct lane_udp_hdr h = {
		.sport = lane_be16_of(local->port),
		.dport = lane_be16_of(remote->port),
		.len = lane_be16_of((uint16_t)l4_len),
	};

	sum += lane_csum_pseudo(&local->ip, &remote->ip, LANE_PROTO_UDP, l4_len);
	h.csum = (uint16_t)~lane_csum_fold(lane_csum_add(sum, &h, sizeof(h)));
	if (h.csum == 0)
		h.csum = 0xffff;
	memcpy(lane_buf_data(&ln->bufs, b), &h, sizeof(h));
}

/* RFC 7739: not to be guessed over IPv6. 16 bits are too few for random ones (RFC 6864): over IPv4
 * they grow, by steps that tell nobody how much was sent. */
static uint32_t new_id(struct lane *ln, bool is4)
{
	struct lane_state *st = ln->st;

	if (!is4)
		return (uint32_t)lane_rng_u64(&st->rng);
	st->frag_id += 1 + lane_rng_below(&st->rng, 4);
	return st->frag_id;
}

ssize_t lane_udp_write_cut(struct lane *ln, struct lane_udp *pcb, const struct lane_ep *local,
			   const struct lane_ep *remote, const void *data, size_t len,
			   lane_copy_fn copy)
{
	bool is4 = lane_ip_is4(&remote->ip);
	uint32_t size = piece(ln, pcb->path.mtu, is4), l4_len = (uint32_t)(len + HLEN);
	struct lane_ip_info info = {
		.src = local->ip,
		.dst = remote->ip,
		.proto = LANE_PROTO_UDP,
		.tos = pcb->tos[!is4],
		.ttl = pcb->ttl[!is4],
		.is_frag = true,
	};
	struct lane_buf *b;
	uint64_t sum = 0;
	uint32_t next;
	int r;

	if (l4_len + (is4 ? sizeof(struct lane_ip4_hdr) : 0) > UINT16_MAX || size <= HLEN)
		return -EMSGSIZE;
	if (ln->st->bufs.nr_free < (l4_len + size - 1) / size)
		return -EAGAIN;
	b = lay(ln, data, len, size, copy, &sum, &r);
	if (!b)
		return r;
	put_header(ln, b, local, remote, l4_len, sum);
	info.frag_id = new_id(ln, is4);
	for (; b; b = lane_buf_at(&ln->bufs, next)) {
		uint32_t n = b->len;

		next = b->next;
		b->next = LANE_NIL;
		info.more_frags = next != LANE_NIL;
		lane_ip_out_fragment(ln, b, &pcb->path, &info);
		info.frag_off += (uint16_t)n;
	}
	ln->st->stats.udp_out++;
	return (ssize_t)len;
}
