/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * html - which tags a browser would execute, or load something for.
 *
 * What a browser makes of a '<' depends on where it stands: in a comment, in
 * an attribute, in a <select>, in SVG, behind a <plaintext>; and that is not
 * known here, nor is the page around it.  But what it makes a tag of always
 * begins with '<' and a letter, and is read from there by the same rules.
 * So every such place is read as a tag, wherever it stands and whatever
 * another tag makes of it: no context can bring forth a tag that was not
 * looked at.  Gumbo's tree is asked as well (html_tree.h).
 */

#ifndef CHAT_HTML_H
#define CHAT_HTML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longer texts are not judged: all their tags are active. */
#define HTML_MAX (16 << 20)

/* From its '<' to behind its '>', or to the end of the text. */
struct html_tag {
	uint32_t from, to;
};

/* Memory that is used again. */
struct html;

/* Ends the process if there is no memory, as all here. */
struct html *html_new(void);
void html_free(struct html **h);

/*
 * The active tags of a text in UTF-8 (of HTML_MAX bytes at most), by where
 * they begin; they may overlap.  Valid until the next call.  Takes time
 * proportional to the text's length, whatever stands in it.
 */
const struct html_tag *html_judge(struct html *h, const char *text, size_t len,
    size_t *n_r);
/* All that may begin a tag, active or not. */
const struct html_tag *html_all(struct html *h, const char *text, size_t len,
    size_t *n_r);

#endif /* CHAT_HTML_H */
