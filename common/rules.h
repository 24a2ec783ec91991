/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * rules - what an operator does not want said: etc/content.rules, compiled.
 *
 * A line a rule, # begins a comment:
 *
 *	flag     <name> [case] match  <regular expression>
 *	block    <name> [case] phrase <words>
 *	spam     <name>        link   <host or *>
 *	sanitize <name> [case] [with "<text>"] match|phrase|link ...
 *
 * Expressions are PCRE2's, in UTF, and case makes no difference unless the
 * rule says "case".  The rules are tried in the order of the file.
 */

#ifndef COMMON_RULES_H
#define COMMON_RULES_H

#include <stddef.h>
#include <stdint.h>

struct config_errors;
struct rules;

enum rule_verdict {
	/* delivered as it is, and counted */
	RULE_FLAG,
	/* what matches is replaced */
	RULE_SANITIZE,
	/* refused */
	RULE_BLOCK,
	/* refused as spam */
	RULE_SPAM,
	RULE__MAX,
};

/* Bytes of a name, and of the text that replaces. */
#define RULE_NAME_MAX 40
#define RULE_WITH_MAX 200
/* rules after their lines were put together */
#define RULES_MAX 1000

struct rule {
	enum rule_verdict verdict;
	char name[RULE_NAME_MAX + 1];
	/* SANITIZE */
	char with[RULE_WITH_MAX + 1];
	/* of its (first) line */
	unsigned line;
};

/*
 * Compile what a file holds.  NULL if something is wrong: 'errors' then has
 * "file:line: what is wrong, what would be right" for each.
 */
struct rules *rules_new(const char *file, const void *bytes, size_t len,
    struct config_errors *errors);
void rules_free(struct rules **r);

size_t rules_count(const struct rules *r);
const struct rule *rules_get(const struct rules *r, size_t i);

enum rule_result {
	RULE_MISS,
	RULE_HIT,
	/* it took more steps or memory than a rule may: not known */
	RULE_LIMIT,
};

/*
 * Look for rule i at or behind 'at' in a text of valid UTF-8; on RULE_HIT
 * *from_r and *to_r are what it matches, never nothing.  A text's first
 * search begins at 0: that and those that go on from there have one limit.
 */
enum rule_result rules_match(struct rules *r, size_t i, const char *text,
    size_t len, size_t at, size_t *from_r, size_t *to_r);

/* "flag", "sanitize", ... */
const char *rule_verdict_name(enum rule_verdict verdict);

#endif /* COMMON_RULES_H */
