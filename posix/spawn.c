/*
 * spawn.c - posix_spawn(3), system(3), popen(3): programs started without a fork that we see
 *
 * Theory of operation. libc makes such a child by a clone of its own that shares our memory, and calls
 * nothing of ours in it. So what an exec does in the child (exec.c) is done in the parent, before: the
 * numbers that cross are marked, a row is reserved that holds their sockets, and the successor is told
 * by LANE_FDS. Once the child is there, the row is its process', until that ends or takes over.
 *
 * The numbers are those without FD_CLOEXEC, and those that a file action duplicates a lane socket to.
 * libc does not tell what is in its file actions, so dup2 actions are noted as they are added.
 *
 * system() and popen() start their shell inside libc. Where lane sockets may cross they are done here.
 */
#include <fcntl.h>
#include <paths.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "posix/exec.h"
#include "posix/keeper/sys.h"
#include "posix/pass.h"
#include "posix/priv.h"

enum { JOINED = 2 };

/* ---- dup2 actions ---- */

#define ACTIONS 256 /* the last ones that were added */

static struct {
	_Atomic(const void *) of; /* the posix_spawn_file_actions_t, NULL: free */
	int from, to;
} actions[ACTIONS];
static _Atomic uint32_t next_action;

static void forget_actions(const posix_spawn_file_actions_t *of)
{
	const void *want;
	unsigned int i;

	for (i = 0; i < ACTIONS; i++) {
		want = of;
		atomic_compare_exchange_strong(&actions[i].of, &want, NULL);
	}
}

LANE_EXPORT int posix_spawn_file_actions_init(posix_spawn_file_actions_t *fa)
{
	forget_actions(fa);
	return shim_libc()->posix_spawn_file_actions_init(fa);
}

LANE_EXPORT int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *fa)
{
	forget_actions(fa);
	return shim_libc()->posix_spawn_file_actions_destroy(fa);
}

LANE_EXPORT int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *fa, int from, int to)
{
	int r = shim_libc()->posix_spawn_file_actions_adddup2(fa, from, to);
	uint32_t i;

	if (r)
		return r;
	i = atomic_fetch_add(&next_action, 1) % ACTIONS;
	atomic_store(&actions[i].of, NULL);
	actions[i].from = from;
	actions[i].to = to;
	atomic_store(&actions[i].of, fa);
	return 0;
}

/* ---- what crosses ---- */

static void cross_open(int fd, struct shim_local *l, void *arg)
{
	if (l->kind == SHIM_SOCK && !(shim_libc()->fcntl(fd, F_GETFD) & FD_CLOEXEC))
		shim_crossing_add(arg, fd, l, fd);
}

static void cross_actions(struct shim_crossing *c, const posix_spawn_file_actions_t *fa)
{
	struct shim_local *l;
	unsigned int i;

	for (i = 0; fa && i < ACTIONS; i++) {
		if (atomic_load(&actions[i].of) != fa)
			continue;
		l = shim_get_sock(actions[i].from);
		if (!l)
			continue;
		shim_crossing_add(c, actions[i].from, l, actions[i].to);
		shim_put(l);
	}
}

struct look {
	const posix_spawn_file_actions_t *fa;
	bool found;
};

static void look_at(int fd, struct shim_local *l, void *arg)
{
	struct look *k = arg;
	unsigned int i;

	if (k->found || l->kind != SHIM_SOCK)
		return;
	k->found = !(shim_libc()->fcntl(fd, F_GETFD) & FD_CLOEXEC);
	for (i = 0; k->fa && i < ACTIONS; i++)
		k->found |= atomic_load(&actions[i].of) == k->fa && actions[i].from == fd;
}

/* Whether a lane socket would be a program's that is started now. */
static bool any_crosses(const posix_spawn_file_actions_t *fa)
{
	struct look k = {.fa = fa};

	if (atomic_load(&shim.state) == JOINED)
		shim_fd_each(look_at, &k);
	return k.found;
}

/* ---- posix_spawn ---- */

struct spawning {
	pid_t *pid;
	const char *path;
	const posix_spawn_file_actions_t *fa;
	const posix_spawnattr_t *attr;
	char *const *argv;
	char *const *envp;
	bool search; /* along PATH */
};

static int spawn_by_libc(const struct spawning *s, char *const *env, pid_t *pid)
{
	return s->search ? shim_libc()->posix_spawnp(pid, s->path, s->fa, s->attr, s->argv, env)
			 : shim_libc()->posix_spawn(pid, s->path, s->fa, s->attr, s->argv, env);
}

/* A row for the child, where there is something for it to hold: < 0: none. */
static int row_for(const posix_spawn_file_actions_t *fa, struct shim_crossing *c)
{
	int row = -1;

	/* In another pid namespace the keeper would not know the pid that we are told. */
	if (!shim.view.other_pidns && any_crosses(fa)) {
		shim_sig_enter();
		row = keeper_spawn_prepare(&shim.view);
		shim_sig_leave();
	}
	shim_crossing_init(c, row);
	if (row < 0)
		return row;
	shim_fd_each(cross_open, c);
	cross_actions(c, fa);
	return row;
}

static int spawn(const struct spawning *s)
{
	struct shim_crossing c;
	int cancel, r, row;
	pid_t pid = -1;

	if (atomic_load(&shim.state) != JOINED)
		return spawn_by_libc(s, s->envp, s->pid);
	cancel = shim_cancel_off();
	shim_kick_deferred();
	row = row_for(s->fa, &c);
	shim_nofile_exec(true);
	r = spawn_by_libc(s, shim_exec_env(s->envp, alloca(shim_exec_env_room(s->envp) * sizeof(char *)), &c),
			  &pid);
	shim_nofile_exec(false);
	if (row >= 0) {
		shim_sig_enter();
		keeper_spawn_done(&shim.view, row, r ? -1 : pid);
		shim_sig_leave();
	}
	if (r == 0 && s->pid)
		*s->pid = pid;
	shim_cancel_restore(cancel);
	return r;
}

LANE_EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *fa,
			    const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	return spawn(&(struct spawning){pid, path, fa, attr, argv, envp, false});
}

LANE_EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *fa,
			     const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	return spawn(&(struct spawning){pid, file, fa, attr, argv, envp, true});
}

/* ---- system ---- */

static pthread_mutex_t streams_mutex = PTHREAD_MUTEX_INITIALIZER; /* of popen(), below */

/* SIGINT and SIGQUIT are ignored while a system() runs in any thread. */
static struct {
	pthread_mutex_t mutex;
	unsigned int nr;
	struct sigaction intr, quit;
} ignoring = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void ignore_begin(void)
{
	struct sigaction ign = {.sa_handler = SIG_IGN};

	shim_sig_enter();
	pthread_mutex_lock(&ignoring.mutex);
	if (ignoring.nr++ == 0) {
		sigaction(SIGINT, &ign, &ignoring.intr);
		sigaction(SIGQUIT, &ign, &ignoring.quit);
	}
	pthread_mutex_unlock(&ignoring.mutex);
	shim_sig_leave();
}

static void ignore_end(void)
{
	shim_sig_enter();
	pthread_mutex_lock(&ignoring.mutex);
	if (--ignoring.nr == 0) {
		sigaction(SIGINT, &ignoring.intr, NULL);
		sigaction(SIGQUIT, &ignoring.quit, NULL);
	}
	pthread_mutex_unlock(&ignoring.mutex);
	shim_sig_leave();
}

void shim_spawn_fork_child(void)
{
	pthread_mutex_init(&ignoring.mutex, NULL);
	pthread_mutex_init(&streams_mutex, NULL);
}

static pid_t reap(pid_t pid, int *status)
{
	pid_t r;

	do {
		r = waitpid(pid, status, 0);
	} while (r < 0 && errno == EINTR);
	return r;
}

struct running {
	pid_t pid;
	sigset_t mask; /* the thread's before */
};

/* The thread is cancelled while the shell runs: that ends too. */
static void system_abandon(void *arg)
{
	const struct running *run = arg;
	int state = shim_cancel_off();

	kill(run->pid, SIGKILL);
	reap(run->pid, NULL);
	ignore_end();
	pthread_sigmask(SIG_SETMASK, &run->mask, NULL);
	shim_cancel_restore(state);
}

/* The shell has the signals that the program had. */
static int start_shell(const char *line, struct running *run)
{
	char *argv[] = {"sh", "-c", (char *)(uintptr_t)line, NULL};
	posix_spawnattr_t attr;
	sigset_t dfl;
	int r;

	sigemptyset(&dfl);
	if (ignoring.intr.sa_handler != SIG_IGN)
		sigaddset(&dfl, SIGINT);
	if (ignoring.quit.sa_handler != SIG_IGN)
		sigaddset(&dfl, SIGQUIT);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &run->mask);
	posix_spawnattr_setsigdefault(&attr, &dfl);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	r = posix_spawn(&run->pid, _PATH_BSHELL, NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	return r;
}

LANE_EXPORT int system(const char *line)
{
	int status = 127 << 8; /* "could not be executed" */
	struct running run;
	sigset_t chld;

	if (!line || !any_crosses(NULL))
		return shim_libc()->system(line);
	shim_cancel_point();
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	ignore_begin();
	pthread_sigmask(SIG_BLOCK, &chld, &run.mask);
	if (start_shell(line, &run) == 0) {
		pthread_cleanup_push(system_abandon, &run);
		if (reap(run.pid, &status) < 0)
			status = -1;
		pthread_cleanup_pop(0);
	}
	ignore_end();
	pthread_sigmask(SIG_SETMASK, &run.mask, NULL);
	return status;
}

/* ---- popen ---- */

/* Streams that were opened here; those of before we joined are libc's. */
struct stream {
	struct stream *next;
	FILE *f;
	pid_t pid;
};

static struct stream *streams;

/* Starts the shell with 'theirs' as its descriptor 'as'; no earlier stream stays open in it. */
static int start_piped(const char *line, int theirs, int as, pid_t *pid)
{
	char *argv[] = {"sh", "-c", (char *)(uintptr_t)line, NULL};
	posix_spawn_file_actions_t fa;
	const struct stream *s;
	int r;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, theirs, as);
	pthread_mutex_lock(&streams_mutex);
	for (s = streams; s; s = s->next)
		if (fileno_unlocked(s->f) != as)
			posix_spawn_file_actions_addclose(&fa, fileno_unlocked(s->f));
	pthread_mutex_unlock(&streams_mutex);
	r = posix_spawn(pid, _PATH_BSHELL, &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	return r;
}

static FILE *open_pipe(const char *line, bool reads, bool cloexec)
{
	struct stream *s = malloc(sizeof(*s));
	int ends[2], r, ours = !reads;

	if (!s || pipe2(ends, O_CLOEXEC) < 0) {
		free(s);
		return NULL;
	}
	s->f = shim_libc()->fdopen(ends[ours], reads ? "r" : "w");
	r = s->f ? start_piped(line, ends[!ours], reads ? 1 : 0, &s->pid) : ENOMEM;
	sys_close(ends[!ours]);
	if (r) {
		if (s->f)
			shim_libc()->fclose(s->f);
		else
			sys_close(ends[ours]);
		free(s);
		errno = r;
		return NULL;
	}
	if (!cloexec)
		shim_libc()->fcntl(ends[ours], F_SETFD, 0);
	pthread_mutex_lock(&streams_mutex);
	s->next = streams;
	streams = s;
	pthread_mutex_unlock(&streams_mutex);
	return s->f;
}

LANE_EXPORT FILE *popen(const char *line, const char *mode)
{
	bool reads = strchr(mode, 'r') != NULL;
	int cancel;
	FILE *f;

	/* A wrong mode is libc's to refuse. */
	if (atomic_load(&shim.state) != JOINED || reads == (strchr(mode, 'w') != NULL) ||
	    strspn(mode, "rwe") != strlen(mode))
		return shim_libc()->popen(line, mode);
	cancel = shim_cancel_off();
	f = open_pipe(line, reads, strchr(mode, 'e') != NULL);
	shim_cancel_restore(cancel);
	return f;
}

/* The process behind a stream that is about to be closed, 0: it is none of these. */
static pid_t take(FILE *f)
{
	struct stream **at, *s;
	pid_t pid = 0;

	if (!streams)
		return 0;
	pthread_mutex_lock(&streams_mutex);
	for (at = &streams; *at && (*at)->f != f; at = &(*at)->next)
		;
	s = *at;
	if (s) {
		*at = s->next;
		pid = s->pid;
	}
	pthread_mutex_unlock(&streams_mutex);
	free(s);
	return pid;
}

bool shim_pclose(FILE *f, int *status)
{
	pid_t pid = take(f);
	int cancel;

	if (!pid)
		return false;
	cancel = shim_cancel_off();
	shim_libc()->fclose(f);
	if (reap(pid, status) < 0)
		*status = -1;
	shim_cancel_restore(cancel);
	return true;
}

LANE_EXPORT int pclose(FILE *f)
{
	int status;

	return shim_pclose(f, &status) ? status : shim_libc()->pclose(f);
}
