/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * html_corpus - the texts of tests/html, one a line; see there for the form.
 */

#ifndef TESTS_UNIT_HTML_CORPUS_H
#define TESTS_UNIT_HTML_CORPUS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/json.h"
#include "common/utf8.h"

struct corpus_text {
	char *p;
	size_t len;
};

struct corpus {
	struct corpus_text *v;
	size_t n;
};

/* What \n, \t, \r, \f, \\ and \uXXXX stand for. */
static inline size_t
corpus_unescape(char *p)
{
	static const char names[] = "ntrf\\", chars[] = "\n\t\r\f\\";
	const char *which;
	char *to = p, *from = p;
	unsigned c;

	for (; *from != '\0' && *from != '\n'; from++) {
		if (from[0] == '\\' && from[1] != '\0' &&
		    (which = strchr(names, from[1])) != NULL) {
			*to++ = chars[which - names];
			from++;
		} else if (from[0] == '\\' && from[1] == 'u' &&
		    sscanf(from + 2, "%4x", &c) == 1) {
			to += utf8_encode(c, to);
			from += 5;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
	return (size_t)(to - p);
}

static inline void
corpus_load(struct corpus *c, const char *path)
{
	FILE *fp = fopen(path, "r");
	char *line = NULL;
	size_t size = 0;

	if (fp == NULL)
		fail_msg("%s: cannot be opened", path);
	while (getline(&line, &size, fp) > 0) {
		if (line[0] == '\n' || strncmp(line, "# ", 2) == 0 ||
		    strncmp(line, "## ", 3) == 0 || strcmp(line, "#\n") == 0)
			continue;
		c->v = reallocarray(c->v, c->n + 1, sizeof(*c->v));
		assert_non_null(c->v);
		c->v[c->n].p = strdup(line);
		c->v[c->n].len = corpus_unescape(c->v[c->n].p);
		c->n++;
	}
	free(line);
	(void)fclose(fp);
}

static inline void
corpus_free(struct corpus *c)
{
	while (c->n > 0)
		free(c->v[--c->n].p);
	free(c->v);
	c->v = NULL;
}

/* The text as a JSON string; every '<' as an escape if so wished. */
static inline struct json_value
corpus_json(struct json_out *o, const struct corpus_text *t, bool escape)
{
	struct json_value v = { .kind = JSON_KIND_STRING };
	size_t i;
	char *q;

	json_out_reset(o);
	if (!escape) {
		json_out_string(o, t->p, t->len);
	} else {
		q = malloc(t->len * 6 + 3);
		assert_non_null(q);
		json_out_string(o, t->p, t->len);
		for (i = 0, v.text.len = 0; i < o->len; i++) {
			if (o->p[i] == '<') {
				memcpy(q + v.text.len, "\\u003C", 6);
				v.text.len += 6;
			} else {
				q[v.text.len++] = o->p[i];
			}
		}
		json_out_reset(o);
		json_out_raw(o, q, v.text.len);
		free(q);
	}
	v.text.p = o->p;
	v.text.len = o->len;
	return v;
}

#endif /* TESTS_UNIT_HTML_CORPUS_H */
