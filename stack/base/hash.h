/*
 * hash.h - keyed hashes: SipHash-2-4 where a peer must not guess (ISN, ports), SipHash-1-3 for tables
 */
#ifndef LANE_BASE_HASH_H
#define LANE_BASE_HASH_H

#include <lane/types.h>

struct lane_hash_key {
	uint64_t k[2];
};

uint64_t lane_siphash24(const struct lane_hash_key *key, const void *data, uint32_t len);
uint64_t lane_siphash13(const struct lane_hash_key *key, const void *data, uint32_t len);

/* The flow hash of all tables: never 0, as 0 marks an empty slot. 'proto' is IPPROTO_*. */
uint32_t lane_flow_hash(const struct lane_hash_key *key, uint8_t proto, const struct lane_ep *local,
			const struct lane_ep *remote);
/* The same over the local port alone, for listeners and unconnected UDP. */
uint32_t lane_port_hash(const struct lane_hash_key *key, uint8_t proto, uint16_t port);

#endif
