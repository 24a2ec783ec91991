/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_recovery_kill - sockets join, leave, are lost and taken over while the
 * scribe is killed at any instruction.  A model of what recovery rows and
 * presence must be is compared with the store as each kill left it, and with
 * every verdict.
 *
 * CHATD_KILLS=n kills so often (default 40), CHATD_SEED=n repeats a run.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/scribe_process.h"

#define SOCKS 12
#define HALLS 5

/* What was published at a position. */
struct op {
	enum record_type type;
	uint8_t sock;
	uint8_t hall;
	uint16_t flags;
	uint32_t gen;
	uint32_t after;
};

struct hall {
	/* recovery row */
	bool kept, present;
	uint64_t gseq;
	uint32_t after;
	/* presence */
	bool there, with_pid;
	uint32_t gen;
};

struct sock {
	bool row;
	uint32_t gen;
	struct hall hall[HALLS];
};

static struct {
	struct op op[WINDOW];
	struct sock sock[SOCKS];
	/* the session that has each socket, as the publisher knows it */
	uint32_t gen[SOCKS];
	uint64_t room[HALLS];
	uint64_t user;
	unsigned verdicts[2];
	unsigned checks, ahead;
} model;

/* --- the model --------------------------------------------------------- */

static bool
is_there(const struct sock *s)
{
	unsigned i;

	for (i = 0; i < HALLS; i++)
		if (s->hall[i].kept && s->hall[i].present)
			return true;
	return false;
}

/* Without rooms there is no row. */
static void
tidy(struct sock *s)
{
	unsigned i;

	for (i = 0; i < HALLS; i++)
		if (s->row && s->hall[i].kept)
			return;
	s->row = false;
}

static void
drop_row(struct sock *s)
{
	unsigned i;

	s->row = false;
	for (i = 0; i < HALLS; i++)
		s->hall[i].kept = false;
}

static enum ring_verdict
model_join(struct sock *s, const struct op *op, uint64_t gseq)
{
	struct hall *r = &s->hall[op->hall];
	bool resumes = (op->flags & RECORD_F_RESUME) != 0, was = r->there;

	if (s->row && s->gen != op->gen)
		return RING_REJECTED;
	r->there = true;
	r->gen = op->gen;
	r->with_pid = s->row || !resumes;
	if (!r->with_pid)
		return was ? RING_DUPLICATE : RING_STORED;
	if (!s->row)
		drop_row(s);
	s->row = true;
	s->gen = op->gen;
	r->present = true;
	if (!r->kept || !resumes) {
		r->gseq = gseq;
		r->after = op->after;
	}
	r->kept = true;
	return was ? RING_DUPLICATE : RING_STORED;
}

static enum ring_verdict
model_leave(struct sock *s, const struct op *op)
{
	struct hall *r = &s->hall[op->hall];

	if (!r->there || r->gen != op->gen)
		return RING_REJECTED;
	r->there = false;
	if (!r->with_pid || !s->row || s->gen != op->gen)
		return RING_STORED;
	if ((op->flags & RECORD_F_FINAL) != 0)
		drop_row(s);
	else if ((op->flags & RECORD_F_LOST) != 0)
		r->present = false;
	else
		r->kept = false;
	tidy(s);
	return RING_STORED;
}

static enum ring_verdict
model_resume(struct sock *s, const struct op *op)
{
	unsigned i;

	if (!s->row)
		return RING_REJECTED;
	if (s->gen != op->gen)
		for (i = 0; i < HALLS; i++)
			s->hall[i].present = false;
	s->gen = op->gen;
	return RING_STORED;
}

static enum ring_verdict
model_release(struct sock *s, const struct op *op)
{
	struct hall *r = &s->hall[op->hall];

	if (!s->row || s->gen != op->gen || !r->kept || r->present)
		return RING_REJECTED;
	r->kept = false;
	tidy(s);
	return RING_STORED;
}

static enum ring_verdict
model_apply(const struct op *op, uint64_t gseq)
{
	struct sock *s = &model.sock[op->sock];

	switch (op->type) {
	case RECORD_JOIN:
		return model_join(s, op, gseq);
	case RECORD_LEAVE:
		return model_leave(s, op);
	case RECORD_RESUME:
		return model_resume(s, op);
	case RECORD_RELEASE:
		return model_release(s, op);
	default:
		return RING_STORED;
	}
}

/* --- the store against the model ---------------------------------------- */

static void
names(unsigned sock, char pid[STORE_PID + 1], char id[16])
{
	snprintf(pid, STORE_PID + 1, "pid-%016u", sock);
	snprintf(id, 16, "sock%u", sock);
}

static bool
same_row(struct store_txn *t, unsigned i)
{
	const struct sock *s = &model.sock[i];
	struct store_recovery row;
	char pid[STORE_PID + 1], id[16];
	unsigned k, n, kept = 0;

	names(i, pid, id);
	if ((store_recovery_get(t, text(pid), &row) == 0) != s->row)
		return false;
	if (!s->row)
		return true;
	for (k = 0; k < HALLS; k++) {
		const struct hall *r = &s->hall[k];

		if (!r->kept)
			continue;
		kept++;
		for (n = 0; n < row.nrooms; n++)
			if (row.room[n].room == model.room[k])
				break;
		if (n == row.nrooms || row.room[n].gseq != r->gseq ||
		    row.room[n].after_seq != r->after ||
		    row.room[n].present != r->present)
			return false;
	}
	return kept == row.nrooms && row.generation == s->gen &&
	    (row.lost_ms == 0) == is_there(s) && !row.partial;
}

static bool
same_presence(struct store_txn *t, unsigned i)
{
	char pid[STORE_PID + 1], id[16];
	struct store_presence p;
	unsigned k;
	bool there;

	names(i, pid, id);
	for (k = 0; k < HALLS; k++) {
		const struct hall *r = &model.sock[i].hall[k];

		there = store_presence_get(t, model.room[k], model.user,
			    text(id), &p) == 0;
		if (there != r->there ||
		    (there &&
			(p.generation != r->gen ||
			    (p.pid.len != 0) != r->with_pid)))
			return false;
	}
	return true;
}

/* In a process of its own: a store is opened once a process. */
static int
compare(struct harness *h)
{
	struct store_txn *t;
	struct store *s;
	const char *why;
	uint64_t g, pos;
	unsigned i;
	bool ok = true;

	if ((s = store_open(STORE_READ, &why)) == NULL ||
	    (t = store_snapshot(s)) == NULL)
		return 9;
	pos = store_pos(t);
	/* what was committed and not told */
	for (g = h->cursor; g < pos; g++)
		(void)model_apply(&model.op[g % WINDOW], g);
	for (i = 0; i < SOCKS; i++) {
		if (same_row(t, i) && same_presence(t, i))
			continue;
		fprintf(stderr, "socket %u is not as it must be pos=%llu\n", i,
		    (unsigned long long)pos);
		ok = false;
	}
	if (store_bad_values(s) > 0)
		ok = false;
	store_snapshot_end(&t);
	store_close(&s);
	if (!ok)
		return 9;
	return pos > h->cursor ? 1 : 0;
}

static void
check_now(struct harness *h)
{
	int status;
	pid_t pid;

	if ((pid = fork()) == 0)
		_exit(compare(h));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) <= 1);
	model.checks++;
	model.ahead += WEXITSTATUS(status) == 1;
}

/* --- publishing and delivering ------------------------------------------ */

static bool
put(struct harness *h, const struct op *op)
{
	struct record rec = { .type = (uint16_t)op->type,
		.flags = op->flags,
		.client = 1 + op->sock,
		.generation = op->gen };
	char pid[STORE_PID + 1], id[16], hall[16], after[16] = "";
	const char *const join[] = { "w", hall, "ada", "Ada", id, "", pid,
		after };
	const char *const leave[] = { id, "ada", "transport close" };
	const char *const row[] = { pid, "ada", id };
	const char *const *fields = op->type == RECORD_JOIN ? join
	    : op->type == RECORD_LEAVE			    ? leave
							    : row;

	names(op->sock, pid, id);
	snprintf(hall, sizeof(hall), "hall%u", op->hall);
	if (op->after > 0)
		snprintf(after, sizeof(after), "%u", op->after);
	if (op->type == RECORD_LEAVE || op->type == RECORD_RELEASE) {
		rec.room = model.room[op->hall];
		rec.user = model.user;
	}
	if (!publish(h, &rec, fields, op->type == RECORD_JOIN ? 8 : 3,
		(struct flight){ .type = rec.type }))
		return false;
	model.op[(h->published - 1) % WINDOW] = *op;
	return true;
}

static void
take_verdicts(struct harness *h)
{
	uint64_t limit = ring_limit(h->ring, h->cursor);
	struct ring_index ix;
	struct op *op;

	for (; h->cursor < limit; h->cursor++) {
		assert_int_equal(ring_peek(h->ring, SLOT, h->cursor, &ix),
		    RING_OK);
		if (ix.arena == RING_SCRIBE_ARENA)
			continue;
		op = &model.op[h->cursor % WINDOW];
		assert_int_equal(ix.type, op->type);
		if (op->type == RECORD_JOIN && model.room[op->hall] == 0) {
			model.room[op->hall] = ix.room;
			model.user = ix.user;
		}
		assert_int_equal(ix.verdict, model_apply(op, h->cursor));
		model.verdicts[ix.verdict == RING_REJECTED]++;
		memset(op, 0, sizeof(*op));
	}
	ring_advance(h->ring, SLOT, h->cursor);
}

static void
settle_all(struct harness *h)
{
	uint64_t end = clock_mono_ns() + 20 * CLOCK_S_NS;

	while (h->cursor < h->published && clock_mono_ns() < end) {
		take_verdicts(h);
		usleep(200);
	}
	assert_true(h->cursor >= h->published);
}

/* The same for all rooms of a socket. */
static void
everywhere(struct harness *h, struct op op)
{
	for (op.hall = 0; op.hall < HALLS; op.hall++)
		(void)put(h, &op);
}

/* A client comes back; its old connection may still be there. */
static void
take_over(struct harness *h, struct op op)
{
	struct op old = op;

	op.type = RECORD_RESUME;
	op.gen = ++model.gen[op.sock];
	(void)put(h, &op);
	old.type = RECORD_LEAVE;
	old.flags = rnd(h, 4) == 0 ? RECORD_F_FINAL : RECORD_F_LOST;
	op.type = RECORD_JOIN;
	op.flags = RECORD_F_RESUME;
	if (rnd(h, 2) == 0)
		everywhere(h, old);
	if (rnd(h, 8) != 0)
		everywhere(h, op);
	everywhere(h, old);
}

static void
one_event(struct harness *h)
{
	static const uint16_t kinds[] = { 0, RECORD_F_LOST, RECORD_F_LOST,
		RECORD_F_FINAL };
	struct op op = { .type = RECORD_JOIN,
		.sock = (uint8_t)rnd(h, SOCKS),
		.hall = (uint8_t)rnd(h, HALLS) };
	unsigned what = rnd(h, 100);

	op.gen = model.gen[op.sock];
	/* now and then somebody who has it no more */
	if (op.gen > 1 && rnd(h, 12) == 0)
		op.gen -= 1 + rnd(h, op.gen - 1);
	if (what < 45) {
		op.after = rnd(h, 3);
		(void)put(h, &op);
	} else if (what < 65) {
		op.type = RECORD_LEAVE;
		op.flags = kinds[rnd(h, 2)];
		(void)put(h, &op);
	} else if (what < 80) {
		op.type = RECORD_LEAVE;
		op.flags = kinds[rnd(h, 4)];
		everywhere(h, op);
	} else if (what < 85) {
		op.type = RECORD_RELEASE;
		(void)put(h, &op);
	} else {
		take_over(h, op);
	}
}

static void
traffic(struct harness *h, unsigned us)
{
	uint64_t end = clock_mono_ns() + us * 1000ULL;
	unsigned i, burst;

	do {
		burst = 1 + rnd(h, 40);
		for (i = 0; i < burst; i++)
			one_event(h);
		take_verdicts(h);
		usleep(rnd(h, 500));
	} while (clock_mono_ns() < end);
}

/* Learn the numbers of the rooms. */
static void
begin(struct harness *h)
{
	uint64_t end = clock_mono_ns() + 10 * CLOCK_S_NS;
	struct op op = { .type = RECORD_JOIN, .gen = 1 };
	unsigned i;

	while (
	    ring_state(h->ring, SLOT) != RING_ACTIVE && clock_mono_ns() < end)
		usleep(500);
	h->cursor = h->published = ring_join_pos(h->ring, SLOT);
	for (i = 0; i < SOCKS; i++)
		model.gen[i] = 1;
	everywhere(h, op);
	settle_all(h);
	for (i = 0; i < HALLS; i++)
		assert_true(model.room[i] != 0);
}

/* The ring may be full of what the scribe asked. */
static void
put_in_the_end(struct harness *h, const struct op *op)
{
	uint64_t end = clock_mono_ns() + 20 * CLOCK_S_NS;

	while (!put(h, op) && clock_mono_ns() < end)
		usleep(500);
	settle_all(h);
}

/*
 * Those who were taken over leave where they still are, and those who did
 * not leave every room when they were disconnected for good: the ring was
 * full.
 */
static void
old_ones_go(struct harness *h)
{
	struct op op = { .type = RECORD_LEAVE, .flags = RECORD_F_LOST };
	const struct sock *s;
	unsigned i, k;

	settle_all(h);
	for (i = 0; i < SOCKS; i++) {
		s = &model.sock[i];
		for (k = 0; k < HALLS; k++) {
			if (!s->hall[k].there ||
			    (s->row && s->hall[k].gen == s->gen &&
				s->hall[k].kept))
				continue;
			op.sock = (uint8_t)i;
			op.hall = (uint8_t)k;
			op.gen = s->hall[k].gen;
			put_in_the_end(h, &op);
		}
	}
}

struct invariant {
	struct store_txn *t;
	unsigned members, bad;
};

/* Who can be recovered has a row that holds the room. */
static bool
held(const struct store_presence *p, void *arg)
{
	struct invariant *in = arg;
	struct store_recovery row;
	unsigned i;

	in->members++;
	if (p->pid.len == 0)
		return true;
	in->bad++;
	if (store_recovery_get(in->t, p->pid, &row) == -1)
		return true;
	for (i = 0; i < row.nrooms; i++)
		if (row.room[i].room == p->room && row.room[i].present) {
			in->bad--;
			break;
		}
	return true;
}

static void
check_invariant(void)
{
	struct invariant in = { NULL, 0, 0 };
	struct store *s;
	const char *why;
	unsigned i;

	assert_non_null(s = store_open(STORE_READ, &why));
	assert_non_null(in.t = store_snapshot(s));
	for (i = 0; i < HALLS; i++)
		assert_int_equal(store_roster(in.t, model.room[i], held, &in),
		    0);
	store_snapshot_end(&in.t);
	store_close(&s);
	assert_int_equal(in.bad, 0);
	assert_true(in.members > 0);
}

static void
rows_and_presence_stay_one_whenever_the_scribe_dies(void **state)
{
	const char *kills_s = getenv("CHATD_KILLS"), *s = getenv("CHATD_SEED");
	unsigned kills =
	    kills_s != NULL ? (unsigned)strtoul(kills_s, NULL, 10) : 40;
	uint64_t seed = s != NULL ? strtoul(s, NULL, 10) : (uint64_t)getpid();
	struct harness *h = *state;
	unsigned i;

	alarm(120 + kills);
	h->rnd = (seed << 1 | 1) * 0x9e3779b97f4a7c15;
	start_scribe(h, true);
	begin(h);
	wait_ready(h);
	for (i = 0; i < kills; i++) {
		traffic(h, rnd(h, 3) == 0 ? rnd(h, 8000) : rnd(h, 40000));
		kill_scribe(h);
		take_verdicts(h);
		check_now(h);
		start_scribe(h, false);
	}
	traffic(h, 20000);
	old_ones_go(h);
	assert_int_equal(stop_scribe(h), 0);
	check_now(h);
	check_invariant();
	print_message("seed=%llu kills=%u in_flight=%u ahead=%u accepted=%u "
		      "rejected=%u\n",
	    (unsigned long long)seed, h->kills, h->kills_in_flight, model.ahead,
	    model.verdicts[0], model.verdicts[1]);
	assert_int_equal(model.checks, kills + 1);
	assert_true(h->kills_in_flight >= kills / 3);
	assert_true(model.verdicts[0] > 0 && model.verdicts[1] > 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(rows_and_presence_stay_one_whenever_the_scribe_dies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
