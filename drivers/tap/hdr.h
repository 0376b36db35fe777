/*
 * hdr.h - what stands in front of each frame on a TAP device's descriptor
 */
#ifndef LANE_DRIVERS_TAP_HDR_H
#define LANE_DRIVERS_TAP_HDR_H

#include <stdint.h>

/* struct virtio_net_hdr, in the machine's byte order. */
struct lane_tap_hdr {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
};

#define LANE_TAP_NEEDS_CSUM 1
#define LANE_TAP_DATA_VALID 2

#endif
