/*
 * print.c - one packet in one line, as tests, `lane trace` and logs show it
 *
 * The words are tcpdump's where it has them. Sequence numbers are absolute. What does not parse is
 * shown with the reason for which a lane drops it.
 */
#include "stack/wire/print.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>

#include "stack/wire/eth.h"
#include "stack/wire/icmp.h"
#include "stack/wire/ip.h"
#include "stack/wire/tcp.h"
#include "stack/wire/udp.h"

#define MAX_IP  65575U /* the longest IP packet: IPv6's header and 65535 bytes */
#define IP_TEXT 48     /* the longest address and its final 0 */

/* What was printed so far: 'len' counts on when 'out' is full, as snprintf does. */
struct line {
	char *out;
	size_t size;
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void put(struct line *l, const char *fmt, ...)
{
	size_t left = l->len < l->size ? l->size - l->len : 0;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(left ? l->out + l->len : NULL, left, fmt, ap);
	va_end(ap);
	if (n > 0)
		l->len += (size_t)n;
}

char *lane_print_ip(char *out, size_t size, const struct lane_ip *ip)
{
	bool is4 = lane_ip_is4(ip);

	if (!inet_ntop(is4 ? AF_INET : AF_INET6, is4 ? &ip->b[12] : ip->b, out, (socklen_t)size) &&
	    size)
		out[0] = 0;
	return out;
}

static void put_ip(struct line *l, const struct lane_ip *ip)
{
	char text[IP_TEXT];

	put(l, "%s", lane_print_ip(text, sizeof(text), ip));
}

static void put_mac(struct line *l, const uint8_t *b)
{
	put(l, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
}

/* "10.0.0.1.5000 > 10.0.0.2.80: ", with ports unless there are none (proto of neither). */
static void put_flow(struct line *l, const struct lane_ip_info *ip, const uint16_t *ports)
{
	put_ip(l, &ip->src);
	if (ports)
		put(l, ".%u", ports[0]);
	put(l, " > ");
	put_ip(l, &ip->dst);
	if (ports)
		put(l, ".%u", ports[1]);
	put(l, ": ");
}

static void put_tcp_flags(struct line *l, uint8_t flags)
{
	/* tcpdump's order: FSRP.UEW */
	static const char letters[] = "FSRP.UEW";

	put(l, "Flags [");
	for (int i = 0; i < 8; i++)
		if (flags & 1 << i)
			put(l, "%c", letters[i]);
	put(l, "%s]", flags ? "" : "none");
}

static void put_tcp_options(struct line *l, const struct lane_tcp_opts *o)
{
	const char *sep = "";

	if (!o->have)
		return;
	put(l, ", options [");
	if (o->have & LANE_OPT_MSS) {
		put(l, "mss %u", o->mss);
		sep = ",";
	}
	if (o->have & LANE_OPT_SACK_OK) {
		put(l, "%ssackOK", sep);
		sep = ",";
	}
	if (o->have & LANE_OPT_TS) {
		put(l, "%sTS val %u ecr %u", sep, o->tsval, o->tsecr);
		sep = ",";
	}
	if (o->have & LANE_OPT_WSCALE) {
		put(l, "%swscale %u", sep, o->wscale);
		sep = ",";
	}
	if (o->have & LANE_OPT_SACK) {
		put(l, "%ssack %u ", sep, o->nr_sack);
		for (int i = 0; i < o->nr_sack; i++)
			put(l, "{%u:%u}", o->sack[i].start, o->sack[i].end);
	}
	put(l, "]");
}

static void put_tcp(struct line *l, const struct lane_ip_info *ip, const uint8_t *p, uint32_t avail)
{
	struct lane_tcp_info t;
	enum lane_drop why = lane_tcp_parse(p, avail, ip->l4_len, &t);

	if (why) {
		put_flow(l, ip, NULL);
		put(l, "TCP, bad [%s], length %u", lane_drop_name(why), ip->l4_len);
		return;
	}
	put_flow(l, ip, (uint16_t[]){t.sport, t.dport});
	put_tcp_flags(l, t.flags);
	if (t.len || t.flags & (LANE_WIRE_SYN | LANE_WIRE_FIN | LANE_WIRE_RST) ||
	    !(t.flags & LANE_WIRE_ACK))
		put(l, ", seq %u", t.seq);
	if (t.len)
		put(l, ":%u", t.seq + t.len);
	if (t.flags & LANE_WIRE_ACK)
		put(l, ", ack %u", t.ack);
	put(l, ", win %u", t.wnd);
	if (t.flags & LANE_WIRE_URG)
		put(l, ", urg %u", t.urg);
	put_tcp_options(l, &t.opts);
	put(l, ", length %u", t.len);
}

static void put_udp(struct line *l, const struct lane_ip_info *ip, const uint8_t *p, uint32_t avail)
{
	struct lane_udp_hdr h;

	if (avail < sizeof(h)) {
		put_flow(l, ip, NULL);
		put(l, "UDP, bad [%s], length %u", lane_drop_name(LANE_DROP_UDP_LEN), ip->l4_len);
		return;
	}
	memcpy(&h, p, sizeof(h));
	put_flow(l, ip, (uint16_t[]){lane_be16_get(h.sport), lane_be16_get(h.dport)});
	put(l, "UDP, length %u", ip->l4_len - (uint32_t)sizeof(h));
}

static void put_icmp(struct line *l, const struct lane_ip_info *ip, const uint8_t *p,
		     uint32_t avail)
{
	/* By enum lane_icmp_kind. */
	static const char *const kinds[] = {"", "too big", "unreachable", "port unreachable",
					    "prohibited"};
	const char *name = ip->proto == LANE_PROTO_ICMP ? "ICMP" : "ICMP6";
	struct lane_icmp_info i;
	enum lane_drop why = lane_icmp_parse(p, avail, &ip->src, &ip->dst, &i);

	put_flow(l, ip, NULL);
	if (why && why != LANE_DROP_ICMP_IGNORED) {
		put(l, "%s, bad [%s], length %u", name, lane_drop_name(why), ip->l4_len);
		return;
	}
	put(l, "%s type %u code %u", name, i.type, i.code);
	if (!why) {
		put(l, " (%s", kinds[i.kind]);
		if (i.kind == LANE_ICMP_TOO_BIG)
			put(l, ", mtu %u", i.mtu);
		put(l, "), about %s ", i.proto == LANE_PROTO_TCP ? "TCP" : "UDP");
		put_ip(l, &i.local.ip);
		put(l, ".%u > ", i.local.port);
		put_ip(l, &i.remote.ip);
		put(l, ".%u", i.remote.port);
	}
	put(l, ", length %u", ip->l4_len);
}

/* Bytes of the packet, of which 'len' are here: the first frame of a chain is shown too. An IPv6
 * payload length of 0 says nothing. */
static uint32_t whole_len(const uint8_t *p, size_t len)
{
	if (len < 6 || (p[0] >> 4 == 6 && p[4] == 0 && p[5] == 0))
		return (uint32_t)len;
	return len > MAX_IP ? (uint32_t)len : MAX_IP;
}

static void put_ip_packet(struct line *l, const uint8_t *p, size_t len)
{
	struct lane_ip_info ip;
	enum lane_drop why = lane_ip_parse(p, (uint32_t)len, whole_len(p, len), &ip);
	uint32_t avail = 0;

	put(l, len && p[0] >> 4 == 6 ? "IP6 " : "IP ");
	if (why) {
		put(l, "bad [%s], length %zu", lane_drop_name(why), len);
		return;
	}
	p += ip.hlen;
	if (len > ip.hlen)
		avail = (uint32_t)len - ip.hlen;
	if (avail > ip.l4_len)
		avail = ip.l4_len;
	if (ip.is_frag) {
		put_flow(l, &ip, NULL);
		put(l, "frag id %u offset %u%s, proto %u, length %u", ip.frag_id, ip.frag_off,
		    ip.more_frags ? "+" : "", ip.proto, ip.l4_len);
	} else if (ip.proto == LANE_PROTO_TCP) {
		put_tcp(l, &ip, p, avail);
	} else if (ip.proto == LANE_PROTO_UDP) {
		put_udp(l, &ip, p, avail);
	} else if (ip.proto == (lane_ip_is4(&ip.src) ? LANE_PROTO_ICMP : LANE_PROTO_ICMP6)) {
		put_icmp(l, &ip, p, avail);
	} else {
		put_flow(l, &ip, NULL);
		put(l, "proto %u, length %u", ip.proto, ip.l4_len);
	}
	if (avail < ip.l4_len)
		put(l, ", cut after %u", avail);
}

/* RFC 826, for Ethernet and IPv4. */
static void put_arp(struct line *l, const uint8_t *p, size_t len)
{
	uint32_t spa, tpa;
	struct lane_ip from, to;
	unsigned int op;

	if (len < 28) {
		put(l, "ARP, bad [%s], length %zu", lane_drop_name(LANE_DROP_SHORT), len);
		return;
	}
	op = (unsigned int)p[6] << 8 | p[7];
	memcpy(&spa, p + 14, sizeof(spa));
	memcpy(&tpa, p + 24, sizeof(tpa));
	from = lane_ip4(spa);
	to = lane_ip4(tpa);
	if (op == 1) {
		put(l, "ARP, Request who-has ");
		put_ip(l, &to);
		put(l, " tell ");
		put_ip(l, &from);
	} else if (op == 2) {
		put(l, "ARP, Reply ");
		put_ip(l, &from);
		put(l, " is-at ");
		put_mac(l, p + 8);
	} else {
		put(l, "ARP, op %u", op);
	}
	put(l, ", length %zu", len);
}

int lane_print_frame(char *out, size_t size, const uint8_t *frame, size_t len)
{
	struct line l = {out, size, 0};
	size_t at = LANE_ETH_HLEN;
	unsigned int type;

	if (size)
		out[0] = 0;
	if (len < LANE_ETH_HLEN) {
		put(&l, "Ethernet, bad [%s], length %zu", lane_drop_name(LANE_DROP_SHORT), len);
		return (int)l.len;
	}
	type = (unsigned int)frame[12] << 8 | frame[13];
	if (type == LANE_ETH_VLAN && len >= LANE_ETH_HLEN + 4) {
		put(&l, "vlan %u, ", ((unsigned int)frame[14] << 8 | frame[15]) & 0xfff);
		type = (unsigned int)frame[16] << 8 | frame[17];
		at += 4;
	}
	if (type == LANE_ETH_IP4 || type == LANE_ETH_IP6) {
		put_ip_packet(&l, frame + at, len - at);
	} else if (type == LANE_ETH_ARP) {
		put_arp(&l, frame + at, len - at);
	} else {
		put_mac(&l, frame + 6);
		put(&l, " > ");
		put_mac(&l, frame);
		put(&l, ", ethertype 0x%04x, length %zu", type, len);
	}
	return (int)l.len;
}
