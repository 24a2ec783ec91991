/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * config_print - options for people: chatd -T, what a reload changes, the
 * sample file and the manual.
 */

#include "common/config.h"

#include <string.h>

#include "common/config_table.h"

#define WIDTH 78

void
config_each(const struct config *cfg, config_each_fn fn, void *arg)
{
	struct strbuf sb = STRBUF_INIT;

	for (unsigned i = 0; i < CONFIG__MAX; i++) {
		sb_reset(&sb);
		config_value(cfg, (enum config_option)i, &sb);
		fn(config_rows[i].name, sb.data, cfg->where[i], arg);
	}
	sb_clear(&sb);
}

static void
dump_one(const char *name, const char *value, const char *where, void *arg)
{
	int n = fprintf(arg, "%s = %s", name, value);

	(void)fprintf(arg, "%*s # %s%s\n", n > 0 && n < 44 ? 44 - n : 0, "",
	    strcmp(where, "default") == 0 ? "" : "from ", where);
}

void
config_dump(const struct config *cfg, FILE *fp)
{
	config_each(cfg, dump_one, fp);
}

static bool
same_secret(const struct config *a, const struct config *b)
{
	return a->auth_secret_len == b->auth_secret_len &&
	    (a->auth_secret_len == 0 ||
		memcmp(a->auth_secret, b->auth_secret, a->auth_secret_len) ==
		    0);
}

/* Is what the files say the same? */
static bool
same_files(const struct config *a, const struct config *b,
    enum config_option opt)
{
	static const enum config_option named[CONFIG_BLOB__MAX] = {
		[CONFIG_BLOB_KEYS] = CONFIG_auth_key_file,
		[CONFIG_BLOB_JWKS] = CONFIG_auth_jwks_file,
		[CONFIG_BLOB_RULES] = CONFIG_content_rules,
	};
	unsigned i;

	if (opt == CONFIG_auth_secret_file)
		return same_secret(a, b);
	for (i = 0; i < CONFIG_BLOB__MAX && named[i] != opt; i++)
		;
	return i == CONFIG_BLOB__MAX ||
	    (a->blob[i].len == b->blob[i].len &&
		(a->blob[i].len == 0 ||
		    memcmp(a->blob[i].p, b->blob[i].p, a->blob[i].len) == 0));
}

size_t
config_diff(const struct config *old_cfg, const struct config *new_cfg,
    config_diff_fn fn, void *arg)
{
	struct strbuf a = STRBUF_INIT, b = STRBUF_INIT;
	size_t refused = 0;
	bool same;

	for (unsigned i = 0; i < CONFIG__MAX; i++) {
		sb_reset(&a);
		sb_reset(&b);
		config_value(old_cfg, (enum config_option)i, &a);
		config_value(new_cfg, (enum config_option)i, &b);
		same = strcmp(a.data, b.data) == 0;
		same =
		    same && same_files(old_cfg, new_cfg, (enum config_option)i);
		if (same)
			continue;
		if (!config_rows[i].reloadable)
			refused++;
		if (fn != NULL)
			fn(config_rows[i].name, a.data, b.data,
			    config_rows[i].reloadable, arg);
	}
	sb_clear(&a);
	sb_clear(&b);
	return refused;
}

/* ------------------------------------------------------------------ */
/* The sample file. */

static void
print_wrapped(FILE *fp, const char *prefix, const char *text)
{
	size_t column = 0, len;

	while (*text != '\0') {
		len = strcspn(text, " ");
		if (column > 0 && column + 1 + len > WIDTH) {
			(void)fputc('\n', fp);
			column = 0;
		}
		if (column == 0)
			column = (size_t)fprintf(fp, "%s", prefix);
		else
			column += (size_t)fprintf(fp, " ");
		column += (size_t)fprintf(fp, "%.*s", (int)len, text);
		text += len;
		text += strspn(text, " ");
	}
	(void)fputc('\n', fp);
}

/* What is allowed, if numbers say it. */
static bool
range_text(const struct config_row *row, struct strbuf *sb)
{
	sb_reset(sb);
	switch (row->type) {
	case CONFIG_TYPE_DURATION:
	case CONFIG_TYPE_SIZE:
	case CONFIG_TYPE_COUNT:
		config_number(row, row->min, sb);
		sb_adds(sb, " to ");
		config_number(row, row->max, sb);
		return true;
	case CONFIG_TYPE_STRING:
	case CONFIG_TYPE_LIST:
	case CONFIG_TYPE_BOOL:
	case CONFIG_TYPE_LOG_LEVEL:
	case CONFIG_TYPE_LOG_FORMAT:
	case CONFIG_TYPE_AUTH_MODE:
	case CONFIG_TYPE_CONTENT_HTML:
	case CONFIG_TYPE__MAX:
		break;
	}
	return false;
}

void
config_sample(FILE *fp)
{
	struct strbuf sb = STRBUF_INIT;
	struct config *cfg = config_new();
	const struct config_row *row;

	(void)fputs("# chatd.conf - configuration of chatd; see "
		    "chatd.conf(5).\n"
		    "#\n"
		    "# Every option with its default.  0 switches a limit "
		    "off.  chatd -t checks\n"
		    "# this file, chatd -T shows what is in force, and "
		    "chatctl reload applies it.\n",
	    fp);
	for (unsigned i = 0; i < CONFIG__MAX; i++) {
		row = &config_rows[i];
		(void)fputc('\n', fp);
		print_wrapped(fp, "# ", row->help);
		sb_reset(&sb);
		config_value(cfg, (enum config_option)i, &sb);
		(void)fprintf(fp, "#%s =%s%s\n", row->name,
		    sb.len > 0 ? " " : "", sb.data);
	}
	sb_clear(&sb);
	config_free(&cfg);
}

/* ------------------------------------------------------------------ */
/* The manual. */

/* One word, so that mdoc finds nothing to interpret in it. */
static size_t
print_word(FILE *fp, const char *word, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (word[i] == '\\')
			(void)fputs("\\e", fp);
		else if (word[i] == '-')
			(void)fputs("\\-", fp);
		else
			(void)fputc(word[i], fp);
	}
	return len;
}

/* Each sentence begins a line, as mdoc wants it. */
static void
print_mdoc(FILE *fp, const char *text)
{
	size_t column = 0, len, blanks;

	while (*text != '\0') {
		len = strcspn(text, " ");
		if (column > 0 && column + 1 + len > WIDTH) {
			(void)fputc('\n', fp);
			column = 0;
		}
		if (column > 0)
			column += (size_t)fprintf(fp, " ");
		column += print_word(fp, text, len);
		text += len;
		blanks = strspn(text, " ");
		text += blanks;
		if (blanks > 1) {
			(void)fputc('\n', fp);
			column = 0;
		}
	}
	(void)fputc('\n', fp);
}

static void
print_default(FILE *fp, const struct config_row *row, const char *value)
{
	if (*value == '\0' || strcmp(value, "\"\"") == 0)
		(void)fputs("Not set by default.\n", fp);
	else
		(void)fprintf(fp, "The default is\n.Ql %s .\n", value);
	if (row->env == NULL)
		return;
	(void)fprintf(fp, "Also set by\n.Ev %s", row->env);
	/* what config.c makes of it */
	if (strcmp(row->name, "listen") == 0)
		(void)fputs(" ,\nthe port on all addresses", fp);
	else
		(void)fputs(" ", fp);
	(void)fputs(".\n", fp);
}

void
config_manual(FILE *fp)
{
	static const char *const kinds[] = {
		[CONFIG_TYPE_STRING] = "text",
		[CONFIG_TYPE_LIST] = "list",
		[CONFIG_TYPE_DURATION] = "duration",
		[CONFIG_TYPE_SIZE] = "size",
		[CONFIG_TYPE_COUNT] = "number",
		[CONFIG_TYPE_BOOL] = "on | off",
		[CONFIG_TYPE_LOG_LEVEL] = "level",
		[CONFIG_TYPE_LOG_FORMAT] = "format",
		[CONFIG_TYPE_AUTH_MODE] = "mode",
		[CONFIG_TYPE_CONTENT_HTML] = "treatment",
	};
	struct strbuf sb = STRBUF_INIT;
	struct config *cfg = config_new();
	const struct config_row *row;

	(void)fputs(".Bl -tag -width Ds\n", fp);
	for (unsigned i = 0; i < CONFIG__MAX; i++) {
		row = &config_rows[i];
		(void)fprintf(fp, ".It Ic %s No = Ar %s\n", row->name,
		    kinds[row->type]);
		print_mdoc(fp, row->help);
		if (range_text(row, &sb))
			(void)fprintf(fp, "From %s.\n", sb.data);
		sb_reset(&sb);
		config_value(cfg, (enum config_option)i, &sb);
		print_default(fp, row, sb.data);
		if (!row->reloadable)
			(void)fputs("A reload cannot change it.\n", fp);
	}
	(void)fputs(".El\n", fp);
	sb_clear(&sb);
	config_free(&cfg);
}
