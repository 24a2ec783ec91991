/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * bare - what send(2) to each of 1,000 connections costs on this machine,
 * now, with nobody waiting for it: no server that sends once a delivery can
 * do more.  Says how good the floor is, and how fast the machine.
 *
 * Prints {"sends_per_cpu_s":N}.
 */

#include <sys/socket.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bench/util.h"

#define PAIRS 1000
#define ROUNDS 100
/* a delivery of the benchmark's messages, head and all */
#define SIZE 420

static int from[PAIRS], to[PAIRS];

static uint64_t
cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void
connect_pairs(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int i, on = 1;

	if (bind(listener, (struct sockaddr *)&a, len) == -1 ||
	    listen(listener, 16) == -1 ||
	    getsockname(listener, (struct sockaddr *)&a, &len) == -1)
		die(EXIT_FAILED, "listen: %s", strerror(errno));
	for (i = 0; i < PAIRS; i++) {
		to[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(to[i], (struct sockaddr *)&a, len) == -1)
			die(EXIT_FAILED, "connect: %s", strerror(errno));
		from[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (from[i] == -1)
			die(EXIT_FAILED, "accept: %s", strerror(errno));
		(void)setsockopt(from[i], IPPROTO_TCP, TCP_NODELAY, &on,
		    sizeof(on));
	}
}

int
main(void)
{
	static char buf[SIZE];
	uint64_t spent = 0, start;
	int i, round;

	(void)raise_nofile();
	connect_pairs();
	/* the first round only warms up */
	for (round = 0; round <= ROUNDS; round++) {
		start = cpu_ns();
		for (i = 0; i < PAIRS; i++)
			if (send(from[i], buf, SIZE, MSG_NOSIGNAL) != SIZE)
				die(EXIT_FAILED, "send: %s", strerror(errno));
		if (round > 0)
			spent += cpu_ns() - start;
		for (i = 0; i < PAIRS; i++)
			if (recv(to[i], buf, SIZE, MSG_WAITALL) != SIZE)
				die(EXIT_FAILED, "recv: %s", strerror(errno));
	}
	printf("{\"sends_per_cpu_s\":%.0f}\n",
	    PAIRS * ROUNDS / ((double)spent / 1e9));
	return EXIT_FINE;
}
