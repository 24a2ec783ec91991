/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * load - the load generator: options, phases and the loop.  See load.h.
 */

#include "tests/bench/load.h"

#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/frame.h"
#include "tests/bench/util.h"

#define EVENTS 512

/* Silence that counts as the end of the joins' own traffic. */
#define QUIET UINT64_C(200000000)

/* SIGINT: say no more, wait for the rest, compare and report */
static volatile sig_atomic_t interrupted;

static const char usage[] =
    "usage: load [option]... host:port | unix:/path\n"
    "  --rooms N --members N --senders N   1, 2, all: the shape\n"
    "  --window N          messages under way in a room (1)\n"
    "  --rate N            messages a second instead\n"
    "  --seconds N | --count N             when to stop (5 s)\n"
    "  --warmup N          seconds before measuring (0.5)\n"
    "  --grace N           seconds for what is still under way (10)\n"
    "  --setup-timeout N   seconds for connecting and joining all (60)\n"
    "  --step-timeout N    seconds for one, when it reconnects (10)\n"
    "  --size N            bytes of a message's text (100)\n"
    "  --burst N           connections in the making at a time (64)\n"
    "  --connect-rate N    connections begun a second (0: no limit)\n"
    "  --until open|connect|join           how far to go (join)\n"
    "  --hold              say so when ready, wait for the end of stdin,\n"
    "                      send nothing\n"
    "  --transport websocket|polling|upgrade\n"
    "  --mix               polling: clients share their connections\n"
    "  --requests N        stop after so many HTTP requests\n"
    "  --reconnect         come back when a connection is lost\n"
    "  --recover           and be recovered, if the server can\n"
    "  --cut N             connections to cut a second, at random\n"
    "  --history           compare history at the end\n"
    "  --server-pid N      whose process tree's CPU time to measure\n"
    "  --status-file F     counters for others to map\n"
    "  --token-file F      a token a line, for one client after the other\n"
    "  --path P --seed N --json\n";

enum {
	OPT_ROOMS = 1000,
	OPT_MEMBERS,
	OPT_SENDERS,
	OPT_WINDOW,
	OPT_RATE,
	OPT_SECONDS,
	OPT_COUNT,
	OPT_WARMUP,
	OPT_GRACE,
	OPT_SETUP,
	OPT_STEP,
	OPT_SIZE,
	OPT_BURST,
	OPT_CONNECT_RATE,
	OPT_UNTIL,
	OPT_HOLD,
	OPT_RECONNECT,
	OPT_HISTORY,
	OPT_PID,
	OPT_STATUS,
	OPT_PATH,
	OPT_TOKEN,
	OPT_SEED,
	OPT_JSON,
	OPT_TRANSPORT,
	OPT_MIX,
	OPT_REQUESTS,
	OPT_RECOVER,
	OPT_CUT,
};

static const struct option long_options[] = {
	{ "rooms", required_argument, NULL, OPT_ROOMS },
	{ "members", required_argument, NULL, OPT_MEMBERS },
	{ "senders", required_argument, NULL, OPT_SENDERS },
	{ "window", required_argument, NULL, OPT_WINDOW },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "count", required_argument, NULL, OPT_COUNT },
	{ "warmup", required_argument, NULL, OPT_WARMUP },
	{ "grace", required_argument, NULL, OPT_GRACE },
	{ "setup-timeout", required_argument, NULL, OPT_SETUP },
	{ "step-timeout", required_argument, NULL, OPT_STEP },
	{ "size", required_argument, NULL, OPT_SIZE },
	{ "burst", required_argument, NULL, OPT_BURST },
	{ "connect-rate", required_argument, NULL, OPT_CONNECT_RATE },
	{ "until", required_argument, NULL, OPT_UNTIL },
	{ "hold", no_argument, NULL, OPT_HOLD },
	{ "reconnect", no_argument, NULL, OPT_RECONNECT },
	{ "history", no_argument, NULL, OPT_HISTORY },
	{ "server-pid", required_argument, NULL, OPT_PID },
	{ "status-file", required_argument, NULL, OPT_STATUS },
	{ "path", required_argument, NULL, OPT_PATH },
	{ "token-file", required_argument, NULL, OPT_TOKEN },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "transport", required_argument, NULL, OPT_TRANSPORT },
	{ "mix", no_argument, NULL, OPT_MIX },
	{ "requests", required_argument, NULL, OPT_REQUESTS },
	{ "recover", no_argument, NULL, OPT_RECOVER },
	{ "cut", required_argument, NULL, OPT_CUT },
	{ NULL, 0, NULL, 0 },
};

static enum stage
stage_of(const char *text)
{
	if (strcmp(text, "open") == 0)
		return STAGE_OPEN;
	if (strcmp(text, "connect") == 0)
		return STAGE_CONNECT;
	if (strcmp(text, "join") == 0)
		return STAGE_JOIN;
	die(EXIT_USAGE, "--until %s: want open, connect or join", text);
}

static enum transport
transport_of(const char *text)
{
	if (strcmp(text, "websocket") == 0)
		return TRANSPORT_WEBSOCKET;
	if (strcmp(text, "polling") == 0)
		return TRANSPORT_POLLING;
	if (strcmp(text, "upgrade") == 0)
		return TRANSPORT_UPGRADE;
	die(EXIT_USAGE, "--transport %s: want websocket, polling or upgrade",
	    text);
}

/* The numbers among the options; false: it is none of them. */
static bool
take_number(struct options *o, int opt)
{
	static const struct {
		int opt;
		size_t at;
		bool real;
		uint64_t min, max;
	} rows[] = {
		{ OPT_ROOMS, offsetof(struct options, rooms), false, 1,
		    100000 },
		{ OPT_MEMBERS, offsetof(struct options, members), false, 1,
		    100000 },
		{ OPT_SENDERS, offsetof(struct options, senders), false, 1,
		    100000 },
		{ OPT_WINDOW, offsetof(struct options, window), false, 1,
		    10000 },
		{ OPT_SIZE, offsetof(struct options, size), false, 1, 60000 },
		{ OPT_BURST, offsetof(struct options, burst), false, 1, 4096 },
		{ OPT_RATE, offsetof(struct options, rate), true, 0, 0 },
		{ OPT_SECONDS, offsetof(struct options, seconds), true, 0, 0 },
		{ OPT_WARMUP, offsetof(struct options, warmup), true, 0, 0 },
		{ OPT_GRACE, offsetof(struct options, grace), true, 0, 0 },
		{ OPT_SETUP, offsetof(struct options, setup_timeout), true, 0,
		    0 },
		{ OPT_STEP, offsetof(struct options, step_timeout), true, 0,
		    0 },
		{ OPT_CONNECT_RATE, offsetof(struct options, connect_rate),
		    true, 0, 0 },
		{ OPT_CUT, offsetof(struct options, cut), true, 0, 0 },
	};
	const char *name = long_options[opt - OPT_ROOMS].name;
	unsigned n;
	double real;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (rows[i].opt != opt)
			continue;
		if (rows[i].real) {
			real = arg_real(name, optarg);
			memcpy((char *)o + rows[i].at, &real, sizeof(real));
		} else {
			n = (unsigned)arg_number(name, optarg, rows[i].min,
			    rows[i].max);
			memcpy((char *)o + rows[i].at, &n, sizeof(n));
		}
		return true;
	}
	return false;
}

static void
take_other(struct options *o, int opt)
{
	switch (opt) {
	case OPT_COUNT:
		o->count = arg_number("count", optarg, 1, UINT32_MAX - 16);
		break;
	case OPT_REQUESTS:
		o->requests = arg_number("requests", optarg, 1, UINT64_MAX);
		break;
	case OPT_TRANSPORT:
		o->transport = transport_of(optarg);
		break;
	case OPT_MIX:
		o->mix = true;
		break;
	case OPT_RECOVER:
		o->recover = true;
		break;
	case OPT_SEED:
		o->seed = arg_number("seed", optarg, 1, UINT64_MAX);
		break;
	case OPT_PID:
		o->server_pid =
		    (pid_t)arg_number("server-pid", optarg, 1, 1 << 30);
		break;
	case OPT_UNTIL:
		o->stage = stage_of(optarg);
		break;
	case OPT_HOLD:
		o->hold = true;
		break;
	case OPT_RECONNECT:
		o->reconnect = true;
		break;
	case OPT_HISTORY:
		o->history = true;
		break;
	case OPT_STATUS:
		o->status_file = optarg;
		break;
	case OPT_PATH:
		o->path = optarg;
		break;
	case OPT_TOKEN:
		o->token_file = optarg;
		break;
	case OPT_JSON:
		o->json = true;
		break;
	default:
		fputs(usage, stderr);
		exit(EXIT_USAGE);
	}
}

static void
take_options(struct options *o, int argc, char **argv)
{
	int opt;

	*o = (struct options){
		.rooms = 1,
		.members = 2,
		.window = 1,
		.warmup = 0.5,
		.grace = 10,
		.setup_timeout = 60,
		.step_timeout = 10,
		.size = 100,
		.burst = 64,
		.stage = STAGE_JOIN,
		.path = "/socket.io/",
	};
	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		if (opt == '?' || !take_number(o, opt))
			take_other(o, opt);
	if (optind != argc - 1)
		take_other(o, '?');
	o->address = argv[optind];
	if (o->senders == 0 || o->senders > o->members)
		o->senders = o->members;
	if (o->seconds == 0 && o->count == 0 && o->requests == 0)
		o->seconds = 5;
	if ((o->requests > 0 || o->mix) && o->transport == TRANSPORT_WEBSOCKET)
		die(EXIT_USAGE, "--requests and --mix are for polling");
	if ((o->recover || o->cut > 0) && !o->reconnect)
		die(EXIT_USAGE, "--recover and --cut need --reconnect");
	if (o->stage != STAGE_JOIN && !o->hold)
		die(EXIT_USAGE, "--until %s needs --hold: nothing can be sent",
		    o->stage == STAGE_OPEN ? "open" : "connect");
	if (o->seed == 0)
		o->seed = now_ns() ^ (uint64_t)getpid() << 32;
}

static void
resolve(struct load *l)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV },
			*ai;
	struct sockaddr_un *un = (struct sockaddr_un *)&l->to;
	char host[64];
	const char *colon;
	int e;

	l->opt.host = l->opt.address;
	if (strncmp(l->opt.address, "unix:", 5) == 0) {
		un->sun_family = AF_UNIX;
		if (strlen(l->opt.address + 5) >= sizeof(un->sun_path))
			die(EXIT_USAGE, "%s: too long", l->opt.address);
		memcpy(un->sun_path, l->opt.address + 5,
		    strlen(l->opt.address + 5) + 1);
		l->to_len = sizeof(*un);
		l->opt.host = "localhost";
		return;
	}
	if ((colon = strrchr(l->opt.address, ':')) == NULL ||
	    colon - l->opt.address >= (ptrdiff_t)sizeof(host))
		die(EXIT_USAGE, "%s: want host:port", l->opt.address);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - l->opt.address),
	    l->opt.address);
	if ((e = getaddrinfo(host, colon + 1, &hints, &ai)) != 0)
		die(EXIT_USAGE, "%s: %s", l->opt.address, gai_strerror(e));
	memcpy(&l->to, ai->ai_addr, ai->ai_addrlen);
	l->to_len = ai->ai_addrlen;
	freeaddrinfo(ai);
}

static void
map_status(struct load *l)
{
	int fd;

	l->status = &l->own_status;
	if (l->opt.status_file == NULL)
		return;
	fd = open(l->opt.status_file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd == -1 || ftruncate(fd, sizeof(*l->status)) == -1)
		die(EXIT_FAILED, "%s: %s", l->opt.status_file, strerror(errno));
	l->status = mmap(NULL, sizeof(*l->status), PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0);
	if (l->status == MAP_FAILED)
		die(EXIT_FAILED, "mmap: %s", strerror(errno));
	memset(l->status, 0, sizeof(*l->status));
	close(fd);
}

static void
read_tokens(struct load *l)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n;
	FILE *f;

	if (l->opt.token_file == NULL)
		return;
	if ((f = fopen(l->opt.token_file, "re")) == NULL)
		die(EXIT_USAGE, "%s: %s", l->opt.token_file, strerror(errno));
	while ((n = getline(&line, &size, f)) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if ((size_t)n > l->text_size - 64)
			die(EXIT_USAGE, "a token of %zd bytes", n);
		l->token =
		    xreallocarray(l->token, l->ntokens + 1, sizeof(*l->token));
		l->token[l->ntokens++] = line;
		line = NULL;
		size = 0;
	}
	free(line);
	fclose(f);
	if (l->ntokens == 0)
		die(EXIT_USAGE, "%s: no tokens", l->opt.token_file);
}

static void
on_interrupt(int sig)
{
	interrupted = 1;
}

static void
load_init(struct load *l)
{
	/* the second one ends it */
	struct sigaction sa = { .sa_handler = on_interrupt,
		.sa_flags = (int)SA_RESETHAND };
	/* polling: one that waits, one that sends, one that takes over */
	unsigned each = l->opt.transport == TRANSPORT_WEBSOCKET ? 1 : 3;

	resolve(l);
	map_status(l);
	if (raise_nofile() <
	    (uint64_t)l->opt.rooms * l->opt.members * each + 16)
		die(EXIT_FAILED, "%u clients are more than descriptors allow",
		    l->opt.rooms * l->opt.members);
	verify_init(&l->v, l->opt.rooms, l->opt.members);
	l->nclients = l->opt.rooms * l->opt.members;
	l->client = xcalloc(l->nclients, sizeof(*l->client));
	if ((l->epfd = epoll_create1(EPOLL_CLOEXEC)) == -1)
		die(EXIT_FAILED, "epoll_create1: %s", strerror(errno));
	l->buf_size = 262144;
	l->buf = xcalloc(1, l->buf_size);
	l->text_size = l->opt.size + 4096;
	l->text = xcalloc(1, l->text_size);
	l->frame = xcalloc(1, l->text_size + FRAME_HEAD);
	read_tokens(l);
	(void)sigaction(SIGINT, &sa, NULL);
	l->random = l->opt.seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	snprintf(l->tag, sizeof(l->tag), "b%llx-",
	    (unsigned long long)(l->random >> 24));
	l->now = l->heard = now_ns();
}

static void
turn(struct load *l)
{
	struct epoll_event ev[EVENTS];
	uint64_t wait = pace_timeout(l);
	struct timespec ts = { .tv_sec = (time_t)(wait / 1000000000),
		.tv_nsec = (long)(wait % 1000000000) };
	int i, n;

	n = epoll_pwait2(l->epfd, ev, EVENTS, &ts, NULL);
	l->now = now_ns();
	for (i = 0; i < n; i++) {
		if (ev[i].data.ptr == NULL)
			l->stdin_closed = true;
		else
			wire_event(l, ev[i].data.ptr, ev[i].events);
	}
	if (interrupted && l->pace.running)
		pace_stop(l);
	pace_turn(l);
	client_check(l);
	l->status->ready = l->ready;
	l->status->reconnects = l->reconnects;
	l->status->recovered = l->recovered;
}

static uint64_t
after(double seconds)
{
	return now_ns() + (uint64_t)(seconds * 1e9);
}

/* Connect and join all, then wait until the news of it have arrived. */
static void
setup(struct load *l)
{
	uint64_t end = after(l->opt.setup_timeout);

	report_mark(l, &l->setup[0]);
	while ((l->ready < l->nclients || l->upgrading > 0) && now_ns() < end) {
		if (!l->opt.reconnect && l->failure[0] != '\0')
			die(EXIT_FAILED, "client %u: %s", l->started - 1,
			    l->failure);
		turn(l);
	}
	if (l->ready < l->nclients)
		die(EXIT_FAILED, "%u of %u clients ready after %.0f s %s",
		    l->ready, l->nclients, l->opt.setup_timeout, l->failure);
	if (l->upgrading > 0)
		die(EXIT_FAILED, "%u upgrades are not done after %.0f s",
		    l->upgrading, l->opt.setup_timeout);
	while (now_ns() - l->heard < QUIET && now_ns() < end)
		turn(l);
	report_mark(l, &l->setup[1]);
	/* waiting for silence is not part of it */
	l->setup[1].ns = l->heard;
}

static void
hold(struct load *l)
{
	struct epoll_event ev = { .events = EPOLLIN };

	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, 0, &ev) == -1)
		die(EXIT_FAILED, "standard input: %s", strerror(errno));
	report_ready(l);
	while (!l->stdin_closed)
		turn(l);
}

static void
measure(struct load *l)
{
	uint64_t start, end = UINT64_MAX;

	l->status->phase = l->phase = PHASE_RUN;
	pace_start(l);
	for (start = after(l->opt.warmup); now_ns() < start && l->pace.running;)
		turn(l);
	report_mark(l, &l->measured[0]);
	l->timed = true;
	if (l->opt.seconds > 0)
		end = after(l->opt.seconds);
	while (now_ns() < end && l->pace.running &&
	    l->ready + l->waiting + l->connecting > 0)
		turn(l);
	report_mark(l, &l->measured[1]);
	l->timed = false;
	pace_stop(l);
}

/* Until all is delivered, and a little longer for what comes twice. */
static void
drain(struct load *l)
{
	uint64_t end = after(l->opt.grace);

	while ((l->v.complete < l->v.nmessages || l->ready < l->nclients) &&
	    now_ns() < end)
		turn(l);
	for (end = after(0.1); now_ns() < end;)
		turn(l);
}

static void
compare_history(struct load *l)
{
	uint64_t end = after(l->opt.grace);

	l->status->phase = l->phase = PHASE_HISTORY;
	if (!l->opt.history)
		return;
	history_start(l);
	while (l->walks_open > 0 && now_ns() < end)
		turn(l);
	if (l->walks_open > 0)
		verify_fault(&l->v, FAULT_HISTORY, "%u walks got no answer",
		    l->walks_open);
}

static void
load_clear(struct load *l)
{
	unsigned i;

	for (i = 0; i < l->nclients; i++)
		client_free(&l->client[i]);
	for (i = 0; i < l->ntokens; i++)
		free(l->token[i]);
	free(l->token);
	free(l->client);
	wire_free_all(l);
	verify_clear(&l->v);
	free(l->pace.room);
	free(l->pace.list);
	free(l->walk);
	free(l->buf);
	free(l->text);
	free(l->frame);
	close(l->epfd);
}

int
main(int argc, char **argv)
{
	static struct load l;
	bool fine;

	take_options(&l.opt, argc, argv);
	load_init(&l);
	setup(&l);
	if (l.opt.hold) {
		hold(&l);
	} else {
		measure(&l);
		drain(&l);
		compare_history(&l);
		verify_finish(&l.v);
		report_print(&l);
	}
	l.status->phase = PHASE_DONE;
	fine = verify_faults(&l.v) == 0;
	load_clear(&l);
	return fine ? EXIT_FINE : EXIT_VIOLATED;
}
