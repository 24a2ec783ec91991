/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * config - what the operator asked for.
 *
 * Sources are applied from the weakest to the strongest, each over what was
 * there before; what they say is checked where it is said, so that an error
 * is found even if something stronger hides it.
 */

#include "common/config.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/config_reader.h"
#include "common/config_table.h"
#include "common/keys.h"
#include "common/nearest.h"

const struct config_row config_rows[CONFIG__MAX] = {
#define OPT(name, field, type, def, min, max, env, reload, help) \
	[CONFIG_##field] = { name, CONFIG_TYPE_##type, \
		offsetof(struct config, field), def, min, max, env, reload, \
		help },
#include "common/tbl_options.h"
};

/* What the reader's callbacks need. */
struct load {
	struct config *cfg;
	struct config_errors *errors;
	/* where each option was last set in which file, for duplicates */
	struct {
		unsigned unit, line;
	} seen[CONFIG__MAX];
	/* was given a value that it cannot have */
	bool refused[CONFIG__MAX];
};

/* ------------------------------------------------------------------ */
/* Errors. */

void
config_errors_add(struct config_errors *errors, const char *fmt, ...)
{
	struct strbuf sb = STRBUF_INIT;
	va_list ap;
	char **v;

	if (errors->n == CONFIG_MAX_ERRORS) {
		errors->more++;
		return;
	}
	v = reallocarray(errors->v, errors->n + 1, sizeof(*v));
	if (v == NULL)
		fatal("no memory for the configuration");
	errors->v = v;
	va_start(ap, fmt);
	sb_addv(&sb, fmt, ap);
	va_end(ap);
	v[errors->n++] = sb_steal(&sb);
}

void
config_wrong(const struct config *cfg, struct config_errors *errors,
    enum config_option opt, const char *fmt, ...)
{
	struct strbuf sb = STRBUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	sb_addv(&sb, fmt, ap);
	va_end(ap);
	config_errors_add(errors, "%s: %s: %s", cfg->where[opt],
	    config_rows[opt].name, sb.data);
	sb_clear(&sb);
}

void
config_errors_print(const struct config_errors *errors, FILE *fp)
{
	for (size_t i = 0; i < errors->n; i++)
		(void)fprintf(fp, "%s\n", errors->v[i]);
	if (errors->more > 0)
		(void)fprintf(fp, "and %zu more\n", errors->more);
}

void
config_errors_clear(struct config_errors *errors)
{
	for (size_t i = 0; i < errors->n; i++)
		free(errors->v[i]);
	free(errors->v);
	*errors = (struct config_errors){ .v = NULL };
}

/* ------------------------------------------------------------------ */
/* Names. */

enum config_option
config_find(const char *name)
{
	unsigned i;

	for (i = 0; i < CONFIG__MAX; i++)
		if (strcmp(config_rows[i].name, name) == 0)
			break;
	return (enum config_option)i;
}

/* The section that an option belongs to: a name in 'buf', "" for none. */
static const char *
section_of(const struct config_row *row, char *buf, size_t size)
{
	const char *dot = strchr(row->name, '.');
	size_t len = dot == NULL ? 0 : (size_t)(dot - row->name);

	CHECK(len < size);
	memcpy(buf, row->name, len);
	buf[len] = '\0';
	return buf;
}

static void
unknown_option(struct load *ld, const char *where, const char *name)
{
	const char *best, *dot;
	struct nearest near;

	nearest_init(&near, name);
	for (unsigned i = 0; i < CONFIG__MAX; i++)
		nearest_try(&near, config_rows[i].name);
	best = nearest_get(&near);
	/* "limits.listen", because a section had begun before it */
	if (best == NULL && (dot = strchr(name, '.')) != NULL &&
	    config_find(dot + 1) != CONFIG__MAX) {
		config_errors_add(ld->errors,
		    "%s: unknown option %s; %s has no section, put it above "
		    "the first one",
		    where, log_text(name, strlen(name)), dot + 1);
		return;
	}
	config_errors_add(ld->errors, "%s: unknown option %s%s%s%s", where,
	    log_text(name, strlen(name)),
	    best == NULL ? "; chatd.conf(5) lists them all" : "; did you mean ",
	    best == NULL ? "" : best, best == NULL ? "" : "?");
}

static void
apply(struct load *ld, const char *where, enum config_option opt,
    const struct config_items *items)
{
	struct strbuf why = STRBUF_INIT;

	if (config_set(ld->cfg, opt, items, &why) == 0)
		config_set_where(ld->cfg, opt, where);
	else {
		ld->refused[opt] = true;
		config_errors_add(ld->errors, "%s: %s: %s", where,
		    config_rows[opt].name, why.data);
	}
	sb_clear(&why);
}

/* ------------------------------------------------------------------ */
/* The file. */

static bool
on_section(void *arg, const struct config_place *at, struct strbuf *section)
{
	struct load *ld = arg;
	struct nearest near;
	char names[CONFIG__MAX][NEAREST_MAX_NAME];
	const char *name, *best;

	nearest_init(&near, section->data);
	for (unsigned i = 0; i < CONFIG__MAX; i++) {
		name = section_of(&config_rows[i], names[i], sizeof(names[i]));
		if (*name == '\0')
			continue;
		if (strcmp(name, section->data) == 0)
			return true;
		nearest_try(&near, name);
	}
	best = nearest_get(&near);
	config_errors_add(ld->errors, "%s:%u: unknown section [%s]%s%s%s",
	    at->file, at->line, log_text(section->data, section->len),
	    best == NULL ? "; chatd.conf(5) lists them all"
			 : "; did you mean [",
	    best == NULL ? "" : best, best == NULL ? "" : "]?");
	if (best == NULL)
		return false;
	sb_reset(section);
	sb_adds(section, best);
	return true;
}

static void
on_option(void *arg, const struct config_place *at, unsigned unit,
    const char *section, const char *name, const struct config_items *items)
{
	struct load *ld = arg;
	struct strbuf full = STRBUF_INIT, where = STRBUF_INIT;
	enum config_option opt;

	/* a dotted name means the same everywhere */
	if (*section != '\0' && strchr(name, '.') == NULL)
		sb_addf(&full, "%s.", section);
	sb_adds(&full, name);
	sb_addf(&where, "%s:%u", at->file, at->line);
	opt = config_find(full.data);
	if (opt == CONFIG__MAX)
		unknown_option(ld, where.data, full.data);
	else if (ld->seen[opt].line != 0 && ld->seen[opt].unit == unit)
		config_errors_add(ld->errors,
		    "%s: %s was set in line %u already; keep one of the two",
		    where.data, full.data, ld->seen[opt].line);
	else {
		ld->seen[opt].unit = unit;
		ld->seen[opt].line = at->line;
		apply(ld, where.data, opt, items);
	}
	sb_clear(&full);
	sb_clear(&where);
}

/* ------------------------------------------------------------------ */
/* Environment and command line. */

static void
split_commas(const char *s, struct config_items *items)
{
	size_t len, end;

	for (;;) {
		s += strspn(s, " \t");
		len = end = strcspn(s, ",");
		while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t'))
			len--;
		config_items_add(items, s, len);
		if (s[end] == '\0')
			return;
		s += end + 1;
	}
}

/*
 * A value from a shell: that has dealt with quotes and blanks, so the text
 * is taken as it stands, unless it begins with a quote of ours.
 */
static int
shell_value(enum config_option opt, const char *s, struct config_items *items,
    const char **why_r)
{
	*items = (struct config_items){ NULL, 0 };
	for (const char *p = s; *p != '\0'; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f) {
			*why_r = "the value holds a byte that is not text";
			return -1;
		}
	}
	if (*s == '"')
		return config_read_value(s, s + strlen(s), items, why_r);
	if (*s == '\0')
		return 0;
	if (config_rows[opt].type == CONFIG_TYPE_LIST)
		split_commas(s, items);
	else
		config_items_add(items, s, strlen(s));
	return 0;
}

static void
apply_text(struct load *ld, const char *where, enum config_option opt,
    const char *value)
{
	struct config_items items;
	const char *why;

	if (shell_value(opt, value, &items, &why) == 0)
		apply(ld, where, opt, &items);
	else
		config_errors_add(ld->errors, "%s: %s: %s", where,
		    config_rows[opt].name, why);
	config_items_clear(&items);
}

static const char *
find_env(char *const *env, const char *name)
{
	size_t len = strlen(name);

	for (; *env != NULL; env++)
		if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
			return *env + len + 1;
	return NULL;
}

static void
apply_env(struct load *ld, char *const *env)
{
	struct strbuf where = STRBUF_INIT, all = STRBUF_INIT;
	const struct config_row *row;
	const char *value;

	for (unsigned i = 0; i < CONFIG__MAX; i++) {
		row = &config_rows[i];
		if (row->env == NULL)
			continue;
		/* an empty variable is how scripts say that it is not set */
		value = find_env(env, row->env);
		if (value == NULL || *value == '\0')
			continue;
		sb_reset(&where);
		sb_addf(&where, "environment %s", row->env);
		/* SOCKET_PORT is only the port */
		if (i == CONFIG_listen) {
			sb_addf(&all, "0.0.0.0:%s", value);
			value = all.data;
		}
		apply_text(ld, where.data, (enum config_option)i, value);
	}
	sb_clear(&where);
	sb_clear(&all);
}

static void
apply_override(struct load *ld, const char *text)
{
	const char *eq = strchr(text, '=');
	struct strbuf name = STRBUF_INIT;
	enum config_option opt;

	if (eq == NULL || eq == text) {
		config_errors_add(ld->errors, "-o: %s is not option=value",
		    log_text(text, strlen(text)));
		return;
	}
	sb_add(&name, text, (size_t)(eq - text));
	while (name.len > 0 && name.data[name.len - 1] == ' ')
		sb_truncate(&name, name.len - 1);
	eq += 1 + strspn(eq + 1, " ");
	opt = config_find(name.data);
	if (opt == CONFIG__MAX)
		unknown_option(ld, "-o", name.data);
	else
		apply_text(ld, "-o", opt, eq);
	sb_clear(&name);
}

/* ------------------------------------------------------------------ */
/* All of it. */

struct config *
config_new(void)
{
	struct config_items items = { NULL, 0 };
	struct strbuf why = STRBUF_INIT;
	const char *sentence;
	struct config *cfg;

	if ((cfg = calloc(1, sizeof(*cfg))) == NULL)
		fatal("no memory for the configuration");
	for (unsigned i = 0; i < CONFIG__MAX; i++) {
		CHECK(shell_value((enum config_option)i, config_rows[i].def,
			  &items, &sentence) == 0);
		/* a default that is out of its own range */
		CHECK(
		    config_set(cfg, (enum config_option)i, &items, &why) == 0);
		config_set_where(cfg, (enum config_option)i, "default");
		config_items_clear(&items);
	}
	sb_clear(&why);
	return cfg;
}

struct config *
config_load(const struct config_source *src, struct config_errors *errors)
{
	struct load ld = { .errors = errors };
	struct config_reader rd = { .errors = errors,
		.section = on_section,
		.option = on_option,
		.arg = &ld };

	*errors = (struct config_errors){ .v = NULL };
	ld.cfg = config_new();
	if (src->text != NULL)
		config_read_text(&rd, src->file == NULL ? "text" : src->file,
		    src->text, src->text_len);
	else if (src->file != NULL)
		config_read_file(&rd, src->file, src->file_required);
	if (src->env != NULL)
		apply_env(&ld, src->env);
	for (size_t i = 0; i < src->noverrides; i++)
		apply_override(&ld, src->overrides[i]);
	config_check(ld.cfg, ld.refused, src->without_files, errors);
	if (errors->n > 0)
		config_free(&ld.cfg);
	return ld.cfg;
}

void
config_free(struct config **cfgp)
{
	struct config *cfg = *cfgp;

	*cfgp = NULL;
	if (cfg == NULL)
		return;
	for (unsigned i = 0; i < CONFIG__MAX; i++)
		config_clear(cfg, (enum config_option)i);
	config_undo(cfg);
	if (cfg->auth_secret != NULL)
		explicit_bzero(cfg->auth_secret, cfg->auth_secret_len);
	free(cfg->auth_secret);
	/* a set of keys may hold secrets */
	for (unsigned i = 0; i < CONFIG_BLOB__MAX; i++) {
		if (cfg->blob[i].p != NULL)
			explicit_bzero(cfg->blob[i].p, cfg->blob[i].len);
		free(cfg->blob[i].p);
	}
	keys_free(&cfg->keys);
	free(cfg);
}
