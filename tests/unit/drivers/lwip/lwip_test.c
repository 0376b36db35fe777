/*
 * lwip_test.c - the control plane over a cable: ARP, duplicates, echo, ND, neighbours, closed ports
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>

#include "rig.h"

#define ETH_ARP 0x0806
#define ETH_IP4 0x0800
#define ETH_IP6 0x86dd

static struct rig rig;
static uint8_t f[RIG_LEN];
static const struct lane_ip none4 = {.w = {[2] = 0xffff0000}};

static void test_dad__three_probes_then_two_announcements(void **state)
{
	struct lane_lwip_config cfg = rig_static();
	const struct lane_ip ours = rig_ip(1);
	char err[LANE_LWIP_ERR];

	(void)state;
	rig_open(&rig, &cfg);
	rig_run(&rig, 500000);
	assert_int_equal(lane_lwip_ready(rig.lw, err), -EAGAIN);
	assert_int_equal(rig_count(&rig, ETH_ARP, 0), 3);
	for (unsigned int i = 0; i < 3; i++) {
		const struct rig_frame *p = rig_find(&rig, ETH_ARP, 0, i);

		assert_memory_equal(p->b + 28, none4.b + 12, 4);
		assert_memory_equal(p->b + 38, ours.b + 12, 4);
	}
	assert_int_equal(lane_net_addr(lane_nettab(rig.w.ln[0]), &ours), -1);
	rig_run(&rig, 3000000);
	assert_int_equal(lane_lwip_ready(rig.lw, err), 0);
	assert_int_equal(lane_net_addr(lane_nettab(rig.w.ln[0]), &ours), 0);
	/* gratuitous: sender and target are we (RFC 5227 2.3) */
	assert_int_equal(rig_count(&rig, ETH_ARP, 0), 5);
	assert_memory_equal(rig_find(&rig, ETH_ARP, 0, 4)->b + 28, ours.b + 12, 4);
	assert_memory_equal(rig_find(&rig, ETH_ARP, 0, 4)->b + 38, ours.b + 12, 4);
	rig_close(&rig);
}

static void expect_conflict(unsigned int op, const struct lane_ip *spa, const struct lane_ip *tpa)
{
	struct lane_lwip_config cfg = rig_static();
	char err[LANE_LWIP_ERR];

	rig_open(&rig, &cfg);
	rig_run(&rig, 100000);
	rig_put(&rig, f, rig_arp(f, op, 1, spa, tpa));
	rig_run(&rig, 5000000);
	assert_int_equal(lane_lwip_ready(rig.lw, err), -EADDRINUSE);
	assert_non_null(strstr(err, "02:00:00:00:00:02"));
	assert_int_equal(lane_net_addr(lane_nettab(rig.w.ln[0]), &cfg.addr[0].ip), -1);
	rig_close(&rig);
}

static void test_dad__a_reply_or_anothers_probe_is_a_conflict(void **state)
{
	const struct lane_ip ours = rig_ip(1);

	(void)state;
	expect_conflict(ARP_REPLY, &ours, &none4);
	expect_conflict(ARP_REQUEST, &none4, &ours);
}

static void test_dad__a_request_for_it_is_none(void **state)
{
	struct lane_lwip_config cfg = rig_static();
	const struct lane_ip ours = rig_ip(1), peer = rig_ip(2);
	char err[LANE_LWIP_ERR];

	(void)state;
	rig_open(&rig, &cfg);
	rig_run(&rig, 100000);
	rig_put(&rig, f, rig_arp(f, ARP_REQUEST, 1, &peer, &ours));
	rig_run(&rig, 1000000);
	assert_int_equal(lane_lwip_ready(rig.lw, err), 0);
	rig_close(&rig);
}

static void test_dad__a_claim_is_answered_once_in_ten_seconds(void **state)
{
	const struct lane_ip ours = rig_ip(1);

	(void)state;
	rig_open_ready(&rig);
	for (unsigned int i = 0; i < 5; i++)
		rig_put(&rig, f, rig_arp(f, ARP_REPLY, 1, &ours, &ours));
	assert_int_equal(rig_count(&rig, ETH_ARP, 0), 1);
	rig_run(&rig, 11000000);
	rig_clear(&rig);
	rig_put(&rig, f, rig_arp(f, ARP_REPLY, 1, &ours, &ours));
	assert_int_equal(rig_count(&rig, ETH_ARP, 0), 1);
	rig_close(&rig);
}

static void test_arp__a_request_is_answered_and_the_asker_known(void **state)
{
	const struct lane_ip ours = rig_ip(1), peer = rig_ip(2);
	const struct lane_mac mac1 = world_mac(1);
	struct lane_mac mac;

	(void)state;
	rig_open_ready(&rig);
	rig_put(&rig, f, rig_arp(f, ARP_REQUEST, 1, &peer, &ours));
	assert_int_equal(rig_count(&rig, ETH_ARP, 0), 1);
	assert_int_equal(rig.seen[0].b[21], ARP_REPLY);
	assert_memory_equal(rig.seen[0].b + 28, ours.b + 12, 4);
	assert_int_equal(lane_net_neigh(lane_nettab(rig.w.ln[0]), &peer, &mac), 0);
	assert_memory_equal(&mac, &mac1, sizeof(mac));
	/* It has another MAC now. */
	rig_put(&rig, f, rig_arp(f, ARP_REQUEST, 5, &peer, &peer));
	assert_int_equal(lane_net_neigh(lane_nettab(rig.w.ln[0]), &peer, &mac), 0);
	assert_int_equal(mac.b[5], 6);
	rig_close(&rig);
}

static void test_resolve__on_demand_and_given_up_after_three_seconds(void **state)
{
	const struct lane_ip ours = rig_ip(1), peer = rig_ip(2), absent = rig_ip(3);
	struct lane_nettab *t;
	struct lane_mac mac;

	(void)state;
	rig_open_ready(&rig);
	t = lane_nettab(rig.w.ln[0]);
	assert_int_equal(lane_net_neigh(t, &peer, &mac), -EAGAIN);
	assert_int_equal(lane_net_neigh(t, &absent, &mac), -EAGAIN);
	rig_run(&rig, 20000);
	assert_int_equal(rig_count(&rig, ETH_ARP, 0), 2);
	rig_put(&rig, f, rig_arp(f, ARP_REPLY, 1, &peer, &ours));
	assert_int_equal(lane_net_neigh(t, &peer, &mac), 0);
	rig_run(&rig, 3100000);
	assert_int_equal(lane_net_neigh(t, &absent, &mac), -EHOSTUNREACH);
	/* That asked again: it is there now. */
	rig_put(&rig, f, rig_arp(f, ARP_REPLY, 3, &absent, &ours));
	assert_int_equal(lane_net_neigh(t, &absent, &mac), 0);
	/* They are asked again before they age, as long as lwIP has them. */
	rig_clear(&rig);
	rig_run(&rig, 61000000);
	assert_true(rig_count(&rig, ETH_ARP, 0) >= 2);
	rig_close(&rig);
}

/* Who asks for neighbours that are not there, one after the other, does not fill the table with failures. */
static void test_resolve__failures_do_not_pile_up(void **state)
{
	unsigned int nr_failed = 0, nr_asked = 0;
	struct lane_nettab *t;
	struct lane_mac mac;

	(void)state;
	rig_open_ready(&rig);
	t = lane_nettab(rig.w.ln[0]);
	for (unsigned int round = 0; round < 10; round++) {
		for (unsigned int i = 0; i < 60; i++, nr_asked++) {
			struct lane_ip absent = lane_ip4(htonl(0x0a010000 + nr_asked));

			assert_int_equal(lane_net_neigh(t, &absent, &mac), -EAGAIN);
		}
		rig_run(&rig, 3200000);
	}
	for (unsigned int i = 0; i < nr_asked; i++) {
		struct lane_ip absent = lane_ip4(htonl(0x0a010000 + i));

		nr_failed += lane_net_neigh(t, &absent, &mac) == -EHOSTUNREACH;
	}
	assert_in_range(nr_failed, 60, 128);
	rig_close(&rig);
}

static void test_resolve__ipv6(void **state)
{
	struct lane_lwip_config cfg = {.addr = {{.ip = world_ip(0, true), .plen = 64}},
				       .nr_addrs = 1};
	const struct lane_ip ours = world_ip(0, true), peer = world_ip(1, true);
	struct lane_nettab *t;
	struct lane_mac mac = world_mac(1);

	(void)state;
	rig_open(&rig, &cfg);
	rig_run(&rig, 4000000);
	t = lane_nettab(rig.w.ln[0]);
	assert_true(lane_net_addr(t, &ours) >= 0);
	rig_clear(&rig);
	rig_know6(&rig, &peer, &ours);
	assert_int_equal(rig_count_icmp6(&rig, 135), 1);
	assert_int_equal(lane_net_neigh(t, &peer, &mac), 0);
	assert_int_equal(mac.b[5], 2);
	rig_close(&rig);
}

static void test_echo__is_answered(void **state)
{
	const struct lane_ip ours = rig_ip(1), peer = rig_ip(2);
	uint8_t echo[64] = {8, 0, 0, 0, 0x12, 0x34, 0, 1, 'l', 'a', 'n', 'e'};

	(void)state;
	rig_open_ready(&rig);
	rig_put(&rig, f, rig_arp(f, ARP_REQUEST, 1, &peer, &ours));
	rig_put(&rig, f, rig_ip_frame(f, 1, &peer, &ours, 1, echo, sizeof(echo)));
	assert_int_equal(rig_count(&rig, ETH_IP4, 1), 1);
	assert_int_equal(rig_find(&rig, ETH_IP4, 1, 0)->b[34], 0);
	assert_memory_equal(rig_find(&rig, ETH_IP4, 1, 0)->b + 38, echo + 4, sizeof(echo) - 4);
	/* Not one to everybody, and not one with a wrong sum. */
	rig_clear(&rig);
	rig_ip_frame(f, 1, &peer, &ours, 1, echo, sizeof(echo));
	f[60] ^= 1;
	rig_put(&rig, f, 14 + 20 + sizeof(echo));
	assert_int_equal(rig_count(&rig, ETH_IP4, 1), 0);
	rig_close(&rig);
}

static void test_echo__in_fragments(void **state)
{
	const struct lane_ip ours = rig_ip(1), peer = rig_ip(2);
	uint8_t echo[64] = {8, 0, 0, 0, 0x12, 0x34, 0, 1}, whole[RIG_LEN];
	uint32_t sum;

	(void)state;
	rig_open_ready(&rig);
	rig_put(&rig, f, rig_arp(f, ARP_REQUEST, 1, &peer, &ours));
	rig_ip_frame(whole, 1, &peer, &ours, 1, echo, sizeof(echo));
	for (unsigned int i = 0; i < 2; i++) {
		memcpy(f, whole, 34);
		memcpy(f + 34, whole + 34 + 32 * i, 32);
		f[17] = 52;
		f[20] = i ? 0 : 0x20;
		f[21] = i ? 4 : 0;
		f[24] = f[25] = 0;
		sum = 0;
		for (unsigned int k = 14; k < 34; k += 2)
			sum += (uint32_t)(f[k] << 8 | f[k + 1]);
		sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
		f[24] = (uint8_t)(sum >> 8);
		f[25] = (uint8_t)sum;
		rig_put(&rig, f, 66);
	}
	assert_int_equal(rig_count(&rig, ETH_IP4, 1), 1);
	assert_int_equal(rig_find(&rig, ETH_IP4, 1, 0)->len, 98);
	rig_close(&rig);
}

/* The lane joins the fragments, lwIP answers, in fragments again. */
static void test_echo__ipv6_in_fragments(void **state)
{
	struct lane_lwip_config cfg = {.addr = {{.ip = world_ip(0, true), .plen = 64}},
				       .nr_addrs = 1};
	const struct lane_ip ours = world_ip(0, true), peer = world_ip(1, true);
	uint8_t body[RIG_LEN], echo[2000] = {128, 0, 0, 0, 0x12, 0x34, 0, 1};
	struct lane_mac mac = world_mac(1);
	struct lane_nettab *t;

	(void)state;
	rig_open(&rig, &cfg);
	rig_run(&rig, 4000000);
	t = lane_nettab(rig.w.ln[0]);
	rig_know6(&rig, &peer, &ours);
	assert_int_equal(lane_net_neigh(t, &peer, &mac), 0);
	rig_clear(&rig);
	rig_sum(echo, &peer, &ours, 58, sizeof(echo));
	for (unsigned int i = 0; i < 2; i++) {
		const uint8_t frag[8] = {58, 0, i ? 0x03 : 0, i ? 0xe8 : 1, 0, 0, 0, 7};

		memcpy(body, frag, 8);
		memcpy(body + 8, echo + 1000 * i, 1000);
		rig_put(&rig, f, rig_ip_frame(f, 1, &peer, &ours, 44, body, 1008));
	}
	assert_int_equal(rig_count(&rig, ETH_IP6, 44), 2);
	assert_int_equal(rig_find(&rig, ETH_IP6, 44, 0)->b[62], 129);
	rig_close(&rig);
}

static void test_nd__a_solicitation_is_answered(void **state)
{
	struct lane_lwip_config cfg = {.addr = {{.ip = world_ip(0, true), .plen = 64}},
				       .nr_addrs = 1};
	const struct lane_ip ours = world_ip(0, true), peer = world_ip(1, true);
	struct lane_ip group = {.b = {0xff, 2, [11] = 1, 0xff}};
	uint8_t ns[32] = {135};
	struct lane_mac mac = world_mac(1);

	(void)state;
	rig_open(&rig, &cfg);
	rig_run(&rig, 4000000);
	rig_clear(&rig);
	memcpy(group.b + 13, ours.b + 13, 3);
	memcpy(ns + 8, ours.b, 16);
	ns[24] = 1;
	ns[25] = 1;
	memcpy(ns + 26, mac.b, 6);
	rig_put(&rig, f, rig_ip_frame(f, 1, &peer, &group, 58, ns, sizeof(ns)));
	assert_int_equal(rig_count_icmp6(&rig, 136), 1);
	assert_int_equal(lane_net_neigh(lane_nettab(rig.w.ln[0]), &peer, &mac), 0);
	rig_close(&rig);
}

static void test_udp__closed_port_is_unreachable_at_a_limited_rate(void **state)
{
	const struct lane_ip ours = rig_ip(1), peer = rig_ip(2);
	uint8_t dgram[16] = {0x30, 0x39, 0x00, 0x07, 0, 16};

	(void)state;
	rig_open_ready(&rig);
	rig_put(&rig, f, rig_arp(f, ARP_REQUEST, 1, &peer, &ours));
	for (unsigned int i = 0; i < 200; i++)
		rig_put(&rig, f, rig_ip_frame(f, 1, &peer, &ours, 17, dgram, sizeof(dgram)));
	assert_int_equal(rig_count(&rig, ETH_IP4, 1), 50);
	assert_int_equal(rig_find(&rig, ETH_IP4, 1, 0)->b[34], 3);
	assert_int_equal(rig_find(&rig, ETH_IP4, 1, 0)->b[35], 3);
	assert_int_equal(lane_stats(rig.w.ln[0])->drops[LANE_DROP_UDP_NO_PORT], 150);
	rig_close(&rig);
}

/* 'f' comes 'n' times, and the control plane does not look. */
static void pour(uint32_t len, unsigned int n)
{
	struct lane_queue *q = lane_pair_queue(rig.w.pair, 1);
	struct lane *ln = rig.w.ln[0];

	for (unsigned int i = 0; i < n; i++) {
		struct lane_buf *b = lane_buf_alloc(q->bufs);

		memcpy(lane_buf_data(q->bufs, b), f, len);
		b->len = (uint16_t)len;
		b->pkt_len = len;
		assert_int_equal(q->drv->tx_burst(q, &b, 1), 1);
		lane_poll(ln, rig.now_us);
		lane_check(ln);
	}
}

/* A full queue of frames for the control plane: the rest is counted, and no frame is lost to the
 * pool. */
static void test_ctl__queue_full(void **state)
{
	const struct lane_ip ours = rig_ip(1), peer = rig_ip(2);
	struct lane *ln;

	(void)state;
	rig_open_ready(&rig);
	ln = rig.w.ln[0];
	rig_arp(f, ARP_REQUEST, 1, &peer, &ours);
	pour(60, LANE_NR_CTL + 10);
	assert_int_equal(lane_stats(ln)->drops[LANE_DROP_CTL_FULL], 10);
	rig_run(&rig, 10000);
	assert_false(lane_ctl_waiting(ln));
	rig_close(&rig);
}

static void test_ctl__echoes_leave_room_for_arp(void **state)
{
	const struct lane_ip ours = rig_ip(1), peer = rig_ip(2);
	const uint64_t *full;
	uint8_t echo[16] = {8};

	(void)state;
	rig_open_ready(&rig);
	full = &lane_stats(rig.w.ln[0])->drops[LANE_DROP_CTL_FULL];
	rig_sum(echo, &peer, &ours, 1, sizeof(echo));
	pour(rig_ip_frame(f, 1, &peer, &ours, 1, echo, sizeof(echo)), LANE_NR_CTL);
	assert_int_equal(*full, LANE_NR_CTL / 2);
	rig_arp(f, ARP_REQUEST, 1, &peer, &ours);
	pour(60, 10);
	assert_int_equal(*full, LANE_NR_CTL / 2);
	rig_close(&rig);
}

/* Datagrams to closed ports use up what may be answered, not what a lease hangs on. */
static void test_ctl__dhcp_beside_closed_ports(void **state)
{
	const struct lane_ip ours = rig_ip(1), peer = rig_ip(2);
	uint8_t closed[16] = {0x30, 0x39, 0, 7, 0, 16}, dhcp[16] = {0, 67, 0, 68, 0, 16};
	const struct lane_stats *st;
	uint64_t in;

	(void)state;
	rig_open_ready(&rig);
	st = lane_stats(rig.w.ln[0]);
	pour(rig_ip_frame(f, 1, &peer, &ours, 17, closed, sizeof(closed)), 100);
	in = st->ctl_in;
	pour(rig_ip_frame(f, 1, &peer, &ours, 17, closed, sizeof(closed)), 1);
	assert_int_equal(st->ctl_in, in);
	pour(rig_ip_frame(f, 1, &peer, &ours, 17, dhcp, sizeof(dhcp)), 1);
	assert_int_equal(st->ctl_in, in + 1);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dad__three_probes_then_two_announcements),
		cmocka_unit_test(test_dad__a_reply_or_anothers_probe_is_a_conflict),
		cmocka_unit_test(test_dad__a_request_for_it_is_none),
		cmocka_unit_test(test_dad__a_claim_is_answered_once_in_ten_seconds),
		cmocka_unit_test(test_arp__a_request_is_answered_and_the_asker_known),
		cmocka_unit_test(test_resolve__on_demand_and_given_up_after_three_seconds),
		cmocka_unit_test(test_resolve__failures_do_not_pile_up),
		cmocka_unit_test(test_resolve__ipv6),
		cmocka_unit_test(test_echo__is_answered),
		cmocka_unit_test(test_echo__in_fragments),
		cmocka_unit_test(test_echo__ipv6_in_fragments),
		cmocka_unit_test(test_nd__a_solicitation_is_answered),
		cmocka_unit_test(test_udp__closed_port_is_unreachable_at_a_limited_rate),
		cmocka_unit_test(test_ctl__queue_full),
		cmocka_unit_test(test_ctl__echoes_leave_room_for_arp),
		cmocka_unit_test(test_ctl__dhcp_beside_closed_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
