/*
 * control.c - fuzzes what tells a lane about its surroundings: the kernel's messages, and lane.conf
 *
 * The first byte chooses. Netlink: messages of all kinds fill the mirror, the mirror a nettab, and
 * the nettab is asked for addresses of the input. lane.conf: what is accepted reads back as itself.
 */
#include <errno.h>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "drivers/control/netlink/mirror.h"
#include "posix/keeper/keeper.h"
#include "tests/fuzz/fuzz.h"

#define OURS    4
#define MESSAGE 1024
#define CONF    1024

/* ---- netlink ---- */

static int on_message(const struct nlmsghdr *h, void *data)
{
	struct mirror *m = data;
	uint32_t ifindex, metric;

	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
		return lane_mirror_link(h, m);
	case RTM_NEWADDR:
		return lane_mirror_addr(h, m);
	case RTM_NEWROUTE:
		if (lane_mirror_default_route(h, &ifindex, &metric))
			FUZZ_CHECK(ifindex != 0);
		return lane_mirror_route(h, m);
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		return lane_mirror_neigh(h, m);
	default:
		return MNL_CB_OK;
	}
}

/* One message of the input: kind, length, and as many bytes behind a sound header. */
static void feed(struct fuzz_in *in, struct mirror *m)
{
	static const uint16_t kinds[] = {RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE, RTM_NEWNEIGH,
					 RTM_DELNEIGH};
	uint8_t kind = fuzz_u8(in), bytes[MESSAGE], *copy;
	struct nlmsghdr h = {.nlmsg_type = kinds[kind % 5]};
	uint32_t n = sizeof(h) + fuzz_u8(in) * 2U;

	if (n > sizeof(h) + in->left)
		n = (uint32_t)(sizeof(h) + in->left);
	h.nlmsg_len = n;
	memcpy(bytes, &h, sizeof(h));
	for (uint32_t i = sizeof(h); i < n; i++)
		bytes[i] = fuzz_u8(in);
	/* The kernel's messages end at a multiple of four, and libmnl reads up to there. */
	memset(bytes + n, 0, 3);
	copy = fuzz_copy(bytes, NLMSG_ALIGN(n));
	mnl_cb_run(copy, n, 0, 0, on_message, m);
	free(copy);
	FUZZ_CHECK(m->nr_addrs <= LANE_NET_ADDRS && m->nr_routes <= LANE_NET_ROUTES);
	FUZZ_CHECK(m->nr_neighs <= LANE_NET_NEIGHS);
}

static void write_table(struct lane_nettab *t, const struct mirror *m)
{
	lane_net_write_begin(t);
	t->mtu = m->mtu;
	t->loopback = m->loopback;
	for (uint32_t i = 0; i < m->nr_addrs; i++)
		t->addr[i] = m->addr[i];
	for (uint32_t i = 0; i < m->nr_routes; i++)
		FUZZ_CHECK(lane_net_route_add(t, &m->route[i]) == 0);
	for (uint32_t i = 0; i < m->nr_neighs; i++) {
		const struct mirror_neigh *n = &m->neigh[i];

		lane_net_neigh_set(t, &n->ip, n->known ? &n->mac : NULL, n->failed);
	}
	lane_net_write_end(t, true);
}

static void ask(struct lane_nettab *t, const struct lane_ip *ip)
{
	static const struct lane_ip any;
	struct lane_net_hop hop;
	struct lane_mac mac;
	int r = lane_net_route(t, ip, &any, &hop);

	FUZZ_CHECK(r == 0 || r == -ENETUNREACH || r == -EADDRNOTAVAIL || r == -EXDEV);
	if (r == 0) {
		FUZZ_CHECK(lane_ip_is4(&hop.src) == lane_ip_is4(ip));
		r = lane_net_neigh(t, &hop.next, &mac);
		FUZZ_CHECK(r == 0 || r == -EAGAIN || r == -EHOSTUNREACH);
	}
	r = lane_net_addr(t, ip);
	FUZZ_CHECK(r < LANE_NET_ADDRS && (r < 0 || t->addr[r].used));
	FUZZ_CHECK(r < 0 || (lane_net_addr_mask(t, ip, false) & (1u << r)));
	lane_net_is_group(t, ip);
}

static void fuzz_netlink(struct fuzz_in *in)
{
	static struct mirror m;
	static struct lane_nettab t;
	uint8_t nr = 1 + fuzz_u8(in) % 8;

	memset(&m, 0, sizeof(m));
	memset(&t, 0, sizeof(t));
	lane_net_init(&t);
	m.ifindex = OURS;
	while (nr-- && in->left)
		feed(in, &m);
	write_table(&t, &m);
	for (uint32_t i = 0; i < m.nr_addrs; i++)
		ask(&t, &m.addr[i].ip);
	for (uint32_t i = 0; i < m.nr_routes; i++) {
		ask(&t, &m.route[i].dst);
		ask(&t, &m.route[i].gw);
	}
	for (uint32_t i = 0; i < m.nr_neighs; i++)
		ask(&t, &m.neigh[i].ip);
}

/* ---- lane.conf ---- */

/* Every setting reads back as a text that sets it to the same. */
static void read_back(struct lane_settings *s)
{
	char text[256], again[256], err[256];

	for (unsigned int i = 0; i < LANE_NR_SETTINGS; i++) {
		struct lane_settings other = *s;

		lane_settings_get(s, i, text, sizeof(text));
		FUZZ_CHECK(strlen(text) < sizeof(text));
		FUZZ_CHECK(lane_settings_set(&other, i, text, LANE_FROM_ENV, err) == 0);
		lane_settings_get(&other, i, again, sizeof(again));
		FUZZ_CHECK(strcmp(text, again) == 0);
	}
}

static void fuzz_conf(struct fuzz_in *in)
{
	struct lane_settings s;
	char err[256] = "", *text;
	uint16_t port = fuzz_u16(in);
	size_t n = in->left < CONF ? in->left : CONF;
	int r;

	text = malloc(n + 1);
	FUZZ_CHECK(text);
	memcpy(text, in->p, n);
	text[n] = 0;
	lane_settings_default(&s);
	r = lane_settings_parse(&s, text, "lane.conf", err);
	free(text);
	FUZZ_CHECK(r == 0 || (r == -EINVAL && err[0]));
	FUZZ_CHECK(s.nr_ifs <= LANE_IFS_MAX && strlen(s.ifname) < sizeof(s.ifname));
	lane_settings_port_ok(&s, port);
	read_back(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};

	if (fuzz_u8(&in) & 1)
		fuzz_conf(&in);
	else
		fuzz_netlink(&in);
	return 0;
}
