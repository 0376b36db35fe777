/*
 * pmtu_test.c - path MTU: RFC 1191, RFC 8201, RFC 4821's black holes; stack/net/pmtu.c
 */
#include "tests/unit/tcp/script.h"

#include <arpa/inet.h>

#include "stack/tcp/pcb.h"

/* The mirror has news of a route: every path is looked up again. */
static void news(void)
{
	struct lane_nettab *nt = lane_nettab(s.ln);

	lane_net_write_begin(nt);
	lane_net_write_end(nt, true);
}

/* The connection sends one segment that fills the path. */
static void sends(unsigned int seq, unsigned int len)
{
	char line[64];

	script_write(len);
	snprintf(line, sizeof(line), ". %u ack 1 len %u", seq, len);
	script_out(line);
	script_silent();
	snprintf(line, sizeof(line), ". 1 ack %u", seq + len);
	script_in(line);
}

static void test_icmp__holds_for_the_destination_until_it_expires(void **state)
{
	struct lane_ip remote;

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_write(1460);
	script_out(". 1 ack 1 len 1460");
	script_icmp(SCRIPT_ICMP_TOO_BIG, 1, 1300);
	script_out(". 1 ack 1 len 1260");
	script_out(". 1261 ack 1 len 200");
	script_in(". 1 ack 1461");
	news();
	sends(1461, 1260);
	remote = lane_tcp_remote_ip(s.ln, s.pcb);
	assert_int_equal(lane_pmtu_of(s.ln, &remote, script_mtu(1500)), script_mtu(1300));
	assert_int_equal(s.ln->st->stats.pmtu_learned, 1);
	script_run_s(600);
	script_run_ms(1);
	sends(2721, 100); /* the path is looked up when something leaves */
	sends(2821, 1460);
	assert_int_equal(s.ln->st->nr_pmtu, 0);
	script_close();
}

static void test_icmp__not_below_the_least(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_write(600);
	script_out(". 1 ack 1 len 600");
	script_icmp(SCRIPT_ICMP_TOO_BIG, 1, 68);
	if (s.v6) {
		script_silent(); /* RFC 8201 4 */
	} else {
		script_out(". 1 ack 1 len 512");
		script_out(". 513 ack 1 len 88");
	}
	script_in(". 1 ack 601");
	script_close();
}

static void probing(struct lane_config *cfg)
{
	cfg->mtu_probing = 1;
}

/* Waits for a time-out, behind which a segment of 'len' bytes comes first. */
static void times_out(unsigned int len)
{
	char line[64];

	snprintf(line, sizeof(line), ". 1 ack 1 len %u", len);
	script_until_out(60000);
	script_out(line);
	script_skip();
}

static void test_black_hole__base_mss_then_half(void **state)
{
	unsigned int least;

	(void)state;
	script_open(probing);
	least = s.v6 ? 1220 : 512; /* every link takes 1,280 bytes over IPv6 */
	script_accept("S 0 mss 1460");
	script_write(1460);
	script_out(". 1 ack 1 len 1460");
	for (unsigned int i = 0; i < 3; i++)
		times_out(1460);
	times_out(s.v6 ? 1220 : 1024);
	assert_int_equal(s.ln->st->stats.pmtu_black_holes, 1);
	times_out(least);
	times_out(least);
	assert_int_equal(s.ln->st->stats.pmtu_black_holes, s.v6 ? 1 : 2);
	script_in(s.v6 ? ". 1 ack 1221" : ". 1 ack 513");
	script_skip();
	script_in(". 1 ack 1461");
	sends(1461, least);
	script_close();
}

static void test_black_hole__only_on_request(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_write(1460);
	script_out(". 1 ack 1 len 1460");
	for (unsigned int i = 0; i < 6; i++)
		times_out(1460);
	script_in(". 1 ack 1461");
	script_close();
}

static void test_learn__a_full_table_forgets_what_expires_first(void **state)
{
	struct lane_ip ip;

	(void)state;
	script_open(NULL);
	for (uint32_t i = 0; i < LANE_NR_PMTU + 5; i++) {
		ip = lane_ip4(htonl(0x0a010000 + i));
		script_run_ms(1);
		assert_int_equal(lane_pmtu_learn(s.ln, &ip, 1400 - i), 1400 - i);
		assert_int_equal(lane_pmtu_learn(s.ln, &ip, 1450), 1400 - i);
	}
	assert_int_equal(s.ln->st->nr_pmtu, LANE_NR_PMTU);
	assert_int_equal(s.ln->st->stats.pmtu_forgotten, 5);
	ip = lane_ip4(htonl(0x0a010000));
	assert_int_equal(lane_pmtu_of(s.ln, &ip, 1500), 1500);
	ip = lane_ip4(htonl(0x0a010005));
	assert_int_equal(lane_pmtu_of(s.ln, &ip, 1500), 1395);
	script_run_s(601);
	assert_int_equal(s.ln->st->nr_pmtu, 0);
	script_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_icmp__holds_for_the_destination_until_it_expires),
		cmocka_unit_test(test_icmp__not_below_the_least),
		cmocka_unit_test(test_black_hole__base_mss_then_half),
		cmocka_unit_test(test_black_hole__only_on_request),
		cmocka_unit_test(test_learn__a_full_table_forgets_what_expires_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
