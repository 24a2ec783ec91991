/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * page - the pages of LMDB's file, looked at without LMDB.
 *
 * For the files of store/ only.  This is data format 1 of LMDB 0.9 on
 * little-endian machines with 64 bits; elsewhere nothing is found wrong.
 */

#ifndef STORE_PAGE_H
#define STORE_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/env.h"

#define PAGE_MAX 65536
#define PAGE_NONE UINT64_MAX

/* The root of a tree, as it is in the file. */
struct page_tree {
	uint32_t pad;
	uint16_t flags;
	uint16_t depth;
	uint64_t branches;
	uint64_t leaves;
	uint64_t overflows;
	uint64_t entries;
	uint64_t root;
};

/* A meta page. */
struct page_meta {
	uint32_t magic;
	uint32_t version;
	uint64_t address;
	uint64_t map_bytes;
	/* what is free, and the tables */
	struct page_tree tree[2];
	uint64_t last;
	uint64_t txn;
};

/*
 * Both meta pages of a file, the newer one into *meta_r and the size of a
 * page into *size_r: 0; or EUCLEAN with *what_r, a sentence without its
 * subject; EPROTO: of another version; ENODATA: the file is empty; or the
 * errno of reading it.  What the older one says of its trees is not asked.
 */
int page_metas(int fd, struct page_meta *meta_r, size_t *size_r,
    const char **what_r);

/* NULL, or what is wrong with a copy of a branch or leaf page. */
const char *page_wrong(const uint8_t *page, uint64_t number, size_t size);

/*
 * Do the keys of such a page ascend, byte by byte?  Those of our tables do;
 * LMDB's list of free pages has numbers.
 */
bool page_ascends(const uint8_t *page);

/* One node of a page that is not wrong. */
struct page_node {
	const uint8_t *key;
	size_t key_len;
	/* of a leaf */
	const uint8_t *data;
	size_t data_len;
	bool big;
	bool tree;
	/* of a branch, or where big data is */
	uint64_t page;
};

unsigned page_nodes(const uint8_t *page);
bool page_is_leaf(const uint8_t *page);
void page_node(const uint8_t *page, unsigned i, struct page_node *n_r);

/* Is this a leaf of that number, and is its i-th node at 'at'? */
bool page_leaf_has(const uint8_t *page, uint64_t number, unsigned i, size_t at);

/* Is 'page' the first of 'n' overflow pages? */
bool page_is_overflow(const uint8_t *page, uint64_t number, uint64_t n);

/*
 * Are the list of free pages and the list of tables what they must be, so
 * that nothing is given out twice or outside of the file?  They are in each
 * transaction's way.  NULL or what is wrong; of check_pages.c.
 */
const char *page_own_wrong(struct store_txn *t);

/* Is one of the pages from 'from' on in use?  The file ends there. */
bool page_lost(struct store *s, uint64_t from);

#endif /* STORE_PAGE_H */
