/*
 * options.c - lane-echo's command line
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "echo.h"

static const char usage[] =
	"Usage: lane-echo -i IF [options]\n"
	"       lane-echo -d dpdk --eal 'OPTIONS' --address IP/LEN [options]\n"
	"Sends back what it receives over TCP (or UDP): by AF_XDP on the addresses of an interface, where the kernel\n"
	"keeps all other ports; by DPDK on addresses of its own, without ARP: both ends are told their neighbours.\n\n"
	"  -i, --interface IF  the interface (default: the one with the default route)\n"
	"  -d, --driver DRIVER xdp (default) or dpdk\n"
	"  -p, --port PORT     default 7\n"
	"  -u, --udp           UDP instead of TCP\n"
	"      --spin          never sleep\n"
	"  -h, --help          this text\n"
	"AF_XDP:\n"
	"  -m, --mode MODE     auto (default), generic or native XDP\n"
	"  -z, --zerocopy      ask for zero copy\n"
	"DPDK:\n"
	"      --eal OPTIONS   EAL's: '--vdev net_memif0,role=client,socket=/tmp/x', '-a 0000:03:00.0'; no device is\n"
	"                      touched that is not named, and hugepages are not needed\n"
	"      --name PORT     which port, when there are several\n"
	"      --mtu BYTES     default 1500\n"
	"      --address IP/LEN, --neighbour IP=MAC, --gateway IP\n"
	"                      the lane's own addresses, what is known of others\n"
	"The other end:\n"
	"      --ask IP        asks the lane-echo there, and checks the answers\n"
	"      --connections N each with one request under way; default 1\n"
	"      --request BYTES default 64\n"
	"      --requests N    in all, within --seconds S (default 10); without it as many as the time allows\n"
	"A server runs until SIGINT or SIGTERM, then tells what it counted.\n";

enum { OPT_EAL = 256, OPT_NAME, OPT_MTU, OPT_ADDRESS, OPT_NEIGHBOUR, OPT_GATEWAY, OPT_ASK, OPT_CONNECTIONS,
       OPT_REQUEST, OPT_REQUESTS, OPT_SECONDS, OPT_SPIN };

/* For tests of what older kernels lack: --without sg,tx-metadata */
static int parse_without(char *list, uint32_t *without)
{
	static const struct {
		const char *name;
		uint32_t bit;
	} features[] = {
		{"sg", LANE_XDP_F_SG},
		{"tx-metadata", LANE_XDP_F_TX_METADATA},
		{"unaligned", LANE_XDP_F_UNALIGNED},
		{"sk-lookup", LANE_XDP_F_SK_LOOKUP},
		{"syncookie", LANE_XDP_F_SYNCOOKIE},
		{"need-wakeup", LANE_XDP_F_NEED_WAKEUP},
		{"map-late", LANE_XDP_F_MAP_LATE},
		{"super-segments", LANE_XDP_F_SUPER},
	};
	size_t i, nr = sizeof(features) / sizeof(features[0]);

	for (char *w = strtok(list, ","); w; w = strtok(NULL, ",")) {
		for (i = 0; i < nr && strcmp(w, features[i].name) != 0; i++)
			;
		if (i == nr)
			return echo_fail("no such feature", w);
		*without |= features[i].bit;
	}
	return 0;
}

static int parse_mode(const char *s, enum lane_xdp_mode *mode)
{
	static const char *const names[] = {"auto", "generic", "native"};

	for (unsigned int i = 0; i < 3; i++) {
		if (strcmp(s, names[i]) == 0) {
			*mode = (enum lane_xdp_mode)i;
			return 0;
		}
	}
	return echo_fail("no such mode", s);
}

static int parse_number(const char *s, uint64_t max, uint64_t *out)
{
	char *end;
	unsigned long long v = strtoull(s, &end, 10);

	if (*end || v == 0 || v > max || *s == '-')
		return echo_fail("no such number", s);
	*out = v;
	return 0;
}

static int parse_driver(struct echo *e, const char *s)
{
	e->use_dpdk = strcmp(s, "dpdk") == 0;
	return e->use_dpdk || strcmp(s, "xdp") == 0 ? 0 : echo_fail("no such driver", s);
}

/* What has a number. */
static int set_number(struct echo *e, int c, const char *arg)
{
	static const struct {
		int c;
		uint64_t max;
	} limits[] = {{'p', 65535}, {OPT_MTU, 65535}, {OPT_CONNECTIONS, 25000}, {OPT_REQUEST, 1 << 20},
		      {OPT_SECONDS, 86400}, {OPT_REQUESTS, UINT64_MAX}};
	uint64_t v = 0;
	size_t i = 0;

	while (limits[i].c != c)
		i++;
	if (parse_number(arg, limits[i].max, &v) < 0)
		return -1;
	if (c == 'p')
		e->port = (uint16_t)v;
	else if (c == OPT_MTU)
		e->dpdk_cfg.mtu = (uint32_t)v;
	else if (c == OPT_CONNECTIONS)
		e->nr_conns = (uint32_t)v;
	else if (c == OPT_REQUEST)
		e->request = (uint32_t)v;
	else if (c == OPT_SECONDS)
		e->seconds = (uint32_t)v;
	else
		e->nr_requests = v;
	return 0;
}

/* What has an address. */
static int set_address(struct echo *e, int c, const char *arg)
{
	int r;

	if (c == OPT_ADDRESS) {
		r = lane_fixed_add_addr(&e->fixed, arg);
	} else if (c == OPT_NEIGHBOUR) {
		r = lane_fixed_add_neigh(&e->fixed, arg);
	} else if (c == OPT_GATEWAY) {
		r = lane_fixed_set_gateway(&e->fixed, arg);
	} else {
		r = lane_fixed_parse_ip(arg, &e->server.ip);
		e->ask = true;
	}
	return r < 0 ? echo_fail(arg, r == -ENOSPC ? "one too many" : "cannot be read") : 0;
}

static int set(struct echo *e, int c, char *arg)
{
	switch (c) {
	case 'i':
		snprintf(e->xdp.ifname, sizeof(e->xdp.ifname), "%s", arg);
		return 0;
	case 'd':
		return parse_driver(e, arg);
	case 'u':
		e->udp = true;
		return 0;
	case 'm':
		return parse_mode(arg, &e->xdp.mode);
	case 'z':
		e->xdp.zerocopy = LANE_XDP_TRI_ON;
		return 0;
	case 'W':
		return parse_without(arg, &e->xdp.without);
	case OPT_EAL:
		e->eal = arg;
		return 0;
	case OPT_NAME:
		e->dpdk_cfg.port = arg;
		return 0;
	case OPT_SPIN:
		e->spin = true;
		return 0;
	case OPT_ADDRESS:
	case OPT_NEIGHBOUR:
	case OPT_GATEWAY:
	case OPT_ASK:
		return set_address(e, c, arg);
	case '?':
		return -1;
	case 'h':
		return 1;
	default:
		return set_number(e, c, arg);
	}
}

int echo_parse_options(struct echo *e, int argc, char **argv)
{
	static const struct option options[] = {
		{"interface", required_argument, NULL, 'i'},
		{"driver", required_argument, NULL, 'd'},
		{"port", required_argument, NULL, 'p'},
		{"udp", no_argument, NULL, 'u'},
		{"mode", required_argument, NULL, 'm'},
		{"zerocopy", no_argument, NULL, 'z'},
		{"without", required_argument, NULL, 'W'},
		{"eal", required_argument, NULL, OPT_EAL},
		{"name", required_argument, NULL, OPT_NAME},
		{"mtu", required_argument, NULL, OPT_MTU},
		{"address", required_argument, NULL, OPT_ADDRESS},
		{"neighbour", required_argument, NULL, OPT_NEIGHBOUR},
		{"gateway", required_argument, NULL, OPT_GATEWAY},
		{"ask", required_argument, NULL, OPT_ASK},
		{"connections", required_argument, NULL, OPT_CONNECTIONS},
		{"request", required_argument, NULL, OPT_REQUEST},
		{"requests", required_argument, NULL, OPT_REQUESTS},
		{"seconds", required_argument, NULL, OPT_SECONDS},
		{"spin", no_argument, NULL, OPT_SPIN},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c, r = 0;

	while (r == 0 && (c = getopt_long(argc, argv, "i:d:p:um:zh", options, NULL)) >= 0)
		r = set(e, c, optarg);
	if (r == 1)
		fputs(usage, stdout);
	else if (r < 0 || optind < argc)
		fputs("Try: lane-echo --help\n", stderr);
	return r == 0 && optind < argc ? -1 : r;
}
