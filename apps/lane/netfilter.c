/*
 * netfilter.c - are there input or output rules that claimed traffic passes by? (design.md 3)
 *
 * Asks nf_tables for its base chains at those hooks, of the IP families; iptables' legacy filter
 * tables show in /proc. Whatever cannot be asked counts as none.
 */
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tool.h"

#define NETFILTER_BUFFER 32768 /* bytes: what the kernel fills at most in a dump */

static int hook_number(const struct nlattr *hook)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, hook)
	{
		if (mnl_attr_get_type(a) == NFTA_HOOK_HOOKNUM)
			return (int)ntohl(mnl_attr_get_u32(a));
	}
	return -1;
}

/* One chain: *data becomes true for a base chain of input or output. */
static int consider(const struct nlmsghdr *nlh, void *data)
{
	const struct nfgenmsg *g = mnl_nlmsg_get_payload(nlh);
	bool *found = data;
	const struct nlattr *a;
	int hook;

	if (g->nfgen_family != NFPROTO_IPV4 && g->nfgen_family != NFPROTO_IPV6 &&
	    g->nfgen_family != NFPROTO_INET)
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(*g))
	{
		if (mnl_attr_get_type(a) != NFTA_CHAIN_HOOK)
			continue;
		hook = hook_number(a);
		*found |= hook == NF_INET_LOCAL_IN || hook == NF_INET_LOCAL_OUT;
	}
	return MNL_CB_OK;
}

static bool has_nf_tables(void)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	char buf[NETFILTER_BUFFER];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *g;
	bool found = false;
	ssize_t n;
	int r = 1;

	if (!s)
		return false;
	nlh->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = 1;
	g = mnl_nlmsg_put_extra_header(nlh, sizeof(*g));
	g->nfgen_family = NFPROTO_UNSPEC;
	g->version = NFNETLINK_V0;
	if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) == 0 &&
	    mnl_socket_sendto(s, nlh, nlh->nlmsg_len) > 0) {
		while (r > 0 && (n = mnl_socket_recvfrom(s, buf, sizeof(buf))) > 0)
			r = mnl_cb_run(buf, (size_t)n, 1, mnl_socket_get_portid(s), consider,
				       &found);
	}
	mnl_socket_close(s);
	return found;
}

static bool has_legacy(const char *path)
{
	FILE *f = fopen(path, "re");
	bool found = false;
	char line[64];

	while (f && fgets(line, sizeof(line), f))
		found |= !strcmp(line, "filter\n");
	if (f)
		fclose(f);
	return found;
}

bool netfilter_is_used(void)
{
	return has_legacy("/proc/net/ip_tables_names") ||
	       has_legacy("/proc/net/ip6_tables_names") || has_nf_tables();
}
