/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * config_table - the options as data; for the files config*.c only.
 */

#ifndef COMMON_CONFIG_TABLE_H
#define COMMON_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/strbuf.h"

enum config_type {
	CONFIG_TYPE_STRING,
	CONFIG_TYPE_LIST,
	CONFIG_TYPE_DURATION,
	CONFIG_TYPE_SIZE,
	CONFIG_TYPE_COUNT,
	CONFIG_TYPE_BOOL,
	CONFIG_TYPE_LOG_LEVEL,
	CONFIG_TYPE_LOG_FORMAT,
	CONFIG_TYPE_AUTH_MODE,
	CONFIG_TYPE_CONTENT_HTML,
	CONFIG_TYPE__MAX,
};

/* One row of tbl_options.h. */
struct config_row {
	const char *name;
	enum config_type type;
	/* where in struct config */
	size_t offset;
	const char *def;
	uint64_t min, max;
	const char *env;
	bool reloadable;
	const char *help;
};

extern const struct config_row config_rows[CONFIG__MAX];

/* What one option was given: parts between commas, without quotes. */
struct config_items {
	char **v;
	size_t n;
};

/* Takes over nothing; 'len' bytes that hold no NUL. */
void config_items_add(struct config_items *items, const char *s, size_t len);
void config_items_clear(struct config_items *items);

/* CONFIG__MAX when there is no such option. */
enum config_option config_find(const char *name);

/*
 * Give an option a value.  -1 and a sentence in *why (a reset buffer) when
 * it cannot have that one; the option is then as before.
 */
int config_set(struct config *cfg, enum config_option opt,
    const struct config_items *items, struct strbuf *why);
void config_set_where(struct config *cfg, enum config_option opt,
    const char *where);

/* Free what an option holds. */
void config_clear(struct config *cfg, enum config_option opt);

/* The values of an enum's type, one after the other; NULL behind the last. */
const char *config_enum_name(enum config_type type, unsigned i);

/* The value as it would stand in a file. */
void config_value(const struct config *cfg, enum config_option opt,
    struct strbuf *sb);
/* A number of this option, with the largest unit that fits. */
void config_number(const struct config_row *row, uint64_t v, struct strbuf *sb);
/* One part of it, quoted if it has to be. */
void config_quote(struct strbuf *sb, const char *s);

/* Everything at its default, nothing read and nothing checked yet. */
struct config *config_new(void);

/* "where: option: what is wrong". */
void config_wrong(const struct config *cfg, struct config_errors *errors,
    enum config_option opt, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/*
 * config_derive.c: fill the parts of *cfg that are made from options alone,
 * in every process.  0 or -1; config_undo() frees them.
 */
int config_derive(struct config *cfg, struct config_errors *errors);
void config_undo(struct config *cfg);

/*
 * config_keys.c: fill cfg->keys from the contents of files.  0 or -1;
 * config_free() frees them.
 */
int config_keys(struct config *cfg, struct config_errors *errors);

/*
 * config_check.c: what single values do not show; derives, too.  'refused'
 * tells which options were given a value that they cannot have: what would
 * follow from that is not told.
 */
void config_check(struct config *cfg, const bool refused[CONFIG__MAX],
    bool without_files, struct config_errors *errors);

#endif /* COMMON_CONFIG_TABLE_H */
