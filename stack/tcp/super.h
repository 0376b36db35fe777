/*
 * super.h - segments of a connection that leave as one packet, which the driver cuts
 */
#ifndef LANE_TCP_SUPER_H
#define LANE_TCP_SUPER_H

#include "stack/tcp/pcb.h"

/* Gathers the segment 'b' with these TCP flags and this ECN field. False: it has to be sent alone;
 * what was gathered has left. */
bool lane_tcp_super_add(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b, uint8_t flags,
			uint8_t ecn);
/* What was gathered leaves. */
void lane_tcp_super_end(struct lane *ln);
/* segment.c: sends what was gathered, whose frames are a chain. */
void lane_tcp_xmit_super(struct lane *ln, struct lane_tcp *pcb, const struct lane_super *super);

#endif
