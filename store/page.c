/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * What LMDB takes for granted about a page:
 *
 *   number 8, pad 2, flags 2, lower 2, upper 2, offsets 2 each, (free), nodes
 *   number 8, pad 2, flags 2, pages 4, data: overflow
 *   node: low 2, high 2, flags 2, key length 2, key, data
 */

#include "store/page.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define HEAD 16
#define NODE 8
#define MAGIC 0xBEEFC0DEU
#define VERSION 1
/* 1 TiB of the smallest pages */
#define LAST_MAX ((uint64_t)1 << 31)

enum {
	P_BRANCH = 0x01,
	P_LEAF = 0x02,
	P_OVERFLOW = 0x04,
	P_META = 0x08,
};

enum {
	F_BIG = 0x01,
	F_TREE = 0x02,
};

_Static_assert(sizeof(struct page_tree) == 48, "as in the file");
_Static_assert(sizeof(struct page_meta) == 136, "as in the file");
_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN && sizeof(size_t) == 8,
    "data format of another machine");

static uint16_t
get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t
get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t
get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* --- meta pages -------------------------------------------------------- */

static bool
tree_ok(const struct page_tree *tree, uint64_t last)
{
	return tree->root == PAGE_NONE ||
	    (tree->root >= 2 && tree->root <= last);
}

static const char *const damaged[2] = { "page 0 is damaged",
	"page 1 is damaged" };

/* 0 or an errno; *what_r for EUCLEAN. */
static int
read_meta(int fd, unsigned i, size_t size, struct page_meta *m,
    const char **what_r)
{
	static const char *const head[2] = { "page 0 is no meta page",
		"page 1 is no meta page" };
	uint8_t b[HEAD + sizeof(*m)];
	ssize_t n;

	if ((n = pread(fd, b, sizeof(b), (off_t)(i * size))) == -1)
		return errno;
	if (n == 0 && i == 0)
		return ENODATA;
	memcpy(m, b + HEAD, sizeof(*m));
	*what_r = head[i];
	if ((size_t)n < sizeof(b) || (get16(b + 10) & P_META) == 0 ||
	    get64(b) != i || m->magic != MAGIC)
		return EUCLEAN;
	if (m->version != VERSION)
		return EPROTO;
	*what_r = damaged[i];
	if (m->tree[0].pad < 512 || m->tree[0].pad > PAGE_MAX ||
	    (m->tree[0].pad & (m->tree[0].pad - 1)) != 0)
		return EUCLEAN;
	return 0;
}

int
page_metas(int fd, struct page_meta *meta_r, size_t *size_r,
    const char **what_r)
{
	struct page_meta m[2];
	size_t size;
	unsigned i;
	int err;

	*what_r = NULL;
	if ((err = read_meta(fd, 0, 0, &m[0], what_r)) != 0)
		return err;
	size = m[0].tree[0].pad;
	if ((err = read_meta(fd, 1, size, &m[1], what_r)) != 0)
		return err;
	*what_r = "its meta pages disagree";
	if (m[1].tree[0].pad != size)
		return EUCLEAN;
	/*
	 * Of the other one nothing but its number counts.  Its trees may lie
	 * behind its end: where LMDB failed to write a meta page it puts the
	 * old number and the old end back, and leaves the new trees.
	 */
	i = m[1].txn > m[0].txn;
	*what_r = damaged[i];
	if (m[i].last > LAST_MAX || !tree_ok(&m[i].tree[0], m[i].last) ||
	    !tree_ok(&m[i].tree[1], m[i].last))
		return EUCLEAN;
	*meta_r = m[i];
	*size_r = size;
	return 0;
}

/* --- pages ------------------------------------------------------------- */

unsigned
page_nodes(const uint8_t *page)
{
	return (get16(page + 12) - HEAD) / 2U;
}

bool
page_is_leaf(const uint8_t *page)
{
	return (get16(page + 10) & P_LEAF) != 0;
}

bool
page_leaf_has(const uint8_t *page, uint64_t number, unsigned i, size_t at)
{
	return get64(page) == number && (get16(page + 10) & 0xff) == P_LEAF &&
	    get16(page + 12) >= HEAD + 2 * (i + 1) &&
	    get16(page + HEAD + 2 * i) + (size_t)NODE == at;
}

bool
page_is_overflow(const uint8_t *page, uint64_t number, uint64_t n)
{
	return get64(page) == number &&
	    (get16(page + 10) & 0xff) == P_OVERFLOW && get32(page + 12) == n;
}

void
page_node(const uint8_t *page, unsigned i, struct page_node *n_r)
{
	const uint8_t *p = page + get16(page + HEAD + 2 * i);
	uint16_t flags = get16(p + 4);
	uint32_t low = get16(p) | (uint32_t)get16(p + 2) << 16;

	memset(n_r, 0, sizeof(*n_r));
	n_r->key = p + NODE;
	n_r->key_len = get16(p + 6);
	if (!page_is_leaf(page)) {
		n_r->page = low | (uint64_t)flags << 32;
		return;
	}
	n_r->data = n_r->key + n_r->key_len;
	n_r->data_len = low;
	n_r->tree = (flags & F_TREE) != 0;
	n_r->big = (flags & F_BIG) != 0;
	if (n_r->big)
		n_r->page = get64(n_r->data);
}

/* NULL or what is wrong; adds its bytes. */
static const char *
node_wrong(const uint8_t *page, unsigned i, size_t size, size_t *bytes)
{
	size_t at = get16(page + HEAD + 2 * i), len;
	const uint8_t *p = page + at;

	if (at < get16(page + 14) || at + NODE > size || at % 2 != 0)
		return "a node is outside of it";
	len = NODE + (size_t)get16(p + 6);
	if (page_is_leaf(page)) {
		if ((get16(p + 4) & ~(F_BIG | F_TREE)) != 0)
			return "a node has flags that are not used";
		len += (get16(p + 4) & F_BIG) != 0
		    ? 8
		    : get16(p) | (size_t)get16(p + 2) << 16;
	}
	if (at + len > size)
		return "a node leads out of it";
	*bytes += len + len % 2;
	return NULL;
}

const char *
page_wrong(const uint8_t *page, uint64_t number, size_t size)
{
	unsigned flags = get16(page + 10) & 0xff, i, n;
	size_t lower = get16(page + 12), upper = get16(page + 14), bytes = 0;
	const char *what;

	if (get64(page) != number)
		return "it has another page's number";
	if (flags != P_BRANCH && flags != P_LEAF)
		return "it is neither branch nor leaf";
	if (lower < HEAD || lower % 2 != 0 || lower > upper || upper > size)
		return "its bounds are wrong";
	n = page_nodes(page);
	/* LMDB may leave its own trees an empty leaf, or one child */
	if (n == 0 && flags == P_BRANCH)
		return "it has no nodes";
	for (i = 0; i < n; i++)
		if ((what = node_wrong(page, i, size, &bytes)) != NULL)
			return what;
	if (bytes > size - upper)
		return "its nodes overlap";
	return NULL;
}

bool
page_ascends(const uint8_t *page)
{
	/* the first key of a branch says nothing */
	unsigned i, n = page_nodes(page), first = page_is_leaf(page) ? 0 : 1;
	struct page_node a, b;
	size_t len;
	int rc;

	if (n <= first)
		return true;
	page_node(page, first, &a);
	for (i = first + 1; i < n; i++, a = b) {
		page_node(page, i, &b);
		len = a.key_len < b.key_len ? a.key_len : b.key_len;
		rc = memcmp(a.key, b.key, len);
		if (rc > 0 || (rc == 0 && a.key_len >= b.key_len))
			return false;
	}
	return true;
}

/* --- the end of the file ------------------------------------------------ */

struct lost {
	MDB_txn *txn;
	MDB_cursor *cur;
	uint64_t from;
	uint64_t free;
};

static int
count_behind(void *arg)
{
	struct lost *l = arg;
	uint64_t n, i;
	MDB_val k, v;
	int rc;

	if (mdb_cursor_open(l->txn, 0, &l->cur) != MDB_SUCCESS)
		return 1;
	while ((rc = mdb_cursor_get(l->cur, &k, &v, MDB_NEXT)) == 0) {
		const uint8_t *p = v.mv_data;

		n = get64(p);
		if (v.mv_size < 8 || n > v.mv_size / 8 - 1)
			return 1;
		for (i = 1; i <= n && get64(p + 8 * i) >= l->from; i++)
			l->free++;
	}
	return rc == MDB_NOTFOUND ? 0 : 1;
}

bool
page_lost(struct store *s, uint64_t from)
{
	struct lost l = { .from = from };
	MDB_envinfo info;
	bool lost = true;
	struct store_txn t = { .s = s, .quiet = true };

	if (mdb_env_info(s->env, &info) != MDB_SUCCESS)
		return true;
	if (from > info.me_last_pgno)
		return false;
	if (mdb_txn_begin(s->env, NULL, MDB_RDONLY, &l.txn) != MDB_SUCCESS)
		return true;
	if (store_guard(&t, STORE__TABLES, 0, count_behind, &l) == 0)
		lost = l.free < info.me_last_pgno + 1 - from;
	if (l.cur != NULL)
		mdb_cursor_close(l.cur);
	mdb_txn_abort(l.txn);
	return lost;
}
