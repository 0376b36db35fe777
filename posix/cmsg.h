/*
 * cmsg.h - control messages and names of datagrams
 */
#ifndef SHIM_CMSG_H
#define SHIM_CMSG_H

#include "posix/shim.h"

/* What a sender's control messages ask for: the source address; *segment, if the send is to be cut
 * into datagrams of that size (else it stays). -EOPNOTSUPP: something else is in there, or they
 * cannot be read: the kernel's to answer. */
int shim_cmsg_sender(const struct msghdr *m, struct lane_ip *src, uint16_t *segment);
/* Writes the sender to m->msg_name, truncated; its full length to m->msg_namelen. */
int shim_cmsg_name(struct msghdr *m, const struct lane_ep *ep, bool v6);
/* Writes what the program asked for (SHIM_CMSG_*) to m->msg_control, as much as fits: MSG_CTRUNC.
 * 'size': of each of the datagrams that were joined, 0: none were. */
void shim_cmsg_put(struct msghdr *m, const struct lane_udp_msg *msg, uint16_t size, uint32_t wanted,
		   bool v6);
/* TCP_INQ: how much is left. */
void shim_cmsg_put_inq(struct msghdr *m, int inq);
/* What MSG_ERRQUEUE tells besides the payload. */
void shim_cmsg_put_error(struct msghdr *m, const struct lane_udp_error *e, bool v6);
/* The same of sends with MSG_ZEROCOPY: those from 'first' to 'last' are done. */
void shim_cmsg_put_zerocopy(struct msghdr *m, uint32_t first, uint32_t last, bool v6);
/* Descriptors that the kernel put into a message drop stale entries of their numbers, and those of
 * the lane become known (pass.c). */
void shim_cmsg_rights(const struct msghdr *m);

#endif
