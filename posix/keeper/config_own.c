/*
 * config_own.c - settings of own-address mode: driver, address, gateway, dhcp, eal
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "config.h"

static const char *const driver_names[] = {"xdp", "tap", "dpdk", NULL};
static const char *const switch_names[] = {"off", "on", NULL};

static int name_index(const char *const names[], const char *value)
{
	int i;

	for (i = 0; names[i]; i++)
		if (!strcmp(names[i], value))
			return i;
	return -1;
}

/* An address of either family of 'len' characters. */
static bool parse_ip(const char *p, size_t len, struct lane_ip *ip)
{
	char text[INET6_ADDRSTRLEN];
	uint8_t raw[16];

	if (len >= sizeof(text))
		return false;
	memcpy(text, p, len);
	text[len] = 0;
	if (inet_pton(AF_INET, text, raw) == 1) {
		uint32_t be;

		memcpy(&be, raw, sizeof(be));
		*ip = lane_ip4(be);
		return true;
	}
	if (inet_pton(AF_INET6, text, raw) != 1)
		return false;
	*ip = lane_ip6(raw);
	return true;
}

/* "10.0.0.2/24" */
static bool parse_addr(const char *p, size_t len, struct lane_lwip_addr *a)
{
	const char *slash = memchr(p, '/', len);
	char *end;
	unsigned long n;

	if (!slash || !parse_ip(p, (size_t)(slash - p), &a->ip) || slash[1] < '0' || slash[1] > '9')
		return false;
	n = strtoul(slash + 1, &end, 10);
	a->plen = (uint8_t)n;
	return end == p + len && n <= (lane_ip_is4(&a->ip) ? 32 : 128);
}

int lane_config_driver(struct lane_settings *s, const char *value, char *err)
{
	int i = name_index(driver_names, value);

	if (i < 0)
		return lane_config_fail(err, "driver: xdp, tap or dpdk", value);
	s->driver = i;
	return 0;
}

int lane_config_address(struct lane_settings *s, const char *value, char *err)
{
	struct lane_lwip_addr addr[LANE_LWIP_ADDRS];
	const char *p = value;
	uint32_t nr = 0;
	size_t len;

	if (strlen(value) >= sizeof(s->address))
		return lane_config_fail(err, "address: more than 255 characters", value);
	while (*p) {
		p += strspn(p, ", ");
		len = strcspn(p, ", ");
		if (len && (nr == LANE_LWIP_ADDRS || !parse_addr(p, len, &addr[nr++])))
			return lane_config_fail(err, "address: a list like 10.0.0.2/24,fd00::2/64",
						value);
		p += len;
	}
	memcpy(s->own.addr, addr, nr * sizeof(addr[0]));
	s->own.nr_addrs = nr;
	snprintf(s->address, sizeof(s->address), "%s", value);
	return 0;
}

int lane_config_gateway(struct lane_settings *s, const char *value, char *err)
{
	struct lane_ip gw4 = {.d = {0, 0}}, gw6 = gw4, ip;
	const char *p = value;
	size_t len;

	if (strlen(value) >= sizeof(s->gateway))
		return lane_config_fail(err, "gateway: more than 127 characters", value);
	while (*p) {
		p += strspn(p, ", ");
		len = strcspn(p, ", ");
		if (len && !parse_ip(p, len, &ip))
			return lane_config_fail(err, "gateway: 10.0.0.1, fd00::1 or both", value);
		if (len && lane_ip_is4(&ip))
			gw4 = ip;
		else if (len)
			gw6 = ip;
		p += len;
	}
	s->own.gw4 = gw4;
	s->own.gw6 = gw6;
	snprintf(s->gateway, sizeof(s->gateway), "%s", value);
	return 0;
}

int lane_config_dhcp(struct lane_settings *s, const char *value, char *err)
{
	int i = name_index(switch_names, value);

	if (i < 0)
		return lane_config_fail(err, "dhcp: on or off", value);
	s->own.dhcp = i;
	return 0;
}

int lane_config_eal(struct lane_settings *s, const char *value, char *err)
{
	if (strlen(value) >= sizeof(s->eal))
		return lane_config_fail(err, "eal: more than 255 characters", value);
	if (strchr(value, '\n'))
		return lane_config_fail(err, "eal: one line of options", value);
	snprintf(s->eal, sizeof(s->eal), "%s", value);
	return 0;
}

/* Options that name a device, with what may stand between them and the name. */
static const char *device_of(const char *word)
{
	static const char *const names[] = {"--vdev", "--allow", "-a"};
	size_t i, len;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		len = strlen(names[i]);
		if (strncmp(word, names[i], len) != 0)
			continue;
		word += len;
		return word + strspn(word, "= \t");
	}
	return NULL;
}

void lane_config_eal_device(const char *eal, char name[16])
{
	const char *device = NULL;

	name[0] = 0;
	while (*eal && !device) {
		eal += strspn(eal, " \t");
		device = device_of(eal);
		eal += strcspn(eal, " \t");
	}
	if (device)
		snprintf(name, 16, "%.*s", (int)strcspn(device, ", \t"), device);
}

void lane_config_own_get(const struct lane_settings *s, enum lane_setting which, char *out,
			 size_t size)
{
	if (which == LANE_SET_DRIVER)
		snprintf(out, size, "%s", driver_names[s->driver]);
	else if (which == LANE_SET_ADDRESS)
		snprintf(out, size, "%s", s->address);
	else if (which == LANE_SET_GATEWAY)
		snprintf(out, size, "%s", s->gateway);
	else if (which == LANE_SET_DHCP)
		snprintf(out, size, "%s", switch_names[s->own.dhcp]);
	else if (which == LANE_SET_EAL)
		snprintf(out, size, "%s", s->eal);
}

/* Appends an address, with its prefix length if that is not negative. */
static void put_ip(char out[LANE_OWN_TEXT], const char *before, const struct lane_ip *ip, int plen)
{
	bool is4 = lane_ip_is4(ip);
	char text[INET6_ADDRSTRLEN];
	size_t n = strlen(out);

	inet_ntop(is4 ? AF_INET : AF_INET6, is4 ? ip->b + 12 : ip->b, text, sizeof(text));
	if (plen < 0)
		snprintf(out + n, LANE_OWN_TEXT - n, "%s%s", before, text);
	else
		snprintf(out + n, LANE_OWN_TEXT - n, "%s%s/%d", before, text, plen);
}

void lane_settings_own_text(const struct lane_settings *s, char out[LANE_OWN_TEXT])
{
	const struct lane_ip *gw[] = {&s->own.gw4, &s->own.gw6};

	memset(out, 0, LANE_OWN_TEXT);
	if (!lane_settings_own(s)) {
		snprintf(out, LANE_OWN_TEXT, "the kernel's");
		return;
	}
	for (uint32_t i = 0; i < s->own.nr_addrs; i++)
		put_ip(out, i ? "," : "", &s->own.addr[i].ip, s->own.addr[i].plen);
	if (s->own.dhcp)
		snprintf(out + strlen(out), LANE_OWN_TEXT - strlen(out), out[0] ? " by dhcp" : "by dhcp");
	for (unsigned int i = 0; i < 2; i++)
		if (!lane_ip_is_any(gw[i]))
			put_ip(out, " gateway ", gw[i], -1);
}

bool lane_settings_own(const struct lane_settings *s)
{
	return s->driver != LANE_DEV_XDP || s->own.nr_addrs || s->own.dhcp;
}
