/*
 * ctl.c - what the lane leaves to its control plane, and what that sends (see lane-int/ctl.h)
 *
 * Which frames those are follows from why rx.c would drop them. TCP is never among them: it is
 * answered here or not at all. Datagrams to closed ports, which cost an answer each, go at Linux'
 * rate of ICMP errors.
 */
#include "lane-int/ctl.h"

#include <errno.h>

#include "lane-int/engine.h"
#include "stack/wire/eth.h"
#include "stack/wire/udp.h"

#define ERRORS_PER_S 1000 /* net.ipv4.icmp_msgs_per_sec */
#define ERRORS_BURST 50   /* net.ipv4.icmp_msgs_burst */
#define DHCP_CLIENT  68   /* RFC 2131 4.1 */
#define ND_FIRST     133  /* RFC 4861 4: router solicitation */
#define ND_LAST      137  /* redirect */

bool lane_ctl_waiting(const struct lane *ln)
{
	return __atomic_load_n(&ln->st->ctl_head, __ATOMIC_RELAXED) !=
	       __atomic_load_n(&ln->st->ctl_tail, __ATOMIC_RELAXED);
}

/* One token for each error that may be sent. */
static bool may_answer(struct lane_state *st)
{
	uint64_t n = (st->now_us - st->ctl_tokens_us) * ERRORS_PER_S / 1000000;

	if (n > 0) {
		st->ctl_tokens = n + st->ctl_tokens < ERRORS_BURST ? (uint32_t)n + st->ctl_tokens
								   : ERRORS_BURST;
		st->ctl_tokens_us = st->now_us;
	}
	if (st->ctl_tokens == 0)
		return false;
	st->ctl_tokens--;
	return true;
}

/* Where the frame's protocol begins, and which: behind a tag that has but a priority. 0: nowhere. */
static uint16_t find_l3(const uint8_t *p, uint32_t len, uint16_t *type)
{
	struct lane_eth_hdr eth;
	struct lane_be16 tag[2];

	if (len < sizeof(eth) + sizeof(tag))
		return 0;
	memcpy(&eth, p, sizeof(eth));
	*type = lane_be16_get(eth.type);
	if (*type != LANE_ETH_VLAN)
		return LANE_ETH_HLEN;
	memcpy(tag, p + LANE_ETH_HLEN, sizeof(tag));
	*type = lane_be16_get(tag[1]);
	return lane_be16_get(tag[0]) & 0x0fff ? 0 : LANE_ETH_HLEN + sizeof(tag);
}

/* ARP, or IP that may be the control plane's: no TCP, and UDP with its checksum right, which is
 * looked at here because a same-host peer may leave it undone. */
static bool is_sound(struct lane *ln, struct lane_pkt *pkt)
{
	struct lane_buf *b = pkt->b;
	const uint8_t *p = lane_buf_data(&ln->bufs, b);
	uint16_t type, l3 = find_l3(p, b->len, &type);

	if (l3 && type == LANE_ETH_ARP)
		return true;
	if (!l3 || (type != LANE_ETH_IP4 && type != LANE_ETH_IP6))
		return false;
	b->l3_off = (uint16_t)(b->off + l3);
	if (lane_ip_parse(p + l3, b->len - l3, b->pkt_len - l3, &pkt->ip))
		return false;
	b->l4_off = (uint16_t)(b->l3_off + pkt->ip.hlen);
	if (pkt->ip.proto == LANE_PROTO_TCP || l3 + pkt->ip.hlen + pkt->ip.l4_len > b->pkt_len)
		return false;
	return pkt->ip.proto != LANE_PROTO_UDP || pkt->ip.is_frag || lane_l4_csum_ok(ln, pkt);
}

/* An echo in pieces: what no lane joins, since it is for no socket. */
static bool is_icmp_fragment(const struct lane_pkt *pkt)
{
	return pkt->ip.is_frag &&
	       (pkt->ip.proto == LANE_PROTO_ICMP || pkt->ip.proto == LANE_PROTO_ICMP6);
}

/* To a DHCP client, whose lease hangs on it. */
static bool is_dhcp(const struct lane *ln, const struct lane_pkt *pkt)
{
	struct lane_udp_hdr h;

	if (pkt->ip.proto != LANE_PROTO_UDP || pkt->ip.is_frag || !lane_ip_is4(&pkt->ip.dst) ||
	    (uint32_t)pkt->b->l4_off + sizeof(h) > (uint32_t)pkt->b->off + pkt->b->len)
		return false;
	memcpy(&h, lane_buf_frame(&ln->bufs, pkt->b) + pkt->b->l4_off, sizeof(h));
	return lane_be16_get(h.dport) == DHCP_CLIENT;
}

static bool wants(struct lane *ln, struct lane_pkt *pkt, enum lane_drop why)
{
	switch (why) {
	case LANE_DROP_ETH_DST: /* to a group, or to another station */
		return pkt->b->len && (lane_buf_data(&ln->bufs, pkt->b)[0] & 1) &&
		       is_sound(ln, pkt);
	case LANE_DROP_ETH_TYPE:
	case LANE_DROP_IP_DST:
		return is_sound(ln, pkt);
	case LANE_DROP_ICMP_IGNORED:
		return true;
	case LANE_DROP_IP_PROTO:
		return is_icmp_fragment(pkt) || may_answer(ln->st);
	case LANE_DROP_UDP_NO_PORT:
		return is_dhcp(ln, pkt) || may_answer(ln->st);
	default:
		return false;
	}
}

/* Echoes and what only asks for an error leave half of the queue to ARP, ND and DHCP. */
static uint32_t room_for(const struct lane *ln, const struct lane_pkt *pkt, enum lane_drop why)
{
	const struct lane_buf *b = pkt->b;
	uint8_t type;

	if (why == LANE_DROP_UDP_NO_PORT)
		return is_dhcp(ln, pkt) ? LANE_NR_CTL : LANE_NR_CTL / 2;
	if (why != LANE_DROP_ICMP_IGNORED && why != LANE_DROP_IP_PROTO)
		return LANE_NR_CTL;
	if (pkt->ip.proto != LANE_PROTO_ICMP6 || pkt->ip.is_frag || b->l4_off >= (uint32_t)b->off + b->len)
		return LANE_NR_CTL / 2;
	type = lane_buf_frame(&ln->bufs, b)[b->l4_off];
	return type >= ND_FIRST && type <= ND_LAST ? LANE_NR_CTL : LANE_NR_CTL / 2;
}

bool lane_ctl_in(struct lane *ln, struct lane_pkt *pkt, enum lane_drop why)
{
	struct lane_state *st = ln->st;

	if (!wants(ln, pkt, why))
		return false;
	if (st->ctl_head - st->ctl_tail >= room_for(ln, pkt, why)) {
		lane_count_drop(ln, LANE_DROP_CTL_FULL);
		lane_buf_free_packet(&ln->bufs, pkt->b);
		return true;
	}
	st->ctl[st->ctl_head % LANE_NR_CTL] = lane_buf_index(&ln->bufs, pkt->b);
	st->ctl_head++;
	st->stats.ctl_in++;
	return true;
}

/* The bytes of a chain; 0: more than 'size'. */
static uint32_t copy_chain(const struct lane *ln, const struct lane_buf *b, uint8_t *out,
			   uint32_t size)
{
	uint32_t len = 0;

	for (uint32_t n = 0; b && n < ln->bufs.nr; n++) {
		if (b->len > size - len)
			return 0;
		memcpy(out + len, lane_buf_data(&ln->bufs, b), b->len);
		len += b->len;
		b = b->flags & LANE_BUF_MORE ? lane_buf_at(&ln->bufs, b->next) : NULL;
	}
	return len;
}

/* The control plane knows no tags. */
static uint32_t strip_tag(uint8_t *frame, uint32_t len)
{
	uint16_t type, l3 = find_l3(frame, len, &type), tag = (uint16_t)(l3 - LANE_ETH_HLEN);

	if (l3 <= LANE_ETH_HLEN)
		return len;
	memmove(frame + LANE_ETH_HLEN - sizeof(type), frame + l3 - sizeof(type), len - l3 + sizeof(type));
	return len - tag;
}

uint32_t lane_ctl_take(struct lane *ln, unsigned int *ifi, uint8_t *out, uint32_t size)
{
	struct lane_state *st = ln->st;
	uint32_t len = 0;

	while (len == 0 && st->ctl_head != st->ctl_tail) {
		struct lane_buf *b = lane_buf_at(&ln->bufs, st->ctl[st->ctl_tail++ % LANE_NR_CTL]);

		if (!b)
			continue;
		*ifi = lane_ifs_of_queue(ln, b->queue);
		len = strip_tag(out, copy_chain(ln, b, out, size));
		lane_buf_free_packet(&ln->bufs, b);
	}
	return len;
}

int lane_ctl_send(struct lane *ln, unsigned int ifi, const uint8_t *frame, uint32_t len)
{
	struct lane_path path = {.ifi = (uint8_t)(ifi & 0x3f)};
	struct lane_buf *b;

	if (ln->nr_queues == 0)
		return -ENETDOWN;
	if (len > ln->bufs.size - LANE_HEADROOM)
		return -EMSGSIZE;
	b = lane_buf_alloc(&ln->bufs);
	if (!b) {
		lane_count_drop(ln, LANE_DROP_NO_BUF);
		return -ENOBUFS;
	}
	memcpy(lane_buf_data(&ln->bufs, b), frame, len);
	b->len = (uint16_t)len;
	b->pkt_len = len;
	ln->st->stats.ctl_out++;
	lane_ip_out_frame(ln, b, &path);
	return 0;
}

void lane_ctl_mark_bufs(struct lane *ln, uint8_t *seen)
{
	const struct lane_state *st = ln->st;

	assert(st->ctl_head - st->ctl_tail <= LANE_NR_CTL);
	for (uint32_t i = st->ctl_tail; i != st->ctl_head; i++) {
		uint32_t at = st->ctl[i % LANE_NR_CTL];

		for (bool more = true; more; at = ln->bufs.meta[at].next) {
			assert(at < ln->bufs.nr && !seen[at] &&
			       !(ln->bufs.meta[at].flags & LANE_BUF_FREE));
			seen[at] = 1;
			more = ln->bufs.meta[at].flags & LANE_BUF_MORE;
		}
	}
}
