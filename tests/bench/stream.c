/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * stream - agents that write, and viewers that look: how long a chunk takes
 * from when it is due to each viewer, and what it costs the server.
 *
 * An open loop: each agent has a session of its own and writes a chunk every
 * 1/rate of a second, whatever comes back.  A chunk is a token of a fixed
 * length, its number and when it was due; so a viewer sees at once whether
 * one is missing, comes twice or at the wrong place, however they are merged,
 * and in the end whether the message is what it was shown.
 */

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/frame.h"
#include "tests/bench/hist.h"
#include "tests/bench/util.h"

#define SECOND UINT64_C(1000000000)
/* "number when ", both in 16 digits, and what fills it up */
#define TOKEN_MIN 34
#define IN_SIZE (1 << 20)

struct peer {
	int fd;
	bool agent;
	/* its session, and of a viewer the next token that is to come */
	unsigned room;
	uint64_t next;
	bool ended, stored;
	char *in;
	size_t in_len;
	/* what the socket did not take */
	char *out;
	size_t out_len, out_size;
};

static struct {
	unsigned streams, viewers, size;
	double rate, seconds, warmup;
	pid_t server;
	bool json;
	const char *host, *port;
} opt = { .streams = 1000,
	.viewers = 2,
	.size = 40,
	.rate = 50,
	.seconds = 5,
	.warmup = 1 };

static struct peer *peers;
static unsigned npeers, nended, nstored, nacked;
static struct hist latency;
static uint64_t faults, events, measured_from, measured_to;
static int ep;

static void
fault(const char *what, const struct peer *p)
{
	if (faults++ < 10)
		fprintf(stderr, "stream: %s in session %u\n", what, p->room);
}

/* --- what is said ---------------------------------------------------------- */

static void
peer_flush(struct peer *p)
{
	ssize_t n;

	while (p->out_len > 0) {
		n = send(p->fd, p->out, p->out_len, MSG_NOSIGNAL);
		if (n == -1 && errno == EAGAIN)
			return;
		if (n == -1)
			die(EXIT_FAILED, "send: %s", strerror(errno));
		p->out_len -= (size_t)n;
		memmove(p->out, p->out + n, p->out_len);
	}
}

static void
peer_say(struct peer *p, const char *text, size_t len)
{
	if (p->out_size - p->out_len < len + FRAME_HEAD) {
		p->out_size = p->out_size * 2 + len + FRAME_HEAD;
		p->out = xreallocarray(p->out, p->out_size, 1);
	}
	p->out_len +=
	    frame_write(p->out + p->out_len, FRAME_TEXT, text, len, 0x12345678);
	peer_flush(p);
}

/* The next token of the agent, due then; or the end. */
static void
write_chunk(struct peer *p, uint64_t due, bool complete)
{
	char text[8192];
	int n;

	if (complete)
		n = snprintf(text, sizeof(text),
		    "421[\"chat:agent-message-stream\",{\"sessionId\":\"s%u\","
		    "\"messageId\":\"m%u-%llu\",\"chunk\":\"\","
		    "\"isComplete\":true}]",
		    p->room, p->room, (unsigned long long)measured_from);
	else
		n = snprintf(text, sizeof(text),
		    "42[\"chat:agent-message-stream\",{\"sessionId\":\"s%u\","
		    "\"messageId\":\"m%u-%llu\",\"chunk\":\"%016llx %016llx"
		    "%*s\",\"isComplete\":false,\"index\":%llu}]",
		    p->room, p->room, (unsigned long long)measured_from,
		    (unsigned long long)p->next, (unsigned long long)due,
		    (int)(opt.size - TOKEN_MIN + 1), ".",
		    (unsigned long long)p->next);
	p->next++;
	peer_say(p, text, (size_t)n);
}

/* --- what comes ------------------------------------------------------------- */

static bool
begins(const char *p, size_t len, const char *with)
{
	return len >= strlen(with) && memcmp(p, with, strlen(with)) == 0;
}

/* The tokens of a text; 'now' 0: they are only counted. */
static uint64_t
check_tokens(struct peer *p, const char *text, size_t len, uint64_t first,
    uint64_t now)
{
	uint64_t number, due;
	size_t at;

	for (at = 0; at + opt.size <= len; at += opt.size, first++) {
		number = strtoull(text + at, NULL, 16);
		due = strtoull(text + at + 17, NULL, 16);
		if (number != first) {
			fault("a token is not the next one", p);
			return number + 1;
		}
		if (now > 0 && due >= measured_from && due < measured_to)
			hist_add(&latency, now - due);
	}
	if (at != len)
		fault("half a token", p);
	return first;
}

/* The string behind 'key'; tokens need no escapes. */
static const char *
find_text(const char *p, size_t len, const char *key, size_t *len_r)
{
	const char *text = memmem(p, len, key, strlen(key)), *end;

	if (text == NULL)
		return NULL;
	text += strlen(key);
	end = memchr(text, '"', (size_t)(p + len - text));
	if (end == NULL)
		return NULL;
	*len_r = (size_t)(end - text);
	return text;
}

static void
on_chunk(struct peer *p, const char *m, size_t len)
{
	const char *text;
	size_t n;

	events++;
	if ((text = find_text(m, len, "\"chunk\":\"", &n)) == NULL) {
		fault("a chunk without a text", p);
		return;
	}
	if (p->ended)
		fault("a chunk behind the last", p);
	if (!p->agent)
		p->next = check_tokens(p, text, n, p->next, now_ns());
	if (memmem(m, len, "\"isComplete\":true", 17) == NULL)
		return;
	p->ended = true;
	nended++;
}

static void
on_message(struct peer *p, const char *m, size_t len)
{
	const char *text;
	size_t n;

	if (p->agent ||
	    (text = find_text(m, len, "\"content\":\"", &n)) == NULL)
		return;
	if (!p->ended)
		fault("the message before the last chunk", p);
	if (check_tokens(p, text, n, 0, 0) != p->next)
		fault("the message is not what was shown", p);
	p->stored = true;
	nstored++;
}

static void
on_text(struct peer *p, const char *m, size_t len)
{
	if (len == 1 && m[0] == '2')
		peer_say(p, "3", 1);
	else if (begins(m, len, "42[\"chat:agent-stream-chunk\""))
		on_chunk(p, m, len);
	else if (begins(m, len, "42[\"chat:message-received\""))
		on_message(p, m, len);
	else if (begins(m, len, "42[\"chat:send-message-error\""))
		fault("a chunk was refused", p);
	else if (begins(m, len, "431[{\"ok\":true"))
		nacked++;
}

/* What is no whole frame yet is kept; most have nothing most of the time. */
static void
peer_keep(struct peer *p, const char *rest, size_t len)
{
	free(p->in);
	p->in = NULL;
	p->in_len = len;
	if (len > 0) {
		p->in = xcalloc(1, len);
		memcpy(p->in, rest, len);
	}
}

static void
peer_read(struct peer *p)
{
	static char buf[IN_SIZE];
	struct frame f;
	ssize_t n;
	size_t at = 0, len = p->in_len;

	memcpy(buf, p->in == NULL ? "" : p->in, len);
	n = recv(p->fd, buf + len, sizeof(buf) - len, 0);
	if (n == 0 || (n == -1 && errno != EAGAIN))
		die(EXIT_VIOLATED, "the server has closed a connection");
	if (n == -1)
		return;
	len += (size_t)n;
	while (frame_read(buf + at, len - at, &f) == FRAME_OK) {
		if (f.opcode == FRAME_TEXT)
			on_text(p, f.payload, f.len);
		at += f.total;
	}
	if (at == 0 && len == sizeof(buf))
		die(EXIT_VIOLATED, "a frame is too long");
	if (len > at || p->in_len > 0)
		peer_keep(p, buf + at, len - at);
}

/* --- the beginning -------------------------------------------------------------- */

static int
dial(void)
{
	const struct addrinfo hints = { .ai_family = AF_INET,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *a;
	int fd, on = 1;

	if (getaddrinfo(opt.host, opt.port, &hints, &a) != 0)
		die(EXIT_FAILED, "no such address");
	if ((fd = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
	    connect(fd, a->ai_addr, a->ai_addrlen) == -1)
		die(EXIT_FAILED, "connect: %s", strerror(errno));
	freeaddrinfo(a);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* Wait until what comes has this in it. */
static void
await(struct peer *p, const char *what)
{
	char buf[65536];
	size_t len = 0;
	ssize_t n;

	for (;;) {
		n = recv(p->fd, buf + len, sizeof(buf) - 1 - len, 0);
		if (n <= 0)
			die(EXIT_FAILED, "no %s", what);
		len += (size_t)n;
		if (memmem(buf, len, what, strlen(what)) != NULL)
			return;
		if (len == sizeof(buf) - 1)
			len = 0;
	}
}

static void
peer_start(struct peer *p, unsigned i)
{
	char text[512];
	int n;

	p->fd = dial();
	p->agent = i % (opt.viewers + 1) == 0;
	p->room = i / (opt.viewers + 1);
	n = snprintf(text, sizeof(text),
	    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n"
	    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	    "Sec-WebSocket-Version: 13\r\n\r\n");
	if (send(p->fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		die(EXIT_FAILED, "send: %s", strerror(errno));
	await(p, "pingInterval");
	n = snprintf(text, sizeof(text),
	    "40{\"userId\":\"u%u\",\"userName\":\"u\",\"role\":\"%s\"}", i,
	    p->agent ? "agent" : "user");
	peer_say(p, text, (size_t)n);
	await(p, "40{\"sid\"");
	n = snprintf(text, sizeof(text),
	    "420[\"chat:join-session\",{\"sessionId\":\"s%u\","
	    "\"workspaceId\":\"bench\"}]",
	    p->room);
	peer_say(p, text, (size_t)n);
	await(p, "430[{\"ok\":true");
}

static void
start(void)
{
	struct epoll_event e = { .events = EPOLLIN };
	unsigned i;

	npeers = opt.streams * (opt.viewers + 1);
	if (raise_nofile() < npeers + 50)
		die(EXIT_FAILED, "too few descriptors");
	peers = xcalloc(npeers, sizeof(*peers));
	if ((ep = epoll_create1(0)) == -1)
		die(EXIT_FAILED, "epoll: %s", strerror(errno));
	for (i = 0; i < npeers; i++)
		peer_start(&peers[i], i);
	for (i = 0; i < npeers; i++) {
		e.data.ptr = &peers[i];
		if (fcntl(peers[i].fd, F_SETFL, O_NONBLOCK) == -1 ||
		    epoll_ctl(ep, EPOLL_CTL_ADD, peers[i].fd, &e) == -1)
			die(EXIT_FAILED, "epoll: %s", strerror(errno));
	}
}

/* --- the run ----------------------------------------------------------------------- */

static void
look(int ms)
{
	struct epoll_event e[512];
	int i, n;

	n = epoll_wait(ep, e, 512, ms);
	for (i = 0; i < n; i++)
		peer_read(e[i].data.ptr);
}

/* Agents take turns, so that chunks are due evenly. */
static uint64_t
run(void)
{
	uint64_t begin = now_ns(), end, now, due, sent = 0;
	double step = 1e9 / (opt.rate * opt.streams);
	struct peer *p;

	measured_from = begin + (uint64_t)(opt.warmup * 1e9);
	measured_to = measured_from + (uint64_t)(opt.seconds * 1e9);
	end = measured_to;
	for (;;) {
		now = now_ns();
		due = begin + (uint64_t)((double)sent * step);
		if (due >= end)
			return sent;
		if (due > now) {
			look(due - now > 2000000 ? 1 : 0);
			continue;
		}
		p = &peers[(sent % opt.streams) * (opt.viewers + 1)];
		write_chunk(p, due, false);
		/* what comes does not wait for what is late */
		if (++sent % 64 == 0)
			look(0);
	}
}

static void
finish(void)
{
	uint64_t until = now_ns() + 30 * SECOND;
	unsigned i, viewers = opt.streams * opt.viewers;

	for (i = 0; i < npeers; i += opt.viewers + 1)
		write_chunk(&peers[i], 0, true);
	while ((nstored < viewers || nended < npeers || nacked < opt.streams) &&
	    now_ns() < until) {
		look(10);
		for (i = 0; i < npeers; i += opt.viewers + 1)
			peer_flush(&peers[i]);
	}
	for (i = 0; i < npeers; i++) {
		if (!peers[i].ended)
			fault("no end", &peers[i]);
		else if (!peers[i].agent && !peers[i].stored)
			fault("no message", &peers[i]);
	}
	if (nacked < opt.streams)
		fault("an end without an acknowledgement", &peers[0]);
}

static void
report(uint64_t sent, double cpu)
{
	double us = 1e3;

	printf(opt.json
		? "{\"streams\":%u,\"viewers\":%u,\"rate\":%g,\"sent\":%llu,"
		  "\"delivered\":%llu,\"events\":%llu,\"faults\":%llu,"
		  "\"chunk_us\":{\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,"
		  "\"max\":%.1f},\"server_cpu_us_per_chunk\":%.3f}\n"
		: "streams %u, viewers %u, chunks/s a stream %g\n"
		  "sent %llu, delivered %llu in %llu events, faults %llu\n"
		  "us from due to received: p50 %.1f p99 %.1f p99.9 %.1f max "
		  "%.1f\nserver CPU a chunk: %.3f us\n",
	    opt.streams, opt.viewers, opt.rate, (unsigned long long)sent,
	    (unsigned long long)latency.n, (unsigned long long)events,
	    (unsigned long long)faults, (double)hist_at(&latency, 0.5) / us,
	    (double)hist_at(&latency, 0.99) / us,
	    (double)hist_at(&latency, 0.999) / us, (double)latency.max / us,
	    cpu / (double)sent * 1e6);
}

static void
options(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "streams", required_argument, NULL, 's' },
		{ "viewers", required_argument, NULL, 'v' },
		{ "rate", required_argument, NULL, 'r' },
		{ "seconds", required_argument, NULL, 'd' },
		{ "warmup", required_argument, NULL, 'w' },
		{ "size", required_argument, NULL, 'b' },
		{ "server-pid", required_argument, NULL, 'p' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	char *colon;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			opt.streams =
			    (unsigned)arg_number("streams", optarg, 1, 100000);
			break;
		case 'v':
			opt.viewers =
			    (unsigned)arg_number("viewers", optarg, 0, 1000);
			break;
		case 'r':
			opt.rate = arg_real("rate", optarg);
			break;
		case 'd':
			opt.seconds = arg_real("seconds", optarg);
			break;
		case 'w':
			opt.warmup = arg_real("warmup", optarg);
			break;
		case 'b':
			opt.size = (unsigned)arg_number("size", optarg,
			    TOKEN_MIN, 4000);
			break;
		case 'p':
			opt.server =
			    (pid_t)arg_number("server-pid", optarg, 1, 1 << 30);
			break;
		case 'j':
			opt.json = true;
			break;
		default:
			exit(EXIT_USAGE);
		}
	}
	if (optind != argc - 1 || (colon = strrchr(argv[optind], ':')) == NULL)
		die(EXIT_USAGE,
		    "usage: stream [--streams N] [--viewers N] [--rate N] "
		    "[--seconds N] [--warmup N] [--size N] [--server-pid N] "
		    "[--json] host:port");
	*colon = '\0';
	opt.host = argv[optind];
	opt.port = colon + 1;
}

int
main(int argc, char **argv)
{
	double cpu = 0;
	uint64_t sent;

	options(argc, argv);
	start();
	if (opt.server != 0)
		cpu = tree_cpu(opt.server);
	sent = run();
	if (opt.server != 0)
		cpu = tree_cpu(opt.server) - cpu;
	finish();
	report(sent, cpu);
	return faults > 0 ? EXIT_VIOLATED : EXIT_FINE;
}
