/*
 * netlink.c - keeps a nettab equal to the kernel's tables for one interface
 *
 * Theory of operation. Two sockets: one hears of changes, one asks. A change to the link, its
 * addresses or any route is only taken as a hint: all three are read again, compared with the
 * nettab and written when they differ. So a lost or reordered message does no harm. Neighbours
 * change often and are taken from the messages; after an overrun they are read again, too.
 * An address keeps its slot as long as it exists, for claims name slots.
 *
 * Not followed: routing rules (ip rule) other than the standard ones, and routes beyond what the
 * nettab holds.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "mirror.h"

#define BUFFER     32768 /* bytes: what the kernel fills at most in one dump message */
#define DUMP_TRIES 4     /* a dump that a change interrupted is asked for again */
#define READS_MAX  256   /* messages in one lane_netlink_read() */
#define PORTS_MIN  1024  /* fewer ports outside the kernel's range are no use */

struct lane_netlink {
	struct mnl_socket *events, *ask;
	struct lane_nettab *net;
	uint32_t seq;
	bool dirty;       /* link, addresses or routes may have changed */
	bool neigh_dirty; /* messages about neighbours were lost */
	struct mirror m;
	struct mirror old; /* what the nettab was written from, to compare */
	char buf[BUFFER];
};

static struct mnl_socket *open_socket(unsigned int groups, int flags)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | flags);
	struct timeval second = {.tv_sec = 1};
	int bytes = 1 << 20, saved;

	if (!s)
		return NULL;
	setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	if (mnl_socket_bind(s, groups, MNL_SOCKET_AUTOPID) == 0)
		return s;
	saved = errno;
	mnl_socket_close(s);
	errno = saved;
	return NULL;
}

/* Sends a request with a zeroed header of 'len' bytes and hands the answers to 'cb'. */
static int ask_once(struct mnl_socket *s, char *buf, uint32_t seq, uint16_t type,
		    const void *header, size_t len, bool dump, mnl_cb_t cb, void *data)
{
	unsigned int port = mnl_socket_get_portid(s);
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	ssize_t n;
	int r;

	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | (dump ? NLM_F_DUMP : NLM_F_ACK));
	h->nlmsg_seq = seq;
	memcpy(mnl_nlmsg_put_extra_header(h, len), header, len);
	if (mnl_socket_sendto(s, h, h->nlmsg_len) < 0)
		return -errno;
	do {
		n = mnl_socket_recvfrom(s, buf, BUFFER);
		r = n < 0 ? -1 : mnl_cb_run(buf, (size_t)n, seq, port, cb, data);
	} while (r == MNL_CB_OK);
	return r < 0 ? -errno : 0;
}

/* Empties what an interrupted answer left behind. */
static void drain(struct mnl_socket *s, char *buf)
{
	while (recv(mnl_socket_get_fd(s), buf, BUFFER, MSG_DONTWAIT) > 0)
		;
}

static int dump(struct lane_netlink *nl, uint16_t type, size_t len, uint32_t *count, mnl_cb_t cb)
{
	static const char zeros[sizeof(struct ifinfomsg) + sizeof(struct rtmsg)];
	int r = -EINTR;

	/* EINTR: something changed while the kernel was telling */
	for (int i = 0; i < DUMP_TRIES && r == -EINTR; i++) {
		*count = 0;
		r = ask_once(nl->ask, nl->buf, ++nl->seq, type, zeros, len, true, cb, &nl->m);
		if (r < 0)
			drain(nl->ask, nl->buf);
	}
	return r;
}

static int dump_link(struct lane_netlink *nl)
{
	struct ifinfomsg i = {.ifi_index = (int)nl->m.ifindex};
	int r = ask_once(nl->ask, nl->buf, ++nl->seq, RTM_GETLINK, &i, sizeof(i), false,
			 lane_mirror_link, &nl->m);

	if (r < 0)
		drain(nl->ask, nl->buf);
	return r;
}

/* ---- writing the nettab ---- */

/* Ours go first: where two are equal, the table keeps their order. */
static void write_routes(struct lane_nettab *t, const struct mirror *m)
{
	t->nr_routes = 0;
	for (int others = 0; others < 2; others++)
		for (uint32_t i = 0; i < m->nr_routes; i++)
			if ((m->route[i].kind != LANE_ROUTE_UNICAST) == others)
				lane_net_route_add(t, &m->route[i]);
}

static bool same(const struct mirror *a, const struct mirror *b)
{
	return a->up == b->up && a->mtu == b->mtu && a->loopback == b->loopback &&
	       memcmp(&a->mac, &b->mac, sizeof(a->mac)) == 0 && a->nr_addrs == b->nr_addrs &&
	       memcmp(a->addr, b->addr, a->nr_addrs * sizeof(a->addr[0])) == 0 &&
	       a->nr_routes == b->nr_routes &&
	       memcmp(a->route, b->route, a->nr_routes * sizeof(a->route[0])) == 0;
}

/* 1: the nettab was changed. */
static int write_table(struct lane_netlink *nl)
{
	struct lane_nettab *t = nl->net;
	const struct mirror *m = &nl->m;

	if (same(m, &nl->old))
		return 0;
	lane_net_write_begin(t);
	t->ifindex = m->ifindex;
	t->mac = m->mac;
	t->up = m->up;
	t->loopback = m->loopback;
	t->mtu = m->mtu;
	lane_net_set_addrs(t, m->addr, m->nr_addrs);
	write_routes(t, m);
	lane_net_write_end(t, true);
	nl->old = nl->m;
	return 1;
}

static void write_neighs(struct lane_netlink *nl, bool all)
{
	struct lane_nettab *t = nl->net;

	if (!all && nl->m.nr_neighs == 0)
		return;
	lane_net_write_begin(t);
	if (all)
		memset(t->neigh, 0, sizeof(t->neigh));
	for (uint32_t i = 0; i < nl->m.nr_neighs; i++) {
		const struct mirror_neigh *n = &nl->m.neigh[i];

		lane_net_neigh_set(t, &n->ip, n->known ? &n->mac : NULL, n->failed);
	}
	lane_net_write_end(t, false);
	nl->m.nr_neighs = 0;
}

/* Reads link, addresses and routes and writes them. 0, 1: changed, or -errno. */
static int sync_table(struct lane_netlink *nl)
{
	int r = dump_link(nl);

	if (r == -ENODEV) {
		nl->m.up = false; /* it is gone: no address, no route */
		nl->m.nr_addrs = 0;
		nl->m.nr_routes = 0;
		return write_table(nl);
	}
	if (r == 0)
		r = dump(nl, RTM_GETADDR, sizeof(struct ifaddrmsg), &nl->m.nr_addrs,
			 lane_mirror_addr);
	if (r == 0)
		r = dump(nl, RTM_GETROUTE, sizeof(struct rtmsg), &nl->m.nr_routes,
			 lane_mirror_route);
	return r < 0 ? r : write_table(nl);
}

static int sync_neighs(struct lane_netlink *nl)
{
	int r = dump(nl, RTM_GETNEIGH, sizeof(struct ndmsg), &nl->m.nr_neighs, lane_mirror_neigh);

	if (r == 0)
		write_neighs(nl, true);
	return r;
}

/* Ports that the kernel never picks by itself: lanes' active opens need not reserve them. */
static void read_port_range(struct lane_nettab *t)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	unsigned int lo = 32768, hi = 60999;

	if (f) {
		if (fscanf(f, "%u %u", &lo, &hi) != 2 || hi > 65535 || lo > hi) {
			lo = 32768;
			hi = 60999;
		}
		fclose(f);
	}
	if (65535 - hi >= PORTS_MIN) {
		t->port_min = (uint16_t)(hi + 1);
		t->port_max = 65535;
	} else if (lo >= 2 * PORTS_MIN) {
		t->port_min = (uint16_t)(lo > 5 * PORTS_MIN ? lo - 4 * PORTS_MIN : PORTS_MIN);
		t->port_max = (uint16_t)(lo - 1);
	} else {
		t->port_min = 0; /* none: active opens stay with the kernel */
		t->port_max = 0;
	}
}

/* ---- life ---- */

static int open_all(struct lane_netlink *nl, char *err)
{
	int r;

	nl->events = open_socket(RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_IFADDR |
					 RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
				 SOCK_NONBLOCK);
	nl->ask = nl->events ? open_socket(0, 0) : NULL;
	if (!nl->ask) {
		r = -errno;
		snprintf(err, 256, "cannot make a netlink socket: %s", strerror(-r));
		return r;
	}
	r = sync_table(nl);
	if (r >= 0)
		r = sync_neighs(nl);
	if (r < 0)
		snprintf(err, 256, "cannot read the kernel's addresses and routes: %s",
			 strerror(-r));
	return r;
}

int lane_netlink_open(const char *ifname, struct lane_nettab *net, struct lane_netlink **out,
		      char *err)
{
	unsigned int ifindex = if_nametoindex(ifname);
	struct lane_netlink *nl;
	int r;

	if (!ifindex) {
		snprintf(err, 256, "there is no interface '%s' (see: ip link)", ifname);
		return -ENODEV;
	}
	nl = calloc(1, sizeof(*nl));
	if (!nl) {
		snprintf(err, 256, "out of memory");
		return -ENOMEM;
	}
	nl->net = net;
	nl->m.ifindex = ifindex;
	nl->seq = (uint32_t)time(NULL);
	snprintf(net->ifname, sizeof(net->ifname), "%s", ifname);
	read_port_range(net);
	r = open_all(nl, err);
	if (r < 0) {
		lane_netlink_close(nl);
		return r;
	}
	*out = nl;
	return 0;
}

int lane_netlink_fd(const struct lane_netlink *nl)
{
	return mnl_socket_get_fd(nl->events);
}

static int on_event(const struct nlmsghdr *h, void *data)
{
	struct lane_netlink *nl = data;

	switch (h->nlmsg_type) {
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		if (nl->m.nr_neighs == LANE_NET_NEIGHS)
			nl->neigh_dirty = true;
		else
			lane_mirror_neigh(h, &nl->m);
		break;
	case RTM_NEWLINK:
	case RTM_DELLINK:
	case RTM_NEWADDR:
	case RTM_DELADDR:
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		nl->dirty = true;
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

int lane_netlink_read(struct lane_netlink *nl)
{
	int changed = 0;

	nl->m.nr_neighs = 0;
	for (int i = 0; i < READS_MAX; i++) {
		ssize_t n = mnl_socket_recvfrom(nl->events, nl->buf, sizeof(nl->buf));

		if (n < 0 && errno == ENOBUFS) {
			nl->dirty = true;
			nl->neigh_dirty = true;
			continue;
		}
		if (n <= 0)
			break;
		mnl_cb_run(nl->buf, (size_t)n, 0, 0, on_event, nl);
	}
	write_neighs(nl, false);
	if (nl->dirty) {
		changed = sync_table(nl);
		nl->dirty = changed < 0; /* once more with the next message */
	}
	if (nl->neigh_dirty)
		nl->neigh_dirty = sync_neighs(nl) < 0;
	return changed > 0;
}

static void resolve(struct lane_netlink *nl, const struct lane_ip *ip)
{
	bool is4 = lane_ip_is4(ip);
	struct nlmsghdr *h = mnl_nlmsg_put_header(nl->buf);
	struct ndmsg *n;

	h->nlmsg_type = RTM_NEWNEIGH;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE;
	h->nlmsg_seq = ++nl->seq;
	n = mnl_nlmsg_put_extra_header(h, sizeof(*n));
	n->ndm_family = is4 ? AF_INET : AF_INET6;
	n->ndm_ifindex = (int)nl->m.ifindex;
	n->ndm_flags = NTF_USE;
	mnl_attr_put(h, NDA_DST, is4 ? 4 : 16, ip->b + (is4 ? 12 : 0));
	/* The events tell what comes of it. An error comes unasked: drain. */
	if (mnl_socket_sendto(nl->ask, h, h->nlmsg_len) > 0)
		drain(nl->ask, nl->buf);
}

void lane_netlink_resolve(struct lane_netlink *nl)
{
	struct lane_ip ip;

	for (int i = 0; i < LANE_NET_WANTED && lane_net_wanted_pop(nl->net, &ip); i++)
		resolve(nl, &ip);
}

void lane_netlink_close(struct lane_netlink *nl)
{
	if (!nl)
		return;
	if (nl->events)
		mnl_socket_close(nl->events);
	if (nl->ask)
		mnl_socket_close(nl->ask);
	free(nl);
}

/* ---- the interface with the default route ---- */

struct best {
	uint32_t ifindex, metric;
	int family;
};

static int consider(const struct nlmsghdr *h, void *data)
{
	const struct rtmsg *r = mnl_nlmsg_get_payload(h);
	struct best *b = data;
	uint32_t ifindex, metric;

	if (!lane_mirror_default_route(h, &ifindex, &metric) || r->rtm_family != b->family)
		return MNL_CB_OK;
	if (!b->ifindex || metric < b->metric) {
		b->ifindex = ifindex;
		b->metric = metric;
	}
	return MNL_CB_OK;
}

int lane_netlink_default_if(char ifname[16])
{
	static const int families[] = {AF_INET, AF_INET6};
	struct mnl_socket *s = open_socket(0, 0);
	struct rtmsg all = {0};
	struct best b = {0};
	char *buf = malloc(BUFFER);
	int r = s && buf ? 0 : -ENOMEM;

	for (int i = 0; i < 2 && r == 0 && !b.ifindex; i++) {
		b.family = families[i];
		all.rtm_family = (unsigned char)b.family;
		r = ask_once(s, buf, (uint32_t)i + 1, RTM_GETROUTE, &all, sizeof(all), true,
			     consider, &b);
	}
	if (b.ifindex && r == 0)
		r = if_indextoname(b.ifindex, ifname) ? 0 : -errno;
	else if (r == 0)
		r = -ENOENT;
	free(buf);
	if (s)
		mnl_socket_close(s);
	return r;
}
