/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_store_open - directories and files that are not what they should be:
 * each says so in a sentence, and nothing of it is touched.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "common/log.h"
#include "store/env.h"
#include "tests/unit/store_fixture.h"

#define MESSAGES 400

static void
fill(struct store_fixture *f)
{
	uint64_t hash[2] = { 1, 2 }, seq;
	struct store_txn *t;

	assert_non_null(t = store_begin(f->s));
	for (seq = 1; seq <= MESSAGES; seq++) {
		struct store_message m = { .room = 1,
			.seq = seq,
			.gseq = seq,
			.type = 4,
			.id = text("id"),
			.body =
			    text("\"a\":\"a body of some length or other\"") };

		store_message_add(t, &m, hash);
	}
	assert_int_equal(store_commit(&t), 0);
	store_close(&f->s);
}

static void
spoil(const char *path, off_t at, const void *bytes, size_t len)
{
	int fd;

	assert_true((fd = open(path, O_RDWR)) >= 0);
	assert_int_equal(pwrite(fd, bytes, len, at), len);
	close(fd);
}

static void
assert_refused(enum store_mode mode, int err, const char *word)
{
	const char *why = NULL;
	struct store *s;

	errno = 0;
	s = store_open(mode, &why);
	if (s != NULL) {
		store_close(&s);
		fail_msg("it was opened");
	}
	assert_int_equal(errno, err);
	assert_non_null(why);
	if (strstr(why, word) == NULL)
		fail_msg("%s", why);
}

static void
meta_pages_of_something_else_are_refused(void **state)
{
	struct store_fixture *f = *state;
	uint8_t noise[8192];
	size_t i;

	fill(f);
	for (i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)(i * 31 + 7);
	spoil("db/data.mdb", 0, noise, sizeof(noise));
	assert_refused(STORE_WRITE, EUCLEAN, "page 0 is no meta page");
	assert_refused(STORE_LOOK_OFFLINE, EUCLEAN, "backup");
}

static void
each_byte_of_a_meta_page_may_be_damaged(void **state)
{
	struct store_fixture *f = *state;
	const char *why;
	struct store *s;
	uint8_t was, now;
	unsigned i;
	int fd;

	fill(f);
	assert_true((fd = open("db/data.mdb", O_RDWR)) >= 0);
	/* heads and bodies of both; whatever comes of it, we are here */
	for (i = 0; i < 2 * 152; i++) {
		off_t at = i < 152 ? i : 4096 + i - 152;

		assert_int_equal(pread(fd, &was, 1, at), 1);
		now = (uint8_t)(was ^ 0x41);
		assert_int_equal(pwrite(fd, &now, 1, at), 1);
		why = NULL;
		s = store_open(STORE_LOOK_OFFLINE, &why);
		if (s == NULL)
			assert_non_null(why);
		store_close(&s);
		assert_int_equal(pwrite(fd, &was, 1, at), 1);
	}
	close(fd);
	assert_non_null(s = store_open(STORE_WRITE, &why));
	store_close(&s);
}

/* Where a meta page has what, behind its head. */
enum {
	META_ROOTS = 80,
	META_LAST = 136,
	META_TXN = 144,
};

/* What LMDB leaves where it failed to write a meta page. */
static void
a_meta_page_that_could_not_be_written_is_of_no_matter(void **state)
{
	struct store_fixture *f = *state;
	uint64_t last, txn[2], far;
	const char *why;
	unsigned older;
	int fd;

	fill(f);
	assert_true((fd = open("db/data.mdb", O_RDONLY)) >= 0);
	assert_int_equal(pread(fd, &txn[0], 8, META_TXN), 8);
	assert_int_equal(pread(fd, &txn[1], 8, 4096 + META_TXN), 8);
	older = txn[1] < txn[0];
	assert_int_equal(pread(fd, &last, 8, older * 4096 + META_LAST), 8);
	close(fd);
	far = last + 3;
	spoil("db/data.mdb", older * 4096 + META_ROOTS, &far, 8);
	spoil("db/data.mdb", older * 4096 + META_ROOTS + 48, &far, 8);
	assert_non_null(f->s = store_open(STORE_WRITE, &why));
	store_close(&f->s);
	assert_non_null(f->s = store_open(STORE_LOOK_OFFLINE, &why));
	store_close(&f->s);

	/* but the other one counts */
	last = UINT64_MAX >> 1;
	spoil("db/data.mdb", !older * 4096 + META_ROOTS + 48, &last, 8);
	assert_refused(STORE_WRITE, EUCLEAN, "is damaged");
}

static void
a_file_of_another_version_is_refused(void **state)
{
	struct store_fixture *f = *state;
	uint32_t version = 2;

	fill(f);
	spoil("db/data.mdb", 16 + 4, &version, sizeof(version));
	spoil("db/data.mdb", 4096 + 16 + 4, &version, sizeof(version));
	assert_refused(STORE_WRITE, EPROTO, "another version of LMDB");
}

static void
an_empty_file_is_no_beginning(void **state)
{
	struct store_fixture *f = *state;
	struct stat st;

	fill(f);
	assert_int_equal(truncate("db/data.mdb", 0), 0);
	assert_refused(STORE_WRITE, EUCLEAN, "is empty");
	assert_int_equal(stat("db/data.mdb", &st), 0);
	assert_int_equal(st.st_size, 0);
}

static void
a_store_half_made_is_made_anew(void **state)
{
	struct store_fixture *f = *state;
	const char *why;
	int fd;

	store_close(&f->s);
	assert_int_equal(unlink("db/data.mdb"), 0);
	assert_true(
	    (fd = open("db/data.mdb.new", O_CREAT | O_RDWR, 0600)) >= 0);
	assert_int_equal(write(fd, "half", 4), 4);
	close(fd);
	assert_non_null(f->s = store_open(STORE_WRITE, &why));
	assert_int_equal(access("db/data.mdb.new", F_OK), -1);
}

static void
a_file_that_was_cut_off_is_read_but_not_written(void **state)
{
	struct store_fixture *f = *state;
	struct store_message m[MESSAGES];
	struct store_query q = { .room = 1, .count = MESSAGES };
	const char *why;
	struct store_txn *t;
	struct stat st;
	unsigned n;
	bool more;

	fill(f);
	assert_int_equal(stat("db/data.mdb", &st), 0);
	assert_int_equal(truncate("db/data.mdb", st.st_size / 2 / 4096 * 4096),
	    0);
	assert_refused(STORE_WRITE, EUCLEAN, "was cut off");
	/* a store whose root is in the other half cannot be read either */
	f->s = store_open(STORE_LOOK_OFFLINE, &why);
	if (f->s == NULL)
		return;
	assert_non_null(t = store_snapshot(f->s));
	if (store_page(t, &q, m, &n, &more) == 0)
		assert_true(n < MESSAGES);
	store_snapshot_end(&t);
}

static void
a_page_that_the_disk_does_not_give_is_one_error(void **state)
{
	struct store_fixture *f = *state;
	struct store_message m;
	struct store_txn *t;
	const char *why;
	struct stat st;

	fill(f);
	assert_non_null(f->s = store_open(STORE_WRITE, &why));
	assert_int_equal(stat("db/data.mdb", &st), 0);
	assert_non_null(t = store_snapshot(f->s));
	/* only the meta pages are left */
	assert_int_equal(truncate("db/data.mdb", 8192), 0);
	assert_int_equal(store_message_get(t, 1, 1, &m), -1);
	assert_int_equal(errno, EUCLEAN);
	assert_true(store_bad_pages(f->s) > 0);
	store_snapshot_end(&t);
}

static void
a_damaged_lock_file_is_made_anew(void **state)
{
	struct store_fixture *f = *state;
	const char *why;
	uint8_t noise[512];

	fill(f);
	memset(noise, 0x5a, sizeof(noise));
	spoil("db/lock.mdb", 0, noise, sizeof(noise));
	assert_non_null(f->s = store_open(STORE_WRITE, &why));
}

static int
opens_after(const char *path, off_t at, const char *word)
{
	uint8_t noise[64];
	const char *why = NULL;
	int fd;

	memset(noise, 0x5a, sizeof(noise));
	if ((fd = open(path, O_RDWR)) == -1 ||
	    pwrite(fd, noise, sizeof(noise), at) != sizeof(noise))
		return 9;
	if (store_open(STORE_LOOK, &why) != NULL)
		return 1;
	return why != NULL && strstr(why, word) != NULL ? 0 : 2;
}

static void
a_lock_file_damaged_under_way_says_which_one(void **state)
{
	int status;
	pid_t pid;

	/* we have it open */
	if ((pid = fork()) == 0)
		_exit(opens_after("db/lock.mdb", 0, "lock.mdb is damaged"));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int
as_nobody(enum store_mode mode, const char *word)
{
	const char *why = NULL;

	if (setresgid(65534, 65534, 65534) == -1 ||
	    setresuid(65534, 65534, 65534) == -1)
		return 77;
	if (store_open(mode, &why) != NULL)
		return 1;
	if (errno != EACCES)
		return 2;
	return why != NULL && strstr(why, word) != NULL ? 0 : 3;
}

static void
a_directory_of_somebody_else_says_whose(void **state)
{
	struct store_fixture *f = *state;
	int status;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	fill(f);
	assert_int_equal(chmod(".", 0755), 0);
	if ((pid = fork()) == 0)
		_exit(as_nobody(STORE_WRITE, "belongs to user 0"));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
a_directory_that_cannot_be_written_can_be_looked_at(void **state)
{
	struct store_fixture *f = *state;
	const char *why;
	int status;
	pid_t pid;

	fill(f);
	assert_int_equal(chmod(".", 0755), 0);
	assert_int_equal(chmod("db", 0555), 0);
	assert_int_equal(chmod("db/data.mdb", 0444), 0);
	if ((pid = fork()) == 0) {
		if (geteuid() == 0 && setresuid(65534, 65534, 65534) == -1)
			_exit(9);
		if (store_open(STORE_WRITE, &why) != NULL)
			_exit(1);
		if (strstr(why, "cannot open the store") == NULL)
			_exit(2);
		_exit(store_open(STORE_LOOK_OFFLINE, &why) == NULL ? 3 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(chmod("db", 0700), 0);
	assert_int_equal(status, 0);
}

static void
lmdb_without_our_tables_is_not_ours(void **state)
{
	struct store_fixture *f = *state;
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	store_close(&f->s);
	assert_int_equal(unlink("db/data.mdb"), 0);
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 4), 0);
	assert_int_equal(mdb_env_open(env, "db", 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "other", MDB_CREATE, &dbi), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	assert_refused(STORE_WRITE, EUCLEAN, "not chatd's");
}

static void
an_old_fault_still_ends_the_process(void **state)
{
	int status;
	pid_t pid;

	/* nobody reads: it is a bug of ours, and must not be hidden */
	if ((pid = fork()) == 0) {
		signal(SIGSEGV, SIG_DFL);
		store_guard_install();
		raise(SIGSEGV);
		/* what the compiler cannot see */
		volatile uintptr_t nowhere = 8;

		*(volatile int *)nowhere = 1;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}

int
main(void)
{
#define T(name) \
	cmocka_unit_test_setup_teardown(name, store_fixture_setup, \
	    store_fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(meta_pages_of_something_else_are_refused),
		T(each_byte_of_a_meta_page_may_be_damaged),
		T(a_meta_page_that_could_not_be_written_is_of_no_matter),
		T(a_file_of_another_version_is_refused),
		T(an_empty_file_is_no_beginning),
		T(a_store_half_made_is_made_anew),
		T(a_file_that_was_cut_off_is_read_but_not_written),
		T(a_page_that_the_disk_does_not_give_is_one_error),
		T(a_damaged_lock_file_is_made_anew),
		T(a_lock_file_damaged_under_way_says_which_one),
		T(a_directory_of_somebody_else_says_whose),
		T(a_directory_that_cannot_be_written_can_be_looked_at),
		T(lmdb_without_our_tables_is_not_ours),
		T(an_old_fault_still_ends_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
