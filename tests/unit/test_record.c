/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_record - what record.h promises.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "shm/record.h"

static _Alignas(8) char buf[4096];

static size_t
message(void)
{
	static const struct record_field f[3] = { { "m1", 2 }, { "", 0 },
		{ "\"content\":\"hi\"", 14 } };
	struct record h = { .type = RECORD_MESSAGE,
		.flags = 7,
		.room = 1,
		.user = 2,
		.client = 3,
		.generation = 4,
		.request = 5,
		.received_ns = 6 };

	return record_build(buf, sizeof(buf), &h, f, 3);
}

static void
record_comes_back_as_it_was_built(void **state)
{
	struct record_field f[RECORD_MAX_FIELDS];
	size_t len = message();
	struct record h;

	assert_int_equal(len, 64 + 3 * 4 + 2 + 14);
	assert_int_equal(record_parse(buf, len, f), 3);
	assert_int_equal(f[0].len, 2);
	assert_memory_equal(f[0].p, "m1", 2);
	assert_int_equal(f[1].len, 0);
	assert_int_equal(f[2].len, 14);
	assert_memory_equal(f[2].p, "\"content\":\"hi\"", 14);
	memcpy(&h, buf, sizeof(h));
	assert_int_equal(h.len, len);
	assert_int_equal(h.flags, 7);
	assert_int_equal(h.room, 1);
	assert_int_equal(h.user, 2);
	assert_int_equal(h.request, 5);
	assert_int_equal(h.received_ns, 6);
}

static void
record_types_have_the_fields_that_the_header_lists(void **state)
{
	assert_int_equal(record_nfields(RECORD_JOIN), 8);
	assert_int_equal(record_nfields(RECORD_LEAVE), 3);
	assert_int_equal(record_nfields(RECORD_PRESENCE), 5);
	assert_int_equal(record_nfields(RECORD_MESSAGE), 3);
	assert_int_equal(record_nfields(RECORD_RESUME), 3);
	assert_int_equal(record_nfields(RECORD_RELEASE), 3);
	assert_int_equal(record_nfields(RECORD_ASK), 2);
	assert_int_equal(record_nfields(RECORD_TYPING), 3);
	assert_int_equal(record_nfields(RECORD_PROBE), 0);
	assert_int_equal(record_nfields(RECORD_NONE), 0);
	assert_int_equal(record_nfields(RECORD__MAX), 0);
	assert_int_equal(record_nfields(UINT32_MAX), 0);
}

static void
record_with_the_most_fields_comes_back_whole(void **state)
{
	static const char *const text[RECORD_MAX_FIELDS] = { "w", "s", "ada",
		"Ada", "socket", "", "0123456789012345678a", "17" };
	struct record_field in[RECORD_MAX_FIELDS], out[RECORD_MAX_FIELDS];
	struct record h = { .type = RECORD_JOIN,
		.flags = RECORD_F_RESUME,
		.client = 9,
		.generation = 8 };
	size_t len;
	int i;

	for (i = 0; i < RECORD_MAX_FIELDS; i++) {
		in[i].p = text[i];
		in[i].len = (uint32_t)strlen(text[i]);
	}
	len = record_build(buf, sizeof(buf), &h, in, RECORD_MAX_FIELDS);
	assert_int_equal(len, record_length(in, RECORD_MAX_FIELDS));
	assert_int_equal(record_parse(buf, len, out), RECORD_MAX_FIELDS);
	for (i = 0; i < RECORD_MAX_FIELDS; i++) {
		assert_int_equal(out[i].len, in[i].len);
		assert_memory_equal(out[i].p, text[i], in[i].len);
	}
	/* what older programs published is not taken for it */
	assert_int_equal(record_build(buf, sizeof(buf), &h, in, 6), 0);
}

static void
record_of_a_probe_is_its_header(void **state)
{
	struct record_field f[RECORD_MAX_FIELDS];
	struct record h = { .type = RECORD_PROBE };

	assert_int_equal(record_build(buf, sizeof(buf), &h, NULL, 0), 64);
	assert_int_equal(record_parse(buf, 64, f), 0);
}

static void
record_is_not_built_with_the_wrong_number_of_fields(void **state)
{
	static const struct record_field f[6] = { { "a", 1 } };
	struct record h = { .type = RECORD_MESSAGE };

	assert_int_equal(record_build(buf, sizeof(buf), &h, f, 2), 0);
	assert_int_equal(record_build(buf, sizeof(buf), &h, f, 4), 0);
	h.type = RECORD_NONE;
	assert_int_equal(record_build(buf, sizeof(buf), &h, f, 0), 0);
	h.type = RECORD__MAX;
	assert_int_equal(record_build(buf, sizeof(buf), &h, f, 0), 0);
}

static void
record_is_not_built_where_it_does_not_fit(void **state)
{
	struct record_field f[3] = { { "id", 2 }, { "s", 1 }, { "body", 4 } };
	struct record h = { .type = RECORD_MESSAGE };
	size_t len = record_length(f, 3);

	assert_int_equal(len, 64 + 12 + 7);
	assert_int_equal(record_build(buf, len - 1, &h, f, 3), 0);
	assert_int_equal(record_build(buf, len, &h, f, 3), len);
	f[2].len = UINT32_MAX;
	assert_int_equal(record_build(buf, sizeof(buf), &h, f, 3), 0);
}

static void
record_with_any_bit_flipped_is_refused(void **state)
{
	struct record_field f[RECORD_MAX_FIELDS];
	size_t len = message(), bit;

	for (bit = 0; bit < len * 8; bit++) {
		buf[bit / 8] ^= (char)(1 << bit % 8);
		assert_int_equal(record_parse(buf, len, f), -1);
		assert_false(record_intact(buf, len));
		buf[bit / 8] ^= (char)(1 << bit % 8);
	}
	assert_int_equal(record_parse(buf, len, f), 3);
}

static void
record_cut_short_or_followed_by_more_is_refused(void **state)
{
	struct record_field f[RECORD_MAX_FIELDS];
	size_t len = message(), cut;

	for (cut = 0; cut < sizeof(buf); cut++)
		if (cut != len)
			assert_int_equal(record_parse(buf, cut, f), -1);
}

/* Put the right checksum on wrong contents, as a buggy sender would. */
static void
seal(void *rec, size_t len)
{
	struct record h;
	uint64_t sum;

	memcpy(&h, rec, sizeof(h));
	h.len = (uint32_t)len;
	h.sum = 0;
	sum = XXH3_64bits(&h, sizeof(h)) * 0x9e3779b97f4a7c15u +
	    XXH3_64bits((char *)rec + sizeof(h), len - sizeof(h));
	h.sum = (uint32_t)(sum ^ sum >> 32);
	memcpy(rec, &h, sizeof(h));
}

static void
record_whose_field_lengths_lie_is_refused(void **state)
{
	static const uint32_t lies[] = { 0, 1, 3, 15, 4096, 0x7fffffff,
		UINT32_MAX - 3, UINT32_MAX };
	struct record_field f[RECORD_MAX_FIELDS];
	size_t len = message(), i;

	seal(buf, len);
	assert_int_equal(record_parse(buf, len, f), 3);
	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		(void)message();
		/* the first field's length, which is 2 */
		memcpy(buf + 64, &lies[i], sizeof(lies[i]));
		seal(buf, len);
		assert_true(record_intact(buf, len));
		assert_int_equal(record_parse(buf, len, f), -1);
	}
}

static void
record_with_bytes_behind_its_last_field_is_refused(void **state)
{
	struct record_field f[RECORD_MAX_FIELDS];
	size_t len = message();

	memset(buf + len, 0, 8);
	seal(buf, len + 8);
	assert_true(record_intact(buf, len + 8));
	assert_int_equal(record_parse(buf, len + 8, f), -1);
}

static void
record_of_an_unknown_type_is_refused(void **state)
{
	struct record_field f[RECORD_MAX_FIELDS];
	size_t len = message();
	struct record h;

	memcpy(&h, buf, sizeof(h));
	h.type = RECORD__MAX;
	memcpy(buf, &h, sizeof(h));
	seal(buf, len);
	assert_int_equal(record_parse(buf, len, f), -1);
	h.type = RECORD_NONE;
	memcpy(buf, &h, sizeof(h));
	seal(buf, 64);
	assert_int_equal(record_parse(buf, 64, f), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(record_comes_back_as_it_was_built),
		cmocka_unit_test(
		    record_types_have_the_fields_that_the_header_lists),
		cmocka_unit_test(record_with_the_most_fields_comes_back_whole),
		cmocka_unit_test(record_of_a_probe_is_its_header),
		cmocka_unit_test(
		    record_is_not_built_with_the_wrong_number_of_fields),
		cmocka_unit_test(record_is_not_built_where_it_does_not_fit),
		cmocka_unit_test(record_with_any_bit_flipped_is_refused),
		cmocka_unit_test(
		    record_cut_short_or_followed_by_more_is_refused),
		cmocka_unit_test(record_whose_field_lengths_lie_is_refused),
		cmocka_unit_test(
		    record_with_bytes_behind_its_last_field_is_refused),
		cmocka_unit_test(record_of_an_unknown_type_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
