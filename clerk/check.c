/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * check - is the store what it should be?
 */

#include "clerk/check.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"

#define WATCH_NS 20000000L
#define PAUSE_NS 300000L
/* how long we try to have a snapshot that is the newest */
#define TRY_MS 30000

/* What stands in a table's keys: n 64 bits, t text to the end, s a name
 * behind 'n' or a number behind '#'. */
static const struct {
	const char *name, *shape;
	check_row_fn *fn;
} tables[] = {
	{ "session", "s", check_session },
	{ "user", "s", check_user },
	{ "msg", "nn", check_message },
	{ "log", "nn", check_log },
	{ "presence", "nnt", check_presence },
	{ "recovery", "t", check_recovery },
	{ "dedupe", "nnn", check_dedupe },
	{ "member", "nn", check_member },
	{ "change", "nn", check_change },
	{ "receipt", "nn", check_receipt },
	{ "stream", "nt", check_stream },
	{ "meta", "t", NULL },
	{ "ban", "t", check_ban },
};

#define NKNOWN (sizeof(tables) / sizeof(tables[0]))

/* The row of 'tables', or NKNOWN. */
static size_t
known(unsigned table)
{
	size_t i;

	for (i = 0; i < NKNOWN; i++)
		if (strcmp(tables[i].name, store_table(table)) == 0)
			break;
	return i;
}

/* --- keys -------------------------------------------------------------- */

/* Printable, and never more than fits. */
static void
add_text(char *buf, size_t size, const uint8_t *p, size_t len)
{
	size_t at = strlen(buf);

	for (; len > 0 && at + 5 < size; p++, len--) {
		if (*p >= 0x20 && *p < 0x7f && *p != '\\')
			buf[at++] = (char)*p;
		else if (*p == 0)
			buf[at++] = '/';
		else
			at += (size_t)snprintf(buf + at, size - at, "\\x%02x",
			    *p);
	}
	buf[at] = '\0';
}

static void
add_hex(char *buf, size_t size, const uint8_t *p, size_t len)
{
	size_t at = 0;

	for (; len > 0 && at + 3 < size; p++, len--)
		at += (size_t)snprintf(buf + at, size - at, "%02x", *p);
}

static void
add_number(char *buf, size_t size, const uint8_t *p)
{
	size_t at = strlen(buf);
	uint64_t n;

	memcpy(&n, p, sizeof(n));
	(void)snprintf(buf + at, size - at, "%s%" PRIu64, at == 0 ? "" : "|",
	    be64toh(n));
}

void
check_key(char *buf, size_t size, const struct store_row *row)
{
	const uint8_t *p = row->key;
	size_t len = row->key_len, i = known(row->table);
	const char *shape = i == NKNOWN ? "" : tables[i].shape;

	buf[0] = '\0';
	if (p == NULL) {
		(void)snprintf(buf, size, "page %" PRIu64, row->page);
		return;
	}
	if (shape[0] == 's' && len == 9 && *p == '#') {
		add_number(buf, size, p + 1);
		return;
	}
	if (shape[0] == 's' && len > 1 && *p == 'n') {
		add_text(buf, size, p + 1, len - 1);
		return;
	}
	for (; *shape == 'n' && len >= 8; shape++, p += 8, len -= 8)
		add_number(buf, size, p);
	if (len == 0)
		return;
	if (*shape == 't' && buf[0] != '\0')
		(void)strlcat(buf, "|", size);
	if (*shape == 't')
		add_text(buf, size, p, len);
	else
		add_hex(buf, size, row->key, row->key_len);
}

/* --- errors ------------------------------------------------------------ */

static struct check_error *
next_error(struct check *ck)
{
	return ck->errors++ < CHECK_ERRORS ? &ck->error[ck->errors - 1] : NULL;
}

void
check_fail(struct check *ck, const struct store_row *row, const char *fmt, ...)
{
	struct check_error *e = next_error(ck);
	va_list ap;

	ck->table[row->table].errors++;
	if (e == NULL)
		return;
	(void)strlcpy(e->table, store_table(row->table), sizeof(e->table));
	check_key(e->key, sizeof(e->key), row);
	va_start(ap, fmt);
	(void)vsnprintf(e->what, sizeof(e->what), fmt, ap);
	va_end(ap);
}

static bool
on_page(uint64_t page, const char *table, const char *what, void *arg)
{
	struct check *ck = arg;
	struct check_error *e = next_error(ck);

	ck->page_errors++;
	if (e == NULL)
		return true;
	(void)strlcpy(e->table, table, sizeof(e->table));
	(void)snprintf(e->key, sizeof(e->key), "page %" PRIu64, page);
	(void)strlcpy(e->what, what, sizeof(e->what));
	return true;
}

/* --- references -------------------------------------------------------- */

bool
check_has_room(struct check *ck, const struct store_row *row, uint64_t room)
{
	struct check_room *r = &ck->room;
	struct store_room found;
	int rc;

	if (r->room != room || r->there == -1) {
		memset(r, 0, sizeof(*r));
		r->room = room;
		rc = store_room_get(ck->txn, room, &found);
		/* what is damaged has been counted where it is */
		r->there = rc == 0 || errno != ENOENT;
		if (rc == 0)
			r->floor = found.floor;
		if (r->there) {
			(void)store_last_seq(ck->txn, room, &r->last_seq);
			(void)store_last_revision(ck->txn, room,
			    &r->last_revision);
		}
	}
	if (r->there == 0)
		check_fail(ck, row, "there is no session %" PRIu64, room);
	return r->there == 1;
}

bool
check_has_user(struct check *ck, const struct store_row *row, uint64_t user)
{
	uint64_t *seen = &ck->user[user % 4096];
	struct store_user found;

	if (user != 0 && *seen == user)
		return true;
	if (store_user_get(ck->txn, user, &found) == 0 || errno != ENOENT) {
		*seen = user;
		return true;
	}
	check_fail(ck, row, "there is no user %" PRIu64, user);
	return false;
}

/* --- walking ----------------------------------------------------------- */

/* A step's rows; they are looked at when the walk stands still. */
static struct {
	struct store_row row[CHECK_STEP];
	unsigned n;
} step;

static const char *const faults[STORE_FAULT__MAX] = {
	[STORE_SOUND] = "",
	[STORE_FAULT_KEY] = "the key has not the shape of the table's keys",
	[STORE_FAULT_ORDER] = "the key is not above the one before it",
	[STORE_FAULT_SIZE] = "the value has no size that it may have",
	[STORE_FAULT_VERSION] = "the value is of a version that is not known",
	[STORE_FAULT_SUM] = "the checksum is wrong",
	[STORE_FAULT_FIELDS] = "the fields make no sense",
	[STORE_FAULT_PAGE] = "a page that cannot be read",
};

static bool
collect(const struct store_row *row, void *arg)
{
	step.row[step.n++] = *row;
	return true;
}

static void
look_at(struct check *ck, check_row_fn *fn, const struct store_row *row)
{
	struct check_table *t = &ck->table[row->table];

	if (row->fault == STORE_FAULT_PAGE) {
		check_fail(ck, row, "%s", faults[row->fault]);
		/* what follows is not next to what was before */
		ck->lost = true;
		if (fn != NULL)
			fn(ck, NULL);
		return;
	}
	t->rows++;
	t->bytes += row->key_len + row->value_len;
	ck->done++;
	if (row->fault != STORE_SOUND)
		check_fail(ck, row, "%s", faults[row->fault]);
	if (fn != NULL)
		fn(ck, row);
}

static int
walk_table(struct check *ck, unsigned table)
{
	struct store_place place = { .len = 0 };
	struct clerk *c = ck->clerk;
	size_t i = known(table);
	check_row_fn *fn = i == NKNOWN ? NULL : tables[i].fn;

	ck->room.there = -1;
	ck->lost = false;
	if (fn != NULL)
		fn(ck, NULL);
	while (!place.done) {
		step.n = 0;
		if (store_row_walk(ck->txn, table, &place, CHECK_STEP, collect,
			NULL) == -1)
			return answer_failed(c, "%s cannot be read: %s",
			    store_table(table), strerror(errno));
		for (unsigned n = 0; n < step.n; n++)
			look_at(ck, fn, &step.row[n]);
		answer_progress(c, "rows", ck->done, ck->of);
		if (growth_check(c, &ck->growth) == -1)
			return -1;
	}
	return 0;
}

/* LMDB knows how many rows there are; so do we now. */
static void
compare_count(struct check *ck, unsigned table)
{
	const struct store_row none = { .table = table,
		.key = "all",
		.key_len = 3 };
	uint64_t rows;

	if (store_table_rows(ck->txn, table, &rows) == -1 ||
	    rows == ck->table[table].rows)
		return;
	check_fail(ck, &none, "%" PRIu64 " rows were found, of %" PRIu64,
	    ck->table[table].rows, rows);
}

static int
read_meta(struct check *ck)
{
	struct clerk *c = ck->clerk;

	ck->pos = store_pos(ck->txn);
	if (store_next_get(ck->txn, &ck->next) == -1) {
		/* then every number is one that was given out */
		ck->next.room = ck->next.user = UINT64_MAX;
		if (errno != EBADMSG && errno != EUCLEAN)
			return answer_failed(c, "meta cannot be read: %s",
			    strerror(errno));
	}
	return 0;
}

/* --- pages -------------------------------------------------------------- */

/*
 * Pages are looked at in one go, which takes as long as reading the file
 * does; meanwhile this thread is the one that looks around.
 */
static struct {
	struct check *ck;
	atomic_bool done;
} watched;

static void *
watch(void *arg)
{
	const struct timespec wait = { .tv_nsec = WATCH_NS };
	struct check *ck = watched.ck;

	while (!atomic_load(&watched.done)) {
		if (!growth_allowed(ck->clerk, &ck->growth) ||
		    !clerk_wanted(ck->clerk))
			clerk_abort(ck->clerk);
		(void)nanosleep(&wait, NULL);
	}
	return NULL;
}

/*
 * Only the newest transaction's pages can be looked at, so it is the first
 * thing that is done in a snapshot, which is as new as that takes.  While a
 * commit waits for the disk, the file is ahead of what a snapshot sees.
 */
static int
look_at_pages(struct check *ck)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	const uint64_t until = clock_mono_ms() + TRY_MS;
	struct clerk *c = ck->clerk;
	int rc = -1;

	while (rc == -1 && clock_mono_ms() < until) {
		if (c->txn != NULL)
			(void)nanosleep(&pause, NULL);
		store_snapshot_end(&c->txn);
		if (clerk_snapshot(c) == -1)
			return -1;
		ck->errors = ck->page_errors = 0;
		rc = store_check_pages(c->txn, on_page, ck, &ck->pages);
		if (rc == -1 && errno != EAGAIN)
			break;
	}
	ck->txn = c->txn;
	return rc == 0
	    ? 0
	    : answer_failed(c, "pages cannot be read: %s", strerror(errno));
}

static int
check_pages(struct check *ck)
{
	pthread_t thread;
	int rc;

	answer_progress(ck->clerk, "pages", 0, 0);
	watched.ck = ck;
	atomic_store(&watched.done, false);
	if ((rc = pthread_create(&thread, NULL, watch, NULL)) != 0)
		return answer_failed(ck->clerk, "thread: %s", strerror(rc));
	rc = look_at_pages(ck);
	atomic_store(&watched.done, true);
	(void)pthread_join(thread, NULL);
	return rc;
}

int
check_all(struct check *ck)
{
	unsigned i;

	if (check_pages(ck) == -1 || read_meta(ck) == -1)
		return -1;
	for (i = 0; i < STORE_TABLES; i++) {
		if (walk_table(ck, i) == -1)
			return -1;
		compare_count(ck, i);
	}
	return growth_check(ck->clerk, &ck->growth);
}
