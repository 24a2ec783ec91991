/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * run_corpus - a fuzz target over the inputs of its committed corpus: what
 * was found once is tested for ever, without a fuzzer.
 */

#include <sys/stat.h>

#include <dirent.h>
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
run_file(const char *path)
{
	struct stat st;
	FILE *f = fopen(path, "rb");
	uint8_t *data;

	if (f == NULL || fstat(fileno(f), &st) == -1)
		err(1, "%s", path);
	/* as long as the input: a step behind it is seen */
	if ((data = malloc(st.st_size > 0 ? (size_t)st.st_size : 1)) == NULL)
		err(1, "malloc");
	if (fread(data, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
		errx(1, "%s: short read", path);
	(void)fclose(f);
	(void)LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
	free(data);
}

static unsigned
run_directory(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	char path[4096];
	unsigned n = 0;

	if (d == NULL)
		err(1, "%s", dir);
	while ((entry = readdir(d)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		run_file(path);
		n++;
	}
	(void)closedir(d);
	return n;
}

int
main(int argc, char *argv[])
{
	int i;
	unsigned n;

	if (argc < 2)
		errx(2, "usage: %s corpus-directory...", argv[0]);
	for (i = 1; i < argc; i++) {
		if ((n = run_directory(argv[i])) == 0)
			errx(1, "%s: no inputs", argv[i]);
		(void)printf("%s: %u inputs\n", argv[i], n);
	}
	return 0;
}
