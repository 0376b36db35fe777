/*
 * wire.h - big-endian field types: a forgotten swap does not compile
 */
#ifndef LANE_WIRE_WIRE_H
#define LANE_WIRE_WIRE_H

#include <stdint.h>
#include <string.h>

struct lane_be16 {
	uint16_t be;
} __attribute__((packed));

struct lane_be32 {
	uint32_t be;
} __attribute__((packed));

static inline uint16_t lane_be16_get(struct lane_be16 f)
{
	return __builtin_bswap16(f.be);
}

static inline uint32_t lane_be32_get(struct lane_be32 f)
{
	return __builtin_bswap32(f.be);
}

static inline struct lane_be16 lane_be16_of(uint16_t v)
{
	return (struct lane_be16){__builtin_bswap16(v)};
}

static inline struct lane_be32 lane_be32_of(uint32_t v)
{
	return (struct lane_be32){__builtin_bswap32(v)};
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "lane runs on little-endian machines");

#endif
