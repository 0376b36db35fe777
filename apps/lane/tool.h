/*
 * tool.h - the inside of the lane command line tool
 */
#ifndef LANE_APPS_LANE_TOOL_H
#define LANE_APPS_LANE_TOOL_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "posix/keeper/keeper.h"

#define TOOL_ERR 256

/* Commands: main() of each; argv[0] is the command's name. Results are exit codes. */
int cmd_run(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_conns(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_config(int argc, char **argv);
int cmd_keeper(int argc, char **argv);
int cmd_version(int argc, char **argv);

/* "lane: ..." on stderr, one line. */
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- find.c ---- */
/* The interface that is meant: 'given' (may be NULL), LANE_IF, else the only one that a keeper
 * serves in this network namespace. 0, or -1 after a complaint. */
int find_interface(const char *given, char ifname[16]);
/* [-i IF] [--json] [--help] of a report: the arena that is meant into *v. The exit code if that is all, else -1. */
int find_report(int argc, char **argv, const char *usage, bool *json, struct shim_view *v);
/* liblane-preload.so beside this tool, or $LANE_PRELOAD. 0 or -ENOENT with err[]. */
int find_preload(char *path, size_t size, char *err);

/* ---- elf.c ---- */
/* Why a program cannot be preloaded: a clause after its name, or NULL: it can be. 'path' may name
 * a script. */
const char *elf_obstacle(const char *path);
/* As execvp(3) finds 'name'. 0 or -errno. */
int elf_find(const char *name, char *path, size_t size);

/* ---- netfilter.c ---- */
/* Input or output rules of netfilter may exist in this network namespace. */
bool netfilter_is_used(void);

/* ---- out.c: the same report as text or as JSON ---- */
struct out {
	bool json;
	unsigned int depth;
	bool first; /* nothing is in this JSON object or list yet */
};
void out_start(struct out *o, bool json);
void out_end(struct out *o);
/* A section; as text its title stands on a line of its own. */
void out_open(struct out *o, const char *name);
void out_close(struct out *o);
/* A list of objects (JSON only: as text, rows are lines of the caller's). */
void out_list(struct out *o, const char *name);
void out_list_end(struct out *o);
void out_item(struct out *o);
/* 'text' (may be NULL) explains the figure to people. */
void out_number(struct out *o, const char *name, uint64_t value, const char *text);
void out_string(struct out *o, const char *name, const char *value);

#endif
