/*
 * msg_test.c - posix/keeper/msg.c: what somebody sends who is not as he should be
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "posix/keeper/proto.h"

#define MANY (KEEPER_FDS_MAX + 16)

static int end[2];
static struct {
	int fds[KEEPER_FDS_MAX], behind[16];
} got;

static int setup(void **state)
{
	(void)state;
	memset(&got, 0xee, sizeof(got));
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, end);
}

static int teardown(void **state)
{
	(void)state;
	close(end[0]);
	close(end[1]);
	return 0;
}

static unsigned int nr_open(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Sends 'len' bytes of a message that says 'said' descriptors, with 'n'. */
static void send_raw(size_t len, uint32_t said, unsigned int n)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(MANY * sizeof(int))] = {0};
	struct keeper_msg m;
	struct iovec iov = {.iov_base = &m, .iov_len = len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c = (struct cmsghdr *)control;

	keeper_msg_init(&m, KEEPER_JOIN, "lane0");
	memset(m.error, 'e', sizeof(m.error));
	memset(m.ifname, 'i', sizeof(m.ifname));
	m.nr_fds = said;
	if (n) {
		mh.msg_control = control;
		mh.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		for (unsigned int i = 0; i < n; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &end[0], sizeof(int));
	}
	assert_int_equal(sendmsg(end[0], &mh, 0), len);
}

static void test_recv__texts_end(void **state)
{
	struct keeper_msg m;

	(void)state;
	send_raw(sizeof(m), 2, 2);
	assert_int_equal(keeper_recv(end[1], &m, got.fds), 2);
	assert_int_equal(strlen(m.error), sizeof(m.error) - 1);
	assert_int_equal(strlen(m.ifname), sizeof(m.ifname) - 1);
	keeper_close_fds(got.fds, 2);
}

static void test_recv__not_what_it_says(void **state)
{
	unsigned int before = nr_open();
	struct keeper_msg m;

	(void)state;
	send_raw(sizeof(m), 3, 2);
	assert_int_equal(keeper_recv(end[1], &m, got.fds), -EBADMSG);
	send_raw(sizeof(m) - 1, 2, 2);
	assert_int_equal(keeper_recv(end[1], &m, got.fds), -EBADMSG);
	send_raw(1, UINT32_MAX, 0);
	assert_int_equal(keeper_recv(end[1], &m, got.fds), -EBADMSG);
	assert_int_equal(nr_open(), before);
}

/* More than anybody sends, and none of them stays or lies behind the array. */
static void test_recv__too_many(void **state)
{
	unsigned int before = nr_open();
	struct keeper_msg m;

	(void)state;
	for (unsigned int n = KEEPER_FDS_MAX + 1; n <= MANY; n++) {
		send_raw(sizeof(m), n, n);
		assert_int_equal(keeper_recv(end[1], &m, got.fds), -EBADMSG);
	}
	for (unsigned int i = 0; i < 16; i++)
		assert_int_equal((uint32_t)got.behind[i], 0xeeeeeeee);
	assert_int_equal(nr_open(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_recv__texts_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recv__not_what_it_says, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recv__too_many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
