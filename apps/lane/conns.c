/*
 * conns.c - lane conns: the connections of a lane, as ss(8) shows the kernel's
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <lane/tcp.h>
#include <lane/udp.h>

#include "lane-int/state.h"
#include "lane-int/tcp_info.h"
#include "tool.h"

#define CONNS_EP 64 /* bytes of an endpoint's text */

/* One line of the report. */
struct conn {
	const char *proto, *state;
	char local[CONNS_EP], remote[CONNS_EP], members[128];
	uint32_t rcv_queue, snd_queue; /* bytes; UDP: datagrams; listener: waiting connections */
	uint32_t rtt_us, cwnd;
};

static void print_ep(char out[CONNS_EP], const struct lane_ep *ep)
{
	char ip[INET6_ADDRSTRLEN];

	if (lane_ip_is4(&ep->ip)) {
		inet_ntop(AF_INET, &ep->ip.w[3], ip, sizeof(ip));
		snprintf(out, CONNS_EP, "%s:%u", ip, ep->port);
	} else {
		inet_ntop(AF_INET6, ep->ip.b, ip, sizeof(ip));
		snprintf(out, CONNS_EP, "[%s]:%u", ip, ep->port);
	}
}

/* Who holds the sock: "1234/nginx,1235/nginx", "-" for a connection that its program has closed. */
static void print_members(struct shim_view *v, uint64_t cookie, uint32_t pcb, char *out,
			  size_t size)
{
	const struct shim_sock *s = shim_sock_at(v, (uint32_t)cookie);
	shim_rows rows = s && s->pcb == pcb ? s->rows : 0;
	size_t len = 0;
	int i;

	snprintf(out, size, "-");
	for (i = 0; i < SHIM_ROWS; i++) {
		if (rows >> i & 1 && len < size)
			len += (size_t)snprintf(out + len, size - len, "%s%d/%.15s", len ? "," : "",
						v->a->row[i].pid, v->a->row[i].comm);
	}
}

static void put_conn(struct out *o, const struct conn *c)
{
	if (!o->json) {
		printf("%-5s %-12s %7u %7u %-24s %-24s %8u %6u %s\n", c->proto, c->state,
		       c->rcv_queue, c->snd_queue, c->local, c->remote, c->rtt_us, c->cwnd,
		       c->members);
		return;
	}
	out_item(o);
	out_string(o, "proto", c->proto);
	out_string(o, "state", c->state);
	out_number(o, "rcv_queue", c->rcv_queue, NULL);
	out_number(o, "snd_queue", c->snd_queue, NULL);
	out_string(o, "local", c->local);
	out_string(o, "remote", c->remote);
	out_number(o, "rtt_us", c->rtt_us, NULL);
	out_number(o, "cwnd", c->cwnd, NULL);
	out_string(o, "members", c->members);
	out_close(o);
}

static void put_tcp(struct out *o, struct shim_view *v, uint32_t i, const struct lane_tcp *pcb)
{
	struct lane_tcp_info_out info;
	struct lane_tcp_status st;
	struct conn c = {.proto = "tcp", .remote = "*"};
	struct lane_ep ep;

	lane_tcp_get_status(v->ln, pcb, &st);
	lane_tcp_get_info(v->ln, pcb, &info);
	c.state = lane_tcp_state_name(st.state);
	c.rcv_queue = st.state == LANE_TCP_LISTEN ? st.nr_accept : st.rcv_queued;
	c.snd_queue = st.snd_queued;
	c.rtt_us = info.rtt_us;
	c.cwnd = info.cwnd;
	lane_tcp_get_local(v->ln, pcb, &ep);
	print_ep(c.local, &ep);
	if (lane_tcp_get_remote(v->ln, pcb, &ep) == 0)
		print_ep(c.remote, &ep);
	print_members(v, lane_tcp_cookie(pcb), i, c.members, sizeof(c.members));
	put_conn(o, &c);
}

/* A half-open connection of a peer: no program knows of it yet. */
static void put_syn(struct out *o, const struct lane_ep *local, const struct lane_ep *remote)
{
	struct conn c = {.proto = "tcp", .members = "-"};

	c.state = lane_tcp_state_name(LANE_TCP_SYN_RECEIVED);
	print_ep(c.local, local);
	print_ep(c.remote, remote);
	put_conn(o, &c);
}

static void put_udp(struct out *o, struct shim_view *v, uint32_t i, const struct lane_udp *pcb)
{
	struct conn c = {.proto = "udp", .state = "BOUND", .remote = "*"};
	struct lane_ep ep;

	lane_udp_get_local(pcb, &ep);
	print_ep(c.local, &ep);
	if (lane_udp_get_remote(pcb, &ep) == 0) {
		c.state = "CONNECTED";
		print_ep(c.remote, &ep);
	}
	c.rcv_queue = lane_udp_nr_queued(pcb);
	print_members(v, lane_udp_cookie(pcb), i, c.members, sizeof(c.members));
	put_conn(o, &c);
}

static void put_all(struct out *o, struct shim_view *v)
{
	const struct lane_state *st = v->ln->st;
	const struct lane_tcp *tcp;
	struct lane_ep local, remote;
	const struct lane_udp *udp;
	uint32_t i;

	for (i = 0; i < st->tcp_pool.nr; i++) {
		tcp = lane_tcp_at(v->ln, i);
		if (tcp)
			put_tcp(o, v, i, tcp);
	}
	for (i = 0; i < st->syn_pool.nr; i++) {
		if (lane_tcp_syn_at(v->ln, i, &local, &remote))
			put_syn(o, &local, &remote);
	}
	for (i = 0; i < st->udp_pool.nr; i++) {
		udp = lane_udp_at(v->ln, i);
		if (udp)
			put_udp(o, v, i, udp);
	}
}

int cmd_conns(int argc, char **argv)
{
	const char *usage =
		"usage: lane conns [-i IF] [--json]\n\n"
		"Lists the connections and sockets of the lane of IF: queues in bytes (a\n"
		"listener's: connections that wait; UDP: datagrams), smoothed round trip in\n"
		"us, congestion window in segments, and the programs that hold them.";
	struct shim_view v;
	struct out o;
	bool json;
	int r = find_report(argc, argv, usage, &json, &v);

	if (r >= 0)
		return r;
	out_start(&o, json);
	out_list(&o, "connections");
	if (!json)
		printf("%-5s %-12s %7s %7s %-24s %-24s %8s %6s %s\n", "proto", "state", "rcv-q",
		       "snd-q", "local", "remote", "rtt_us", "cwnd", "members");
	put_all(&o, &v);
	out_list_end(&o);
	out_number(&o, "time_wait", v.ln->st->tw_pool.nr_used, "connections in TIME_WAIT");
	out_end(&o);
	shim_arena_unmap(&v);
	return 0;
}
