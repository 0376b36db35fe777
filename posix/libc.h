/*
 * libc.h - the real functions behind the interposed ones
 *
 * Resolved once, by dlsym(RTLD_NEXT), without allocating; shim_libc() is cheap afterwards.
 * One X-list: type of result, name, parameters.
 */
#ifndef SHIM_LIBC_H
#define SHIM_LIBC_H

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#define SHIM_LIBC_CALLS(X)                                                                         \
	X(int, socket, (int, int, int))                                                            \
	X(int, bind, (int, const struct sockaddr *, socklen_t))                                    \
	X(int, listen, (int, int))                                                                 \
	X(int, accept, (int, struct sockaddr *, socklen_t *))                                      \
	X(int, accept4, (int, struct sockaddr *, socklen_t *, int))                                \
	X(int, connect, (int, const struct sockaddr *, socklen_t))                                 \
	X(int, shutdown, (int, int))                                                               \
	X(int, getsockname, (int, struct sockaddr *, socklen_t *))                                 \
	X(int, getpeername, (int, struct sockaddr *, socklen_t *))                                 \
	X(int, getsockopt, (int, int, int, void *, socklen_t *))                                   \
	X(int, setsockopt, (int, int, int, const void *, socklen_t))                               \
	X(int, ioctl, (int, unsigned long, ...))                                                   \
	X(int, fcntl, (int, int, ...))                                                             \
	X(ssize_t, read, (int, void *, size_t))                                                    \
	X(ssize_t, readv, (int, const struct iovec *, int))                                        \
	X(ssize_t, recv, (int, void *, size_t, int))                                               \
	X(ssize_t, recvfrom, (int, void *, size_t, int, struct sockaddr *, socklen_t *))           \
	X(ssize_t, recvmsg, (int, struct msghdr *, int))                                           \
	X(int, recvmmsg, (int, struct mmsghdr *, unsigned int, int, struct timespec *))            \
	X(ssize_t, write, (int, const void *, size_t))                                             \
	X(ssize_t, writev, (int, const struct iovec *, int))                                       \
	X(ssize_t, send, (int, const void *, size_t, int))                                         \
	X(ssize_t, sendto,                                                                         \
	  (int, const void *, size_t, int, const struct sockaddr *, socklen_t))                    \
	X(ssize_t, sendmsg, (int, const struct msghdr *, int))                                     \
	X(int, sendmmsg, (int, struct mmsghdr *, unsigned int, int))                               \
	X(ssize_t, sendfile64, (int, int, off_t *, size_t))                                        \
	X(ssize_t, splice, (int, off_t *, int, off_t *, size_t, unsigned int))                     \
	X(ssize_t, pread64, (int, void *, size_t, off_t))                                          \
	X(int, fstat, (int, struct stat *))                                                        \
	X(int, __fxstat, (int, int, struct stat *))                                                \
	X(int, fstatat, (int, const char *, struct stat *, int))                                   \
	X(int, __fxstatat, (int, int, const char *, struct stat *, int))                           \
	X(int, statx, (int, const char *, int, unsigned int, struct statx *))                      \
	X(int, close, (int))                                                                       \
	X(int, close_range, (unsigned int, unsigned int, int))                                     \
	X(int, dup, (int))                                                                         \
	X(int, dup2, (int, int))                                                                   \
	X(int, dup3, (int, int, int))                                                              \
	X(int, poll, (struct pollfd *, nfds_t, int))                                               \
	X(int, ppoll, (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *))        \
	X(int, select, (int, fd_set *, fd_set *, fd_set *, struct timeval *))                      \
	X(int, pselect,                                                                            \
	  (int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *))          \
	X(int, epoll_create, (int))                                                                \
	X(int, epoll_create1, (int))                                                               \
	X(int, epoll_ctl, (int, int, int, struct epoll_event *))                                   \
	X(int, epoll_wait, (int, struct epoll_event *, int, int))                                  \
	X(int, epoll_pwait, (int, struct epoll_event *, int, int, const sigset_t *))               \
	X(int, epoll_pwait2,                                                                       \
	  (int, struct epoll_event *, int, const struct timespec *, const sigset_t *))             \
	X(int, eventfd, (unsigned int, int))                                                       \
	X(pid_t, fork, (void))                                                                     \
	X(int, execve, (const char *, char *const[], char *const[]))                               \
	X(void, openlog, (const char *, int, int))                                                 \
	X(pid_t, _Fork, (void))                                                                    \
	X(int, clone, (int (*)(void *), void *, int, void *, ...))                                 \
	X(int, unshare, (int))                                                                     \
	X(int, setns, (int, int))                                                                  \
	X(int, posix_spawn,                                                                        \
	  (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,   \
	   char *const[], char *const[]))                                                          \
	X(int, posix_spawnp,                                                                       \
	  (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,   \
	   char *const[], char *const[]))                                                          \
	X(int, posix_spawn_file_actions_init, (posix_spawn_file_actions_t *))                      \
	X(int, posix_spawn_file_actions_destroy, (posix_spawn_file_actions_t *))                   \
	X(int, posix_spawn_file_actions_adddup2, (posix_spawn_file_actions_t *, int, int))         \
	X(int, system, (const char *))                                                             \
	X(FILE *, popen, (const char *, const char *))                                             \
	X(int, pclose, (FILE *))                                                                   \
	X(int, daemon, (int, int))                                                                 \
	X(int, execveat, (int, const char *, char *const[], char *const[], int))                   \
	X(int, execvpe, (const char *, char *const[], char *const[]))                              \
	X(int, fexecve, (int, char *const[], char *const[]))                                       \
	X(int, setuid, (uid_t))                                                                    \
	X(int, setgid, (gid_t))                                                                    \
	X(int, seteuid, (uid_t))                                                                   \
	X(int, setegid, (gid_t))                                                                   \
	X(int, setreuid, (uid_t, uid_t))                                                           \
	X(int, setregid, (gid_t, gid_t))                                                           \
	X(int, setresuid, (uid_t, uid_t, uid_t))                                                   \
	X(int, setresgid, (gid_t, gid_t, gid_t))                                                   \
	X(int, setgroups, (size_t, const gid_t *))                                                 \
	X(int, initgroups, (const char *, gid_t))                                                  \
	X(int, chroot, (const char *))                                                             \
	X(int, prctl, (int, ...))                                                                  \
	X(int, prlimit, (pid_t, enum __rlimit_resource, const struct rlimit *, struct rlimit *))   \
	X(int, setrlimit, (int, const struct rlimit *))                                            \
	X(int, getrlimit, (int, struct rlimit *))                                                  \
	X(int, sigaction, (int, const struct sigaction *, struct sigaction *))                     \
	X(long, syscall, (long, ...))                                                              \
	X(ssize_t, preadv64, (int, const struct iovec *, int, off_t))                              \
	X(ssize_t, preadv64v2, (int, const struct iovec *, int, off_t, int))                       \
	X(ssize_t, pwritev64v2, (int, const struct iovec *, int, off_t, int))                      \
	X(int, open, (const char *, int, ...))                                                     \
	X(int, open64, (const char *, int, ...))                                                   \
	X(int, openat, (int, const char *, int, ...))                                              \
	X(int, openat64, (int, const char *, int, ...))                                            \
	X(int, creat, (const char *, mode_t))                                                      \
	X(int, creat64, (const char *, mode_t))                                                    \
	X(int, timerfd_create, (clockid_t, int))                                                   \
	X(int, signalfd, (int, const sigset_t *, int))                                             \
	X(int, inotify_init, (void))                                                               \
	X(int, inotify_init1, (int))                                                               \
	X(int, memfd_create, (const char *, unsigned int))                                         \
	X(int, pipe, (int *))                                                                      \
	X(int, pipe2, (int *, int))                                                                \
	X(int, socketpair, (int, int, int, int *))                                                 \
	X(FILE *, fopen, (const char *, const char *))                                             \
	X(FILE *, fopen64, (const char *, const char *))                                           \
	X(FILE *, freopen, (const char *, const char *, FILE *))                                  \
	X(FILE *, freopen64, (const char *, const char *, FILE *))                                \
	X(DIR *, opendir, (const char *))                                                          \
	X(void *, dlopen, (const char *, int))                                                     \
	X(int, fclose, (FILE *))                                                                   \
	X(FILE *, fdopen, (int, const char *))                                                     \
	X(int, vdprintf, (int, const char *, va_list))                                             \
	X(int, __vdprintf_chk, (int, int, const char *, va_list))

struct shim_libc_table {
#define X(type, name, args) type(*name) args;
	SHIM_LIBC_CALLS(X)
#undef X
};

extern struct shim_libc_table shim_libc_table __attribute__((visibility("hidden")));
void shim_libc_resolve(void);
extern int shim_libc_ready __attribute__((visibility("hidden")));

static inline const struct shim_libc_table *shim_libc(void)
{
	if (__builtin_expect(!shim_libc_ready, 0))
		shim_libc_resolve();
	return &shim_libc_table;
}

#endif
