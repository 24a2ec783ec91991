/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * html_tree - the same question asked of gumbo's tree.
 *
 * It finds what only the building of a tree brings forth.  Gumbo follows the
 * rules of 2015, is not maintained, ends its process by an assertion for some
 * texts, and takes time and memory that grow with the square of a text's
 * depth; so it is a second opinion, asked only of texts that it can bear:
 * its assertions and more than some memory end the parsing, not the process.
 */

#ifndef CHAT_HTML_TREE_H
#define CHAT_HTML_TREE_H

#include <stddef.h>
#include <stdint.h>

/* texts with more bytes, or more '<', are not for gumbo */
#define HTML_TREE_BYTES (32 << 10)
#define HTML_TREE_TAGS 256

struct html_tree;

/* Ends the process if there is no memory. */
struct html_tree *html_tree_new(void);
void html_tree_free(struct html_tree **t);

/*
 * Where the active elements of a text with 'ntags' '<' begin, ascending;
 * valid until the next call.  None if it is not asked or gives up.
 */
const uint32_t *html_tree_judge(struct html_tree *t, const char *text,
    size_t len, size_t ntags, size_t *n_r);
/* How often gumbo gave up. */
uint64_t html_tree_failures(const struct html_tree *t);

#endif /* CHAT_HTML_TREE_H */
