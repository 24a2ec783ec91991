/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * config_value - one option: from text to its field and back.
 */

#include "common/config_table.h"

#include <stdlib.h>
#include <string.h>

#include "common/nearest.h"
#include "common/utf8.h"

struct unit {
	const char *name;
	uint64_t factor;
};

/* the largest first */
static const struct unit duration_units[] = {
	{ "d", 86400000 },
	{ "h", 3600000 },
	{ "m", 60000 },
	{ "s", 1000 },
	{ "ms", 1 },
	{ NULL, 0 },
};

static const struct unit size_units[] = {
	{ "g", 1024 * 1024 * 1024 },
	{ "m", 1024 * 1024 },
	{ "k", 1024 },
	{ "", 1 },
	{ NULL, 0 },
};

static const char *const log_formats[] = {
	[LOG_FORMAT_TEXT] = "text",
	[LOG_FORMAT_LOGFMT] = "logfmt",
	[LOG_FORMAT_JSON] = "json",
	[LOG_FORMAT__MAX] = NULL,
};

static const char *const auth_modes[] = {
	[AUTH_MODE_NONE] = "none",
	[AUTH_MODE_JWT] = "jwt",
	[AUTH_MODE_WEBHOOK] = "webhook",
	[AUTH_MODE__MAX] = NULL,
};

static const char *const content_htmls[] = {
	[CONTENT_HTML_INERT] = "inert",
	[CONTENT_HTML_STRIP] = "strip",
	[CONTENT_HTML_REJECT] = "reject",
	[CONTENT_HTML_ALLOW] = "allow",
	[CONTENT_HTML__MAX] = NULL,
};

/* by their value and by its other names */
static const struct {
	const char *name;
	bool value;
} bools[] = {
	{ "off", false },
	{ "on", true },
	{ "no", false },
	{ "yes", true },
	{ "false", false },
	{ "true", true },
	{ "0", false },
	{ "1", true },
};

static void *
field(const struct config *cfg, enum config_option opt)
{
	return (char *)(uintptr_t)cfg + config_rows[opt].offset;
}

const char *
config_enum_name(enum config_type type, unsigned i)
{
	switch (type) {
	case CONFIG_TYPE_LOG_LEVEL:
		return log_level_name((enum log_level)i);
	case CONFIG_TYPE_LOG_FORMAT:
		return i < LOG_FORMAT__MAX ? log_formats[i] : NULL;
	case CONFIG_TYPE_AUTH_MODE:
		return i < AUTH_MODE__MAX ? auth_modes[i] : NULL;
	case CONFIG_TYPE_CONTENT_HTML:
		return i < CONTENT_HTML__MAX ? content_htmls[i] : NULL;
	case CONFIG_TYPE_STRING:
	case CONFIG_TYPE_LIST:
	case CONFIG_TYPE_DURATION:
	case CONFIG_TYPE_SIZE:
	case CONFIG_TYPE_COUNT:
	case CONFIG_TYPE_BOOL:
	case CONFIG_TYPE__MAX:
		break;
	}
	return NULL;
}

/* ------------------------------------------------------------------ */
/* From text. */

/* Digits at the start; *end_r is behind them.  -1: none, or too many. */
static int
parse_number(const char *s, uint64_t *v_r, const char **end_r)
{
	uint64_t v = 0;
	const char *p = s;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (v > (UINT64_MAX - 9) / 10)
			return -1;
		v = v * 10 + (uint64_t)(*p - '0');
	}
	if (p == s)
		return -1;
	*v_r = v;
	*end_r = p;
	return 0;
}

static void
add_scaled(struct strbuf *sb, uint64_t v, const struct unit *units)
{
	const struct unit *u = units;

	if (v == 0) {
		sb_addc(sb, '0');
		return;
	}
	while (v % u->factor != 0)
		u++;
	sb_addf(sb, "%llu%s", (unsigned long long)(v / u->factor), u->name);
}

static void
say_range(struct strbuf *why, const struct config_row *row, const char *s)
{
	sb_addf(why, "%s is out of range; it is from ", log_text(s, strlen(s)));
	config_number(row, row->min, why);
	sb_adds(why, " to ");
	config_number(row, row->max, why);
}

/* 'units' is NULL for a plain number. */
static int
parse_scaled(const struct config_row *row, const char *s,
    const struct unit *units, uint64_t *v_r, struct strbuf *why)
{
	const struct unit *u = units;
	const char *unit;
	uint64_t v;

	if (parse_number(s, &v, &unit) == -1) {
		if (*s >= '0' && *s <= '9')
			say_range(why, row, s);
		else
			sb_addf(why, "%s is not a number%s",
			    log_text(s, strlen(s)),
			    units == NULL ? "" : " with a unit");
		return -1;
	}
	if (units == NULL && *unit != '\0') {
		sb_addf(why, "%s is not a whole number",
		    log_text(s, strlen(s)));
		return -1;
	}
	if (units != NULL && !(v == 0 && *unit == '\0')) {
		while (u->name != NULL && strcasecmp(u->name, unit) != 0)
			u++;
		if (u->name == NULL) {
			sb_addf(why, "%s has %s; ", log_text(s, strlen(s)),
			    *unit == '\0' ? "no unit" : "an unknown unit");
			sb_adds(why,
			    units == duration_units
				? "a duration is a whole number and ms, s, "
				  "m, h or d"
				: "a size is a whole number, and k, m or g "
				  "or nothing");
			return -1;
		}
		if (v > UINT64_MAX / u->factor)
			v = UINT64_MAX;
		else
			v *= u->factor;
	}
	if (v < row->min || v > row->max) {
		say_range(why, row, s);
		return -1;
	}
	*v_r = v;
	return 0;
}

static int
parse_enum(const struct config_row *row, const char *s, unsigned *v_r,
    struct strbuf *why)
{
	const char *name, *best;
	struct nearest near;
	unsigned i;

	nearest_init(&near, s);
	for (i = 0; (name = config_enum_name(row->type, i)) != NULL; i++) {
		if (strcmp(name, s) == 0) {
			*v_r = i;
			return 0;
		}
		nearest_try(&near, name);
	}
	sb_addf(why, "%s is unknown; it is one of", log_text(s, strlen(s)));
	for (i = 0; (name = config_enum_name(row->type, i)) != NULL; i++)
		sb_addf(why, "%s %s", i == 0 ? "" : ",", name);
	if ((best = nearest_get(&near)) != NULL)
		sb_addf(why, "; did you mean %s?", best);
	return -1;
}

static int
parse_bool(const char *s, bool *v_r, struct strbuf *why)
{
	for (size_t i = 0; i < sizeof(bools) / sizeof(bools[0]); i++) {
		if (strcmp(bools[i].name, s) == 0) {
			*v_r = bools[i].value;
			return 0;
		}
	}
	sb_addf(why, "%s is neither on nor off", log_text(s, strlen(s)));
	return -1;
}

static int
check_length(const struct config_row *row, size_t len, struct strbuf *why)
{
	if (len < row->min)
		sb_adds(why, "must not be empty");
	else if (len > row->max)
		sb_addf(why, "%zu bytes are too long; at most %llu", len,
		    (unsigned long long)row->max);
	else
		return 0;
	return -1;
}

static char *
copy(const char *s)
{
	char *p = strdup(s);

	if (p == NULL)
		fatal("no memory for the configuration");
	return p;
}

static void
list_clear(struct config_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->v[i]);
	free(list->v);
	*list = (struct config_list){ NULL, 0 };
}

static int
set_list(const struct config_row *row, struct config_list *list,
    const struct config_items *items, struct strbuf *why)
{
	size_t len = 0;

	for (size_t i = 0; i < items->n; i++) {
		if (items->v[i][0] == '\0') {
			sb_adds(why, "a part of the list is empty");
			return -1;
		}
		len += strlen(items->v[i]);
	}
	if (check_length(row, len, why) == -1)
		return -1;
	list_clear(list);
	if (items->n == 0)
		return 0;
	if ((list->v = calloc(items->n, sizeof(*list->v))) == NULL)
		fatal("no memory for the configuration");
	for (size_t i = 0; i < items->n; i++)
		list->v[list->n++] = copy(items->v[i]);
	return 0;
}

static int
set_string(const struct config_row *row, char **p, const char *s,
    struct strbuf *why)
{
	if (check_length(row, strlen(s), why) == -1)
		return -1;
	free(*p);
	*p = copy(s);
	return 0;
}

static int
set_scalar(const struct config_row *row, void *p, const char *s,
    struct strbuf *why)
{
	uint64_t v;
	unsigned e;

	switch (row->type) {
	case CONFIG_TYPE_STRING:
		return set_string(row, p, s, why);
	case CONFIG_TYPE_DURATION:
		return parse_scaled(row, s, duration_units, p, why);
	case CONFIG_TYPE_SIZE:
		return parse_scaled(row, s, size_units, p, why);
	case CONFIG_TYPE_COUNT:
		if (parse_scaled(row, s, NULL, &v, why) == -1)
			return -1;
		*(uint32_t *)p = (uint32_t)v;
		return 0;
	case CONFIG_TYPE_BOOL:
		return parse_bool(s, p, why);
	case CONFIG_TYPE_LOG_LEVEL:
	case CONFIG_TYPE_LOG_FORMAT:
	case CONFIG_TYPE_AUTH_MODE:
	case CONFIG_TYPE_CONTENT_HTML:
		if (parse_enum(row, s, &e, why) == -1)
			return -1;
		/* an enum without negative values is an unsigned int */
		memcpy(p, &e, sizeof(e));
		return 0;
	case CONFIG_TYPE_LIST:
	case CONFIG_TYPE__MAX:
		break;
	}
	CHECK(!"a type without a parser");
	return -1;
}

_Static_assert(sizeof(enum log_level) == sizeof(unsigned) &&
	sizeof(enum log_format) == sizeof(unsigned) &&
	sizeof(enum auth_mode) == sizeof(unsigned) &&
	sizeof(enum content_html) == sizeof(unsigned),
    "set_scalar writes an unsigned int");

int
config_set(struct config *cfg, enum config_option opt,
    const struct config_items *items, struct strbuf *why)
{
	const struct config_row *row = &config_rows[opt];

	/* it is shown by those who write JSON */
	for (size_t i = 0; i < items->n; i++) {
		if (!utf8_valid(items->v[i], strlen(items->v[i]))) {
			sb_adds(why, "the value is not UTF-8");
			return -1;
		}
	}
	if (row->type == CONFIG_TYPE_LIST)
		return set_list(row, field(cfg, opt), items, why);
	if (items->n > 1) {
		sb_adds(why,
		    "only one value is possible; if the comma "
		    "belongs to it put it in double quotes");
		return -1;
	}
	if (items->n == 0 && row->type != CONFIG_TYPE_STRING) {
		sb_adds(why, "the value is missing");
		return -1;
	}
	return set_scalar(row, field(cfg, opt),
	    items->n == 0 ? "" : items->v[0], why);
}

void
config_clear(struct config *cfg, enum config_option opt)
{
	void *p = field(cfg, opt);

	if (config_rows[opt].type == CONFIG_TYPE_STRING) {
		free(*(char **)p);
		*(char **)p = NULL;
	} else if (config_rows[opt].type == CONFIG_TYPE_LIST)
		list_clear(p);
	free(cfg->where[opt]);
	cfg->where[opt] = NULL;
}

void
config_set_where(struct config *cfg, enum config_option opt, const char *where)
{
	char *old = cfg->where[opt];

	cfg->where[opt] = copy(where);
	free(old);
}

/* ------------------------------------------------------------------ */
/* To text. */

void
config_quote(struct strbuf *sb, const char *s)
{
	if (*s != '\0' && strpbrk(s, " \t,#\"\\") == NULL) {
		sb_adds(sb, s);
		return;
	}
	sb_addc(sb, '"');
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			sb_addc(sb, '\\');
		sb_addc(sb, *s);
	}
	sb_addc(sb, '"');
}

void
config_number(const struct config_row *row, uint64_t v, struct strbuf *sb)
{
	if (row->type == CONFIG_TYPE_DURATION)
		add_scaled(sb, v, duration_units);
	else if (row->type == CONFIG_TYPE_SIZE)
		add_scaled(sb, v, size_units);
	else
		sb_addf(sb, "%llu", (unsigned long long)v);
}

void
config_value(const struct config *cfg, enum config_option opt,
    struct strbuf *sb)
{
	const struct config_row *row = &config_rows[opt];
	const void *p = field(cfg, opt);
	const struct config_list *list;
	unsigned e;

	switch (row->type) {
	case CONFIG_TYPE_STRING:
		config_quote(sb, *(char *const *)p);
		break;
	case CONFIG_TYPE_LIST:
		list = p;
		for (size_t i = 0; i < list->n; i++) {
			sb_adds(sb, i == 0 ? "" : ", ");
			config_quote(sb, list->v[i]);
		}
		break;
	case CONFIG_TYPE_DURATION:
	case CONFIG_TYPE_SIZE:
		config_number(row, *(const uint64_t *)p, sb);
		break;
	case CONFIG_TYPE_COUNT:
		config_number(row, *(const uint32_t *)p, sb);
		break;
	case CONFIG_TYPE_BOOL:
		sb_adds(sb, bools[*(const bool *)p ? 1 : 0].name);
		break;
	case CONFIG_TYPE_LOG_LEVEL:
	case CONFIG_TYPE_LOG_FORMAT:
	case CONFIG_TYPE_AUTH_MODE:
	case CONFIG_TYPE_CONTENT_HTML:
		memcpy(&e, p, sizeof(e));
		sb_adds(sb, config_enum_name(row->type, e));
		break;
	case CONFIG_TYPE__MAX:
		break;
	}
}

/* ------------------------------------------------------------------ */
/* Items. */

void
config_items_add(struct config_items *items, const char *s, size_t len)
{
	char **v;

	v = reallocarray(items->v, items->n + 1, sizeof(*v));
	if (v == NULL)
		fatal("no memory for the configuration");
	items->v = v;
	if ((v[items->n] = strndup(s, len)) == NULL)
		fatal("no memory for the configuration");
	items->n++;
}

void
config_items_clear(struct config_items *items)
{
	for (size_t i = 0; i < items->n; i++)
		free(items->v[i]);
	free(items->v);
	*items = (struct config_items){ NULL, 0 };
}
