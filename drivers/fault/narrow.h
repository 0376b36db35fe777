/*
 * narrow.h - a link on the way whose MTU is smaller: what its router says
 */
#ifndef LANE_DRIVERS_FAULT_NARROW_H
#define LANE_DRIVERS_FAULT_NARROW_H

#include <lane/buf.h>

/* The packet does not fit a link of 'mtu' bytes. */
bool lane_fault_beyond(const struct lane_bufs *bs, const struct lane_buf *b, uint32_t mtu);
/* Returns owned the ICMP error about it, for its sender; NULL: it gets none (no DF, no frame). */
struct lane_buf *lane_fault_too_big(struct lane_bufs *bs, const struct lane_buf *b, uint32_t mtu);

#endif
