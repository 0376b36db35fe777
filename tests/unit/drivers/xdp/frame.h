/*
 * frame.h - frames for the XDP program's tests, byte by byte
 */
#ifndef LANE_TESTS_XDP_FRAME_H
#define LANE_TESTS_XDP_FRAME_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SYN 0x02
#define RST 0x04
#define ACK 0x10

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1}, peer_mac[6] = {2, 0, 0, 0, 0, 2};
static const uint8_t our4[4] = {10, 9, 0, 1}, peer4[4] = {10, 9, 0, 2}, other4[4] = {10, 9, 0, 3};
static const uint8_t our6[16] = {0xfd, 0x77, [15] = 1}, peer6[16] = {0xfd, 0x77, [15] = 2};

struct frame {
	uint8_t b[512];
	size_t len;
};

static inline void put(struct frame *f, const void *p, size_t n)
{
	memcpy(f->b + f->len, p, n);
	f->len += n;
}

static inline void put8(struct frame *f, unsigned int v)
{
	f->b[f->len++] = (uint8_t)v;
}

static inline void put16(struct frame *f, unsigned int v)
{
	put8(f, v >> 8);
	put8(f, v);
}

static inline void put32(struct frame *f, uint32_t v)
{
	put16(f, v >> 16);
	put16(f, v);
}

static inline struct frame eth(const uint8_t *dst, unsigned int type)
{
	struct frame f = {.len = 0};

	put(&f, dst, 6);
	put(&f, peer_mac, 6);
	put16(&f, type);
	return f;
}

/* 'options' is a multiple of 4; 'frag' is the field with its flags. */
static inline void ip4(struct frame *f, unsigned int proto, const uint8_t *src, const uint8_t *dst,
		unsigned int options, unsigned int frag)
{
	static const uint8_t nops[40] = {[0 ... 39] = 1};

	put8(f, 0x40 | (5 + options / 4));
	put8(f, 0);
	put16(f, 20 + options + 20);
	put16(f, 77); /* id */
	put16(f, frag);
	put8(f, 64);
	put8(f, proto);
	put16(f, 0);
	put(f, src, 4);
	put(f, dst, 4);
	put(f, nops, options);
}

static inline void ip6(struct frame *f, unsigned int next, const uint8_t *src, const uint8_t *dst)
{
	put32(f, 0x60000000);
	put16(f, 40);
	put8(f, next);
	put8(f, 64);
	put(f, src, 16);
	put(f, dst, 16);
}

static inline void tcp(struct frame *f, unsigned int sport, unsigned int dport, unsigned int flags)
{
	put16(f, sport);
	put16(f, dport);
	put32(f, 1000);
	put32(f, 2000);
	put16(f, 0x5000 | flags);
	put16(f, 65535);
	put32(f, 0);
}

static inline void udp(struct frame *f, unsigned int sport, unsigned int dport)
{
	put16(f, sport);
	put16(f, dport);
	put16(f, 16);
	put16(f, 0);
	put32(f, 0);
	put32(f, 0);
}

static inline struct frame tcp4(unsigned int dport, unsigned int flags)
{
	struct frame f = eth(our_mac, 0x0800);

	ip4(&f, IPPROTO_TCP, peer4, our4, 0, 0);
	tcp(&f, 5555, dport, flags);
	return f;
}

#endif
