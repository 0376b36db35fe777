/*
 * engine_net.c - the driver of the fuzzed lane, and what its peers send (see engine.h)
 */
#include "tests/fuzz/engine.h"

#include "stack/base/csum.h"
#include "stack/base/seq.h"
#include "stack/wire/eth.h"
#include "stack/wire/tcp.h"
#include "stack/wire/udp.h"

/* How a packet of a peer is wrapped; the upper bits of a step's first byte. */
#define HOW_BAD_CSUM 0x01
#define HOW_VLAN     0x02
#define HOW_OPTIONS  0x04 /* IPv4 options, IPv6 extension headers */
#define HOW_CUT      0x08 /* in two fragments */
#define HOW_CSUM_OK  0x10 /* the driver vouches for the checksum */
#define HOW_PARTIAL  0x20 /* a local sender left the checksum to hardware */

struct lane_ip engine_ip(bool peer, bool v6)
{
	struct lane_ip ip = lane_ip4(0);

	if (v6) {
		memset(&ip, 0, sizeof(ip));
		ip.b[0] = 0xfd;
	} else {
		ip.b[12] = 10;
	}
	ip.b[15] = peer ? 2 : 1;
	return ip;
}

struct lane_ip engine_group(bool v6)
{
	struct lane_ip ip = engine_ip(false, v6);

	ip.b[v6 ? 0 : 12] = v6 ? 0xff : 0xe0;
	return ip;
}

/* ---- what the lane sends ---- */

static void check_segment(const struct lane_ip_info *ip, const uint8_t *l4)
{
	struct lane_tcp_info ti;
	struct peer *p;
	uint32_t end;

	FUZZ_CHECK(lane_tcp_parse(l4, ip->l4_len, ip->l4_len, &ti) == LANE_OK);
	for (uint32_t i = 0; i < ti.len; i++)
		FUZZ_CHECK(l4[ti.hlen + i] == pattern(ti.seq + i));
	if (ti.dport < PEER_PORT || ti.dport >= PEER_PORT + NR_PEERS)
		return;
	p = &w.peer[ti.dport - PEER_PORT];
	if (ti.flags & LANE_WIRE_RST)
		return;
	end = ti.seq + ti.len + !!(ti.flags & LANE_WIRE_SYN) + !!(ti.flags & LANE_WIRE_FIN);
	if (p->lane_port != ti.sport || (ti.flags & LANE_WIRE_SYN)) {
		p->lane_port = ti.sport;
		p->ack = end;
		p->una = ti.seq;
	}
	if (lane_seq_gt(end, p->ack))
		p->ack = end;
	if (ti.flags & LANE_WIRE_ACK)
		p->seq = ti.ack;
	if (ti.opts.have & LANE_OPT_TS)
		p->tsval = ti.opts.tsval;
}

/* Whatever came in, what goes out is a sound packet from us to a peer; of ICMP only port unreachable. */
static void check_sent(const struct lane_buf *b)
{
	const uint8_t *p = lane_buf_data(&w.ln->bufs, b), *l4;
	struct lane_ip_info ip;
	uint64_t pseudo;
	uint16_t type;

	FUZZ_CHECK(!(b->flags & LANE_BUF_MORE) && b->len == b->pkt_len && b->len > LANE_ETH_HLEN);
	type = (uint16_t)(p[12] << 8 | p[13]);
	FUZZ_CHECK(type == LANE_ETH_IP4 || type == LANE_ETH_IP6);
	FUZZ_CHECK(lane_ip_parse(p + LANE_ETH_HLEN, b->len - LANE_ETH_HLEN, b->len - LANE_ETH_HLEN,
				 &ip) == LANE_OK);
	FUZZ_CHECK((type == LANE_ETH_IP4) == lane_ip_is4(&ip.src));
	FUZZ_CHECK(LANE_ETH_HLEN + ip.hlen + ip.l4_len == b->len);
	FUZZ_CHECK(ip.hlen + ip.l4_len <= w.max_mtu);
	l4 = p + LANE_ETH_HLEN + ip.hlen;
	if (ip.is_frag)
		return;
	if (ip.proto == LANE_PROTO_ICMP || ip.proto == LANE_PROTO_ICMP6)
		FUZZ_CHECK(ip.l4_len >= 8 + 28 && l4[0] * 10 + l4[1] == (ip.proto == LANE_PROTO_ICMP ? 33 : 14));
	else
		FUZZ_CHECK(ip.proto == LANE_PROTO_TCP || ip.proto == LANE_PROTO_UDP);
	pseudo = ip.proto == LANE_PROTO_ICMP ? 0 : lane_csum_pseudo(&ip.src, &ip.dst, ip.proto, ip.l4_len);
	if (!(b->flags & LANE_BUF_CSUM))
		FUZZ_CHECK(lane_csum_fold(lane_csum_add(pseudo, l4, ip.l4_len)) == 0xffff);
	else
		FUZZ_CHECK(b->csum_start == LANE_ETH_HLEN + ip.hlen &&
			   memcmp(l4 + b->csum_off, &(uint16_t){lane_csum_fold(pseudo)}, 2) == 0);
	if (ip.proto == LANE_PROTO_TCP)
		check_segment(&ip, l4);
}

/* ---- the driver ---- */

static uint16_t drv_rx(struct lane_queue *q, struct lane_buf *bufs[], uint16_t n)
{
	unsigned int nr = w.drv.nr_rx < n ? w.drv.nr_rx : n;

	(void)q;
	for (unsigned int i = 0; i < nr; i++)
		bufs[i] = w.drv.rx[i];
	FUZZ_CHECK(nr == w.drv.nr_rx);
	w.drv.nr_rx = 0;
	return (uint16_t)nr;
}

static uint16_t drv_tx(struct lane_queue *q, struct lane_buf *bufs[], uint16_t n)
{
	uint16_t nr = n < w.drv.room ? n : w.drv.room;

	for (uint16_t i = 0; i < nr; i++) {
		check_sent(bufs[i]);
		bufs[i]->flags |= LANE_BUF_TX;
		if (w.drv.hold) {
			FUZZ_CHECK(w.drv.nr_held < NR_BUFS);
			w.drv.held[w.drv.nr_held++] = bufs[i];
		} else {
			lane_buf_tx_done(q->bufs, bufs[i]);
		}
	}
	return nr;
}

static void drv_claim(struct lane_queue *q, uint8_t proto, uint16_t port, uint32_t any,
		      uint32_t listen)
{
	unsigned int i;

	(void)q;
	FUZZ_CHECK(any || !listen);
	for (i = 0; i < w.drv.nr_claimed; i++) {
		if (w.drv.claimed[i].proto == proto && w.drv.claimed[i].port == port)
			return;
	}
	FUZZ_CHECK(i < sizeof(w.drv.claimed) / sizeof(w.drv.claimed[0]));
	w.drv.claimed[i].proto = proto;
	w.drv.claimed[i].port = port;
	w.drv.nr_claimed++;
}

const struct lane_driver engine_driver = {
	.name = "fuzz", .rx_burst = drv_rx, .tx_burst = drv_tx, .claim = drv_claim};

static void complete(unsigned int n)
{
	unsigned int nr = n < w.drv.nr_held ? n : w.drv.nr_held;

	for (unsigned int i = 0; i < nr; i++)
		lane_buf_tx_done(&w.ln->bufs, w.drv.held[i]);
	w.drv.nr_held -= nr;
	memmove(w.drv.held, w.drv.held + nr, w.drv.nr_held * sizeof(w.drv.held[0]));
}

static void keep_away(unsigned int n)
{
	struct lane_buf *b;

	while (n-- && (b = lane_buf_alloc(&w.ln->bufs))) {
		b->owner = LANE_BUF_DRIVER;
		w.drv.away[w.drv.nr_away++] = b;
	}
}

static void bring_back(void)
{
	while (w.drv.nr_away) {
		w.drv.away[--w.drv.nr_away]->owner = 0;
		lane_buf_free(&w.ln->bufs, w.drv.away[w.drv.nr_away]);
	}
}

void engine_driver_step(struct fuzz_in *in)
{
	uint8_t what = fuzz_u8(in), n = fuzz_u8(in);

	switch (what & 7) {
	case 0:
		w.drv.hold = n & 1;
		break;
	case 1:
		complete(n);
		break;
	case 2:
		w.drv.room = n & 31;
		break;
	case 3:
		keep_away(n);
		break;
	default:
		bring_back();
	}
}

void engine_driver_release(void)
{
	complete(NR_BUFS);
	bring_back();
	w.drv.hold = false;
	w.drv.room = LANE_BURST;
}

/* Stages a frame as the driver would have received it; without frames it is lost. */
static void stage(const uint8_t *bytes, uint32_t len, uint8_t flags)
{
	struct lane_buf *first = NULL, *last = NULL;
	uint32_t piece = w.drv.piece ? w.drv.piece : w.ln->bufs.size;

	if (w.drv.nr_rx == LANE_BURST)
		return;
	for (uint32_t done = 0; done < len;) {
		struct lane_buf *b = lane_buf_alloc(&w.ln->bufs);
		uint32_t n = len - done < piece ? len - done : piece;

		if (!b) {
			if (first)
				lane_buf_free_packet(&w.ln->bufs, first);
			return;
		}
		b->owner = 0;
		b->off = n <= w.ln->bufs.size - LANE_HEADROOM ? LANE_HEADROOM : 0;
		b->len = (uint16_t)n;
		memcpy(lane_buf_data(&w.ln->bufs, b), bytes + done, n);
		done += n;
		if (last) {
			last->flags |= LANE_BUF_MORE;
			last->next = lane_buf_index(&w.ln->bufs, b);
		} else {
			first = b;
		}
		last = b;
	}
	if (!first)
		return;
	first->pkt_len = len;
	first->flags |= flags;
	w.drv.rx[w.drv.nr_rx++] = first;
}

/* ---- packets ---- */

static uint32_t put_eth(uint8_t *p, bool v6, bool vlan)
{
	struct lane_eth_hdr eth = {.dst = {{w.to_group ? 1 : 2, 0, 0, 0, 0, 1}},
				   .src = {{2, 0, 0, 0, 0, 2}},
				   .type = lane_be16_of(v6 ? LANE_ETH_IP6 : LANE_ETH_IP4)};
	struct lane_be16 tag[2] = {lane_be16_of(0x2000), eth.type};

	if (vlan)
		eth.type = lane_be16_of(LANE_ETH_VLAN);
	memcpy(p, &eth, sizeof(eth));
	if (vlan)
		memcpy(p + sizeof(eth), tag, sizeof(tag));
	return sizeof(eth) + (vlan ? sizeof(tag) : 0);
}

/* Lengthens the header of 'hlen' bytes at 'p' by one that means nothing; returns the new length. */
static uint32_t put_options(uint8_t *p, uint32_t hlen, bool v6)
{
	uint32_t n = v6 ? 8 : 4;
	uint16_t len, sum;

	if (v6) {
		memmove(p + 48, p + 40, hlen - 40);
		memcpy(p + 40, (uint8_t[]){p[6], 0, 1, 4, 0, 0, 0, 0}, 8);
		p[6] = 60;
		len = (uint16_t)((p[4] << 8 | p[5]) + n);
		p[4] = (uint8_t)(len >> 8);
		p[5] = (uint8_t)len;
		return hlen + n;
	}
	memset(p + hlen, 1, n);
	p[0]++;
	len = (uint16_t)((p[2] << 8 | p[3]) + n);
	p[2] = (uint8_t)(len >> 8);
	p[3] = (uint8_t)len;
	p[10] = p[11] = 0;
	sum = (uint16_t)~lane_csum_fold(lane_csum_add(0, p, hlen + n));
	memcpy(p + 10, &sum, sizeof(sum));
	return hlen + n;
}

/* Stages 'info' with 'len' bytes of what it carries. */
static void stage_ip(struct lane_ip_info *info, const uint8_t *l4, uint32_t len, uint8_t how,
		     uint8_t flags)
{
	bool v6 = !lane_ip_is4(&info->src);
	uint8_t frame[MAX_FRAME];
	uint32_t at = put_eth(frame, v6, how & HOW_VLAN), hlen;

	info->l4_len = len;
	hlen = lane_ip_emit(frame + at, info, 1);
	if (how & HOW_OPTIONS)
		hlen = put_options(frame + at, hlen, v6);
	at += hlen;
	if (at + len > sizeof(frame))
		len = sizeof(frame) - at;
	memcpy(frame + at, l4, len);
	stage(frame, at + len, flags);
}

/* Stages an L4 packet from a peer, its checksum at 'csum_off'. */
static void stage_l4(bool v6, uint8_t proto, uint8_t tos, uint8_t *l4, uint32_t len,
		     uint32_t csum_off, uint8_t how)
{
	struct lane_ip_info info = {.src = engine_ip(true, v6),
				    .dst = w.to_group ? engine_group(v6) : engine_ip(false, v6),
				    .proto = proto,
				    .tos = tos,
				    .ttl = 64};
	uint64_t sum = lane_csum_pseudo(&info.src, &info.dst, proto, len);
	uint8_t flags = how & HOW_CSUM_OK ? LANE_BUF_CSUM_OK : 0;
	uint32_t cut = len / 2 & ~7U;
	uint16_t field;

	if (proto == LANE_PROTO_ICMP)
		sum = 0;
	field = how & HOW_PARTIAL ? lane_csum_fold(sum)
				  : (uint16_t)~lane_csum_fold(lane_csum_add(sum, l4, len));
	if (how & HOW_BAD_CSUM)
		field ^= 0x1111;
	memcpy(l4 + csum_off, &field, sizeof(field));
	if (how & HOW_PARTIAL)
		flags |= LANE_BUF_PARTIAL_OK;
	if (!(how & HOW_CUT) || cut == 0) {
		stage_ip(&info, l4, len, how, flags);
		return;
	}
	info.is_frag = info.more_frags = true;
	info.frag_id = 0x8000 + w.nr_cut++;
	stage_ip(&info, l4, cut, how, flags);
	info.more_frags = false;
	info.frag_off = (uint16_t)cut;
	stage_ip(&info, l4 + cut, len - cut, how, flags);
}

/* ---- TCP ---- */

/* A sequence number near 'base': right, or wrong by a little, or by much. */
static uint32_t near(struct fuzz_in *in, uint8_t mode, uint32_t base)
{
	switch (mode & 3) {
	case 0:
		return base;
	case 1:
		return base + (uint32_t)(int8_t)fuzz_u8(in);
	case 2:
		return base + (uint32_t)((int16_t)fuzz_u16(in) * 4);
	default:
		return fuzz_u32(in);
	}
}

static void draw_options(struct fuzz_in *in, const struct peer *p, struct lane_tcp_opts *o)
{
	o->have = fuzz_u8(in) & 0x1f;
	if (o->have & LANE_OPT_MSS)
		o->mss = (uint16_t)(fuzz_u8(in) * 8);
	if (o->have & LANE_OPT_WSCALE)
		o->wscale = fuzz_u8(in);
	if (o->have & LANE_OPT_TS) {
		o->tsval = (uint32_t)(w.now_us / 1000) + (uint32_t)(int8_t)fuzz_u8(in);
		o->tsecr = p->tsval + (uint32_t)(int8_t)fuzz_u8(in);
	}
	if (!(o->have & LANE_OPT_SACK))
		return;
	o->nr_sack = 1 + (fuzz_u8(in) & 3);
	for (unsigned int i = 0; i < o->nr_sack; i++) {
		o->sack[i].start = p->una + (uint32_t)(int8_t)fuzz_u8(in) * 100;
		o->sack[i].end = o->sack[i].start + fuzz_u8(in) * 100U;
		/* The end of all that was sent is worth to be met. */
		if (lane_seq_gt(o->sack[i].end, p->ack) && (o->sack[i].end & 1))
			o->sack[i].end = p->ack;
	}
}

/* Writes a segment of 'ti' with 'n' bytes of raw options behind the others; returns its length. */
static uint32_t put_segment(struct fuzz_in *in, uint8_t *l4, const struct lane_tcp_info *ti,
			    uint32_t n)
{
	uint32_t hlen = lane_tcp_emit(l4, ti);

	if (hlen + n > 60)
		n = 60 - hlen;
	for (uint32_t i = 0; i < n; i++)
		l4[hlen + i] = fuzz_u8(in);
	hlen += n;
	l4[12] = (uint8_t)(hlen / 4 << 4);
	for (uint32_t i = 0; i < ti->len; i++)
		l4[hlen + i] = pattern(ti->seq + !!(ti->flags & LANE_WIRE_SYN) + i);
	return hlen + ti->len;
}

static void send_segment(struct fuzz_in *in, unsigned int i, struct lane_tcp_info *ti, uint8_t tos,
			 uint8_t how, uint32_t nr_raw)
{
	struct peer *p = &w.peer[i];
	uint8_t l4[MAX_FRAME];
	uint32_t len;

	ti->sport = (uint16_t)(PEER_PORT + i);
	if (!ti->dport)
		ti->dport = p->lane_port;
	len = put_segment(in, l4, ti, nr_raw);
	if (ti->flags & LANE_WIRE_ACK && lane_seq_gt(ti->ack, p->una))
		p->una = ti->ack;
	stage_l4(i & 1, LANE_PROTO_TCP, tos, l4, len, offsetof(struct lane_tcp_hdr, csum), how);
}

void engine_segment(struct fuzz_in *in)
{
	uint8_t who = fuzz_u8(in), modes = fuzz_u8(in), len, how = 0, tos = 0;
	const struct peer *p = &w.peer[who % NR_PEERS];
	struct lane_tcp_info ti = {.flags = fuzz_u8(in), .wnd = 65535};
	uint32_t nr_raw = 0;

	ti.seq = near(in, modes, p->seq);
	ti.ack = near(in, modes >> 2, p->ack);
	len = fuzz_u8(in);
	ti.len = len < 0xc0 ? len : (len - 0xbfu) * 22;
	if (modes & 0x10)
		ti.wnd = fuzz_u8(in) * 8U;
	if (modes & 0x20)
		draw_options(in, p, &ti.opts);
	if (modes & 0x40) {
		how = fuzz_u8(in);
		tos = how >> 6;
	}
	if (modes & 0x80)
		ti.urg = fuzz_u16(in);
	w.urged |= !!(ti.flags & LANE_WIRE_URG);
	if (who & 0x10)
		nr_raw = fuzz_u8(in) & 0x3c;
	/* Another port of the lane than before: SYNs. */
	if (who & 0x20)
		ti.dport = (uint16_t)(80 + (fuzz_u8(in) & 3));
	send_segment(in, who % NR_PEERS, &ti, tos, how, nr_raw);
}

/* A peer opens a connection that is right in all, up to where the second byte says. */
void engine_handshake(struct fuzz_in *in)
{
	uint8_t who = fuzz_u8(in), what = fuzz_u8(in);
	struct peer *p = &w.peer[who % NR_PEERS];
	struct lane_tcp_info syn = {.flags = LANE_WIRE_SYN, .seq = p->seq, .wnd = 65535};
	struct lane_tcp_info ack = {.flags = LANE_WIRE_ACK, .wnd = 65535};
	struct fuzz_in none = {NULL, 0};

	p->lane_port = 80;
	if (what & 8)
		syn.flags |= LANE_WIRE_ECE | LANE_WIRE_CWR;
	syn.opts = (struct lane_tcp_opts){
		.have = LANE_OPT_MSS | (what & 7) << 1, .mss = 1460, .wscale = 2};
	if (syn.opts.have & LANE_OPT_TS)
		syn.opts.tsval = (uint32_t)(w.now_us / 1000);
	send_segment(&none, who % NR_PEERS, &syn, 0, 0, 0);
	engine_turn();
	if (what & 0x10)
		return;
	ack.seq = p->seq;
	ack.ack = p->ack;
	if (syn.opts.have & LANE_OPT_TS) {
		ack.opts = (struct lane_tcp_opts){.have = LANE_OPT_TS, .tsecr = p->tsval};
		ack.opts.tsval = (uint32_t)(w.now_us / 1000);
	}
	send_segment(&none, who % NR_PEERS, &ack, 0, 0, 0);
	engine_turn();
	if (!(what & 0x20))
		engine_accept();
}

/* ---- UDP, fragments, ICMP, anything ---- */

static uint32_t put_datagram(uint8_t *p, uint16_t sport, uint16_t dport, uint32_t len)
{
	struct lane_udp_hdr h = {.sport = lane_be16_of(sport),
				 .dport = lane_be16_of(dport),
				 .len = lane_be16_of((uint16_t)(sizeof(h) + len))};

	memcpy(p, &h, sizeof(h));
	for (uint32_t i = 0; i < len; i++)
		p[sizeof(h) + i] = pattern(i);
	return sizeof(h) + len;
}

void engine_datagram(struct fuzz_in *in)
{
	uint8_t who = fuzz_u8(in), how = fuzz_u8(in), n = fuzz_u8(in), l4[MAX_FRAME];
	uint32_t len = put_datagram(l4, (uint16_t)(PEER_PORT + who % NR_PEERS),
				    (uint16_t)(7000 + (who >> 4 & 3)), n * 5U);

	/* A length of its own. */
	if (who & 0x80)
		l4[5] = fuzz_u8(in);
	w.to_group = who & 0x40;
	stage_l4(who & 1, LANE_PROTO_UDP, how >> 6, l4, len, offsetof(struct lane_udp_hdr, csum),
		 how);
	w.to_group = false;
}

/* A piece of one of 16 datagrams that are right if they are put together. */
void engine_fragment(struct fuzz_in *in)
{
	uint8_t id = fuzz_u8(in), off = fuzz_u8(in), n = fuzz_u8(in), what = fuzz_u8(in);
	bool v6 = id & 1;
	struct lane_ip_info info = {.src = engine_ip(true, v6),
				    .dst = engine_ip(false, v6),
				    .proto = LANE_PROTO_UDP,
				    .tos = what >> 6,
				    .ttl = 64,
				    .is_frag = true,
				    .frag_id = id};
	uint8_t l4[MAX_FRAME];
	uint32_t len = put_datagram(l4, PEER_PORT, 7000, 40 + (id & 15) * 100U), end;
	uint16_t sum = (uint16_t)~lane_csum_fold(lane_csum_add(
		lane_csum_pseudo(&info.src, &info.dst, LANE_PROTO_UDP, len), l4, len));

	memcpy(l4 + offsetof(struct lane_udp_hdr, csum), &sum, sizeof(sum));
	info.frag_off = (uint16_t)(off * 8U % len & ~7U);
	end = info.frag_off + 8U * (n ? n : 256);
	info.more_frags = end < len;
	if (end > len)
		end = len;
	if (what & 0x01)
		info.more_frags = !info.more_frags;
	/* Beyond the end, up to the last offset that there is. */
	if (what & 0x04)
		info.frag_off = (uint16_t)(off << 8 | (n & 0xf8));
	if (what & 0x10) {
		l4[info.frag_off % len] ^= 0xff;
		w.tainted = true; /* two such make the checksum right again */
	}
	if (what & 0x20)
		info.proto = LANE_PROTO_TCP;
	stage_ip(&info, l4 + info.frag_off % len,
		 end > info.frag_off ? end - info.frag_off % len : 8,
		 what & (HOW_VLAN | HOW_OPTIONS), 0);
}

/* An error about a packet of ours, with a quote that is right but for what the input says. */
void engine_icmp(struct fuzz_in *in)
{
	uint8_t who = fuzz_u8(in), type = fuzz_u8(in), code = fuzz_u8(in), how = fuzz_u8(in);
	bool v6 = who & 1;
	struct peer *p = &w.peer[who % NR_PEERS];
	struct lane_ip_info quote = {.src = engine_ip(false, v6),
				     .dst = engine_ip(true, v6),
				     .proto = who & 0x10 ? LANE_PROTO_UDP : LANE_PROTO_TCP,
				     .ttl = 60,
				     .l4_len = 40};
	uint16_t port[2] = {who & 0x10 ? 7001 : p->lane_port,
			    (uint16_t)(PEER_PORT + who % NR_PEERS)};
	uint32_t seq = near(in, how >> 6, p->una), at = 8;
	uint8_t m[128] = {type, code};

	if (type < 8) /* one of the errors, of the right family */
		m[0] = v6 ? (uint8_t[]){1, 2, 3, 4}[type & 3] : (uint8_t[]){3, 3, 11, 12}[type & 3];
	m[6] = fuzz_u8(in);
	m[7] = fuzz_u8(in);
	at += lane_ip_emit(m + at, &quote, 1);
	for (unsigned int i = 0; i < 2; i++) {
		m[at++] = (uint8_t)(port[i] >> 8);
		m[at++] = (uint8_t)port[i];
	}
	for (int i = 24; i >= 0; i -= 8)
		m[at++] = (uint8_t)(seq >> i);
	stage_l4(v6, v6 ? LANE_PROTO_ICMP6 : LANE_PROTO_ICMP, 0, m, at - (how & 0x02 ? 6 : 0), 2,
		 how & (HOW_BAD_CSUM | HOW_OPTIONS));
}

/* Any bytes behind an Ethernet header for us, or without it. */
void engine_raw(struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in), n = fuzz_u8(in), frame[MAX_FRAME];
	uint32_t at = how & 1 ? 0 : put_eth(frame, how & 2, how & 4), l3 = at;
	uint16_t sum;

	for (uint32_t i = 0; i < n; i++)
		frame[at++] = fuzz_u8(in);
	if ((how & 8) && !(how & 3) && n >= 20) {
		frame[l3] = (uint8_t)(0x40 | (frame[l3] & 15));
		memset(frame + l3 + 10, 0, 2);
		sum = (uint16_t)~lane_csum_fold(lane_csum_add(
			0, frame + l3, (frame[l3] & 15) * 4U < n ? (frame[l3] & 15) * 4U : 20));
		memcpy(frame + l3 + 10, &sum, sizeof(sum));
	}
	w.tainted = true;
	stage(frame, at, how & 16 ? LANE_BUF_CSUM_OK : 0);
}
