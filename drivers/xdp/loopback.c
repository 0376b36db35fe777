/*
 * loopback.c - the two settings without which kernel programs on 127.0.0.1 hear no lane on lo
 *
 * What a lane sends enters the kernel on lo as if from outside, and a source or destination in
 * 127/8 there is a martian (facts.md G). Both settings concern only frames that arrive on lo.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "dev.h"

/* 1: written, 0: it was so already, or -errno. */
static int set_one(const char *path)
{
	char c = '0';
	int fd = open(path, O_RDONLY | O_CLOEXEC), r = 1;

	if (fd < 0)
		return -errno;
	if (read(fd, &c, 1) < 0)
		r = -errno;
	close(fd);
	if (r < 0 || c == '1')
		return r < 0 ? r : 0;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, "1\n", 2) < 0)
		r = -errno;
	close(fd);
	return r;
}

int lane_xdp_loopback_settings(char *text)
{
	static const char *const names[] = {"route_localnet", "accept_local"};
	int nr = 0, r;
	char path[64];

	text[0] = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/lo/%s", names[i]);
		r = set_one(path);
		if (r < 0)
			return lane_xdp_fail(
				text, r,
				"kernel programs on 127.0.0.1 will not hear the lane: cannot set "
				"net.ipv4.conf.lo.%s=1: %s",
				names[i], strerror(-r));
		nr += r;
	}
	if (nr > 0)
		lane_xdp_fail(text, 0,
			      "set net.ipv4.conf.lo.route_localnet=1 and "
			      "net.ipv4.conf.lo.accept_local=1: kernel "
			      "programs on 127.0.0.1 need them to hear the lane");
	return nr;
}
