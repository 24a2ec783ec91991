/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * Every page that a snapshot reaches, each once.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

#include "store/page.h"

#define DEPTH_MAX 32

struct pages {
	struct store_txn *t;
	store_page_fn *fn;
	void *arg;
	const uint8_t *map;
	size_t size;
	/* pages that were given out, and that the file has */
	uint64_t end;
	uint64_t in_file;
	uint64_t seen;
	/* a bit a page */
	uint8_t *used;
	/* a copy a level */
	uint8_t *copy;
	char table[STORE_MAX_NAME + 1];
	struct page_tree tree;
	uint64_t entries;
	bool stop;
	/* numbers that nobody relies on count as well */
	bool strict;
};

static void
wrong(struct pages *p, uint64_t page, const char *what)
{
	if (!p->stop && !p->fn(page, p->table, what, p->arg))
		p->stop = true;
}

/* Take a page for good; false if that is not right. */
static bool
take(struct pages *p, uint64_t page)
{
	if (page < 2 || page >= p->end) {
		wrong(p, page, "there is no such page");
		return false;
	}
	if ((p->used[page / 8] & (1 << page % 8)) != 0) {
		wrong(p, page, "it is used twice");
		return false;
	}
	p->used[page / 8] |= (uint8_t)(1 << page % 8);
	p->seen++;
	return true;
}

struct copying {
	uint8_t *to;
	const uint8_t *from;
	size_t len;
};

static int
copy(void *arg)
{
	const struct copying *c = arg;

	memcpy(c->to, c->from, c->len);
	return 0;
}

/* A copy of the page, so that nothing else can fail. */
static bool
fetch(struct pages *p, uint64_t page, uint8_t *to, size_t len)
{
	struct copying c = { to, p->map + page * p->size, len };

	if (page >= p->in_file) {
		wrong(p, page, "it is behind the end of the file");
		return false;
	}
	if (store_guard(p->t, STORE__TABLES, 0, copy, &c) != 0) {
		wrong(p, page, "the disk does not give it");
		return false;
	}
	return true;
}

/* --- data -------------------------------------------------------------- */

static void
visit_big(struct pages *p, const struct page_node *n)
{
	uint64_t pages = (n->data_len + 15) / p->size + 1, i;
	uint8_t head[16];

	for (i = 0; i < pages; i++)
		if (!take(p, n->page + i))
			return;
	if (!fetch(p, n->page, head, sizeof(head)))
		return;
	if (!page_is_overflow(head, n->page, pages))
		wrong(p, n->page, "it is not the data's");
	else if (n->page + pages > p->in_file)
		wrong(p, n->page, "its data end behind the file");
}

/* Bytes of a value; of what is big only if it can be read. */
static bool
fetch_data(struct pages *p, const struct page_node *n, size_t at, uint8_t *to,
    size_t len)
{
	struct copying c = { to, p->map + n->page * p->size + 16 + at, len };

	if (at + len > n->data_len)
		return false;
	if (!n->big) {
		memcpy(to, n->data + at, len);
		return true;
	}
	return n->page < p->in_file &&
	    store_guard(p->t, STORE__TABLES, 0, copy, &c) == 0;
}

static void
visit_free(struct pages *p, uint64_t page, const struct page_node *n)
{
	uint64_t count, i, free_page, was = UINT64_MAX;

	if (!fetch_data(p, n, 0, (uint8_t *)&count, sizeof(count)) ||
	    count > n->data_len / 8 - 1) {
		wrong(p, page, "a list of free pages is too short");
		return;
	}
	for (i = 1; i <= count && !p->stop; i++) {
		if (!fetch_data(p, n, 8 * i, (uint8_t *)&free_page, 8)) {
			wrong(p, page, "a list of free pages is too short");
			return;
		}
		if (free_page >= was)
			wrong(p, page, "a list of free pages is not one");
		was = free_page;
		(void)take(p, free_page);
	}
}

/* --- trees ------------------------------------------------------------- */

static void visit(struct pages *p, uint64_t page, unsigned depth);

static bool
ascending(const struct page_node *a, const struct page_node *b, bool numbers)
{
	size_t len = a->key_len < b->key_len ? a->key_len : b->key_len;
	uint64_t x, y;
	int rc;

	if (numbers) {
		if (a->key_len != 8 || b->key_len != 8)
			return false;
		memcpy(&x, a->key, 8);
		memcpy(&y, b->key, 8);
		return x < y;
	}
	rc = memcmp(a->key, b->key, len);
	return rc < 0 || (rc == 0 && a->key_len < b->key_len);
}

static void
visit_nodes(struct pages *p, uint64_t page, const uint8_t *b, unsigned depth)
{
	bool leaf = page_is_leaf(b), is_free = strcmp(p->table, "free") == 0;
	unsigned i, n = page_nodes(b);
	struct page_node node, was;

	for (i = 0; i < n && !p->stop; i++) {
		page_node(b, i, &node);
		/* the first key of a branch says nothing */
		if (i > (leaf ? 0 : 1) && !ascending(&was, &node, is_free))
			wrong(p, page, "its keys are out of order");
		was = node;
		if (!leaf) {
			visit(p, node.page, depth + 1);
			continue;
		}
		p->entries++;
		if (node.big)
			visit_big(p, &node);
		if (is_free)
			visit_free(p, page, &node);
	}
}

static void
visit(struct pages *p, uint64_t page, unsigned depth)
{
	uint8_t *b = p->copy + depth * p->size;
	const char *what;

	if (!take(p, page) || !fetch(p, page, b, p->size))
		return;
	if ((what = page_wrong(b, page, p->size)) != NULL)
		wrong(p, page, what);
	else if (page_is_leaf(b) != (depth + 1 == p->tree.depth))
		wrong(p, page, "it is at the wrong height");
	else
		visit_nodes(p, page, b, depth);
}

static void
visit_tree(struct pages *p, const char *name, const struct page_tree *tree)
{
	p->tree = *tree;
	p->entries = 0;
	strlcpy(p->table, name, sizeof(p->table));
	if (tree->root == PAGE_NONE)
		return;
	if (tree->depth == 0 || tree->depth >= DEPTH_MAX) {
		wrong(p, tree->root, "its tree has no height");
		return;
	}
	visit(p, tree->root, 0);
	if (p->strict && p->entries != tree->entries)
		wrong(p, tree->root, "its tree has another number of rows");
}

/* The tables are rows of the main tree. */
static void
visit_tables(struct pages *p)
{
	struct page_tree tree;
	MDB_cursor *cur;
	MDB_val k, v;
	char name[STORE_MAX_NAME + 1];
	int i;

	if (mdb_cursor_open(p->t->txn, 1, &cur) != MDB_SUCCESS)
		return;
	for (i = 0; mdb_cursor_get(cur, &k, &v, MDB_NEXT) == 0; i++) {
		if (i == 4 * STORE__TABLES)
			break;
		if (k.mv_size >= sizeof(name) || v.mv_size != sizeof(tree))
			continue;
		memcpy(name, k.mv_data, k.mv_size);
		name[k.mv_size] = '\0';
		memcpy(&tree, v.mv_data, sizeof(tree));
		visit_tree(p, name, &tree);
	}
	mdb_cursor_close(cur);
}

static void
visit_all(struct pages *p, const struct page_meta *meta)
{
	visit_tree(p, "free", &meta->tree[0]);
	visit_tree(p, "main", &meta->tree[1]);
	visit_tables(p);
}

static void
visit_own_trees(struct pages *p, const struct page_meta *meta)
{
	visit_tree(p, "free", &meta->tree[0]);
	visit_tree(p, "main", &meta->tree[1]);
}

/* 0, or -1 with errno. */
static int
visit_file(struct pages *p,
    void (*visitor)(struct pages *p, const struct page_meta *meta))
{
	struct page_meta meta;
	const char *what;
	struct stat st;
	int fd, rc = -1;

	if (mdb_env_get_fd(p->t->s->env, &fd) != MDB_SUCCESS ||
	    fstat(fd, &st) == -1)
		return -1;
	if ((errno = page_metas(fd, &meta, &p->size, &what)) != 0)
		return -1;
	p->map = p->t->s->map;
	if (p->map == NULL) {
		errno = ENOTSUP;
		return -1;
	}
	/* the writer has gone on in the meantime */
	if (meta.txn != mdb_txn_id(p->t->txn)) {
		errno = EAGAIN;
		return -1;
	}
	p->seen = 2;
	p->end = meta.last + 1;
	p->in_file = (uint64_t)st.st_size / p->size;
	p->used = calloc(1, p->end / 8 + 1);
	p->copy = malloc(DEPTH_MAX * p->size);
	if (p->used != NULL && p->copy != NULL) {
		visitor(p, &meta);
		rc = 0;
	}
	free(p->used);
	free(p->copy);
	return rc;
}

int
store_check_pages(struct store_txn *t, store_page_fn *fn, void *arg,
    uint64_t *pages_r)
{
	struct pages p = { .t = t, .fn = fn, .arg = arg, .strict = true };

	if (visit_file(&p, visit_all) == -1)
		return -1;
	*pages_r = p.seen;
	return 0;
}

static bool
note_first(uint64_t page, const char *table, const char *what, void *arg)
{
	const char **first = arg;

	*first = what;
	return false;
}

const char *
page_own_wrong(struct store_txn *t)
{
	const char *what = NULL;
	struct pages p = { .t = t, .fn = note_first, .arg = &what };

	/* a store without a map is checked by nobody */
	(void)visit_file(&p, visit_own_trees);
	return what;
}
