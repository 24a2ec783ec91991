/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_bridge_post - the contract's POST and what its answers mean.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/post.h"

static struct json_out out;

static int
teardown(void **state)
{
	json_out_clear(&out);
	return 0;
}

/* --- the question -------------------------------------------------------- */

static struct ask_text
text(const char *p)
{
	return (struct ask_text){ p, strlen(p) };
}

static const char *
body(const char *token, const char *agent)
{
	const struct ask_question q = { .token = text(token),
		.address = text("::1"),
		.agent = text(agent) };
	static char buf[1024];

	if (!post_body(&q, &out))
		return NULL;
	assert_true(out.len < sizeof(buf));
	memcpy(buf, out.p, out.len);
	buf[out.len] = '\0';
	return buf;
}

static void
the_question_is_the_contracts_object(void **state)
{
	assert_string_equal(body("abc", "Mozilla/5.0"),
	    "{\"token\":\"abc\",\"remoteAddress\":\"::1\","
	    "\"userAgent\":\"Mozilla/5.0\"}");
	assert_string_equal(body("a\"\\\n\xc3\xa4", ""),
	    "{\"token\":\"a\\\"\\\\\\n\xc3\xa4\",\"remoteAddress\":"
	    "\"::1\",\"userAgent\":\"\"}");
}

static void
what_is_no_text_is_repaired_or_refused(void **state)
{
	assert_non_null(strstr(body("t", "a\xff\xc3(b\xc3\xa4"),
	    "\"userAgent\":\"a?"
	    "?(b\xc3\xa4\""));
	assert_null(body("t\xff", "a"));
	assert_null(body("\xed\xa0\x80", "a"));
}

/* --- the answer ------------------------------------------------------------ */

static struct post_result
judge(int status, const char *json, const char *cache)
{
	const struct post_reply r = { .status = status,
		.body = text(json),
		.cache_control = cache };

	json_out_reset(&out);
	return post_judge(&r, &out);
}

static void
claims_are(const char *want)
{
	assert_int_equal(out.len, strlen(want));
	assert_memory_equal(out.p, want, out.len);
}

static void
a_200_with_a_user_grants(void **state)
{
	struct post_result r = judge(200,
	    " { \"more\": [1, {}], \"userId\" : \"u|1\", \"userName\":\"U\","
	    "\"role\":\"agent\",\"workspaces\":[ \"w\", {\"id\":\"x\"} ],"
	    "\"expiresAt\": 1.5e12 } ",
	    NULL);

	assert_int_equal(r.outcome, ASK_GRANTED);
	assert_int_equal(r.max_age, 0);
	assert_false(r.down);
	claims_are(
	    "{\"userId\":\"u|1\",\"userName\":\"U\",\"role\":\"agent\","
	    "\"workspaces\":[\"w\",{\"id\":\"x\"}],\"expiresAt\":1.5e12}");
	r = judge(200, "{\"userId\":\"u\",\"userName\":null,\"role\":null}",
	    "max-age=5");
	assert_int_equal(r.outcome, ASK_GRANTED);
	assert_int_equal(r.max_age, 5);
	claims_are("{\"userId\":\"u\"}");
}

static void
a_401_and_a_403_refuse(void **state)
{
	assert_int_equal(judge(401, "", NULL).outcome, ASK_REFUSED);
	assert_int_equal(judge(403, "<html>", NULL).outcome, ASK_REFUSED);
}

static void
anything_else_is_no_answer(void **state)
{
	static const int statuses[] = { 100, 201, 204, 301, 302, 307, 308, 400,
		402, 404, 429, 500, 501, 505, 999 };
	static const char *const bodies[] = { "", " ", "{", "null", "[]",
		"\"u\"", "{}", "{\"userId\":1}", "{\"userId\":null}",
		"{\"userId\":\"u\"}x", "{\"userId\":\"u\",\"userId\":\"v\"}",
		"{\"userId\":\"\xff\"}", "<html></html>" };
	struct post_result r;

	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		r = judge(statuses[i], "{\"userId\":\"u\"}", "max-age=9");
		assert_int_equal(r.outcome, ASK_UNAVAILABLE);
		/* but somebody is there */
		assert_false(r.down);
		assert_int_equal(r.max_age, 0);
		assert_non_null(r.why);
	}
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		r = judge(200, bodies[i], "max-age=9");
		assert_int_equal(r.outcome, ASK_UNAVAILABLE);
		assert_false(r.down);
		assert_int_equal(r.max_age, 0);
	}
}

static void
who_does_not_answer_is_down(void **state)
{
	const struct post_reply refused = { .why = "refused" };
	static const int gone[] = { 0, 502, 503, 504 };

	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
		assert_int_equal(judge(gone[i], "", NULL).outcome,
		    ASK_UNAVAILABLE);
		assert_true(judge(gone[i], "", NULL).down);
	}
	assert_string_equal(judge(0, "", NULL).why, "no answer");
	/* what is known of it is said */
	assert_string_equal(post_judge(&refused, &out).why, "refused");
}

static void
a_large_answer_is_none(void **state)
{
	const struct post_reply r = { .status = 200,
		.body = text("{\"userId\":\"u\"}"),
		.too_large = true };
	char deep[1000] = "{\"userId\":\"u\",\"x\":";

	assert_int_equal(post_judge(&r, &out).outcome, ASK_UNAVAILABLE);
	memset(deep + strlen(deep), '[', 400);
	assert_int_equal(judge(200, deep, NULL).outcome, ASK_UNAVAILABLE);
}

static void
a_name_that_looks_like_ours_is_not(void **state)
{
	assert_int_equal(judge(200, "{\"userID\":\"u\",\"UserId\":\"v\"}", NULL)
			     .outcome,
	    ASK_UNAVAILABLE);
	/* escapes mean what they mean */
	assert_int_equal(judge(200, "{\"user\\u0049d\":\"u\"}", NULL).outcome,
	    ASK_GRANTED);
}

static void
only_what_the_application_allows_is_remembered(void **state)
{
	static const struct {
		const char *field;
		unsigned seconds;
	} list[] = { { NULL, 0 }, { "", 0 }, { "max-age=60", 60 },
		{ "private, Max-Age=60", 60 }, { "max-age=\"7\"", 7 },
		{ "max-age=0", 0 }, { "max-age=-1", 0 }, { "max-age=x", 0 },
		{ "max-age=5x", 0 }, { "max-age", 0 }, { "max-age = 5", 0 },
		{ "s-maxage=60", 0 }, { "xmax-age=60", 0 },
		{ "max-age=60, no-store", 0 }, { "no-cache,max-age=60", 0 },
		{ "no-cache=\"x\", max-age=60", 0 },
		{ "max-age=99999999999999999999", 0x7fffffff },
		{ ",, max-age=3 ,", 3 }, { "public\tmax-age=4", 4 } };

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (post_max_age(list[i].field) != list[i].seconds)
			fail_msg("%s: %u", list[i].field,
			    post_max_age(list[i].field));
}

#define T(name) cmocka_unit_test_teardown(name, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_question_is_the_contracts_object),
		T(what_is_no_text_is_repaired_or_refused),
		T(a_200_with_a_user_grants),
		T(a_401_and_a_403_refuse),
		T(anything_else_is_no_answer),
		T(who_does_not_answer_is_down),
		T(a_large_answer_is_none),
		T(a_name_that_looks_like_ours_is_not),
		T(only_what_the_application_allows_is_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
