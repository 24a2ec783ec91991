/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_content - what content.h promises of texts.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chat/content.h"
#include "common/config.h"
#include "tests/unit/html_corpus.h"

struct fixture {
	struct config *cfg;
	struct content *c;
	struct content_result r;
	struct corpus corpus;
	struct json_out json;
	char *text;
};

static void
configure(struct fixture *f, enum content_html html, const char *rules)
{
	struct config_blob *blob = &f->cfg->blob[CONFIG_BLOB_RULES];

	free(blob->p);
	blob->p = NULL;
	blob->len = 0;
	if (rules != NULL) {
		blob->p = (uint8_t *)strdup(rules);
		blob->len = strlen(rules);
	}
	f->cfg->content_html = html;
	content_free(&f->c);
	f->c = content_new(f->cfg);
}

static int
setup(void **state)
{
	struct config_source src = { .without_files = true };
	struct fixture *f = calloc(1, sizeof(*f));
	struct config_errors errors;

	assert_non_null(f);
	f->cfg = config_load(&src, &errors);
	assert_non_null(f->cfg);
	configure(f, CONTENT_HTML_INERT, NULL);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	content_free(&f->c);
	config_free(&f->cfg);
	corpus_free(&f->corpus);
	json_out_clear(&f->json);
	free(f->text);
	free(f);
	return 0;
}

/* Judge a text as it stands between the quotes; what becomes of it. */
static const char *
judge(struct fixture *f, const char *inside)
{
	struct json_value v = { .kind = JSON_KIND_STRING };
	struct json_span in;
	size_t size = strlen(inside) + 3;
	char *json = malloc(size);

	assert_non_null(json);
	snprintf(json, size, "\"%s\"", inside);
	v.text.p = json;
	v.text.len = strlen(json);
	content_judge(f->c, v, &f->r);
	if (f->r.verdict == CONTENT_ALLOW)
		assert_ptr_equal(f->r.text.text.p, json);
	free(f->text);
	f->text = NULL;
	if (f->r.verdict == CONTENT_ALLOW || f->r.verdict == CONTENT_SANITIZE) {
		in = json_inside(f->r.text);
		f->text = strndup(in.p, in.len);
	}
	free(json);
	return f->text;
}

static void
expect(struct fixture *f, const char *inside, enum content_verdict verdict,
    const char *rule)
{
	(void)judge(f, inside);
	assert_int_equal(f->r.verdict, verdict);
	if (rule == NULL)
		assert_null(f->r.rule);
	else if (f->r.rule == NULL)
		fail_msg("%s: no rule", inside);
	else
		assert_string_equal(f->r.rule, rule);
}

/* --- HTML ------------------------------------------------------------------- */

static void
only_the_tag_that_offends_is_changed(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(judge(f,
				"a <b>b</b> <script>x</script> <i>c</i> &lt;"),
	    "a <b>b</b> &lt;script>x</script> <i>c</i> &lt;");
	assert_int_equal(f->r.verdict, CONTENT_SANITIZE);
	assert_string_equal(f->r.rule, "html");
	assert_string_equal(judge(f, "<<img src=x onerror=a>"),
	    "<&lt;img src=x onerror=a>");
	/* escapes elsewhere stay, and hide nothing */
	assert_string_equal(judge(f,
				"\\u0041\\/\\u003cscript\\u003e\\n\\u00e9"),
	    "\\u0041\\/&lt;script\\u003e\\n\\u00e9");
	assert_string_equal(judge(f, "\\u003Csc\\u0072ipt>"),
	    "&lt;sc\\u0072ipt>");
	assert_string_equal(
	    judge(f, "<a title='<img src=x>' href=\\\"java\\tscript:x\\\">"),
	    "&lt;a title='&lt;img src=x>' href=\\\"java\\tscript:x\\\">");
}

/* Walks over both: the same but for some '<'. */
static void
expect_only_escaped(const struct corpus_text *t, const char *out)
{
	const char *p = t->p;

	for (; *p != '\0'; p++) {
		if (*p == '<' && strncmp(out, "&lt;", 4) == 0)
			out += 4;
		else if (*p == *out)
			out++;
		else
			fail_msg("%s: %s", t->p, out);
	}
	assert_int_equal(*out, '\0');
}

/* What is decoded of the result. */
static const char *
decoded(struct fixture *f)
{
	free(f->text);
	f->text = malloc(f->r.text.text.len);
	assert_non_null(f->text);
	assert_true(json_decode(f->r.text, f->text, f->r.text.text.len) >= 0);
	return f->text;
}

static void
attacks_are_made_inert_once_and_for_all(void **state)
{
	struct fixture *f = *state;
	struct corpus_text again;
	size_t i;
	int k;

	corpus_load(&f->corpus, "tests/html/attacks.txt");
	for (i = 0; i < f->corpus.n; i++) {
		for (k = 0; k < 2; k++) {
			content_judge(f->c,
			    corpus_json(&f->json, &f->corpus.v[i], k == 1),
			    &f->r);
			assert_int_equal(f->r.verdict, CONTENT_SANITIZE);
			expect_only_escaped(&f->corpus.v[i], decoded(f));
		}
		again.p = f->text;
		again.len = strlen(f->text);
		content_judge(f->c, corpus_json(&f->json, &again, false),
		    &f->r);
		assert_int_equal(f->r.verdict, CONTENT_ALLOW);
	}
}

static void
harmless_texts_stay_byte_for_byte(void **state)
{
	static const enum content_html htmls[] = { CONTENT_HTML_INERT,
		CONTENT_HTML_STRIP, CONTENT_HTML_REJECT, CONTENT_HTML_ALLOW };
	struct fixture *f = *state;
	struct json_value v;
	size_t i, k;

	corpus_load(&f->corpus, "tests/html/harmless_code.txt");
	corpus_load(&f->corpus, "tests/html/harmless_text.txt");
	for (k = 0; k < sizeof(htmls) / sizeof(htmls[0]); k++) {
		configure(f, htmls[k], "# no rule");
		for (i = 0; i < f->corpus.n; i++) {
			v = corpus_json(&f->json, &f->corpus.v[i], k % 2);
			content_judge(f->c, v, &f->r);
			assert_int_equal(f->r.verdict, CONTENT_ALLOW);
			assert_ptr_equal(f->r.text.text.p, v.text.p);
			assert_int_equal(f->r.text.text.len, v.text.len);
			if (f->r.flagged)
				fail_msg("flagged: %s", f->corpus.v[i].p);
		}
	}
}

static void
strip_takes_tags_out_until_nothing_is_active(void **state)
{
	struct fixture *f = *state;

	configure(f, CONTENT_HTML_STRIP, NULL);
	assert_string_equal(judge(f, "a<script>b</script>c"), "ab</script>c");
	assert_string_equal(judge(f, "<scr<script>ipt>x"), "x");
	assert_string_equal(judge(f, "x<img src='<script>'>y"), "xy");
	assert_string_equal(judge(f, "x <img src=x onerror=a"), "x ");
	/* nothing is left */
	expect(f, "<script>", CONTENT_BLOCK, "html");
	expect(f, " <script> ", CONTENT_BLOCK, "html");
	/* nested on purpose, far beyond all patience */
	(void)judge(f,
	    "<sc<sc<sc<sc<sc<sc<sc<sc<sc<sc<sc<sc<script>ript>ript>ript>ript>"
	    "ript>ript>ript>ript>ript>ript>ript>ript>x");
	assert_int_equal(f->r.verdict, CONTENT_SANITIZE);
	assert_null(strstr(f->text, "<sc"));
}

static void
reject_refuses_and_allow_does_not(void **state)
{
	struct fixture *f = *state;

	configure(f, CONTENT_HTML_REJECT, NULL);
	expect(f, "<script>", CONTENT_BLOCK, "html");
	expect(f, "<b>", CONTENT_ALLOW, NULL);
	configure(f, CONTENT_HTML_ALLOW, NULL);
	expect(f, "<script>", CONTENT_ALLOW, NULL);
	assert_string_equal(f->text, "<script>");
}

/* --- rules ------------------------------------------------------------------- */

static void
rules_are_tried_in_their_order(void **state)
{
	struct fixture *f = *state;

	configure(f, CONTENT_HTML_INERT,
	    "flag f phrase one\n"
	    "sanitize s with \"<\\\"2\\\">\" phrase two\n"
	    "block b phrase three\n"
	    "spam p phrase four\n"
	    "block c match <\"2\">3");
	expect(f, "nothing", CONTENT_ALLOW, NULL);
	assert_false(f->r.flagged);
	expect(f, "one", CONTENT_ALLOW, "f");
	assert_true(f->r.flagged);
	expect(f, "Two, two", CONTENT_SANITIZE, "s");
	assert_string_equal(f->text, "<\\\"2\\\">, <\\\"2\\\">");
	assert_false(f->r.flagged);
	expect(f, "one two", CONTENT_SANITIZE, "f");
	assert_true(f->r.flagged);
	expect(f, "four three", CONTENT_BLOCK, "b");
	expect(f, "four", CONTENT_SPAM, "p");
	/* on what the one before has made of it */
	expect(f, "two", CONTENT_SANITIZE, "s");
	expect(f, "two 3", CONTENT_SANITIZE, "s");
	expect(f, "<\\\"2\\\">3", CONTENT_BLOCK, "c");
	/* escapes hide nothing */
	expect(f, "\\u0066our", CONTENT_SPAM, "p");
}

static void
what_html_has_changed_is_new_to_the_rules(void **state)
{
	struct fixture *f = *state;

	configure(f, CONTENT_HTML_STRIP, "block b match badword");
	expect(f, "bad<script>word", CONTENT_BLOCK, "b");
	/* and what rules have made is judged by HTML */
	configure(f, CONTENT_HTML_INERT, "sanitize s with \"\" match x");
	assert_string_equal(judge(f, "<scxript>"), "&lt;script>");
	configure(f, CONTENT_HTML_INERT, "sanitize s with \"script\" match x");
	assert_string_equal(judge(f, "<x>"), "&lt;script>");
	/* a rule that meets itself comes to an end */
	configure(f, CONTENT_HTML_INERT, "sanitize s with \"xx\" match x");
	assert_string_equal(judge(f, "x"), "xx");
}

static void
a_rule_without_an_end_counts_as_met(void **state)
{
	struct fixture *f = *state;
	char text[9000];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	configure(f, CONTENT_HTML_INERT, "block b match (?:a|aa)+[bc]");
	expect(f, text, CONTENT_BLOCK, "b");
	assert_string_equal(f->r.limited, "b");
	configure(f, CONTENT_HTML_INERT, "spam b match (?:a|aa)+[bc]");
	expect(f, text, CONTENT_SPAM, "b");
	configure(f, CONTENT_HTML_INERT, "sanitize b match (?:a|aa)+[bc]");
	expect(f, text, CONTENT_BLOCK, "b");
	configure(f, CONTENT_HTML_INERT, "flag b match (?:a|aa)+[bc]");
	expect(f, text, CONTENT_ALLOW, "b");
	assert_true(f->r.flagged);
	expect(f, "a", CONTENT_ALLOW, NULL);
	assert_null(f->r.limited);
}

static void
a_text_that_is_all_gone_is_refused(void **state)
{
	struct fixture *f = *state;

	configure(f, CONTENT_HTML_INERT, "sanitize s with \"\" match x+");
	assert_string_equal(judge(f, "axxb"), "ab");
	expect(f, "xxx", CONTENT_BLOCK, "s");
	expect(f, " \\u00a0x\\n", CONTENT_BLOCK, "s");
}

/* An event that was just small enough for the ring stays so. */
static void
a_text_that_grows_too_much_is_refused(void **state)
{
	struct fixture *f = *state;
	char text[4096] = "";
	size_t i;

	for (i = 0; i < 400; i++)
		memcpy(text + i * 8, "<script>", 9);
	assert_int_equal(strlen(judge(f, text)), 400 * 11);
	f->cfg->limits_event_bytes = 0;
	f->cfg->engine_max_payload = f->cfg->ring_arena_bytes / 4 - 4096;
	expect(f, text, CONTENT_BLOCK, "html");
	/* without growing all is well */
	configure(f, CONTENT_HTML_STRIP, NULL);
	assert_string_equal(judge(f, "x<script>"), "x");
}

static void
repetition_is_flagged_and_delivered(void **state)
{
	struct fixture *f = *state;

	expect(f, "aaaaaaaaaaaaaaaaaaaa", CONTENT_ALLOW, NULL);
	assert_false(f->r.flagged);
	expect(f, "aaaaaaaaaaaaaaaaaaaaa", CONTENT_ALLOW, "repeated");
	assert_true(f->r.flagged);
	expect(f, "---------------------------", CONTENT_ALLOW, NULL);
	assert_false(f->r.flagged);
}

static void
blank_is_what_trim_takes_away(void **state)
{
	static const char *const blank[] = { "", " ", "\\t\\n\\r\\f",
		"\\u00a0\\ufeff\\u2028\\u3000", "\xe2\x80\x83" };
	struct json_value v = { .kind = JSON_KIND_STRING };
	char text[64];
	size_t i;

	for (i = 0; i < sizeof(blank) / sizeof(blank[0]); i++) {
		(void)snprintf(text, sizeof(text), "\"%s\"", blank[i]);
		v.text.p = text;
		v.text.len = strlen(text);
		assert_true(content_is_blank(v));
		(void)snprintf(text, sizeof(text), "\"%sx\"", blank[i]);
		v.text.len = strlen(text);
		assert_false(content_is_blank(v));
	}
	v.text.p = "\"\\u200b\"";
	v.text.len = 8;
	assert_false(content_is_blank(v));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(only_the_tag_that_offends_is_changed),
		T(attacks_are_made_inert_once_and_for_all),
		T(harmless_texts_stay_byte_for_byte),
		T(strip_takes_tags_out_until_nothing_is_active),
		T(reject_refuses_and_allow_does_not),
		T(rules_are_tried_in_their_order),
		T(what_html_has_changed_is_new_to_the_rules),
		T(a_rule_without_an_end_counts_as_met),
		T(a_text_that_is_all_gone_is_refused),
		T(a_text_that_grows_too_much_is_refused),
		T(repetition_is_flagged_and_delivered),
		T(blank_is_what_trim_takes_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
