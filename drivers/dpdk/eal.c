/*
 * eal.c - starting DPDK's environment: its options, its memory, its complaints
 *
 * What is added to the user's options, unless they speak of the same thing: no PCI scan (EAL would take the machine's
 * own NIC), no telemetry, no files shared with other processes, no hugepages with just enough memory, all the
 * CPUs that this thread may use (EAL would pin it to one), errors only.
 */
#include <ctype.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_malloc.h>
#include <rte_memzone.h>

#include "queue.h"

#define ARGS_MAX  64
#define MORE	  (32u << 20) /* bytes for queues and the like beside the lanes */
#define CPUS_TEXT 1024
#define REGIONS	  64 /* of memory(), at most */

struct args {
	char *v[ARGS_MAX + 1];
	int n, nr_users; /* the first ones after the name are the user's */
	char *text;	 /* a copy of the user's options, cut up */
	char cpus[CPUS_TEXT];
	char mb[16];
};

static void add(struct args *a, const char *arg)
{
	if (a->n < ARGS_MAX)
		a->v[a->n++] = (char *)arg;
}

/* Is one of the options in 'names' ("--allow -a") among the user's? */
static bool said(const struct args *a, const char *names)
{
	for (const char *name = names; *name; name += strspn(name + strcspn(name, " "), " ") + strcspn(name, " ")) {
		size_t len = strcspn(name, " ");

		for (int i = 1; i <= a->nr_users; i++) {
			const char *arg = a->v[i];

			/* -aADDRESS, --allow=ADDRESS */
			if (strncmp(arg, name, len) == 0 && (name[1] != '-' || !arg[len] || arg[len] == '='))
				return true;
		}
	}
	return false;
}

/* "0@(0,1,5)": one thread on all of them. */
static const char *cpus(struct args *a)
{
	size_t len = (size_t)snprintf(a->cpus, sizeof(a->cpus), "0@(");
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		CPU_SET(0, &set);
	for (int i = 0; i < CPU_SETSIZE && len < sizeof(a->cpus) - 8; i++)
		if (CPU_ISSET(i, &set))
			len += (size_t)snprintf(a->cpus + len, sizeof(a->cpus) - len, "%d,", i);
	a->cpus[len - 1] = ')';
	return a->cpus;
}

static void add_ours(struct args *a, size_t bytes)
{
	if (!said(a, "--allow -a --no-pci"))
		add(a, "--no-pci");
	if (!said(a, "--telemetry --no-telemetry"))
		add(a, "--no-telemetry");
	if (!said(a, "--in-memory --no-shconf --file-prefix --proc-type"))
		add(a, "--no-shconf");
	if (!said(a, "--in-memory --no-huge --huge-dir --huge-unlink --socket-mem --legacy-mem --proc-type"))
		add(a, "--no-huge");
	if (!said(a, "-m --socket-mem --in-memory --huge-dir --huge-unlink")) {
		snprintf(a->mb, sizeof(a->mb), "%zu", (bytes + MORE + (1u << 20) - 1) >> 20);
		add(a, "-m");
		add(a, a->mb);
	}
	if (!said(a, "--lcores --main-lcore -l -c -s")) {
		add(a, "--lcores");
		add(a, cpus(a));
	}
	if (!said(a, "--log-level"))
		add(a, "--log-level=error");
}

static int make_args(struct args *a, const char *eal, size_t bytes)
{
	char *save = NULL;

	a->text = strdup(eal ? eal : "");
	if (!a->text)
		return -ENOMEM;
	add(a, "EAL"); /* getopt's messages begin with it */
	for (char *w = strtok_r(a->text, " \t\n", &save); w; w = strtok_r(NULL, " \t\n", &save))
		add(a, w);
	a->nr_users = a->n - 1;
	add_ours(a, bytes);
	return a->n < ARGS_MAX ? 0 : -E2BIG;
}

/* ---- starting ---- */

static const char *hint(const char *text)
{
	if (strcasestr(text, "unrecognized option") || strcasestr(text, "invalid option") ||
	    strcasestr(text, "Invalid parameters"))
		return " (look at the spelling in --eal)";
	if (strcasestr(text, "hugepage") || strcasestr(text, "hugetlbfs"))
		return " (mount hugepages, or leave the option out: lane needs none)";
	if (strcasestr(text, "permission") || strcasestr(text, "Operation not permitted"))
		return " (root?)";
	return "";
}

static int fail(int e, char *text, char *err)
{
	char what[LANE_DPDK_ERR - 96];
	int r = e ? -e : -EIO;

	if (e == EALREADY) {
		snprintf(err, LANE_DPDK_ERR, "EAL was started before in this process, which works once");
		return r;
	}
	lane_dpdk_sentence(text, what, sizeof(what));
	snprintf(err, LANE_DPDK_ERR, "EAL: %s%s", what[0] ? what : rte_strerror(-r), hint(what));
	return r;
}

/* What EAL and PMDs change of the process, and it is not theirs. */
struct kept {
	struct sigaction act[NSIG];
	sigset_t mask;
	cpu_set_t cpus;
	bool has_cpus;
	char comm[16];
};

static void keep(struct kept *k)
{
	for (int i = 1; i < NSIG; i++)
		sigaction(i, NULL, &k->act[i]);
	k->has_cpus = sched_getaffinity(0, sizeof(k->cpus), &k->cpus) == 0;
	prctl(PR_GET_NAME, k->comm);
}

static void put_back(const struct kept *k)
{
	struct sigaction now;

	for (int i = 1; i < NSIG; i++)
		if (sigaction(i, NULL, &now) == 0 && now.sa_handler != k->act[i].sa_handler)
			sigaction(i, &k->act[i], NULL);
	if (k->has_cpus)
		sched_setaffinity(0, sizeof(k->cpus), &k->cpus);
	prctl(PR_SET_NAME, k->comm);
}

/* EAL's threads shall get none of the program's signals. */
static int init(struct args *a, char *text)
{
	struct lane_dpdk_capture c;
	struct kept k;
	sigset_t all;
	int r;

	keep(&k);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &k.mask);
	lane_dpdk_capture(&c);
	r = rte_eal_init(a->n, a->v);
	lane_dpdk_captured(&c, text);
	put_back(&k);
	pthread_sigmask(SIG_SETMASK, &k.mask, NULL);
	return r;
}

int lane_dpdk_start(const char *eal, size_t bytes, char *err)
{
	struct args *a = calloc(1, sizeof(*a));
	char text[LANE_DPDK_TEXT];
	int r = a ? make_args(a, eal, bytes) : -ENOMEM;

	if (r < 0) {
		snprintf(err, LANE_DPDK_ERR, "EAL's options: %s", strerror(-r));
	} else if (init(a, text) < 0) {
		r = fail(rte_errno, text, err);
	} else {
		r = 0;
		lane_dpdk_gate_start();
		lane_dpdk_sentence(text, err, LANE_DPDK_ERR);
	}
	if (a)
		free(a->text);
	free(a);
	return r;
}

void *lane_dpdk_memory(size_t bytes)
{
	const struct rte_memzone *mz;
	char name[RTE_MEMZONE_NAMESIZE];

	for (unsigned int i = 0; i < REGIONS; i++) {
		snprintf(name, sizeof(name), "lane.memory.%u", i);
		if (rte_memzone_lookup(name))
			continue;
		mz = rte_memzone_reserve_aligned(name, bytes, SOCKET_ID_ANY, RTE_MEMZONE_IOVA_CONTIG, 4096);
		return mz ? mz->addr : NULL;
	}
	return NULL;
}

void lane_dpdk_stop(void)
{
	/* Else its memory stays until the process ends. */
	if (lane_dpdk_gate_stop())
		rte_eal_cleanup();
}
