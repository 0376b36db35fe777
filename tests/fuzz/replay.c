/*
 * replay.c - runs a fuzz target over the files and folders that are named: the corpora as tests
 */
#include <dirent.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

#define FILE_MAX (1 << 20)

static unsigned int nr_run;

static void run_file(const char *path)
{
	static uint8_t bytes[FILE_MAX];
	FILE *f = fopen(path, "rb");
	uint8_t *copy;
	size_t n;

	if (!f) {
		perror(path);
		exit(2);
	}
	n = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	copy = fuzz_copy(bytes, n);
	/* Said before it is run: what crashes is the last one named. */
	if (getenv("FUZZ_VERBOSE"))
		fprintf(stderr, "%s\n", path);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
	nr_run++;
}

static void run_folder(const char *path)
{
	struct dirent **names;
	int nr = scandir(path, &names, NULL, alphasort);
	char file[4096];

	for (int i = 0; i < nr; i++) {
		if (names[i]->d_name[0] != '.') {
			snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
			run_file(file);
		}
		free(names[i]);
	}
	if (nr >= 0)
		free(names);
}

int main(int argc, char **argv)
{
	struct stat st;

	for (int i = 1; i < argc; i++) {
		if (stat(argv[i], &st)) {
			perror(argv[i]);
			return 2;
		}
		if (S_ISDIR(st.st_mode))
			run_folder(argv[i]);
		else
			run_file(argv[i]);
	}
	printf("%u inputs\n", nr_run);
	return nr_run ? 0 : 2;
}
