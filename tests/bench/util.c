/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * util - see util.h.
 */

#include "tests/bench/util.h"

#include <sys/resource.h>

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct process {
	pid_t pid, parent;
	double cpu;
	bool counted;
};

void
die(int status, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(status);
}

void *
xcalloc(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (p == NULL)
		die(EXIT_FAILED, "out of memory");
	return p;
}

void *
xreallocarray(void *p, size_t n, size_t size)
{
	if ((p = reallocarray(p, n, size)) == NULL)
		die(EXIT_FAILED, "out of memory");
	return p;
}

uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t
arg_number(const char *name, const char *text, uint64_t min, uint64_t max)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 ||
	    n < min || n > max)
		die(EXIT_USAGE, "--%s %s: want a number from %llu to %llu",
		    name, text, (unsigned long long)min,
		    (unsigned long long)max);
	return n;
}

double
arg_real(const char *name, const char *text)
{
	double n;
	char *end;

	n = strtod(text, &end);
	if (*text < '0' || *text > '9' || *end != '\0')
		die(EXIT_USAGE, "--%s %s: want a number", name, text);
	return n;
}

unsigned
raise_nofile(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == -1)
		die(EXIT_FAILED, "getrlimit: %s", strerror(errno));
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r) == -1)
		die(EXIT_FAILED, "setrlimit: %s", strerror(errno));
	return (unsigned)r.rlim_cur;
}

/* Read parent and CPU time of 'pid'; false if it is gone. */
static bool
process_read(pid_t pid, struct process *p)
{
	unsigned long ticks[4];
	char path[64], buf[1024], *s;
	size_t n;
	FILE *f;
	int parent;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if ((f = fopen(path, "re")) == NULL)
		return false;
	n = fread(buf, 1, sizeof(buf) - 1, f);
	fclose(f);
	buf[n] = '\0';
	/* the name may hold anything, so count fields from its end */
	if ((s = strrchr(buf, ')')) == NULL)
		return false;
	if (sscanf(s + 1,
		" %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu",
		&parent, &ticks[0], &ticks[1], &ticks[2], &ticks[3]) != 5)
		return false;
	p->pid = pid;
	p->parent = parent;
	p->counted = false;
	p->cpu = (double)(ticks[0] + ticks[1] + ticks[2] + ticks[3]) /
	    (double)sysconf(_SC_CLK_TCK);
	return true;
}

static size_t
read_all(struct process **all)
{
	struct dirent *e;
	size_t n = 0, size = 0;
	DIR *d;

	if ((d = opendir("/proc")) == NULL)
		die(EXIT_FAILED, "/proc: %s", strerror(errno));
	*all = NULL;
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] < '1' || e->d_name[0] > '9')
			continue;
		if (n == size) {
			size = size ? size * 2 : 128;
			*all = xreallocarray(*all, size, sizeof(**all));
		}
		if (process_read((pid_t)strtol(e->d_name, NULL, 10),
			&(*all)[n]))
			n++;
	}
	closedir(d);
	return n;
}

/* Mark those whose parent is marked; true if there were new ones. */
static bool
spread(struct process *all, size_t n, pid_t root)
{
	bool more = false;
	size_t i, j;

	for (i = 0; i < n; i++) {
		if (all[i].counted)
			continue;
		all[i].counted = all[i].pid == root;
		for (j = 0; j < n && !all[i].counted; j++)
			all[i].counted =
			    all[j].counted && all[i].parent == all[j].pid;
		more |= all[i].counted;
	}
	return more;
}

double
tree_cpu(pid_t pid)
{
	struct process *all;
	double sum = 0;
	bool any = false;
	size_t n, i;

	n = read_all(&all);
	while (spread(all, n, pid))
		any = true;
	for (i = 0; i < n; i++)
		if (all[i].counted)
			sum += all[i].cpu;
	free(all);
	return any ? sum : -1;
}
