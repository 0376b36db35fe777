/*
 * loopback.c - the settings of lo with which its kernel programs and a lane hear each other
 *
 * What a lane sends enters the kernel on lo as if from outside, and a source or destination in
 * 127/8 there is a martian (facts.md G): two settings, which concern only frames that arrive on lo.
 * Datagrams that the kernel sends with UDP_SEGMENT stay joined on lo, and XDP is not told how long each is:
 * with tx-udp-segmentation off they are cut before.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
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

#define FEATURES_MAX 256 /* kernels have about 70 */
#define WORDS	     (FEATURES_MAX / 32)

static int ethtool(int fd, void *data)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_data = data};

	return ioctl(fd, SIOCETHTOOL, &ifr);
}

/* The number of the feature, -1: this kernel has none, or too many. */
static int find_feature(int fd, const char *name)
{
	union {
		struct ethtool_sset_info head;
		uint8_t room[sizeof(struct ethtool_sset_info) + sizeof(uint32_t)];
	} set = {.head = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << ETH_SS_FEATURES}};
	union {
		struct ethtool_gstrings head;
		uint8_t room[sizeof(struct ethtool_gstrings) + FEATURES_MAX * ETH_GSTRING_LEN];
	} all = {.head = {.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES}};
	uint32_t nr;

	if (ethtool(fd, &set) < 0)
		return -1;
	nr = set.head.data[0];
	if (nr > FEATURES_MAX)
		return -1;
	all.head.len = nr;
	if (ethtool(fd, &all) < 0)
		return -1;
	for (uint32_t i = 0; i < nr; i++) {
		if (!strncmp((char *)all.head.data + i * ETH_GSTRING_LEN, name, ETH_GSTRING_LEN))
			return (int)i;
	}
	return -1;
}

/* True when it was on, and is off now. */
static bool switch_off(int fd, const char *name)
{
	union {
		struct ethtool_gfeatures head;
		uint8_t room[sizeof(struct ethtool_gfeatures) + WORDS * sizeof(struct ethtool_get_features_block)];
	} have = {.head = {.cmd = ETHTOOL_GFEATURES, .size = WORDS}};
	union {
		struct ethtool_sfeatures head;
		uint8_t room[sizeof(struct ethtool_sfeatures) + WORDS * sizeof(struct ethtool_set_features_block)];
	} want;
	int i = find_feature(fd, name);
	uint32_t bit = 1u << (i & 31);

	if (i < 0 || ethtool(fd, &have) < 0 || !(have.head.features[i / 32].active & bit))
		return false;
	memset(&want, 0, sizeof(want));
	want.head.cmd = ETHTOOL_SFEATURES;
	want.head.size = have.head.size;
	want.head.features[i / 32].valid = bit;
	return ethtool(fd, &want) == 0;
}

static bool segmentation_off(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool changed = fd >= 0 && switch_off(fd, "tx-udp-segmentation");

	if (fd >= 0)
		close(fd);
	return changed;
}

int lane_xdp_loopback_settings(char *text)
{
	static const char *const names[] = {"route_localnet", "accept_local"};
	int nr = 0, r;
	char path[64];

	text[0] = 0;
	nr += segmentation_off();
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
			      "set net.ipv4.conf.lo.route_localnet=1, net.ipv4.conf.lo.accept_local=1 and "
			      "tx-udp-segmentation off on lo: kernel programs on 127.0.0.1 need them to "
			      "talk with the lane");
	return nr;
}
