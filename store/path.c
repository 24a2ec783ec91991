/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * Ways down a tree that look at each page before they believe it.
 *
 * LMDB reads pages as they are.  Where a walk fails, the next sound leaf is
 * looked for here.  And before a row is written or deleted the pages that
 * LMDB will copy, split or merge for it are looked at, each once a second:
 * a copy of a page whose bounds are wrong would write over our memory, and
 * left in the middle LMDB could not even give up its transaction.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "store/page.h"

#define DEPTH_MAX 32

struct path {
	struct store_txn *t;
	enum store_table table;
	const struct store_key *key;
	/* of a search: which way, and what was found */
	bool backward;
	struct store_key *found;
	uint64_t first_wrong;
	const char *what;
	/* of a probe */
	bool neighbours;
};

/* A page of the map, or NULL if there is none of this number. */
static const uint8_t *
page_at(const struct path *p, uint64_t number)
{
	const struct store *s = p->t->s;

	if (number < 2 || number > ((uint64_t)1 << 40) / s->page_bytes - 1)
		return NULL;
	return s->map + number * s->page_bytes;
}

static void
note(struct path *p, uint64_t number, const char *what)
{
	if (p->what != NULL)
		return;
	p->what = what;
	p->first_wrong = number;
}

static int
compare(const struct page_node *n, const struct store_key *k)
{
	size_t len = n->key_len < k->len ? n->key_len : k->len;
	int rc = memcmp(n->key, k->b, len);

	return rc != 0 ? rc : (n->key_len > k->len) - (n->key_len < k->len);
}

/* The child that a key leads to: the last one that does not begin above. */
static unsigned
child_of(const uint8_t *page, const struct store_key *k)
{
	unsigned low = 1, high = page_nodes(page), mid;
	struct page_node n;

	/* the first key of a branch says nothing */
	while (low < high) {
		mid = (low + high) / 2;
		page_node(page, mid, &n);
		if (compare(&n, k) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low - 1;
}

/* --- the root ---------------------------------------------------------- */

struct root {
	struct path *p;
	struct page_tree tree;
};

static int
get_root(void *arg)
{
	struct root *r = arg;
	const char *name = store_table_name(r->p->table);
	MDB_val k = { .mv_size = strlen(name),
		.mv_data = (void *)(uintptr_t)name };
	MDB_dbi main;
	MDB_val v;
	int rc;

	if ((rc = mdb_dbi_open(r->p->t->txn, NULL, 0, &main)) != 0 ||
	    (rc = mdb_get(r->p->t->txn, main, &k, &v)) != 0)
		return rc;
	if (v.mv_size != sizeof(r->tree))
		return MDB_CORRUPTED;
	memcpy(&r->tree, v.mv_data, sizeof(r->tree));
	return 0;
}

/* PAGE_NONE: an empty table, or nothing is known. */
static uint64_t
root_of(struct path *p)
{
	struct root r = { .p = p };
	int rc;

	if (p->t->s->map == NULL)
		return PAGE_NONE;
	rc = store_guard(p->t, p->table, 0, get_root, &r);
	if (rc == MDB_BAD_TXN && store_go_on(p->t) == 0)
		rc = store_guard(p->t, p->table, 0, get_root, &r);
	return rc == 0 ? r.tree.root : PAGE_NONE;
}

/* --- the next sound leaf ----------------------------------------------- */

struct fetch {
	struct path *p;
	uint64_t number;
	uint8_t *to;
};

static int
fetch(void *arg)
{
	const struct fetch *f = arg;
	const uint8_t *page = page_at(f->p, f->number);

	if (page == NULL)
		return 1;
	memcpy(f->to, page, f->p->t->s->page_bytes);
	return 0;
}

static bool
find_in_leaf(struct path *p, const uint8_t *page)
{
	unsigned n = page_nodes(page), i;
	struct page_node node;
	int rc;

	for (i = 0; i < n; i++) {
		page_node(page, p->backward ? n - 1 - i : i, &node);
		rc = compare(&node, p->key);
		if ((p->backward ? rc >= 0 : rc <= 0) ||
		    node.key_len > STORE_KEY_MAX || node.key_len == 0)
			continue;
		p->found->len = node.key_len;
		memcpy(p->found->b, node.key, node.key_len);
		return true;
	}
	return false;
}

static bool
find(struct path *p, uint64_t number, unsigned depth)
{
	size_t size = p->t->s->page_bytes;
	struct fetch f = { .p = p, .number = number };
	struct page_node node;
	const char *what = "it cannot be read";
	unsigned i, n;
	bool found = false;

	if (depth == DEPTH_MAX || (f.to = malloc(size)) == NULL)
		return false;
	if (store_guard(p->t, p->table, 0, fetch, &f) == 0)
		what = page_wrong(f.to, number, size);
	if (what != NULL) {
		note(p, number, what);
	} else if (page_is_leaf(f.to)) {
		found = find_in_leaf(p, f.to);
	} else {
		n = page_nodes(f.to);
		i = child_of(f.to, p->key);
		for (; !found && i < n; i += p->backward ? -1U : 1) {
			page_node(f.to, i, &node);
			found = find(p, node.page, depth + 1);
		}
	}
	free(f.to);
	return found;
}

int
store_path_next(struct store_txn *t, enum store_table table,
    const struct store_key *from, bool backward, struct store_key *next_r,
    uint64_t *page_r, const char **what_r)
{
	struct path p = { .t = t,
		.table = table,
		.key = from,
		.backward = backward,
		.found = next_r };
	bool quiet = t->quiet;
	uint64_t root;
	int rc = -1;

	/* what is met here is told by the caller */
	t->quiet = true;
	if ((root = root_of(&p)) != PAGE_NONE && find(&p, root, 0))
		rc = 0;
	t->quiet = quiet;
	*page_r = p.first_wrong;
	*what_r = p.what;
	return rc;
}

/* --- before a change --------------------------------------------------- */

/* For so long a page that was sound is taken for sound. */
#define KNOWN_NS CLOCK_S_NS

void
store_probe_again(struct store *s)
{
	uint64_t now = clock_mono_ns();

	if (now - s->known_ns < KNOWN_NS)
		return;
	s->known_ns = now;
	if (s->known_bytes > 0)
		memset(s->known, 0, s->known_bytes);
}

/* Pages that were looked at, a bit each; made as the file grows. */
static bool
is_known(struct store *s, uint64_t number)
{
	return number / 8 < s->known_bytes &&
	    (s->known[number / 8] & (1 << number % 8)) != 0;
}

static void
set_known(struct store *s, uint64_t number)
{
	size_t need = (size_t)(number / 8) + 1, bytes = s->known_bytes;
	uint8_t *p;

	if (need > bytes) {
		need = (need * 2 + 4095) & ~(size_t)4095;
		if ((p = realloc(s->known, need)) == NULL)
			return;
		memset(p + bytes, 0, need - bytes);
		s->known = p;
		s->known_bytes = need;
	}
	s->known[number / 8] |= (uint8_t)(1 << number % 8);
}

static bool
is_sound(struct path *p, uint64_t number)
{
	const uint8_t *page = page_at(p, number);
	const char *what;

	if (page == NULL) {
		note(p, number, "there is no such page");
		return false;
	}
	if (is_known(p->t->s, number))
		return true;
	p->first_wrong = number;
	what = page_wrong(page, number, p->t->s->page_bytes);
	/* or a name that is there is not found, and given again */
	if (what == NULL && !page_ascends(page))
		what = "its keys are out of order";
	p->first_wrong = 0;
	if (what != NULL) {
		note(p, number, what);
		return false;
	}
	set_known(p->t->s, number);
	return true;
}

/* The children next to one may be merged with it. */
static bool
neighbours_sound(struct path *p, const uint8_t *page, unsigned i)
{
	struct page_node node;

	if (i > 0) {
		page_node(page, i - 1, &node);
		if (!is_sound(p, node.page))
			return false;
	}
	if (i + 1 < page_nodes(page)) {
		page_node(page, i + 1, &node);
		if (!is_sound(p, node.page))
			return false;
	}
	return true;
}

struct probe {
	struct path *p;
	uint64_t root;
};

static int
probe(void *arg)
{
	const struct probe *pr = arg;
	struct path *p = pr->p;
	uint64_t number = pr->root;
	struct page_node node;
	const uint8_t *page;
	unsigned depth, i;

	for (depth = 0; depth < DEPTH_MAX; depth++) {
		if (!is_sound(p, number))
			return EUCLEAN;
		page = page_at(p, number);
		if (page_is_leaf(page))
			return 0;
		i = child_of(page, p->key);
		if (p->neighbours && !neighbours_sound(p, page, i))
			return EUCLEAN;
		page_node(page, i, &node);
		number = node.page;
	}
	note(p, number, "its tree has no end");
	return EUCLEAN;
}

int
store_probe(struct store_txn *t, enum store_table table,
    const struct store_key *key, bool neighbours)
{
	uint64_t room = store_key_room(table, key->b, key->len);
	struct path p = { .t = t,
		.table = table,
		.key = key,
		.neighbours = neighbours };
	struct probe pr = { .p = &p };
	int rc;

	if (t->s->map == NULL)
		return 0;
	/* what the last transaction left; ours changes copies of it */
	if ((t->roots & (1U << table)) == 0) {
		t->root[table] = root_of(&p);
		t->roots |= 1U << table;
	}
	if ((pr.root = t->root[table]) == PAGE_NONE)
		return 0;
	if ((rc = store_guard(t, table, room, probe, &pr)) == 0)
		return 0;
	if (rc != -1)
		store_name_page(t, table, room, p.first_wrong, p.what);
	errno = EUCLEAN;
	return -1;
}
