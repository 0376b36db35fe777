/*
 * keeper_help.c - a real keeper for a test
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keeper_help.h"

struct lane_settings settings;

void pause_ms(long ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

int setup(void **state)
{
	struct ifreq ifr = {.ifr_name = "lo"};
	const char *tool = getenv("LANE_TOOL");
	char err[KEEPER_ERR];
	int fd;

	(void)state;
	if (!tool || access(tool, X_OK) || geteuid() != 0 || unshare(CLONE_NEWNET))
		return 0;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr))
		return -1;
	close(fd);
	lane_settings_default(&settings);
	lane_settings_set(&settings, LANE_SET_IF, "lo", LANE_FROM_OPTION, err);
	lane_settings_set(&settings, LANE_SET_MEMORY, "16M", LANE_FROM_OPTION, err);
	return 0;
}

void need_keeper(void)
{
	if (!settings.ifname[0])
		skip();
}

void join(struct shim_view *v)
{
	char err[KEEPER_ERR] = "";
	enum shim_fallback why;
	int r = keeper_join(&settings, v, &why, err);

	if (r)
		print_error("join: %d %s\n", r, err);
	assert_int_equal(r, 0);
}

bool keeper_is_gone(void)
{
	char err[KEEPER_ERR];
	int fd, i;

	for (i = 0; i < 500; i++) {
		fd = keeper_connect(settings.ifname, err);
		if (fd == -ECONNREFUSED)
			return true;
		if (fd >= 0)
			close(fd);
		pause_ms(10);
	}
	return false;
}

/* Waits until the rows that are in use are 'rows'. */
bool rows_become(const struct shim_view *v, uint64_t rows)
{
	int i;

	for (i = 0; i < 500; i++) {
		if (v->a->live_rows[0] == rows)
			return true;
		pause_ms(10);
	}
	return false;
}

void kill_and_wait(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

void leave(struct shim_view *v)
{
	shim_arena_unmap(v);
}
