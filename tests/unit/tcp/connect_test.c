/*
 * connect_test.c - which local port an active open gets, and how many it costs to find it
 */
#include "tests/unit/tcp/script.h"

#include <arpa/inet.h>

#include "stack/tcp/pcb.h"

#define NR_PORTS 150 /* not a multiple of what a word of the bitmap holds */
#define PORT_MIN 61030
#define NR_PEERS 3

static struct lane_tcp *conns[NR_PEERS][NR_PORTS];

static void set_room(struct lane_config *cfg)
{
	cfg->nr_tcp = NR_PEERS * NR_PORTS + 10;
}

static void open_narrow(void)
{
	script_open(set_room);
	s.ln->net->port_min = PORT_MIN;
	s.ln->net->port_max = PORT_MIN + NR_PORTS - 1;
}

/* To port 4000 + 'peer'. Returns its result, and in '*pcb' the connection. */
static int to_peer(unsigned int peer, struct lane_tcp **pcb)
{
	struct lane_ep local = {.port = 0}, remote = {script_ip(2), 0};
	int r;

	remote.port = (uint16_t)(4000 + peer);
	*pcb = lane_tcp_create(s.ln, 2);
	assert_non_null(*pcb);
	r = lane_tcp_connect(s.ln, *pcb, &local, &remote);
	script_flush();
	script_skip();
	if (r)
		lane_tcp_put(s.ln, *pcb);
	return r;
}

static uint64_t nr_probes(void)
{
	return s.ln->st->stats.tcp_port_probes;
}

/* As many as there are ports, each once. */
static void fill(unsigned int peer)
{
	bool seen[NR_PORTS] = {false};

	for (unsigned int i = 0; i < NR_PORTS; i++) {
		unsigned int port;

		assert_int_equal(to_peer(peer, &conns[peer][i]), 0);
		port = conns[peer][i]->local_port - PORT_MIN;
		assert_in_range(port, 0, NR_PORTS - 1);
		assert_false(seen[port]);
		seen[port] = true;
	}
}

static void put_all(unsigned int peer)
{
	for (unsigned int i = 0; i < NR_PORTS; i++)
		lane_tcp_put(s.ln, conns[peer][i]);
	script_flush();
	script_skip();
}

/* Free ports cost nothing; those of another peer's connections one probe each. */
static void test_connect__all_ports_to_some_peers(void **state)
{
	(void)state;
	open_narrow();
	fill(0);
	assert_int_equal(nr_probes(), 0);
	for (unsigned int peer = 1; peer < NR_PEERS; peer++) {
		uint64_t before = nr_probes();

		fill(peer);
		assert_in_range(nr_probes() - before, NR_PORTS, 2 * NR_PORTS);
	}
	for (unsigned int peer = 0; peer < NR_PEERS; peer++)
		put_all(peer);
	script_close();
}

/* That none is left is found once, and forgotten when one comes back. */
static void test_connect__the_last_free_port(void **state)
{
	struct lane_tcp *pcb;
	uint64_t before;

	(void)state;
	open_narrow();
	fill(0);
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(to_peer(0, &pcb), -EADDRNOTAVAIL);
	assert_int_equal(nr_probes(), NR_PORTS);
	for (unsigned int i = 0; i < NR_PORTS; i += 7) {
		uint16_t port = conns[0][i]->local_port;

		lane_tcp_put(s.ln, conns[0][i]);
		assert_int_equal(to_peer(0, &conns[0][i]), 0);
		assert_int_equal(conns[0][i]->local_port, port);
	}
	assert_int_equal(nr_probes(), NR_PORTS);
	/* Now it is free towards one peer only. */
	fill(1);
	lane_tcp_put(s.ln, conns[0][3]);
	before = nr_probes();
	assert_int_equal(to_peer(0, &conns[0][3]), 0);
	assert_in_range(nr_probes() - before, 1, NR_PORTS);
	assert_int_equal(to_peer(0, &pcb), -EADDRNOTAVAIL);
	put_all(0);
	put_all(1);
	script_close();
}

/* What is known of one peer is not believed of another. */
static void test_connect__full_towards_one_peer(void **state)
{
	struct lane_tcp *pcb;

	(void)state;
	open_narrow();
	fill(0);
	assert_int_equal(to_peer(0, &pcb), -EADDRNOTAVAIL);
	assert_int_equal(to_peer(1, &conns[1][0]), 0);
	assert_int_equal(to_peer(0, &pcb), -EADDRNOTAVAIL);
	/* A wider range has room. */
	s.ln->net->port_max++;
	assert_int_equal(to_peer(0, &pcb), 0);
	assert_int_equal(pcb->local_port, PORT_MIN + NR_PORTS);
	lane_tcp_put(s.ln, pcb);
	lane_tcp_put(s.ln, conns[1][0]);
	put_all(0);
	script_close();
}

/* A listener's port is not shared. */
static void test_connect__not_a_listeners_port(void **state)
{
	struct lane_ep local = {.port = PORT_MIN};
	struct lane_tcp *pcb, *l;

	(void)state;
	open_narrow();
	s.ln->net->port_max = PORT_MIN;
	l = lane_tcp_create(s.ln, 3);
	assert_int_equal(lane_tcp_listen(s.ln, l, &local, false, 1), 0);
	assert_int_equal(to_peer(0, &pcb), -EADDRNOTAVAIL);
	lane_tcp_put(s.ln, l);
	assert_int_equal(to_peer(0, &pcb), 0);
	assert_int_equal(pcb->local_port, PORT_MIN);
	lane_tcp_put(s.ln, pcb);
	script_close();
}

/* As a NIC that spreads flows over four lanes. */
static bool every_fourth(const struct lane_queue *q, const struct lane_ep *local, const struct lane_ep *remote)
{
	return (local->port + remote->port) % 4 == 1;
}

/* A connection gets a port whose flow the NIC gives to this lane, while there are such. */
static void test_connect__where_the_answers_come(void **state)
{
	const struct lane_driver *drv;
	struct lane_driver spreading;
	struct lane_tcp *pcb;
	unsigned int nr = 0;

	(void)state;
	open_narrow();
	drv = s.ln->queues[0]->drv;
	spreading = *drv;
	spreading.home = every_fourth;
	s.ln->queues[0]->drv = &spreading;
	for (; nr < NR_PORTS / 4; nr++) {
		assert_int_equal(to_peer(0, &conns[0][nr]), 0);
		assert_int_equal((conns[0][nr]->local_port + 4000) % 4, 1);
	}
	while (to_peer(0, &pcb) == 0) {
		assert_int_equal((pcb->local_port + 4000) % 4, 1);
		conns[0][nr++] = pcb;
		assert_true(nr <= NR_PORTS / 4 + 1);
	}
	s.ln->queues[0]->drv = drv;
	while (nr)
		lane_tcp_put(s.ln, conns[0][--nr]);
	script_flush();
	script_skip();
	script_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connect__all_ports_to_some_peers),
		cmocka_unit_test(test_connect__the_last_free_port),
		cmocka_unit_test(test_connect__full_towards_one_peer),
		cmocka_unit_test(test_connect__not_a_listeners_port),
		cmocka_unit_test(test_connect__where_the_answers_come),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
