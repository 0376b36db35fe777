/*
 * own.c - own-address mode: what the kernel's half of a socket needs where the kernel lacks the address
 *
 * The number of a lane socket is a kernel socket bound to what the program asked for, so that ports conflict and
 * getsockname(2) tells as ever. The kernel lets a socket be bound to an address that it does not have when
 * IP_FREEBIND is on; it is on for the length of the bind only. A socket that is bound to any hears the kernel's
 * interfaces as well; one that is connected hears nobody but its peer.
 */
#include <linux/filter.h>
#include <netinet/in.h>

#include "lane-int/ifs.h"
#include "posix/sock.h"

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

bool shim_own_mode(void)
{
	return shim.state == 2 && lane_nettab(shim.view.ln)->own;
}

bool shim_own_reaches(const struct lane_ip *ip)
{
	const struct lane_ip any = {.d = {0, 0}}, any4 = lane_ip4(0);
	const struct lane *ln = shim.view.ln;
	struct lane_net_hop hop;

	return shim_own_mode() && !lane_ip_is_any(ip) && !lane_ifs_is_group(ln, ip) &&
	       lane_ifs_route(ln, 0, ip, lane_ip_is4(ip) ? &any4 : &any, &hop) >= 0;
}

/* True when the address is the lane's, and so worth another try. */
static bool is_ours(const struct sockaddr *addr, socklen_t len)
{
	struct shim_addr a;

	return lane_settings_own(&shim.settings) && shim_addr_get(&a, addr, len) == 0 &&
	       (a.family == AF_INET || a.family == AF_INET6) && shim_join() && shim_own_mode() &&
	       lane_ifs_addr(shim.view.ln, &a.ep.ip) >= 0;
}

int shim_own_bind(int fd, const struct shim_local *l, const struct sockaddr *addr, socklen_t len)
{
	int level = l->v6 ? IPPROTO_IPV6 : IPPROTO_IP, opt = l->v6 ? IPV6_FREEBIND : IP_FREEBIND;
	int on = 1, off = 0, r;

	if (!is_ours(addr, len) || shim_libc()->setsockopt(fd, level, opt, &on, sizeof(on)) < 0)
		return -EADDRNOTAVAIL;
	r = shim_libc()->bind(fd, addr, len) < 0 ? -errno : 0;
	shim_libc()->setsockopt(fd, level, opt, &off, sizeof(off));
	return r;
}

int shim_own_port(int fd, const struct shim_local *l)
{
	static struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	const struct sock_fprog none = {.len = 1, .filter = &drop};
	struct sockaddr_storage any = {.ss_family = l->v6 ? AF_INET6 : AF_INET};
	struct lane_ep local;
	int r = shim_addr_of_kernel(fd, &local);

	if (r < 0)
		return r;
	if (!local.port && shim_libc()->bind(fd, (struct sockaddr *)&any,
					     l->v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)) < 0)
		return -errno;
	/* It is not connected: what anybody sends to its port by the kernel's interfaces is not the peer's. */
	return shim_libc()->setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &none, sizeof(none)) < 0 ? -errno : 0;
}

void shim_own_hear(int fd)
{
	int off = 0;

	if (lane_settings_own(&shim.settings))
		shim_libc()->setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &off, sizeof(off));
}
