/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * show - the daemon's documents for people.
 */

#include "chatctl/show.h"

#include <err.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "chatctl/table.h"
#include "common/strbuf.h"

#define INDENT 2

/* ------------------------------------------------------------------ */
/* Text. */

static void
put_utf8(struct strbuf *sb, uint32_t c)
{
	if (c < 0x80) {
		sb_addc(sb, (char)c);
	} else if (c < 0x800) {
		sb_addc(sb, (char)(0xc0 | c >> 6));
		sb_addc(sb, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		sb_addc(sb, (char)(0xe0 | c >> 12));
		sb_addc(sb, (char)(0x80 | (c >> 6 & 0x3f)));
		sb_addc(sb, (char)(0x80 | (c & 0x3f)));
	} else {
		sb_addc(sb, (char)(0xf0 | c >> 18));
		sb_addc(sb, (char)(0x80 | (c >> 12 & 0x3f)));
		sb_addc(sb, (char)(0x80 | (c >> 6 & 0x3f)));
		sb_addc(sb, (char)(0x80 | (c & 0x3f)));
	}
}

/* Controls, and what turns the direction of text around. */
static bool
is_harmful(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) ||
	    (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ||
	    c == 0x2028 || c == 0x2029 || c == 0x200e || c == 0x200f;
}

static void
add_string(struct strbuf *sb, struct json_value string)
{
	const char *at = NULL;
	uint32_t c;

	while (json_next_char(string, &at, &c)) {
		if (c == '\n')
			sb_adds(sb, "\\n");
		else if (c == '\t')
			sb_adds(sb, "\\t");
		else if (is_harmful(c))
			sb_addf(sb, c < 0x100 ? "\\x%02x" : "\\u%04x",
			    (unsigned)c);
		else
			put_utf8(sb, c);
	}
}

void
show_string(struct json_value string, FILE *fp)
{
	struct strbuf sb = STRBUF_INIT;

	add_string(&sb, string);
	(void)fputs(sb.data, fp);
	sb_clear(&sb);
}

/* ------------------------------------------------------------------ */
/* Numbers with units. */

static void
add_bytes(struct strbuf *sb, double n)
{
	static const char units[] = "KMGTPE";
	int u = -1;

	while (n >= 1024 && units[u + 1] != '\0') {
		n /= 1024;
		u++;
	}
	if (u == -1)
		sb_addf(sb, "%.0f B", n);
	else
		sb_addf(sb, "%.*f %ciB", n < 10 ? 1 : 0, n, units[u]);
}

static void
add_duration(struct strbuf *sb, int64_t s)
{
	if (s >= 86400)
		sb_addf(sb, "%" PRId64 "d ", s / 86400);
	sb_addf(sb, "%02" PRId64 ":%02" PRId64 ":%02" PRId64, s / 3600 % 24,
	    s / 60 % 60, s % 60);
}

static void
add_time(struct strbuf *sb, int64_t ms)
{
	time_t t = (time_t)(ms / 1000);
	char text[32];
	struct tm tm;

	if (ms == 0 || localtime_r(&t, &tm) == NULL ||
	    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) == 0)
		sb_addc(sb, '-');
	else
		sb_adds(sb, text);
}

struct unit {
	const char *suffix;
	/* what is left of it in a heading */
	const char *shown;
};

enum {
	UNIT_BYTES,
	UNIT_TIME,
	UNIT_DURATION,
	UNIT_US,
	UNIT__MAX,
};

static const struct unit units[UNIT__MAX] = {
	[UNIT_BYTES] = { "_bytes", "" },
	[UNIT_TIME] = { "_at_ms", "" },
	[UNIT_DURATION] = { "_s", "" },
	[UNIT_US] = { "_us", " us" },
};

/* Names that others have given, and that say nothing of a unit. */
static const struct {
	const char *name;
	int unit;
} names[] = {
	{ "timestamp", UNIT_TIME },
	{ "uptime", UNIT_DURATION },
	{ "stream_memory", UNIT_BYTES },
	{ "stream_memory_used", UNIT_BYTES },
};

static bool
ends_with(struct json_span key, const char *end)
{
	size_t len = strlen(end);

	return key.len >= len && memcmp(key.p + key.len - len, end, len) == 0;
}

/* What the end of a name says. */
static int
suffix_of(struct json_span key)
{
	for (int u = 0; u < UNIT__MAX; u++)
		if (key.len > strlen(units[u].suffix) &&
		    ends_with(key, units[u].suffix))
			return u;
	return UNIT__MAX;
}

static int
unit_of(struct json_span key)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (key.len == strlen(names[i].name) &&
		    memcmp(key.p, names[i].name, key.len) == 0)
			return names[i].unit;
	return suffix_of(key);
}

/* "uptime_s" is shown as "uptime". */
static void
add_name(struct strbuf *sb, struct json_span key)
{
	int u = suffix_of(key);
	size_t len = key.len;

	if (u != UNIT__MAX)
		len -= strlen(units[u].suffix);
	for (size_t i = 0; i < len; i++)
		sb_addc(sb, key.p[i] == '_' ? ' ' : key.p[i]);
	if (u != UNIT__MAX)
		sb_adds(sb, units[u].shown);
}

static void
add_value(struct strbuf *sb, struct json_span key, struct json_value v)
{
	int u = unit_of(key);
	int64_t n;
	double d;

	if (v.kind == JSON_KIND_STRING) {
		add_string(sb, v);
	} else if (v.kind == JSON_KIND_OBJECT || v.kind == JSON_KIND_ARRAY) {
		sb_adds(sb, "...");
	} else if (u == UNIT_BYTES && json_to_double(v, &d)) {
		add_bytes(sb, d);
	} else if (u == UNIT_TIME && json_to_int(v, 0, (int64_t)1 << 53, &n)) {
		if (n == 0 && ends_with(key, "until_at_ms"))
			sb_adds(sb, "for ever");
		else
			add_time(sb, n);
	} else if (u == UNIT_DURATION &&
	    json_to_int(v, 0, (int64_t)1 << 53, &n)) {
		add_duration(sb, n);
	} else {
		sb_add(sb, v.text.p, v.text.len);
	}
}

/* ------------------------------------------------------------------ */
/* Documents. */

static bool
is_nested(struct json_value v)
{
	return v.kind == JSON_KIND_OBJECT || v.kind == JSON_KIND_ARRAY;
}

static bool
is_empty(struct json_value v)
{
	struct json_iter it = json_iter(v);

	return !json_next(&it, &v);
}

/* Does it hold nothing but objects (and any)? */
static bool
is_rows(struct json_value v)
{
	struct json_iter it = json_iter(v);
	struct json_value key, item;
	bool any = false;

	if (v.kind == JSON_KIND_ARRAY) {
		for (; json_next(&it, &item); any = true)
			if (item.kind != JSON_KIND_OBJECT)
				return false;
	} else {
		for (; json_next_member(&it, &key, &item); any = true)
			if (item.kind != JSON_KIND_OBJECT)
				return false;
	}
	return any;
}

static void
put_cell(struct table *t, struct json_span key, struct json_value v, bool right)
{
	struct strbuf sb = STRBUF_INIT;

	add_value(&sb, key, v);
	table_cell(t, sb.data, right);
	sb_clear(&sb);
}

static void
put_name(struct table *t, struct json_span key, bool right)
{
	struct strbuf sb = STRBUF_INIT;

	add_name(&sb, key);
	table_cell(t, sb.data, right);
	sb_clear(&sb);
}

static void
put_headings(struct table *t, struct json_value row, bool named)
{
	struct json_iter it = json_iter(row);
	struct json_value key, v;

	if (named)
		table_cell(t, "", false);
	while (json_next_member(&it, &key, &v))
		put_name(t, json_inside(key), v.kind == JSON_KIND_NUMBER);
	table_end_row(t);
}

static void
put_row(struct table *t, struct json_value row)
{
	struct json_iter it = json_iter(row);
	struct json_value key, v;

	while (json_next_member(&it, &key, &v))
		put_cell(t, json_inside(key), v, v.kind == JSON_KIND_NUMBER);
	table_end_row(t);
}

/* The rows of an array, or of an object whose members are rows. */
static void
show_rows(struct json_value all, unsigned indent, FILE *fp)
{
	bool named = all.kind == JSON_KIND_OBJECT;
	struct json_iter it = json_iter(all);
	struct table *t = table_new();
	struct json_value key, row;
	bool first = true;

	while (
	    named ? json_next_member(&it, &key, &row) : json_next(&it, &row)) {
		if (first)
			put_headings(t, row, named);
		first = false;
		if (named)
			put_name(t, json_inside(key), false);
		put_row(t, row);
	}
	table_print(t, indent, fp);
	table_free(&t);
}

static void show_value(struct json_value v, unsigned indent, FILE *fp);

static void
show_heading(struct json_value key, unsigned indent, FILE *fp)
{
	struct strbuf sb = STRBUF_INIT;

	add_name(&sb, json_inside(key));
	(void)fprintf(fp, "%*s%s:", (int)indent, "", sb.data);
	sb_clear(&sb);
}

static void
show_object(struct json_value object, unsigned indent, FILE *fp)
{
	struct json_iter it = json_iter(object);
	struct table *t = table_new();
	struct json_value key, v;

	while (json_next_member(&it, &key, &v)) {
		if (is_nested(v))
			continue;
		put_name(t, json_inside(key), false);
		put_cell(t, json_inside(key), v, false);
		table_end_row(t);
	}
	table_print(t, indent, fp);
	table_free(&t);
	it = json_iter(object);
	while (json_next_member(&it, &key, &v)) {
		if (!is_nested(v))
			continue;
		show_heading(key, indent, fp);
		(void)fputs(is_empty(v) ? " none\n" : "\n", fp);
		if (!is_empty(v))
			show_value(v, indent + INDENT, fp);
	}
}

static void
show_lines(struct json_value array, unsigned indent, FILE *fp)
{
	const struct json_span no_key = { "", 0 };
	struct json_iter it = json_iter(array);
	struct table *t = table_new();
	struct json_value v;

	while (json_next(&it, &v)) {
		put_cell(t, no_key, v, false);
		table_end_row(t);
	}
	table_print(t, indent, fp);
	table_free(&t);
}

static void
show_value(struct json_value v, unsigned indent, FILE *fp)
{
	if (is_nested(v) && is_rows(v) &&
	    (v.kind == JSON_KIND_ARRAY || indent > 0))
		show_rows(v, indent, fp);
	else if (v.kind == JSON_KIND_OBJECT)
		show_object(v, indent, fp);
	else if (v.kind == JSON_KIND_ARRAY)
		show_lines(v, indent, fp);
}

void
show_document(const char *json, size_t len, FILE *fp)
{
	show_value(json_value(json, len), 0, fp);
}

/* ------------------------------------------------------------------ */
/* Messages, and other lines. */

void
show_result(const char *json, size_t len, FILE *fp)
{
	struct json_value result = json_member(json_value(json, len), "result");

	if (result.kind != JSON_KIND_STRING) {
		show_document(json, len, fp);
		return;
	}
	show_string(result, fp);
	(void)fputc('\n', fp);
}

/* "2026-01-01 12:00:00  message_blocked  userId=eve ..." */
static void
show_event(struct json_value event, FILE *fp)
{
	struct json_iter it = json_iter(event);
	struct strbuf sb = STRBUF_INIT;
	struct json_value key, v;
	struct json_span name;
	int64_t n;

	if (json_to_int(json_member(event, "timestamp"), 0, (int64_t)1 << 53,
		&n))
		add_time(&sb, n);
	sb_adds(&sb, "  ");
	add_string(&sb, json_member(event, "event"));
	while (json_next_member(&it, &key, &v)) {
		if (json_is(key, "timestamp") || json_is(key, "event"))
			continue;
		name = json_inside(key);
		sb_addf(&sb, "  %.*s=", (int)name.len, name.p);
		if (v.kind == JSON_KIND_STRING)
			add_string(&sb, v);
		else
			sb_add(&sb, v.text.p, v.text.len);
	}
	(void)fprintf(fp, "%s\n", sb.data);
	sb_clear(&sb);
}

void
show_message(const char *json, size_t len, FILE *fp)
{
	struct json_value m = json_value(json, len);
	struct json_value who = json_member(m, "userId");
	struct json_value missed = json_member(m, "missed");
	struct strbuf sb = STRBUF_INIT;
	int64_t n;

	if (json_to_int(missed, 0, (int64_t)1 << 53, &n)) {
		(void)fprintf(fp, "... at most %" PRId64 " missed\n", n);
		return;
	}
	if (json_member(m, "event").kind == JSON_KIND_STRING) {
		show_event(m, fp);
		return;
	}
	if (json_to_int(json_member(m, "timestamp"), 0, (int64_t)1 << 53, &n))
		add_time(&sb, n);
	if (json_to_int(json_member(m, "seq"), 0, (int64_t)1 << 53, &n))
		sb_addf(&sb, "  %" PRId64 "  ", n);
	if (who.kind != JSON_KIND_STRING)
		who = json_member(m, "agentId");
	/* nobody: the server said it */
	if (who.kind != JSON_KIND_STRING)
		who = json_member(json_member(m, "metadata"), "senderName");
	if (who.kind == JSON_KIND_STRING)
		add_string(&sb, who);
	sb_adds(&sb, ": ");
	if (json_member(m, "content").kind == JSON_KIND_STRING)
		add_string(&sb, json_member(m, "content"));
	if (json_member(m, "deleted").kind == JSON_KIND_BOOL)
		sb_addf(&sb, "(deleted)");
	else if (json_member(m, "editedAt").kind == JSON_KIND_NUMBER)
		sb_addf(&sb, " (edited)");
	(void)fprintf(fp, "%s\n", sb.data);
	sb_clear(&sb);
}
