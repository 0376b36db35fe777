/*
 * spawn.c - starting the keeper process
 *
 * The tool, or the library under a bare LD_PRELOAD, executes `lane keeper` in a grandchild. The
 * child in between has exit signal 0, so that no wait of the program sees it, and both are made by
 * raw clone, so that no fork handler of the program runs. The grandchild says one line on a pipe:
 * "ok" once it accepts connections, or why it cannot.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto.h"
#include "sys.h"

#define SPAWN_WAIT_MS 15000
#define SPAWN_ENV_MAX (LANE_NR_SETTINGS + 3)

/* Where the tool is from where the library is: the build tree, beside it, and /usr/lib/lane. */
static const char *const tool_places[] = {"lane", "../lane", "../../bin/lane", "../bin/lane"};

/* The path of the lane tool. 0 or -ENOENT with err[]. */
static int find_tool(char path[PATH_MAX], char *err)
{
	const char *given = getenv("LANE_TOOL"), *slash;
	Dl_info info;
	size_t i;

	if (given && *given) {
		snprintf(path, PATH_MAX, "%s", given);
		return 0;
	}
	if (!dladdr((void *)(uintptr_t)keeper_start, &info) || !info.dli_fname ||
	    !strstr(info.dli_fname, "liblane-preload")) {
		snprintf(path, PATH_MAX, "/proc/self/exe");
		return 0;
	}
	slash = strrchr(info.dli_fname, '/');
	for (i = 0; slash && i < sizeof(tool_places) / sizeof(tool_places[0]); i++) {
		snprintf(path, PATH_MAX, "%.*s/%s", (int)(slash - info.dli_fname), info.dli_fname,
			 tool_places[i]);
		if (access(path, X_OK) == 0)
			return 0;
	}
	snprintf(err, KEEPER_ERR, "no lane tool beside %.150s to start the keeper", info.dli_fname);
	return -ENOENT;
}

/* In the grandchild: nothing but system calls. */
static void __attribute__((noreturn))
exec_keeper(const char *path, char *const argv[], char *const envp[], int ready_fd)
{
	static const char failed[] = "the lane tool cannot be executed\n";

	sys_call(SYS_setsid, 0, 0, 0, 0, 0);
	sys_call(SYS_fcntl, ready_fd, F_SETFD, 0, 0, 0);
	sys_call(SYS_execve, (long)path, (long)argv, (long)envp, 0, 0);
	sys_write(ready_fd, failed, sizeof(failed) - 1);
	for (;;)
		sys_call(SYS_exit_group, 127, 0, 0, 0, 0);
}

/* Makes the grandchild. 0 or -errno. */
static int spawn(const char *path, char *const argv[], char *const envp[], int ready_fd)
{
	long pid = sys_call(SYS_clone, 0, 0, 0, 0, 0), r;

	if (pid < 0)
		return (int)pid;
	if (pid == 0) {
		pid = sys_call(SYS_clone, 0, 0, 0, 0, 0);
		if (pid == 0)
			exec_keeper(path, argv, envp, ready_fd);
		for (;;)
			sys_call(SYS_exit_group, pid < 0, 0, 0, 0, 0);
	}
	do {
		r = sys_call(SYS_wait4, pid, 0, __WALL, 0, 0);
	} while (r == -EINTR);
	return 0;
}

/* Reads the keeper's line, without its end; "": it said none. */
static void read_line(int fd, char line[KEEPER_ERR])
{
	uint64_t end = shim_now_us() + SPAWN_WAIT_MS * 1000ULL, now;
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	size_t len = 0;
	ssize_t n;

	while (len < KEEPER_ERR - 1 && (now = shim_now_us()) < end) {
		if (poll(&pfd, 1, (int)((end - now) / 1000 + 1)) <= 0)
			continue;
		n = read(fd, line + len, KEEPER_ERR - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
		if (memchr(line, '\n', len))
			break;
	}
	line[len] = 0;
	line[strcspn(line, "\n")] = 0;
}

/* Waits for "ok IFNAME". 0, or -EIO with what the keeper said in err[]. */
static int read_ready(int fd, struct lane_settings *s, char *err)
{
	char line[KEEPER_ERR];

	read_line(fd, line);
	if (strncmp(line, "ok ", 3) != 0) {
		snprintf(err, KEEPER_ERR, "%s", *line ? line : "the keeper ended without a word");
		return -EIO;
	}
	return lane_settings_set(s, LANE_SET_IF, line + 3,
				 (enum lane_setting_from)s->from[LANE_SET_IF], err);
}

/* Interface 'i' becomes the one that is asked for. */
static void put_first(struct lane_settings *s, unsigned int i)
{
	char name[16];

	memcpy(name, s->ifs[i], sizeof(name));
	memmove(s->ifs[1], s->ifs[0], i * sizeof(s->ifs[0]));
	memcpy(s->ifs[0], name, sizeof(name));
	memcpy(s->ifname, name, sizeof(name));
	memcpy(s->xdp.ifname, name, sizeof(name));
}

/* Who serves the interfaces: 1: one keeper, some of them (see keeper.h), 0: nobody, -EBUSY: two. */
static int find_keeper(struct lane_settings *s, char *err)
{
	unsigned int i, first = LANE_IFS_MAX;
	int32_t pid, serves = 0;
	size_t len = 0;

	s->without_ifs[0] = 0;
	for (i = 0; i < s->nr_ifs; i++) {
		pid = keeper_pid(s->ifs[i]);
		if (pid && serves && pid != serves) {
			snprintf(err, KEEPER_ERR,
				 "%s and %s are served by two keepers (pids %d and %d): end one's programs, "
				 "or name one interface",
				 s->ifs[first], s->ifs[i], serves, pid);
			return -EBUSY;
		}
		if (pid && !serves)
			first = i;
		if (pid)
			serves = pid;
		else if (len < sizeof(s->without_ifs))
			len += (size_t)snprintf(s->without_ifs + len, sizeof(s->without_ifs) - len,
						"%s%s", len ? ", " : "", s->ifs[i]);
	}
	if (!serves) {
		s->without_ifs[0] = 0;
		return 0;
	}
	put_first(s, first);
	return 1;
}

/* Executes the keeper and waits until it serves. */
static int start(struct lane_settings *s, char *err)
{
	char path[PATH_MAX], number[16], *envp[SPAWN_ENV_MAX + 1] = {NULL};
	char *argv[] = {"lane", "keeper", "--ready-fd", number, NULL};
	unsigned int i, n;
	int fds[2], r;

	r = find_tool(path, err);
	if (r)
		return r;
	if (pipe2(fds, O_CLOEXEC)) {
		r = -errno;
		snprintf(err, KEEPER_ERR, "pipe: %s", strerror(-r));
		return r;
	}
	snprintf(number, sizeof(number), "%d", fds[1]);
	n = lane_settings_envp(s, envp, LANE_NR_SETTINGS);
	/* What the file says is among the settings already. */
	envp[n] = "LANE_CONF=/dev/null";
	envp[n + 1] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	r = spawn(path, argv, envp, fds[1]);
	close(fds[1]);
	if (r)
		snprintf(err, KEEPER_ERR, "the keeper cannot be forked: %s", strerror(-r));
	else
		r = read_ready(fds[0], s, err);
	close(fds[0]);
	for (i = 0; i < n; i++)
		free(envp[i]);
	return r;
}

int keeper_start(struct lane_settings *s, char *err)
{
	int r = find_keeper(s, err);

	if (r)
		return r < 0 ? r : 0;
	r = start(s, err);
	if (r)
		return r;
	/* Another starter may have been quicker, with other interfaces. */
	r = find_keeper(s, err);
	return r < 0 ? r : 0;
}
