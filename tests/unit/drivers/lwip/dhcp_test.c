/*
 * dhcp_test.c - addresses from a DHCP server and from routers, on virtual time, with frames by hand
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>

#include "rig.h"

#define ETH_ARP  0x0806
#define ETH_IP4  0x0800
#define ETH_IP6  0x86dd
#define SECOND   1000000ULL
#define DISCOVER 1
#define OFFER    2
#define REQUEST  3
#define DECLINE  4
#define ACK      5
#define NAK      6

static struct rig rig;
static uint8_t f[RIG_LEN];
static uint8_t router_n = 2; /* what the server says who the router is */

static void open_dhcp(void)
{
	struct lane_lwip_config cfg = {.dhcp = true};

	rig_open(&rig, &cfg);
}

/* The message type of the nth DHCP message seen, 0: there is none; and the message. */
static unsigned int sent(unsigned int nth, const uint8_t **msg)
{
	const struct rig_frame *r = rig_find(&rig, ETH_IP4, 17, nth);

	*msg = NULL;
	if (!r)
		return 0;
	*msg = r->b + 42;
	for (const uint8_t *o = *msg + 240; o < r->b + r->len - 2 && *o != 255; o += 2 + o[1])
		if (*o == 53)
			return o[2];
	return 0;
}

/* What the server at 10.0.0.2 says about 10.0.0.'n'; to the client's MAC, as its message has it. */
static void say(unsigned int type, const uint8_t *msg, uint8_t n, uint32_t lease_s)
{
	const struct lane_ip server = rig_ip(2), ours = rig_ip(n), all = lane_ip4(UINT32_MAX);
	uint8_t m[8 + 300] = {0, 67, 0, 68, 1, 52 /* 308 */};
	uint8_t *d = m + 8, *o = d + 240;
	const uint8_t options[] = {53,
				   1,
				   (uint8_t)type,
				   54,
				   4,
				   10,
				   0,
				   0,
				   2,
				   1,
				   4,
				   255,
				   255,
				   255,
				   0,
				   3,
				   4,
				   10,
				   0,
				   0,
				   router_n,
				   51,
				   4,
				   (uint8_t)(lease_s >> 24),
				   (uint8_t)(lease_s >> 16),
				   (uint8_t)(lease_s >> 8),
				   (uint8_t)lease_s,
				   255};

	memcpy(d, msg, 240);
	d[0] = 2;
	memcpy(d + 16, ours.b + 12, 4);
	memcpy(o, options, sizeof(options));
	if (type == NAK)
		memset(d + 16, 0, 4);
	rig_put(&rig, f, rig_ip_frame(f, 1, &server, type == NAK ? &all : &ours, 17, m, sizeof(m)));
}

/* Time passes, and the server answers to ARP. */
static void live(uint64_t us)
{
	const struct lane_ip server = rig_ip(2), ours = rig_ip(7);

	for (; us >= SECOND; us -= SECOND) {
		unsigned int before = rig_count(&rig, ETH_ARP, 0), now;

		rig_run(&rig, SECOND);
		now = rig_count(&rig, ETH_ARP, 0);
		for (unsigned int i = before; i < now; i++)
			if (memcmp(rig_find(&rig, ETH_ARP, 0, i)->b + 38, server.b + 12, 4) == 0)
				rig_put(&rig, f, rig_arp(f, ARP_REPLY, 1, &server, &ours));
	}
}

/* Discover, offer, request, ACK, and the check that nobody has the address. */
static void get_lease(uint32_t lease_s)
{
	const uint8_t *msg;

	rig_run(&rig, 200000);
	assert_int_equal(sent(0, &msg), DISCOVER);
	say(OFFER, msg, 7, lease_s);
	rig_run(&rig, 200000);
	assert_int_equal(sent(1, &msg), REQUEST);
	say(ACK, msg, 7, lease_s);
}

static int has(uint8_t n)
{
	const struct lane_ip ip = rig_ip(n);

	return lane_net_addr(lane_nettab(rig.w.ln[0]), &ip) >= 0;
}

static void test_dhcp__lease_is_published_with_its_router(void **state)
{
	const struct lane_ip far = {.w = {[2] = 0xffff0000, 0x08080808}}, gw = rig_ip(2),
			     any = lane_ip4(0);
	struct lane_net_hop hop;
	char err[LANE_LWIP_ERR];

	(void)state;
	open_dhcp();
	get_lease(3600);
	assert_int_equal(lane_lwip_ready(rig.lw, err), -EAGAIN);
	rig_run(&rig, 2 * SECOND);
	assert_int_equal(lane_lwip_ready(rig.lw, err), 0);
	assert_true(has(7));
	assert_int_equal(lane_net_route(lane_nettab(rig.w.ln[0]), &far, &any, &hop), 0);
	assert_true(lane_ip_equal(&hop.next, &gw));
	rig_close(&rig);
}

/* A station has what the server offers: declined, and another is asked for. */
static void test_dhcp__address_in_use_is_declined(void **state)
{
	const struct lane_ip theirs = rig_ip(7);
	const uint8_t *msg;

	(void)state;
	open_dhcp();
	get_lease(3600);
	rig_clear(&rig);
	rig_put(&rig, f, rig_arp(f, ARP_REPLY, 4, &theirs, &theirs));
	rig_run(&rig, 100000);
	assert_int_equal(sent(0, &msg), DECLINE);
	assert_false(has(7));
	rig_run(&rig, 12 * SECOND);
	assert_int_equal(sent(1, &msg), DISCOVER);
	rig_close(&rig);
}

static void test_dhcp__renews_and_goes_on(void **state)
{
	const uint8_t *msg;

	(void)state;
	open_dhcp();
	get_lease(1200);
	rig_run(&rig, 2 * SECOND);
	rig_clear(&rig);
	live(11 * 60 * SECOND);
	assert_int_equal(sent(0, &msg), REQUEST);
	say(ACK, msg, 7, 1200);
	rig_clear(&rig);
	live(9 * 60 * SECOND);
	assert_true(has(7));
	assert_int_equal(rig_count(&rig, ETH_IP4, 17), 0);
	rig_close(&rig);
}

/* The server vanished: the address goes with the lease, and comes when there is one again. */
static void test_dhcp__lease_ends_without_a_server(void **state)
{
	char err[LANE_LWIP_ERR];
	const uint8_t *msg;

	(void)state;
	open_dhcp();
	get_lease(600);
	rig_run(&rig, 2 * SECOND);
	assert_true(has(7));
	live(9 * 60 * SECOND);
	assert_true(has(7));
	rig_run(&rig, 3 * 60 * SECOND);
	assert_false(has(7));
	assert_int_equal(lane_lwip_ready(rig.lw, err), -EAGAIN);
	rig_clear(&rig);
	rig_run(&rig, 130 * SECOND);
	assert_int_equal(sent(0, &msg), DISCOVER);
	rig_clear(&rig);
	rig_run(&rig, 130 * SECOND);
	assert_int_equal(sent(0, &msg), DISCOVER);
	say(OFFER, msg, 7, 600);
	rig_run(&rig, 200000);
	for (unsigned int i = 0; sent(i, &msg); i++)
		if (sent(i, &msg) == REQUEST)
			break;
	say(ACK, msg, 7, 600);
	rig_run(&rig, 2 * SECOND);
	assert_true(has(7));
	rig_close(&rig);
}

static void test_dhcp__nak_takes_the_address_away(void **state)
{
	const uint8_t *msg;

	(void)state;
	open_dhcp();
	get_lease(1200);
	rig_run(&rig, 2 * SECOND);
	rig_clear(&rig);
	live(11 * 60 * SECOND);
	assert_int_equal(sent(0, &msg), REQUEST);
	rig_clear(&rig);
	say(NAK, msg, 7, 0);
	rig_run(&rig, 100000);
	assert_false(has(7));
	/* And another comes. */
	assert_int_equal(sent(0, &msg), DISCOVER);
	say(OFFER, msg, 8, 1200);
	rig_run(&rig, 100000);
	assert_int_equal(sent(1, &msg), REQUEST);
	say(ACK, msg, 8, 1200);
	rig_run(&rig, 2 * SECOND);
	assert_true(has(8));
	rig_close(&rig);
}

/* Within the lease, another router. */
static void test_dhcp__router_changes_with_a_renewal(void **state)
{
	const struct lane_ip far = {.w = {[2] = 0xffff0000, 0x08080808}}, gw = rig_ip(3), any = lane_ip4(0);
	struct lane_net_hop hop;
	const uint8_t *msg;

	(void)state;
	open_dhcp();
	get_lease(40);
	rig_run(&rig, 2 * SECOND);
	rig_clear(&rig);
	live(20 * SECOND);
	assert_int_equal(sent(0, &msg), REQUEST);
	router_n = 3;
	say(ACK, msg, 7, 40);
	router_n = 2;
	rig_run(&rig, 100000);
	assert_int_equal(lane_net_route(lane_nettab(rig.w.ln[0]), &far, &any, &hop), 0);
	assert_true(lane_ip_equal(&hop.next, &gw));
	rig_close(&rig);
}

/* Seconds after the lease began at which the nth message since is sent; -1: there is none. */
static int sent_at(unsigned int nth, uint64_t began_us)
{
	const struct rig_frame *r = rig_find(&rig, ETH_IP4, 17, nth);

	return r ? (int)((r->us - began_us) / SECOND) : -1;
}

/* Half of the lease over, seven eighths over, over: to the server, to all, from the beginning. Nothing is given back
 * that is not ours any more. */
static void test_lease__times_of_a_short_one(void **state)
{
	const struct lane_ip server = rig_ip(2), all = lane_ip4(UINT32_MAX);
	const uint8_t *msg;
	uint64_t began_us;

	(void)state;
	open_dhcp();
	get_lease(16);
	while (!has(7))
		rig_run(&rig, 10000);
	began_us = rig.now_us;
	rig_clear(&rig);
	live(15 * SECOND);
	assert_true(has(7));
	live(2 * SECOND);
	assert_false(has(7));
	assert_int_equal(sent(0, &msg), REQUEST);
	assert_int_equal(sent_at(0, began_us), 8);
	assert_memory_equal(rig_find(&rig, ETH_IP4, 17, 0)->b + 30, server.b + 12, 4);
	assert_int_equal(sent(1, &msg), REQUEST);
	assert_int_equal(sent_at(1, began_us), 14);
	assert_memory_equal(rig_find(&rig, ETH_IP4, 17, 1)->b + 30, all.b + 12, 4);
	assert_int_equal(sent(2, &msg), DISCOVER);
	assert_int_equal(sent_at(2, began_us), 16);
	rig_close(&rig);
}

static void test_lease__rebound_it_goes_on(void **state)
{
	const uint8_t *msg;

	(void)state;
	open_dhcp();
	get_lease(16);
	rig_run(&rig, 2 * SECOND);
	rig_clear(&rig);
	live(14 * SECOND);
	assert_int_equal(sent(1, &msg), REQUEST);
	say(ACK, msg, 7, 16);
	rig_clear(&rig);
	live(7 * SECOND);
	assert_true(has(7));
	assert_int_equal(sent(0, &msg), 0);
	live(2 * SECOND);
	assert_int_equal(sent(0, &msg), REQUEST);
	rig_close(&rig);
}

/* lwIP's own clock ends at 45 days. */
static void test_lease__of_a_hundred_days_and_for_ever(void **state)
{
	const uint32_t day = 24 * 3600, leases[] = {100 * day, UINT32_MAX};
	const uint8_t *msg;

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		open_dhcp();
		get_lease(leases[i]);
		rig_run(&rig, 2 * SECOND);
		rig_clear(&rig);
		rig.now_us += 49ULL * day * SECOND;
		live(3 * SECOND);
		assert_true(has(7));
		assert_int_equal(sent(0, &msg), 0);
		rig.now_us += 1ULL * day * SECOND;
		live(3 * SECOND);
		assert_true(has(7));
		assert_int_equal(sent(0, &msg), i == 0 ? REQUEST : 0);
		rig_close(&rig);
	}
}

/* A server that says nothing sensible does not make us ask it without end. */
static void test_lease__of_no_time(void **state)
{
	(void)state;
	open_dhcp();
	get_lease(0);
	rig_run(&rig, 2 * SECOND);
	assert_true(has(7));
	rig_clear(&rig);
	rig_run(&rig, 4 * SECOND);
	assert_in_range(rig_count(&rig, ETH_IP4, 17), 1, 4);
	rig_close(&rig);
}

/* ---- routers ---- */

static struct lane_ip ip6(uint16_t first, uint8_t last)
{
	struct lane_ip ip = {.b = {(uint8_t)(first >> 8), (uint8_t)first}};

	ip.b[15] = last;
	return ip;
}

/* A router advertisement of station 'n' with prefix fd05::/64. */
static void advertise(unsigned int n, uint16_t lifetime_s, uint32_t prefix_s)
{
	const struct lane_ip group = ip6(0xff02, 1), src = ip6(0xfe80, (uint8_t)n);
	const struct lane_mac mac = world_mac(n);
	uint8_t ra[16 + 8 + 32] = {
		134, 0, 0, 0, 64, 0, (uint8_t)(lifetime_s >> 8), (uint8_t)lifetime_s};
	uint8_t *o = ra + 16;

	o[0] = 1;
	o[1] = 1;
	memcpy(o + 2, mac.b, 6);
	o += 8;
	o[0] = 3;
	o[1] = 4;
	o[2] = 64;
	o[3] = 0xc0;
	for (unsigned int i = 0; i < 4; i++)
		o[4 + i] = o[8 + i] = (uint8_t)(prefix_s >> (24 - 8 * i));
	o[16] = 0xfd;
	o[17] = 0x05;
	rig_put(&rig, f, rig_ip_frame(f, n, &src, &group, 58, ra, sizeof(ra)));
}

/* The next hop to somewhere far: the last byte of its address, 0: there is no route. */
static unsigned int router(void)
{
	const struct lane_ip far = ip6(0x2001, 9), any = {.d = {0, 0}};
	struct lane_net_hop hop;

	return lane_net_route(lane_nettab(rig.w.ln[0]), &far, &any, &hop) == 0 ? hop.next.b[15] : 0;
}

/* fd05::ff:fe00:1, of world_mac(0) */
static int has_slaac(void)
{
	struct lane_ip ip = ip6(0xfd05, 1);

	ip.b[11] = 0xff;
	ip.b[12] = 0xfe;
	return lane_net_addr(lane_nettab(rig.w.ln[0]), &ip) >= 0;
}

static void test_slaac__address_and_default_route(void **state)
{
	struct lane_lwip_config cfg = {.slaac = true};

	(void)state;
	rig_open(&rig, &cfg);
	rig_run(&rig, 6 * SECOND);
	/* It has asked for a router. */
	assert_non_null(rig_find(&rig, ETH_IP6, 58, 0));
	assert_int_equal(router(), 0);
	advertise(1, 30, 600);
	rig_run(&rig, 3 * SECOND);
	assert_true(has_slaac());
	assert_int_equal(router(), 1);
	rig_close(&rig);
}

static void test_slaac__router_that_goes_and_one_that_comes(void **state)
{
	struct lane_lwip_config cfg = {.slaac = true};

	(void)state;
	rig_open(&rig, &cfg);
	rig_run(&rig, 3 * SECOND);
	advertise(1, 30, 600);
	rig_run(&rig, 3 * SECOND);
	assert_int_equal(router(), 1);
	/* It says that it goes (RFC 4861 6.2.5). */
	advertise(1, 0, 600);
	rig_run(&rig, 2 * SECOND);
	assert_int_equal(router(), 0);
	assert_true(has_slaac());
	advertise(2, 30, 600);
	rig_run(&rig, 2 * SECOND);
	assert_int_equal(router(), 2);
	/* It goes without a word. */
	rig_run(&rig, 40 * SECOND);
	assert_int_equal(router(), 0);
	assert_true(has_slaac());
	rig_run(&rig, 600 * SECOND);
	assert_false(has_slaac());
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dhcp__lease_is_published_with_its_router),
		cmocka_unit_test(test_dhcp__address_in_use_is_declined),
		cmocka_unit_test(test_dhcp__renews_and_goes_on),
		cmocka_unit_test(test_dhcp__lease_ends_without_a_server),
		cmocka_unit_test(test_dhcp__nak_takes_the_address_away),
		cmocka_unit_test(test_dhcp__router_changes_with_a_renewal),
		cmocka_unit_test(test_lease__times_of_a_short_one),
		cmocka_unit_test(test_lease__rebound_it_goes_on),
		cmocka_unit_test(test_lease__of_a_hundred_days_and_for_ever),
		cmocka_unit_test(test_lease__of_no_time),
		cmocka_unit_test(test_slaac__address_and_default_route),
		cmocka_unit_test(test_slaac__router_that_goes_and_one_that_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
