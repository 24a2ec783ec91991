/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * All that gumbo allocates for one text lies in an arena, which is given back
 * as a whole: its own way to free a tree is recursive, and a parse that was
 * left in the middle can free nothing.
 */

#include "chat/html_tree.h"

#include <assert.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <gumbo.h>

#include "chat/html_fact.h"
#include "common/log.h"

#define BLOCK (32 << 10)
#define ARENA_MAX (2 << 20)
#define ALIGN 16

struct block {
	struct block *next;
	size_t used, size;
	_Alignas(ALIGN) char bytes[];
};

struct html_tree {
	/* the newest first; the oldest is kept */
	struct block *blocks;
	size_t allocated;
	uint64_t failures;
	const char *text;
	size_t len;
	uint32_t *at;
	size_t nat, cap_at;
	jmp_buf give_up;
};

/* Whose text gumbo is parsing, of this process's only thread that does. */
static _Thread_local struct html_tree *parsing;

static struct block *
block_new(struct block *next, size_t size)
{
	struct block *b;

	if ((b = malloc(sizeof(*b) + size)) == NULL)
		fatalx("out of memory");
	b->next = next;
	b->used = 0;
	b->size = size;
	return b;
}

struct html_tree *
html_tree_new(void)
{
	struct html_tree *t = calloc(1, sizeof(*t));

	if (t == NULL)
		fatalx("out of memory");
	return t;
}

static void
arena_reset(struct html_tree *t)
{
	struct block *b;

	while ((b = t->blocks) != NULL && b->next != NULL) {
		t->blocks = b->next;
		free(b);
	}
	if (b != NULL)
		b->used = 0;
	t->allocated = 0;
}

void
html_tree_free(struct html_tree **tp)
{
	struct html_tree *t = *tp;

	if (t == NULL)
		return;
	arena_reset(t);
	free(t->blocks);
	free(t->at);
	free(t);
	*tp = NULL;
}

static void *
allocate(void *arg, size_t size)
{
	struct html_tree *t = arg;
	struct block *b = t->blocks;
	void *p;

	if (size > ARENA_MAX - t->allocated)
		longjmp(t->give_up, 1);
	size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (b == NULL || size > b->size - b->used)
		b = t->blocks = block_new(b, size > BLOCK ? size : BLOCK);
	p = b->bytes + b->used;
	b->used += size;
	t->allocated += size;
	if (t->allocated > ARENA_MAX)
		longjmp(t->give_up, 1);
	return p;
}

static void
deallocate(void *arg, void *p)
{
}

/*
 * In place of libc's: what gumbo asserts, any client may have written.  Here
 * because libc's has no hook, and all others shall end as ever.
 */
void
__assert_fail(const char *assertion, const char *file, unsigned int line,
    const char *function)
{
	if (parsing != NULL)
		longjmp(parsing->give_up, 1);
	log_error("%s:%u: %s: assertion failed: %s", file, line, function,
	    assertion);
	abort();
}

/* --- walking ------------------------------------------------------------------- */

static const GumboVector *
children_of(const GumboNode *node)
{
	switch (node->type) {
	case GUMBO_NODE_DOCUMENT:
		return &node->v.document.children;
	case GUMBO_NODE_ELEMENT:
	case GUMBO_NODE_TEMPLATE:
		return &node->v.element.children;
	default:
		return NULL;
	}
}

/* The next in the order of the document; NULL at its end. */
static const GumboNode *
next_of(const GumboNode *node)
{
	const GumboVector *v = children_of(node);
	size_t next;

	if (v != NULL && v->length > 0)
		return v->data[0];
	while (node->parent != NULL) {
		v = children_of(node->parent);
		next = node->index_within_parent + 1;
		if (v != NULL && next < v->length)
			return v->data[next];
		node = node->parent;
	}
	return NULL;
}

static bool
is_active(const GumboElement *e)
{
	GumboStringPiece name = e->original_tag;
	uint32_t element, facts = 0;
	const GumboAttribute *attr;
	struct html_attribute a;
	unsigned i;

	if (e->tag != GUMBO_TAG_UNKNOWN) {
		name.data = gumbo_normalized_tagname(e->tag);
		name.length = strlen(name.data);
	} else if (name.data != NULL && name.length > 0) {
		gumbo_tag_from_original_text(&name);
	}
	element =
	    name.data == NULL ? 0 : html_element_facts(name.data, name.length);
	for (i = 0; i < e->attributes.length; i++) {
		attr = e->attributes.data[i];
		a.name = attr->name;
		a.name_len = strlen(attr->name);
		a.value = attr->value;
		a.value_len = strlen(attr->value);
		a.decoded = true;
		facts |= html_attribute_facts(&a);
	}
	return html_is_active(element, facts);
}

static int
compare(const void *va, const void *vb)
{
	const uint32_t *a = va, *b = vb;

	return *a < *b ? -1 : *a > *b;
}

/* An element that has no tag of its own has no attributes of it either. */
static void
note(struct html_tree *t, const GumboElement *e)
{
	const char *tag = e->original_tag.data;

	if (e->original_tag.length == 0 || tag < t->text ||
	    tag >= t->text + t->len)
		return;
	if (t->nat == t->cap_at) {
		t->cap_at = t->cap_at == 0 ? 16 : t->cap_at * 2;
		t->at = reallocarray(t->at, t->cap_at, sizeof(*t->at));
		if (t->at == NULL)
			fatalx("out of memory");
	}
	t->at[t->nat++] = (uint32_t)(tag - t->text);
}

/* One tag may be several elements. */
static void
sort_out(struct html_tree *t)
{
	size_t i, n = 0;

	if (t->nat > 1)
		qsort(t->at, t->nat, sizeof(*t->at), compare);
	for (i = 0; i < t->nat; i++) {
		if (n == 0 || t->at[n - 1] != t->at[i])
			t->at[n++] = t->at[i];
	}
	t->nat = n;
}

/* False if gumbo gave up. */
static bool
walk(struct html_tree *t)
{
	GumboOptions options = kGumboDefaultOptions;
	const GumboNode *node;
	GumboOutput *output;

	options.allocator = allocate;
	options.deallocator = deallocate;
	options.userdata = t;
	options.max_errors = 0;
	if (setjmp(t->give_up) != 0) {
		parsing = NULL;
		return false;
	}
	parsing = t;
	output = gumbo_parse_with_options(&options, t->text, t->len);
	parsing = NULL;
	for (node = output->document; node != NULL; node = next_of(node)) {
		if ((node->type == GUMBO_NODE_ELEMENT ||
			node->type == GUMBO_NODE_TEMPLATE) &&
		    is_active(&node->v.element))
			note(t, &node->v.element);
	}
	return true;
}

const uint32_t *
html_tree_judge(struct html_tree *t, const char *text, size_t len, size_t ntags,
    size_t *n_r)
{
	t->nat = 0;
	if (len <= HTML_TREE_BYTES && ntags <= HTML_TREE_TAGS) {
		t->text = text;
		t->len = len;
		if (!walk(t))
			t->failures++;
		arena_reset(t);
		sort_out(t);
	}
	*n_r = t->nat;
	return t->at;
}

uint64_t
html_tree_failures(const struct html_tree *t)
{
	return t->failures;
}
