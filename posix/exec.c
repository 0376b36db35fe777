/*
 * exec.c - execve(2) and its kin; what an exec'd successor finds
 *
 * Where lane sockets cross, or may come by message later, LD_PRELOAD and LANE_* are in the environment of what is executed, also if
 * the process cleared its environment or makes up a new one (nginx' binary upgrade): they are read once,
 * before main(). A login session, which gets none, does not see them. Listeners that cross get back the O_NONBLOCK that the program believes in,
 * and the limit of descriptors is the program's own again.
 *
 * Connections and UDP sockets cross by pass.c. In the new image an inherited listener is known by
 * probing its number at its first use.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "posix/exec.h"
#include "posix/pass.h"
#include "posix/priv.h"
#include "posix/sock.h"

enum { JOINED = 2 };

#define EXEC_HOLD_US 5000000 /* in which a successor must use the listeners that it inherited */
#define LOOK_AT      256     /* numbers: those that a program inherits are low */
#define PRELOAD      "LD_PRELOAD="
#define FDS	     "LANE_FDS="

static char saved_text[8192];
static char *saved[SHIM_EXEC_SAVED];
static unsigned int nr_saved;

static bool is_ours(const char *var)
{
	if (strncmp(var, FDS, strlen(FDS)) == 0)
		return false; /* of this exec only (pass.c) */
	return strncmp(var, "LANE_", 5) == 0 || strncmp(var, PRELOAD, strlen(PRELOAD)) == 0;
}

void shim_exec_init(char *const envp[])
{
	size_t used = 0, len;

	for (; *envp && nr_saved < SHIM_EXEC_SAVED; envp++) {
		len = strlen(*envp) + 1;
		if (!is_ours(*envp) || used + len > sizeof(saved_text))
			continue;
		saved[nr_saved++] = memcpy(saved_text + used, *envp, len);
		used += len;
	}
}

__attribute__((constructor)) static void exec_constructor(void)
{
	shim_exec_init(environ);
}

/* True if 'var' ("NAME=value") is set in 'envp' under the same name. */
static bool has_name(char *const envp[], const char *var)
{
	size_t len = (size_t)(strchr(var, '=') - var) + 1;

	for (; envp && *envp; envp++)
		if (strncmp(*envp, var, len) == 0)
			return true;
	return false;
}

static size_t env_len(char *const envp[])
{
	size_t n = 0;

	while (envp && envp[n])
		n++;
	return n;
}

size_t shim_exec_env_room(char *const envp[])
{
	return env_len(envp) + SHIM_EXEC_SAVED + 2;
}

char *const *shim_exec_env(char *const envp[], char *out[], struct shim_crossing *c)
{
	size_t n = env_len(envp);
	unsigned int i;

	if (!c->any)
		return envp;
	if (n)
		memcpy(out, envp, n * sizeof(*out));
	for (i = 0; i < nr_saved; i++)
		if (!has_name(envp, saved[i]))
			out[n++] = saved[i];
	if (c->len > strlen(FDS))
		out[n++] = c->text;
	out[n] = NULL;
	return out;
}

/* ---- the state of descriptors that cross ---- */

/* The lane's half of a listener waits for the successor, with the connections that it has queued.
 */
static void hold_listener(int fd, struct shim_local *l, bool for_exec)
{
	struct shim_view *v = &shim.view;
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	struct shim_sock *s;

	shim_libc()->getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);
	shim_enter(v);
	s = shim_sock_of(l);
	if (s) {
		if (for_exec && cookie)
			shim_cookie_add(s, cookie);
		s->exec_until_us = for_exec && cookie ? shim_now_us() + EXEC_HOLD_US : 0;
	}
	shim_leave_quiet(v);
}

/* A listener crosses: its O_NONBLOCK is what the program thinks, or what the shim needs. */
static void cross_listener(int fd, struct shim_local *l, bool for_exec)
{
	int flags;

	hold_listener(fd, l, for_exec);
	if (shim_sock_flags(l) & SHIM_SOCK_NONBLOCK)
		return;
	flags = shim_libc()->fcntl(fd, F_GETFL);
	shim_libc()->fcntl(fd, F_SETFL, for_exec ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

void shim_crossing_init(struct shim_crossing *c, int row)
{
	c->row = row;
	c->any = false;
	c->len = strlen(FDS);
	memcpy(c->text, FDS, c->len + 1);
}

void shim_crossing_add(struct shim_crossing *c, int fd, struct shim_local *l, int as)
{
	if (l->kind != SHIM_SOCK || l->index >= shim.view.nr_socks)
		return;
	c->any = true;
	if (shim.view.socks[l->index].kind == SHIM_SOCK_LISTENER)
		cross_listener(fd, l, c->row >= 0);
	else if (shim_pass_exec(fd, l, c->row) && c->len + 12 < sizeof(c->text))
		c->len += (size_t)snprintf(c->text + c->len, sizeof(c->text) - c->len, "%d,", as);
}

static void cross(int fd, struct shim_local *l, void *arg)
{
	if (l->kind == SHIM_SOCK && !(shim_libc()->fcntl(fd, F_GETFD) & FD_CLOEXEC))
		shim_crossing_add(arg, fd, l, fd);
}

/* Whether 'fd' is a listening UNIX socket that crosses: connections may be sent over it (dovecot, postfix). */
static bool hears_unix(int fd)
{
	int on = 0, domain = 0;
	socklen_t len = sizeof(int);

	return shim_libc()->getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on &&
	       shim_libc()->getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	       domain == AF_UNIX && !(shim_libc()->fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void prepare(bool for_exec, struct shim_crossing *c)
{
	int fd;

	shim_crossing_init(c, for_exec ? shim.view.row : -1);
	if (atomic_load(&shim.state) == JOINED) {
		shim_kick_deferred();
		shim_fd_each(cross, c);
		for (fd = 0; for_exec && !c->any && fd < LOOK_AT; fd++)
			c->any = hears_unix(fd);
	}
	shim_nofile_exec(for_exec);
}

static int failed(int r)
{
	struct shim_crossing c;
	int err = errno;

	prepare(false, &c);
	errno = err;
	return r;
}

/* ---- the interposed symbols; none returns but with -1 ---- */

#define ENV(envp, c)                                                                               \
	shim_exec_env(envp, alloca(shim_exec_env_room(envp) * sizeof(char *)), c)

LANE_EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	struct shim_crossing c;
	char *const *env;

	prepare(true, &c);
	env = ENV(envp, &c);
	return failed(shim_libc()->execve(path, argv, env));
}

LANE_EXPORT int execveat(int dir, const char *path, char *const argv[], char *const envp[],
			 int flags)
{
	struct shim_crossing c;
	char *const *env;

	prepare(true, &c);
	env = ENV(envp, &c);
	return failed(shim_libc()->execveat(dir, path, argv, env, flags));
}

LANE_EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	struct shim_crossing c;
	char *const *env;

	prepare(true, &c);
	env = ENV(envp, &c);
	return failed(shim_libc()->fexecve(fd, argv, env));
}

LANE_EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	struct shim_crossing c;
	char *const *env;

	prepare(true, &c);
	env = ENV(envp, &c);
	return failed(shim_libc()->execvpe(file, argv, env));
}

LANE_EXPORT int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

LANE_EXPORT int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

/* How many arguments follow 'first' up to the NULL; 'ap' is left behind it. */
static size_t count_args(va_list *ap)
{
	size_t n = 1;

	while (va_arg(*ap, const char *))
		n++;
	return n;
}

static char **list_args(const char *first, va_list *ap, char **argv)
{
	size_t n = 0;

	argv[n++] = (char *)(uintptr_t)first;
	while ((argv[n] = va_arg(*ap, char *)))
		n++;
	return argv;
}

#define ARGV(first)                                                                                \
	({                                                                                         \
		va_list ap_;                                                                       \
		size_t n_;                                                                         \
		char **argv_;                                                                      \
		va_start(ap_, first);                                                              \
		n_ = count_args(&ap_);                                                             \
		va_end(ap_);                                                                       \
		argv_ = alloca((n_ + 2) * sizeof(char *));                                         \
		va_start(ap_, first);                                                              \
		list_args(first, &ap_, argv_);                                                     \
		va_end(ap_);                                                                       \
		argv_;                                                                             \
	})

LANE_EXPORT int execl(const char *path, const char *arg, ...)
{
	return execve(path, ARGV(arg), environ);
}

LANE_EXPORT int execlp(const char *file, const char *arg, ...)
{
	return execvpe(file, ARGV(arg), environ);
}

/* The environment stands behind the NULL that ends the arguments. */
LANE_EXPORT int execle(const char *path, const char *arg, ...)
{
	char **argv = ARGV(arg);
	char *const *envp;
	va_list ap;

	va_start(ap, arg);
	count_args(&ap);
	envp = va_arg(ap, char *const *);
	va_end(ap);
	return execve(path, argv, envp);
}

/* ---- inherited listeners ---- */

#define PROBED_MAX 65536

static int option(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value;

	return shim_libc()->getsockopt(fd, level, name, &value, &len) < 0 ? -1 : value;
}

/* The backlog of a listener, as tcp_info has it. */
static int backlog_of(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (shim_libc()->getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return SOMAXCONN;
	return (int)info.tcpi_sacked;
}

/* A listener of the lane that crossed an exec under this cookie: this member has it too now. */
static uint32_t held_listener(uint64_t cookie, uint32_t *generation)
{
	struct shim_view *v = &shim.view;
	uint32_t i, found = LANE_NIL;
	struct shim_sock *s;

	shim_enter(v);
	for (i = 0; cookie && i < v->nr_socks && found == LANE_NIL; i++) {
		s = shim_sock_at(v, i);
		if (!s || s->kind != SHIM_SOCK_LISTENER || !shim_cookie_has(s, cookie))
			continue;
		if (!s->rows && v->a->nr_exec_held)
			v->a->nr_exec_held--;
		s->rows |= shim_row_bit(v->row);
		*generation = s->generation;
		found = i;
	}
	shim_leave_quiet(v);
	return found;
}

/* The listener 'fd' becomes known. False: it stays the kernel's alone. */
static bool adopt(int fd, bool v6)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	uint32_t index, generation;
	struct shim_local *l;

	if (!shim_join())
		return false;
	shim_libc()->getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);
	index = held_listener(cookie, &generation);
	l = shim_local_alloc(index == LANE_NIL ? SHIM_FRESH : SHIM_SOCK);
	if (!l)
		return false;
	l->v6 = v6;
	l->index = index;
	if (index != LANE_NIL) {
		l->generation = generation;
		l->shadow = fd;
		shim_fd_set(fd, l);
		shim_libc()->fcntl(fd, F_SETFL, shim_libc()->fcntl(fd, F_GETFL) | O_NONBLOCK);
		return true;
	}
	shim_fd_set(fd, l);
	l = shim_get(fd);
	if (l) {
		shim_listen(fd, l, backlog_of(fd));
		shim_put(l);
	}
	return true;
}

/* Numbers that were probed, or that we saw made. */
static _Atomic uint64_t probed[PROBED_MAX / 64];

/* True the first time. */
static bool first_time(int fd)
{
	uint64_t bit = 1ULL << (fd & 63);

	if ((unsigned int)fd >= PROBED_MAX ||
	    (atomic_load_explicit(&probed[fd / 64], memory_order_relaxed) & bit))
		return false;
	return !(atomic_fetch_or(&probed[fd / 64], bit) & bit);
}

void shim_not_inherited(int fd)
{
	first_time(fd);
}

bool shim_adopt_inherited(int fd)
{
	int saved_errno = errno, domain;
	bool known = false;

	if (!first_time(fd) || !shim_started())
		return false;
	domain = option(fd, SOL_SOCKET, SO_DOMAIN);
	if ((domain == AF_INET || domain == AF_INET6) &&
	    option(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP &&
	    option(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1)
		known = adopt(fd, domain == AF_INET6);
	errno = saved_errno;
	return known;
}
