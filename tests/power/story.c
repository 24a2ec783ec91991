/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "tests/power/story.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/power/life.h"

#define ROOMS 9
#define USERS 6
#define SOCKETS 16
#define IDS 400
#define FLIGHTS 4096
#define BODY_MAX 9000
#define BEGIN_MS 1800000000000

struct socket {
	char id[24], pid[24], after[8];
	unsigned user;
	uint32_t client, generation;
};

struct place {
	char session[16];
	uint64_t number;
	/* user numbers, by JOIN */
	uint64_t user[USERS];
	/* who sent which id */
	uint8_t sender[IDS];
	unsigned ids;
};

/* What a record was about. */
struct flight {
	uint16_t type;
	uint8_t room, user;
};

struct world {
	struct journal *j;
	uint64_t rnd;
	struct small_ring ring;
	uint32_t incarnation;
	uint8_t daemons;
	struct place room[ROOMS];
	struct socket socket[SOCKETS];
	struct flight flight[FLIGHTS];
	struct story_counts n;
	/* the scribe */
	pid_t pid;
	int fd;
	char body[BODY_MAX];
};

static struct world world;

/* --- time -------------------------------------------------------------- */

static _Atomic uint64_t *now_ns;

/* All times are the story's: nothing in it depends on the machine. */
int
clock_gettime(clockid_t id, struct timespec *ts)
{
	uint64_t ns;

	if (now_ns == NULL) {
		now_ns = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (now_ns == MAP_FAILED)
			abort();
	}
	ns = atomic_fetch_add(now_ns, 1000);
	ts->tv_sec = (time_t)(ns / 1000000000);
	ts->tv_nsec = (long)(ns % 1000000000);
	return 0;
}

void
story_clock(uint64_t now_ms)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	atomic_store(now_ns, now_ms * 1000000);
}

static void
time_passes(uint64_t ns)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	atomic_fetch_add(now_ns, ns);
}

/* --- chance ------------------------------------------------------------ */

static unsigned
chance(struct world *w, unsigned n)
{
	w->rnd ^= w->rnd << 13;
	w->rnd ^= w->rnd >> 7;
	w->rnd ^= w->rnd << 17;
	return (unsigned)((w->rnd >> 20) % n);
}

static struct record_field
field(const char *s)
{
	struct record_field f = { s, (uint32_t)strlen(s) };

	return f;
}

/* --- records ----------------------------------------------------------- */

static uint64_t
publish(struct world *w, const struct record *h, const struct record_field *f,
    unsigned n, unsigned room, unsigned user)
{
	uint64_t gseq = small_ring_publish(&w->ring, h, f, n);
	struct flight fl = { h->type, (uint8_t)room, (uint8_t)user };

	if (gseq == 0)
		return 0;
	w->flight[gseq % FLIGHTS] = fl;
	w->n.published++;
	return gseq;
}

static const char *const users[USERS] = { "ada", "bob", "cyd", "dot", "eva",
	"fay" };

static void
join(struct world *w, unsigned room, struct socket *s, unsigned flags)
{
	struct record_field f[8] = { field("w"), field(w->room[room].session),
		field(users[s->user]), field("A Name"), field(s->id),
		field("agent"), field(s->pid), field(s->after) };
	struct record h = { .type = RECORD_JOIN,
		.flags = (uint16_t)flags,
		.client = s->client,
		.generation = s->generation };

	(void)publish(w, &h, f, 8, room, s->user);
}

static void
leave(struct world *w, unsigned room, struct socket *s, unsigned flags)
{
	struct record_field f[3] = { field(s->id), field(users[s->user]),
		field("transport close") };
	struct record h = { .type = RECORD_LEAVE,
		.flags = (uint16_t)flags,
		.room = w->room[room].number,
		.user = w->room[room].user[s->user],
		.client = s->client,
		.generation = s->generation };

	(void)publish(w, &h, f, 3, room, s->user);
}

static void
presence(struct world *w, unsigned room, struct socket *s)
{
	struct record_field f[5] = { field(s->id), field(users[s->user]),
		field("A Name"), field(chance(w, 2) ? "idle" : "away"),
		field("1") };
	struct record h = { .type = RECORD_PRESENCE,
		.room = w->room[room].number,
		.user = w->room[room].user[s->user],
		.client = s->client,
		.generation = s->generation };

	(void)publish(w, &h, f, 5, room, s->user);
}

/* Another session takes the socket, and one of its rooms. */
static void
take_up(struct world *w, unsigned room, struct socket *s)
{
	struct record_field f[3] = { field(s->pid), field(users[s->user]),
		field(s->id) };
	struct record h = { .type = RECORD_RESUME,
		.client = s->client,
		.generation = ++s->generation };

	(void)publish(w, &h, f, 3, room, s->user);
	join(w, room, s, RECORD_F_RESUME);
}

static void
message(struct world *w, unsigned room)
{
	struct place *rm = &w->room[room];
	unsigned user = chance(w, USERS), which = rm->ids;
	struct record_field id, body = { w->body, 0 };
	char text[32];

	if (rm->user[user] == 0)
		return;
	/* one in six is said again, sometimes by somebody else */
	if (rm->ids == IDS || (rm->ids > 0 && chance(w, 6) == 0)) {
		which = chance(w, rm->ids);
		if (chance(w, 8) != 0)
			user = rm->sender[which];
	}
	id.p = text;
	id.len =
	    (uint32_t)snprintf(text, sizeof(text), "id-%u-%u", room, which);
	body.len = 20 + chance(w, chance(w, 40) == 0 ? BODY_MAX - 20 : 300);
	memset(w->body, 'a' + (int)(which % 26), body.len);
	if (rm->user[user] == 0 ||
	    small_ring_message(&w->ring, rm->number, rm->user[user], id,
		body) == 0)
		return;
	if (which == rm->ids)
		rm->sender[rm->ids++] = (uint8_t)user;
	w->n.published++;
}

/* Disconnected on purpose: out of all rooms. */
static void
leave_all(struct world *w, struct socket *s)
{
	unsigned i;

	for (i = 0; i < ROOMS; i++)
		if (w->room[i].user[s->user] != 0)
			leave(w, i, s, RECORD_F_FINAL);
}

static void
one_record(struct world *w)
{
	struct socket *s = &w->socket[chance(w, SOCKETS)];
	unsigned room = chance(w, ROOMS), what = chance(w, 100);

	if (w->room[room].number == 0 || w->room[room].user[s->user] == 0 ||
	    what < 8)
		join(w, room, s, 0);
	else if (what < 14)
		leave(w, room, s, what < 11 ? RECORD_F_LOST : 0);
	else if (what < 15)
		leave_all(w, s);
	else if (what < 19)
		presence(w, room, s);
	else if (what < 22)
		take_up(w, room, s);
	else
		message(w, room);
}

/* --- scribes ----------------------------------------------------------- */

static void
scribe(struct world *w, int fd)
{
	struct life l;
	const char *why = "";
	char c;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	record_to(w->j);
	if (life_begin(&l, &w->ring, w->incarnation, &why) == -1) {
		fprintf(stderr, "a scribe cannot begin: %s\n", why);
		_exit(2);
	}
	while (write(fd, "d", 1) == 1 && read(fd, &c, 1) == 1 && c == 'g')
		if (life_turns(&l) == -1)
			_exit(3);
	life_end(&l);
	_exit(0);
}

static bool
answered(struct world *w)
{
	char c;

	return read(w->fd, &c, 1) == 1;
}

static bool
start_scribe(struct world *w)
{
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1)
		fatal("socketpair");
	w->incarnation++;
	w->n.lives++;
	/* most of them die: within a commit, or within many */
	w->j->die_at = 0;
	if (chance(w, 8) != 0)
		w->j->die_at = atomic_load(&w->j->events) + 2 +
		    chance(w, chance(w, 3) == 0 ? 30 : 250);
	w->j->die_how = chance(w, 4);
	if (w->j->plant == PLANT_NO_TAKEOVER_SYNC && w->j->die_at != 0) {
		/* what it is about */
		w->j->die_at = atomic_load(&w->j->events) + 2 + chance(w, 60);
		w->j->die_how = 3;
	}
	if ((w->pid = fork()) == 0) {
		close(sv[0]);
		scribe(w, sv[1]);
	}
	if (w->pid == -1)
		fatal("fork");
	close(sv[1]);
	w->fd = sv[0];
	return answered(w);
}

/* 0, or -1 if it did not die as it was told to. */
static int
bury_scribe(struct world *w)
{
	int status = 0;

	close(w->fd);
	if (waitpid(w->pid, &status, 0) != w->pid)
		fatal("waitpid");
	w->pid = 0;
	ring_scribe_dead(w->ring.worker);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		w->n.killed++;
		return 0;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	fprintf(stderr, "a scribe ended with status %#x\n", (unsigned)status);
	return -1;
}

/* --- verdicts ---------------------------------------------------------- */

static void
read_verdicts(struct world *w)
{
	const struct flight *fl;
	struct ring_index ix;
	uint64_t gseq;

	while (small_ring_next(&w->ring, &gseq, &ix)) {
		fl = &w->flight[gseq % FLIGHTS];
		w->n.told++;
		w->n.stored +=
		    ix.type == RECORD_MESSAGE && ix.verdict == RING_STORED;
		w->n.duplicates += ix.verdict == RING_DUPLICATE;
		if (ix.type == RECORD_JOIN && ix.verdict == RING_STORED &&
		    fl->type == RECORD_JOIN) {
			w->room[fl->room].number = ix.room;
			w->room[fl->room].user[fl->user] = ix.user;
		}
	}
}

static void
new_daemon(struct world *w)
{
	uint8_t id[16];
	uint64_t base = (uint64_t)(w->daemons + 1) << 40;

	if (w->ring.mem != NULL) {
		small_ring_drop(&w->ring);
		w->n.restarts++;
	}
	memset(id, ++w->daemons, sizeof(id));
	small_ring_make(&w->ring, id, base, ++w->incarnation);
}

static void
populate(struct world *w)
{
	struct socket *s;
	unsigned i;

	for (i = 0; i < ROOMS; i++)
		(void)snprintf(w->room[i].session, sizeof(w->room[i].session),
		    "session-%u", i);
	for (i = 0; i < SOCKETS; i++) {
		s = &w->socket[i];
		s->user = i % USERS;
		s->client = i + 1;
		s->generation = 1;
		(void)snprintf(s->id, sizeof(s->id), "socket-%u", i);
		/* every third can never be taken up again */
		if (i % 3 != 0)
			(void)snprintf(s->pid, sizeof(s->pid), "%020u", i);
		if (i % 2 != 0)
			(void)snprintf(s->after, sizeof(s->after), "%u", i);
	}
}

/* --- the story --------------------------------------------------------- */

/* A scribe is there, whatever it takes: 0 or -1. */
static int
have_scribe(struct world *w)
{
	while (w->pid == 0)
		if (!start_scribe(w) && bury_scribe(w) == -1)
			return -1;
	return 0;
}

static int
end_scribe(struct world *w, bool in_peace)
{
	if (w->pid == 0)
		return 0;
	w->j->die_at = 0;
	if (!in_peace)
		(void)kill(w->pid, SIGKILL);
	return bury_scribe(w);
}

static int
one_step(struct world *w)
{
	unsigned i, n;

	if (chance(w, 60) == 0) {
		if (end_scribe(w, chance(w, 2) == 0) == -1)
			return -1;
		new_daemon(w);
	}
	if (have_scribe(w) == -1)
		return -1;
	n = 1 + chance(w, chance(w, 12) == 0 ? 60 : 8);
	for (i = 0; i < n; i++)
		one_record(w);
	if ((write(w->fd, "g", 1) != 1 || !answered(w)) && bury_scribe(w) == -1)
		return -1;
	read_verdicts(w);
	time_passes(chance(w, 50) == 0 ? 30000000000 : 1 + chance(w, 20000000));
	return 0;
}

int
story_play(struct journal *j, uint64_t seed, unsigned steps,
    struct story_counts *counts_r)
{
	struct world *w = &world;
	unsigned i;
	int rc = 0;

	memset(w, 0, sizeof(*w));
	w->j = j;
	w->rnd = seed * 2654435761u | 1;
	story_clock(BEGIN_MS);
	populate(w);
	new_daemon(w);
	for (i = 0; i < steps && rc == 0 && !atomic_load(&j->full); i++)
		rc = one_step(w);
	/* the end: everything is told */
	if (end_scribe(w, true) == -1)
		rc = -1;
	do {
		if (rc == 0)
			rc = have_scribe(w);
		w->j->die_at = 0;
	} while (rc == 0 && (write(w->fd, "g", 1) != 1 || !answered(w)) &&
	    (rc = bury_scribe(w)) == 0);
	read_verdicts(w);
	if (end_scribe(w, true) == -1)
		rc = -1;
	small_ring_drop(&w->ring);
	*counts_r = w->n;
	return rc;
}
