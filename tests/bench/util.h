/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * util - what the programs of the benchmark share: give up with a sentence,
 * memory that is there, the clock, numbers of a command line, and the CPU
 * time of a tree of processes.
 */

#ifndef BENCH_UTIL_H
#define BENCH_UTIL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* exit status of the programs */
enum {
	EXIT_FINE = 0,
	/* the server broke a promise */
	EXIT_VIOLATED = 1,
	EXIT_USAGE = 2,
	/* the run could not be carried out */
	EXIT_FAILED = 3,
};

/* Print "<program>: <text>" and exit with 'status'. */
void die(int status, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), noreturn));

void *xcalloc(size_t n, size_t size);
void *xreallocarray(void *p, size_t n, size_t size);

/* CLOCK_MONOTONIC in ns. */
uint64_t now_ns(void);

/* A number of the command line between 'min' and 'max', or die(). */
uint64_t arg_number(const char *name, const char *text, uint64_t min,
    uint64_t max);
double arg_real(const char *name, const char *text);

/* As many descriptors as the hard limit allows; returns their number. */
unsigned raise_nofile(void);

/*
 * User and system time in seconds of 'pid', of all its living descendants
 * and of those that they have reaped; negative if there is no such process.
 */
double tree_cpu(pid_t pid);

#endif /* BENCH_UTIL_H */
