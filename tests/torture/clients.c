/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * clients - see clients.h.
 */

#include "tests/torture/clients.h"

#include <sys/epoll.h>
#include <sys/mman.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/util.h"
#include "tests/torture/names.h"

#define EVENTS 256
/* what is still not there then will not come */
#define FINISH_TIMEOUT (100 * SECOND)

static const char usage[] =
    "usage: clients [option]... port\n"
    "  --ledger F --status F   what is written down, what is shared\n"
    "  --clients N --first N   how many, and the first one's number\n"
    "  --rooms N               sessions that they choose from\n"
    "  --rate N                messages a second, all clients together\n"
    "  --seed N                of the run: all processes have the same\n";

static const struct option long_options[] = {
	{ "ledger", required_argument, NULL, 'l' },
	{ "status", required_argument, NULL, 's' },
	{ "clients", required_argument, NULL, 'n' },
	{ "first", required_argument, NULL, 'f' },
	{ "rooms", required_argument, NULL, 'r' },
	{ "rate", required_argument, NULL, 'R' },
	{ "seed", required_argument, NULL, 'S' },
	{ NULL, 0, NULL, 0 },
};

uint64_t
clients_random(struct clients *t)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return t->random >> 11;
}

uint64_t
clients_between(struct clients *t, uint64_t low, uint64_t high)
{
	return low + clients_random(t) % (high - low);
}

void
clients_note(struct clients *t, const struct player *p, struct ledger_entry e)
{
	e.ns = now_ns();
	e.client = p->id;
	e.conn = p->conn;
	ledger_put(t->ledger, &e);
}

static void
take_options(struct clients *t, int argc, char **argv)
{
	int opt;

	t->n = 100;
	t->rooms = 20;
	t->rate = 500;
	t->seed = 1;
	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (opt) {
		case 'l':
			t->ledger_path = optarg;
			break;
		case 's':
			t->status_path = optarg;
			break;
		case 'n':
			t->n = (unsigned)arg_number("clients", optarg, 1, 8192);
			break;
		case 'f':
			t->first =
			    (unsigned)arg_number("first", optarg, 0, 1 << 20);
			break;
		case 'r':
			t->rooms = (unsigned)arg_number("rooms", optarg,
			    SEATS + 1, 60000);
			break;
		case 'R':
			t->rate = arg_real("rate", optarg);
			break;
		case 'S':
			t->seed = arg_number("seed", optarg, 1, UINT64_MAX);
			break;
		default:
			fputs(usage, stderr);
			exit(EXIT_USAGE);
		}
	}
	if (optind != argc - 1 || t->ledger_path == NULL ||
	    t->status_path == NULL) {
		fputs(usage, stderr);
		exit(EXIT_USAGE);
	}
	t->address = argv[optind];
}

static void
map_status(struct clients *t)
{
	int fd = open(t->status_path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	if (fd == -1 || ftruncate(fd, sizeof(*t->status)) == -1)
		die(EXIT_FAILED, "%s: %s", t->status_path, strerror(errno));
	t->status = mmap(NULL, sizeof(*t->status), PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0);
	if (t->status == MAP_FAILED)
		die(EXIT_FAILED, "mmap: %s", strerror(errno));
	close(fd);
}

static void
make_players(struct clients *t)
{
	struct player *p;
	unsigned i, k;

	t->player = xcalloc(t->n, sizeof(*t->player));
	for (i = 0; i < t->n; i++) {
		p = &t->player[i];
		p->id = t->first + i;
		/* some users have two sockets, mostly on two workers */
		p->user = i % 5 == 4 ? p->id - 1 : p->id;
		p->wire[WIRE_MAIN].fd = p->wire[WIRE_POST].fd = -1;
		p->polls = i % 6 == 5;
		p->agent = p->user % 5 == 0;
		p->next_request = 1;
		p->due = t->now + i * (SECOND / t->n);
		p->act = t->now + 2 * SECOND;
		for (k = 0; k < 2; k++) {
			p->seat[k].state = SEAT_WANTED;
			do
				p->seat[k].room =
				    (unsigned)clients_between(t, 0, t->rooms);
			while (k > 0 && p->seat[0].room == p->seat[1].room);
		}
	}
}

static void
init(struct clients *t)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&t->to;

	in->sin_family = AF_INET;
	in->sin_port =
	    htons((uint16_t)arg_number("port", t->address, 1, 65535));
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	t->to_len = sizeof(*in);
	(void)raise_nofile();
	(void)signal(SIGPIPE, SIG_IGN);
	if ((t->epfd = epoll_create1(EPOLL_CLOEXEC)) == -1)
		die(EXIT_FAILED, "epoll_create1: %s", strerror(errno));
	names_tag(t->seed);
	t->random = names_mix(t->seed ^ (uint64_t)t->first << 40) | 1;
	t->ledger = ledger_create(t->ledger_path);
	map_status(t);
	t->now = t->start = now_ns();
	make_players(t);
}

/* Send what the clock says is due, by clients at random. */
static void
pace(struct clients *t)
{
	uint64_t due = (uint64_t)((double)(t->now - t->start) / 1e9 * t->rate);
	unsigned tries;

	for (tries = 0; t->scheduled < due && tries < t->n; tries++)
		if (send_new(t, &t->player[clients_between(t, 0, t->n)]))
			t->scheduled++;
}

static unsigned
undone(const struct clients *t)
{
	unsigned i, n = 0;

	for (i = 0; i < t->n; i++)
		n += !act_done(&t->player[i]);
	return n;
}

static void
turn(struct clients *t)
{
	struct epoll_event ev[EVENTS];
	int i, n;

	n = epoll_wait(t->epfd, ev, EVENTS, 2);
	t->now = now_ns();
	for (i = 0; i < n; i++)
		line_event(t, &t->player[(uint32_t)ev[i].data.u64],
		    (enum wire_kind)(ev[i].data.u64 >> 32), ev[i].events);
	if (t->status->phase == PHASE_RUN)
		pace(t);
	if (t->now < t->next_check)
		return;
	t->next_check = t->now + 5 * MS;
	for (i = 0; (unsigned)i < t->n; i++)
		act(t, &t->player[i]);
}

static bool
go_on(struct clients *t)
{
	struct status *s = t->status;

	if (s->phase == PHASE_SETUP && s->ready == t->n) {
		s->phase = PHASE_RUN;
		t->start = t->now;
	}
	if (s->command == COMMAND_QUIT)
		return false;
	if (s->command == COMMAND_FINISH && s->phase != PHASE_FINISH) {
		s->phase = PHASE_FINISH;
		t->finish = t->now;
	}
	return s->phase != PHASE_FINISH ||
	    (undone(t) > 0 && t->now < t->finish + FINISH_TIMEOUT);
}

int
main(int argc, char **argv)
{
	static struct clients t;
	struct player nobody = { .id = UINT32_MAX };
	unsigned i;

	take_options(&t, argc, argv);
	init(&t);
	while (go_on(&t))
		turn(&t);
	for (i = 0; i < t.n; i++)
		act_quiet(&t, &t.player[i]);
	clients_note(&t, &nobody, (struct ledger_entry){ .kind = LEDGER_END });
	ledger_close(t.ledger, t.ledger_path);
	i = undone(&t);
	t.status->phase = PHASE_DONE;
	if (i > 0)
		die(EXIT_VIOLATED, "%u clients were not done", i);
	return EXIT_FINE;
}
