/*
 * addr.c - endpoints between the program's sockaddrs and the lane's form
 */
#include "lane-int/nettab.h"
#include "posix/sock.h"

int shim_addr_get(struct shim_addr *a, const struct sockaddr *user, socklen_t len)
{
	struct sockaddr_storage ss;
	const struct sockaddr_in *in = (const void *)&ss;
	const struct sockaddr_in6 *in6 = (const void *)&ss;

	if (len < sizeof(sa_family_t) || len > sizeof(ss))
		return -EINVAL;
	memset(&ss, 0, sizeof(ss));
	if (shim_copy_in(&ss, user, len) < 0)
		return -EFAULT;
	memset(a, 0, sizeof(*a));
	a->family = ss.ss_family;
	switch (ss.ss_family) {
	case AF_INET:
		if (len < sizeof(*in))
			return -EINVAL;
		a->ep.ip = lane_ip4(in->sin_addr.s_addr);
		a->ep.port = ntohs(in->sin_port);
		return 0;
	case AF_INET6:
		if (len < 24) /* RFC 2133's, without the scope: SIN6_LEN_RFC2133 */
			return -EINVAL;
		a->ep.ip = lane_ip6(&in6->sin6_addr);
		a->ep.port = ntohs(in6->sin6_port);
		a->scope = in6->sin6_scope_id;
		return 0;
	case AF_UNSPEC:
		return 0;
	default:
		return -EAFNOSUPPORT;
	}
}

static bool is_link_local(const struct lane_ip *ip)
{
	return ip->b[0] == 0xfe && (ip->b[1] & 0xc0) == 0x80;
}

bool shim_ip_is_loopback(const struct lane_ip *ip)
{
	static const struct lane_ip one = {.b = {[15] = 1}};

	return lane_ip_is4(ip) ? ip->b[12] == 127 : lane_ip_equal(ip, &one);
}

socklen_t shim_addr_fill(const struct lane_ep *ep, bool v6, struct sockaddr_storage *ss)
{
	struct sockaddr_in *in = (void *)ss;
	struct sockaddr_in6 *in6 = (void *)ss;

	memset(ss, 0, sizeof(*ss));
	if (!v6) {
		in->sin_family = AF_INET;
		in->sin_port = htons(ep->port);
		in->sin_addr.s_addr = ep->ip.w[3];
		return sizeof(*in);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(ep->port);
	memcpy(&in6->sin6_addr, ep->ip.b, 16);
	if (is_link_local(&ep->ip))
		in6->sin6_scope_id = lane_nettab(shim.view.ln)->ifindex;
	return sizeof(*in6);
}

int shim_addr_put(const struct lane_ep *ep, bool v6, struct sockaddr *user, socklen_t *user_len)
{
	struct sockaddr_storage ss;
	socklen_t len, room;

	if (!user)
		return 0;
	if (shim_copy_in(&room, user_len, sizeof(room)) < 0)
		return -EFAULT;
	if ((int)room < 0)
		return -EINVAL;
	len = shim_addr_fill(ep, v6, &ss);
	if (room > len)
		room = len;
	if (shim_copy_out(user, &ss, room) < 0 || shim_copy_out(user_len, &len, sizeof(len)) < 0)
		return -EFAULT;
	return 0;
}

int shim_addr_of_kernel(int fd, struct lane_ep *ep)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct shim_addr a;
	int r;

	if (shim_libc()->getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	r = shim_addr_get(&a, (struct sockaddr *)&ss, len);
	if (r == 0)
		*ep = a.ep;
	return r;
}
