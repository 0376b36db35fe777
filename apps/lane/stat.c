/*
 * stat.c - lane stat: what a lane does and has done, read from outside by shared memory
 *
 * Nothing is locked and nobody is disturbed: figures are read one by one and may be of slightly
 * different moments.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/xdp/xdp.h"
#include "lane-int/ifs.h"
#include "lane-int/state.h"
#include "tool.h"

static const char *keeper_state(const struct shim_arena *a)
{
	static const char *const names[] = {"opening", "asleep", "napping", "gone"};
	uint32_t state = a->keeper_state;

	if (kill(a->keeper_pid, 0) && errno == ESRCH)
		return "dead: members go on without its promises";
	return state < 4 ? names[state] : "unknown";
}

static uint64_t ago(uint64_t then_us)
{
	uint64_t now = shim_now_us();

	return then_us && now > then_us ? now - then_us : 0;
}

/* "eth0,lo" */
static void interfaces(const struct shim_view *v, char *out, size_t size)
{
	size_t len = 0;
	unsigned int i;

	out[0] = 0;
	for (i = 0; i < lane_nr_ifs(v->ln) && len < size; i++)
		len += (size_t)snprintf(out + len, size - len, "%s%.15s", i ? "," : "",
					lane_nettab_at(v->ln, i)->ifname);
}

static uint64_t nr_queues(const struct shim_view *v)
{
	uint64_t nr = 0;
	unsigned int i;

	for (i = 0; i < lane_nr_ifs(v->ln); i++)
		nr += v->a->xdp[i].nr_queues;
	return nr;
}

/* Where the lane has several interfaces: what each is and how much went by it. */
static void put_interfaces(struct out *o, const struct shim_view *v)
{
	const struct lane_if_stats *st = v->ln->st->ifs;
	unsigned int i, nr = lane_nr_ifs(v->ln);
	const char *name;
	char text[512];

	if (nr < 2)
		return;
	if (!o->json)
		printf("interfaces\n  %-16s %12s %12s  %s\n", "name", "rx_packets", "tx_packets",
		       "device");
	out_list(o, "interfaces");
	for (i = 0; i < nr; i++) {
		name = lane_nettab_at(v->ln, i)->ifname;
		lane_xdp_describe(&v->a->xdp[i], text, sizeof(text));
		if (!o->json) {
			printf("  %-16.16s %12llu %12llu  %s\n", name,
			       (unsigned long long)st[i].rx_packets,
			       (unsigned long long)st[i].tx_packets, text);
			continue;
		}
		out_item(o);
		out_string(o, "name", name);
		out_string(o, "device", text);
		out_number(o, "if_rx_packets", st[i].rx_packets, NULL);
		out_number(o, "if_tx_packets", st[i].tx_packets, NULL);
		out_close(o);
	}
	out_list_end(o);
}

/* Of the first interface; a TAP device has no other beside it. */
static void describe_device(const struct shim_arena *a, char *out, size_t size)
{
	if (a->driver == LANE_DEV_DPDK)
		snprintf(out, size, "%.255s", a->dpdk.device);
	else if (a->driver == LANE_DEV_TAP)
		snprintf(out, size, "tap, frames lost %llu", (unsigned long long)a->tap.nr_lost);
	else
		lane_xdp_describe(&a->xdp[0], out, size);
}

static void put_keeper(struct out *o, const struct shim_view *v)
{
	const struct shim_arena *a = v->a;
	char text[512];

	out_open(o, "lane");
	interfaces(v, text, sizeof(text));
	out_string(o, "interface", text);
	describe_device(a, text, sizeof(text));
	out_string(o, "device", text);
	if (a->control[0])
		out_string(o, "control", a->control);
	out_number(o, "queues", nr_queues(v), NULL);
	out_string(o, "bound", a->xdp[0].bound ? "yes" : "no: no program has joined yet");
	out_number(o, "keeper_pid", (uint64_t)a->keeper_pid, NULL);
	out_string(o, "keeper_state", keeper_state(a));
	out_number(o, "keeper_seen_us", ago(a->keeper_seen_us), "since it last looked");
	if (a->keeper_error[0])
		out_string(o, "keeper_error", a->keeper_error);
	if (a->warning[0])
		out_string(o, "warning", a->warning);
	if (a->dpdk.said[0])
		out_string(o, "eal", a->dpdk.said);
	if (!a->control[0] && netfilter_is_used())
		out_string(o, "netfilter",
			   "input or output rules exist: claimed traffic passes by them");
	out_close(o);
}

static void put_members(struct out *o, const struct shim_view *v)
{
	int i;

	if (!o->json)
		printf("members\n  %-8s %-16s %-6s %s\n", "pid", "name", "uid",
		       "us since last poll");
	out_list(o, "members");
	for (i = 0; i < SHIM_ROWS; i++) {
		const struct shim_row *r = &v->a->row[i];

		if (r->state != SHIM_ROW_LIVE)
			continue;
		if (!o->json) {
			printf("  %-8d %-16.16s %-6u %llu\n", r->pid, r->comm, r->uid,
			       (unsigned long long)ago(r->last_poll_us));
			continue;
		}
		out_item(o);
		out_number(o, "pid", (uint64_t)r->pid, NULL);
		out_string(o, "name", r->comm);
		out_number(o, "uid", r->uid, NULL);
		out_number(o, "last_poll_us", ago(r->last_poll_us), NULL);
		out_number(o, "lock_contended", r->nr_contended, NULL);
		out_close(o);
	}
	out_list_end(o);
}

static void put_sockets(struct out *o, const struct shim_view *v)
{
	const struct lane_state *st = v->ln->st;
	const struct shim_arena *a = v->a;

	out_open(o, "sockets");
	out_number(o, "sockets", a->nr_socks_used, "open in programs");
	out_number(o, "sockets_max", v->nr_socks, NULL);
	out_number(o, "tcp_pcbs", st->tcp_pool.nr_used,
		   "connections and listeners, closing ones too");
	out_number(o, "tcp_pcbs_most", st->tcp_pool.nr_max, "at one time");
	out_number(o, "tcp_pcbs_max", st->tcp_pool.nr, NULL);
	out_number(o, "tcp_half_open", st->syn_pool.nr_used, "handshakes that wait for the peer's ACK");
	out_number(o, "tcp_half_open_most", st->syn_pool.nr_max, "at one time");
	out_number(o, "tcp_half_open_max", st->syn_pool.nr, "beyond it: SYN cookies");
	out_number(o, "tcp_time_wait", st->tw_pool.nr_used, NULL);
	out_number(o, "udp_pcbs", st->udp_pool.nr_used, NULL);
	out_number(o, "epoll_sets", a->nr_eps_used, "with lane sockets in them");
	out_number(o, "epoll_watches", a->nr_watches_used, NULL);
	out_number(o, "frames_free", st->bufs.nr_free, NULL);
	out_number(o, "frames_free_least", st->bufs.nr_low, "at one time");
	out_number(o, "frames", st->bufs.nr, NULL);
	out_close(o);
}

static void put_traffic(struct out *o, const struct shim_view *v)
{
	const struct lane_stats *s = lane_stats(v->ln);
	unsigned int i;

	out_open(o, "traffic");
#define X(name, text) out_number(o, #name, s->name, text);
	LANE_COUNTERS(X)
#undef X
	out_close(o);
	out_open(o, "drops");
	for (i = 1; i < LANE_NR_DROPS; i++) {
		if (s->drops[i])
			out_number(o, lane_drop_name((enum lane_drop)i), s->drops[i],
				   lane_drop_text((enum lane_drop)i));
	}
	out_close(o);
}

/* What is in force, as the sysctls show it. */
static void put_knobs(struct out *o, const struct shim_view *v)
{
	char value[128];
	unsigned int i;

	out_open(o, "sysctls");
	for (i = 0; lane_knob_name(i); i++) {
		lane_knob_get(&v->ln->st->cfg, i, value, sizeof(value));
		if (!o->json && !(v->a->knobs >> i & 1))
			strcat(value, " (default)");
		out_string(o, lane_knob_name(i), value);
	}
	out_close(o);
}

static void put_fallbacks(struct out *o, const struct shim_view *v)
{
	unsigned int i;

	out_open(o, "fallbacks");
	for (i = 0; i < SHIM_NR_FB; i++) {
		if (v->a->fallbacks[i])
			out_number(o, shim_fallback_name((enum shim_fallback)i), v->a->fallbacks[i],
				   shim_fallback_text((enum shim_fallback)i));
	}
	out_close(o);
}

static void put_waiting(struct out *o, const struct shim_view *v)
{
	const struct shim_arena *a = v->a;

	out_open(o, "lock_and_waits");
	out_number(o, "lock_contended", a->nr_lock_contended, "times the lock was not free");
	out_number(o, "lock_owner_died", a->owner_died, "times a member died inside it");
	out_number(o, "waiting", a->nr_waiting + a->nr_spinning, "threads that wait now");
	out_number(o, "spinning", a->nr_spinning, "of them, spinning");
	out_number(o, "sleeps", a->nr_sleeps, NULL);
	out_number(o, "wakes", a->nr_wakes, NULL);
	out_number(o, "stand_bys", a->nr_stand_bys, "threads that left the frames to others of their process");
	out_number(o, "doorbells", a->nr_doorbells, "members woken by another member");
	out_number(o, "deferred_kicks", a->nr_deferred, NULL);
	out_number(o, "keeper_turns", a->nr_keeper_turns, "turns that no member took in time");
	out_close(o);
}

/* The driver's own counters come as "name value" lines. */
static void put_device(struct out *o, const struct shim_view *v, unsigned int i)
{
	char text[4096], title[32] = "device", *line, *next, *space;

	if (v->a->driver == LANE_DEV_DPDK)
		snprintf(text, sizeof(text), "%.4095s", v->a->dpdk.stats);
	else if (lane_xdp_stats(&v->a->xdp[i], &v->xdp[i], text, sizeof(text)) <= 0)
		return;
	if (lane_nr_ifs(v->ln) > 1)
		snprintf(title, sizeof(title), "device %.15s", lane_nettab_at(v->ln, i)->ifname);
	out_open(o, title);
	for (line = text; *line; line = next) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = 0;
		space = strrchr(line, ' ');
		if (!space)
			continue;
		*space++ = 0;
		out_number(o, line, strtoull(space, NULL, 10), NULL);
	}
	out_close(o);
}

int cmd_stat(int argc, char **argv)
{
	const char *usage =
		"usage: lane stat [-i IF] [--json]\n\n"
		"Shows the lane of IF (or of the only interface that is served): device and\n"
		"keeper, members, sockets, traffic, drops and fallbacks with their reasons.";
	struct shim_view v;
	unsigned int i;
	struct out o;
	bool json;
	int r = find_report(argc, argv, usage, &json, &v);

	if (r >= 0)
		return r;
	out_start(&o, json);
	put_keeper(&o, &v);
	put_interfaces(&o, &v);
	put_members(&o, &v);
	put_sockets(&o, &v);
	put_traffic(&o, &v);
	put_fallbacks(&o, &v);
	put_knobs(&o, &v);
	put_waiting(&o, &v);
	for (i = 0; i < lane_nr_ifs(v.ln); i++)
		put_device(&o, &v, i);
	out_end(&o);
	shim_arena_unmap(&v);
	return 0;
}
