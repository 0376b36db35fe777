/*
 * ctl.h - own-address mode: frames between the lane and its control plane
 *
 * Where the nettab says 'own', what no socket takes (ARP, ND, echo, DHCP, datagrams to closed
 * ports) is kept for the control plane instead of being dropped, in a short queue; beyond that it
 * is dropped and counted. All of this under the lane's lock.
 */
#ifndef LANE_INT_CTL_H
#define LANE_INT_CTL_H

#include <lane/lane.h>

/* True when a frame waits. A hint without the lock. */
bool lane_ctl_waiting(const struct lane *ln);
/* Takes the oldest frame: its length, 0: none. *ifi is the interface it came by. One that is longer
 * than 'size' is dropped. */
uint32_t lane_ctl_take(struct lane *ln, unsigned int *ifi, uint8_t *out, uint32_t size);
/* Sends a whole Ethernet frame by interface 'ifi'. 0, -EMSGSIZE, -ENOBUFS: no frame is free, or
 * -ENETDOWN: no queue. */
int lane_ctl_send(struct lane *ln, unsigned int ifi, const uint8_t *frame, uint32_t len);

#endif
