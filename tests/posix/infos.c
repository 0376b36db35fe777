/*
 * infos.c - TCP_INFO, field by field, after the same conversation
 *
 * Segments are of 1,000 bytes at most, since the kernel's on lo are larger than a frame. What depends on time or on how
 * the text was cut is said as a range, or as what must hold between fields.
 */
#include "t.h"

/* Linux' struct tcp_info, of which libc has the first part only. */
struct info {
	struct tcp_info i;
	uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
	uint32_t segs_out, segs_in, notsent, min_rtt, data_in, data_out;
	uint64_t delivery_rate, busy, rwnd_limited, sndbuf_limited;
	uint32_t delivered, delivered_ce;
	uint64_t bytes_sent, bytes_retrans;
	uint32_t dsack_dups, reord_seen, ooo, snd_wnd;
};

static struct info get(int fd)
{
	struct info n;
	socklen_t len = sizeof(n);

	memset(&n, 0, sizeof(n));
	MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &n, &len));
	return n;
}

/* A pair whose segments carry 'mss' bytes less the timestamps. */
static void pair(int fd[2], int mss)
{
	int l = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	struct sockaddr_in a = t_addr(0);

	MUST(setsockopt(l, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss)));
	MUST(bind(l, (struct sockaddr *)&a, sizeof(a)));
	MUST(listen(l, 5));
	a = t_addr(t_port(l));
	fd[0] = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(setsockopt(fd[0], IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss)));
	MUST(connect(fd[0], (struct sockaddr *)&a, sizeof(a)));
	fd[1] = (int)MUST(accept(l, NULL, NULL));
	close(l);
}

/* All is acknowledged: what must be the same then, and ranges for the rest. */
static void say(const char *who, int fd)
{
	struct info n = get(fd);

	t_say("%s: state %d ca %d retransmits %d probes %d backoff %d options %#x scales %d %d", who, n.i.tcpi_state,
	      n.i.tcpi_ca_state, n.i.tcpi_retransmits, n.i.tcpi_probes, n.i.tcpi_backoff, n.i.tcpi_options,
	      n.i.tcpi_snd_wscale, n.i.tcpi_rcv_wscale);
	t_say("mss %d %d, offered %d, pmtu %d", n.i.tcpi_snd_mss, n.i.tcpi_rcv_mss, n.i.tcpi_advmss, n.i.tcpi_pmtu);
	t_say("unacked %d sacked %d lost %d retrans %d fackets %d notsent %d", n.i.tcpi_unacked, n.i.tcpi_sacked,
	      n.i.tcpi_lost, n.i.tcpi_retrans, n.i.tcpi_fackets, n.notsent);
	t_say("ssthresh %d cwnd %d reordering %d rto %d ato %d", n.i.tcpi_snd_ssthresh, n.i.tcpi_snd_cwnd >= 10,
	      n.i.tcpi_reordering, n.i.tcpi_rto >= 200000, n.i.tcpi_ato);
	t_say("rcv_space %d rcv_ssthresh %d snd_wnd %d", n.i.tcpi_rcv_space, n.i.tcpi_rcv_ssthresh >= 32768,
	      n.snd_wnd >= 32768);
	t_say("acked %d received %d sent %d", (int)n.bytes_acked, (int)n.bytes_received,
	      (int)(n.bytes_sent - n.bytes_retrans));
	t_say("pacing %d max %d rate %d", n.pacing_rate != 0, n.max_pacing_rate == UINT64_MAX,
	      (n.delivery_rate != 0) == (n.bytes_sent != 0));
	t_say("rtt %d min %d", n.i.tcpi_rtt != 0, n.min_rtt != 0);
}

static char text[5000];

static void fresh(void)
{
	int fd[2];

	pair(fd, 1000);
	for (int i = 0; i < 2; i++) {
		struct info n = get(fd[i]);

		say(i ? "server" : "client", fd[i]);
		t_say("segments %d %d, window %d", n.segs_out, n.segs_in, n.snd_wnd);
	}
}

static void exchanged(void)
{
	int fd[2];

	pair(fd, 1000);
	for (int i = 0; i < 20; i++) {
		MUST(t_write_all(fd[0], text, 100));
		MUST(t_read_all(fd[1], text, 100));
		MUST(t_write_all(fd[1], text, 300));
		MUST(t_read_all(fd[0], text, 300));
	}
	t_sleep_ms(300);
	say("client", fd[0]);
	say("server", fd[1]);
}

static void unread(void)
{
	int fd[2];

	pair(fd, 1000);
	MUST(t_write_all(fd[0], text, 5000));
	t_sleep_ms(300);
	say("client", fd[0]);
	say("server", fd[1]);
	t_say("since: sent %d received %d", get(fd[0]).i.tcpi_last_data_sent >= 250, get(fd[1]).i.tcpi_last_data_recv >= 250);
}

static void closing(void)
{
	int fd[2];

	pair(fd, 1000);
	MUST(t_write_all(fd[0], text, 10));
	MUST(shutdown(fd[0], SHUT_WR));
	t_sleep_ms(300);
	say("client", fd[0]);
	say("server", fd[1]);
	close(fd[1]);
	t_sleep_ms(300);
	say("client", fd[0]);
}

T_MAIN(T_CASE(fresh), T_CASE(exchanged), T_CASE(unread), T_CASE(closing))
