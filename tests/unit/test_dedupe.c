/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_dedupe - the table of message ids of one room.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scribe/dedupe.h"
#include "tests/unit/store_fixture.h"

static bool
has(const struct dedupe *d, uint64_t hash, uint64_t seq)
{
	uint32_t place = 0;
	uint64_t found;

	while ((found = dedupe_next(d, hash, &place)) != 0)
		if (found == seq)
			return true;
	return false;
}

static void
an_empty_table_has_no_candidates_and_no_memory(void **state)
{
	struct dedupe d;
	uint32_t place = 0;

	dedupe_init(&d);
	assert_int_equal(dedupe_next(&d, 5, &place), 0);
	assert_int_equal(dedupe_bytes(&d), 0);
	dedupe_del(&d, 5, 1);
	dedupe_clear(&d);
}

static void
all_candidates_of_a_hash_are_told_once(void **state)
{
	struct dedupe d;
	uint32_t place = 0;
	uint64_t sum = 0, seq;
	int n = 0;

	dedupe_init(&d);
	assert_int_equal(dedupe_add(&d, 7, 1), 0);
	assert_int_equal(dedupe_add(&d, 7, 2), 0);
	assert_int_equal(dedupe_add(&d, 8, 4), 0);
	assert_int_equal(dedupe_add(&d, 7, 8), 0);
	/* the same place in the table, another hash */
	assert_int_equal(dedupe_add(&d, 7 + (1ULL << 40), 16), 0);
	while ((seq = dedupe_next(&d, 7, &place)) != 0) {
		sum += seq;
		n++;
	}
	assert_int_equal(n, 3);
	assert_int_equal(sum, 11);
	dedupe_clear(&d);
}

static void
taking_back_leaves_the_others_in_reach(void **state)
{
	/* against a plain list, with hashes that crowd around the end of the
	 * table so that clusters wrap */
	static uint64_t hash[400];
	static bool in[400];
	struct dedupe d;
	unsigned rnd = 7, i, k;

	dedupe_init(&d);
	for (i = 0; i < 400; i++) {
		rnd = rnd * 1103515245 + 12345;
		hash[i] = (uint64_t)-8 + (rnd >> 16) % 24;
	}
	for (k = 0; k < 4000; k++) {
		rnd = rnd * 1103515245 + 12345;
		i = (rnd >> 16) % 400;
		if (in[i])
			dedupe_del(&d, hash[i], i + 1);
		else
			assert_int_equal(dedupe_add(&d, hash[i], i + 1), 0);
		in[i] = !in[i];
		if (k % 50 != 0)
			continue;
		for (i = 0; i < 400; i++)
			assert_int_equal(has(&d, hash[i], i + 1), in[i]);
	}
	dedupe_clear(&d);
}

static void
the_oldest_go_when_the_table_is_full(void **state)
{
	struct dedupe d;
	uint64_t seq, n = DEDUPE_MAX + 1;
	size_t bytes;

	dedupe_init(&d);
	for (seq = 1; seq <= n; seq++)
		assert_int_equal(dedupe_add(&d, seq * 0x9e3779b97f4a7c15, seq),
		    0);
	bytes = dedupe_bytes(&d);
	assert_true(d.n <= DEDUPE_MAX);
	assert_true(has(&d, n * 0x9e3779b97f4a7c15, n));
	seq = n - DEDUPE_MAX / 2;
	assert_true(has(&d, seq * 0x9e3779b97f4a7c15, seq));
	assert_false(has(&d, 1 * 0x9e3779b97f4a7c15, 1));
	for (seq = n + 1; seq < 3 * n; seq++)
		assert_int_equal(dedupe_add(&d, seq * 0x9e3779b97f4a7c15, seq),
		    0);
	assert_int_equal(dedupe_bytes(&d), bytes);
	dedupe_clear(&d);
}

static void
loading_takes_what_the_window_holds(void **state)
{
	struct store_fixture f;
	struct store_message m = { .room = 5, .type = 4 };
	struct store_txn *t;
	struct dedupe d;
	uint64_t seq;

	memset(&f, 0, sizeof(f));
	assert_int_equal(store_fixture_open(&f), 0);
	assert_non_null(t = store_begin(f.s));
	for (seq = 1; seq <= 100; seq++) {
		uint64_t hash[2] = { seq * 3, 0 };

		m.seq = m.gseq = seq;
		m.time_ms = 1000 + seq;
		store_message_add(t, &m, hash);
	}
	dedupe_init(&d);
	assert_int_equal(dedupe_load(&d, t, 5, 1061, 0, 100), 0);
	assert_true(d.loaded);
	assert_int_equal(d.n, 40);
	assert_true(has(&d, 61 * 3, 61));
	assert_true(has(&d, 100 * 3, 100));
	assert_false(has(&d, 60 * 3, 60));
	dedupe_clear(&d);
	assert_false(d.loaded);
	assert_int_equal(dedupe_load(&d, t, 6, 0, 0, 0), 0);
	assert_true(d.loaded);
	assert_int_equal(d.n, 0);
	dedupe_clear(&d);
	store_abort(&t);
	assert_int_equal(store_fixture_close(&f), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    an_empty_table_has_no_candidates_and_no_memory),
		cmocka_unit_test(all_candidates_of_a_hash_are_told_once),
		cmocka_unit_test(taking_back_leaves_the_others_in_reach),
		cmocka_unit_test(the_oldest_go_when_the_table_is_full),
		cmocka_unit_test(loading_takes_what_the_window_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
