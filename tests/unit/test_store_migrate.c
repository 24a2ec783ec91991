/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_store_migrate - stores of older and of newer chatds.
 *
 * A store of schema 1 is written here byte for byte as the chatd of that
 * time wrote it, with LMDB and nothing of store/.
 */

#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <sys/stat.h>
#include <sys/wait.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cmocka.h>

#include "common/log.h"
#include "store/check.h"
#include "store/env.h"
#include "tests/unit/store_fixture.h"

#define ROOMS 4500
#define SEVERAL 7
#define KILLS 25

static int
setup(void **state)
{
	struct store_fixture *f;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return -1;
	*state = f;
	return store_fixture_enter(f);
}

static int
teardown(void **state)
{
	struct store_fixture *f = *state;
	int rc = store_fixture_close(f);

	free(f);
	return rc;
}

/* --- schema 1, byte for byte ------------------------------------------- */

struct bytes {
	uint8_t b[512];
	size_t len;
};

static void
raw(struct bytes *to, const void *p, size_t len)
{
	assert_true(to->len + len <= sizeof(to->b));
	memcpy(to->b + to->len, p, len);
	to->len += len;
}

static void
u16(struct bytes *to, uint16_t v)
{
	v = htobe16(v);
	raw(to, &v, sizeof(v));
}

static void
u32(struct bytes *to, uint32_t v)
{
	v = htobe32(v);
	raw(to, &v, sizeof(v));
}

static void
u64(struct bytes *to, uint64_t v)
{
	v = htobe64(v);
	raw(to, &v, sizeof(v));
}

static void
str(struct bytes *to, const char *s)
{
	u16(to, (uint16_t)strlen(s));
	raw(to, s, strlen(s));
}

/* version 1, kind, 0 0, sum, fields */
static void
put(MDB_txn *txn, MDB_dbi dbi, const struct bytes *key, uint8_t kind,
    const struct bytes *fields)
{
	struct bytes v = { .len = 0 };
	uint64_t h[3] = { 0 };
	uint8_t head[4] = { 1, kind, 0, 0 };
	MDB_val mk, mv;

	memcpy(h, head, 4);
	h[1] = XXH3_64bits(key->b, key->len);
	h[2] = XXH3_64bits(fields->b, fields->len);
	raw(&v, head, 4);
	u32(&v, (uint32_t)XXH3_64bits(h, sizeof(h)));
	raw(&v, fields->b, fields->len);
	mk.mv_data = (void *)(uintptr_t)key->b;
	mk.mv_size = key->len;
	mv.mv_data = v.b;
	mv.mv_size = v.len;
	assert_int_equal(mdb_put(txn, dbi, &mk, &mv, MDB_NOOVERWRITE), 0);
}

static void
put_meta(MDB_txn *txn, MDB_dbi meta, uint32_t schema, uint32_t oldest)
{
	struct bytes k = { .len = 0 }, v = { .len = 0 };
	uint8_t id[16] = { 9 };

	raw(&k, "schema", 6);
	u32(&v, schema);
	u32(&v, oldest);
	put(txn, meta, &k, 0, &v);
	k.len = v.len = 0;
	raw(&k, "ring", 4);
	raw(&v, id, sizeof(id));
	u64(&v, 64);
	u64(&v, 100000);
	put(txn, meta, &k, 0, &v);
}

static void
put_session(MDB_txn *txn, MDB_dbi session, uint64_t room)
{
	struct bytes k = { .len = 0 }, v = { .len = 0 };
	char name[32];

	snprintf(name, sizeof(name), "s%llu", (unsigned long long)room);
	raw(&k, "n", 1);
	raw(&k, "work", 5);
	raw(&k, name, strlen(name));
	u64(&v, room);
	put(txn, session, &k, 0, &v);
	k.len = v.len = 0;
	raw(&k, "#", 1);
	u64(&k, room);
	u64(&v, 5000 + room);
	str(&v, "work");
	str(&v, name);
	put(txn, session, &k, 0, &v);
}

static void
put_message(MDB_txn *txn, MDB_dbi msg, MDB_dbi log, uint64_t room, uint64_t seq)
{
	struct bytes k = { .len = 0 }, v = { .len = 0 };

	u64(&k, room);
	u64(&k, seq);
	u64(&v, seq * 10);
	u64(&v, 1000 + seq);
	u64(&v, 3);
	str(&v, "id");
	raw(&v, "\"a\":1", 5);
	put(txn, msg, &k, 4, &v);
	k.len = v.len = 0;
	u64(&k, room);
	u64(&k, seq * 10);
	u64(&v, seq);
	u64(&v, 1000 + seq);
	u64(&v, 3);
	u64(&v, 1);
	u64(&v, 2);
	put(txn, log, &k, 4, &v);
}

static void
make_old(uint32_t schema, uint32_t oldest, uint64_t rooms)
{
	static const char *const name[] = { "meta", "session", "user", "msg",
		"log", "presence", "recovery" };
	MDB_dbi dbi[7];
	MDB_env *env;
	MDB_txn *txn;
	uint64_t room, seq;
	int i;

	assert_int_equal(mkdir("db", 0700), 0);
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_mapsize(env, (size_t)1 << 40), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 16), 0);
	assert_int_equal(mdb_env_open(env, "db", MDB_NOTLS | MDB_NOSYNC, 0600),
	    0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	for (i = 0; i < 7; i++)
		assert_int_equal(mdb_dbi_open(txn, name[i], MDB_CREATE,
				     &dbi[i]),
		    0);
	put_meta(txn, dbi[0], schema, oldest);
	for (room = 1; room <= rooms; room++)
		put_session(txn, dbi[1], room);
	for (seq = 1; seq <= 3; seq++)
		put_message(txn, dbi[3], dbi[4], 1, seq);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

/* --- what it must be afterwards ---------------------------------------- */

static bool
check_room(const struct store_room *room, void *arg)
{
	uint64_t *n = arg;
	char name[32];

	assert_int_equal(room->room, ++*n);
	snprintf(name, sizeof(name), "s%llu", (unsigned long long)*n);
	assert_int_equal(room->created_ms, 5000 + *n);
	assert_int_equal(room->session.len, strlen(name));
	assert_memory_equal(room->session.p, name, strlen(name));
	assert_int_equal(room->workspace.len, 4);
	assert_int_equal(room->floor.seq, 0);
	assert_int_equal(room->floor.ms, 0);
	assert_int_equal(room->floor.revision, 0);
	return true;
}

static bool
check_version(const struct store_row *row, void *arg)
{
	assert_int_equal(row->fault, STORE_SOUND);
	if (row->kind == STORE_ROW_ROOM) {
		assert_int_equal(row->version, 2);
		++*(uint64_t *)arg;
	}
	return true;
}

static void
check_new(struct store *s, uint64_t rooms)
{
	struct store_place place = { .len = 0 };
	struct store_message m;
	struct store_txn *t;
	uint64_t n = 0, seq, room;
	unsigned schema;

	assert_non_null(t = store_snapshot(s));
	assert_int_equal(store_schema(t, &schema), 0);
	assert_int_equal(schema, STORE_SCHEMA);
	assert_int_equal(store_pos(t), 100000);
	assert_int_equal(store_room_each(t, 0, check_room, &n), 0);
	assert_int_equal(n, rooms);
	n = 0;
	assert_int_equal(store_row_walk(t, STORE_SESSION, &place, 1000000,
			     check_version, &n),
	    0);
	assert_int_equal(n, rooms);
	assert_int_equal(store_room_find(t, text("work"), text("s3"), &room),
	    0);
	assert_int_equal(room, 3);
	assert_int_equal(store_message_get(t, 1, 2, &m), 0);
	assert_int_equal(m.revision, 0);
	assert_false(m.deleted);
	assert_int_equal(m.body.len, 5);
	assert_int_equal(store_last_seq(t, 1, &seq), 0);
	assert_int_equal(seq, 3);
	store_snapshot_end(&t);
	assert_int_equal(store_bad_values(s), 0);
}

static struct store *
open_store(enum store_mode mode)
{
	const char *why = NULL;
	struct store *s;

	if ((s = store_open(mode, &why)) == NULL)
		fail_msg("%s", why);
	return s;
}

static void
a_store_of_schema_1_becomes_one_of_ours(void **state)
{
	struct store_fixture *f = *state;
	struct store_stat st;
	struct store_txn *t;
	uint64_t rev;

	make_old(1, 1, ROOMS);
	f->s = open_store(STORE_WRITE);
	check_new(f->s, ROOMS);
	assert_int_equal(store_stat(f->s, &st), 0);
	assert_int_equal(st.table[STORE_BAN].entries, 0);
	/* no cursor is left */
	assert_int_equal(st.table[STORE_META].entries, 2);
	/* and what was written then can be changed now */
	assert_non_null(t = store_begin(f->s));
	assert_int_equal(store_message_edit(t, 1, 2, text("x"), 1, 1, &rev), 0);
	assert_int_equal(store_commit(&t), 0);
	assert_int_equal(rev, 1);
}

static void
an_empty_store_of_schema_1_too(void **state)
{
	struct store_fixture *f = *state;
	struct store_txn *t;
	unsigned schema;

	make_old(1, 1, 0);
	f->s = open_store(STORE_WRITE);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_schema(t, &schema), 0);
	assert_int_equal(schema, STORE_SCHEMA);
	store_snapshot_end(&t);
}

static void
killed_anywhere_a_migration_goes_on(void **state)
{
	struct store_fixture *f = *state;
	unsigned kills = 0, i;
	int status;
	pid_t pid;

	make_old(1, 1, ROOMS);
	srandom(7);
	for (i = 0; i < KILLS; i++) {
		if ((pid = fork()) == 0) {
			const char *why;

			log_set_level(LOG_LEVEL_ERROR);
			_exit(store_open(STORE_WRITE, &why) == NULL);
		}
		/* at an instant of the first ones, longer and longer */
		usleep((useconds_t)(random() % (2000 * (i + 1))));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFSIGNALED(status))
			kills++;
		else
			assert_int_equal(WEXITSTATUS(status), 0);
	}
	assert_true(kills > 0);
	f->s = open_store(STORE_WRITE);
	check_new(f->s, ROOMS);
}

/* How far it is when the step is cut off after 'slices' transactions. */
static void
a_step_goes_on_where_its_cursor_is(void **state)
{
	struct store_fixture *f = *state;
	struct store_migration m = { .schema = 1, .rows = SEVERAL };
	struct store_place place = { .len = 0 };
	struct store_txn *t;
	uint64_t room, n = 0;

	make_old(1, 1, 2 * SEVERAL);
	f->s = open_store(STORE_WRITE);
	/* rows of the first half are taken for done: they stay as they are */
	assert_non_null(t = store_begin(f->s));
	store_schema_put(t, 1, 2);
	m.place.key[m.place.len++] = '#';
	room = htobe64(SEVERAL + 1);
	memcpy(m.place.key + 1, &room, sizeof(room));
	m.place.len += sizeof(room);
	store_migration_put(t, &m);
	assert_int_equal(store_commit(&t), 0);
	store_close(&f->s);
	f->s = open_store(STORE_WRITE);
	check_new(f->s, 2 * SEVERAL);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_migration_get(t, &m), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(store_row_walk(t, STORE_SESSION, &place, 99,
			     check_version, &n),
	    0);
	store_snapshot_end(&t);
}

static int
child_reads(uint64_t rooms)
{
	const char *why;
	struct store *s;

	if ((s = store_open(STORE_READ, &why)) == NULL)
		return 1;
	check_new(s, rooms);
	store_close(&s);
	return 0;
}

static void
a_reader_waits_for_the_migration(void **state)
{
	struct store_fixture *f = *state;
	int status;
	pid_t pid;

	make_old(1, 1, SEVERAL);
	if ((pid = fork()) == 0)
		_exit(child_reads(SEVERAL));
	usleep(100000);
	f->s = open_store(STORE_WRITE);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
without_a_migration_a_reader_says_so(void **state)
{
	const char *why = NULL;

	make_old(1, 1, SEVERAL);
	assert_null(store_open(STORE_READ, &why));
	assert_int_equal(errno, EAGAIN);
	assert_non_null(strstr(why, "schema 1"));
}

static void
a_store_of_a_newer_chatd_is_refused(void **state)
{
	const char *why = NULL;

	make_old(STORE_SCHEMA + 1, STORE_SCHEMA + 1, SEVERAL);
	assert_null(store_open(STORE_WRITE, &why));
	assert_int_equal(errno, ENOTSUP);
	assert_non_null(strstr(why, "newer chatd"));
	assert_null(store_open(STORE_READ, &why));
	assert_int_equal(errno, ENOTSUP);
	assert_null(store_open(STORE_LOOK, &why));
	assert_int_equal(errno, ENOTSUP);
}

static void
a_newer_one_that_we_may_read_is_read(void **state)
{
	struct store_fixture *f = *state;
	struct store_txn *t;
	unsigned schema;

	make_old(STORE_SCHEMA + 1, STORE_SCHEMA, SEVERAL);
	f->s = open_store(STORE_WRITE);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_schema(t, &schema), 0);
	assert_int_equal(schema, STORE_SCHEMA + 1);
	store_snapshot_end(&t);
}

/* A room whose name is longer than any can be: the step fails there. */
static void
put_impossible_room(void)
{
	struct bytes k = { .len = 0 }, v = { .len = 0 };
	char name[300];
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 16), 0);
	assert_int_equal(mdb_env_open(env, "db", MDB_NOTLS | MDB_NOSYNC, 0600),
	    0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "session", 0, &dbi), 0);
	raw(&k, "#", 1);
	u64(&k, 99999);
	u64(&v, 1);
	str(&v, name);
	str(&v, "s");
	put(txn, dbi, &k, 0, &v);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static void
an_old_chatd_is_locked_out_before_the_first_row_changes(void **state)
{
	struct store_fixture *f = *state;
	const char *why = NULL;
	struct store_txn *t;
	struct store_key k;
	const uint8_t *v;
	MDB_val val;

	make_old(1, 1, SEVERAL);
	put_impossible_room();
	assert_null(store_open(STORE_WRITE, &why));
	assert_non_null(strstr(why, "cannot be migrated"));
	f->s = open_store(STORE_LOOK_OFFLINE);
	assert_non_null(t = store_snapshot(f->s));
	store_key_begin(&k);
	store_key_bytes(&k, "schema", 6);
	assert_int_equal(store_get(t, STORE_META, &k, &val), 0);
	v = val.mv_data;
	assert_int_equal(val.mv_size, STORE_VALUE_HEAD + 8);
	assert_int_equal(v[STORE_VALUE_HEAD + 3], 1);
	assert_int_equal(v[STORE_VALUE_HEAD + 7], STORE_SCHEMA);
	store_snapshot_end(&t);
}

static bool
count_row(const struct store_row *row, void *arg)
{
	assert_int_equal(row->fault, STORE_SOUND);
	++*(unsigned *)arg;
	return true;
}

static void
an_old_store_can_be_looked_at_as_it_is(void **state)
{
	struct store_fixture *f = *state;
	struct store_place place = { .len = 0 };
	struct store_txn *t;
	unsigned schema, n = 0, table;

	make_old(1, 1, SEVERAL);
	f->s = open_store(STORE_LOOK_OFFLINE);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_schema(t, &schema), 0);
	assert_int_equal(schema, 1);
	for (table = 0; table < STORE_TABLES; table++) {
		memset(&place, 0, sizeof(place));
		assert_int_equal(store_row_walk(t, table, &place, 999,
				     count_row, &n),
		    0);
		assert_true(place.done);
	}
	/* two of meta, two a room, three messages with their log */
	assert_int_equal(n, 2 + 2 * SEVERAL + 6);
	store_snapshot_end(&t);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_store_of_schema_1_becomes_one_of_ours),
		T(an_empty_store_of_schema_1_too),
		T(killed_anywhere_a_migration_goes_on),
		T(a_step_goes_on_where_its_cursor_is),
		T(a_reader_waits_for_the_migration),
		T(without_a_migration_a_reader_says_so),
		T(a_store_of_a_newer_chatd_is_refused),
		T(a_newer_one_that_we_may_read_is_read),
		T(an_old_chatd_is_locked_out_before_the_first_row_changes),
		T(an_old_store_can_be_looked_at_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
