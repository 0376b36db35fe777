/*
 * cmsg.c - control messages and names of datagrams
 */
#include <time.h>

#include <linux/errqueue.h>
#include <netinet/tcp.h>

#include "lane-int/ifs.h"
#include "posix/cmsg.h"
#include "posix/sock.h"

#define CONTROL_MAX 256

int shim_cmsg_sender(const struct msghdr *m, struct lane_ip *src, uint16_t *segment)
{
	_Alignas(struct cmsghdr) uint8_t own[CONTROL_MAX];
	struct msghdr copy = {.msg_control = own, .msg_controllen = m->msg_controllen};
	const struct in6_pktinfo *six;
	const struct in_pktinfo *four;
	struct cmsghdr *c;

	if (m->msg_controllen > sizeof(own) ||
	    shim_copy_in(own, m->msg_control, m->msg_controllen) < 0)
		return -EOPNOTSUPP;
	*src = lane_ip4(0);
	for (c = CMSG_FIRSTHDR(&copy); c; c = CMSG_NXTHDR(&copy, c)) {
		four = (const void *)CMSG_DATA(c);
		six = (const void *)CMSG_DATA(c);
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO &&
		    c->cmsg_len == CMSG_LEN(sizeof(*four)))
			*src = lane_ip4(four->ipi_spec_dst.s_addr);
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO &&
			 c->cmsg_len == CMSG_LEN(sizeof(*six)))
			*src = lane_ip6(&six->ipi6_addr);
		else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == SHIM_UDP_SEGMENT &&
			 c->cmsg_len == CMSG_LEN(sizeof(*segment)))
			memcpy(segment, CMSG_DATA(c), sizeof(*segment));
		else
			return -EOPNOTSUPP;
	}
	if (lane_ip_is_any(src))
		return 0;
	return lane_ifs_addr(shim.view.ln, src) >= 0 ? 0 : -EOPNOTSUPP;
}

int shim_cmsg_name(struct msghdr *m, const struct lane_ep *ep, bool v6)
{
	struct sockaddr_storage ss;
	socklen_t len, room = m->msg_namelen;

	if (!m->msg_name)
		return 0;
	len = shim_addr_fill(ep, v6, &ss);
	m->msg_namelen = len;
	return shim_copy_out(m->msg_name, &ss, room < len ? room : len);
}

/* Appends one, cut to the room that is left: MSG_CTRUNC, as without room for its head. */
static void append(struct msghdr *m, uint8_t *buf, size_t *at, int level, int type, const void *data,
		   size_t len)
{
	size_t room = m->msg_control ? m->msg_controllen - *at : 0;
	struct cmsghdr *c = (void *)(buf + *at);

	if (room < CMSG_LEN(len))
		m->msg_flags |= MSG_CTRUNC;
	if (room < sizeof(*c) || *at + CMSG_SPACE(len) > CONTROL_MAX)
		return;
	memset(c, 0, CMSG_SPACE(len));
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = room < CMSG_LEN(len) ? room : CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	*at += room < CMSG_SPACE(len) ? room : CMSG_SPACE(len);
}

/* When a datagram came, on the wall's clock. */
static void append_time(struct msghdr *m, uint8_t *buf, size_t *at, uint32_t wanted, uint64_t rx_us)
{
	uint64_t now_us = shim_now_us(), ago_us = now_us > rx_us && rx_us ? now_us - rx_us : 0, us;
	struct timespec ts;
	struct timeval tv;

	clock_gettime(CLOCK_REALTIME, &ts);
	us = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000 - ago_us;
	tv.tv_sec = (time_t)(us / 1000000);
	tv.tv_usec = (suseconds_t)(us % 1000000);
	ts.tv_sec = tv.tv_sec;
	ts.tv_nsec = tv.tv_usec * 1000;
	if (wanted & SHIM_CMSG_TIMESTAMPNS)
		append(m, buf, at, SOL_SOCKET, SO_TIMESTAMPNS, &ts, sizeof(ts));
	else
		append(m, buf, at, SOL_SOCKET, SO_TIMESTAMP, &tv, sizeof(tv));
}

static void append_pktinfo(struct msghdr *m, uint8_t *buf, size_t *at, const struct lane_ip *ip,
			   bool v6)
{
	int own = lane_ifs_addr(shim.view.ln, ip);
	unsigned int ifindex = lane_ifs_net(shim.view.ln, own < 0 ? 0 : (unsigned int)own)->ifindex;
	struct in_pktinfo four = {.ipi_ifindex = (int)ifindex};
	struct in6_pktinfo six = {.ipi6_ifindex = ifindex};

	if (v6) {
		memcpy(&six.ipi6_addr, ip->b, 16);
		append(m, buf, at, IPPROTO_IPV6, IPV6_PKTINFO, &six, sizeof(six));
		return;
	}
	four.ipi_addr.s_addr = four.ipi_spec_dst.s_addr = ip->w[3];
	append(m, buf, at, IPPROTO_IP, IP_PKTINFO, &four, sizeof(four));
}

/* Hands 'at' bytes of control messages to the program. Where they cannot be written there are none: what was
 * received is gone from the queue, so this is no error. */
static void put_control(struct msghdr *m, const uint8_t *buf, size_t at)
{
	m->msg_controllen = shim_copy_out(m->msg_control, buf, at) < 0 ? 0 : at;
}

void shim_cmsg_put_inq(struct msghdr *m, int inq)
{
	_Alignas(struct cmsghdr) uint8_t buf[CONTROL_MAX];
	size_t at = 0;

	append(m, buf, &at, IPPROTO_TCP, TCP_CM_INQ, &inq, sizeof(inq));
	put_control(m, buf, at);
}

/* The sockaddr of who says so, behind what is said. */
struct recverr {
	struct sock_extended_err ee;
	union {
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} from;
};

void shim_cmsg_put_error(struct msghdr *m, const struct lane_udp_error *e, bool v6)
{
	_Alignas(struct cmsghdr) uint8_t buf[CONTROL_MAX];
	struct recverr r = {.ee = {.ee_errno = (uint32_t)e->err,
				   .ee_origin = e->is4 ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6,
				   .ee_type = e->type,
				   .ee_code = e->code,
				   .ee_info = e->info}};
	struct lane_ep from = {.ip = e->offender};
	struct sockaddr_storage ss;
	socklen_t len = shim_addr_fill(&from, v6, &ss);
	size_t at = 0;

	memcpy(&r.from, &ss, len);
	append(m, buf, &at, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVERR : IP_RECVERR, &r,
	       sizeof(r.ee) + len);
	put_control(m, buf, at);
}

void shim_cmsg_put_zerocopy(struct msghdr *m, uint32_t first, uint32_t last, bool v6)
{
	_Alignas(struct cmsghdr) uint8_t buf[CONTROL_MAX];
	struct recverr r = {.ee = {.ee_origin = SO_EE_ORIGIN_ZEROCOPY,
				   .ee_code = SO_EE_CODE_ZEROCOPY_COPIED,
				   .ee_info = first,
				   .ee_data = last}};
	size_t at = 0;

	append(m, buf, &at, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVERR : IP_RECVERR, &r,
	       sizeof(r.ee) + (v6 ? sizeof(r.from.v6) : sizeof(r.from.v4)));
	put_control(m, buf, at);
}

void shim_cmsg_put(struct msghdr *m, const struct lane_udp_msg *msg, uint16_t size, uint32_t wanted,
		   bool v6)
{
	_Alignas(struct cmsghdr) uint8_t buf[CONTROL_MAX];
	int ttl = msg->ttl, tos = msg->tos, each = size;
	uint8_t tos4 = msg->tos;
	size_t at = 0;

	if (wanted & (SHIM_CMSG_TIMESTAMP | SHIM_CMSG_TIMESTAMPNS))
		append_time(m, buf, &at, wanted, msg->rx_us);
	if ((wanted & SHIM_CMSG_OVFL) && msg->nr_dropped)
		append(m, buf, &at, SOL_SOCKET, SO_RXQ_OVFL, &msg->nr_dropped,
		       sizeof(msg->nr_dropped));
	if (size)
		append(m, buf, &at, IPPROTO_UDP, SHIM_UDP_GRO, &each, sizeof(each));
	if (wanted & SHIM_CMSG_PKTINFO)
		append_pktinfo(m, buf, &at, &msg->local, v6);
	if (wanted & SHIM_CMSG_TTL)
		append(m, buf, &at, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_HOPLIMIT : IP_TTL, &ttl,
		       sizeof(ttl));
	if ((wanted & SHIM_CMSG_TOS) && v6)
		append(m, buf, &at, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
	else if (wanted & SHIM_CMSG_TOS)
		append(m, buf, &at, IPPROTO_IP, IP_TOS, &tos4, sizeof(tos4));
	put_control(m, buf, at);
}
