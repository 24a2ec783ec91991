/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_bridge_cache - what cache.h promises.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/cache.h"

static struct cache *c;

static int
setup(void **state)
{
	c = cache_new();
	return 0;
}

static int
teardown(void **state)
{
	cache_free(&c);
	return c == NULL ? 0 : -1;
}

static struct cache_key
key(const char *text)
{
	return cache_key(c, text, strlen(text));
}

static void
put(const char *token, const char *claims, uint64_t now, uint64_t seconds)
{
	struct cache_key k = key(token);

	cache_put(c, &k, (struct ask_text){ claims, strlen(claims) }, now,
	    seconds);
}

static const char *
get(const char *token, uint64_t now)
{
	static char buf[64];
	struct cache_key k = key(token);
	struct ask_text text = cache_get(c, &k, now);

	if (text.p == NULL)
		return NULL;
	(void)snprintf(buf, sizeof(buf), "%.*s", (int)text.len, text.p);
	return buf;
}

static void
what_is_remembered_ends_in_time(void **state)
{
	assert_null(get("t", 0));
	put("t", "{1}", 1000, 2);
	assert_string_equal(get("t", 1000), "{1}");
	assert_string_equal(get("t", 2999), "{1}");
	assert_null(get("t", 3000));
	assert_int_equal(cache_entries(c), 0);
	assert_int_equal(cache_bytes(c), 0);
}

static void
no_time_is_not_remembered_and_ends_what_was(void **state)
{
	put("t", "{1}", 0, 10);
	put("t", "{2}", 0, 0);
	assert_null(get("t", 0));
	put("t", "{3}", 0, 1000000);
	assert_non_null(get("t", CACHE_MAX_S * 1000UL - 1));
	assert_null(get("t", CACHE_MAX_S * 1000UL));
}

static void
another_answer_takes_the_place(void **state)
{
	put("t", "{1}", 0, 10);
	put("t", "{two}", 0, 10);
	assert_string_equal(get("t", 5), "{two}");
	assert_int_equal(cache_entries(c), 1);
}

static void
what_is_not_true_any_more_is_dropped(void **state)
{
	struct cache_key k = key("t");

	put("t", "{1}", 0, 10);
	put("u", "{2}", 0, 10);
	cache_drop(c, &k);
	cache_drop(c, &k);
	assert_null(get("t", 0));
	assert_string_equal(get("u", 0), "{2}");
	cache_clear(c);
	assert_null(get("u", 0));
}

static void
keys_are_of_the_whole_text_and_of_this_process(void **state)
{
	struct cache *other = cache_new();
	struct cache_key a = key("a"), b = key("b"), again = key("a");
	struct cache_key foreign = cache_key(other, "a", 1);

	assert_memory_equal(&a, &again, sizeof(a));
	assert_memory_not_equal(&a, &b, sizeof(a));
	assert_memory_not_equal(&a, &foreign, sizeof(a));
	again = cache_key(c, "a\0b", 3);
	assert_memory_not_equal(&a, &again, sizeof(a));
	cache_free(&other);
}

static void
the_oldest_goes_when_there_are_too_many(void **state)
{
	char name[16];

	for (unsigned i = 0; i < CACHE_ENTRIES + 10; i++) {
		(void)snprintf(name, sizeof(name), "t%u", i);
		put(name, "{}", 0, 10);
	}
	assert_int_equal(cache_entries(c), CACHE_ENTRIES);
	assert_null(get("t9", 0));
	assert_non_null(get("t10", 0));
}

static void
the_oldest_goes_when_they_are_too_large(void **state)
{
	const size_t size = ASK_CLAIMS_MAX;
	char name[16], *large = calloc(1, size);
	struct cache_key k;

	for (unsigned i = 0; i < 200; i++) {
		(void)snprintf(name, sizeof(name), "t%u", i);
		k = key(name);
		cache_put(c, &k, (struct ask_text){ large, size }, 0, 10);
		assert_true(cache_bytes(c) <= CACHE_BYTES);
	}
	assert_true(cache_entries(c) >= CACHE_BYTES / size - 1);
	free(large);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_remembered_ends_in_time),
		T(no_time_is_not_remembered_and_ends_what_was),
		T(another_answer_takes_the_place),
		T(what_is_not_true_any_more_is_dropped),
		T(keys_are_of_the_whole_text_and_of_this_process),
		T(the_oldest_goes_when_there_are_too_many),
		T(the_oldest_goes_when_they_are_too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
