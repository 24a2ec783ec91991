/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_rules - what rules.h promises: lines, lists, limits.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/config.h"
#include "common/rules.h"
#include "common/strbuf.h"

static struct rules *rules;
static struct strbuf said = STRBUF_INIT;

/* What is wrong with these lines; "" for nothing, and then they are there. */
static const char *
load(const char *text)
{
	struct config_errors errors = { 0 };

	rules_free(&rules);
	rules = rules_new("f.rules", text, strlen(text), &errors);
	sb_reset(&said);
	for (size_t i = 0; i < errors.n; i++)
		sb_addf(&said, "%s%s", i == 0 ? "" : "\n", errors.v[i]);
	config_errors_clear(&errors);
	assert_int_equal(rules == NULL, said.len > 0);
	return said.data;
}

static int
teardown(void **state)
{
	rules_free(&rules);
	sb_clear(&said);
	return 0;
}

/* Does the first rule match, and what? */
static const char *
match(const char *text)
{
	static char found[256];
	size_t from, to;

	switch (rules_match(rules, 0, text, strlen(text), 0, &from, &to)) {
	case RULE_MISS:
		return NULL;
	case RULE_LIMIT:
		return "LIMIT";
	case RULE_HIT:
		break;
	}
	assert_true(from < to && to <= strlen(text));
	assert_true(to - from < sizeof(found));
	memcpy(found, text + from, to - from);
	found[to - from] = '\0';
	return found;
}

static void
expect(const char *text, const char *found)
{
	const char *got = match(text);

	if (found == NULL)
		assert_null(got);
	else if (got == NULL)
		fail_msg("nothing in: %.80s", text);
	else
		assert_string_equal(got, found);
}

static void
a_file_without_rules_has_none(void **state)
{
	assert_string_equal(load(""), "");
	assert_int_equal(rules_count(rules), 0);
	assert_string_equal(load("# a\n\n  \t\r\n   # b\n#"), "");
	assert_int_equal(rules_count(rules), 0);
}

static void
a_line_is_a_rule(void **state)
{
	const struct rule *r;

	assert_string_equal(load("# first\n"
				 "block one match a+b\n"
				 "  flag\ttwo case phrase  Buy   now \r\n"
				 "spam three link evil.example\n"
				 "sanitize four with \"[\\\"x\\\\]\" match s\n"
				 "sanitize five match t"),
	    "");
	assert_int_equal(rules_count(rules), 5);
	r = rules_get(rules, 0);
	assert_int_equal(r->verdict, RULE_BLOCK);
	assert_string_equal(r->name, "one");
	assert_int_equal(r->line, 2);
	r = rules_get(rules, 1);
	assert_int_equal(r->verdict, RULE_FLAG);
	assert_int_equal(r->line, 3);
	assert_int_equal(rules_get(rules, 2)->verdict, RULE_SPAM);
	r = rules_get(rules, 3);
	assert_int_equal(r->verdict, RULE_SANITIZE);
	assert_string_equal(r->with, "[\"x\\]");
	assert_string_equal(rules_get(rules, 4)->with, "***");
}

static void
case_counts_only_if_it_is_told_to(void **state)
{
	assert_string_equal(load("block x match straße"), "");
	expect("die STRASSE", NULL);
	expect("die Straße", "Straße");
	expect("die STRAẞE", "STRAẞE");
	assert_string_equal(load("block x case match straße"), "");
	expect("die Straße", NULL);
	expect("die straße", "straße");
}

static void
phrases_are_whole_words_with_any_blanks(void **state)
{
	assert_string_equal(load("spam x phrase buy now!"), "");
	expect("Buy  \n now!", "Buy  \n now!");
	expect("buy now", NULL);
	expect("rebuy now!", NULL);
	expect("buynow!", NULL);
	assert_string_equal(load("spam x phrase a.b"), "");
	expect("a.b", "a.b");
	expect("axb", NULL);
	expect("a.bé", NULL);
	expect("(a.b)", "a.b");
}

static void
links_are_a_host_and_what_is_below_it(void **state)
{
	assert_string_equal(load("spam x link evil.example"), "");
	expect("see https://evil.example/x", "https://evil.example");
	expect("HTTP://WWW.Evil.Example", "HTTP://WWW.Evil.Example");
	expect("http://a:b@x.evil.example:80", "http://a:b@x.evil.example");
	expect("go to evil.example.", "evil.example");
	expect("notevil.example", NULL);
	expect("evil.example.org", NULL);
	expect("evilxexample", NULL);
	expect("mail@evil.example", NULL);
	assert_string_equal(load("flag x link *"), "");
	expect("ftp://a", "ftp://a");
	expect("https://", NULL);
	expect("no link: example.org", NULL);
}

/* Of one name and verdict, one behind the other. */
static void
a_list_is_one_expression(void **state)
{
	struct strbuf sb = STRBUF_INIT;
	int i;

	assert_string_equal(load("spam x phrase a\nspam x phrase b\n"
				 "# between\nspam x phrase c\n"
				 "spam y phrase d\nspam x phrase e\n"
				 "spam x match f\nspam x match g\n"
				 "spam x case phrase h\nspam x link i"),
	    "");
	assert_int_equal(rules_count(rules), 7);
	assert_int_equal(rules_get(rules, 0)->line, 1);
	expect("c", "c");
	expect("d", NULL);
	/* long ones are some */
	for (i = 0; i < 10000; i++)
		sb_addf(&sb, "spam x phrase word number %d of the list\n", i);
	assert_string_equal(load(sb.data), "");
	assert_true(rules_count(rules) > 10 && rules_count(rules) < 200);
	expect("some word number 7 of the list", "word number 7 of the list");
	sb_clear(&sb);
}

static void
all_errors_are_told_with_their_lines(void **state)
{
	assert_string_equal(load("blok x match a\n"
				 "block\n"
				 "block x\n"
				 "block x match\n"
				 "block a/b match x\n"
				 "block x find y\n"
				 "block x match (a\n"
				 "block x with \"y\" match a\n"
				 "sanitize x with y match a\n"
				 "sanitize x with \"y match a\n"
				 "spam x link http://a\n"
				 "flag html match a\n"
				 "flag ok match a\n"
				 "flag \xff match a\n"),
	    "f.rules:1: blok is no verdict; perhaps block is meant\n"
	    "f.rules:2: a rule has a name behind its verdict\n"
	    "f.rules:3: match, phrase or link is missing\n"
	    "f.rules:4: nothing stands behind match\n"
	    "f.rules:5: a/b is no name; it has up to 40 letters, digits, - "
	    "and _\n"
	    "f.rules:6: find is unknown here; it is match, phrase or link, "
	    "and before it case or with \"text\"\n"
	    "f.rules:7: the expression is wrong at its byte 3: missing "
	    "closing parenthesis\n"
	    "f.rules:8: only sanitize puts something in the place\n"
	    "f.rules:9: behind with comes a text in double quotes\n"
	    "f.rules:10: the text behind with has no end\n"
	    "f.rules:11: http://a is no host; example.org, or * for all "
	    "links\n"
	    "f.rules:12: html is the name of what is built in\n"
	    "f.rules:14: the line is not UTF-8");
}

static void
there_are_so_many_at_most(void **state)
{
	struct strbuf sb = STRBUF_INIT;
	int i;

	for (i = 0; i < RULES_MAX; i++)
		sb_adds(&sb, "flag x match a\n");
	assert_string_equal(load(sb.data), "");
	assert_int_equal(rules_count(rules), RULES_MAX);
	sb_adds(&sb, "flag x match a\n");
	assert_string_equal(load(sb.data),
	    "f.rules:1001: too many rules; at most 1000");
	sb_clear(&sb);
}

static void
nothing_is_no_match(void **state)
{
	assert_string_equal(load("block x match a*"), "");
	expect("bbb", NULL);
	expect("baab", "aa");
	/* nor is what \\K leaves of one */
	assert_string_equal(load("block x match abc\\K"), "");
	expect("abc", NULL);
}

/* What takes too long is told as such, and soon. */
static void
an_expression_cannot_be_made_slow(void **state)
{
	char text[8192];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_string_equal(load("block x match (a+)+$(?<!a)"), "");
	expect(text, "LIMIT");
	assert_string_equal(load("block x match (?:a|aa)+[bc]"), "");
	expect(text, "LIMIT");
	assert_string_equal(load("block x match (.|\\n)*[bc]"), "");
	expect(text, "LIMIT");
	/* the same expressions where they do no harm */
	assert_string_equal(load("block x match (?:a|aa)+[bc]"), "");
	expect("xaaab", "aaab");
}

/* Each search from one match to the next is short, and there are many. */
static void
nor_by_what_it_finds(void **state)
{
	static const char block[] = "aaaaaaaaaaaac";
	const size_t n = 4000 * (sizeof(block) - 1);
	size_t at = 0, from, to, hits = 0;
	enum rule_result rc;
	struct strbuf sb = STRBUF_INIT;

	while (sb.len < n)
		sb_adds(&sb, block);
	assert_string_equal(load("sanitize x match (a+)+x|c"), "");
	while ((rc = rules_match(rules, 0, sb.data, n, at, &from, &to)) ==
	    RULE_HIT) {
		at = to;
		hits++;
	}
	assert_int_equal(rc, RULE_LIMIT);
	assert_in_range(hits, 1, 3999);
	sb_clear(&sb);
}

/* From behind what was found on. */
static void
a_search_goes_on(void **state)
{
	const char *text = "a1 é a22";
	size_t from, to;

	assert_string_equal(load("sanitize x match \\d+"), "");
	assert_int_equal(rules_match(rules, 0, text, strlen(text), 0, &from,
			     &to),
	    RULE_HIT);
	assert_int_equal(from, 1);
	assert_int_equal(to, 2);
	assert_int_equal(rules_match(rules, 0, text, strlen(text), to, &from,
			     &to),
	    RULE_HIT);
	assert_int_equal(from, 7);
	assert_int_equal(to, 9);
	assert_int_equal(rules_match(rules, 0, text, strlen(text), to, &from,
			     &to),
	    RULE_MISS);
}

#define T(name) cmocka_unit_test_teardown(name, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_file_without_rules_has_none),
		T(a_line_is_a_rule),
		T(case_counts_only_if_it_is_told_to),
		T(phrases_are_whole_words_with_any_blanks),
		T(links_are_a_host_and_what_is_below_it),
		T(a_list_is_one_expression),
		T(all_errors_are_told_with_their_lines),
		T(there_are_so_many_at_most),
		T(nothing_is_no_match),
		T(an_expression_cannot_be_made_slow),
		T(nor_by_what_it_finds),
		T(a_search_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
