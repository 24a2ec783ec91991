/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The tags of a text are read from the last to the first.  Where one stands
 * within another, both go through the same attributes from some place on:
 * what was found there by the one is kept for the other (struct rest), so
 * each attribute is read once, and so is each run of characters that is a
 * name or an unquoted value (struct start).
 */

#include "chat/html.h"

#include <stdlib.h>
#include <string.h>

#include "chat/html_fact.h"
#include "chat/html_tree.h"
#include "common/log.h"

/* memory up to this is kept for the next text */
#define KEEP (64 << 10)

/* The rest of a tag from a place on where an attribute may begin. */
struct rest {
	uint32_t facts;
	/* where the tag ends; 0: not known */
	uint32_t end;
};

struct start {
	/* the '<'; behind the name; the next blank or '>' */
	uint32_t at, name_end, word_end;
};

/* One attribute on the way from a tag to what is known. */
struct step {
	uint32_t at, facts;
};

struct html {
	/* the text that is judged */
	const char *text;
	uint32_t len;
	/* all '<' in it, whatever follows */
	size_t nangles;
	struct start *starts;
	size_t nstarts, cap_starts;
	/* one for each byte, and one behind */
	struct rest *rests;
	size_t cap_rests;
	struct step *steps;
	size_t nsteps, cap_steps;
	struct html_tag *tags;
	size_t ntags, cap_tags;
	struct html_tree *tree;
};

/* Room for one more thing. */
static void *
more(void *p, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return p;
	*cap = *cap == 0 ? 64 : *cap * 2;
	if ((p = reallocarray(p, *cap, size)) == NULL)
		fatalx("out of memory");
	return p;
}

struct html *
html_new(void)
{
	struct html *h = calloc(1, sizeof(*h));

	if (h == NULL)
		fatalx("out of memory");
	h->tree = html_tree_new();
	return h;
}

static void
let_go(struct html *h)
{
	free(h->starts);
	free(h->rests);
	free(h->steps);
	free(h->tags);
	h->starts = NULL;
	h->rests = NULL;
	h->steps = NULL;
	h->tags = NULL;
	h->cap_starts = h->cap_rests = h->cap_steps = h->cap_tags = 0;
}

void
html_free(struct html **hp)
{
	struct html *h = *hp;

	if (h == NULL)
		return;
	let_go(h);
	html_tree_free(&h->tree);
	free(h);
	*hp = NULL;
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

/* Find all that may begin a tag. */
static void
find_starts(struct html *h, const char *text, size_t len)
{
	const char *p = text, *end = text + len;

	h->text = text;
	h->len = (uint32_t)len;
	h->nstarts = h->ntags = h->nangles = 0;
	while ((p = memchr(p, '<', (size_t)(end - p))) != NULL) {
		h->nangles++;
		if (++p == end)
			break;
		if (!is_letter(*p))
			continue;
		h->starts = more(h->starts, h->nstarts, &h->cap_starts,
		    sizeof(*h->starts));
		h->starts[h->nstarts++].at = (uint32_t)(p - 1 - text);
	}
}

static void
make_rests(struct html *h)
{
	size_t n = (size_t)h->len + 1;

	/* fresh pages are zeroed as they are touched */
	if (n > h->cap_rests || n * sizeof(*h->rests) > KEEP) {
		free(h->rests);
		if ((h->rests = calloc(n, sizeof(*h->rests))) == NULL)
			fatalx("out of memory");
		h->cap_rests = n;
	} else {
		memset(h->rests, 0, n * sizeof(*h->rests));
	}
}

/* --- runs of characters ------------------------------------------------------ */

/* The first start at or behind 'at'. */
static size_t
start_behind(const struct html *h, uint32_t at)
{
	size_t low = 0, high = h->nstarts, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (h->starts[mid].at < at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/*
 * The next blank or '>' at or behind 'at': looked for up to the next start,
 * which knows how it goes on.
 */
static uint32_t
word_end(const struct html *h, uint32_t at, size_t next)
{
	uint32_t to = next < h->nstarts ? h->starts[next].at : h->len;

	for (; at < to; at++) {
		if (is_blank(h->text[at]) || h->text[at] == '>')
			return at;
	}
	return next < h->nstarts ? h->starts[next].word_end : h->len;
}

/* The same for the end of the name behind a start. */
static uint32_t
name_end(const struct html *h, uint32_t at, size_t next)
{
	uint32_t to = next < h->nstarts ? h->starts[next].at : h->len;

	for (; at < to; at++) {
		if (is_blank(h->text[at]) || h->text[at] == '>' ||
		    h->text[at] == '/')
			return at;
	}
	return next < h->nstarts ? h->starts[next].name_end : h->len;
}

/* --- attributes ---------------------------------------------------------------- */

static uint32_t
skip_blanks(const struct html *h, uint32_t at)
{
	while (at < h->len && is_blank(h->text[at]))
		at++;
	return at;
}

/* Behind the '='; returns where the next attribute may begin. */
static uint32_t
read_value(const struct html *h, uint32_t at, struct html_attribute *a)
{
	const char *q;
	uint32_t end;
	char c;

	at = skip_blanks(h, at);
	if (at == h->len || (c = h->text[at]) == '>')
		return at;
	if (c != '"' && c != '\'') {
		end = word_end(h, at, start_behind(h, at));
		a->value = h->text + at;
		a->value_len = end - at;
		return end;
	}
	at++;
	q = memchr(h->text + at, c, h->len - at);
	end = q == NULL ? h->len : (uint32_t)(q - h->text);
	a->value = h->text + at;
	a->value_len = end - at;
	return q == NULL ? end : end + 1;
}

/*
 * The attribute at or behind 'at'; returns where the next may begin, or 0 at
 * the end of the tag, which is *end_r then.
 */
static uint32_t
read_attribute(const struct html *h, uint32_t at, uint32_t *facts_r,
    uint32_t *end_r)
{
	struct html_attribute a = { 0 };
	const char *text = h->text;
	uint32_t from, behind;

	*facts_r = 0;
	while (at < h->len && (is_blank(text[at]) || text[at] == '/'))
		at++;
	if (at == h->len || text[at] == '>') {
		*end_r = at == h->len ? at : at + 1;
		return 0;
	}
	/* a '=' in the first place belongs to the name */
	from = at++;
	while (at < h->len && !is_blank(text[at]) && text[at] != '/' &&
	    text[at] != '>' && text[at] != '=')
		at++;
	a.name = text + from;
	a.name_len = at - from;
	behind = skip_blanks(h, at);
	if (behind == h->len || text[behind] != '=')
		return at;
	at = read_value(h, behind + 1, &a);
	*facts_r = html_attribute_facts(&a);
	return at;
}

/* All attributes from 'at' on. */
static struct rest
read_rest(struct html *h, uint32_t at)
{
	struct rest rest = { 0 };
	uint32_t facts, next;

	h->nsteps = 0;
	for (;;) {
		if (h->rests[at].end != 0) {
			rest = h->rests[at];
			break;
		}
		next = read_attribute(h, at, &facts, &rest.end);
		h->steps =
		    more(h->steps, h->nsteps, &h->cap_steps, sizeof(*h->steps));
		h->steps[h->nsteps].at = at;
		h->steps[h->nsteps++].facts = facts;
		if (next == 0)
			break;
		rest.end = 0;
		at = next;
	}
	while (h->nsteps > 0) {
		h->nsteps--;
		rest.facts |= h->steps[h->nsteps].facts;
		h->rests[h->steps[h->nsteps].at] = rest;
	}
	return rest;
}

/* --- judging -------------------------------------------------------------------- */

static void
add_tag(struct html *h, uint32_t from, uint32_t to)
{
	h->tags = more(h->tags, h->ntags, &h->cap_tags, sizeof(*h->tags));
	h->tags[h->ntags].from = from;
	h->tags[h->ntags++].to = to;
}

/* The last comes first: turn them round. */
static void
reverse_tags(struct html *h)
{
	struct html_tag t;
	size_t i, k;

	for (i = 0, k = h->ntags; i + 1 < k; i++) {
		t = h->tags[i];
		h->tags[i] = h->tags[--k];
		h->tags[k] = t;
	}
}

/* True if one of them could be active with other attributes, or is. */
static bool
read_tags(struct html *h, bool all)
{
	bool known = false;
	struct start *s;
	struct rest rest;
	uint32_t element;
	size_t i;

	for (i = h->nstarts; i-- > 0;) {
		s = &h->starts[i];
		s->name_end = name_end(h, s->at + 1, i + 1);
		s->word_end = word_end(h, s->at, i + 1);
		rest = read_rest(h, s->name_end);
		element = html_element_facts(h->text + s->at + 1,
		    s->name_end - s->at - 1);
		if (all || html_is_active(element, rest.facts))
			add_tag(h, s->at, rest.end);
		known |= element != 0 || rest.facts != 0;
	}
	reverse_tags(h);
	return known;
}

/* What the tree says: by where its elements begin, ascending. */
static void
add_tree(struct html *h)
{
	const uint32_t *at;
	size_t i, k, n;

	at = html_tree_judge(h->tree, h->text, h->len, h->nangles, &n);
	for (i = 0; i < n; i++) {
		k = start_behind(h, at[i]);
		if (k < h->nstarts && h->starts[k].at == at[i])
			add_tag(h, at[i], h->rests[h->starts[k].name_end].end);
	}
}

static const struct html_tag *
judge(struct html *h, const char *text, size_t len, bool all, size_t *n_r)
{
	CHECK(len <= HTML_MAX);
	if (h->cap_rests * sizeof(*h->rests) > KEEP ||
	    h->cap_starts * sizeof(*h->starts) > KEEP ||
	    h->cap_steps * sizeof(*h->steps) > KEEP)
		let_go(h);
	find_starts(h, text, len);
	if (h->nstarts > 0) {
		make_rests(h);
		if (read_tags(h, all) && h->ntags == 0)
			add_tree(h);
	}
	*n_r = h->ntags;
	return h->tags;
}

const struct html_tag *
html_judge(struct html *h, const char *text, size_t len, size_t *n_r)
{
	return judge(h, text, len, false, n_r);
}

const struct html_tag *
html_all(struct html *h, const char *text, size_t len, size_t *n_r)
{
	return judge(h, text, len, true, n_r);
}
