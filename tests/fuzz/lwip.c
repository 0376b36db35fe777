/*
 * lwip.c - fuzzes the control plane of own-address mode, lwIP included
 *
 * An input is a byte of configuration, then steps: frames that are right but for what the input
 * says (ARP, ND, DHCP with the transaction that the client chose, ICMP, fragments), raw ones, time,
 * the link, a neighbour that a lane wants, groups that sockets join. Checksums are always made right: behind them is more to
 * find.
 */
#include "drivers/control/lwip/lwip.h"
#include "drivers/control/lwip/port.h"
#include "lane-int/nettab.h"
#include "stack/base/csum.h"
#include "tests/fuzz/fuzz.h"

#define FRAME 600
#define STEPS 64

struct target {
	struct lane_nettab net;
	struct lane_lwip *lw;
	uint64_t now_us;
	uint8_t xid[4]; /* of the last DHCP message that was sent */
};

static const uint8_t ours[6] = {2, 0, 0, 0, 0, 1};
static struct target t;

static void on_frame(void *arg, const uint8_t *f, uint32_t len)
{
	FUZZ_CHECK(len >= 14 && len <= 1514 && memcmp(f + 6, ours, 6) == 0);
	if (f[12] == 8 && f[13] == 0 && len > 14 + 28 + 8 && f[23] == 17)
		memcpy(t.xid, f + 14 + 28 + 4, 4);
}

static struct lane_ip ip_of(struct fuzz_in *in, bool v6)
{
	static const uint8_t heads[][8] = {{0xfe, 0x80}, {0xfd}, {0xff, 2}, {0}};
	uint8_t n = fuzz_u8(in);
	struct lane_ip ip = {.d = {0, 0}};

	if (!v6) {
		const uint8_t a[4] = {10, 0, 0, n};
		uint32_t be;

		memcpy(&be, a, 4);
		return lane_ip4(n == 0 ? 0 : n == 255 ? UINT32_MAX : be);
	}
	memcpy(ip.b, heads[n >> 6], 8);
	if (heads[n >> 6][0] == 0xff && n & 1) { /* a solicited-node group */
		ip.b[11] = 1;
		ip.b[12] = 0xff;
	}
	ip.b[15] = n & 0x3f;
	return ip;
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put_sum(uint8_t *field, uint64_t sum, const uint8_t *p, uint32_t len)
{
	uint16_t v;

	put16(field, 0);
	v = (uint16_t)~lane_csum_fold(lane_csum_add(sum, p, len));
	memcpy(field, &v, sizeof(v));
}

static void give(const uint8_t *f, uint32_t len)
{
	uint8_t *copy = fuzz_copy(f, len);

	lane_lwip_in(t.lw, t.now_us, copy, len);
	free(copy);
}

static uint32_t put_eth(struct fuzz_in *in, uint8_t *f, uint16_t type)
{
	uint8_t how = fuzz_u8(in);

	if (how & 1)
		memset(f, 0xff, 6);
	else if (how & 2)
		put16(f, 0x3333);
	else
		memcpy(f, ours, 6);
	memcpy(f + 6, ours, 6);
	f[11] = (uint8_t)(how >> 4); /* ours too, at times */
	put16(f + 12, type);
	return 14;
}

static uint32_t take(struct fuzz_in *in, uint8_t *to, uint32_t room)
{
	uint32_t n = fuzz_u8(in);

	n = n < room ? n : room;
	for (uint32_t i = 0; i < n; i++)
		to[i] = fuzz_u8(in);
	return n;
}

static void do_arp(struct fuzz_in *in, uint8_t *f)
{
	static const uint8_t head[] = {0, 1, 8, 0, 6, 4, 0};
	struct lane_ip spa, tpa;

	put_eth(in, f, 0x0806);
	memcpy(f + 14, head, sizeof(head));
	f[21] = fuzz_u8(in);
	spa = ip_of(in, false);
	tpa = ip_of(in, false);
	memcpy(f + 22, f + 6, 6);
	memcpy(f + 28, spa.b + 12, 4);
	memcpy(f + 38, tpa.b + 12, 4);
	give(f, fuzz_u8(in) & 1 ? 42 : 60);
}

static void send4(struct fuzz_in *in, uint8_t *f, uint8_t proto, uint32_t len)
{
	struct lane_ip src = ip_of(in, false), dst = ip_of(in, false);
	uint8_t *ip = f + put_eth(in, f, 0x0800);
	uint16_t frag = fuzz_u16(in);

	memset(ip, 0, 20);
	ip[0] = 0x45;
	put16(ip + 2, 20 + len);
	ip[5] = fuzz_u8(in) & 3;
	put16(ip + 6, frag & 1 ? frag & 0x203f : 0);
	ip[8] = 64;
	ip[9] = proto;
	memcpy(ip + 12, src.b + 12, 4);
	memcpy(ip + 16, dst.b + 12, 4);
	put_sum(ip + 10, 0, ip, 20);
	if (proto == 1 && len >= 8)
		put_sum(ip + 22, 0, ip + 20, len);
	give(f, 34 + len);
}

static void do_ip4(struct fuzz_in *in, uint8_t *f)
{
	static const uint8_t protos[] = {1, 17, 2, 47};
	uint8_t proto = protos[fuzz_u8(in) & 3];

	send4(in, f, proto, take(in, f + 34, FRAME - 34));
}

static void do_dhcp(struct fuzz_in *in, uint8_t *f)
{
	uint8_t *u = f + 34, *d = u + 8, *o = d + 236;
	static const uint8_t cookie[] = {0x63, 0x82, 0x53, 0x63, 53, 1};
	struct lane_ip mine = ip_of(in, false);
	uint32_t len;

	memset(u, 0, 8 + 236);
	put16(u, 67);
	put16(u + 2, 68);
	d[0] = 2;
	d[1] = 1;
	d[2] = 6;
	memcpy(d + 4, t.xid, 4);
	memcpy(d + 16, mine.b + 12, 4);
	memcpy(d + 28, ours, 6);
	memcpy(o, cookie, sizeof(cookie));
	o[6] = fuzz_u8(in) & 7;
	len = (uint32_t)(o + 7 - u);
	len += take(in, o + 7, FRAME - 34 - len);
	put16(u + 4, len);
	send4(in, f, 17, len);
}

static void send6(struct fuzz_in *in, uint8_t *f, uint8_t next, uint32_t len)
{
	struct lane_ip src = ip_of(in, true), dst = ip_of(in, true);
	uint8_t *ip = f + put_eth(in, f, 0x86dd);

	memset(ip, 0, 40);
	ip[0] = 0x60;
	put16(ip + 4, len);
	ip[6] = next;
	ip[7] = fuzz_u8(in) & 1 ? 64 : 255;
	memcpy(ip + 8, src.b, 16);
	memcpy(ip + 24, dst.b, 16);
	if (next == 58 && len >= 4)
		put_sum(ip + 42, lane_csum_pseudo(&src, &dst, 58, len), ip + 40, len);
	give(f, 54 + len);
}

static void do_ip6(struct fuzz_in *in, uint8_t *f)
{
	static const uint8_t nexts[] = {58, 17, 44, 0, 43, 60, 59, 58};
	uint8_t next = nexts[fuzz_u8(in) & 7];

	send6(in, f, next, take(in, f + 54, FRAME - 54));
}

/* Router and neighbour messages: a target or prefix of the pool, then options. */
static void do_nd(struct fuzz_in *in, uint8_t *f)
{
	uint8_t *m = f + 54, type = (uint8_t)(133 + fuzz_u8(in) % 5);
	struct lane_ip target = ip_of(in, true);
	uint32_t len = type == 133 ? 8 : type == 134 ? 16 : 24;

	memset(m, 0, 64);
	m[0] = type;
	m[4] = fuzz_u8(in);
	m[7] = fuzz_u8(in);
	if (type > 134)
		memcpy(m + 8, target.b, 16);
	if (type == 134 && fuzz_u8(in) & 1) { /* a prefix */
		m[len] = 3;
		m[len + 1] = 4;
		m[len + 2] = 64;
		m[len + 3] = fuzz_u8(in);
		m[len + 7] = fuzz_u8(in);
		m[len + 11] = fuzz_u8(in);
		memcpy(m + len + 16, target.b, 16);
		len += 32;
	}
	len += take(in, m + len, FRAME - 54 - len);
	send6(in, f, 58, len);
}

/* Sockets have joined, or left. */
static void do_groups(struct fuzz_in *in)
{
	struct lane_ip group[4];
	unsigned int n = fuzz_u8(in) & 3;

	for (unsigned int i = 0; i < n; i++) {
		group[i] = ip_of(in, i & 1);
		group[i].b[i & 1 ? 0 : 12] = i & 1 ? 0xff : 239;
	}
	lane_lwip_groups(t.lw, t.now_us, group, n);
}

static void do_other(struct fuzz_in *in, uint8_t *f)
{
	uint8_t what = fuzz_u8(in);
	struct lane_ip ip;
	struct lane_mac mac;

	if (what < 128) {
		t.now_us += 100000ULL << (what & 15);
	} else if (what < 160) {
		lane_lwip_link(t.lw, t.now_us, what & 1);
	} else if (what < 200) {
		ip = ip_of(in, what & 1);
		lane_net_neigh(&t.net, &ip, &mac);
	} else if (what < 210) {
		do_groups(in);
	} else {
		give(f, take(in, f, FRAME));
	}
}

static void check(void)
{
	FUZZ_CHECK(t.net.nr_addrs <= LANE_NET_ADDRS && t.net.nr_routes <= LANE_NET_ROUTES);
	FUZZ_CHECK(lane_lwip_port.nr_asserts == 0);
	for (uint32_t i = 0; i < t.net.nr_addrs; i++) {
		const struct lane_net_addr *a = &t.net.addr[i];

		FUZZ_CHECK(!a->used || !lane_ip_is_any(&a->ip));
		FUZZ_CHECK(!a->used || a->plen <= (lane_ip_is4(&a->ip) ? 32 : 128));
	}
	for (uint32_t i = 0; i < t.net.nr_routes; i++)
		FUZZ_CHECK(t.net.route[i].mtu <= 1500);
}

static void start(uint8_t how)
{
	struct lane_lwip_config cfg = {
		.mtu = 1500, .dhcp = how & 1, .slaac = how & 2, .send = on_frame};
	struct fuzz_in two = {.p = (const uint8_t *)"\x02\x42", .left = 2};
	char err[LANE_LWIP_ERR];

	memcpy(cfg.mac.b, ours, 6);
	if (!(how & 1))
		cfg.addr[cfg.nr_addrs++] = (struct lane_lwip_addr){ip_of(&two, false), 24};
	else
		fuzz_u8(&two);
	if (how & 4)
		cfg.addr[cfg.nr_addrs++] = (struct lane_lwip_addr){ip_of(&two, true), 64};
	t.now_us = 1000000;
	lane_lwip_port.seed = 1;
	lane_net_init(&t.net);
	FUZZ_CHECK(lane_lwip_open(&cfg, &t.net, t.now_us, &t.lw, err) == 0);
	lane_lwip_link(t.lw, t.now_us, true);
	/* Past the detection of duplicates, mostly. */
	for (unsigned int i = 0; i < (how & 8 ? 0U : 30U); i++) {
		t.now_us += 100000;
		lane_lwip_step(t.lw, t.now_us);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const steps[])(struct fuzz_in *, uint8_t *) = {
		do_arp, do_ip4, do_dhcp, do_ip6, do_nd, do_nd, do_other, do_other};
	struct fuzz_in in = {.p = data, .left = size};
	uint8_t f[FRAME + 64];

	start(fuzz_u8(&in));
	for (unsigned int i = 0; i < STEPS && in.left; i++) {
		memset(f, 0, sizeof(f));
		steps[fuzz_u8(&in) & 7](&in, f);
		t.now_us += 1000;
		lane_lwip_step(t.lw, t.now_us);
		check();
	}
	lane_lwip_close(t.lw);
	return 0;
}
