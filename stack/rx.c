/*
 * rx.c - the whole way in, and the one place where a drop is counted and freed
 *
 * (Fragments that waited in vain are reass.c's.) Ethernet (with one 802.1Q tag), IP of either
 * family, the rules of silence of tcp.md 4, reassembly, the L4 checksum, then UDP or ICMP; the burst's TCP
 * segments go on together (tcp/burst.c). A packet may be a chain of frames; its headers lie in the first.
 * Trailing bytes behind the IP length are cut off here, so that who comes after may trust pkt_len.
 */
#include "lane-int/engine.h"
#include "stack/base/csum.h"
#include "stack/wire/eth.h"
#include "stack/wire/tcp.h"
#include "stack/wire/udp.h"

/* RFC 1071 over the bytes of 'b' from 'off' (from the start of its first frame) on, as a chain. */
static uint64_t sum_chain(struct lane *ln, const struct lane_buf *b, uint16_t off)
{
	uint64_t sum = 0;
	uint32_t skip = off - b->off;
	bool odd = false;

	for (uint32_t n = 0; b && n < ln->bufs.nr; n++) {
		const uint8_t *p = lane_buf_data(&ln->bufs, b) + skip;
		uint32_t len = b->len - skip;
		uint64_t part = lane_csum_fold(lane_csum_add(0, p, len));

		/* RFC 1071 2(B): a part that starts at an odd byte has its bytes swapped. */
		sum += odd ? __builtin_bswap16((uint16_t)part) : part;
		odd ^= len & 1;
		skip = 0;
		b = b->flags & LANE_BUF_MORE ? lane_buf_at(&ln->bufs, b->next) : NULL;
	}
	return sum;
}

bool lane_l4_csum_ok(struct lane *ln, const struct lane_pkt *pkt)
{
	const struct lane_buf *b = pkt->b;
	bool udp = pkt->ip.proto == LANE_PROTO_UDP;
	uint32_t at =
		b->l4_off - b->off +
		(udp ? offsetof(struct lane_udp_hdr, csum) : offsetof(struct lane_tcp_hdr, csum));
	uint64_t pseudo;
	uint16_t field;

	if (at + sizeof(field) > b->len)
		return false;
	memcpy(&field, lane_buf_data(&ln->bufs, b) + at, sizeof(field));
	/* RFC 768: 0 is no checksum; RFC 8200 8.1: over IPv6 there must be one. */
	if (udp && field == 0)
		return lane_ip_is4(&pkt->ip.src);
	if (b->flags & LANE_BUF_CSUM_OK)
		return true;
	pseudo = lane_csum_pseudo(&pkt->ip.src, &pkt->ip.dst, pkt->ip.proto, pkt->ip.l4_len);
	if ((b->flags & LANE_BUF_PARTIAL_OK) && field == lane_csum_fold(pseudo))
		return true;
	return lane_csum_fold(pseudo + sum_chain(ln, b, b->l4_off)) == 0xffff;
}

/* Shortens the packet to 'len' bytes; whole frames behind that are freed. */
static void trim(struct lane *ln, struct lane_buf *first, uint32_t len)
{
	struct lane_buf *b = first, *rest;
	uint32_t left = len;

	first->pkt_len = len;
	while (left > b->len && (b->flags & LANE_BUF_MORE)) {
		left -= b->len;
		b = lane_buf_at(&ln->bufs, b->next);
	}
	b->len = (uint16_t)left;
	if (!(b->flags & LANE_BUF_MORE))
		return;
	rest = lane_buf_at(&ln->bufs, b->next);
	b->flags &= (uint8_t)~LANE_BUF_MORE;
	b->next = LANE_NIL;
	lane_buf_free_packet(&ln->bufs, rest);
}

/* Ethernet; sets b->l3_off. RFC 1122 2.3; a tag of VLAN 0 carries a priority only. */
static enum lane_drop in_eth(struct lane *ln, struct lane_pkt *pkt)
{
	struct lane_buf *b = pkt->b;
	const uint8_t *p = lane_buf_data(&ln->bufs, b);
	struct lane_eth_hdr eth;
	struct lane_be16 tag[2];
	uint16_t type, hlen = LANE_ETH_HLEN;

	if (b->len < LANE_ETH_HLEN)
		return LANE_DROP_SHORT;
	memcpy(&eth, p, sizeof(eth));
	pkt->group = memcmp(&eth.dst, &ln->net[pkt->ifi].mac, sizeof(eth.dst)) != 0;
	if (pkt->group && (!(eth.dst.b[0] & 1) || ln->st->nr_groups == 0))
		return LANE_DROP_ETH_DST;
	type = lane_be16_get(eth.type);
	if (type == LANE_ETH_VLAN) {
		if (b->len < LANE_ETH_HLEN + sizeof(tag))
			return LANE_DROP_SHORT;
		memcpy(tag, p + LANE_ETH_HLEN, sizeof(tag));
		if (lane_be16_get(tag[0]) & 0x0fff)
			return LANE_DROP_FOREIGN;
		type = lane_be16_get(tag[1]);
		hlen += sizeof(tag);
	}
	if (type != LANE_ETH_IP4 && type != LANE_ETH_IP6)
		return LANE_DROP_ETH_TYPE;
	pkt->mac = eth.src;
	b->l3_off = b->off + hlen;
	return LANE_OK;
}

/* tcp.md 4: silence for sources that cannot be a peer's. On lo our own addresses are peers. */
static enum lane_drop check_src(const struct lane_nettab *net, const struct lane_ip *src)
{
	bool is4 = lane_ip_is4(src);

	/* 0/8 is "this network" (RFC 1122 3.2.1.3). */
	if (lane_ip_is_any(src) || (is4 && src->b[12] == 0) || lane_net_is_group(net, src))
		return LANE_DROP_IP_SRC;
	if (net->loopback)
		return LANE_OK;
	if (is4 ? src->b[12] == 127 : src->d[0] == 0 && src->w[2] == 0 && src->b[15] == 1)
		return LANE_DROP_IP_SRC;
	return lane_net_addr(net, src) >= 0 ? LANE_DROP_IP_SRC : LANE_OK;
}

/* As it was found for the last packet: changes of the table apart, it still is so. */
bool lane_rx_addrs_ok(struct lane *ln, unsigned int ifi, const struct lane_ip *src, const struct lane_ip *dst)
{
	const struct lane_nettab *net = &ln->net[ifi];
	struct lane_last *l = &ln->last;
	/* Before they are looked up: what changes meanwhile is looked up again. */
	uint32_t version = atomic_load_explicit(&net->version, memory_order_acquire);

	if (l->ok && lane_ip_equal(&l->src, src) && lane_ip_equal(&l->dst, dst) && l->ifi == ifi &&
	    l->version == version)
		return true;
	l->src = *src;
	l->dst = *dst;
	l->ifi = (uint8_t)ifi;
	l->version = version;
	l->ok = lane_net_addr(net, dst) >= 0 && check_src(net, src) == LANE_OK;
	return l->ok;
}

/* RFC 1122 3.3.6: what came to many stations is for a group, and only UDP has groups. */
static bool is_for_us(const struct lane *ln, const struct lane_pkt *pkt)
{
	if (pkt->group)
		return pkt->ip.proto == LANE_PROTO_UDP && lane_udp_is_member(ln, pkt->ifi, &pkt->ip.dst);
	return lane_net_addr(&ln->net[pkt->ifi], &pkt->ip.dst) >= 0;
}

/* IP; sets pkt->ip and b->l4_off. */
static enum lane_drop in_ip(struct lane *ln, struct lane_pkt *pkt)
{
	struct lane_buf *b = pkt->b;
	uint32_t l3 = b->l3_off - b->off;
	uint32_t end;
	enum lane_drop why;

	why = lane_ip_parse(lane_buf_data(&ln->bufs, b) + l3, b->len - l3, b->pkt_len - l3,
			    &pkt->ip);
	if (why)
		return why;
	end = l3 + pkt->ip.hlen + pkt->ip.l4_len;
	if (end > b->pkt_len || l3 + pkt->ip.hlen > b->len)
		return LANE_DROP_IP_LEN;
	if (pkt->group || !lane_rx_addrs_ok(ln, pkt->ifi, &pkt->ip.src, &pkt->ip.dst)) {
		if (!is_for_us(ln, pkt))
			return LANE_DROP_IP_DST;
		why = check_src(&ln->net[pkt->ifi], &pkt->ip.src);
		if (why)
			return why;
	}
	if (end < b->pkt_len)
		trim(ln, b, end);
	b->l4_off = (uint16_t)(b->l3_off + pkt->ip.hlen);
	return LANE_OK;
}

/* A fragment; if it completes its datagram, pkt is that one from now on, else pkt->b is NULL. */
static enum lane_drop in_fragment(struct lane *ln, struct lane_pkt *pkt)
{
	enum lane_drop why;

	/* The control plane's, which joins them itself: as it came. */
	if (pkt->ip.proto == LANE_PROTO_ICMP6 && ln->net[pkt->ifi].own)
		return LANE_DROP_IP_PROTO;
	why = lane_reass_in(ln, pkt);
	if (why || !pkt->b)
		return why;
	why = in_ip(ln, pkt);
	/* RFC 8200 4.5: what was cut twice by one who may not. */
	return !why && pkt->ip.is_frag ? LANE_DROP_IP_FRAGMENT : why;
}

/* An ICMP error about a flow of ours is told to it; the flow checks the quote (RFC 5927). */
static enum lane_drop in_icmp(struct lane *ln, struct lane_pkt *pkt)
{
	struct lane_buf *b = pkt->b;
	const uint8_t *p = lane_buf_data(&ln->bufs, b) + (b->l4_off - b->off);
	struct lane_icmp_info icmp = {0};
	bool consumed = false;
	enum lane_drop why;

	if (b->flags & LANE_BUF_MORE)
		return LANE_DROP_ICMP_IGNORED;
	why = lane_icmp_parse(p, pkt->ip.l4_len, &pkt->ip.src, &pkt->ip.dst, &icmp);
	if (why)
		return why;
	if (icmp.kind == LANE_ICMP_OTHER)
		return LANE_DROP_ICMP_IGNORED;
	if (lane_ifs_addr(ln, &icmp.local.ip) < 0)
		return LANE_DROP_ICMP_INVALID;
	if (icmp.proto == LANE_PROTO_TCP)
		lane_tcp_icmp(ln, &icmp);
	else if (icmp.proto == LANE_PROTO_UDP)
		consumed = lane_udp_icmp(ln, pkt, &icmp);
	else
		return LANE_DROP_ICMP_INVALID;
	if (!consumed)
		lane_buf_free_packet(&ln->bufs, b);
	return LANE_OK;
}

/* Bytes between the end of the datagram and that of IP belong to nobody, as in Linux. */
static void trim_udp(struct lane *ln, struct lane_pkt *pkt)
{
	struct lane_buf *b = pkt->b;
	uint32_t at = b->l4_off - b->off, len;
	struct lane_udp_hdr h;

	if (at + sizeof(h) > b->len)
		return;
	memcpy(&h, lane_buf_data(&ln->bufs, b) + at, sizeof(h));
	len = lane_be16_get(h.len);
	if (len < sizeof(h) || len >= pkt->ip.l4_len)
		return;
	pkt->ip.l4_len = len;
	trim(ln, b, at + len);
}

static enum lane_drop in_l4(struct lane *ln, struct lane_pkt *pkt)
{
	bool is4 = lane_ip_is4(&pkt->ip.src);

	switch (pkt->ip.proto) {
	case LANE_PROTO_TCP:
		/* It waits for the others of the burst. */
		return lane_l4_csum_ok(ln, pkt) ? LANE_OK : LANE_DROP_TCP_CSUM;
	case LANE_PROTO_UDP:
		trim_udp(ln, pkt);
		return lane_l4_csum_ok(ln, pkt) ? lane_udp_in(ln, pkt) : LANE_DROP_UDP_CSUM;
	case LANE_PROTO_ICMP:
		return is4 ? in_icmp(ln, pkt) : LANE_DROP_IP_PROTO;
	case LANE_PROTO_ICMP6:
		return is4 ? LANE_DROP_IP_PROTO : in_icmp(ln, pkt);
	default:
		return LANE_DROP_IP_PROTO;
	}
}

static void settle(struct lane *ln, struct lane_pkt *pkt, enum lane_drop why)
{
	if (!why)
		return;
	if (ln->net[pkt->ifi].own && pkt->b && lane_ctl_in(ln, pkt, why))
		return;
	lane_count_drop(ln, why);
	if (why == LANE_DROP_UDP_NO_PORT && pkt->b && !pkt->group && !ln->net[pkt->ifi].own)
		lane_unreach(ln, pkt);
	if (pkt->b)
		lane_buf_free_packet(&ln->bufs, pkt->b);
}

/* All but TCP to its end. True: a TCP segment, which is not consumed. */
static bool in_packet(struct lane *ln, struct lane_pkt *pkt)
{
	enum lane_drop why;

	ln->st->stats.rx_packets++;
	ln->st->stats.rx_bytes += pkt->b->pkt_len;
	ln->st->ifs[pkt->ifi].rx_packets++;
	why = in_eth(ln, pkt);
	if (!why)
		why = in_ip(ln, pkt);
	if (!why && pkt->ip.is_frag)
		why = in_fragment(ln, pkt);
	if (!why && pkt->b)
		why = in_l4(ln, pkt);
	settle(ln, pkt, why);
	return !why && pkt->b && pkt->ip.proto == LANE_PROTO_TCP;
}

/* Apart, as the short way needs none of this. */
__attribute__((noinline)) static void rx_any(struct lane *ln, struct lane_buf *bufs[], unsigned int n)
{
	struct lane_pkt pkt[LANE_BURST];
	unsigned int nr = 0;

	assert(n <= LANE_BURST);
	for (unsigned int i = 0; i < n; i++) {
		pkt[nr].b = bufs[i];
		pkt[nr].ifi = (uint8_t)lane_ifs_of_queue(ln, bufs[i]->queue);
		nr += in_packet(ln, &pkt[nr]);
	}
	lane_tcp_in(ln, pkt, nr);
	for (unsigned int i = 0; i < nr; i++)
		settle(ln, &pkt[i], pkt[i].why);
}

void lane_rx(struct lane *ln, struct lane_buf *bufs[], unsigned int n)
{
	if (n != 1 || !lane_tcp_plain_rx(ln, bufs[0]))
		rx_any(ln, bufs, n);
}
