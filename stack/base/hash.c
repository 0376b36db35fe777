/*
 * hash.c - SipHash-c-d (Aumasson, Bernstein 2012) and the flow hashes made of it
 */
#include "stack/base/hash.h"

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static inline void sip_rounds(struct sip *s, int n)
{
	while (n--) {
		s->v0 += s->v1;
		s->v1 = rotl(s->v1, 13) ^ s->v0;
		s->v0 = rotl(s->v0, 32);
		s->v2 += s->v3;
		s->v3 = rotl(s->v3, 16) ^ s->v2;
		s->v0 += s->v3;
		s->v3 = rotl(s->v3, 21) ^ s->v0;
		s->v2 += s->v1;
		s->v1 = rotl(s->v1, 17) ^ s->v2;
		s->v2 = rotl(s->v2, 32);
	}
}

static inline void sip_init(struct sip *s, const struct lane_hash_key *key)
{
	s->v0 = key->k[0] ^ 0x736f6d6570736575ULL;
	s->v1 = key->k[1] ^ 0x646f72616e646f6dULL;
	s->v2 = key->k[0] ^ 0x6c7967656e657261ULL;
	s->v3 = key->k[1] ^ 0x7465646279746573ULL;
}

static inline void sip_word(struct sip *s, uint64_t m, int c)
{
	s->v3 ^= m;
	sip_rounds(s, c);
	s->v0 ^= m;
}

static inline uint64_t sip_end(struct sip *s, int d)
{
	s->v2 ^= 0xff;
	sip_rounds(s, d);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

static inline uint64_t siphash(const struct lane_hash_key *key, const void *data, uint32_t len,
			       int c, int d)
{
	const uint8_t *p = data;
	uint64_t last = (uint64_t)len << 56;
	struct sip s;
	uint64_t m;

	sip_init(&s, key);
	for (uint32_t left = len / 8; left; left--, p += 8) {
		memcpy(&m, p, 8);
		sip_word(&s, m, c);
	}
	for (uint32_t i = 0; i < len % 8; i++)
		last |= (uint64_t)p[i] << (8 * i);
	sip_word(&s, last, c);
	return sip_end(&s, d);
}

uint64_t lane_siphash24(const struct lane_hash_key *key, const void *data, uint32_t len)
{
	return siphash(key, data, len, 2, 4);
}

uint64_t lane_siphash13(const struct lane_hash_key *key, const void *data, uint32_t len)
{
	return siphash(key, data, len, 1, 3);
}

/* 0 is the flow table's empty slot. */
static uint32_t not_zero(uint64_t h)
{
	return (uint32_t)h ? (uint32_t)h : 1;
}

/*
 * SipHash-1-3 over whole words. The first one says the family, and thereby how many follow: an IPv4
 * flow has two words in all, an IPv6 flow five.
 */
uint32_t lane_flow_hash(const struct lane_hash_key *key, uint8_t proto, const struct lane_ep *local,
			const struct lane_ep *remote)
{
	uint64_t head =
		(uint64_t)proto | (uint64_t)local->port << 16 | (uint64_t)remote->port << 32;
	struct sip s;

	sip_init(&s, key);
	if (lane_ip_is4(&local->ip) && lane_ip_is4(&remote->ip)) {
		sip_word(&s, head | 4U << 8, 1);
		sip_word(&s, (uint64_t)local->ip.w[3] | (uint64_t)remote->ip.w[3] << 32, 1);
	} else {
		sip_word(&s, head | 6U << 8, 1);
		sip_word(&s, local->ip.d[0], 1);
		sip_word(&s, local->ip.d[1], 1);
		sip_word(&s, remote->ip.d[0], 1);
		sip_word(&s, remote->ip.d[1], 1);
	}
	return not_zero(sip_end(&s, 3));
}

uint32_t lane_port_hash(const struct lane_hash_key *key, uint8_t proto, uint16_t port)
{
	struct sip s;

	sip_init(&s, key);
	sip_word(&s, (uint64_t)proto | (uint64_t)port << 16, 1);
	return not_zero(sip_end(&s, 3));
}
