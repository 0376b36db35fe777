/*
 * ready_test.c - tests of posix/ready.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_lane.h"

#define IN   (EPOLLIN | EPOLLRDNORM)
#define OUT  (EPOLLOUT | EPOLLWRNORM)
#define DEAD (IN | OUT | EPOLLRDHUP | EPOLLHUP)

static int setup(void **state)
{
	fake_reset();
	return 0;
}

/* The mask of a TCP sock in status 'st'. */
static uint32_t tcp_mask(enum shim_sock_kind kind, unsigned int flags, struct lane_tcp_status st)
{
	uint32_t i;

	fake_reset();
	i = fake_sock(kind, 0);
	fake.socks[i].flags = (uint16_t)flags;
	fake.tcp[0] = st;
	return shim_sock_mask(&fake.view, &fake.socks[i], UINT32_MAX);
}

#define TCP(...)      tcp_mask(SHIM_SOCK_TCP, 0, (struct lane_tcp_status){__VA_ARGS__})
#define LISTENER(...) tcp_mask(SHIM_SOCK_LISTENER, 0, (struct lane_tcp_status){__VA_ARGS__})

static void test_mask__listener(void **state)
{
	assert_int_equal(LISTENER(.state = LANE_TCP_LISTEN), 0);
	assert_int_equal(LISTENER(.state = LANE_TCP_LISTEN, .nr_accept = 2), IN);
	/* after shutdown(SHUT_RD), posix.md 72 */
	assert_int_equal(LISTENER(.state = LANE_TCP_CLOSED), OUT | EPOLLHUP);
}

static void test_mask__connecting(void **state)
{
	assert_int_equal(TCP(.state = LANE_TCP_SYN_SENT), 0);
	/* refused, posix.md 68: with the error, and when it was read */
	assert_int_equal(TCP(.state = LANE_TCP_CLOSED, .err = 111), DEAD | EPOLLERR);
	assert_int_equal(TCP(.state = LANE_TCP_CLOSED), DEAD);
	/* connect(AF_UNSPEC) */
	assert_int_equal(
		tcp_mask(SHIM_SOCK_TCP, SHIM_SOCK_UNCONNECTED, (struct lane_tcp_status){0}),
		OUT | EPOLLHUP);
}

/* Room is looked for, and waited for, only on behalf of who asks. */
static void test_mask__room_is_for_who_asks(void **state)
{
	uint32_t i;

	fake_reset();
	i = fake_sock(SHIM_SOCK_TCP, 0);
	fake.tcp[0] = (struct lane_tcp_status){.state = LANE_TCP_ESTABLISHED, .rcv_queued = 1, .writable = true};
	assert_int_equal(shim_sock_mask(&fake.view, &fake.socks[i], EPOLLIN), IN);
	assert_int_equal(shim_sock_mask(&fake.view, &fake.socks[i], EPOLLIN | EPOLLOUT), IN | OUT);
	fake.tcp[0].writable = false;
	assert_int_equal(shim_sock_mask(&fake.view, &fake.socks[i], EPOLLIN), IN);
	assert_int_equal(fake.nr_want_space, 0);
	assert_int_equal(shim_sock_mask(&fake.view, &fake.socks[i], EPOLLOUT), IN);
	assert_int_equal(fake.nr_want_space, 1);
}

static void test_mask__connected(void **state)
{
	assert_int_equal(TCP(.state = LANE_TCP_ESTABLISHED), 0);
	assert_int_equal(TCP(.state = LANE_TCP_ESTABLISHED, .writable = true), OUT);
	assert_int_equal(TCP(.state = LANE_TCP_ESTABLISHED, .writable = true, .rcv_queued = 1),
			 IN | OUT);
	assert_int_equal(TCP(.state = LANE_TCP_ESTABLISHED, .urgent = true), EPOLLPRI);
}

static void test_mask__tells_later_whom_it_refuses(void **state)
{
	TCP(.state = LANE_TCP_ESTABLISHED, .writable = true);
	assert_int_equal(fake.nr_want_space, 0);
	TCP(.state = LANE_TCP_SYN_SENT);
	assert_int_equal(fake.nr_want_space, 0);
	TCP(.state = LANE_TCP_FIN_WAIT_1, .wr_shut = true);
	assert_int_equal(fake.nr_want_space, 0);
	/* The limit shrank since the last write, which had fitted: poll(POLLOUT) slept for ever. */
	TCP(.state = LANE_TCP_ESTABLISHED);
	assert_int_equal(fake.nr_want_space, 1);
	TCP(.state = LANE_TCP_CLOSE_WAIT, .peer_fin = true);
	assert_int_equal(fake.nr_want_space, 1);
}

static void test_mask__urgent(void **state)
{
	/* the urgent byte alone is PRI, not IN; with text before or behind it, both (posix.md 78). The
	 * engine leaves the byte out of rcv_queued where a read skips it. */
	assert_int_equal(TCP(.state = LANE_TCP_ESTABLISHED, .urgent = true, .at_mark = true),
			 EPOLLPRI);
	assert_int_equal(TCP(.state = LANE_TCP_ESTABLISHED, .urgent = true, .at_mark = true,
			     .rcv_queued = 1),
			 IN | EPOLLPRI);
	assert_int_equal(TCP(.state = LANE_TCP_ESTABLISHED, .urgent = true, .rcv_queued = 1),
			 IN | EPOLLPRI);
}

static void test_mask__half_closed(void **state)
{
	assert_int_equal(TCP(.state = LANE_TCP_CLOSE_WAIT, .peer_fin = true, .writable = true),
			 IN | OUT | EPOLLRDHUP);
	/* shutdown(SHUT_RD): IN|RDHUP, posix.md 77 */
	assert_int_equal(TCP(.state = LANE_TCP_ESTABLISHED, .rd_shut = true), IN | EPOLLRDHUP);
	/* shutdown(SHUT_WR): a write would not block, it fails */
	assert_int_equal(TCP(.state = LANE_TCP_FIN_WAIT_1, .wr_shut = true), OUT);
	assert_int_equal(TCP(.state = LANE_TCP_LAST_ACK, .peer_fin = true, .wr_shut = true), DEAD);
	assert_int_equal(TCP(.state = LANE_TCP_TIME_WAIT, .peer_fin = true, .wr_shut = true), DEAD);
}

static void test_mask__reset(void **state)
{
	assert_int_equal(TCP(.state = LANE_TCP_CLOSED, .was_connected = true, .err = 104),
			 DEAD | EPOLLERR);
}

static void test_mask__datagram(void **state)
{
	uint32_t i = fake_sock(SHIM_SOCK_UDP, 0);
	struct shim_sock *s = &fake.socks[i];

	assert_int_equal(shim_sock_mask(&fake.view, s, UINT32_MAX), OUT | EPOLLWRBAND);
	fake.udp_queued = 1;
	assert_int_equal(shim_sock_mask(&fake.view, s, UINT32_MAX), IN | OUT | EPOLLWRBAND);
	fake.udp_queued = 0;
	fake.udp_err = 111;
	assert_int_equal(shim_sock_mask(&fake.view, s, UINT32_MAX), OUT | EPOLLWRBAND | EPOLLERR);
	fake.udp_err = 0;
	s->flags = SHIM_SOCK_RD_SHUT | SHIM_SOCK_WR_SHUT;
	assert_int_equal(shim_sock_mask(&fake.view, s, UINT32_MAX), DEAD | EPOLLWRBAND);
}

static uint32_t watch(uint32_t sock, uint32_t ep, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.u64 = sock};

	assert_int_equal(shim_watch_add(&fake.view, sock, ep, (int)sock, &ev), 0);
	return shim_watch_find(&fake.view, sock, ep, (int)sock);
}

static void test_notify__wakes_sleepers_once(void **state)
{
	uint32_t s = fake_sock(SHIM_SOCK_TCP, 0);

	fake.tcp[0].state = LANE_TCP_ESTABLISHED;
	fake.socks[s].wait_rows = 5;
	shim_sock_notify(&fake.view, s, EPOLLIN);
	assert_int_equal(fake.view.wakes, 5);
	assert_int_equal(fake.socks[s].wait_rows, 0);
	assert_int_equal(fake.socks[s].edges, 1);
}

static void test_notify__only_what_is_asked_for(void **state)
{
	uint32_t s = fake_sock(SHIM_SOCK_TCP, 0), ep = fake_ep();

	fake.tcp[0].state = LANE_TCP_ESTABLISHED;
	watch(s, ep, EPOLLOUT | EPOLLET);
	shim_sock_notify(&fake.view, s, EPOLLIN);
	assert_int_equal(fake.eps[ep].nr_ready, 0);
	shim_sock_notify(&fake.view, s, EPOLLERR);
	assert_int_equal(fake.eps[ep].nr_ready, 1);
}

static void test_notify__all_sets_without_exclusive(void **state)
{
	uint32_t s = fake_sock(SHIM_SOCK_LISTENER, 0), a = fake_ep(), b = fake_ep();

	fake.tcp[0].state = LANE_TCP_LISTEN;
	watch(s, a, EPOLLIN);
	watch(s, b, EPOLLIN);
	fake.eps[a].wait_rows = 1;
	fake.eps[b].wait_rows = 2;
	shim_sock_notify(&fake.view, s, EPOLLIN);
	assert_int_equal(fake.view.wakes, 3);
}

static void test_notify__one_sleeper_with_exclusive(void **state)
{
	uint32_t s = fake_sock(SHIM_SOCK_LISTENER, 0), a = fake_ep(), b = fake_ep(), c = fake_ep();

	fake.tcp[0].state = LANE_TCP_LISTEN;
	watch(s, a, EPOLLIN | EPOLLEXCLUSIVE);
	watch(s, b, EPOLLIN | EPOLLEXCLUSIVE);
	watch(s, c, EPOLLIN | EPOLLEXCLUSIVE);
	/* nobody sleeps on c: the next one is woken, and only one */
	fake.eps[a].wait_rows = 1;
	fake.eps[b].wait_rows = 2;
	shim_sock_notify(&fake.view, s, EPOLLIN);
	assert_true(fake.view.wakes == 1 || fake.view.wakes == 2);
	/* but all find it when they look */
	assert_int_equal(fake.eps[a].nr_ready + fake.eps[b].nr_ready + fake.eps[c].nr_ready, 3);
}

static void test_drain__ignores_former_use(void **state)
{
	uint32_t s = fake_sock(SHIM_SOCK_TCP, 0);
	uint64_t cookie = shim_sock_cookie(s, fake.socks[s].generation);

	fake.events[0] = (struct lane_event){.cookie = cookie, .events = LANE_EV_READABLE};
	fake.events[1] =
		(struct lane_event){.cookie = cookie - (1ULL << 32), .events = LANE_EV_READABLE};
	fake.events[2] = (struct lane_event){.cookie = UINT64_MAX, .events = LANE_EV_ERROR};
	fake.nr_events = 3;
	shim_drain(&fake.view);
	assert_int_equal(fake.nr_events, 0);
	assert_int_equal(fake.socks[s].edges, 1);
}

static void test_release__closes_with_the_last_row(void **state)
{
	uint32_t s = fake_sock(SHIM_SOCK_TCP, 0), ep = fake_ep();

	fake.socks[s].rows = 3;
	watch(s, ep, EPOLLIN);
	shim_sock_release(&fake.view, s, 0);
	assert_int_equal(fake.nr_put, 0);
	assert_non_null(shim_sock_at(&fake.view, s));
	shim_sock_release(&fake.view, s, 1);
	assert_int_equal(fake.nr_put, 1);
	assert_null(shim_sock_at(&fake.view, s));
	assert_int_equal(fake.eps[ep].watches, LANE_NIL);
	assert_int_equal(fake.arena.nr_watches_used, 0);
}

static void test_release__linger_zero_resets(void **state)
{
	uint32_t s = fake_sock(SHIM_SOCK_TCP, 0);

	fake.socks[s].flags = SHIM_SOCK_LINGER;
	shim_sock_release(&fake.view, s, 0);
	assert_int_equal(fake.nr_abort, 1);
	assert_int_equal(fake.nr_put, 0);
}

static void test_release__a_listener_waits_for_its_successor(void **state)
{
	uint32_t s = fake_sock(SHIM_SOCK_LISTENER, 0);

	fake.socks[s].exec_until_us = 100;
	shim_sock_release(&fake.view, s, 0);
	assert_non_null(shim_sock_at(&fake.view, s));
	assert_int_equal(fake.arena.nr_exec_held, 1);
	shim_exec_expire(&fake.view);
	assert_int_equal(fake.nr_put, 0);
	/* nobody came */
	fake.now_us = 100;
	shim_exec_expire(&fake.view);
	assert_int_equal(fake.nr_put, 1);
	assert_null(shim_sock_at(&fake.view, s));
	assert_int_equal(fake.arena.nr_exec_held, 0);
}

static void test_row_release__all_that_it_held(void **state)
{
	uint32_t mine = fake_sock(SHIM_SOCK_TCP, 0), shared = fake_sock(SHIM_SOCK_TCP, 1);
	uint32_t ep = fake_ep();

	fake.socks[shared].rows = 3;
	fake.arena.live_rows[0] = 3;
	fake.arena.nr_waiting = 5;
	fake.arena.row[0].nr_waiting = 2;
	watch(mine, ep, EPOLLIN);
	watch(shared, ep, EPOLLIN);
	shim_row_release(&fake.view, 0);
	assert_null(shim_sock_at(&fake.view, mine));
	assert_non_null(shim_sock_at(&fake.view, shared));
	assert_null(shim_ep_at(&fake.view, ep));
	assert_int_equal(fake.socks[shared].watches, LANE_NIL);
	assert_int_equal(fake.arena.live_rows[0], 2);
	assert_int_equal(fake.arena.nr_waiting, 3);
	assert_int_equal(fake.nr_put, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_mask__listener, setup),
		cmocka_unit_test_setup(test_mask__connecting, setup),
		cmocka_unit_test_setup(test_mask__connected, setup),
		cmocka_unit_test_setup(test_mask__room_is_for_who_asks, setup),
		cmocka_unit_test_setup(test_mask__tells_later_whom_it_refuses, setup),
		cmocka_unit_test_setup(test_mask__urgent, setup),
		cmocka_unit_test_setup(test_mask__half_closed, setup),
		cmocka_unit_test_setup(test_mask__reset, setup),
		cmocka_unit_test_setup(test_mask__datagram, setup),
		cmocka_unit_test_setup(test_notify__wakes_sleepers_once, setup),
		cmocka_unit_test_setup(test_notify__only_what_is_asked_for, setup),
		cmocka_unit_test_setup(test_notify__all_sets_without_exclusive, setup),
		cmocka_unit_test_setup(test_notify__one_sleeper_with_exclusive, setup),
		cmocka_unit_test_setup(test_drain__ignores_former_use, setup),
		cmocka_unit_test_setup(test_release__closes_with_the_last_row, setup),
		cmocka_unit_test_setup(test_release__linger_zero_resets, setup),
		cmocka_unit_test_setup(test_release__a_listener_waits_for_its_successor, setup),
		cmocka_unit_test_setup(test_row_release__all_that_it_held, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
