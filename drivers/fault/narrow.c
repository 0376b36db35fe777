/*
 * narrow.c - packets beyond the MTU of a link on the way (see narrow.h)
 *
 * RFC 1191 4, RFC 4443 3.2. A router would cut IPv4 packets without DF: here they are lost without a word, as
 * fragments are that lose one of theirs.
 */
#include "drivers/fault/narrow.h"

#include "stack/base/csum.h"

#define ETH_HLEN  14
#define IP4_HLEN  20
#define IP6_HLEN  40
#define ICMP_HLEN 8
#define QUOTED	  28 /* bytes behind the IP header: the TCP header and a little */
#define ICMP	  1
#define ICMP6	  58

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t ip_len(const uint8_t *ip)
{
	return ip[0] >> 4 == 4 ? (uint32_t)ip[2] << 8 | ip[3] : ((uint32_t)ip[4] << 8 | ip[5]) + IP6_HLEN;
}

bool lane_fault_beyond(const struct lane_bufs *bs, const struct lane_buf *b, uint32_t mtu)
{
	return b->len >= ETH_HLEN + IP6_HLEN && ip_len(lane_buf_data(bs, b) + ETH_HLEN) > mtu;
}

static void put_sum(uint8_t *at, uint64_t sum, const uint8_t *p, uint32_t len)
{
	uint16_t field;

	put16(at, 0);
	field = (uint16_t)~lane_csum_fold(lane_csum_add(sum, p, len));
	memcpy(at, &field, sizeof(field));
}

/* From the packet's destination, which stands for the router; returns the header's length. */
static uint32_t put_ip4(uint8_t *ip, const uint8_t *of, uint32_t len)
{
	static const uint8_t head[12] = {0x45, 0, 0, 0, 0, 0, 0, 0, 64, ICMP};

	memcpy(ip, head, sizeof(head));
	put16(ip + 2, IP4_HLEN + len);
	memcpy(ip + 12, of + 16, 4);
	memcpy(ip + 16, of + 12, 4);
	put_sum(ip + 10, 0, ip, IP4_HLEN);
	return IP4_HLEN;
}

static uint32_t put_ip6(uint8_t *ip, const uint8_t *of, uint32_t len)
{
	static const uint8_t head[8] = {0x60, 0, 0, 0, 0, 0, ICMP6, 64};

	memcpy(ip, head, sizeof(head));
	put16(ip + 4, len);
	memcpy(ip + 8, of + 24, 16);
	memcpy(ip + 24, of + 8, 16);
	return IP6_HLEN;
}

/* RFC 4443 2.3: the addresses in front of 'icmp' are in its sum. */
static uint64_t pseudo6(const uint8_t *icmp, uint32_t len)
{
	uint8_t pseudo[4] = {(uint8_t)(len >> 8), (uint8_t)len, 0, ICMP6};

	return lane_csum_add(lane_csum_add(0, pseudo, sizeof(pseudo)), icmp - 32, 32);
}

struct lane_buf *lane_fault_too_big(struct lane_bufs *bs, const struct lane_buf *b, uint32_t mtu)
{
	const uint8_t *was = lane_buf_data(bs, b), *of = was + ETH_HLEN;
	bool is4 = of[0] >> 4 == 4;
	uint32_t quoted = (is4 ? IP4_HLEN : IP6_HLEN) + QUOTED, len = ICMP_HLEN + quoted;
	static const uint8_t head4[ICMP_HLEN] = {3, 4}, head6[ICMP_HLEN] = {2, 0};
	struct lane_buf *error;
	uint8_t *p, *icmp;

	if (b->len < ETH_HLEN + quoted || (is4 && !(of[6] & 0x40)) || !(error = lane_buf_alloc(bs)))
		return NULL;
	p = lane_buf_data(bs, error);
	memcpy(p, was + 6, 6);
	memcpy(p + 6, was, 6);
	memcpy(p + 12, was + 12, 2);
	icmp = p + ETH_HLEN;
	icmp += is4 ? put_ip4(icmp, of, len) : put_ip6(icmp, of, len);
	memcpy(icmp, is4 ? head4 : head6, ICMP_HLEN);
	put16(icmp + 6, mtu);
	memcpy(icmp + ICMP_HLEN, of, quoted);
	put_sum(icmp + 2, is4 ? 0 : pseudo6(icmp, len), icmp, len);
	error->len = (uint16_t)(icmp + len - p);
	error->pkt_len = error->len;
	return error;
}
