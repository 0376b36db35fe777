/*
 * netlink.h - mirrors one interface's addresses, routes, neighbours and MTU into a nettab
 */
#ifndef LANE_DRIVERS_NETLINK_H
#define LANE_DRIVERS_NETLINK_H

#include <lane/lane.h>

struct lane_netlink;

/* Subscribes, dumps everything into *net, returns owned *nl. -ENODEV: no such interface; text in
 * err[256]. */
int lane_netlink_open(const char *ifname, struct lane_nettab *net, struct lane_netlink **nl,
		      char *err);
/* Readable when there is something to read. */
int lane_netlink_fd(const struct lane_netlink *nl);
/* Reads all that waits; returns 1 if addresses, routes, MTU or link changed, else 0. Overruns
 * (ENOBUFS) dump again. */
int lane_netlink_read(struct lane_netlink *nl);
/* Asks the kernel to resolve what lanes wanted (NTF_USE, needs CAP_NET_ADMIN). */
void lane_netlink_resolve(struct lane_netlink *nl);
void lane_netlink_close(struct lane_netlink *nl);

/* Name of the interface with the IPv4 (else IPv6) default route. -ENOENT. */
int lane_netlink_default_if(char ifname[16]);

#endif
