/*
 * deep.c - a library that suites opens with RTLD_DEEPBIND
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

__attribute__((visibility("default"))) int deep_nodelay(int fd)
{
	socklen_t len = sizeof(int);
	int v = -1;

	return getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, &len) < 0 ? -1 : v;
}
