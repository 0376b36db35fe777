/*
 * wire.c - fuzzes every parser of stack/wire, and the printer
 *
 * The first byte chooses the parser, the second says what is mended or stated otherwise: with
 * random checksums hardly anything would be looked at behind them. What parses is emitted and
 * parsed again.
 */
#include "stack/base/csum.h"
#include "stack/wire/eth.h"
#include "stack/wire/icmp.h"
#include "stack/wire/ip.h"
#include "stack/wire/print.h"
#include "stack/wire/tcp.h"
#include "tests/fuzz/fuzz.h"

#define MEND 0x01 /* the checksums are made right */
#define V6   0x02 /* ICMPv6 */

/* Makes the IPv4 header at 'p' one with a right checksum, if it is one at all. */
static void mend_ip(uint8_t *p, size_t len)
{
	uint32_t hlen = len ? (p[0] & 15) * 4U : 0;
	uint16_t sum;

	if (len < 20 || p[0] >> 4 != 4 || hlen < 20 || hlen > len)
		return;
	p[10] = p[11] = 0;
	sum = (uint16_t)~lane_csum_fold(lane_csum_add(0, p, hlen));
	memcpy(p + 10, &sum, sizeof(sum));
}

static void fuzz_ip(uint8_t *p, uint32_t len, uint32_t total)
{
	struct lane_ip_info a, b;
	uint8_t out[64];
	uint16_t hlen;

	if (lane_ip_parse(p, len, total, &a))
		return;
	FUZZ_CHECK(a.hlen <= len && a.hlen + a.l4_len <= total);
	FUZZ_CHECK(lane_ip_is4(&a.src) == lane_ip_is4(&a.dst));
	FUZZ_CHECK(a.is_frag == (a.more_frags || a.frag_off));
	FUZZ_CHECK(!a.is_frag || a.frag_off + a.l4_len <= UINT16_MAX);
	/* Longer ones are not for the wire. */
	if (a.l4_len > UINT16_MAX - 48)
		return;
	hlen = lane_ip_emit(out, &a, 7);
	FUZZ_CHECK(hlen <= sizeof(out));
	FUZZ_CHECK(lane_ip_parse(out, hlen, hlen + a.l4_len, &b) == LANE_OK);
	FUZZ_CHECK(b.hlen == hlen && b.l4_len == a.l4_len && b.proto == a.proto);
	FUZZ_CHECK(b.tos == a.tos && b.ttl == a.ttl && b.is_frag == a.is_frag);
	FUZZ_CHECK(lane_ip_equal(&a.src, &b.src) && lane_ip_equal(&a.dst, &b.dst));
	FUZZ_CHECK(!a.is_frag || (a.frag_off == b.frag_off && a.more_frags == b.more_frags &&
				  a.frag_id == b.frag_id));
}

/* What was emitted says the same; of SACK blocks those for which there is room. */
static void check_tcp_again(const struct lane_tcp_info *a)
{
	struct lane_tcp_info b;
	uint8_t out[64], *copy;
	uint8_t hlen = lane_tcp_emit(out, a);

	FUZZ_CHECK(hlen <= 60 && hlen == 20 + lane_tcp_opts_len(&a->opts));
	copy = fuzz_copy(out, hlen);
	FUZZ_CHECK(lane_tcp_parse(copy, hlen, hlen + a->len, &b) == LANE_OK);
	free(copy);
	FUZZ_CHECK(b.sport == a->sport && b.dport == a->dport && b.seq == a->seq);
	FUZZ_CHECK(b.ack == a->ack && b.wnd == a->wnd && b.flags == a->flags && b.len == a->len);
	FUZZ_CHECK((b.opts.have | LANE_OPT_SACK) == (a->opts.have | LANE_OPT_SACK));
	FUZZ_CHECK(b.opts.mss == a->opts.mss && b.opts.wscale == a->opts.wscale);
	FUZZ_CHECK(b.opts.tsval == a->opts.tsval && b.opts.tsecr == a->opts.tsecr);
	FUZZ_CHECK(b.opts.nr_sack <= a->opts.nr_sack);
	for (unsigned int i = 0; i < b.opts.nr_sack; i++)
		FUZZ_CHECK(memcmp(&a->opts.sack[i], &b.opts.sack[i], sizeof(a->opts.sack[i])) == 0);
}

static void fuzz_tcp(const uint8_t *p, uint32_t len, uint32_t total)
{
	struct lane_tcp_info a;

	if (lane_tcp_parse(p, len, total, &a))
		return;
	FUZZ_CHECK(a.hlen >= 20 && a.hlen <= len && a.hlen + a.len == total);
	FUZZ_CHECK(a.opts.nr_sack <= 4 && (a.opts.nr_sack != 0) == !!(a.opts.have & LANE_OPT_SACK));
	FUZZ_CHECK(a.opts.wscale <= 14);
	check_tcp_again(&a);
}

/* 10.0.0.1 or fd00::1. */
static struct lane_ip station(bool v6, uint8_t last)
{
	struct lane_ip ip = lane_ip4(0);

	if (v6) {
		memset(&ip, 0, sizeof(ip));
		ip.b[0] = 0xfd;
	} else {
		ip.b[12] = 10;
	}
	ip.b[15] = last;
	return ip;
}

static void fuzz_icmp(uint8_t *p, uint32_t len, uint8_t how)
{
	bool v6 = how & V6;
	struct lane_ip src = station(v6, 2), dst = station(v6, 1);
	struct lane_icmp_info i;
	uint64_t sum = v6 ? lane_csum_pseudo(&src, &dst, LANE_PROTO_ICMP6, len) : 0;
	uint16_t field;

	if (len >= 4 && (how & MEND)) {
		p[2] = p[3] = 0;
		field = (uint16_t)~lane_csum_fold(lane_csum_add(sum, p, len));
		memcpy(p + 2, &field, sizeof(field));
	}
	if (lane_icmp_parse(p, len, &src, &dst, &i))
		return;
	FUZZ_CHECK(i.kind != LANE_ICMP_OTHER && i.kind <= LANE_ICMP_ERROR && i.err);
	FUZZ_CHECK(i.proto == LANE_PROTO_TCP || i.proto == LANE_PROTO_UDP);
	FUZZ_CHECK(i.has_seq == (i.proto == LANE_PROTO_TCP));
	FUZZ_CHECK(lane_ip_equal(&i.local.ip, &dst));
}

/* The line has the same length whatever room there is, and its end. */
static void fuzz_print(uint8_t *p, uint32_t len, uint8_t how)
{
	char line[1024], small[24];
	int n;

	if (len > LANE_ETH_HLEN && (how & MEND))
		mend_ip(p + LANE_ETH_HLEN, len - LANE_ETH_HLEN);
	n = lane_print_frame(line, sizeof(line), p, len);
	FUZZ_CHECK(n > 0 && (size_t)n < sizeof(line) && strlen(line) == (size_t)n);
	FUZZ_CHECK(lane_print_frame(small, sizeof(small), p, len) == n);
	FUZZ_CHECK(strlen(small) < sizeof(small) && strncmp(small, line, strlen(small)) == 0);
	FUZZ_CHECK(lane_print_frame(NULL, 0, p, len) == n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	uint8_t which = fuzz_u8(&in), how = fuzz_u8(&in);
	/* A packet may be longer than what of it lies in the first frame. */
	uint32_t more = how & 0x80 ? fuzz_u16(&in) * 2U : 0;
	uint32_t len = (uint32_t)in.left;
	uint8_t *p = fuzz_copy(in.p, in.left);

	switch (which % 4) {
	case 0:
		if (how & MEND)
			mend_ip(p, len);
		fuzz_ip(p, len, len + more);
		break;
	case 1:
		fuzz_tcp(p, len, len + more);
		break;
	case 2:
		fuzz_icmp(p, len, how);
		break;
	default:
		fuzz_print(p, len, how);
	}
	free(p);
	return 0;
}
