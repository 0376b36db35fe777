/*
 * link_test.c - neighbours, addresses and links that change under the control plane, and tagged frames
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>

#include "rig.h"

#define ETH_ARP 0x0806
#define ETH_IP4 0x0800

static struct rig rig;
static uint8_t f[RIG_LEN];

/* Station 1 says to all that it has 'ip'. */
static void advertise(const struct lane_ip *ip)
{
	const struct lane_ip all = {.b = {0xff, 2, [15] = 1}};
	uint8_t na[32] = {136, 0, 0, 0, 0x20};
	struct lane_mac mac = world_mac(1);

	memcpy(na + 8, ip->b, 16);
	na[24] = 2;
	na[25] = 1;
	memcpy(na + 26, mac.b, 6);
	rig_put(&rig, f, rig_ip_frame(f, 1, ip, &all, 58, na, sizeof(na)));
}

static void test_dad6__a_claim_while_it_is_tentative(void **state)
{
	struct lane_lwip_config cfg = {.addr = {{.ip = world_ip(0, true), .plen = 64}}, .nr_addrs = 1};
	char err[LANE_LWIP_ERR];

	(void)state;
	rig_open(&rig, &cfg);
	rig_run(&rig, 500000);
	assert_int_equal(lane_lwip_ready(rig.lw, err), -EAGAIN);
	advertise(&cfg.addr[0].ip);
	rig_run(&rig, 3000000);
	assert_int_equal(lane_lwip_ready(rig.lw, err), -EADDRINUSE);
	assert_int_equal(lane_net_addr(lane_nettab(rig.w.ln[0]), &cfg.addr[0].ip), -1);
	rig_close(&rig);
}

static void test_dad6__a_claim_of_one_in_use_is_counted(void **state)
{
	struct lane_lwip_config cfg = {.addr = {{.ip = world_ip(0, true), .plen = 64}}, .nr_addrs = 1};
	char err[LANE_LWIP_ERR], text[256];

	(void)state;
	rig_open(&rig, &cfg);
	rig_run(&rig, 4000000);
	assert_int_equal(lane_lwip_ready(rig.lw, err), 0);
	advertise(&cfg.addr[0].ip);
	rig_run(&rig, 1000000);
	assert_int_equal(lane_lwip_ready(rig.lw, err), 0);
	assert_true(lane_net_addr(lane_nettab(rig.w.ln[0]), &cfg.addr[0].ip) >= 0);
	lane_lwip_describe(rig.lw, text, sizeof(text));
	assert_non_null(strstr(text, "conflicts 1,"));
	rig_close(&rig);
}

/* An asker at 10.0.0.n is known by world_mac(n - 1). */
static bool knows(unsigned int n)
{
	struct lane_mac mac, want = world_mac(n - 1);
	const struct lane_ip ip = rig_ip((uint8_t)n);

	return lane_net_neigh(lane_nettab(rig.w.ln[0]), &ip, &mac) == 0 && memcmp(&mac, &want, sizeof(mac)) == 0;
}

static void ask_from(unsigned int n)
{
	const struct lane_ip ours = rig_ip(1), ip = rig_ip((uint8_t)n);

	rig_put(&rig, f, rig_arp(f, ARP_REQUEST, n - 1, &ip, &ours));
}

/* More neighbours than lwIP's table holds: those that lost their place are unknown, the others right. */
static void test_arp__places_are_used_again(void **state)
{
	unsigned int nr_known = 0;

	(void)state;
	rig_open_ready(&rig);
	for (unsigned int n = 2; n < 252; n++) {
		ask_from(n);
		assert_true(knows(n));
	}
	for (unsigned int n = 2; n < 252; n++)
		nr_known += knows(n);
	assert_in_range(nr_known, 100, 127);
	rig_close(&rig);
}

/* Two neighbours have changed places when the table is looked at again. */
static void test_arp__places_change(void **state)
{
	const struct lane_ip ours = rig_ip(1);

	(void)state;
	rig_open_ready(&rig);
	ask_from(2);
	ask_from(3);
	lane_lwip_link(rig.lw, rig.now_us, false);
	lane_lwip_link(rig.lw, rig.now_us, true);
	for (unsigned int n = 3; n >= 2; n--) {
		const struct lane_ip ip = rig_ip((uint8_t)n);

		lane_lwip_in(rig.lw, rig.now_us, f, rig_arp(f, ARP_REQUEST, n - 1, &ip, &ours));
	}
	rig_run(&rig, 20000);
	assert_true(knows(2) && knows(3));
	rig_close(&rig);
}

/* A tag that carries a priority only, as some switches and hypervisors put it. */
static void test_ctl__priority_tags(void **state)
{
	struct lane_lwip_config cfg = {.addr = {{.ip = rig_ip(1), .plen = 24}, {.ip = world_ip(0, true), .plen = 64}},
				       .nr_addrs = 2};
	const struct lane_ip ours = rig_ip(1), peer = rig_ip(2), ours6 = world_ip(0, true), peer6 = world_ip(1, true);
	uint8_t echo[64] = {8, 0, 0, 0, 0x12, 0x34, 0, 1}, ns[32] = {135};
	struct lane_ip group = {.b = {0xff, 2, [11] = 1, 0xff}};

	(void)state;
	rig_open(&rig, &cfg);
	rig_run(&rig, 4000000);
	rig_clear(&rig);
	rig_put(&rig, f, rig_tag(f, rig_arp(f, ARP_REQUEST, 1, &peer, &ours), 0xe000));
	assert_int_equal(rig_count(&rig, ETH_ARP, 0), 1);
	rig_arp(f, ARP_REQUEST, 1, &peer, &ours);
	memcpy(f, world_mac(0).b, 6);
	rig_put(&rig, f, rig_tag(f, 60, 0));
	assert_int_equal(rig_count(&rig, ETH_ARP, 0), 2);
	rig_put(&rig, f, rig_tag(f, rig_ip_frame(f, 1, &peer, &ours, 1, echo, sizeof(echo)), 0x2000));
	assert_int_equal(rig_count(&rig, ETH_IP4, 1), 1);
	memcpy(group.b + 13, ours6.b + 13, 3);
	memcpy(ns + 8, ours6.b, 16);
	rig_put(&rig, f, rig_tag(f, rig_ip_frame(f, 1, &peer6, &group, 58, ns, sizeof(ns)), 0));
	assert_int_equal(rig_count_icmp6(&rig, 136), 1);
	/* Of a VLAN: not ours. */
	rig_clear(&rig);
	rig_put(&rig, f, rig_tag(f, rig_arp(f, ARP_REQUEST, 1, &peer, &ours), 5));
	rig_put(&rig, f, rig_tag(f, rig_ip_frame(f, 1, &peer, &ours, 1, echo, sizeof(echo)), 5));
	assert_int_equal(rig.nr_seen, 0);
	rig_close(&rig);
}

static void test_link__down_is_published_and_up_announces_again(void **state)
{
	const struct lane_ip ours = rig_ip(1);

	(void)state;
	rig_open_ready(&rig);
	lane_lwip_link(rig.lw, rig.now_us, false);
	rig_run(&rig, 1000000);
	assert_int_equal(lane_nettab(rig.w.ln[0])->up, 0);
	assert_int_equal(rig.nr_seen, 0);
	lane_lwip_link(rig.lw, rig.now_us, true);
	rig_run(&rig, 1000000);
	assert_int_equal(lane_nettab(rig.w.ln[0])->up, 1);
	assert_memory_equal(rig_find(&rig, ETH_ARP, 0, 0)->b + 28, ours.b + 12, 4);
	rig_close(&rig);
}

/* Behind the new link may be others: neighbours are asked for again. */
static void test_link__down_forgets_neighbours(void **state)
{
	struct lane_lwip_config cfg = {.addr = {{.ip = rig_ip(1), .plen = 24}, {.ip = world_ip(0, true), .plen = 64}},
				       .nr_addrs = 2};
	const struct lane_ip ours6 = world_ip(0, true), peer6 = world_ip(1, true);
	struct lane_nettab *t;
	struct lane_mac mac;

	(void)state;
	rig_open(&rig, &cfg);
	rig_run(&rig, 4000000);
	t = lane_nettab(rig.w.ln[0]);
	ask_from(2);
	rig_know6(&rig, &peer6, &ours6);
	assert_true(knows(2));
	assert_int_equal(lane_net_neigh(t, &peer6, &mac), 0);
	lane_lwip_link(rig.lw, rig.now_us, false);
	rig_run(&rig, 100000);
	lane_lwip_link(rig.lw, rig.now_us, true);
	rig_run(&rig, 100000);
	rig_clear(&rig);
	assert_false(knows(2));
	assert_int_equal(lane_net_neigh(t, &peer6, &mac), -EAGAIN);
	rig_run(&rig, 1200000);
	assert_true(rig_count(&rig, ETH_ARP, 0) >= 1);
	assert_true(rig_count_icmp6(&rig, 135) >= 1);
	ask_from(2);
	assert_true(knows(2));
	rig_close(&rig);
}

/* Reports when it is joined and when a router asks, a message when it is left. */
static void test_groups__are_told_to_the_network(void **state)
{
	const struct lane_ip groups[] = {{.w = {[2] = 0xffff0000, [3] = 0x030201ef}}, /* 239.1.2.3 */
					 {.b = {0xff, 5, [15] = 9}}};
	const struct lane_ip router = rig_ip(2), all = {.w = {[2] = 0xffff0000, [3] = 0x010000e0}};
	uint8_t query[8] = {0x11, 10};

	(void)state;
	rig_open_ready(&rig);
	lane_lwip_groups(rig.lw, rig.now_us, groups, 2);
	rig_run(&rig, 100000);
	assert_int_equal(rig_find(&rig, ETH_IP4, 2, 0)->b[38], 0x16);
	assert_memory_equal(rig_find(&rig, ETH_IP4, 2, 0)->b + 42, groups[0].b + 12, 4);
	assert_int_equal(rig_find(&rig, 0x86dd, 0, 0)->b[62], 131);
	assert_memory_equal(rig_find(&rig, 0x86dd, 0, 0)->b + 70, groups[1].b, 16);
	rig_run(&rig, 5000000);
	rig_clear(&rig);
	rig_ip_frame(f, 1, &router, &all, 2, query, sizeof(query));
	f[36] = 0xee; /* a checksum without a pseudo header */
	f[37] = 0xf5;
	rig_put(&rig, f, 60);
	rig_run(&rig, 2000000);
	assert_int_equal(rig_count(&rig, ETH_IP4, 2), 1);
	rig_clear(&rig);
	lane_lwip_groups(rig.lw, rig.now_us, NULL, 0);
	rig_run(&rig, 100000);
	assert_int_equal(rig_find(&rig, ETH_IP4, 2, 0)->b[38], 0x17);
	assert_int_equal(rig_find(&rig, 0x86dd, 0, 0)->b[62], 132);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dad6__a_claim_while_it_is_tentative),
		cmocka_unit_test(test_dad6__a_claim_of_one_in_use_is_counted),
		cmocka_unit_test(test_arp__places_are_used_again),
		cmocka_unit_test(test_arp__places_change),
		cmocka_unit_test(test_ctl__priority_tags),
		cmocka_unit_test(test_link__down_is_published_and_up_announces_again),
		cmocka_unit_test(test_link__down_forgets_neighbours),
		cmocka_unit_test(test_groups__are_told_to_the_network),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
