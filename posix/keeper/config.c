/*
 * config.c - settings: lane.conf, the environment, options of the lane tool
 *
 * Later ones win: default, file, environment, option. The file is "key = value" lines, # starts a
 * comment; an unknown key or a bad value is an error that names file and line. It is read
 * without stdio, since the shim reads it before a program's own constructors have run.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config.h"
#include "lane-int/tcp_info.h"

#define CONFIG_ERR        256
#define CONFIG_FILE_MAX   16384
#define CONFIG_MEMORY_MIN ((uint64_t)8 << 20)
#define CONFIG_MEMORY_MAX ((uint64_t)64 << 30)

/* The budget of spinning before a wait sleeps, where spin_us is not set, by profile. */
static const uint32_t profile_spin_us[] = {20, 1000000, 0};

static const char *const profile_names[] = {"default", "latency", "throughput", NULL};
static const char *const mode_names[] = {"auto", "generic", "native", NULL};
static const char *const tri_names[] = {"auto", "off", "on", NULL};
/* In the order of LANE_XDP_F_* */
static const char *const feature_names[] = {"sg",        "tx-metadata", "map-late",  "need-wakeup",
					    "sk-lookup", "syncookie",   "unaligned", "busy-poll",
					    "zerocopy",  "super-segments", NULL};

static const struct {
	const char *name, *env;
} settings[LANE_NR_SETTINGS] = {
	[LANE_SET_IF] = {"if", "LANE_IF"},
	[LANE_SET_MEMORY] = {"memory", "LANE_MEMORY"},
	[LANE_SET_SPIN_US] = {"spin_us", "LANE_SPIN_US"},
	[LANE_SET_PROFILE] = {"profile", "LANE_PROFILE"},
	[LANE_SET_MODE] = {"mode", "LANE_MODE"},
	[LANE_SET_ZEROCOPY] = {"zerocopy", "LANE_ZEROCOPY"},
	[LANE_SET_WITHOUT] = {"without", "LANE_WITHOUT"},
	[LANE_SET_PORTS] = {"ports", "LANE_PORTS"},
	[LANE_SET_CONGESTION] = {"congestion", "LANE_CONGESTION"},
	[LANE_SET_DRIVER] = {"driver", "LANE_DRIVER"},
	[LANE_SET_ADDRESS] = {"address", "LANE_ADDRESS"},
	[LANE_SET_GATEWAY] = {"gateway", "LANE_GATEWAY"},
	[LANE_SET_DHCP] = {"dhcp", "LANE_DHCP"},
	[LANE_SET_EAL] = {"eal", "LANE_EAL"},
};

const char *lane_setting_name(enum lane_setting which)
{
	return (unsigned int)which < LANE_NR_SETTINGS ? settings[which].name : NULL;
}

const char *lane_setting_env(enum lane_setting which)
{
	return (unsigned int)which < LANE_NR_SETTINGS ? settings[which].env : NULL;
}

const char *lane_settings_path(void)
{
	const char *path = getenv("LANE_CONF");

	return path && *path ? path : "/etc/lane.conf";
}

int lane_config_fail(char *err, const char *what, const char *value)
{
	snprintf(err, CONFIG_ERR, "%s: '%.100s'", what, value);
	return -EINVAL;
}

/* The index of 'len' characters in a list of names, -1: none. */
static int name_index(const char *const names[], const char *value, size_t len)
{
	int i;

	for (i = 0; names[i]; i++) {
		if (strlen(names[i]) == len && memcmp(names[i], value, len) == 0)
			return i;
	}
	return -1;
}

/* Adds the interface of 'len' characters to ifs[], unless it is there. 0, or what is wrong. */
static const char *add_if(char ifs[][16], uint32_t *nr, const char *name, size_t len)
{
	char one[IFNAMSIZ];
	uint32_t i;

	snprintf(one, sizeof(one), "%.*s", (int)len, name);
	if (len >= IFNAMSIZ || strpbrk(one, "/ \t:") || !strcmp(one, ".") || !strcmp(one, ".."))
		return "if: no name of an interface";
	for (i = 0; i < *nr; i++) {
		if (!strcmp(ifs[i], one))
			return NULL;
	}
	if (*nr == LANE_IFS_MAX)
		return "if: more than 4 interfaces";
	memcpy(ifs[(*nr)++], one, sizeof(one));
	return NULL;
}

/* "eth0" or a list, "eth0,lo". */
static int set_if(struct lane_settings *s, const char *value, char *err)
{
	char ifs[LANE_IFS_MAX][16] = {""};
	const char *p = value, *why;
	uint32_t nr = 0;
	size_t len;

	while (*p) {
		p += strspn(p, ", \t");
		len = strcspn(p, ", \t");
		why = len ? add_if(ifs, &nr, p, len) : NULL;
		if (why)
			return lane_config_fail(err, why, value);
		p += len;
	}
	s->nr_ifs = nr;
	memcpy(s->ifs, ifs, sizeof(s->ifs));
	memcpy(s->ifname, ifs[0], sizeof(s->ifname));
	memcpy(s->xdp.ifname, ifs[0], sizeof(s->xdp.ifname));
	return 0;
}

static void get_ifs(const struct lane_settings *s, char *out, size_t size)
{
	size_t len = 0;
	uint32_t i;

	out[0] = 0;
	for (i = 0; i < s->nr_ifs && len < size; i++)
		len += (size_t)snprintf(out + len, size - len, "%s%s", i ? "," : "", s->ifs[i]);
}

static int set_memory(struct lane_settings *s, const char *value, char *err)
{
	static const char suffix[] = "KMG";
	char *end;
	uint64_t n;

	errno = 0;
	n = strtoull(value, &end, 10);
	if (end == value || *value == '-' || errno)
		return lane_config_fail(err, "memory: not a number of bytes (K, M and G may follow)", value);
	if (*end && strchr(suffix, *end)) {
		n <<= 10 * (strchr(suffix, *end) - suffix + 1);
		end++;
	}
	if (*end || n < CONFIG_MEMORY_MIN || n > CONFIG_MEMORY_MAX)
		return lane_config_fail(err, "memory: from 8M to 64G", value);
	s->memory = (size_t)n;
	return 0;
}

static int set_spin(struct lane_settings *s, const char *value, char *err)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (end == value || *end || *value == '-' || errno || n > 10000000)
		return lane_config_fail(err, "spin_us: from 0 to 10000000 microseconds", value);
	s->spin_us = (uint32_t)n;
	return 0;
}

static int set_profile(struct lane_settings *s, const char *value, char *err)
{
	int i = name_index(profile_names, value, strlen(value));

	if (i < 0)
		return lane_config_fail(err, "profile: default, latency or throughput", value);
	s->profile = i;
	if (s->from[LANE_SET_SPIN_US] == LANE_FROM_DEFAULT)
		s->spin_us = profile_spin_us[i];
	return 0;
}

static int set_mode(struct lane_settings *s, const char *value, char *err)
{
	int i = name_index(mode_names, value, strlen(value));

	if (i < 0)
		return lane_config_fail(err, "mode: auto, generic or native", value);
	s->xdp.mode = (enum lane_xdp_mode)i;
	return 0;
}

static int set_zerocopy(struct lane_settings *s, const char *value, char *err)
{
	int i = name_index(tri_names, value, strlen(value));

	if (i < 0)
		return lane_config_fail(err, "zerocopy: auto, on or off", value);
	s->xdp.zerocopy = (enum lane_xdp_tri)i;
	return 0;
}

static int set_without(struct lane_settings *s, const char *value, char *err)
{
	uint32_t mask = 0;
	const char *p = value;

	while (*p) {
		size_t len = strcspn(p, ",");
		int i = name_index(feature_names, p, len);

		if (i < 0)
			return lane_config_fail(err,
				    "without: a list of sg, tx-metadata, map-late, need-wakeup, "
				    "sk-lookup, syncookie, unaligned, busy-poll, zerocopy, super-segments",
				    value);
		mask |= 1u << i;
		p += len;
		p += *p == ',';
	}
	s->xdp.without = mask;
	return 0;
}

/* One "80" or "8000-8100" at *p, which moves behind it and a comma. False: neither. */
static bool parse_range(const char **p, unsigned long *lo, unsigned long *hi)
{
	char *end;

	if (**p < '0' || **p > '9')
		return false;
	*lo = *hi = strtoul(*p, &end, 10);
	if (*end == '-' && end[1] >= '0' && end[1] <= '9')
		*hi = strtoul(end + 1, &end, 10);
	if (*lo > *hi || *hi > 65535 || (*end && (*end != ',' || !end[1])))
		return false;
	*p = end + (*end == ',');
	return true;
}

static int set_ports(struct lane_settings *s, const char *value, char *err)
{
	unsigned long lo, hi;
	const char *p = value;

	if (strlen(value) >= sizeof(s->ports))
		return lane_config_fail(err, "ports: more than 127 characters", value);
	while (*p) {
		if (!parse_range(&p, &lo, &hi))
			return lane_config_fail(err, "ports: a list like 80,443,8000-8100", value);
	}
	snprintf(s->ports, sizeof(s->ports), "%s", value);
	return 0;
}

bool lane_settings_port_ok(const struct lane_settings *s, uint16_t port)
{
	const char *p = s->ports;
	unsigned long lo, hi;

	while (*p && parse_range(&p, &lo, &hi)) {
		if (port >= lo && port <= hi)
			return true;
	}
	return !s->ports[0];
}

static int set_congestion(struct lane_settings *s, const char *value, char *err)
{
	if (*value && lane_cc_find(value) < 0)
		return lane_config_fail(err, "congestion: cubic, reno, dctcp or bbr", value);
	snprintf(s->congestion, sizeof(s->congestion), "%s", value);
	return 0;
}

int lane_settings_set(struct lane_settings *s, enum lane_setting which, const char *value,
		      enum lane_setting_from from, char *err)
{
	static int (*const set[LANE_NR_SETTINGS])(struct lane_settings *, const char *, char *) = {
		[LANE_SET_IF] = set_if,           [LANE_SET_MEMORY] = set_memory,
		[LANE_SET_SPIN_US] = set_spin,    [LANE_SET_PROFILE] = set_profile,
		[LANE_SET_MODE] = set_mode,       [LANE_SET_ZEROCOPY] = set_zerocopy,
		[LANE_SET_WITHOUT] = set_without, [LANE_SET_PORTS] = set_ports,
		[LANE_SET_CONGESTION] = set_congestion,
		[LANE_SET_DRIVER] = lane_config_driver, [LANE_SET_ADDRESS] = lane_config_address,
		[LANE_SET_GATEWAY] = lane_config_gateway, [LANE_SET_DHCP] = lane_config_dhcp,
		[LANE_SET_EAL] = lane_config_eal,
	};
	int r = set[which](s, value, err);

	if (!r)
		s->from[which] = (uint8_t)from;
	return r;
}

static void get_without(uint32_t mask, char *out, size_t size)
{
	size_t len = 0;
	int i;

	out[0] = 0;
	for (i = 0; feature_names[i]; i++) {
		if (mask & 1u << i && len < size)
			len += (size_t)snprintf(out + len, size - len, "%s%s", len ? "," : "",
						feature_names[i]);
	}
}

void lane_settings_get(const struct lane_settings *s, enum lane_setting which, char *out,
		       size_t size)
{
	switch (which) {
	case LANE_SET_IF:
		get_ifs(s, out, size);
		break;
	case LANE_SET_MEMORY:
		snprintf(out, size, "%zu", s->memory);
		break;
	case LANE_SET_SPIN_US:
		snprintf(out, size, "%u", s->spin_us);
		break;
	case LANE_SET_PROFILE:
		snprintf(out, size, "%s", profile_names[s->profile]);
		break;
	case LANE_SET_MODE:
		snprintf(out, size, "%s", mode_names[s->xdp.mode]);
		break;
	case LANE_SET_ZEROCOPY:
		snprintf(out, size, "%s", tri_names[s->xdp.zerocopy]);
		break;
	case LANE_SET_WITHOUT:
		get_without(s->xdp.without, out, size);
		break;
	case LANE_SET_PORTS:
		snprintf(out, size, "%s", s->ports);
		break;
	case LANE_SET_CONGESTION:
		snprintf(out, size, "%s", s->congestion);
		break;
	default:
		lane_config_own_get(s, which, out, size);
		break;
	}
}

void lane_settings_default(struct lane_settings *s)
{
	memset(s, 0, sizeof(*s));
	s->memory = (size_t)64 << 20;
	s->spin_us = profile_spin_us[0];
}

/* The text without spaces around it; writes into the line. */
static char *trim(char *p)
{
	char *end;

	p += strspn(p, " \t\r");
	end = p + strlen(p);
	while (end > p && strchr(" \t\r", end[-1]))
		*--end = 0;
	return p;
}

/* One line of lane.conf: 0, or -EINVAL with what is wrong. */
static int parse_line(struct lane_settings *s, char *line, uint16_t nr, char *err)
{
	char *value, *key;
	int i;

	line[strcspn(line, "#")] = 0;
	key = trim(line);
	if (!*key)
		return 0;
	value = strchr(key, '=');
	if (!value)
		return lane_config_fail(err, "not 'key = value'", key);
	*value++ = 0;
	key = trim(key);
	for (i = 0; i < LANE_NR_SETTINGS; i++) {
		if (strcmp(key, settings[i].name) != 0)
			continue;
		s->line[i] = nr;
		return lane_settings_set(s, (enum lane_setting)i, trim(value), LANE_FROM_FILE, err);
	}
	return lane_config_fail(err, "unknown key", key);
}

int lane_settings_parse(struct lane_settings *s, char *text, const char *path, char *err)
{
	char why[CONFIG_ERR], *next;
	uint16_t nr = 0;

	for (; text; text = next) {
		nr++;
		next = strchr(text, '\n');
		if (next)
			*next++ = 0;
		if (parse_line(s, text, nr, why)) {
			snprintf(err, CONFIG_ERR, "%.80s:%u: %.150s", path, nr, why);
			return -EINVAL;
		}
	}
	return 0;
}

/* Reads lane.conf; that it does not exist is an error only where LANE_CONF names it. */
static int load_file(struct lane_settings *s, char *err)
{
	const char *path = lane_settings_path();
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[CONFIG_FILE_MAX + 1];
	ssize_t n, len = 0;

	if (fd < 0 && errno == ENOENT && !getenv("LANE_CONF"))
		return 0;
	if (fd < 0) {
		snprintf(err, CONFIG_ERR, "%.150s: %s", path, strerror(errno));
		return -EINVAL;
	}
	while (len < CONFIG_FILE_MAX &&
	       (n = read(fd, text + len, (size_t)(CONFIG_FILE_MAX - len))) > 0)
		len += n;
	close(fd);
	if (len == CONFIG_FILE_MAX)
		return lane_config_fail(err, "longer than 16 KB", path);
	text[len] = 0;
	return lane_settings_parse(s, text, path, err);
}

int lane_settings_load(struct lane_settings *s, char *err)
{
	char why[CONFIG_ERR];
	const char *value;
	int i, r;

	lane_settings_default(s);
	r = load_file(s, err);
	for (i = 0; !r && i < LANE_NR_SETTINGS; i++) {
		value = getenv(settings[i].env);
		if (!value || !*value)
			continue;
		r = lane_settings_set(s, (enum lane_setting)i, value, LANE_FROM_ENV, why);
		if (r)
			snprintf(err, CONFIG_ERR, "%s: %.200s", settings[i].env, why);
	}
	/* The budget follows the profile wherever it came from, unless it was given itself. */
	if (!r && s->from[LANE_SET_SPIN_US] == LANE_FROM_DEFAULT)
		s->spin_us = profile_spin_us[s->profile];
	return r;
}

/* Whether a setting must be handed on to programs: it was given, or is the interface, which they would not find by
 * themselves (that of a DPDK port they do). */
static bool is_given(const struct lane_settings *s, int i)
{
	return s->from[i] != LANE_FROM_DEFAULT ||
	       (i == LANE_SET_IF && s->ifname[0] && s->driver != LANE_DEV_DPDK);
}

void lane_settings_export(const struct lane_settings *s)
{
	char value[CONFIG_ERR];
	int i;

	for (i = 0; i < LANE_NR_SETTINGS; i++) {
		if (!is_given(s, i))
			continue;
		lane_settings_get(s, (enum lane_setting)i, value, sizeof(value));
		setenv(settings[i].env, value, 1);
	}
}

unsigned int lane_settings_envp(const struct lane_settings *s, char *out[], unsigned int n)
{
	unsigned int nr = 0;
	char value[CONFIG_ERR];
	int i;

	for (i = 0; i < LANE_NR_SETTINGS && nr < n; i++) {
		if (!is_given(s, i))
			continue;
		lane_settings_get(s, (enum lane_setting)i, value, sizeof(value));
		if (asprintf(&out[nr], "%s=%s", settings[i].env, value) > 0)
			nr++;
	}
	return nr;
}
