/*
 * proto.h - the inside of posix/keeper: messages, and how the keeper's name is reached
 */
#ifndef SHIM_PROTO_H
#define SHIM_PROTO_H

#include <sys/socket.h>
#include <sys/un.h>

#include "keeper.h"

#define KEEPER_ERR     256 /* bytes of an error text */
#define KEEPER_FDS_MAX (2 + 3 * LANE_IFS_MAX + LANE_QUEUES_ALL + SHIM_ROWS)
#define KEEPER_RETRY_US                                                                            \
	1000000 /* one generation may follow another: how long both sides try again */

/* The keeper's address; returns its length. */
socklen_t keeper_address(struct sockaddr_un *sun, const char *ifname);
/* Sends one message with 'n' descriptors. 0 or -errno. */
int keeper_send(int fd, struct keeper_msg *m, const int *fds, unsigned int n);
/* Sends one with the sender's credentials, as the receiver sees them. 0 or -errno. */
int keeper_send_self(int fd, struct keeper_msg *m);
/* As keeper_recv(), and the pid of the sender's credentials, 0: there were none. */
int keeper_recv_from(int fd, struct keeper_msg *m, int fds[KEEPER_FDS_MAX], int32_t *pid);
/*
 * Receives one message and at most KEEPER_FDS_MAX descriptors into fds[] (owned, CLOEXEC). Returns
 * their number, -EPIPE: end of file, -EBADMSG, or -errno. A process whose limit leaves no room for
 * them gets it for the moment.
 */
int keeper_recv(int fd, struct keeper_msg *m, int fds[KEEPER_FDS_MAX]);
void keeper_close_fds(int *fds, int n);
/* True if the other end is the superuser's or our own. */
bool keeper_peer_ok(int fd, struct ucred *cred);
/* Connects to who serves 'ifname': the descriptor (one second of patience for each message), or
 * -errno and err[]. -ECONNREFUSED: nobody does. */
int keeper_connect(const char *ifname, char *err);
/* A message with the sender's pid and version. */
void keeper_msg_init(struct keeper_msg *m, enum keeper_op op, const char *ifname);

#endif
