/*
 * csum.h - the Internet checksum (RFC 1071), and copies that compute it on the way
 *
 * Sums are in the machine's byte order of 16-bit words as they lie in memory, so that a folded sum
 * may be stored to the wire as it is.
 */
#ifndef LANE_BASE_CSUM_H
#define LANE_BASE_CSUM_H

#include <stddef.h>
#include <stdint.h>

#include <lane/types.h>

/* Adds 'len' bytes to a running, unfolded sum. All parts but the last have an even length. */
uint64_t lane_csum_add(uint64_t sum, const void *data, size_t len);
/* Copies and adds in one pass. */
uint64_t lane_csum_copy(uint64_t sum, void *dst, const void *src, size_t len);
/* The same sum in 33 bits. */
static inline uint64_t lane_csum_cut(uint64_t sum)
{
	return (sum & UINT32_MAX) + (sum >> 32);
}

/* Folded to 16 bits, not complemented. */
static inline uint16_t lane_csum_fold(uint64_t sum)
{
	uint32_t v;

	/* Both halves are added to each other: the upper one gets the carry of the lower one. */
	sum += sum << 32 | sum >> 32;
	v = (uint32_t)(sum >> 32);
	v += v << 16 | v >> 16;
	return (uint16_t)(v >> 16);
}

/* The unfolded pseudo-header sum of RFC 9293 3.1 (IPv4) or RFC 8200 8.1, 'len' = L4 bytes. */
uint64_t lane_csum_pseudo(const struct lane_ip *src, const struct lane_ip *dst, uint8_t proto,
			  uint32_t len);

#endif
