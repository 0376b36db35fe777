/*
 * rig.c - a lane with its own address on one end of a cable (see rig.h)
 */
#include "rig.h"

#include <stdlib.h>

#include "stack/base/csum.h"

#define STEP_US 10000

static void send_frame(void *arg, const uint8_t *frame, uint32_t len)
{
	struct rig *r = arg;

	if (lane_ctl_send(r->w.ln[0], 0, frame, len) < 0)
		abort();
}

struct lane_ip rig_ip(uint8_t n)
{
	struct lane_ip ip = world_ip(0, false);

	ip.b[15] = n;
	return ip;
}

struct lane_lwip_config rig_static(void)
{
	return (struct lane_lwip_config){.addr = {{.ip = rig_ip(1), .plen = 24}}, .nr_addrs = 1};
}

void rig_open(struct rig *r, const struct lane_lwip_config *cfg)
{
	struct world_config wc;
	char err[LANE_LWIP_ERR];

	memset(r, 0, sizeof(*r));
	world_config_default(&wc);
	wc.no_neighbours = true;
	world_open(&r->w, &wc);
	r->now_us = r->w.now_us;
	lane_net_init(lane_nettab(r->w.ln[0]));
	r->cfg = *cfg;
	r->cfg.mac = world_mac(0);
	r->cfg.mtu = 1500;
	r->cfg.send = send_frame;
	r->cfg.arg = r;
	memcpy(r->cfg.ifname, "test0", 6);
	if (lane_lwip_open(&r->cfg, lane_nettab(r->w.ln[0]), r->now_us, &r->lw, err) < 0)
		abort();
	lane_lwip_link(r->lw, r->now_us, true);
}

void rig_close(struct rig *r)
{
	lane_lwip_close(r->lw);
	lane_check(r->w.ln[0]);
	world_close(&r->w);
}

static void look(struct rig *r)
{
	struct lane_queue *q = lane_pair_queue(r->w.pair, 1);
	struct lane_buf *b;

	while (q->drv->rx_burst(q, &b, 1) == 1) {
		struct rig_frame *f = &r->seen[r->nr_seen];

		if (r->nr_seen < RIG_SEEN && b->len <= RIG_LEN) {
			f->us = r->now_us;
			f->len = b->len;
			memcpy(f->b, lane_buf_data(q->bufs, b), b->len);
			r->nr_seen++;
		}
		lane_buf_free_packet(q->bufs, b);
	}
}

static void turn(struct rig *r)
{
	struct lane *ln = r->w.ln[0];
	static uint8_t frame[65536 + 64];
	unsigned int ifi;
	uint32_t len;

	lane_poll(ln, r->now_us);
	while ((len = lane_ctl_take(ln, &ifi, frame, sizeof(frame))) > 0)
		lane_lwip_in(r->lw, r->now_us, frame, len);
	lane_lwip_step(r->lw, r->now_us);
	lane_kick(ln, lane_flush(ln));
	look(r);
	lane_check(ln);
}

void rig_run(struct rig *r, uint64_t us)
{
	for (uint64_t end = r->now_us + us; r->now_us < end;) {
		r->now_us += STEP_US;
		r->w.now_us = r->now_us;
		turn(r);
	}
}

void rig_put(struct rig *r, const uint8_t *frame, uint32_t len)
{
	struct lane_queue *q = lane_pair_queue(r->w.pair, 1);
	struct lane_buf *b = lane_buf_alloc(q->bufs);

	if (!b || len > q->bufs->size - LANE_HEADROOM)
		abort();
	memcpy(lane_buf_data(q->bufs, b), frame, len);
	b->len = (uint16_t)len;
	b->pkt_len = len;
	if (q->drv->tx_burst(q, &b, 1) != 1)
		abort();
	turn(r);
}

void rig_clear(struct rig *r)
{
	r->nr_seen = 0;
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

uint32_t rig_arp(uint8_t *f, unsigned int op, unsigned int from, const struct lane_ip *spa,
		 const struct lane_ip *tpa)
{
	static const uint8_t head[] = {0x08, 0x06, 0, 1, 8, 0, 6, 4, 0};
	struct lane_mac mac = world_mac(from);

	memset(f, 0, 60);
	memset(f, 0xff, 6);
	memcpy(f + 6, mac.b, 6);
	memcpy(f + 12, head, sizeof(head));
	f[21] = (uint8_t)op;
	memcpy(f + 22, mac.b, 6);
	memcpy(f + 28, spa->b + 12, 4);
	memcpy(f + 38, tpa->b + 12, 4);
	return 60;
}

static void put_eth(uint8_t *f, unsigned int from, const struct lane_ip *dst)
{
	struct lane_mac mac = world_mac(from), to = world_mac(0);
	bool is4 = lane_ip_is4(dst);

	memcpy(f, to.b, 6);
	if (!is4 && dst->b[0] == 0xff) {
		put16(f, 0x3333);
		memcpy(f + 2, dst->b + 12, 4);
	} else if (is4 && dst->w[3] == UINT32_MAX) {
		memset(f, 0xff, 6);
	}
	memcpy(f + 6, mac.b, 6);
	put16(f + 12, is4 ? 0x0800 : 0x86dd);
}

static void put_sum(uint8_t *field, uint64_t sum, const uint8_t *p, uint32_t len)
{
	uint16_t v = (uint16_t)~lane_csum_fold(lane_csum_add(sum, p, len));

	memcpy(field, &v, sizeof(v));
}

static void put_l4_sum(uint8_t *l4, const struct lane_ip *src, const struct lane_ip *dst,
		       uint8_t proto, uint32_t len)
{
	uint64_t pseudo = proto == 1 ? 0 : lane_csum_pseudo(src, dst, proto, len);
	unsigned int at = proto == 17 ? 6 : 2;

	put16(l4 + at, 0);
	put_sum(l4 + at, pseudo, l4, len);
}

void rig_sum(uint8_t *l4, const struct lane_ip *src, const struct lane_ip *dst, uint8_t proto,
	     uint32_t len)
{
	put_l4_sum(l4, src, dst, proto, len);
}

uint32_t rig_ip_frame(uint8_t *f, unsigned int from, const struct lane_ip *src,
		      const struct lane_ip *dst, uint8_t proto, const uint8_t *body, uint32_t len)
{
	bool is4 = lane_ip_is4(dst);
	uint32_t hlen = is4 ? 20 : 40;
	uint8_t *ip = f + 14;

	put_eth(f, from, dst);
	memset(ip, 0, hlen);
	memcpy(ip + hlen, body, len);
	if (is4) {
		ip[0] = 0x45;
		put16(ip + 2, hlen + len);
		ip[8] = 64;
		ip[9] = proto;
		memcpy(ip + 12, src->b + 12, 4);
		memcpy(ip + 16, dst->b + 12, 4);
		put_sum(ip + 10, 0, ip, hlen);
	} else {
		ip[0] = 0x60;
		put16(ip + 4, len);
		ip[6] = proto;
		ip[7] = 255;
		memcpy(ip + 8, src->b, 16);
		memcpy(ip + 24, dst->b, 16);
	}
	if (len >= 8 && proto != 44)
		put_l4_sum(ip + hlen, src, dst, proto, len);
	return 14 + hlen + len;
}

uint32_t rig_tag(uint8_t *f, uint32_t len, uint16_t tci)
{
	memmove(f + 16, f + 12, len - 12);
	put16(f + 12, 0x8100);
	put16(f + 14, tci);
	return len + 4;
}

static bool fits(const struct rig_frame *f, uint16_t type, uint8_t proto)
{
	if (f->b[12] != type >> 8 || f->b[13] != (type & 0xff))
		return false;
	return !proto || f->b[type == 0x0800 ? 23 : 20] == proto;
}

const struct rig_frame *rig_find(const struct rig *r, uint16_t type, uint8_t proto,
				 unsigned int nth)
{
	for (unsigned int i = 0; i < r->nr_seen; i++)
		if (fits(&r->seen[i], type, proto) && nth-- == 0)
			return &r->seen[i];
	return NULL;
}

unsigned int rig_count(const struct rig *r, uint16_t type, uint8_t proto)
{
	unsigned int n = 0;

	while (rig_find(r, type, proto, n))
		n++;
	return n;
}

unsigned int rig_count_icmp6(const struct rig *r, uint8_t type)
{
	const struct rig_frame *f;
	unsigned int n = 0;

	for (unsigned int i = 0; (f = rig_find(r, 0x86dd, 58, i)) != NULL; i++)
		n += f->b[54] == type;
	return n;
}

void rig_open_ready(struct rig *r)
{
	struct lane_lwip_config cfg = rig_static();
	char err[LANE_LWIP_ERR];

	rig_open(r, &cfg);
	rig_run(r, 4000000);
	if (lane_lwip_ready(r->lw, err) != 0)
		abort();
	rig_clear(r);
}

void rig_know6(struct rig *r, const struct lane_ip *peer, const struct lane_ip *ours)
{
	uint8_t na[32] = {136, 0, 0, 0, 0x60}, f[RIG_LEN];
	struct lane_mac mac = world_mac(1);

	memcpy(na + 8, peer->b, 16);
	na[24] = 2;
	na[25] = 1;
	memcpy(na + 26, mac.b, 6);
	if (lane_net_neigh(lane_nettab(r->w.ln[0]), peer, &mac) == 0)
		abort();
	rig_run(r, 20000);
	rig_put(r, f, rig_ip_frame(f, 1, peer, ours, 58, na, sizeof(na)));
}
