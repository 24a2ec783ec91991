/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/html_fact.h"

#include <string.h>
#include <strings.h>

/* longest name that is looked for, and that the CSS function may have */
#define NAME_MAX_LEN 24
/* not ASCII, whatever it is */
#define OTHER 0x80

/* --- names ------------------------------------------------------------------ */

struct name {
	const char *name;
	uint32_t facts;
};

#define ALWAYS HTML_ALWAYS
#define URL HTML_URL
#define LINK HTML_LINK
#define REL HTML_REL
#define HTTP_EQUIV HTML_HTTP_EQUIV
#define TARGET HTML_TARGET
#define BACKGROUND HTML_BACKGROUND
#define SMIL HTML_SMIL
#define MANIFEST HTML_MANIFEST

static const struct name elements[] = {
#define HTML_ELEMENT(name, facts) { name, facts },
#include "chat/tbl_html.h"
};

static const struct name attributes[] = {
#define HTML_ATTRIBUTE(name, fact) { name, fact },
#include "chat/tbl_html.h"
};

/* Values of these are for people to read, or names. */
static const char *const texts[] = { "alt", "class", "id", "label", "lang",
	"name", "placeholder", "summary", "title", "value" };

/* Properties that SVG has as attributes, and that can name a resource. */
static const char *const styles[] = { "clip-path", "cursor", "fill", "filter",
	"marker", "marker-end", "marker-mid", "marker-start", "mask",
	"mask-image", "stroke" };

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool
is_name(const char *name, const char *p, size_t len)
{
	return strncasecmp(name, p, len) == 0 && name[len] == '\0';
}

static bool
is_one_of(const char *const *list, size_t n, const char *p, size_t len)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (is_name(list[i], p, len))
			return true;
	}
	return false;
}

static uint32_t
facts_of(const struct name *list, size_t n, const char *p, size_t len)
{
	size_t i;

	if (len == 0 || len > NAME_MAX_LEN)
		return 0;
	for (i = 0; i < n; i++) {
		if (is_name(list[i].name, p, len))
			return list[i].facts;
	}
	return 0;
}

uint32_t
html_element_facts(const char *name, size_t len)
{
	return facts_of(elements, COUNT(elements), name, len);
}

bool
html_is_active(uint32_t element, uint32_t attrs)
{
	return ((element | attrs) & HTML_ALWAYS) != 0 || (element & attrs) != 0;
}

/* --- values ----------------------------------------------------------------- */

/* The named references that give one ASCII character. */
static const struct {
	const char *name;
	char c;
} references[] = {
	{ "Tab;", '\t' },
	{ "NewLine;", '\n' },
	{ "colon;", ':' },
	{ "lpar;", '(' },
	{ "rpar;", ')' },
	{ "sol;", '/' },
	{ "bsol;", '\\' },
	{ "num;", '#' },
	{ "comma;", ',' },
	{ "semi;", ';' },
	{ "period;", '.' },
	{ "plus;", '+' },
	{ "equals;", '=' },
	{ "commat;", '@' },
	{ "ast;", '*' },
	{ "midast;", '*' },
	{ "excl;", '!' },
	{ "quest;", '?' },
	{ "dollar;", '$' },
	{ "percnt;", '%' },
	{ "lowbar;", '_' },
	{ "UnderBar;", '_' },
	{ "apos;", '\'' },
	{ "lcub;", '{' },
	{ "lbrace;", '{' },
	{ "rcub;", '}' },
	{ "rbrace;", '}' },
	{ "lsqb;", '[' },
	{ "lbrack;", '[' },
	{ "rsqb;", ']' },
	{ "rbrack;", ']' },
	{ "Hat;", '^' },
	{ "grave;", '`' },
	{ "DiacriticalGrave;", '`' },
	{ "verbar;", '|' },
	{ "vert;", '|' },
	{ "VerticalLine;", '|' },
	{ "quot", '"' },
	{ "QUOT", '"' },
	{ "amp", '&' },
	{ "AMP", '&' },
	{ "lt", '<' },
	{ "LT", '<' },
	{ "gt", '>' },
	{ "GT", '>' },
};

static int
digit_of(char c, unsigned base)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (base == 16 && (c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* Behind "&#". */
static int
numeric_reference(const char **p, const char *end)
{
	unsigned base = 10, n = 0;
	const char *q = *p;
	const char *from;
	int d;

	if (q < end && (*q | 0x20) == 'x') {
		base = 16;
		q++;
	}
	from = q;
	while (q < end && (d = digit_of(*q, base)) != -1) {
		/* no more than that is ASCII */
		if (n < 0x1000)
			n = n * base + (unsigned)d;
		q++;
	}
	if (q == from)
		return '&';
	if (q < end && *q == ';')
		q++;
	*p = q;
	return n > 0 && n < 0x80 ? (int)n : OTHER;
}

/* Behind "&". */
static int
named_reference(const char **p, const char *end)
{
	size_t i, len;

	for (i = 0; i < COUNT(references); i++) {
		len = strlen(references[i].name);
		if ((size_t)(end - *p) < len ||
		    memcmp(*p, references[i].name, len) != 0)
			continue;
		*p += len;
		if (references[i].name[len - 1] != ';' && *p < end &&
		    **p == ';')
			(*p)++;
		return references[i].c;
	}
	return '&';
}

int
html_next_char(const char **p, const char *end, bool decoded)
{
	uint8_t c;

	if (*p == end)
		return -1;
	c = (uint8_t) * (*p)++;
	if (c != '&' || decoded || *p == end)
		return c < 0x80 ? c : OTHER;
	if (**p != '#')
		return named_reference(p, end);
	(*p)++;
	return numeric_reference(p, end);
}

static bool
is_newline_or_tab(int c)
{
	return c == '\t' || c == '\n' || c == '\r';
}

/* Small letters; characters that URLs are read without are left out. */
static int
next_of_url(const char **p, const struct html_attribute *a)
{
	const char *end = a->value + a->value_len;
	int c;

	do
		c = html_next_char(p, end, a->decoded);
	while (is_newline_or_tab(c));
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

/* The first of a URL, and behind it. */
static int
first_of_url(const char **p, const struct html_attribute *a)
{
	int c;

	*p = a->value;
	do
		c = next_of_url(p, a);
	while (c >= 0 && c <= ' ');
	return c;
}

/* data: of a type in which scripts may stand. */
static bool
is_active_data(const char *p, const struct html_attribute *a)
{
	static const char *const types[] = { "html", "xml", "svg", "xsl",
		"script" };
	char type[64];
	size_t i, n = 0;
	int c;

	while ((c = next_of_url(&p, a)) != -1 && c != ',' && c != ';' &&
	    n < sizeof(type) - 1) {
		if (c > ' ')
			type[n++] = (char)c;
	}
	type[n] = '\0';
	for (i = 0; i < COUNT(types); i++) {
		if (strstr(type, types[i]) != NULL)
			return true;
	}
	/* a type without an end is no type that anybody meant */
	return n == sizeof(type) - 1;
}

/* A URL that is a program. */
static bool
is_script_url(const struct html_attribute *a)
{
	static const char *const schemes[] = { "javascript", "vbscript",
		"livescript", "mocha", "data" };
	char scheme[16];
	const char *p;
	size_t n = 0;
	int c = first_of_url(&p, a);

	while (c >= 'a' && c <= 'z' && n < sizeof(scheme)) {
		scheme[n++] = (char)c;
		c = next_of_url(&p, a);
	}
	if (c != ':' || !is_one_of(schemes, COUNT(schemes), scheme, n))
		return false;
	return scheme[0] != 'd' || is_active_data(p, a);
}

static bool
is_local_url(const struct html_attribute *a)
{
	const char *p;

	return first_of_url(&p, a) == '#';
}

/* --- CSS -------------------------------------------------------------------- */

/* Functions that only compute. */
static const char *const functions[] = { "blur", "brightness", "calc", "circle",
	"clamp", "color", "color-mix", "conic-gradient", "contrast",
	"cubic-bezier", "drop-shadow", "ellipse", "fit-content", "grayscale",
	"hsl", "hsla", "hue-rotate", "hwb", "inset", "invert", "lab", "lch",
	"light-dark", "linear", "linear-gradient", "matrix", "matrix3d", "max",
	"min", "minmax", "oklab", "oklch", "opacity", "perspective", "polygon",
	"radial-gradient", "repeat", "repeating-conic-gradient",
	"repeating-linear-gradient", "repeating-radial-gradient", "rgb", "rgba",
	"rotate", "rotate3d", "rotatex", "rotatey", "rotatez", "saturate",
	"scale", "scale3d", "scalex", "scaley", "sepia", "skew", "skewx",
	"skewy", "steps", "translate", "translate3d", "translatex",
	"translatey", "translatez", "var" };

static bool
is_ident(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '-' || c == '_' || c == OTHER;
}

/* Behind "url(": is it a part of the same document? */
static bool
is_local_resource(const char *p, const struct html_attribute *a)
{
	const char *end = a->value + a->value_len;
	int c;

	do
		c = html_next_char(&p, end, a->decoded);
	while (c == ' ' || c == '"' || c == '\'' || is_newline_or_tab(c));
	return c == '#';
}

/*
 * May it load something?  All functions but those that only compute do; an
 * escape or a comment may hide one.  No CSS has '<' or '=' here: it ends the
 * search, so that no part of a text is searched again and again.
 */
static bool
is_active_style(const struct html_attribute *a)
{
	const char *p = a->value, *end = p + a->value_len;
	char name[32];
	size_t n = 0;
	int c, last = 0;

	for (; (c = html_next_char(&p, end, a->decoded)) != -1; last = c) {
		if (c == '\\' || c == '<' || c == '=' || c == '@' ||
		    (c == '*' && last == '/'))
			return true;
		if (is_ident(c)) {
			if (n < sizeof(name))
				name[n++] = (char)c;
			continue;
		}
		if (c == '(' && n > 0 &&
		    !is_one_of(functions, COUNT(functions), name, n) &&
		    !(is_name("url", name, n) && is_local_resource(p, a)))
			return true;
		n = 0;
	}
	return false;
}

/* --- attributes --------------------------------------------------------------- */

/* Handlers of events: on and letters; on:click of a template is none. */
static bool
is_handler(const char *name, size_t len)
{
	size_t i;

	if (len < 3 || strncasecmp(name, "on", 2) != 0)
		return false;
	for (i = 2; i < len; i++) {
		if (!is_ident((uint8_t)name[i]) || name[i] == '-' ||
		    name[i] == '_')
			return false;
	}
	return true;
}

static bool
is_text(const char *name, size_t len)
{
	return is_one_of(texts, COUNT(texts), name, len) ||
	    (len > 5 &&
		(strncasecmp(name, "data-", 5) == 0 ||
		    strncasecmp(name, "aria-", 5) == 0));
}

uint32_t
html_attribute_facts(const struct html_attribute *a)
{
	uint32_t facts;

	if (a->value_len == 0)
		return 0;
	if (is_handler(a->name, a->name_len))
		return HTML_ALWAYS;
	if (is_text(a->name, a->name_len))
		return 0;
	if (is_script_url(a))
		return HTML_ALWAYS;
	if (is_name("style", a->name, a->name_len) ||
	    is_one_of(styles, COUNT(styles), a->name, a->name_len))
		return is_active_style(a) ? HTML_ALWAYS : 0;
	facts = facts_of(attributes, COUNT(attributes), a->name, a->name_len);
	if (facts == HTML_LINK && is_local_url(a))
		return 0;
	return facts;
}
