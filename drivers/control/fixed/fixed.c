/*
 * fixed.c - addresses, gateways and neighbours as somebody wrote them down (see fixed.h)
 */
#include "fixed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lane-int/nettab.h"

#define TEXT	 64 /* bytes of an address */
#define PORT_MIN 32768

int lane_fixed_parse_ip(const char *text, struct lane_ip *ip)
{
	uint8_t b[16];
	uint32_t v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		*ip = lane_ip4(v4);
		return 0;
	}
	if (inet_pton(AF_INET6, text, b) != 1)
		return -EINVAL;
	*ip = lane_ip6(b);
	return 0;
}

/* Cuts 'text' at 'sep' into an address and what is behind it. */
static int parse_front(const char *text, char sep, struct lane_ip *ip, const char **rest)
{
	size_t len = strcspn(text, (const char[]){sep, 0});
	char front[TEXT];

	if (!text[len] || len >= sizeof(front))
		return -EINVAL;
	memcpy(front, text, len);
	front[len] = 0;
	*rest = text + len + 1;
	return lane_fixed_parse_ip(front, ip);
}

int lane_fixed_add_addr(struct lane_fixed *f, const char *text)
{
	const char *rest;
	struct lane_ip ip;
	char *end;
	unsigned long plen;

	if (parse_front(text, '/', &ip, &rest) < 0)
		return -EINVAL;
	plen = strtoul(rest, &end, 10);
	if (!*rest || *end || plen > (lane_ip_is4(&ip) ? 32 : 128))
		return -EINVAL;
	if (f->nr_addrs == LANE_FIXED_ADDRS)
		return -ENOSPC;
	f->addr[f->nr_addrs].ip = ip;
	f->addr[f->nr_addrs++].plen = (uint8_t)plen;
	return 0;
}

int lane_fixed_add_neigh(struct lane_fixed *f, const char *text)
{
	struct lane_mac mac;
	const char *rest;
	struct lane_ip ip;
	char extra;

	if (parse_front(text, '=', &ip, &rest) < 0 ||
	    sscanf(rest, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &mac.b[0], &mac.b[1], &mac.b[2], &mac.b[3],
		   &mac.b[4], &mac.b[5], &extra) != 6)
		return -EINVAL;
	if (f->nr_neighs == LANE_FIXED_NEIGHS)
		return -ENOSPC;
	f->neigh[f->nr_neighs].ip = ip;
	f->neigh[f->nr_neighs++].mac = mac;
	return 0;
}

int lane_fixed_set_gateway(struct lane_fixed *f, const char *text)
{
	struct lane_ip ip;

	if (lane_fixed_parse_ip(text, &ip) < 0)
		return -EINVAL;
	if (lane_ip_is4(&ip))
		f->gw4 = ip;
	else
		f->gw6 = ip;
	return 0;
}

/* 'ip' without its host bits. */
static struct lane_ip subnet(const struct lane_ip *ip, uint8_t plen)
{
	unsigned int bits = plen + (lane_ip_is4(ip) ? 96U : 0U);
	struct lane_ip r = *ip;

	for (unsigned int i = bits; i < 128; i++)
		r.b[i / 8] &= (uint8_t)~(0x80U >> i % 8);
	return r;
}

/* An address and its subnet, which is on link. */
static void add_addr(struct lane_nettab *net, struct lane_net_addr *a, const struct lane_ip *ip, uint8_t plen)
{
	struct lane_net_route r = {.dst = subnet(ip, plen), .plen = plen, .kind = LANE_ROUTE_UNICAST};

	*a = (struct lane_net_addr){.ip = *ip, .plen = plen, .used = 1};
	if (lane_ip_is4(ip) && plen < 31)
		a->bcast = lane_ip4(r.dst.w[3] | htonl(0xffffffffU >> plen));
	lane_net_route_add(net, &r);
}

static void add_gateway(struct lane_nettab *net, const struct lane_ip *gw)
{
	struct lane_net_route r = {.gw = *gw, .kind = LANE_ROUTE_UNICAST};

	if (lane_ip_is_any(gw))
		return;
	r.dst = subnet(gw, 0);
	lane_net_route_add(net, &r);
}

void lane_fixed_publish(const struct lane_fixed *f, struct lane_nettab *net)
{
	struct lane_net_addr addr[LANE_FIXED_ADDRS];

	lane_net_write_begin(net);
	snprintf(net->ifname, sizeof(net->ifname), "%s", f->ifname);
	net->mac = f->mac;
	net->mtu = f->mtu;
	net->up = 1;
	net->port_min = PORT_MIN;
	net->port_max = UINT16_MAX;
	net->nr_routes = 0;
	for (uint32_t i = 0; i < f->nr_addrs; i++)
		add_addr(net, &addr[i], &f->addr[i].ip, f->addr[i].plen);
	lane_net_set_addrs(net, addr, f->nr_addrs);
	add_gateway(net, &f->gw4);
	add_gateway(net, &f->gw6);
	for (uint32_t i = 0; i < f->nr_neighs; i++)
		lane_net_neigh_set(net, &f->neigh[i].ip, &f->neigh[i].mac, false);
	lane_net_write_end(net, true);
}
