/*
 * cookie.h - SYN cookies: a handshake that needs no memory on our side (RFC 4987 3.6)
 *
 * Our initial sequence number says, under the lane's key, which SYN it answers, when, and with which MSS;
 * the other options go into the low bits of our timestamp, which the peer echoes, as in Linux.
 */
#ifndef LANE_TCP_COOKIE_H
#define LANE_TCP_COOKIE_H

#include <lane/types.h>

#include "stack/base/hash.h"

#define LANE_COOKIE_PERIOD_US 64000000ULL
#define LANE_COOKIE_PERIODS   2 /* a cookie is good in the period that it was made in and the next */

/* What a timestamp has room for. */
struct lane_cookie_opts {
	uint8_t wscale; /* LANE_COOKIE_NO_WSCALE: not offered */
	bool sack, ecn;
};

#define LANE_COOKIE_NO_WSCALE 15

/* The ISN that answers the SYN 'irs' of remote -> local. '*mss' becomes what the cookie can say of it. */
uint32_t lane_cookie_make(const struct lane_hash_key *key, const struct lane_ep *local,
			  const struct lane_ep *remote, uint32_t irs, uint16_t *mss, uint64_t now_us);
/* Was 'iss' made by the above, not long ago? Then '*mss' is what it says. */
bool lane_cookie_check(const struct lane_hash_key *key, const struct lane_ep *local,
		       const struct lane_ep *remote, uint32_t irs, uint32_t iss, uint64_t now_us,
		       uint16_t *mss);
/* May 'seq' lie behind the SYN that 'iss' is the cookie of, in the window of its SYN-ACK? The peer's first segment
 * was lost or found no room then, and is the one that proves it. Wrong for one other in 85. */
bool lane_cookie_may_follow(const struct lane_hash_key *key, const struct lane_ep *local,
			    const struct lane_ep *remote, uint32_t seq, uint32_t iss,
			    uint64_t now_us);
/* A timestamp, not later than 'now_ms', that says 'o'; and what such a one says. */
uint32_t lane_cookie_stamp(uint32_t now_ms, const struct lane_cookie_opts *o);
struct lane_cookie_opts lane_cookie_read_stamp(uint32_t stamp);

#endif
