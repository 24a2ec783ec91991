/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * Walks along the keys of a table, behind what is damaged as well.
 *
 * LMDB goes from row to row, and stops at a page that it does not like.  The
 * next sound one is then looked for without it (path.c), and the walk goes on
 * there.
 *
 * In a damaged page anything may be a key.  So a walk only goes up (or
 * down), which also ends it where pages lead in a circle.
 */

#include <errno.h>
#include <string.h>

#include "common/fault.h"
#include "common/log.h"
#include "store/page.h"

/* so many rows that are out of order are passed before we seek */
#define STRAYS 1024
/* no code of LMDB's or of the system's */
#define STRAY 100000
/* after so many that are not sound the keys count all the same */
#define UNSOUND_MAX 1024

int
store_scan_begin(struct store_scan *sc, struct store_txn *t,
    enum store_table table, const struct store_key *from, size_t prefix,
    bool backward)
{
	/* the last key is as long as any may be: too much to clear each time */
	memset(sc, 0, offsetof(struct store_scan, last));
	CHECK(prefix <= from->len);
	sc->last.len = from->len;
	memcpy(sc->last.b, from->b, from->len);
	sc->prefix_len = prefix;
	sc->backward = backward;
	sc->started = sc->passed = sc->damaged = sc->careful = false;
	sc->page = 0;
	sc->unsound = sc->strays = 0;
	sc->has_skipped = false;
	sc->gap_fn = NULL;
	sc->stray = false;
	sc->t = t;
	sc->table = table;
	if (t->err != 0) {
		errno = t->err;
		return -1;
	}
	return 0;
}

void
store_scan_end(struct store_scan *sc)
{
	if (sc->cur != NULL)
		mdb_cursor_close(sc->cur);
	sc->cur = NULL;
}

/* --- one step ---------------------------------------------------------- */

/* <0, 0, >0 as the row at hand is below, at or above the last key. */
static int
compare(const struct store_scan *sc)
{
	size_t a = sc->key.mv_size, b = sc->last.len;
	int rc;

	rc = memcmp(sc->key.mv_data, sc->last.b, a < b ? a : b);
	return rc != 0 ? rc : (a > b) - (a < b);
}

static bool
any_value(struct store_txn *t, const MDB_val *key, const MDB_val *val,
    void *row)
{
	struct store_fields f;

	return store_value_open(t, *(enum store_table *)row, key, val, &f,
	    NULL);
}

/* Nobody else looks at that row. */
static void
look_behind(struct store_scan *sc)
{
	bool quiet = sc->t->quiet;

	sc->t->quiet = true;
	if (!any_value(sc->t, &sc->key, &sc->val, &sc->table))
		sc->damaged = true;
	sc->t->quiet = quiet;
}

/* To the first row, or the last one, of the range behind sc->last. */
static int
seek(struct store_scan *sc)
{
	MDB_val from = { .mv_size = sc->last.len, .mv_data = sc->last.b };
	int rc;

	sc->key = from;
	rc = mdb_cursor_get(sc->cur, &sc->key, &sc->val, MDB_SET_RANGE);
	if (!sc->backward)
		return rc;
	if (rc == MDB_NOTFOUND)
		return mdb_cursor_get(sc->cur, &sc->key, &sc->val, MDB_LAST);
	if (rc != MDB_SUCCESS || compare(sc) == 0)
		return rc;
	if (sc->careful)
		look_behind(sc);
	return mdb_cursor_get(sc->cur, &sc->key, &sc->val, MDB_PREV);
}

/*
 * Is the row a node of the leaf that it lies in, and the next one there?  In
 * a damaged page an offset may lead into any other, to rows that are sound.
 */
static bool
in_place(struct store_scan *sc, bool stepped)
{
	const struct store *s = sc->t->s;
	const uint8_t *key = sc->key.mv_data, *leaf;
	uint64_t number;
	unsigned i, n;
	size_t at;

	/* mostly it is in the same one, which has been looked at */
	if (stepped && sc->leaf != NULL && key > sc->leaf &&
	    (size_t)(key - sc->leaf) < s->page_bytes) {
		sc->node += sc->backward ? -1U : 1U;
		return sc->node < PAGE_MAX / 2 &&
		    page_leaf_has(sc->leaf, sc->number, sc->node,
			(size_t)(key - sc->leaf));
	}
	number = store_page_of(s, key);

	if (number == 0) {
		/* a page that this transaction has changed */
		sc->leaf = NULL;
		return true;
	}
	leaf = s->map + number * s->page_bytes;
	at = (size_t)(key - leaf);
	n = page_nodes(leaf);
	if (n > s->page_bytes / 2)
		return false;
	if (stepped && sc->leaf != NULL) {
		i = sc->backward ? n - 1 : 0;
	} else {
		for (i = 0; i < n && !page_leaf_has(leaf, number, i, at); i++)
			;
	}
	sc->leaf = leaf;
	sc->number = number;
	sc->node = i;
	return i < n && page_leaf_has(leaf, number, i, at);
}

static bool
in_order(const struct store_scan *sc)
{
	int rc;

	if (sc->key.mv_size > STORE_KEY_MAX || sc->key.mv_size == 0)
		return false;
	rc = compare(sc);
	if (rc == 0)
		return !sc->passed;
	return sc->backward ? rc < 0 : rc > 0;
}

static int
step(void *arg)
{
	struct store_scan *sc = arg;
	const MDB_dbi dbi = sc->t->s->dbi[sc->table];
	bool stepped = sc->started;
	MDB_stat st;
	int rc;

	if (sc->cur == NULL) {
		/* the table's root is read here, not where a jump out of it
		 * leaves a cursor behind that nobody knows of */
		if ((rc = mdb_stat(sc->t->txn, dbi, &st)) != MDB_SUCCESS)
			return rc;
		rc = mdb_cursor_open(sc->t->txn, dbi, &sc->cur);
		if (rc != MDB_SUCCESS)
			return rc;
	}
	if (!sc->started)
		rc = seek(sc);
	else
		rc = mdb_cursor_get(sc->cur, &sc->key, &sc->val,
		    sc->backward ? MDB_PREV : MDB_NEXT);
	sc->started = true;
	if (rc == MDB_SUCCESS && !in_place(sc, stepped))
		return MDB_CORRUPTED;
	while (rc == MDB_SUCCESS && !in_order(sc)) {
		sc->damaged = true;
		if (++sc->strays % STRAYS == 0)
			return MDB_CORRUPTED;
		if (sc->gap_fn != NULL)
			return STRAY;
		rc = mdb_cursor_get(sc->cur, &sc->key, &sc->val,
		    sc->backward ? MDB_PREV : MDB_NEXT);
		if (rc == MDB_SUCCESS && !in_place(sc, true))
			return MDB_CORRUPTED;
	}
	return rc;
}

static bool
has_prefix(const struct store_scan *sc)
{
	return sc->key.mv_size >= sc->prefix_len &&
	    memcmp(sc->key.mv_data, sc->last.b, sc->prefix_len) == 0;
}

static int
run_step(struct store_scan *sc)
{
	uint64_t room = sc->prefix_len < 8
	    ? 0
	    : store_key_room(sc->table, sc->last.b, sc->last.len);
	int rc;

	rc = FAULT_ERROR(STORE_SCAN)
	    ? errno
	    : store_guard(sc->t, sc->table, room, step, sc);
	if (rc == MDB_BAD_TXN && !sc->started && store_go_on(sc->t) == 0)
		rc = store_guard(sc->t, sc->table, room, step, sc);
	if (rc == MDB_SUCCESS)
		return 1;
	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc == STRAY)
		return 2;
	if (rc == -1) {
		sc->page = sc->t->fault_page;
	} else {
		errno = rc == MDB_BAD_TXN ? EUCLEAN : store_errno(rc);
		sc->page = 0;
		if (errno == EUCLEAN)
			store_name_page(sc->t, sc->table, room, 0,
			    mdb_strerror(rc));
	}
	if (sc->t->writes)
		store_fail(sc->t, errno);
	return -1;
}

/* --- behind what cannot be read ---------------------------------------- */

int
store_scan_skip(struct store_scan *sc)
{
	struct store_key next;
	const char *what;
	uint64_t page;

	if (sc->t->writes || sc->t->err != 0)
		return -1;
	sc->damaged = true;
	store_scan_end(sc);
	if (store_path_next(sc->t, sc->table, &sc->last, sc->backward, &next,
		&page, &what) == -1)
		return -1;
	/* the same again: LMDB does not find it there */
	if (sc->has_skipped && next.len == sc->skipped.len &&
	    memcmp(next.b, sc->skipped.b, next.len) == 0) {
		sc->last = next;
		if (store_path_next(sc->t, sc->table, &sc->last, sc->backward,
			&next, &page, &what) == -1)
			return -1;
	}
	if (what != NULL)
		sc->page = page;
	/* behind the range: the walk is over */
	if (next.len < sc->prefix_len ||
	    memcmp(next.b, sc->last.b, sc->prefix_len) != 0)
		return -1;
	sc->skipped = sc->last = next;
	sc->has_skipped = true;
	sc->started = sc->passed = false;
	return 0;
}

/* --- rows -------------------------------------------------------------- */

struct decode {
	struct store_scan *sc;
	store_decode_fn *fn;
	void *row;
};

static int
decode_row(void *arg)
{
	const struct decode *d = arg;

	d->sc->t->fault = STORE_SOUND;
	return d->fn(d->sc->t, &d->sc->key, &d->sc->val, d->row) ? 1 : 0;
}

/* A key behind the range, or one of the range that is damaged? */
static bool
at_end(struct store_scan *sc)
{
	struct decode d = { sc, any_value, &sc->table };
	bool end;

	if (has_prefix(sc))
		return false;
	end = store_guard(sc->t, sc->table, 0, decode_row, &d) == 1;
	if (!end)
		sc->damaged = true;
	return end;
}

static void
pass(struct store_scan *sc)
{
	sc->last.len = sc->key.mv_size;
	memcpy(sc->last.b, sc->key.mv_data, sc->key.mv_size);
	sc->passed = true;
	sc->unsound = sc->strays = 0;
}

/* Tell of what was passed by; false: stop. */
static bool
tell_gap(struct store_scan *sc, bool stray)
{
	sc->stray = stray;
	return sc->gap_fn == NULL || sc->gap_fn(sc, sc->gap_arg);
}

/* The next row at all: 1, 0, -1. */
static int
next(struct store_scan *sc)
{
	int rc;

	for (;;) {
		rc = run_step(sc);
		if (rc == 2) {
			if (!tell_gap(sc, true))
				return 0;
			continue;
		}
		if (rc != -1 || errno != EUCLEAN || sc->t->writes)
			break;
		rc = store_scan_skip(sc);
		if (!tell_gap(sc, false) || rc == -1)
			return 0;
	}
	return rc == 1 && at_end(sc) ? 0 : rc;
}

int
store_scan_any(struct store_scan *sc, store_decode_fn *decode, void *row,
    bool *sound_r)
{
	struct decode d = { sc, decode, row };
	int rc;

	if (sc->t->s->missing[sc->table])
		return 0;
	for (;;) {
		if ((rc = next(sc)) != 1)
			return rc;
		if (!has_prefix(sc))
			continue;
		rc = store_guard(sc->t, sc->table, 0, decode_row, &d);
		if (rc == 1) {
			pass(sc);
			*sound_r = true;
			return 1;
		}
		if (sc->t->fault == STORE_SOUND) {
			pass(sc);
			continue;
		}
		sc->damaged = true;
		if (rc == -1 && sc->t->writes) {
			store_fail(sc->t, errno);
			return -1;
		}
		if (++sc->unsound == UNSOUND_MAX)
			pass(sc);
		*sound_r = false;
		return 1;
	}
}

int
store_scan_row(struct store_scan *sc, store_decode_fn *decode, void *row)
{
	bool sound = false;
	int rc;

	do
		rc = store_scan_any(sc, decode, row, &sound);
	while (rc == 1 && !sound);
	return rc;
}

int
store_walk(struct store_txn *t, struct store_place *place,
    const struct store_walk *w)
{
	struct store_scan sc;
	struct store_key k;
	unsigned n = 0;
	bool sound;
	int rc;

	_Static_assert(sizeof(place->key) == STORE_KEY_MAX, "any key fits");
	store_key_begin(&k);
	/* an empty key cannot be looked up; no row is below this one */
	if (place->len == 0)
		store_key_u8(&k, w->prefix);
	else
		(void)store_key_bytes(&k, place->key, place->len);
	if (store_scan_begin(&sc, t, w->table, &k, w->prefix != 0 ? 1 : 0,
		false) == -1)
		return -1;
	while ((rc = store_scan_any(&sc, w->decode, w->row, &sound)) == 1) {
		/* the place is the first row that is still to be seen */
		memcpy(place->key, sc.key.mv_data, sc.key.mv_size);
		place->len = sc.key.mv_size;
		if (n++ == w->max || !w->fn(&sc.key, sound, w->row, w->arg))
			break;
	}
	store_scan_end(&sc);
	if (rc == 0)
		place->done = true;
	return rc == -1 ? -1 : 0;
}
