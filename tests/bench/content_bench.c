/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * content_bench - what a message costs before it is published: validation,
 * limits, content rules; in ns of CPU, as a line of JSON.
 *
 *   content_bench [-s seconds each]
 *
 * Texts: plain (100 characters), long (5,000), code (100 with tags that are
 * none), html (100 with active ones).  rules: 20 of them, 1,000 phrases in
 * one list among them.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chat/content.h"
#include "chat/spam.h"
#include "common/config.h"
#include "common/log.h"
#include "common/strbuf.h"
#include "shm/burst.h"
#include "shm/tables.h"
#include "shm/user.h"

#define PLAIN "Could you have a look at the deployment of yesterday evening? "
#define CODE "for (auto i = 0; i < n; i++) std::map<int, vector<T>> m; // a<b "
#define HTML "look at <b>this</b> <img src=x onerror=alert(1)> and <script>x "

struct bench {
	double seconds;
	bool first;
	struct config *cfg;
	struct content *content;
	struct tables *tables;
	struct user_ref user;
	/* of the text: as a JSON string, and a message around it */
	struct strbuf text, message;
	/* so that nothing is left out by the compiler */
	uint64_t sum;
};

typedef void (*bench_fn)(struct bench *b, uint64_t round);

static double
cpu_s(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
measure(struct bench *b, const char *name, bench_fn fn)
{
	double from = cpu_s(), now = from;
	uint64_t n = 0;
	int i;

	while (now - from < b->seconds) {
		for (i = 0; i < 200; i++)
			fn(b, n++);
		now = cpu_s();
	}
	(void)printf("%s\"%s\":%.1f", b->first ? "" : ",", name,
	    (now - from) / (double)n * 1e9);
	b->first = false;
}

static struct json_value
text_of(const struct bench *b)
{
	return (struct json_value){ JSON_KIND_STRING,
		{ b->text.data, b->text.len } };
}

static void
do_scan(struct bench *b, uint64_t round)
{
	const char *why;

	b->sum += json_scan(b->message.data, b->message.len, 33, &why);
}

static void
do_measure(struct bench *b, uint64_t round)
{
	b->sum += content_is_blank(text_of(b));
	b->sum += json_utf16_length(text_of(b));
}

static void
do_limits(struct bench *b, uint64_t round)
{
	b->sum += user_rate(b->tables, &b->user, USER_RATE_MESSAGE, 30,
	    round * 2000000000);
}

static void
do_judge(struct bench *b, uint64_t round)
{
	struct content_result r;

	content_judge(b->content, text_of(b), &r);
	b->sum += r.verdict;
}

static void
do_burst(struct bench *b, uint64_t round)
{
	b->sum += burst_charge(b->tables, b->user.key, spam_mark(text_of(b)),
	    10, round * 7000000000);
}

static void
set_text(struct bench *b, const char *part, size_t len)
{
	sb_reset(&b->text);
	sb_addc(&b->text, '"');
	while (b->text.len < len)
		sb_adds(&b->text, part);
	sb_truncate(&b->text, len + 1);
	sb_addc(&b->text, '"');
	sb_reset(&b->message);
	sb_addf(&b->message,
	    "[\"chat:send-message\",{\"message\":{\"id\":\"m-0123456789\","
	    "\"content\":%s,\"type\":\"user\",\"sessionId\":\"session-1\","
	    "\"metadata\":{\"tokens\":12}}}]",
	    b->text.data);
}

static void
set_rules(struct bench *b, const char *rules)
{
	struct config_blob *blob = &b->cfg->blob[CONFIG_BLOB_RULES];

	free(blob->p);
	blob->p = rules == NULL ? NULL : (uint8_t *)strdup(rules);
	blob->len = rules == NULL ? 0 : strlen(rules);
	content_free(&b->content);
	b->content = content_new(b->cfg);
}

/* 19 expressions, and a long list of phrases. */
static char *
many_rules(void)
{
	struct strbuf sb = STRBUF_INIT;
	int i;

	for (i = 0; i < 19; i++)
		sb_addf(&sb, "flag e%d match \\bnever%d[a-z]*\\s+said\\b\n", i,
		    i);
	for (i = 0; i < 1000; i++)
		sb_addf(&sb, "spam list phrase some words %d of a list\n", i);
	return sb_steal(&sb);
}

static void
run(struct bench *b, const char *name, const char *part, size_t len)
{
	char key[64], *rules = many_rules();
	const struct {
		const char *name;
		bench_fn fn;
	} steps[] = { { "scan", do_scan }, { "measure", do_measure },
		{ "limits", do_limits }, { "html", do_judge },
		{ "burst", do_burst } };
	size_t i;

	set_text(b, part, len);
	set_rules(b, NULL);
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		(void)snprintf(key, sizeof(key), "%s_%s", name, steps[i].name);
		measure(b, key, steps[i].fn);
	}
	set_rules(b, rules);
	(void)snprintf(key, sizeof(key), "%s_rules", name);
	measure(b, key, do_judge);
	free(rules);
}

int
main(int argc, char *argv[])
{
	struct config_source src = { .without_files = true };
	struct bench b = { .seconds = 0.2, .first = true };
	struct config_errors errors;
	struct tables_geometry g;
	const char *why;
	int c;

	while ((c = getopt(argc, argv, "s:")) != -1) {
		if (c != 's' || (b.seconds = atof(optarg)) <= 0)
			return 2;
	}
	tables_geometry_init(&g, 1000, 100000);
	if ((b.cfg = config_load(&src, &errors)) == NULL ||
	    (b.tables = tables_create(&g, &why)) == NULL ||
	    user_find_or_add(b.tables, "u", 1, &b.user) == -1)
		fatalx("cannot begin");
	sb_init(&b.text);
	sb_init(&b.message);
	(void)printf("{");
	run(&b, "plain", PLAIN, 100);
	run(&b, "long", PLAIN, 5000);
	run(&b, "code", CODE, 100);
	run(&b, "html", HTML, 100);
	(void)printf(",\"sum\":%llu}\n", (unsigned long long)(b.sum & 1));
	content_free(&b.content);
	config_free(&b.cfg);
	tables_free(&b.tables);
	sb_clear(&b.text);
	sb_clear(&b.message);
	return 0;
}
