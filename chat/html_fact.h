/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * html_fact - what an element and its attributes can do to a browser.
 */

#ifndef CHAT_HTML_FACT_H
#define CHAT_HTML_FACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* See tbl_html.h; ALWAYS of an attribute: whatever element has it. */
enum html_fact {
	HTML_ALWAYS = 1 << 0,
	HTML_URL = 1 << 1,
	HTML_LINK = 1 << 2,
	HTML_REL = 1 << 3,
	HTML_HTTP_EQUIV = 1 << 4,
	HTML_TARGET = 1 << 5,
	HTML_BACKGROUND = 1 << 6,
	HTML_SMIL = 1 << 7,
	HTML_MANIFEST = 1 << 8,
};

struct html_attribute {
	const char *name;
	size_t name_len;
	/* as it stands in the text, or (decoded) as a browser has it */
	const char *value;
	size_t value_len;
	bool decoded;
};

/* The facts with which an element is active; 0: with none of its own.  Names
 * are of any case. */
uint32_t html_element_facts(const char *name, size_t len);
/* What an attribute with a value that is not empty says. */
uint32_t html_attribute_facts(const struct html_attribute *a);
/* Of an element of this name with attributes of these facts. */
bool html_is_active(uint32_t element, uint32_t attributes);

/*
 * The next character of a value, behind '*p': character references are
 * decoded as far as they give ASCII; anything else is as good as any other
 * that is no ASCII.  -1 at the end.
 */
int html_next_char(const char **p, const char *end, bool decoded);

#endif /* CHAT_HTML_FACT_H */
