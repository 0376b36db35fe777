/*
 * isn.h - numbers of a connection that an outsider must not guess
 *
 * Initial sequence numbers (RFC 6528), timestamp offsets (RFC 7323 5.4 and 7.1), the order in which
 * local ports are tried (RFC 6056 3.3.3). All are SipHash-2-4 of the flow under the lane's key, so
 * they keep no state; each use hashes a different first byte.
 */
#ifndef LANE_TCP_ISN_H
#define LANE_TCP_ISN_H

#include <lane/types.h>

#include "stack/base/hash.h"

/* RFC 6528 3: ISN = M + F(local, remote, key); M counts 4 us. */
uint32_t lane_isn(const struct lane_hash_key *key, const struct lane_ep *local,
		  const struct lane_ep *remote, uint64_t now_us);

/* What is added to the lane's millisecond clock to make this flow's TSval: the same for every
 * incarnation of the flow, so that a new one may follow a TIME_WAIT (RFC 6191). */
uint32_t lane_ts_offset(const struct lane_hash_key *key, const struct lane_ep *local,
			const struct lane_ep *remote);

/*
 * The 'n'-th local port to try for a connection out of [min, max] (host order, min <= max): RFC 6056
 * algorithm 3, with the offset of its 'local' address and 'remote'. A caller tries n = next_port,
 * next_port + 1, ... for at most max - min + 1 ports and stores the n behind the one taken.
 */
uint32_t lane_port_offset(const struct lane_hash_key *key, const struct lane_ip *local,
			  const struct lane_ep *remote);
uint16_t lane_port_pick(uint32_t offset, uint16_t min, uint16_t max, uint32_t n);

#endif
