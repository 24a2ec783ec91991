/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * rules_line - a line of etc/content.rules, taken apart.
 */

#ifndef COMMON_RULES_LINE_H
#define COMMON_RULES_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/rules.h"

#define RULES_WHY_MAX 256
/* what is a part of a word, of ASCII */
#define RULES_WORD \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

enum rules_kind {
	RULES_MATCH,
	RULES_PHRASE,
	RULES_LINK,
	RULES_KIND__MAX,
};

struct rules_line {
	unsigned line;
	enum rule_verdict verdict;
	enum rules_kind kind;
	bool with_case;
	char name[RULE_NAME_MAX + 1];
	char with[RULE_WITH_MAX + 1];
	/* of malloc(); without blanks around */
	char *text;
};

enum rules_line_result {
	/* nothing, or a comment */
	RULES_LINE_EMPTY,
	RULES_LINE_RULE,
	/* 'why' is a sentence; nothing to clear */
	RULES_LINE_WRONG,
};

/* l->line is left alone. */
enum rules_line_result rules_line_read(struct rules_line *l, const char *p,
    size_t len, char why[RULES_WHY_MAX]);
void rules_line_clear(struct rules_line *l);

#endif /* COMMON_RULES_LINE_H */
