/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * join - what a join costs in a session of many members.
 *
 *   join [--json] [--members n] [--joins n] --server-pid pid address:port
 *   join --hold [--members n] address:port
 *
 * The members join and then only listen.  Then others, whose connections
 * stand already, join one after the other, and leave before the next: the
 * time until a join is answered, the answer's bytes, and the server's CPU time
 * a join and leave, with what it takes to tell the members (a second is waited
 * for that; what the server does in such a second by itself is taken off).
 *
 * With --hold nobody else joins: "ready" is printed, and the members listen
 * until the standard input ends; whose connections end are not missed.
 *
 * The server's pings are not answered: engine.ping_interval has to be longer
 * than this takes.
 */

#include <sys/epoll.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/frame.h"
#include "tests/bench/hist.h"
#include "tests/bench/util.h"

/* connections that are being set up at a time */
#define BURST 100
#define SECOND_NS 1000000000ULL
#define STEP_NS (60 * SECOND_NS)
#define SUCCESS "42[\"chat:join-session-success\""
#define LEFT "42[\"chat:leave-session-success\""
#define ANSWER_ERROR "42[\"chat:join-session-error\""

enum state {
	STATE_HEAD,
	STATE_OPEN,
	STATE_CONNECTED,
	STATE_JOINED,
	/* it goes on to be read for the answer to its leave */
	STATE_LEAVING,
	STATE_LEFT,
};

struct conn {
	int fd;
	enum state state;
	/* a member joins as soon as it is connected */
	bool member;
	/* until it has joined */
	char *buf;
	size_t len, size;
};

static struct {
	int epoll;
	struct sockaddr_in to;
	pid_t server;
	unsigned members, joins;
	bool json, hold;
	struct conn *conn;
	unsigned nconnected, njoined, nleft;
	/* bytes of the last answer */
	size_t answer;
	uint64_t answers;
	struct hist latency;
	char scratch[1 << 18];
} b;

static void
say(struct conn *c, const char *text)
{
	char out[512];
	size_t n = frame_write(out, FRAME_TEXT, text, strlen(text), 0x12345678);

	/* its buffer is empty: nothing waits in front of it */
	if (send(c->fd, out, n, MSG_NOSIGNAL) != (ssize_t)n)
		die(EXIT_FAILED, "send: %s", strerror(errno));
}

static void
join(struct conn *c)
{
	say(c,
	    "42[\"chat:join-session\",{\"sessionId\":\"many\","
	    "\"workspaceId\":\"bench\"}]");
}

static void
on_text(struct conn *c, const char *p, size_t len)
{
	char auth[128];

	if (len > 0 && p[0] == '0') {
		snprintf(auth, sizeof(auth),
		    "40{\"userId\":\"user-%u\",\"userName\":\"User %u\"}",
		    (unsigned)(c - b.conn), (unsigned)(c - b.conn));
		say(c, auth);
	} else if (len > 2 && memcmp(p, "40", 2) == 0) {
		c->state = STATE_CONNECTED;
		b.nconnected++;
		if (c->member)
			join(c);
	} else if (len > sizeof(SUCCESS) &&
	    memcmp(p, SUCCESS, sizeof(SUCCESS) - 1) == 0) {
		c->state = c->member ? STATE_JOINED : STATE_LEAVING;
		b.njoined++;
		b.answer = len;
	} else if (len > sizeof(LEFT) &&
	    memcmp(p, LEFT, sizeof(LEFT) - 1) == 0) {
		c->state = STATE_LEFT;
		b.nleft++;
	} else if (len > sizeof(ANSWER_ERROR) &&
	    memcmp(p, ANSWER_ERROR, sizeof(ANSWER_ERROR) - 1) == 0) {
		die(EXIT_FAILED, "%.*s", (int)len, p);
	} else if (len > 1 && memcmp(p, "44", 2) == 0) {
		die(EXIT_FAILED, "refused: %.*s", (int)len, p);
	}
}

static void
parse(struct conn *c)
{
	struct frame f;
	char *head;
	size_t at = 0;

	if (c->state == STATE_HEAD) {
		c->buf[c->len] = '\0';
		if ((head = strstr(c->buf, "\r\n\r\n")) == NULL)
			return;
		if (strncmp(c->buf, "HTTP/1.1 101", 12) != 0)
			die(EXIT_FAILED, "no WebSocket: %.60s", c->buf);
		at = (size_t)(head + 4 - c->buf);
		c->state = STATE_OPEN;
	}
	while (frame_read(c->buf + at, c->len - at, &f) == FRAME_OK) {
		if (f.opcode == FRAME_TEXT)
			on_text(c, f.payload, f.len);
		at += f.total;
	}
	memmove(c->buf, c->buf + at, c->len - at);
	c->len -= at;
	if (c->state == STATE_JOINED || c->state == STATE_LEFT) {
		free(c->buf);
		c->buf = NULL;
	}
}

static void
on_readable(struct conn *c)
{
	ssize_t n = recv(c->fd, b.scratch, sizeof(b.scratch), MSG_DONTWAIT);

	if (n == -1 && errno == EAGAIN)
		return;
	if (n <= 0 && b.hold && c->state == STATE_JOINED) {
		close(c->fd);
		return;
	}
	if (n <= 0)
		die(EXIT_FAILED, "connection %u ended", (unsigned)(c - b.conn));
	/* members only listen */
	if (c->state == STATE_JOINED || c->state == STATE_LEFT)
		return;
	if (c->len + (size_t)n + 1 > c->size) {
		c->size = c->len + (size_t)n + 4096;
		c->buf = xreallocarray(c->buf, c->size, 1);
	}
	memcpy(c->buf + c->len, b.scratch, (size_t)n);
	c->len += (size_t)n;
	parse(c);
}

static void
turn(int ms)
{
	struct epoll_event ev[256];
	int i, n;

	n = epoll_wait(b.epoll, ev, 256, ms);
	for (i = 0; i < n; i++)
		on_readable(ev[i].data.ptr);
}

/* Until the counter is there, or for a second (NULL). */
static void
wait_for(const unsigned *counter, unsigned n)
{
	uint64_t end = now_ns() + (counter == NULL ? SECOND_NS : STEP_NS);

	while (counter == NULL || *counter < n) {
		if (now_ns() >= end) {
			if (counter == NULL)
				return;
			die(EXIT_FAILED, "only %u of %u", *counter, n);
		}
		turn(10);
	}
}

static void
start(unsigned i, bool member)
{
	static const char upgrade[] =
	    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
	    "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	    "Sec-WebSocket-Version: 13\r\n\r\n";
	struct conn *c = &b.conn[i];
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
	int one = 1;

	c->member = member;
	c->size = 4096;
	c->buf = xcalloc(1, c->size);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd == -1 ||
	    connect(c->fd, (struct sockaddr *)&b.to, sizeof(b.to)) == -1)
		die(EXIT_FAILED, "connect: %s", strerror(errno));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (epoll_ctl(b.epoll, EPOLL_CTL_ADD, c->fd, &ev) == -1 ||
	    send(c->fd, upgrade, sizeof(upgrade) - 1, MSG_NOSIGNAL) == -1)
		die(EXIT_FAILED, "connection: %s", strerror(errno));
}

static void
set_up(void)
{
	unsigned i, all = b.members + b.joins;

	for (i = 0; i < all; i++) {
		start(i, i < b.members);
		if (i < b.members && i >= BURST)
			wait_for(&b.njoined, i - BURST);
		else if (i >= BURST)
			wait_for(&b.nconnected, i - BURST);
	}
	wait_for(&b.njoined, b.members);
	wait_for(&b.nconnected, all);
	wait_for(NULL, 0);
	wait_for(NULL, 0);
}

/* CPU seconds that a join takes. */
static double
measure(void)
{
	double cpu = tree_cpu(b.server), idle;
	uint64_t began;
	unsigned i;

	wait_for(NULL, 0);
	idle = tree_cpu(b.server) - cpu;
	cpu = tree_cpu(b.server);
	for (i = 0; i < b.joins; i++) {
		began = now_ns();
		join(&b.conn[b.members + i]);
		while (b.njoined < b.members + i + 1)
			turn(10);
		hist_add(&b.latency, now_ns() - began);
		say(&b.conn[b.members + i],
		    "42[\"chat:leave-session\",{\"sessionId\":\"many\"}]");
		while (b.nleft < i + 1)
			turn(10);
		b.answers += b.answer;
	}
	wait_for(NULL, 0);
	return (tree_cpu(b.server) - cpu - idle) / b.joins;
}

static void
hold(void)
{
	char c;

	printf("ready\n");
	fflush(stdout);
	(void)fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
	while (read(STDIN_FILENO, &c, 1) != 0)
		turn(100);
}

static void
options(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "members", required_argument, NULL, 'm' },
		{ "joins", required_argument, NULL, 'j' },
		{ "server-pid", required_argument, NULL, 'p' },
		{ "json", no_argument, NULL, 'J' },
		{ "hold", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	char host[64] = "127.0.0.1";
	const char *colon;
	int c;

	b.members = 10000;
	b.joins = 300;
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'm')
			b.members =
			    (unsigned)arg_number("members", optarg, 1, 100000);
		else if (c == 'j')
			b.joins =
			    (unsigned)arg_number("joins", optarg, 1, 10000);
		else if (c == 'p')
			b.server =
			    (pid_t)arg_number("server-pid", optarg, 1, 1 << 30);
		else if (c == 'J')
			b.json = true;
		else if (c == 'h')
			b.hold = true;
		else
			die(EXIT_USAGE, "see the beginning of join.c");
	}
	if (b.hold)
		b.joins = 0;
	if (optind + 1 != argc || (b.server == 0 && !b.hold) ||
	    (colon = strrchr(argv[optind], ':')) == NULL)
		die(EXIT_USAGE, "join --server-pid pid address:port");
	snprintf(host, sizeof(host), "%.*s", (int)(colon - argv[optind]),
	    argv[optind]);
	b.to.sin_family = AF_INET;
	b.to.sin_port =
	    htons((uint16_t)arg_number("port", colon + 1, 1, 65535));
	if (inet_pton(AF_INET, host, &b.to.sin_addr) != 1)
		die(EXIT_USAGE, "no address: %s", host);
}

int
main(int argc, char **argv)
{
	double cpu, p50, p99;

	options(argc, argv);
	if (raise_nofile() < b.members + b.joins + 16)
		die(EXIT_FAILED, "too few descriptors");
	b.conn = xcalloc(b.members + b.joins, sizeof(*b.conn));
	if ((b.epoll = epoll_create1(EPOLL_CLOEXEC)) == -1)
		die(EXIT_FAILED, "epoll: %s", strerror(errno));
	set_up();
	if (b.hold) {
		hold();
		return EXIT_FINE;
	}
	cpu = measure() * 1e6;
	p50 = (double)hist_at(&b.latency, 0.5) / 1e6;
	p99 = (double)hist_at(&b.latency, 0.99) / 1e6;
	printf(b.json ? "{\"members\":%u,\"joins\":%u,\"cpu_us\":%.1f,"
			"\"bytes\":%llu,\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n"
		      : "%u members, %u joins: %.1f us of CPU, %llu bytes, "
			"p50 %.3f ms, p99 %.3f ms\n",
	    b.members, b.joins, cpu, (unsigned long long)(b.answers / b.joins),
	    p50, p99);
	return EXIT_FINE;
}
