/*
 * client.c - the client of the echo benchmarks (see client.h)
 */
#include "bench/micro/client.h"

#include <stdlib.h>
#include <string.h>

#include "stack/base/csum.h"
#include "stack/wire/eth.h"
#include "stack/wire/ip.h"
#include "stack/wire/tcp.h"

#define PORTS      60000U /* flows of one client address */
#define PORT_FIRST 1024U
#define IP_FIRST   0x0a800001U /* 10.128.0.1 */
#define ISN        0x10000000U
#define L4_OFF     (LANE_ETH_HLEN + sizeof(struct lane_ip4_hdr))
#define HLEN_MAX   60

struct lane_mac client_mac(bool server)
{
	return (struct lane_mac){{0x02, 0, 0, 0, 0, server ? 1 : 2}};
}

void client_init(struct client *c, uint32_t nr, bool ts)
{
	*c = (struct client){
		.flow = calloc(nr, sizeof(*c->flow)), .nr = nr, .now_ms = 1000, .ts = ts};
	if (!c->flow)
		abort();
	for (uint32_t i = 0; i < nr; i++)
		c->flow[i].seq = ISN + i;
}

void client_fini(struct client *c)
{
	free(c->flow);
}

static void put_headers(const struct client *c, uint32_t i, uint32_t l4_len, uint8_t *frame)
{
	struct lane_eth_hdr eth = {.dst = client_mac(true),
				   .src = client_mac(false),
				   .type = lane_be16_of(LANE_ETH_IP4)};
	struct lane_ip_info ip = {
		.src = lane_ip4(lane_be32_of(IP_FIRST + i / PORTS).be),
		.proto = 6,
		.ttl = 64,
		.l4_len = l4_len,
	};
	uint32_t to;
	uint16_t sum;

	memcpy(&to, CLIENT_SERVER_IP, sizeof(to));
	ip.dst = lane_ip4(to);
	memcpy(frame, &eth, sizeof(eth));
	lane_ip_emit(frame + LANE_ETH_HLEN, &ip, (uint16_t)c->flow[i].seq);
	sum = (uint16_t)~lane_csum_fold(lane_csum_add(
		lane_csum_pseudo(&ip.src, &ip.dst, ip.proto, l4_len), frame + L4_OFF, l4_len));
	memcpy(frame + L4_OFF + offsetof(struct lane_tcp_hdr, csum), &sum, sizeof(sum));
}

size_t client_send(struct client *c, uint32_t i, uint32_t len, uint8_t *frame)
{
	struct client_flow *f = &c->flow[i];
	struct lane_tcp_info info = {
		.sport = (uint16_t)(PORT_FIRST + i % PORTS),
		.dport = CLIENT_SERVER_PORT,
		.seq = f->seq,
		.ack = f->ack,
		.wnd = 0xffff,
		.flags = f->up ? LANE_WIRE_ACK | (len ? LANE_WIRE_PSH : 0) : LANE_WIRE_SYN,
	};
	uint32_t hlen;

	if (c->ts) {
		info.opts.have = LANE_OPT_TS;
		info.opts.tsval = c->now_ms;
		info.opts.tsecr = f->tsecr;
	}
	if (!f->up) {
		info.opts.have |= LANE_OPT_MSS | LANE_OPT_SACK_OK | LANE_OPT_WSCALE;
		info.opts.mss = 1460;
		info.opts.wscale = 7;
		len = 0;
	}
	hlen = lane_tcp_emit(frame + L4_OFF, &info);
	memset(frame + L4_OFF + hlen, 'a', len);
	put_headers(c, i, hlen + len, frame);
	f->seq += len;
	return L4_OFF + hlen + len;
}

uint32_t client_take(struct client *c, const uint8_t *frame, size_t len)
{
	struct lane_ip_info ip;
	struct lane_tcp_info ti;
	struct client_flow *f;
	struct lane_be32 to;
	uint32_t i;

	if (len < L4_OFF ||
	    lane_ip_parse(frame + LANE_ETH_HLEN, (uint32_t)len - LANE_ETH_HLEN,
			  (uint32_t)len - LANE_ETH_HLEN, &ip) ||
	    lane_tcp_parse(frame + L4_OFF, (uint32_t)(len - L4_OFF), ip.l4_len, &ti))
		return LANE_NIL;
	to.be = ip.dst.w[3];
	i = (lane_be32_get(to) - IP_FIRST) * PORTS + ti.dport - PORT_FIRST;
	if (i >= c->nr || (ti.flags & LANE_WIRE_RST))
		return LANE_NIL;
	f = &c->flow[i];
	f->tsecr = ti.opts.tsval;
	if (ti.flags & LANE_WIRE_SYN) {
		f->up = true;
		f->seq++;
		f->ack = ti.seq + 1;
	} else if (ti.seq == f->ack) {
		f->ack += ti.len;
	}
	return i;
}
