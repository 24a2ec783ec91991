/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "common/rules_line.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/nearest.h"
#include "common/utf8.h"

#define BLANKS " \t\r"
#define DEFAULT_WITH "***"

static const char *const kinds[RULES_KIND__MAX] = {
	[RULES_MATCH] = "match",
	[RULES_PHRASE] = "phrase",
	[RULES_LINK] = "link",
};

/* Names of what is built in. */
static const char *const reserved[] = { "html", "repeated", "burst" };

/* A word and the blanks behind it; NULL at the end. */
static char *
next_word(char **p)
{
	char *word = *p;
	size_t len = strcspn(word, BLANKS);

	if (len == 0)
		return NULL;
	*p = word + len;
	if (**p != '\0')
		*(*p)++ = '\0';
	*p += strspn(*p, BLANKS);
	return word;
}

__attribute__((format(printf, 2, 3))) static enum rules_line_result
wrong(char why[RULES_WHY_MAX], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, RULES_WHY_MAX, fmt, ap);
	va_end(ap);
	return RULES_LINE_WRONG;
}

static bool
read_verdict(struct rules_line *l, const char *word, char *why)
{
	struct nearest n;
	enum rule_verdict v;
	const char *near;

	nearest_init(&n, word);
	for (v = 0; v < RULE__MAX; v++) {
		if (strcmp(rule_verdict_name(v), word) == 0) {
			l->verdict = v;
			return true;
		}
		nearest_try(&n, rule_verdict_name(v));
	}
	near = nearest_get(&n);
	(void)wrong(why, "%s is no verdict; %s%s%s",
	    log_text(word, strlen(word)),
	    near == NULL ? "they are flag, sanitize, block and spam"
			 : "perhaps ",
	    near == NULL ? "" : near, near == NULL ? "" : " is meant");
	return false;
}

static bool
read_name(struct rules_line *l, const char *word, char *why)
{
	size_t i;

	if (word == NULL) {
		(void)wrong(why, "a rule has a name behind its verdict");
		return false;
	}
	if (strlen(word) > RULE_NAME_MAX ||
	    word[strspn(word, RULES_WORD "-")] != '\0') {
		(void)wrong(why,
		    "%s is no name; it has up to %d letters, digits, - and _",
		    log_text(word, strlen(word)), RULE_NAME_MAX);
		return false;
	}
	for (i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		if (strcmp(reserved[i], word) == 0) {
			(void)wrong(why, "%s is the name of what is built in",
			    word);
			return false;
		}
	}
	(void)memcpy(l->name, word, strlen(word) + 1);
	return true;
}

/* Behind "with": text in double quotes, with \" and \\ in it. */
static bool
read_with(struct rules_line *l, char **p, char *why)
{
	const char *q = *p;
	size_t n = 0;

	if (l->verdict != RULE_SANITIZE) {
		(void)wrong(why, "only sanitize puts something in the place");
		return false;
	}
	if (*q++ != '"') {
		(void)wrong(why, "behind with comes a text in double quotes");
		return false;
	}
	for (; *q != '"'; q++) {
		if (*q == '\\' && (q[1] == '"' || q[1] == '\\'))
			q++;
		if (*q == '\0' || n == RULE_WITH_MAX) {
			(void)wrong(why,
			    *q == '\0' ? "the text behind with has no end"
				       : "the text behind with is too long");
			return false;
		}
		l->with[n++] = *q;
	}
	l->with[n] = '\0';
	*p += q + 1 - *p;
	*p += strspn(*p, BLANKS);
	return true;
}

/* Options, and the kind of what comes behind them. */
static bool
read_kind(struct rules_line *l, char **p, char *why)
{
	enum rules_kind k;
	const char *word;

	while ((word = next_word(p)) != NULL) {
		if (strcmp(word, "case") == 0) {
			l->with_case = true;
			continue;
		}
		if (strcmp(word, "with") == 0) {
			if (!read_with(l, p, why))
				return false;
			continue;
		}
		for (k = 0; k < RULES_KIND__MAX; k++) {
			if (strcmp(word, kinds[k]) == 0) {
				l->kind = k;
				return true;
			}
		}
		(void)wrong(why,
		    "%s is unknown here; it is match, phrase or link, and "
		    "before it case or with \"text\"",
		    log_text(word, strlen(word)));
		return false;
	}
	(void)wrong(why, "match, phrase or link is missing");
	return false;
}

static bool
check_host(const char *host, char *why)
{
	if (strcmp(host, "*") == 0)
		return true;
	if (strpbrk(host, "/:@*?# \t") != NULL) {
		(void)wrong(why,
		    "%s is no host; example.org, or * for all links",
		    log_text(host, strlen(host)));
		return false;
	}
	return true;
}

static enum rules_line_result
read_rule(struct rules_line *l, char *p, char *why)
{
	size_t len;

	if (!read_verdict(l, next_word(&p), why) ||
	    !read_name(l, next_word(&p), why) || !read_kind(l, &p, why))
		return RULES_LINE_WRONG;
	for (len = strlen(p); len > 0 && strchr(BLANKS, p[len - 1]) != NULL;)
		p[--len] = '\0';
	if (len == 0)
		return wrong(why, "nothing stands behind %s", kinds[l->kind]);
	if (l->kind == RULES_LINK && !check_host(p, why))
		return RULES_LINE_WRONG;
	if ((l->text = strdup(p)) == NULL)
		fatalx("out of memory");
	return RULES_LINE_RULE;
}

enum rules_line_result
rules_line_read(struct rules_line *l, const char *p, size_t len,
    char why[RULES_WHY_MAX])
{
	enum rules_line_result rc;
	unsigned line = l->line;
	char *copy;

	while (len > 0 && strchr(BLANKS, *p) != NULL && *p != '\0') {
		p++;
		len--;
	}
	if (len == 0 || *p == '#')
		return RULES_LINE_EMPTY;
	if (memchr(p, '\0', len) != NULL || !utf8_valid(p, len))
		return wrong(why, "the line is not UTF-8");
	if ((copy = strndup(p, len)) == NULL)
		fatalx("out of memory");
	*l = (struct rules_line){ .line = line, .with = DEFAULT_WITH };
	rc = read_rule(l, copy, why);
	free(copy);
	return rc;
}

void
rules_line_clear(struct rules_line *l)
{
	free(l->text);
	l->text = NULL;
}
