/*
 * claims_test.c - drivers/xdp/xdp.bpf.c: which frames it would send to the lane
 *
 * The kernel runs the program on frames made here (BPF_PROG_TEST_RUN) in a network namespace of
 * our own. No XSK is bound, so a frame meant for the lane passes, too, but counts as 'no_socket'.
 * Skipped where the program cannot be loaded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "frame.h"
#include "drivers/xdp/queue.h"
#include <xdp.bpf.skel.h>

#define SKIP_CODE 77
#define PORT      80

static struct lane_xdp_bpf *bpf;
static struct lane_xdp_claims *claims;

static uint64_t counter(enum lane_xdp_counter what)
{
	uint64_t sum = 0;

	for (int i = 0; i < LANE_XDP_CPUS; i++)
		sum += claims->counter[i].n[what];
	return sum;
}

/* True when the program would send it to the lane. */
static bool to_lane(const struct frame *f)
{
	uint64_t before = counter(LANE_XDP_C_no_socket);
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->b, .data_size_in = (uint32_t)f->len,
		    .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(bpf->progs.lane_xdp), &opts), 0);
	assert_int_equal(opts.retval, XDP_PASS);
	return counter(LANE_XDP_C_no_socket) > before;
}

static void claim(unsigned int proto, unsigned int port, uint32_t any, uint32_t listen)
{
	claims->claim[proto][port] = (struct lane_xdp_claim){any, listen};
}

static void set_addr(unsigned int slot, const void *ip, size_t len, uint32_t last_mask)
{
	struct lane_xdp_addr *a = &claims->addr[slot];

	memset(a, 0, sizeof(*a));
	memset(a->mask, 0xff, sizeof(a->mask));
	if (len == 4)
		a->ip[2] = htonl(0xffff);
	memcpy((uint8_t *)a->ip + 16 - len, ip, len);
	a->mask[3] = htonl(last_mask);
	claims->addr_used |= 1u << slot;
}

/* Slot 3 is our4, slot 31 our6; a TCP listener and a UDP socket on PORT. */
static int setup(void **state)
{
	memset(claims, 0, sizeof(*claims));
	memcpy(claims->mac, our_mac, 6);
	set_addr(3, our4, 4, UINT32_MAX);
	set_addr(31, our6, 16, UINT32_MAX);
	claim(LANE_XDP_TCP, PORT, UINT32_MAX, UINT32_MAX);
	claim(LANE_XDP_UDP, PORT, UINT32_MAX, 0);
	return 0;
}

static void test_tcp4__claimed_port_only(void **state)
{
	struct frame f = tcp4(PORT, SYN);

	assert_true(to_lane(&f));
	f = tcp4(PORT, ACK);
	assert_true(to_lane(&f));
	f = tcp4(PORT + 1, SYN);
	assert_false(to_lane(&f));
	claim(LANE_XDP_TCP, PORT, 0, 0);
	f = tcp4(PORT, SYN);
	assert_false(to_lane(&f));
}

static void test_tcp4__syn_asks_listen_the_rest_asks_any(void **state)
{
	struct frame syn = tcp4(PORT, SYN), ack = tcp4(PORT, ACK), synack = tcp4(PORT, SYN | ACK);

	claim(LANE_XDP_TCP, PORT, 1u << 3, 0);
	assert_false(to_lane(&syn));
	assert_true(to_lane(&ack));
	assert_true(to_lane(&synack));
	claim(LANE_XDP_TCP, PORT, 0, 1u << 3);
	assert_true(to_lane(&syn));
	assert_false(to_lane(&ack));
}

static void test_tcp4__masks_name_addresses(void **state)
{
	struct frame f = tcp4(PORT, SYN);

	claim(LANE_XDP_TCP, PORT, UINT32_MAX, ~(1u << 3));
	assert_false(to_lane(&f));
	claims->addr_used &= ~(1u << 3);
	claim(LANE_XDP_TCP, PORT, UINT32_MAX, UINT32_MAX);
	assert_false(to_lane(&f));
}

static void test_address__foreign_passes(void **state)
{
	struct frame f = eth(our_mac, 0x0800);

	ip4(&f, IPPROTO_TCP, peer4, other4, 0, 0);
	tcp(&f, 5555, PORT, SYN);
	assert_false(to_lane(&f));
}

static void test_address__whole_prefix(void **state)
{
	static const uint8_t net[4] = {127, 0, 0, 0}, in[4] = {127, 1, 2, 3},
			     out[4] = {126, 0, 0, 1};
	struct frame f = eth(our_mac, 0x0800);

	set_addr(0, net, 4, 0xff000000);
	ip4(&f, IPPROTO_TCP, peer4, in, 0, 0);
	tcp(&f, 5555, PORT, SYN);
	assert_true(to_lane(&f));
	f = eth(our_mac, 0x0800);
	ip4(&f, IPPROTO_TCP, peer4, out, 0, 0);
	tcp(&f, 5555, PORT, SYN);
	assert_false(to_lane(&f));
}

static void test_mac__foreign_passes_but_on_lo(void **state)
{
	struct frame f = eth(peer_mac, 0x0800);

	ip4(&f, IPPROTO_TCP, peer4, our4, 0, 0);
	tcp(&f, 5555, PORT, SYN);
	assert_false(to_lane(&f));
	claims->loopback = 1;
	assert_true(to_lane(&f));
}

static void test_vlan__priority_tag_only(void **state)
{
	struct frame f = eth(our_mac, 0x8100);

	put16(&f, 0xe000); /* priority 7, VLAN 0 */
	put16(&f, 0x0800);
	ip4(&f, IPPROTO_TCP, peer4, our4, 0, 0);
	tcp(&f, 5555, PORT, SYN);
	assert_true(to_lane(&f));
	f.b[15] = 5;
	assert_false(to_lane(&f));
}

static void test_ip4__options(void **state)
{
	for (unsigned int n = 4; n <= 40; n += 4) {
		struct frame f = eth(our_mac, 0x0800);

		ip4(&f, IPPROTO_TCP, peer4, our4, n, 0);
		tcp(&f, 5555, PORT, SYN);
		assert_true(to_lane(&f));
	}
}

static void test_ip6__tcp_and_udp(void **state)
{
	struct frame f = eth(our_mac, 0x86dd);

	ip6(&f, IPPROTO_TCP, peer6, our6);
	tcp(&f, 5555, PORT, SYN);
	assert_true(to_lane(&f));
	f = eth(our_mac, 0x86dd);
	ip6(&f, IPPROTO_UDP, peer6, our6);
	udp(&f, 5555, PORT);
	assert_true(to_lane(&f));
	f = eth(our_mac, 0x86dd);
	ip6(&f, IPPROTO_UDP, peer6, peer6);
	udp(&f, 5555, PORT);
	assert_false(to_lane(&f));
}

static void test_ip6__extension_headers(void **state)
{
	static const uint8_t body[22];
	struct frame f = eth(our_mac, 0x86dd);

	ip6(&f, IPPROTO_HOPOPTS, peer6, our6);
	put8(&f, 51); /* 8 bytes, then an AH: its length counts words, less 2 */
	put8(&f, 0);
	put(&f, body, 6);
	put8(&f, IPPROTO_DSTOPTS);
	put8(&f, 4);
	put(&f, body, 22);
	put8(&f, IPPROTO_TCP);
	put8(&f, 1); /* 16 bytes */
	put(&f, body, 14);
	tcp(&f, 5555, PORT, SYN);
	assert_true(to_lane(&f));
}

static void test_ip6__too_many_headers_pass(void **state)
{
	struct frame f = eth(our_mac, 0x86dd);

	ip6(&f, IPPROTO_DSTOPTS, peer6, our6);
	for (int i = 0; i < 12; i++) {
		put8(&f, i == 11 ? IPPROTO_TCP : IPPROTO_DSTOPTS);
		put8(&f, 0);
		put16(&f, 0);
		put32(&f, 0);
	}
	tcp(&f, 5555, PORT, SYN);
	assert_false(to_lane(&f));
}

static void test_udp__by_any(void **state)
{
	struct frame f = eth(our_mac, 0x0800);

	ip4(&f, IPPROTO_UDP, peer4, our4, 0, 0);
	udp(&f, 5555, PORT);
	assert_true(to_lane(&f));
	claim(LANE_XDP_UDP, PORT, 0, UINT32_MAX);
	assert_false(to_lane(&f));
}

static void test_udp__joined_passes(void **state)
{
	struct frame f = eth(our_mac, 0x0800);

	ip4(&f, IPPROTO_UDP, peer4, our4, 0, 0);
	udp(&f, 5555, PORT); /* 20 + 16 bytes */
	claims->mtu = 36;
	assert_true(to_lane(&f));
	claims->mtu = 35;
	assert_false(to_lane(&f));
	assert_int_equal(counter(LANE_XDP_C_udp_joined), 1);
}

static void test_udp__fragments_pass(void **state)
{
	struct frame f = eth(our_mac, 0x0800);

	ip4(&f, IPPROTO_UDP, peer4, our4, 0, 0x2000);
	udp(&f, 5555, PORT);
	assert_false(to_lane(&f));
	assert_int_equal(counter(LANE_XDP_C_udp_fragments), 1);
	f = eth(our_mac, 0x0800);
	ip4(&f, IPPROTO_UDP, peer4, our4, 0, 0x0010);
	udp(&f, 5555, PORT);
	assert_false(to_lane(&f));
}

static struct frame tcp4_fragment(unsigned int dport, unsigned int frag, unsigned int id)
{
	struct frame f = eth(our_mac, 0x0800);

	ip4(&f, IPPROTO_TCP, peer4, our4, 0, frag);
	f.b[18] = (uint8_t)(id >> 8);
	f.b[19] = (uint8_t)id;
	tcp(&f, 5555, dport, ACK);
	return f;
}

static void test_tcp__later_fragments_follow_the_first(void **state)
{
	struct frame later = tcp4_fragment(PORT, 0x0010, 1), first = tcp4_fragment(PORT, 0x2000, 1);

	assert_false(to_lane(&later));
	assert_true(to_lane(&first));
	assert_true(to_lane(&later));
	/* of a datagram whose first fragment is the kernel's */
	first = tcp4_fragment(PORT + 1, 0x2000, 2);
	later = tcp4_fragment(PORT, 0x0010, 2);
	assert_false(to_lane(&first));
	assert_false(to_lane(&later));
}

static void test_tcp6__fragments(void **state)
{
	struct frame f[2];

	for (unsigned int i = 0; i < 2; i++) {
		f[i] = eth(our_mac, 0x86dd);
		ip6(&f[i], IPPROTO_FRAGMENT, peer6, our6);
		put8(&f[i], IPPROTO_TCP);
		put8(&f[i], 0);
		put16(&f[i], i == 0 ? 1 : 0x20);
		put32(&f[i], 99);
		tcp(&f[i], 5555, PORT, ACK);
	}
	assert_false(to_lane(&f[1]));
	assert_true(to_lane(&f[0]));
	assert_true(to_lane(&f[1]));
}

static struct frame icmp4(unsigned int type, unsigned int proto, unsigned int sport,
			  const uint8_t *quoted_src)
{
	struct frame f = eth(our_mac, 0x0800);

	ip4(&f, IPPROTO_ICMP, other4, our4, 0, 0);
	put8(&f, type);
	put8(&f, 4);
	put16(&f, 0);
	put32(&f, 1400);
	ip4(&f, proto, quoted_src, peer4, 8, 0);
	put16(&f, sport);
	put16(&f, 5555);
	put32(&f, 1000);
	return f;
}

static void test_icmp4__by_the_quoted_source_port(void **state)
{
	static const unsigned int errors[] = {3, 11, 12};
	struct frame f;

	for (unsigned int i = 0; i < 3; i++) {
		f = icmp4(errors[i], IPPROTO_TCP, PORT, our4);
		assert_true(to_lane(&f));
		f = icmp4(errors[i], IPPROTO_UDP, PORT, our4);
		assert_true(to_lane(&f));
	}
	f = icmp4(3, IPPROTO_TCP, PORT + 1, our4);
	assert_false(to_lane(&f));
	f = icmp4(3, IPPROTO_TCP, PORT, other4);
	assert_false(to_lane(&f));
	f = icmp4(8, IPPROTO_TCP, PORT, our4); /* an echo request that looks so */
	assert_false(to_lane(&f));
	assert_int_equal(counter(LANE_XDP_C_icmp_errors), 6);
}

static void test_icmp6__by_the_quoted_source_port(void **state)
{
	struct frame f = eth(our_mac, 0x86dd);

	ip6(&f, IPPROTO_ICMPV6, peer6, our6);
	put8(&f, 2); /* packet too big */
	put8(&f, 0);
	put16(&f, 0);
	put32(&f, 1280);
	ip6(&f, IPPROTO_TCP, our6, peer6);
	tcp(&f, PORT, 5555, ACK);
	assert_true(to_lane(&f));
	f.b[54] = 128;
	assert_false(to_lane(&f));
}

static void test_short__every_length_passes_or_is_whole(void **state)
{
	struct frame whole = tcp4(PORT, SYN), f = whole;

	/* The kernel takes no frame that is shorter than Ethernet's header. */
	for (f.len = 14; f.len < whole.len; f.len++)
		assert_false(to_lane(&f));
}

/* ---- the kernel's own connections ---- */

/* Kernel TCP between 127.0.0.1 ports; the frames carry these addresses on "lo". */
struct kernel_pair {
	int listener, client, server;
	uint16_t lport, cport;
};

static uint16_t port_of(int fd)
{
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	return ntohs(sa.sin_port);
}

static void kernel_pair_open(struct kernel_pair *k)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};

	k->listener = socket(AF_INET, SOCK_STREAM, 0);
	k->client = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(k->listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(k->listener, 5), 0);
	k->lport = port_of(k->listener);
	sa.sin_port = htons(k->lport);
	assert_int_equal(connect(k->client, (struct sockaddr *)&sa, sizeof(sa)), 0);
	k->server = accept(k->listener, NULL, NULL);
	k->cport = port_of(k->client);
}

static struct frame lo_frame(unsigned int sport, unsigned int dport, unsigned int flags)
{
	static const uint8_t lo[4] = {127, 0, 0, 1};
	struct frame f = eth(our_mac, 0x0800);

	ip4(&f, IPPROTO_TCP, lo, lo, 0, 0);
	tcp(&f, sport, dport, flags);
	return f;
}

static void test_kernel__keeps_its_connections_not_its_listeners(void **state)
{
	static const uint8_t lo[4] = {127, 0, 0, 1};
	struct kernel_pair k;
	struct frame f;

	kernel_pair_open(&k);
	set_addr(0, lo, 4, UINT32_MAX);
	claim(LANE_XDP_TCP, k.lport, UINT32_MAX, UINT32_MAX);
	f = lo_frame(k.cport, k.lport, ACK); /* established */
	assert_false(to_lane(&f));
	assert_int_equal(counter(LANE_XDP_C_kernel_conn), 1);
	f = lo_frame((uint16_t)(k.cport ^ 1), k.lport, SYN); /* only the listener matches */
	assert_true(to_lane(&f));
	f = lo_frame((uint16_t)(k.cport ^ 1), k.lport, ACK);
	assert_true(to_lane(&f));
	/* the client leaves, FIN_WAIT_2 of the orphan stays the kernel's */
	close(k.client);
	f = lo_frame(k.lport, k.cport, ACK);
	claim(LANE_XDP_TCP, k.cport, UINT32_MAX, UINT32_MAX);
	assert_false(to_lane(&f));
	close(k.server);
	close(k.listener);
}

/* ---- flows, as the driver enters them ---- */

static struct lane_ep ep(const void *ip, size_t len, uint16_t port)
{
	struct lane_ep e = {.port = port};

	if (len == 4)
		e.ip.w[2] = htonl(0xffff);
	memcpy((uint8_t *)e.ip.w + 16 - len, ip, len);
	return e;
}

static void enter_flow(const struct lane_ep *local, const struct lane_ep *remote, bool on)
{
	struct lane_xdp_queue q = {.claims = claims};

	lane_xdp_driver.flow(&q.q, local, remote, on);
}

static void test_flow__comes_before_the_kernels_connection(void **state)
{
	static const uint8_t lo[4] = {127, 0, 0, 1};
	struct lane_ep local, remote;
	struct kernel_pair k;
	struct frame f;

	kernel_pair_open(&k);
	set_addr(0, lo, 4, UINT32_MAX);
	claim(LANE_XDP_TCP, k.lport, UINT32_MAX, 0);
	local = ep(lo, 4, k.lport);
	remote = ep(lo, 4, k.cport);
	f = lo_frame(k.cport, k.lport, ACK);
	assert_false(to_lane(&f));
	enter_flow(&local, &remote, true);
	assert_true(to_lane(&f));
	enter_flow(&remote, &local, false); /* another one */
	assert_true(to_lane(&f));
	f = lo_frame(k.cport, k.lport, SYN); /* one to challenge */
	assert_true(to_lane(&f));
	claim(LANE_XDP_TCP, k.lport, UINT32_MAX, UINT32_MAX); /* is asked of listeners */
	assert_false(to_lane(&f));
	claim(LANE_XDP_TCP, k.lport, UINT32_MAX, 0);
	f = lo_frame(k.cport, k.lport, ACK);
	enter_flow(&local, &remote, false);
	assert_false(to_lane(&f));
	enter_flow(&local, &remote, true);
	claim(LANE_XDP_TCP, k.lport, 0, 0); /* a port that is not claimed any more */
	assert_false(to_lane(&f));
	claim(LANE_XDP_TCP, k.lport, UINT32_MAX, 0);
	assert_true(to_lane(&f));
	enter_flow(NULL, NULL, false); /* all of them */
	assert_false(to_lane(&f));
	close(k.client);
	close(k.server);
	close(k.listener);
}

static void test_flow__ip6(void **state)
{
	struct lane_ep local = ep(our6, 16, PORT), remote = ep(peer6, 16, 5555);
	struct frame f = eth(our_mac, 0x86dd);

	ip6(&f, IPPROTO_TCP, peer6, our6);
	tcp(&f, 5555, PORT, ACK);
	claims->addr_used = 0; /* a flow's address is not asked for */
	assert_false(to_lane(&f));
	enter_flow(&local, &remote, true);
	assert_true(to_lane(&f));
	f.b[14 + 8 + 15] ^= 1; /* another peer */
	assert_false(to_lane(&f));
}

/* ---- */

/* A namespace of our own with lo up, so that nothing of the machine's is met. */
static int enter_namespace(void)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd, r;

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	r = ioctl(fd, SIOCSIFFLAGS, &ifr);
	close(fd);
	return r;
}

static int load(void)
{
	bpf = lane_xdp_bpf__open();
	if (!bpf)
		return -1;
	/* the variant for one buffer: a test run needs no more */
	bpf_program__set_autoload(bpf->progs.lane_xdp_sg, false);
	bpf->rodata->lane_switches = LANE_XDP_PROG_SK_LOOKUP | LANE_XDP_PROG_SYNCOOKIE;
	if (lane_xdp_bpf__load(bpf) < 0)
		return -1;
	claims = &bpf->bss->lane_claims;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_tcp4__claimed_port_only, setup),
		cmocka_unit_test_setup(test_tcp4__syn_asks_listen_the_rest_asks_any, setup),
		cmocka_unit_test_setup(test_tcp4__masks_name_addresses, setup),
		cmocka_unit_test_setup(test_address__foreign_passes, setup),
		cmocka_unit_test_setup(test_address__whole_prefix, setup),
		cmocka_unit_test_setup(test_mac__foreign_passes_but_on_lo, setup),
		cmocka_unit_test_setup(test_vlan__priority_tag_only, setup),
		cmocka_unit_test_setup(test_ip4__options, setup),
		cmocka_unit_test_setup(test_ip6__tcp_and_udp, setup),
		cmocka_unit_test_setup(test_ip6__extension_headers, setup),
		cmocka_unit_test_setup(test_ip6__too_many_headers_pass, setup),
		cmocka_unit_test_setup(test_udp__by_any, setup),
		cmocka_unit_test_setup(test_udp__joined_passes, setup),
		cmocka_unit_test_setup(test_udp__fragments_pass, setup),
		cmocka_unit_test_setup(test_tcp__later_fragments_follow_the_first, setup),
		cmocka_unit_test_setup(test_tcp6__fragments, setup),
		cmocka_unit_test_setup(test_icmp4__by_the_quoted_source_port, setup),
		cmocka_unit_test_setup(test_icmp6__by_the_quoted_source_port, setup),
		cmocka_unit_test_setup(test_short__every_length_passes_or_is_whole, setup),
		cmocka_unit_test_setup(test_kernel__keeps_its_connections_not_its_listeners, setup),
		cmocka_unit_test_setup(test_flow__comes_before_the_kernels_connection, setup),
		cmocka_unit_test_setup(test_flow__ip6, setup),
	};
	int r;

	if (enter_namespace() < 0 || load() < 0) {
		fprintf(stderr, "cannot make a namespace and load an XDP program here: %s\n",
			strerror(errno));
		return SKIP_CODE;
	}
	r = cmocka_run_group_tests(tests, NULL, NULL);
	lane_xdp_bpf__destroy(bpf);
	return r;
}
