/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_html - what html.h promises: which tags are active, wherever they
 * stand, and that nobody can make it slow.
 */

#include <sys/wait.h>

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "chat/html.h"
#include "chat/html_tree.h"
#include "tests/unit/html_corpus.h"

/* CPU seconds for a text of this size; it takes some hundredths */
#define LARGE (1 << 20)
#define PATIENCE_S 10.0

struct fixture {
	struct html *h;
	struct corpus corpus;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->h = html_new();
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	html_free(&f->h);
	corpus_free(&f->corpus);
	free(f);
	return 0;
}

static size_t
active(struct fixture *f, const char *text)
{
	size_t n;

	(void)html_judge(f->h, text, strlen(text), &n);
	return n;
}

static void
attacks_are_seen(void **state)
{
	struct fixture *f = *state;
	size_t i;

	corpus_load(&f->corpus, "tests/html/attacks.txt");
	assert_true(f->corpus.n >= 200);
	for (i = 0; i < f->corpus.n; i++) {
		if (active(f, f->corpus.v[i].p) == 0)
			fail_msg("not active: %s", f->corpus.v[i].p);
	}
}

static void
harmless_texts_are_let_be(void **state)
{
	struct fixture *f = *state;
	size_t i;

	corpus_load(&f->corpus, "tests/html/harmless_code.txt");
	corpus_load(&f->corpus, "tests/html/harmless_text.txt");
	assert_true(f->corpus.n >= 500);
	for (i = 0; i < f->corpus.n; i++) {
		if (active(f, f->corpus.v[i].p) != 0)
			fail_msg("active: %s", f->corpus.v[i].p);
	}
}

/* What a page puts behind a text may end its last tag. */
static void
a_tag_without_an_end_is_one(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(active(f, "<img src=x onerror=a"), 1);
	assert_int_equal(active(f, "<script"), 1);
	assert_int_equal(active(f, "<a href=\"javascript:a"), 1);
	assert_int_equal(active(f, "<b title=\"<img src=x "), 1);
	assert_int_equal(active(f, "<scrip"), 0);
	assert_int_equal(active(f, "<"), 0);
	assert_int_equal(active(f, ""), 0);
}

static void
names_are_whole(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(active(f, "<script_count>"), 0);
	assert_int_equal(active(f, "<scripts>"), 0);
	assert_int_equal(active(f, "<script-x>"), 0);
	assert_int_equal(active(f, "<script/x>"), 1);
	assert_int_equal(active(f, "<a once=1>"), 1);
	assert_int_equal(active(f, "<a once>"), 0);
	assert_int_equal(active(f, "<a on=1>"), 0);
	assert_int_equal(active(f, "<a on:click=1>"), 0);
	assert_int_equal(active(f, "< script>"), 0);
	assert_int_equal(active(f, "</script>"), 0);
}

/* Each place by itself: what is in another's value is a tag as well. */
static void
where_tags_stand_is_told(void **state)
{
	const char *text = "a<b title='<img src=x>'><i onx=1><script>";
	const struct html_tag *t;
	struct fixture *f = *state;
	size_t n;

	t = html_judge(f->h, text, strlen(text), &n);
	assert_int_equal(n, 3);
	assert_int_equal(t[0].from, 11);
	assert_int_equal(t[0].to, 22);
	assert_int_equal(t[1].from, 24);
	assert_int_equal(t[1].to, 33);
	assert_int_equal(t[2].from, 33);
	assert_int_equal(t[2].to, 41);
	t = html_all(f->h, text, strlen(text), &n);
	assert_int_equal(n, 4);
	assert_int_equal(t[0].from, 1);
	assert_int_equal(t[0].to, 24);
}

/* --- the tree ------------------------------------------------------------------ */

static size_t
in_tree(struct html_tree *t, const char *text)
{
	size_t n;

	(void)html_tree_judge(t, text, strlen(text), 1, &n);
	return n;
}

static void
the_tree_sees_the_same(void **state)
{
	struct html_tree *t = html_tree_new();
	const uint32_t *at;
	size_t n;

	assert_int_equal(in_tree(t, "a < b <int>"), 0);
	assert_int_equal(in_tree(t, "<p>x<script>a</script>"), 1);
	assert_int_equal(in_tree(t, "<b><img src=x onerror=a><i onx=1>"), 2);
	assert_int_equal(in_tree(t, "<a href='java&#115;cript:a'>"), 1);
	/* its value is the reference, not the letter */
	assert_int_equal(in_tree(t, "<a href='&amp;#106;avascript:a'>"), 0);
	/* the formatting element is made three times */
	at = html_tree_judge(t, "<p><b onx=1><p>x<p>y", 20, 4, &n);
	assert_int_equal(n, 1);
	assert_int_equal(at[0], 3);
	html_tree_free(&t);
}

/* Texts that ended processes with some gumbo in them (its issues, and AFL's). */
static void
bad_texts_end_nothing(void **state)
{
	static const char *const texts[] = {
		"<b><nobr><r><d><r><ol></b><nobr>",
		"<d0tx0i0t><option></d0tX0i0t>",
		"\xef\xbb\xbf<b",
		"<!DOCTYPE a PUBLIC''",
		"<table><template><tr><td></template></table>",
		"&#3000000000",
	};
	struct html_tree *t = html_tree_new();
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(in_tree(t, texts[i]), 0);
	assert_int_equal(in_tree(t, "<script>"), 1);
	html_tree_free(&t);
}

/* Formatting that is made again in every paragraph takes more memory than
 * there is for it. */
static void
gumbo_gives_up_and_the_process_goes_on(void **state)
{
	struct html_tree *t = html_tree_new();
	char text[4096] = "";
	size_t at = 0, n;
	int i;

	for (i = 0; i < 85; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
		    "<p><b a%d>", i);
	for (i = 0; i < 80; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "<p>x");
	(void)html_tree_judge(t, text, at, 250, &n);
	assert_int_equal(n, 0);
	assert_int_equal(html_tree_failures(t), 1);
	assert_int_equal(in_tree(t, "<script>"), 1);
	html_tree_free(&t);
}

/* Nobody else's assertion is made light of. */
static void
assertions_of_others_end_a_process(void **state)
{
	pid_t pid = fork();
	int status;

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		(void)close(STDERR_FILENO);
		__assert_fail("x", "file.c", 1, "f");
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void
gumbo_is_not_asked_of_what_it_cannot_bear(void **state)
{
	struct html_tree *t = html_tree_new();
	char *p = malloc(HTML_TREE_BYTES + 1);
	size_t i, n;

	assert_non_null(p);
	for (i = 0; i < HTML_TREE_BYTES / 8; i++)
		memcpy(p + i * 8, "<script>", 8);
	(void)html_tree_judge(t, p, 80, HTML_TREE_TAGS, &n);
	assert_int_not_equal(n, 0);
	(void)html_tree_judge(t, p, 80, HTML_TREE_TAGS + 1, &n);
	assert_int_equal(n, 0);
	(void)html_tree_judge(t, p, HTML_TREE_BYTES + 1, 1, &n);
	assert_int_equal(n, 0);
	assert_int_equal(html_tree_failures(t), 0);
	free(p);
	html_tree_free(&t);
}

/* --- time ------------------------------------------------------------------------ */

static void
expect_patience(struct fixture *f, const char *pattern, size_t size)
{
	size_t len = strlen(pattern), i, n;
	char *p = malloc(size);
	clock_t from;
	double s;

	assert_non_null(p);
	for (i = 0; i < size; i++)
		p[i] = pattern[i % len];
	from = clock();
	(void)html_judge(f->h, p, size, &n);
	s = (double)(clock() - from) / CLOCKS_PER_SEC;
	free(p);

	if (s > PATIENCE_S)
		fail_msg("%.40s: %.2f s", pattern, s);
}

static void
no_text_makes_it_slow(void **state)
{
	static const char *const patterns[] = {
		"<a",
		"<a ",
		"<a/x=",
		"<a x=\"",
		"<a x='\"",
		"<a/y=\"b=x=",
		"<a x=\"<a y='",
		"<a style=<a/style=",
		"<a/style=a",
		"<a/href=&Tab;",
		"<a href=\"&Tab;&#9;&#x09;",
		"<a style=\"a(b(c",
		"<img src='",
		"<script ",
		"<a onx=1 ",
		"<a \"",
		"<a '\"=\"'",
		"<!--<a ",
		"<svg/onload=",
		"<a b=c/",
		"<a =",
		"<a x= ",
		"<i <b a=",
		"\"'=<a ",
	};
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		expect_patience(f, patterns[i], LARGE);
		/* just within what gumbo is asked of */
		expect_patience(f, patterns[i], HTML_TREE_BYTES);
		expect_patience(f, patterns[i], 700);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(attacks_are_seen),
		T(harmless_texts_are_let_be),
		T(a_tag_without_an_end_is_one),
		T(names_are_whole),
		T(where_tags_stand_is_told),
		T(the_tree_sees_the_same),
		T(bad_texts_end_nothing),
		T(gumbo_gives_up_and_the_process_goes_on),
		T(assertions_of_others_end_a_process),
		T(gumbo_is_not_asked_of_what_it_cannot_bear),
		T(no_text_makes_it_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
