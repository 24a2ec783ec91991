/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_scribe_model - messages, retries, retention, merges, restarts and a
 * clock that moves, at random, against a model that is a plain list: each id
 * is stored once while its window lasts, and a retry gets the first seq and
 * time, whatever has become of the message.  And edits, deletions and
 * receipts: revisions without a hole, and every item as it was changed last.
 *
 * CHATD_SEED=n repeats a run, CHATD_STEPS=n makes it longer.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scribe/upkeep.h"
#include "tests/unit/scribe_edit.h"

#define NROOMS 3
#define NIDS 20000
/* few enough that windows end all the time */
#define DEDUPE_MS 600000ULL
#define MINUTE_MS 60000ULL
#define NUSERS 4
/* messages of a room */
#define NSEQS 40000

/* What the model knows of an id: its room is its number modulo NROOMS. */
struct known {
	uint64_t seq;
	uint64_t time_ms;
	/* the scribe's own time, when it was stored */
	uint64_t at_ns;
};

/* What the model knows of a message by its seq: which edit it shows; or that
 * it is deleted; and by which revision. */
struct item {
	uint32_t id;
	uint32_t edit;
	bool deleted;
	uint64_t revision;
	uint64_t time_ms;
};

struct readers {
	uint64_t seq[NUSERS];
	uint64_t revision[NUSERS];
};

struct world {
	struct scribe_fixture *f;
	struct steps steps;
	struct upkeep upkeep;
	struct upkeep_limits limits;
	struct clock_shift shift;
	uint64_t room[NROOMS];
	uint64_t user;
	uint64_t seq[NROOMS];
	uint64_t time_ms[NROOMS];
	struct known known[NIDS];
	struct item *item[NROOMS];
	struct readers readers[NROOMS];
	uint64_t revision[NROOMS];
	uint32_t edits;
	uint32_t ids;
	uint64_t rnd;
	unsigned retries, late, restarts, again;
	unsigned edited, deleted, read, refused;
};

static unsigned
rnd(struct world *w, unsigned n)
{
	w->rnd ^= w->rnd << 13;
	w->rnd ^= w->rnd >> 7;
	w->rnd ^= w->rnd << 17;
	return (unsigned)((w->rnd >> 20) % n);
}

static void
begin(struct world *w, const struct steps_state *before)
{
	(void)steps_begin(&w->steps, clock_mono_ns(), clock_real_ms(),
	    clock_real_ms(), before);
	sequence_set_steps(w->f->q, &w->steps);
	upkeep_init(&w->upkeep, w->f->st.s, w->f->q, &w->steps, &w->limits);
}

static void
upkeep(struct world *w, unsigned turns)
{
	unsigned i;

	for (i = 0; i < turns; i++) {
		/* as if there had been a pause */
		w->upkeep.next_ns = 0;
		assert_int_equal(upkeep_turn(&w->upkeep, clock_mono_ns(),
				     clock_real_ms()),
		    0);
	}
	assert_int_equal(w->upkeep.failures, 0);
}

/* Time passes, or only the wall clock is set. */
static void
pass(struct world *w, uint64_t ms)
{
	w->shift.mono_ns += (int64_t)(ms * CLOCK_MS_NS);
	w->shift.real_ms += (int64_t)ms;
	(void)steps_look(&w->steps, clock_mono_ns(), clock_real_ms());
}

static void
set_clock(struct world *w, int64_t ms)
{
	w->shift.real_ms += ms;
	(void)steps_look(&w->steps, clock_mono_ns(), clock_real_ms());
}

/*
 * The window is at least as long as it says by the time that has truly
 * passed; it may be longer when the clock was set.
 */
static bool
must_be_known(const struct world *w, const struct known *k)
{
	return k->seq != 0 &&
	    clock_mono_ns() - k->at_ns < (DEDUPE_MS - 5000) * CLOCK_MS_NS;
}

static void
check(struct world *w, uint32_t id, const struct ring_index *ix)
{
	struct known *k = &w->known[id];
	unsigned room = id % NROOMS;

	if (ix->verdict == RING_DUPLICATE) {
		assert_true(k->seq != 0);
		assert_int_equal(ix->seq, k->seq);
		assert_int_equal(ix->time_ms, k->time_ms);
		w->retries++;
		return;
	}
	assert_int_equal(ix->verdict, RING_STORED);
	assert_false(must_be_known(w, k));
	w->late += k->seq != 0;
	assert_int_equal(ix->seq, ++w->seq[room]);
	assert_true(ix->time_ms >= w->time_ms[room]);
	w->time_ms[room] = ix->time_ms;
	k->seq = ix->seq;
	k->time_ms = ix->time_ms;
	k->at_ns = clock_mono_ns();
	assert_true(k->seq < NSEQS);
	w->item[room][k->seq] =
	    (struct item){ .id = id, .time_ms = ix->time_ms };
}

/* --- changes --------------------------------------------------------------- */

static void
body_of(char *buf, size_t size, uint32_t edit)
{
	if (edit == 0)
		snprintf(buf, size, "\"content\":\"hi\"");
	else
		snprintf(buf, size, "\"content\":\"%u\"", edit);
}

/* Retention may have taken it: then it is not found, and only then. */
static bool
is_there(struct world *w, unsigned room, uint64_t seq)
{
	struct store_message m;
	struct store_txn *t;
	int rc;

	assert_non_null(t = store_snapshot(w->f->st.s));
	rc = store_message_get(t, w->room[room], seq, &m);
	store_snapshot_end(&t);
	return rc == 0;
}

static void
check_change(struct world *w, unsigned room, const struct ring_index *ix)
{
	assert_int_equal(ix->verdict, RING_STORED);
	assert_int_equal(ix->revision, ++w->revision[room]);
	assert_true(ix->time_ms >= w->time_ms[room]);
	w->time_ms[room] = ix->time_ms;
}

static void
edit(struct world *w)
{
	unsigned room = rnd(w, NROOMS), what = rnd(w, 8);
	uint64_t seq = w->seq[room] == 0
	    ? 1
	    : w->seq[room] - rnd(w, w->seq[room] < 400 ? w->seq[room] : 400);
	struct item *item = &w->item[room][seq];
	struct ring_index ix = { .seq = seq, .time_ms = item->time_ms };
	bool there = is_there(w, room, seq) && !item->deleted;
	char name[32], body[64];

	snprintf(name, sizeof(name), "id-%u", item->id);
	body_of(body, sizeof(body), ++w->edits);
	if (what == 0)
		ix = fix_deleted(w->f, w->room[room], w->user, &ix, name, 0);
	else
		ix = fix_edited(w->f, w->room[room], w->user + (what == 1), &ix,
		    name, body, what == 2 ? RECORD_F_AGAIN : 0);
	if (!there || what == 1) {
		assert_int_equal(ix.verdict,
		    there ? RING_FORBIDDEN : RING_NOT_FOUND);
		w->refused++;
		return;
	}
	check_change(w, room, &ix);
	assert_int_equal(ix.seq, seq);
	item->revision = ix.revision;
	item->deleted = what == 0;
	item->edit = w->edits;
	w->edited += what != 0;
	w->deleted += what == 0;
}

static void
read_some(struct world *w)
{
	unsigned room = rnd(w, NROOMS), user = rnd(w, NUSERS);
	struct readers *r = &w->readers[room];
	uint64_t seq = rnd(w, (unsigned)w->seq[room] + 3);
	struct ring_index ix;
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)seq);
	ix = fix_read(w->f, w->room[room], w->user + user, text, 0);
	if (seq > w->seq[room]) {
		assert_int_equal(ix.verdict, RING_REJECTED);
		return;
	}
	if (seq <= r->seq[user]) {
		assert_int_equal(ix.verdict, RING_DUPLICATE);
		assert_int_equal(ix.seq, r->seq[user]);
		assert_int_equal(ix.revision, r->revision[user]);
		return;
	}
	check_change(w, room, &ix);
	r->seq[user] = seq;
	r->revision[user] = ix.revision;
	w->read++;
}

struct looking {
	struct world *w;
	unsigned room;
	uint64_t last;
};

/* Each row is the last change of its item. */
static bool
look_at_change(const struct store_change *c, void *arg)
{
	struct looking *look = arg;
	struct world *w = look->w;
	const struct readers *r = &w->readers[look->room];

	assert_true(c->revision > look->last);
	look->last = c->revision;
	if (c->kind == STORE_CHANGE_RECEIPT) {
		assert_int_equal(c->revision, r->revision[c->user - w->user]);
		return true;
	}
	assert_int_equal(c->revision, w->item[look->room][c->seq].revision);
	assert_int_equal(c->kind == STORE_CHANGE_DELETE,
	    w->item[look->room][c->seq].deleted);
	return true;
}

static void
look_at_messages(struct world *w, struct store_txn *t, unsigned room)
{
	struct store_message m[64];
	struct store_query q = { .room = w->room[room],
		.from = UINT64_MAX,
		.backward = true,
		.count = 64 };
	char body[64];
	unsigned i, n;
	bool more;

	assert_int_equal(store_page(t, &q, m, &n, &more), 0);
	for (i = 0; i < n; i++) {
		const struct item *item = &w->item[room][m[i].seq];

		assert_int_equal(m[i].revision, item->revision);
		assert_int_equal(m[i].deleted, item->deleted);
		if (item->deleted)
			continue;
		body_of(body, sizeof(body), item->edit);
		assert_int_equal(m[i].body.len, strlen(body));
		assert_memory_equal(m[i].body.p, body, strlen(body));
	}
}

/* The store against the model. */
static void
look_at_changes(struct world *w)
{
	struct looking look = { .w = w };
	struct store_txn *t;
	uint64_t revision;

	assert_non_null(t = store_snapshot(w->f->st.s));
	for (look.room = 0; look.room < NROOMS; look.room++) {
		look.last = 0;
		assert_int_equal(store_change_each(t, w->room[look.room], 0,
				     look_at_change, &look),
		    0);
		assert_int_equal(store_last_revision(t, w->room[look.room],
				     &revision),
		    0);
		assert_int_equal(revision, w->revision[look.room]);
		look_at_messages(w, t, look.room);
	}
	store_snapshot_end(&t);
}

static void
messages(struct world *w)
{
	uint64_t g[64];
	uint32_t id[64];
	unsigned n = 1 + rnd(w, 64), i;
	char name[32];

	for (i = 0; i < n; i++) {
		if (w->ids < NIDS && (w->ids == 0 || rnd(w, 4) != 0))
			id[i] = w->ids++;
		else if (rnd(w, 2) == 0 && w->ids > 500)
			id[i] = w->ids - 1 - rnd(w, 500);
		else
			id[i] = rnd(w, w->ids);
		snprintf(name, sizeof(name), "id-%u", id[i]);
		g[i] = fix_message(w->f, w->room[id[i] % NROOMS], w->user, name,
		    0);
	}
	(void)fix_turns(w->f);
	for (i = 0; i < n; i++) {
		struct ring_index ix = fix_index(w->f, g[i]);

		check(w, id[i], &ix);
	}
	fix_delivered(w->f);
}

/* The process ends in the middle of whatever it did. */
static void
restart(struct world *w)
{
	struct steps_state before = w->steps.now;
	uint64_t cursor = w->f->cursor;
	const char *why;

	upkeep_clear(&w->upkeep);
	fix_stop(w->f);
	store_close(&w->f->st.s);
	assert_non_null(w->f->st.s = store_open(STORE_WRITE, &why));
	assert_int_equal(fix_start(w->f), 0);
	w->f->cursor = cursor;
	begin(w, &before);
	w->restarts++;
}

/* What has been merged only because there are many is merged here sooner. */
static void
merge_some(struct world *w)
{
	struct rooms *rs = sequence_rooms(w->f->q);
	uint64_t now = steps_window_now(&w->steps, DEDUPE_MS);
	struct merge *m = &w->upkeep.merge;
	unsigned slices = rnd(w, 12);
	int rc = 0;

	if (!merge_active(m))
		assert_int_equal(merge_begin(m, w->room[rnd(w, NROOMS)],
				     now > DEDUPE_MS ? now - DEDUPE_MS : 0),
		    0);
	while (rc == 0 && slices-- > 0)
		rc = merge_slice(m, rs, 1 + rnd(w, 200));
	assert_int_not_equal(rc, -1);
}

static void
limit(struct world *w)
{
	static const uint64_t max[] = { 0, 10, 300, 1000 };
	static const uint64_t age[] = { 0, MINUTE_MS, 5 * MINUTE_MS,
		365 * 1440 * MINUTE_MS };

	w->limits.max_messages = max[rnd(w, 4)];
	w->limits.retention_ms = age[rnd(w, 4)];
	upkeep_configure(&w->upkeep, &w->limits);
}

static void
one_step(struct world *w)
{
	switch (rnd(w, 40)) {
	case 0:
		restart(w);
		break;
	case 1:
	case 2:
	case 3:
		merge_some(w);
		break;
	case 4:
		limit(w);
		break;
	case 5:
	case 6:
	case 7:
		upkeep(w, 1 + rnd(w, 20));
		break;
	case 8:
	case 9:
		pass(w, rnd(w, 2 * MINUTE_MS));
		break;
	case 10:
		if (rnd(w, 6) == 0)
			set_clock(w, ((int64_t)rnd(w, 2000) - 1000) * 86400000);
		break;
	case 11:
		if (rnd(w, 4) == 0)
			upkeep_run(&w->upkeep, 1);
		break;
	case 12:
		look_at_changes(w);
		break;
	case 13:
	case 14:
	case 15:
	case 16:
	case 17:
	case 18:
		edit(w);
		break;
	case 19:
	case 20:
	case 21:
		read_some(w);
		break;
	default:
		messages(w);
		break;
	}
}

static unsigned long
number_of(const char *env, unsigned long def)
{
	const char *s = getenv(env);

	return s != NULL ? strtoul(s, NULL, 10) : def;
}

static void
within_its_window_an_id_is_stored_once_whatever_happens(void **state)
{
	uint64_t seed = number_of("CHATD_SEED", (unsigned long)getpid());
	unsigned long steps = number_of("CHATD_STEPS", 1200), i;
	struct world *w;
	char name[16];

	assert_non_null(w = calloc(1, sizeof(*w)));
	w->f = *state;
	w->rnd = (seed << 1 | 1) * 0x9e3779b97f4a7c15;
	w->shift.mono_ns = 1;
	clock_set_shift(&w->shift);
	w->f->limits.dedupe_window_ms = DEDUPE_MS;
	sequence_configure(w->f->q, &w->f->limits);
	w->limits.dedupe_window_ms = DEDUPE_MS;
	w->limits.recovery_window_ms = FIX_WINDOW_MS;
	begin(w, NULL);
	for (i = 0; i < NROOMS; i++) {
		snprintf(name, sizeof(name), "r%lu", i);
		w->room[i] = fix_room(w->f, name, &w->user);
		assert_non_null(
		    w->item[i] = calloc(NSEQS, sizeof(*w->item[i])));
	}
	print_message("seed=%llu\n", (unsigned long long)seed);
	for (i = 0; i < steps; i++)
		one_step(w);
	print_message("ids=%u retries=%u stored_again=%u restarts=%u "
		      "merged=%llu\n",
	    w->ids, w->retries, w->late, w->restarts,
	    (unsigned long long)w->upkeep.merge.put);
	look_at_changes(w);
	print_message("edited=%u deleted=%u read=%u refused=%u\n", w->edited,
	    w->deleted, w->read, w->refused);
	/* all of it happened */
	assert_true(w->retries > 100);
	assert_true(w->restarts > 3);
	assert_true(
	    w->edited > 10 && w->deleted > 0 && w->read > 10 && w->refused > 0);
	for (i = 0; i < NROOMS; i++)
		free(w->item[i]);
	upkeep_clear(&w->upkeep);
	clock_set_shift(NULL);
	free(w);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(within_its_window_an_id_is_stored_once_whatever_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
