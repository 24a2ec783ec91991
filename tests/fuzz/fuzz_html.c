/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fuzz_html - whatever the text, what is found active is what a reader that
 * reads each tag by itself finds; what is made of it is inert by our own
 * judgement, stays so, and differs in nothing else.
 *
 * The first byte: strip instead of inert; '<' as an escape; rules.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "chat/content.h"
#include "chat/html.h"
#include "chat/html_fact.h"
#include "common/config.h"
#include "common/log.h"
#include "common/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX 16384

static const char rules_text[] = "sanitize s with \"<x\" match q+\n"
				 "sanitize t with \"\" phrase zz\n"
				 "flag f link *\n";

static struct config *cfg;
static struct html *html;
/* inert, strip; each without rules and with them */
static struct content *contents[2][2];
static struct config cfgs[2][2];

static void
setup(void)
{
	struct config_source src = { .without_files = true };
	struct config_errors errors;
	unsigned i, k;

	if ((cfg = config_load(&src, &errors)) == NULL)
		abort();
	html = html_new();
	for (i = 0; i < 2; i++) {
		for (k = 0; k < 2; k++) {
			cfgs[i][k] = *cfg;
			cfgs[i][k].content_html =
			    i == 0 ? CONTENT_HTML_INERT : CONTENT_HTML_STRIP;
			if (k == 1) {
				cfgs[i][k].blob[CONFIG_BLOB_RULES].p =
				    (uint8_t *)strdup(rules_text);
				cfgs[i][k].blob[CONFIG_BLOB_RULES].len =
				    sizeof(rules_text) - 1;
			}
			contents[i][k] = content_new(&cfgs[i][k]);
		}
	}
}

/* --- a reader of its own --------------------------------------------------- */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Behind a '=' at *p. */
static void
read_value(const char **p, const char *end, struct html_attribute *a)
{
	const char *q = *p;
	char quote;

	while (q < end && is_blank(*q))
		q++;
	a->value = q;
	if (q < end && (*q == '"' || *q == '\'')) {
		quote = *q++;
		for (a->value = q; q < end && *q != quote;)
			q++;
		a->value_len = (size_t)(q - a->value);
		*p = q < end ? q + 1 : q;
		return;
	}
	while (q < end && !is_blank(*q) && *q != '>')
		q++;
	a->value_len = (size_t)(q - a->value);
	*p = q;
}

/* Is the tag at 'p', a '<', active?  Its end in *end_r. */
static bool
read_tag(const char *p, const char *end, const char **end_r)
{
	uint32_t element, facts = 0;
	struct html_attribute a;
	const char *q = p + 1;

	while (q < end && !is_blank(*q) && *q != '>' && *q != '/')
		q++;
	element = html_element_facts(p + 1, (size_t)(q - p - 1));
	for (;;) {
		while (q < end && (is_blank(*q) || *q == '/'))
			q++;
		if (q == end || *q == '>')
			break;
		memset(&a, 0, sizeof(a));
		a.name = q++;
		while (q < end && !is_blank(*q) && *q != '>' && *q != '/' &&
		    *q != '=')
			q++;
		a.name_len = (size_t)(q - a.name);
		while (q < end && is_blank(*q))
			q++;
		if (q < end && *q == '=') {
			q++;
			read_value(&q, end, &a);
		}
		facts |= html_attribute_facts(&a);
	}
	*end_r = q < end ? q + 1 : q;
	return html_is_active(element, facts);
}

static void
compare(const char *text, size_t len)
{
	const char *p, *end = text + len, *tag_end;
	const struct html_tag *tags;
	size_t n, i = 0, k;

	tags = html_judge(html, text, len, &n);
	for (p = text; p < end; p++) {
		if (*p != '<' || p + 1 == end || !is_letter(p[1]))
			continue;
		if (!read_tag(p, end, &tag_end))
			continue;
		if (i >= n || text + tags[i].from != p ||
		    text + tags[i].to != tag_end)
			abort();
		i++;
	}
	/* without any of them, gumbo may have found some */
	if (i > 0 && i != n)
		abort();
	for (k = i; k < n; k++) {
		if (tags[k].from >= tags[k].to || tags[k].to > len ||
		    text[tags[k].from] != '<')
			abort();
	}
}

/* --- what is made of it ------------------------------------------------------ */

static void
expect_inert(const char *text, size_t len)
{
	size_t n;

	(void)html_judge(html, text, len, &n);
	if (n != 0)
		abort();
}

static void
expect_only_escaped(const char *text, size_t len, const char *out,
    size_t out_len)
{
	const char *end = text + len, *out_end = out + out_len;

	for (; text < end; text++) {
		if (*text == '<' && out_end - out >= 4 &&
		    memcmp(out, "&lt;", 4) == 0)
			out += 4;
		else if (out < out_end && *text == *out)
			out++;
		else
			abort();
	}
	if (out != out_end)
		abort();
}

static struct json_value
to_json(struct json_out *o, const char *text, size_t len, bool escape)
{
	struct json_value v = { .kind = JSON_KIND_STRING };
	const char *why;
	char *copy;
	size_t i, n = 0;

	json_out_string(o, text, len);
	if (escape) {
		if ((copy = malloc(o->len * 6)) == NULL)
			abort();
		for (i = 0; i < o->len; i++) {
			if (o->p[i] != '<') {
				copy[n++] = o->p[i];
				continue;
			}
			memcpy(copy + n, i % 2 ? "\\u003c" : "\\u003C", 6);
			n += 6;
		}
		json_out_reset(o);
		json_out_raw(o, copy, n);
		free(copy);
	}
	v.text.p = o->p;
	v.text.len = o->len;
	if (json_scan(o->p, o->len, 1, &why) != JSON_FINE)
		abort();
	return v;
}

static void
expect_sane(const struct content_result *r, const char *text, size_t len,
    bool inert)
{
	char *out = malloc(r->text.text.len + 1);
	const char *why;
	ssize_t n;

	if (out == NULL ||
	    json_scan(r->text.text.p, r->text.text.len, 1, &why) != JSON_FINE)
		abort();
	n = json_decode(r->text, out, r->text.text.len + 1);
	if (n < 0)
		abort();
	expect_inert(out, (size_t)n);
	if (inert)
		expect_only_escaped(text, len, out, (size_t)n);
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct content_result r;
	struct json_out o = { 0 };
	struct json_value v;
	const char *text;
	uint8_t how;
	size_t len;

	if (cfg == NULL)
		setup();
	if (size < 1 || size > TEXT_MAX)
		return 0;
	how = data[0];
	text = (const char *)data + 1;
	len = size - 1;
	if (!utf8_valid(text, len) || memchr(text, '\0', len) != NULL)
		return 0;
	compare(text, len);
	v = to_json(&o, text, len, how & 2);
	content_judge(contents[how & 1][how >> 2 & 1], v, &r);
	if (r.verdict == CONTENT_ALLOW && r.text.text.p != v.text.p)
		abort();
	if (r.verdict == CONTENT_ALLOW || r.verdict == CONTENT_SANITIZE)
		expect_sane(&r, text, len, (how & 5) == 0);
	json_out_clear(&o);
	return 0;
}
