/*
 * said.c - what EAL and PMDs write: into an error text, or where it does no harm
 *
 * They write to standard error, which is the program's. While a port is opened it is caught, and becomes the error's
 * sentence; later, under a program that knows nothing of DPDK, it goes to 256 bytes that `lane stat` shows.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_log.h>

#include "queue.h"

#define SAID 256

void lane_dpdk_capture(struct lane_dpdk_capture *c)
{
	fflush(stdout);
	c->fd = memfd_create("lane-eal", MFD_CLOEXEC);
	c->out = dup(1);
	c->err = dup(2);
	if (c->fd < 0 || c->out < 0 || c->err < 0)
		return;
	dup2(c->fd, 1);
	dup2(c->fd, 2);
}

static void restore(int saved, int fd)
{
	if (saved < 0)
		return;
	dup2(saved, fd);
	close(saved);
}

void lane_dpdk_captured(struct lane_dpdk_capture *c, char *text)
{
	ssize_t n = 0;

	fflush(stdout);
	restore(c->out, 1);
	restore(c->err, 2);
	if (c->fd >= 0) {
		n = pread(c->fd, text, LANE_DPDK_TEXT - 1, 0);
		close(c->fd);
	}
	text[n > 0 ? n : 0] = 0;
}

void lane_dpdk_sentence(char *text, char *out, size_t size)
{
	char *save = NULL, *usage = strstr(text, "\nUsage:");
	size_t len = 0;

	if (usage)
		*usage = 0;
	out[0] = 0;
	for (char *line = strtok_r(text, "\n", &save); line && len < size; line = strtok_r(NULL, "\n", &save))
		len += (size_t)snprintf(out + len, size - len, "%s%s", len ? "; " : "",
					strncmp(line, "EAL: ", 5) == 0 ? line + 5 : line);
}

static ssize_t say(void *said, const char *text, size_t len)
{
	char line[SAID];

	/* The whole at once, as far as a reader in another process is concerned. */
	snprintf(line, sizeof(line), "%.*s", (int)(len < SAID ? len : SAID - 1), text);
	line[strcspn(line, "\n")] = 0;
	memcpy(said, line, sizeof(line));
	return (ssize_t)len;
}

void lane_dpdk_say_to(char *said)
{
	FILE *f = fopencookie(said, "w", (cookie_io_functions_t){.write = say});

	if (!f)
		return;
	setvbuf(f, NULL, _IOLBF, SAID);
	rte_openlog_stream(f);
}
