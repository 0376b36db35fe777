/*
 * holder.c - who stands in the way: for error texts only
 */
#include <dirent.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "dev.h"

/* True when the file (/proc/PID/fdinfo/FD) describes BPF program 'id', or a link to it. */
static bool describes(const char *path, uint32_t id)
{
	FILE *f = fopen(path, "re");
	char line[128];
	bool hit = false;
	unsigned int v;

	if (!f)
		return false;
	while (!hit && fgets(line, sizeof(line), f))
		hit = sscanf(line, "prog_id: %u", &v) == 1 && v == id;
	fclose(f);
	return hit;
}

static bool holds(const char *pid, uint32_t id)
{
	char dir[64], path[384];
	struct dirent *e;
	bool hit = false;
	DIR *d;

	snprintf(dir, sizeof(dir), "/proc/%.16s/fdinfo", pid);
	d = opendir(dir);
	if (!d)
		return false;
	while (!hit && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		hit = e->d_name[0] != '.' && describes(path, id);
	}
	closedir(d);
	return hit;
}

/* Appends " of nginx (pid 4711)" for the first process that holds the program. */
static void append_process(uint32_t id, char *out, size_t size)
{
	size_t len = strlen(out);
	char path[64], comm[32] = "?";
	struct dirent *e;
	DIR *d = opendir("/proc");
	FILE *f;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] < '1' || e->d_name[0] > '9' || !holds(e->d_name, id))
			continue;
		snprintf(path, sizeof(path), "/proc/%.16s/comm", e->d_name);
		f = fopen(path, "re");
		if (f && fgets(comm, sizeof(comm), f))
			comm[strcspn(comm, "\n")] = 0;
		if (f)
			fclose(f);
		snprintf(out + len, size - len, " of %s (pid %.16s)", comm, e->d_name);
		break;
	}
	if (d)
		closedir(d);
}

const char *lane_xdp_holder(uint32_t ifindex, char *out, size_t size)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info), id;
	int fd;

	snprintf(out, size, "a program that went away meanwhile");
	if (bpf_xdp_query((int)ifindex, 0, &query) < 0)
		return "xdp";
	id = query.prog_id       ? query.prog_id
	     : query.drv_prog_id ? query.drv_prog_id
				 : query.skb_prog_id;
	if (!id)
		return "xdp";
	snprintf(out, size, "program %u", id);
	fd = bpf_prog_get_fd_by_id(id);
	if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0)
		snprintf(out, size, "program %u \"%s\"", id, info.name);
	if (fd >= 0)
		close(fd); /* before the search, which would find ourselves */
	append_process(id, out, size);
	return query.skb_prog_id == id ? "xdpgeneric" : "xdp";
}

void lane_xdp_lacking_caps(char *out, size_t size)
{
	static const struct {
		int cap;
		const char *name;
	} needed[] = {
		{CAP_NET_ADMIN, "CAP_NET_ADMIN"},
		{CAP_NET_RAW, "CAP_NET_RAW"},
		{CAP_BPF, "CAP_BPF"},
		{CAP_PERFMON, "CAP_PERFMON"}, /* verifier: headers of variable length */
	};
	struct __user_cap_header_struct hdr = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};
	size_t len = 0;

	out[0] = 0;
	if (syscall(SYS_capget, &hdr, data) < 0)
		return;
	/* before 5.8 the last two were CAP_SYS_ADMIN, which still includes them */
	if (data[CAP_SYS_ADMIN / 32].effective >> (CAP_SYS_ADMIN % 32) & 1)
		data[CAP_BPF / 32].effective |= 1u << (CAP_BPF % 32) | 1u << (CAP_PERFMON % 32);
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]) && len < size; i++)
		if (!(data[needed[i].cap / 32].effective >> (needed[i].cap % 32) & 1))
			len += (size_t)snprintf(out + len, size - len, "%s%s", len ? ", " : "",
						needed[i].name);
}
