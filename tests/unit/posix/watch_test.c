/*
 * watch_test.c - tests of posix/watch.c: what epoll_ctl(2) and epoll_wait(2) do to ready lists
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_lane.h"

static struct epoll_event out[16];

static int setup(void **state)
{
	fake_reset();
	for (int i = 0; i < FAKE_NR; i++)
		fake.tcp[i].state = LANE_TCP_ESTABLISHED;
	return 0;
}

static struct epoll_event event(uint32_t events, uint64_t data)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};

	return ev;
}

static int add(uint32_t sock, uint32_t ep, int fd, uint32_t events)
{
	struct epoll_event ev = event(events, (uint64_t)fd);

	return shim_watch_add(&fake.view, sock, ep, fd, &ev);
}

static int collect(uint32_t ep, int max)
{
	return shim_ep_collect(&fake.view, ep, out, max);
}

/* One more byte arrives on pcb 'i', which is sock 'i' too. */
static void arrive(uint32_t i)
{
	fake.tcp[i].rcv_queued++;
	shim_sock_notify(&fake.view, i, EPOLLIN | EPOLLRDNORM);
}

static void test_add__ready_at_once(void **state)
{
	uint32_t s = fake_sock(SHIM_SOCK_TCP, 0), ep = fake_ep();

	fake.tcp[0].rcv_queued = 1;
	fake.eps[ep].wait_rows = 4;
	assert_int_equal(add(s, ep, 7, EPOLLIN | EPOLLET), 0);
	assert_int_equal(fake.view.wakes, 4);
	assert_int_equal(collect(ep, 16), 1);
	assert_int_equal(out[0].events, EPOLLIN);
	assert_int_equal(out[0].data.u64, 7);
}

static void test_add__twice(void **state)
{
	uint32_t s = fake_sock(SHIM_SOCK_TCP, 0), ep = fake_ep(), other = fake_ep();

	assert_int_equal(add(s, ep, 7, EPOLLIN), 0);
	assert_int_equal(add(s, ep, 7, EPOLLIN), -EEXIST);
	/* a dup under another number, and another set, are registrations of their own */
	assert_int_equal(add(s, ep, 8, EPOLLIN), 0);
	assert_int_equal(add(s, other, 7, EPOLLIN), 0);
	arrive(s);
	assert_int_equal(collect(ep, 16), 2);
	assert_int_equal(collect(other, 16), 1);
}

static void test_add__table_full(void **state)
{
	uint32_t s = fake_sock(SHIM_SOCK_TCP, 0), ep = fake_ep();

	for (int fd = 0; fd < 4 * FAKE_NR; fd++)
		assert_int_equal(add(s, ep, fd, EPOLLIN), 0);
	assert_int_equal(add(s, ep, 99, EPOLLIN), -ENOSPC);
	shim_ep_unwatch(&fake.view, ep);
	assert_int_equal(fake.arena.nr_watches_used, 0);
	assert_int_equal(add(s, ep, 99, EPOLLIN), 0);
}

static void test_collect__level_stays_while_ready(void **state)
{
	uint32_t s = fake_sock(SHIM_SOCK_TCP, 0), ep = fake_ep();

	add(s, ep, 7, EPOLLIN);
	arrive(s);
	assert_int_equal(collect(ep, 16), 1);
	assert_int_equal(collect(ep, 16), 1);
	fake.tcp[0].rcv_queued = 0;
	assert_int_equal(collect(ep, 16), 0);
	assert_int_equal(fake.eps[ep].nr_ready_hint, 0);
}

static void test_collect__edge_on_each_arrival(void **state)
{
	uint32_t s = fake_sock(SHIM_SOCK_TCP, 0), ep = fake_ep();

	add(s, ep, 7, EPOLLIN | EPOLLOUT | EPOLLET);
	arrive(s);
	assert_int_equal(collect(ep, 16), 1);
	assert_int_equal(collect(ep, 16), 0);
	/* unread, and one more comes: an edge again, with all that holds (posix.md 20) */
	fake.tcp[0].writable = true;
	arrive(s);
	assert_int_equal(collect(ep, 16), 1);
	assert_int_equal(out[0].events, EPOLLIN | EPOLLOUT);
}

static void test_collect__oneshot_until_mod(void **state)
{
	uint32_t s = fake_sock(SHIM_SOCK_TCP, 0), ep = fake_ep();
	struct epoll_event ev = event(EPOLLIN | EPOLLONESHOT, 9);

	add(s, ep, 7, EPOLLIN | EPOLLONESHOT);
	arrive(s);
	assert_int_equal(collect(ep, 16), 1);
	arrive(s);
	assert_int_equal(collect(ep, 16), 0);
	/* MOD of a fired one reports at once if it is ready (posix.md 85) */
	shim_watch_mod(&fake.view, shim_watch_find(&fake.view, s, ep, 7), &ev);
	assert_int_equal(collect(ep, 16), 1);
	assert_int_equal(out[0].data.u64, 9);
}

static void test_collect__hup_without_being_asked(void **state)
{
	uint32_t s = fake_sock(SHIM_SOCK_TCP, 0), ep = fake_ep();

	add(s, ep, 7, 0);
	fake.tcp[0].state = LANE_TCP_CLOSED;
	fake.tcp[0].err = 104;
	shim_sock_notify(&fake.view, s, UINT32_MAX);
	assert_int_equal(collect(ep, 16), 1);
	assert_int_equal(out[0].events, EPOLLERR | EPOLLHUP);
}

static void test_collect__round_robin(void **state)
{
	uint32_t ep = fake_ep(), s[4];
	unsigned int seen = 0;

	for (int i = 0; i < 4; i++) {
		s[i] = fake_sock(SHIM_SOCK_TCP, (uint32_t)i);
		add(s[i], ep, i, EPOLLIN);
		arrive(s[i]);
	}
	/* with room for one, each of four has its turn */
	for (int i = 0; i < 4; i++) {
		assert_int_equal(collect(ep, 1), 1);
		seen |= 1U << out[0].data.u64;
	}
	assert_int_equal(seen, 15);
	assert_int_equal(collect(ep, 3), 3);
}

static void test_del__leaves_all_lists(void **state)
{
	uint32_t ep = fake_ep(), s[3];

	for (int i = 0; i < 3; i++) {
		s[i] = fake_sock(SHIM_SOCK_TCP, (uint32_t)i);
		add(s[i], ep, i, EPOLLIN);
		arrive(s[i]);
	}
	shim_watch_del(&fake.view, shim_watch_find(&fake.view, s[1], ep, 1));
	assert_int_equal(shim_watch_find(&fake.view, s[1], ep, 1), LANE_NIL);
	assert_int_equal(collect(ep, 16), 2);
	assert_int_equal(out[0].data.u64, 0);
	assert_int_equal(out[1].data.u64, 2);
	shim_sock_release(&fake.view, s[0], 0);
	shim_sock_release(&fake.view, s[2], 0);
	assert_int_equal(collect(ep, 16), 0);
	assert_int_equal(fake.eps[ep].watches, LANE_NIL);
	assert_int_equal(fake.eps[ep].ready_head, LANE_NIL);
	assert_int_equal(fake.eps[ep].ready_tail, LANE_NIL);
}

static void test_is_ready__drops_what_is_not(void **state)
{
	uint32_t s = fake_sock(SHIM_SOCK_TCP, 0), ep = fake_ep();

	add(s, ep, 7, EPOLLIN);
	arrive(s);
	assert_true(shim_ep_is_ready(&fake.view, ep));
	fake.tcp[0].rcv_queued = 0;
	assert_false(shim_ep_is_ready(&fake.view, ep));
	assert_int_equal(fake.eps[ep].nr_ready, 0);
}

static void test_wake__nested_tells_all_members(void **state)
{
	uint32_t s = fake_sock(SHIM_SOCK_TCP, 0), ep = fake_ep();

	fake.eps[ep].rows = 6;
	fake.eps[ep].nested = 1;
	add(s, ep, 7, EPOLLIN);
	arrive(s);
	assert_int_equal(fake.view.wakes, 6);
}

/* Another member may have written anything into the lists: no walk goes on for ever. */
static void test_damaged__walks_end(void **state)
{
	uint32_t s = fake_sock(SHIM_SOCK_TCP, 0), ep = fake_ep(), a, b;

	(void)state;
	fake.tcp[0].rcv_queued = 1;
	assert_int_equal(add(s, ep, 7, EPOLLIN), 0);
	assert_int_equal(add(s, ep, 8, EPOLLIN), 0);
	a = shim_watch_find(&fake.view, s, ep, 7);
	b = shim_watch_find(&fake.view, s, ep, 8);
	fake.view.watches[b].sock_next = b;
	assert_int_equal(shim_watch_find(&fake.view, s, ep, 7), LANE_NIL);
	shim_sock_notify(&fake.view, s, EPOLLIN);
	/* Each stands before the other on the ready list, of which there are very many. */
	fake.view.watches[a].ready_prev = b;
	fake.view.watches[b].ready_prev = a;
	fake.eps[ep].nr_ready = UINT32_MAX;
	assert_in_range(collect(ep, 16), 0, 16);
	fake.tcp[0].rcv_queued = 0;
	fake.eps[ep].nr_ready = UINT32_MAX;
	fake.eps[ep].ready_head = a;
	fake.view.watches[a].ready_prev = b;
	shim_ep_is_ready(&fake.view, ep);
	shim_watch_del(&fake.view, a);
	shim_sock_release(&fake.view, s, 0);
	shim_ep_release(&fake.view, ep, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_add__ready_at_once, setup),
		cmocka_unit_test_setup(test_add__twice, setup),
		cmocka_unit_test_setup(test_add__table_full, setup),
		cmocka_unit_test_setup(test_collect__level_stays_while_ready, setup),
		cmocka_unit_test_setup(test_collect__edge_on_each_arrival, setup),
		cmocka_unit_test_setup(test_collect__oneshot_until_mod, setup),
		cmocka_unit_test_setup(test_collect__hup_without_being_asked, setup),
		cmocka_unit_test_setup(test_collect__round_robin, setup),
		cmocka_unit_test_setup(test_del__leaves_all_lists, setup),
		cmocka_unit_test_setup(test_is_ready__drops_what_is_not, setup),
		cmocka_unit_test_setup(test_wake__nested_tells_all_members, setup),
		cmocka_unit_test_setup(test_damaged__walks_end, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
