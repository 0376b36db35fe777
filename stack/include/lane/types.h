/*
 * types.h - addresses and endpoints, as every public header uses them
 *
 * An IPv4 address is kept as its IPv4-mapped IPv6 address (RFC 4291 2.5.5.2), so that one
 * comparison and one hash serve both families. Ports are in host order everywhere but in the
 * wire structs (stack/wire).
 */
#ifndef LANE_TYPES_H
#define LANE_TYPES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define LANE_NIL UINT32_MAX /* the index that names nothing */

struct lane_mac {
	uint8_t b[6];
};

struct lane_ip {
	union {
		uint8_t b[16];
		uint32_t w[4]; /* network order; an IPv4 address is w[3] behind 0:0:ffff */
		uint64_t d[2];
	};
};

/* One end of a flow. 'port' is in host order. */
struct lane_ep {
	struct lane_ip ip;
	uint16_t port;
};

/* The IPv4 address 'be' (network order). */
static inline struct lane_ip lane_ip4(uint32_t be)
{
	struct lane_ip ip = {.d = {0, 0}};

	ip.b[10] = 0xff;
	ip.b[11] = 0xff;
	ip.w[3] = be;
	return ip;
}

static inline struct lane_ip lane_ip6(const void *bytes16)
{
	struct lane_ip ip;

	memcpy(ip.b, bytes16, sizeof(ip.b));
	return ip;
}

static inline bool lane_ip_is4(const struct lane_ip *ip)
{
	struct lane_ip map = lane_ip4(0);

	return ip->d[0] == 0 && ip->w[2] == map.w[2];
}

static inline bool lane_ip_equal(const struct lane_ip *a, const struct lane_ip *b)
{
	return a->d[0] == b->d[0] && a->d[1] == b->d[1];
}

/* True for :: and for 0.0.0.0. */
static inline bool lane_ip_is_any(const struct lane_ip *ip)
{
	return ip->d[0] == 0 && ip->w[3] == 0 && (ip->w[2] == 0 || lane_ip_is4(ip));
}

#endif
