/*
 * elf.c - can a program be preloaded? (posix.md 59)
 *
 * Static programs have no loader that would read LD_PRELOAD; Go programs make system calls without
 * libc; for setuid, setgid and file-capability programs the loader ignores a preload from
 * elsewhere. Scripts are followed to their interpreter.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tool.h"

#define ELF_SCRIPTS 4 /* interpreters of interpreters, as the kernel follows them */
#define ELF_PHDRS   64
#define ELF_NOTES   4096

int elf_find(const char *name, char *path, size_t size)
{
	const char *dirs = getenv("PATH");
	int r = -ENOENT;
	size_t len;

	if (strchr(name, '/')) {
		snprintf(path, size, "%s", name);
		return access(path, X_OK) ? -errno : 0;
	}
	for (dirs = dirs ? dirs : "/bin:/usr/bin"; *name; dirs += len + 1) {
		len = strcspn(dirs, ":");
		snprintf(path, size, "%.*s%s%s", (int)len, dirs, len ? "/" : "./", name);
		if (access(path, X_OK) == 0)
			return 0;
		if (errno != ENOENT && errno != ENOTDIR)
			r = -errno;
		if (!dirs[len])
			break;
	}
	return r;
}

/* The note that the Go linker writes: name "Go", type 4. */
static bool has_go_note(int fd, const Elf64_Phdr *ph)
{
	_Alignas(4) char buf[ELF_NOTES];
	size_t at = 0, len;
	ssize_t n;

	n = pread(fd, buf, ph->p_filesz < sizeof(buf) ? ph->p_filesz : sizeof(buf),
		  (off_t)ph->p_offset);
	while (n > 0 && at + sizeof(Elf64_Nhdr) <= (size_t)n) {
		const Elf64_Nhdr *nh = (const void *)(buf + at);

		if (nh->n_type == 4 && nh->n_namesz == 4 && at + sizeof(*nh) + 4 <= (size_t)n &&
		    !memcmp(buf + at + sizeof(*nh), "Go\0\0", 4))
			return true;
		len = sizeof(*nh) + ((nh->n_namesz + 3) & ~3u) + (size_t)((nh->n_descsz + 3) & ~3u);
		at += len;
	}
	return false;
}

static const char *binary_obstacle(int fd, const Elf64_Ehdr *eh)
{
	Elf64_Phdr ph[ELF_PHDRS];
	bool interp = false, go = false;
	size_t i, nr = eh->e_phnum < ELF_PHDRS ? eh->e_phnum : ELF_PHDRS;

	if (eh->e_ident[EI_CLASS] != ELFCLASS64)
		return "is a 32-bit program";
	if (eh->e_phentsize != sizeof(ph[0]) ||
	    pread(fd, ph, nr * sizeof(ph[0]), (off_t)eh->e_phoff) != (ssize_t)(nr * sizeof(ph[0])))
		return NULL;
	for (i = 0; i < nr; i++) {
		interp |= ph[i].p_type == PT_INTERP;
		go |= ph[i].p_type == PT_NOTE && has_go_note(fd, &ph[i]);
	}
	if (go)
		return "is a Go program, which makes system calls without libc";
	return interp ? NULL : "is a static program, which has no loader to preload anything";
}

static const char *privilege_obstacle(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return NULL;
	if ((st.st_mode & S_ISUID) && st.st_uid != geteuid())
		return "is a setuid program, whose loader ignores a preload";
	if ((st.st_mode & S_ISGID) && st.st_gid != getegid())
		return "is a setgid program, whose loader ignores a preload";
	if (geteuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0)
		return "has file capabilities, so its loader ignores a preload";
	return NULL;
}

/* The interpreter of a script, from its first line. False: none is named. */
static bool interpreter(char *line, char *path, size_t size)
{
	char *p = line + 2;

	p[strcspn(p, "\n")] = 0;
	p += strspn(p, " \t");
	p[strcspn(p, " \t\r")] = 0;
	snprintf(path, size, "%s", p);
	return *p;
}

const char *elf_obstacle(const char *program)
{
	union {
		Elf64_Ehdr eh;
		char line[256];
	} head;
	char path[PATH_MAX];
	const char *why;
	int fd, i;
	ssize_t n;

	snprintf(path, sizeof(path), "%s", program);
	for (i = 0; i <= ELF_SCRIPTS; i++) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return NULL;
		memset(&head, 0, sizeof(head));
		n = read(fd, &head, sizeof(head) - 1);
		/* The set-id bits of a script mean nothing. */
		if (n > 2 && !memcmp(head.line, "#!", 2)) {
			close(fd);
			if (!interpreter(head.line, path, sizeof(path)))
				return NULL;
			continue;
		}
		why = privilege_obstacle(fd);
		if (!why && n >= (ssize_t)sizeof(head.eh) &&
		    !memcmp(head.eh.e_ident, ELFMAG, SELFMAG))
			why = binary_obstacle(fd, &head.eh);
		close(fd);
		return why;
	}
	return NULL;
}
