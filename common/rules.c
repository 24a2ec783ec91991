/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * Lines of phrases or links that follow each other with the same verdict,
 * name and options are one expression: a long list costs one search, not one
 * a line.
 */

#include "common/rules.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "common/config.h"
#include "common/log.h"
#include "common/rules_line.h"
#include "common/strbuf.h"

/* an expression is not made longer than this by further lines */
#define JOINED_MAX 8192
/* steps from one place of a text on: so many, and so many for each byte */
#define STEPS 5000
#define STEPS_PER_BYTE 2
#define DEPTH_MAX 50000
#define HEAP_MAX_KIB 8192
/* CPU time for one rule and one text */
#define BUDGET_NS 50000000
/* A text is searched in so many pieces, but by so many places at least (few,
 * if that is slow), and the time is looked at between them: steps are only
 * what PCRE2 goes back, and it limits them for each place anew. */
#define PIECES 256
#define PIECE_MIN 256
#define PIECE_SLOW 16
#define PIECE_SLOW_NS 5000000

struct compiled {
	struct rule rule;
	pcre2_code *code;
};

struct rules {
	struct compiled *v;
	size_t n;
	pcre2_match_data *data;
	pcre2_match_context *context;
	/* what the search under way has left, and when that was looked at */
	int64_t left_ns, seen_ns;
};

/* What is being read. */
struct reader {
	const char *file;
	struct config_errors *errors;
	size_t nerrors;
	struct rules *rules;
	/* the line before, if others may follow to its expression */
	struct rules_line last;
	bool joining;
	struct strbuf pattern;
};

const char *
rule_verdict_name(enum rule_verdict verdict)
{
	static const char *const names[RULE__MAX] = {
		[RULE_FLAG] = "flag",
		[RULE_SANITIZE] = "sanitize",
		[RULE_BLOCK] = "block",
		[RULE_SPAM] = "spam",
	};

	return names[verdict];
}

static void
add_error(struct reader *rd, unsigned line, const char *what)
{
	rd->nerrors++;
	config_errors_add(rd->errors, "%s:%u: %s", rd->file, line, what);
}

/* --- expressions --------------------------------------------------------- */

static void
add_quoted(struct strbuf *sb, const char *p, size_t len)
{
	for (; len > 0; len--, p++) {
		if ((uint8_t)*p < 0x80 && strchr(RULES_WORD, *p) == NULL)
			sb_addc(sb, '\\');
		sb_addc(sb, *p);
	}
}

/* Words with whatever blanks between. */
static void
add_phrase(struct strbuf *sb, const char *text)
{
	size_t len;

	while (*text != '\0') {
		len = strcspn(text, " \t");
		add_quoted(sb, text, len);
		text += len;
		len = strspn(text, " \t");
		text += len;
		if (len > 0 && *text != '\0')
			sb_adds(sb, "\\s+");
	}
}

/*
 * What is common to all of a list stands around it once: PCRE2 finds out
 * then with which characters a match can begin.
 */
#define LINK_URL "(?:(?:https?|ftp)://(?:[^\\s/?#@]*+@)?)?"
#define LINK_HEAD "(?<![\\w@.-])" LINK_URL "(?:[\\w-]++\\.)*(?:"

static const char *const heads[RULES_KIND__MAX] = {
	[RULES_MATCH] = "",
	/* not as a part of other words */
	[RULES_PHRASE] = "(?<!\\w)(?:",
	/* the host, or one below it */
	[RULES_LINK] = LINK_HEAD,
};
static const char *const tails[RULES_KIND__MAX] = {
	[RULES_MATCH] = "",
	[RULES_PHRASE] = ")(?!\\w)",
	[RULES_LINK] = ")(?![\\w-]|\\.\\w)",
};
#define ANY_LINK "(?<!\\w)(?:https?|ftp)://[^\\s]"

static void
compile(struct reader *rd)
{
	uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C |
	    PCRE2_USE_OFFSET_LIMIT;
	const struct rules_line *l = &rd->last;
	struct rules *r = rd->rules;
	char why[256], text[320];
	struct compiled *c;
	PCRE2_SIZE at;
	int error;

	if (r->n == RULES_MAX) {
		add_error(rd, l->line, "too many rules; at most 1000");
		return;
	}
	if (!l->with_case)
		options |= PCRE2_CASELESS;
	c = &r->v[r->n];
	c->rule.verdict = l->verdict;
	c->rule.line = l->line;
	(void)memcpy(c->rule.name, l->name, sizeof(c->rule.name));
	(void)memcpy(c->rule.with, l->with, sizeof(c->rule.with));
	c->code = pcre2_compile((PCRE2_SPTR)rd->pattern.data, rd->pattern.len,
	    options, &error, &at, NULL);
	if (c->code != NULL) {
		r->n++;
		return;
	}
	if (pcre2_get_error_message(error, (PCRE2_UCHAR *)why, sizeof(why)) < 0)
		why[0] = '\0';
	(void)snprintf(text, sizeof(text),
	    "the expression is wrong at its byte %zu: %s", at + 1, why);
	add_error(rd, l->line, text);
}

/* --- lines --------------------------------------------------------------- */

static void
finish_joined(struct reader *rd)
{
	if (!rd->joining)
		return;
	sb_adds(&rd->pattern, tails[rd->last.kind]);
	compile(rd);
	rd->joining = false;
}

static bool
may_join(const struct reader *rd, const struct rules_line *l)
{
	const struct rules_line *o = &rd->last;

	return rd->joining && l->kind == o->kind && l->verdict == o->verdict &&
	    l->with_case == o->with_case && strcmp(l->name, o->name) == 0 &&
	    strcmp(l->with, o->with) == 0 && rd->pattern.len < JOINED_MAX;
}

/* Of a line that is no part of a list; else NULL. */
static const char *
whole_pattern(const struct rules_line *l)
{
	if (l->kind == RULES_MATCH)
		return l->text;
	if (l->kind == RULES_LINK && strcmp(l->text, "*") == 0)
		return ANY_LINK;
	return NULL;
}

static void
take_line(struct reader *rd, const struct rules_line *l)
{
	const char *whole = whole_pattern(l);

	if (whole == NULL && may_join(rd, l)) {
		sb_addc(&rd->pattern, '|');
	} else {
		finish_joined(rd);
		sb_reset(&rd->pattern);
		rd->last = *l;
		if (whole != NULL) {
			sb_adds(&rd->pattern, whole);
			compile(rd);
			return;
		}
		rd->joining = true;
		sb_adds(&rd->pattern, heads[l->kind]);
	}
	if (l->kind == RULES_PHRASE)
		add_phrase(&rd->pattern, l->text);
	else
		add_quoted(&rd->pattern, l->text, strlen(l->text));
}

static void
read_lines(struct reader *rd, const char *p, size_t len)
{
	const char *end = p + len, *q;
	struct rules_line l;
	char why[RULES_WHY_MAX];
	unsigned line;

	for (line = 1; p < end; line++, p = q + 1) {
		if ((q = memchr(p, '\n', (size_t)(end - p))) == NULL)
			q = end;
		l.line = line;
		switch (rules_line_read(&l, p, (size_t)(q - p), why)) {
		case RULES_LINE_EMPTY:
			break;
		case RULES_LINE_RULE:
			take_line(rd, &l);
			rules_line_clear(&l);
			rd->last.text = NULL;
			break;
		case RULES_LINE_WRONG:
			add_error(rd, line, why);
			break;
		}
		if (q == end)
			break;
	}
	finish_joined(rd);
}

static struct rules *
new_rules(void)
{
	struct rules *r = calloc(1, sizeof(*r));

	if (r == NULL || (r->v = calloc(RULES_MAX, sizeof(*r->v))) == NULL ||
	    (r->data = pcre2_match_data_create(1, NULL)) == NULL ||
	    (r->context = pcre2_match_context_create(NULL)) == NULL)
		fatalx("out of memory");
	(void)pcre2_set_depth_limit(r->context, DEPTH_MAX);
	(void)pcre2_set_heap_limit(r->context, HEAP_MAX_KIB);
	return r;
}

struct rules *
rules_new(const char *file, const void *bytes, size_t len,
    struct config_errors *errors)
{
	struct reader rd = { .file = file, .errors = errors };

	rd.rules = new_rules();
	sb_init(&rd.pattern);
	read_lines(&rd, bytes, len);
	sb_clear(&rd.pattern);
	if (rd.nerrors > 0)
		rules_free(&rd.rules);
	return rd.rules;
}

void
rules_free(struct rules **rp)
{
	struct rules *r = *rp;
	size_t i;

	if (r == NULL)
		return;
	for (i = 0; i < r->n; i++)
		pcre2_code_free(r->v[i].code);
	pcre2_match_data_free(r->data);
	pcre2_match_context_free(r->context);
	free(r->v);
	free(r);
	*rp = NULL;
}

size_t
rules_count(const struct rules *r)
{
	return r->n;
}

const struct rule *
rules_get(const struct rules *r, size_t i)
{
	return &r->v[i].rule;
}

/* Of this thread only: others may want the processor, too. */
static int64_t
cpu_ns(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) == -1)
		return 0;
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* What it took since the last time: false, there is nothing left. */
static bool
spend(struct rules *r, int64_t *ns_r)
{
	int64_t now = cpu_ns();

	*ns_r = now - r->seen_ns;
	r->seen_ns = now;
	r->left_ns -= *ns_r;
	return r->left_ns >= 0;
}

/* A match that begins in [at, to). */
static int
match_piece(struct rules *r, size_t i, const char *text, size_t len, size_t at,
    size_t to)
{
	(void)pcre2_set_offset_limit(r->context, to - 1);
	return pcre2_match(r->v[i].code, (PCRE2_SPTR)text, len, at,
	    PCRE2_NOTEMPTY | PCRE2_NO_UTF_CHECK, r->data, r->context);
}

/* The end of a piece: not within a character. */
static size_t
piece_end(const char *text, size_t len, size_t to)
{
	while (to < len && ((uint8_t)text[to] & 0xc0) == 0x80)
		to++;
	return to < len ? to : len;
}

enum rule_result
rules_match(struct rules *r, size_t i, const char *text, size_t len, size_t at,
    size_t *from_r, size_t *to_r)
{
	size_t piece = len / PIECES > PIECE_MIN ? len / PIECES : PIECE_MIN, to;
	const bool is_long = len - at > piece;
	const PCRE2_SIZE *where;
	int64_t ns;
	int n;

	if (at == 0) {
		r->left_ns = BUDGET_NS;
		r->seen_ns = is_long ? cpu_ns() : 0;
	}
	(void)pcre2_set_match_limit(r->context,
	    (uint32_t)(STEPS + STEPS_PER_BYTE * len));
	for (; at < len; at = to) {
		to = piece_end(text, len, at + piece);
		n = match_piece(r, i, text, len, at, to);
		if (n >= 0)
			break;
		if (n != PCRE2_ERROR_NOMATCH)
			return RULE_LIMIT;
		if (to == len)
			return RULE_MISS;
		if (!spend(r, &ns))
			return RULE_LIMIT;
		if (ns > PIECE_SLOW_NS)
			piece = PIECE_SLOW;
	}
	if (at >= len)
		return RULE_MISS;
	/* there may be a search for each that is found */
	if (is_long && !spend(r, &ns))
		return RULE_LIMIT;
	where = pcre2_get_ovector_pointer(r->data);
	*from_r = where[0];
	*to_r = where[1];
	return RULE_HIT;
}
