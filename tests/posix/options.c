/*
 * options.c - posix.md 57, 83: socket options and their values
 */
#include "t.h"

static void get(int fd, int level, int opt, const char *name)
{
	int v = -1;
	socklen_t len = sizeof(v);
	int r = getsockopt(fd, level, opt, &v, &len);

	if (r < 0)
		t_say("%s: %s", name, strerrorname_np(errno));
	else
		t_say("%s: %d len %u", name, v, len);
}

static void set(int fd, int level, int opt, int v, const char *name)
{
	int r = setsockopt(fd, level, opt, &v, sizeof(v));

	if (r < 0)
		t_say("%s <- %d: %s", name, v, strerrorname_np(errno));
	else
		get(fd, level, opt, name);
}

#define GET(fd, level, opt) get(fd, level, opt, #opt)
#define SET(fd, level, opt, v) set(fd, level, opt, v, #opt)

static void walk(int s)
{
	GET(s, SOL_SOCKET, SO_TYPE);
	GET(s, SOL_SOCKET, SO_DOMAIN);
	GET(s, SOL_SOCKET, SO_PROTOCOL);
	GET(s, SOL_SOCKET, SO_ACCEPTCONN);
	GET(s, SOL_SOCKET, SO_ERROR);
	SET(s, SOL_SOCKET, SO_RCVBUF, 10000);
	SET(s, SOL_SOCKET, SO_SNDBUF, 10000);
	SET(s, SOL_SOCKET, SO_RCVBUF, 1);
	SET(s, SOL_SOCKET, SO_SNDBUF, 1);
	SET(s, SOL_SOCKET, SO_RCVBUF, 100000);
	SET(s, SOL_SOCKET, SO_SNDBUF, 100000);
	SET(s, SOL_SOCKET, SO_KEEPALIVE, 1);
	SET(s, SOL_SOCKET, SO_KEEPALIVE, 7);
	SET(s, SOL_SOCKET, SO_REUSEADDR, 1);
	SET(s, SOL_SOCKET, SO_REUSEPORT, 1);
	SET(s, SOL_SOCKET, SO_BROADCAST, 1);
	SET(s, SOL_SOCKET, SO_OOBINLINE, 1);
	SET(s, SOL_SOCKET, SO_OOBINLINE, 0);
	SET(s, SOL_SOCKET, SO_DONTROUTE, 0);
	SET(s, SOL_SOCKET, SO_PRIORITY, 3);
	SET(s, SOL_SOCKET, SO_MARK, 5);
	SET(s, SOL_SOCKET, SO_RCVLOWAT, 10);
	SET(s, SOL_SOCKET, SO_RCVLOWAT, 1);
	SET(s, SOL_SOCKET, SO_TIMESTAMP, 1);
	SET(s, SOL_SOCKET, SO_TIMESTAMP, 0);
	SET(s, IPPROTO_TCP, TCP_NODELAY, 1);
	SET(s, IPPROTO_TCP, TCP_NODELAY, 0);
	SET(s, IPPROTO_TCP, TCP_CORK, 1);
	SET(s, IPPROTO_TCP, TCP_CORK, 0);
	SET(s, IPPROTO_TCP, TCP_KEEPIDLE, 100);
	SET(s, IPPROTO_TCP, TCP_KEEPIDLE, 0);
	SET(s, IPPROTO_TCP, TCP_KEEPIDLE, 32768);
	SET(s, IPPROTO_TCP, TCP_KEEPINTVL, 10);
	SET(s, IPPROTO_TCP, TCP_KEEPINTVL, 32768);
	SET(s, IPPROTO_TCP, TCP_KEEPCNT, 4);
	SET(s, IPPROTO_TCP, TCP_KEEPCNT, 128);
	SET(s, IPPROTO_TCP, TCP_SYNCNT, 3);
	SET(s, IPPROTO_TCP, TCP_SYNCNT, 0);
	SET(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 1234);
	SET(s, IPPROTO_TCP, TCP_USER_TIMEOUT, -1);
	SET(s, IPPROTO_TCP, TCP_LINGER2, 30);
	SET(s, IPPROTO_TCP, TCP_LINGER2, 1000);
	SET(s, IPPROTO_TCP, TCP_LINGER2, -1);
	SET(s, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
	SET(s, IPPROTO_TCP, TCP_QUICKACK, 1);
	SET(s, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 4096);
	SET(s, IPPROTO_TCP, 99, 1);
	SET(s, SOL_SOCKET, 999, 1);
	SET(s, IPPROTO_IP, IP_TOS, 16);
	SET(s, IPPROTO_IP, IP_TTL, 33);
	SET(s, IPPROTO_IP, IP_TTL, 0);
	SET(s, IPPROTO_IP, IP_TTL, 256);
	SET(s, IPPROTO_IP, IP_TTL, -1);
	SET(s, IPPROTO_IP, IP_MTU_DISCOVER, 1);
	SET(s, IPPROTO_IP, IP_RECVERR, 1);
	SET(s, 77, 1, 1);
}

static void fresh(void)
{
	int s = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));

	GET(s, SOL_SOCKET, SO_RCVBUF);
	GET(s, SOL_SOCKET, SO_SNDBUF);
	GET(s, IPPROTO_TCP, TCP_MAXSEG);
	SET(s, IPPROTO_TCP, TCP_MAXSEG, 87);
	SET(s, IPPROTO_TCP, TCP_MAXSEG, 32768);
	SET(s, IPPROTO_TCP, TCP_MAXSEG, 1000);
	GET(s, IPPROTO_TCP, TCP_MAXSEG);
	SET(s, IPPROTO_TCP, TCP_WINDOW_CLAMP, 1);
	walk(s);
}

static void on_connection(void)
{
	int fd[2];

	t_pair(fd);
	walk(fd[0]);
	t_say("accepted");
	walk(fd[1]);
}

static void on_listener(void)
{
	int l = t_listen(4);

	walk(l);
	GET(l, SOL_SOCKET, SO_ACCEPTCONN);
}

static void lengths(void)
{
	unsigned char b[64];
	socklen_t len;
	int fd[2], one = 1;

	t_pair(fd);
	memset(b, 0xee, sizeof(b));
	setsockopt(fd[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	len = 1;
	SHOW(getsockopt(fd[0], IPPROTO_TCP, TCP_NODELAY, b, &len));
	t_say("%u %x %x", len, b[0], b[1]);
	len = 64;
	SHOW(getsockopt(fd[0], IPPROTO_TCP, TCP_NODELAY, b, &len));
	t_say("%u", len);
	len = 0;
	SHOW(getsockopt(fd[0], IPPROTO_TCP, TCP_NODELAY, b, &len));
	t_say("%u", len);
	len = (socklen_t)-1;
	SHOW(getsockopt(fd[0], IPPROTO_TCP, TCP_NODELAY, b, &len));
	SHOW(setsockopt(fd[0], IPPROTO_TCP, TCP_NODELAY, &one, 2));
	SHOW(setsockopt(fd[0], SOL_SOCKET, SO_KEEPALIVE, &one, 3));
	SHOW(setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &one, 4));
	SHOW(setsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &one, 4));
	struct tcp_info ti;
	len = sizeof(ti);
	SHOW(getsockopt(fd[0], IPPROTO_TCP, TCP_INFO, &ti, &len));
	t_say("state %d long %d", ti.tcpi_state, len >= 100);
	t_say("rto %d mss %d cwnd %d", ti.tcpi_rto >= 200000, ti.tcpi_snd_mss >= 536,
	      ti.tcpi_snd_cwnd >= 2);
	len = 8;
	SHOW(getsockopt(fd[0], IPPROTO_TCP, TCP_INFO, &ti, &len));
	t_say("%u", len);
	int l = t_listen(3);
	len = sizeof(ti);
	SHOW(getsockopt(l, IPPROTO_TCP, TCP_INFO, &ti, &len));
	t_say("state %d", ti.tcpi_state);
}

/* Lengths and pointers that make no sense, and options that make none on a connection. */
static void senseless(void)
{
	struct sockaddr_storage peer;
	int fd[2], one = 1, val = 77;
	socklen_t len = sizeof(peer);

	t_pair(fd);
	SHOW(setsockopt(fd[0], SOL_SOCKET, SO_REUSEADDR, &one, (socklen_t)-1));
	SHOW(setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &one, (socklen_t)-1));
	SHOW(getsockopt(fd[0], SOL_SOCKET, SO_MAX_PACING_RATE, &val, (socklen_t *)8));
	SHOW(getsockopt(fd[0], SOL_SOCKET, SO_MAX_PACING_RATE, &val, NULL));
	SHOW(getsockopt(fd[0], SOL_SOCKET, SO_PEERNAME, &peer, &len));
	len = sizeof(struct sockaddr_in);
	SHOW(getsockopt(fd[0], SOL_SOCKET, SO_PEERNAME, &peer, &len));
	t_say("%u bytes, family %d", len, peer.ss_family);
	len = sizeof(val);
	SHOW(getsockopt(fd[0], IPPROTO_IP, 0, &val, &len));
	SHOW(getsockopt(fd[0], IPPROTO_IPV6, IPV6_UNICAST_HOPS, &val, &len));
	SHOW(setsockopt(fd[0], IPPROTO_IPV6, IPV6_UNICAST_HOPS, &one, sizeof(one)));
	SHOW(getsockopt(fd[0], IPPROTO_IP, IP_MTU, &val, &len));
	t_say("%d", val);
	val = 16;
	SHOW(setsockopt(fd[0], IPPROTO_IP, IP_TOS, &val, sizeof(val)));
	SHOW(setsockopt(fd[0], IPPROTO_IP, IP_TOS, &val, 0));
	SHOW(getsockopt(fd[0], IPPROTO_IP, IP_TOS, &val, &len));
	t_say("%d", val);
	SHOW(setsockopt(fd[0], IPPROTO_TCP, TCP_FASTOPEN, &one, sizeof(one)));
	SHOW(setsockopt(fd[0], IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one)));
}

/* What an accepted connection has from its listener. */
static void switches_inherited(void)
{
	static const int names[] = {SO_REUSEADDR, SO_BROADCAST, SO_DONTROUTE, SO_KEEPALIVE};
	int l = t_listen(3), fd[2], one = 1, val;
	socklen_t len = sizeof(val);

	SHOW(setsockopt(l, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)));
	fd[0] = t_connect(t_port(l));
	fd[1] = (int)MUST(accept(l, NULL, NULL));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		MUST(getsockopt(fd[1], SOL_SOCKET, names[i], &val, &len));
		t_say("%d: %d", names[i], val);
	}
}

static void congestion(void)
{
	char name[32] = "";
	socklen_t len = sizeof(name);
	int fd[2];

	t_pair(fd);
	SHOW(getsockopt(fd[0], IPPROTO_TCP, TCP_CONGESTION, name, &len));
	t_say("%u", len);
	SHOW(setsockopt(fd[0], IPPROTO_TCP, TCP_CONGESTION, "nonsense", 8));
	SHOW(setsockopt(fd[0], IPPROTO_TCP, TCP_CONGESTION, "cubic", 5));
	len = sizeof(name);
	SHOW(getsockopt(fd[0], IPPROTO_TCP, TCP_CONGESTION, name, &len));
	t_say("%s %u", name, len);
	SHOW(setsockopt(fd[0], IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	len = sizeof(name);
	SHOW(getsockopt(fd[0], IPPROTO_TCP, TCP_CONGESTION, name, &len));
	t_say("%s", name);
}

static void show_congestion(int fd, const char *whose)
{
	char name[32] = "";
	socklen_t len = sizeof(name);

	MUST(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	t_say("%s %s", whose, name);
}

/* Chosen before the connection, by its listener and by its opener. */
static void congestion_before(void)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	int l = t_listen(3), s = socket(AF_INET, SOCK_STREAM, 0), c;

	SHOW(setsockopt(l, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5));
	SHOW(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	MUST(getsockname(l, (struct sockaddr *)&a, &len));
	MUST(connect(s, (struct sockaddr *)&a, len));
	c = accept(l, NULL, NULL);
	show_congestion(s, "opener");
	show_congestion(c, "accepted");
	close(c);
	close(s);
	close(l);
}

static void show_pacing(int fd)
{
	unsigned long rate = 0;
	socklen_t len = sizeof(rate);

	GET(fd, SOL_SOCKET, SO_MAX_PACING_RATE);
	MUST(getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, &len));
	t_say("%lu len %u", rate, len);
}

static void pacing(void)
{
	unsigned long rate = 3000000;
	int fd[2];

	t_pair(fd);
	show_pacing(fd[0]);
	SET(fd[0], SOL_SOCKET, SO_MAX_PACING_RATE, 2000000);
	show_pacing(fd[0]);
	SHOW(setsockopt(fd[0], SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate)));
	show_pacing(fd[0]);
	rate = ~0UL;
	SHOW(setsockopt(fd[0], SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate)));
	show_pacing(fd[0]);
	SHOW(setsockopt(fd[0], SOL_SOCKET, SO_MAX_PACING_RATE, &rate, 2));
}

static void maxseg(void)
{
	int l = t_listen(3), c, v = 600;
	struct sockaddr_in a = t_addr(t_port(l));

	c = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	SHOW(setsockopt(c, IPPROTO_TCP, TCP_MAXSEG, &v, sizeof(v)));
	MUST(connect(c, (struct sockaddr *)&a, sizeof(a)));
	int s = (int)MUST(accept(l, NULL, NULL));
	socklen_t len = sizeof(v);
	SHOW(getsockopt(s, IPPROTO_TCP, TCP_MAXSEG, &v, &len));
	t_say("%d", v <= 600 && v >= 500);
}

static void ioctls(void)
{
	int fd[2], one = 1, v;

	t_pair(fd);
	SHOW(ioctl(fd[0], FIONBIO, &one));
	SHOW(ioctl(fd[0], FIOCLEX));
	SHOW(fcntl(fd[0], F_GETFD));
	SHOW(ioctl(fd[0], FIONCLEX));
	SHOW(fcntl(fd[0], F_GETFD));
	SHOW(ioctl(fd[0], FIOASYNC, &one));
	SHOW(fcntl(fd[0], F_GETFL) & O_ASYNC ? 1 : 0);
	SHOW(ioctl(fd[0], 0x1234, &v));
	SHOW(fcntl(fd[0], F_SETOWN, getpid()));
	SHOW(fcntl(fd[0], F_GETOWN) == getpid());
	SHOW(fcntl(fd[0], 9999));
	SHOW(fcntl(fd[0], F_SETFL, O_NONBLOCK | O_APPEND) );
}

/* Sets net.ipv4.'name' of the namespace; what it was goes to 'old'. */
static void set_sysctl(const char *name, const char *value, char *old)
{
	char path[80];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", name);
	fd = (int)MUST(open(path, O_RDWR));
	if (old)
		old[MUST(read(fd, old, 31))] = 0;
	MUST(pwrite(fd, value, strlen(value), 0));
	close(fd);
}

static void show_defaults(void)
{
	struct tcp_info ti;
	socklen_t len = sizeof(ti);
	int fd[2];

	t_pair(fd);
	GET(fd[0], IPPROTO_TCP, TCP_KEEPIDLE);
	GET(fd[0], IPPROTO_TCP, TCP_KEEPINTVL);
	GET(fd[0], IPPROTO_TCP, TCP_KEEPCNT);
	GET(fd[0], IPPROTO_TCP, TCP_LINGER2);
	GET(fd[0], IPPROTO_TCP, TCP_SYNCNT);
	MUST(getsockopt(fd[0], IPPROTO_TCP, TCP_INFO, &ti, &len));
	t_say("options %d", ti.tcpi_options & 7);
	if (ti.tcpi_options & 4)
		t_say("scale %d", ti.tcpi_rcv_wscale);
	close(fd[0]);
	close(fd[1]);
}

/* posix.md 84: before the first socket, and between sockets. */
static void sysctls(void)
{
	static const char *const set[][2] = {
		{"tcp_keepalive_time", "1234"}, {"tcp_rmem", "4096 131072 600000"},
		{"tcp_keepalive_intvl", "33"},	{"tcp_keepalive_probes", "4"},
		{"tcp_fin_timeout", "17"},	{"tcp_syn_retries", "2"},
		{"tcp_timestamps", "0"},	{"tcp_sack", "0"},
		{"tcp_window_scaling", "0"},
	};
	char old[9][32];
	int i;

	for (i = 0; i < 2; i++)
		set_sysctl(set[i][0], set[i][1], old[i]);
	show_defaults();
	t_sleep_ms(1100);
	for (; i < 9; i++)
		set_sysctl(set[i][0], set[i][1], old[i]);
	close(t_listen(1)); /* lane looks for changes when sockets are made, once a second */
	t_sleep_ms(300);
	show_defaults();
	for (i = 0; i < 9; i++)
		set_sysctl(set[i][0], old[i], NULL);
}

T_MAIN(T_CASE(fresh), T_CASE(on_connection), T_CASE(on_listener), T_CASE(lengths), T_CASE(senseless), T_CASE(switches_inherited),
       T_CASE(congestion), T_CASE(congestion_before), T_CASE(pacing), T_CASE(maxseg), T_CASE(ioctls), T_CASE(sysctls))
