/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * log_line - how an event of the log looks.
 *
 * An event's text is made harmless first (log_escape), then taken apart: the
 * key=value pairs at its end are fields, what stands before them is the
 * message.  Each format writes both its own way.
 */

#include "common/log_line.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MAX_FIELDS 32
/* harmless text; less than a line, so that its head always fits */
#define TEXT_MAX (LOG_LINE_MAX - 512)
/* kept free for what must close a line: ..."} and its end */
#define OUT_RESERVE 8

/* syslog.h's facility "daemon"; its LOG_INFO and so on are not for us */
#define FACILITY_DAEMON 3

struct field {
	const char *key, *value;
	size_t key_len, value_len;
	/* value stands in quotes (not part of it) and holds escapes */
	bool quoted;
};

struct parsed {
	char text[TEXT_MAX];
	size_t msg_len;
	struct field fields[MAX_FIELDS];
	size_t nfields;
};

struct out {
	char *buf;
	size_t len, size;
	/* something did not fit; nothing more is taken but the end */
	bool full;
};

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_NOTICE] = "notice",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};
_Static_assert(sizeof(level_names) / sizeof(level_names[0]) == LOG_LEVEL__MAX,
    "a level without a name");

const char *
log_level_name(enum log_level level)
{
	return (unsigned)level < LOG_LEVEL__MAX ? level_names[level] : NULL;
}

/* The numbers of RFC 5424 6.2.1. */
static int
severity(enum log_level level)
{
	return 3 + (int)level;
}

/* Code points that change how the rest of a line is shown, or end it. */
static bool
harmful(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0xad ||
	    (cp >= 0x200b && cp <= 0x200f) || (cp >= 0x2028 && cp <= 0x202e) ||
	    (cp >= 0x2060 && cp <= 0x206f) || cp == 0xfeff ||
	    (cp >= 0xfff9 && cp <= 0xfffb);
}

/*
 * The length of the one harmless character at p, or 0.  The full decoder of
 * the chat is not used here: the log is below everything else.
 */
static size_t
harmless(const unsigned char *p, size_t len)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t cp;
	size_t i, n;

	if (p[0] < 0x80)
		return harmful(p[0]) ? 0 : 1;
	n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || n > len)
		return 0;
	cp = p[0] & (0x7fU >> n);
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		cp = cp << 6 | (p[i] & 0x3f);
	}
	if (cp < least[n] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return 0;
	return harmful(cp) ? 0 : n;
}

/* How one byte that may not stand as it is is written; returns its length. */
static size_t
escape_byte(char e[5], unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char from[] = "\n\r\t", to[] = "nrt";
	const char *p;

	e[0] = '\\';
	if (c != '\0' && (p = strchr(from, c)) != NULL) {
		e[1] = to[p - from];
		return 2;
	}
	if (c == '"' || c == '\\') {
		e[1] = (char)c;
		return 2;
	}
	e[1] = 'x';
	e[2] = hex[c >> 4];
	e[3] = hex[c & 15];
	return 4;
}

size_t
log_escape(char *dst, size_t size, const void *src, size_t len, bool quoted)
{
	const unsigned char *s = src;
	size_t i = 0, n = 0, take, put;
	char e[5];

	while (i < len) {
		take = harmless(s + i, len - i);
		if (take != 0 && !(quoted && (s[i] == '"' || s[i] == '\\'))) {
			if (n + take + 1 > size)
				break;
			memcpy(dst + n, s + i, take);
			put = take;
		} else {
			put = escape_byte(e, s[i]);
			if (n + put + 1 > size)
				break;
			memcpy(dst + n, e, put);
			take = 1;
		}
		n += put;
		i += take;
	}
	dst[n] = '\0';
	return i;
}

/* ------------------------------------------------------------------ */
/* Taking a text apart. */

static bool
reserved(const char *key, size_t len)
{
	static const char *const names[] = { "time", "level", "role", "slot",
		"pid", "msg" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == len && memcmp(names[i], key, len) == 0)
			return true;
	return false;
}

/* A word that begins at p: where it ends, and the pair that it is, if so. */
static const char *
parse_word(const char *p, struct field *f, bool *pair_r)
{
	const char *start = p;

	*pair_r = false;
	while ((*p >= 'a' && *p <= 'z') || *p == '_' ||
	    (p > start && *p >= '0' && *p <= '9'))
		p++;
	if (p == start || *p != '=')
		return p + strcspn(p, " ");
	*f = (struct field){ .key = start, .key_len = (size_t)(p - start) };
	f->value = ++p;
	if (*p == '"') {
		f->quoted = true;
		f->value = ++p;
		while (*p != '\0' && *p != '"')
			p += p[0] == '\\' && p[1] != '\0' ? 2 : 1;
		f->value_len = (size_t)(p - f->value);
		if (*p == '"' && (p[1] == ' ' || p[1] == '\0')) {
			*pair_r = !reserved(f->key, f->key_len);
			return p + 1;
		}
		return p + strcspn(p, " ");
	}
	p += strcspn(p, " ");
	f->value_len = (size_t)(p - f->value);
	*pair_r = memchr(f->value, '"', f->value_len) == NULL &&
	    !reserved(f->key, f->key_len);
	return p;
}

/* Only the pairs behind the last plain word are fields. */
static void
split(struct parsed *ps)
{
	const char *p = ps->text, *end;
	struct field f;
	bool pair, many = false;

	ps->nfields = 0;
	ps->msg_len = strlen(p);
	while (*p != '\0') {
		if (*p == ' ') {
			p++;
			continue;
		}
		end = parse_word(p, &f, &pair);
		if (!pair) {
			ps->nfields = 0;
			many = false;
		} else if (ps->nfields == MAX_FIELDS)
			many = true;
		else
			ps->fields[ps->nfields++] = f;
		p = end;
	}
	if (many)
		ps->nfields = 0;
	if (ps->nfields > 0)
		ps->msg_len = (size_t)(ps->fields[0].key - ps->text);
	while (ps->msg_len > 0 && ps->text[ps->msg_len - 1] == ' ')
		ps->msg_len--;
}

static void
parse(struct parsed *ps, const struct log_event *ev)
{
	size_t len = strlen(ev->text), took;

	took = log_escape(ps->text, sizeof(ps->text) - 3, ev->text, len, false);
	if (took < len)
		memcpy(ps->text + strlen(ps->text), "...", sizeof("..."));
	split(ps);
}

/* ------------------------------------------------------------------ */
/* Writing a line. */

static void
out_raw(struct out *o, const char *p, size_t len)
{
	if (o->full || o->len + len + OUT_RESERVE > o->size) {
		o->full = true;
		return;
	}
	memcpy(o->buf + o->len, p, len);
	o->len += len;
}

static void out_f(struct out *o, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
out_f(struct out *o, const char *fmt, ...)
{
	char tmp[256];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(tmp, sizeof(tmp), fmt, ap);
	va_end(ap);
	if (n > 0)
		out_raw(o, tmp,
		    (size_t)n < sizeof(tmp) ? (size_t)n : sizeof(tmp) - 1);
}

/* What the reserve is for. */
static void
out_end(struct out *o, const char *end)
{
	size_t len = strlen(end);

	memcpy(o->buf + o->len, end, len);
	o->len += len;
}

/* A whole character at a time, so that a cut never leaves half of one. */
static void
out_char(struct out *o, const char **p, const char *end)
{
	size_t n = 1;

	while (*p + n < end && ((unsigned char)(*p)[n] & 0xc0) == 0x80)
		n++;
	out_raw(o, *p, n);
	*p += n;
}

/* Harmless text inside quotes; if it does not fit it ends in "...". */
static void
out_quoted(struct out *o, const char *p, size_t len)
{
	const char *end = p + len;

	out_raw(o, "\"", 1);
	if (o->full)
		return;
	while (p < end && !o->full) {
		if (*p == '"' || *p == '\\') {
			out_raw(o, (const char[]){ '\\', *p }, 2);
			p++;
		} else
			out_char(o, &p, end);
	}
	out_end(o, o->full ? "...\"" : "\"");
}

/*
 * The inside of a quoted value as the inside of a JSON string: \xNN is no
 * escape there.
 */
static void
out_json_escaped(struct out *o, const char *p, size_t len)
{
	const char *end = p + len;
	bool known;

	out_raw(o, "\"", 1);
	if (o->full)
		return;
	while (p < end && !o->full) {
		if (*p != '\\' || p + 1 == end)
			out_char(o, &p, end);
		else {
			known = strchr("\"\\nrt", p[1]) != NULL;
			out_raw(o, known ? p : "\\\\", 2);
			p += known ? 2 : 1;
		}
	}
	out_end(o, o->full ? "...\"" : "\"");
}

/* Would the key and the shortest of values fit? */
static bool
out_room(struct out *o, const struct field *f)
{
	if (o->len + f->key_len + 2 * OUT_RESERVE + 4 > o->size)
		o->full = true;
	return !o->full;
}

static bool
plain_value(const struct field *f)
{
	if (f->value_len == 0)
		return false;
	return memchr(f->value, '=', f->value_len) == NULL &&
	    memchr(f->value, '\\', f->value_len) == NULL;
}

static void
out_time(struct out *o, uint64_t ms, char between)
{
	uint64_t days = ms / 86400000;
	unsigned rest = (unsigned)(ms % 86400000);
	unsigned era, doe, yoe, doy, mp, d, m;
	uint64_t y;

	/* Hinnant's civil_from_days; gmtime_r() may want to open files */
	days += 719468;
	era = (unsigned)(days / 146097);
	doe = (unsigned)(days % 146097);
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	d = doy - (153 * mp + 2) / 5 + 1;
	m = mp < 10 ? mp + 3 : mp - 9;
	y = (uint64_t)yoe + (uint64_t)era * 400 + (m <= 2);
	out_f(o, "%04llu-%02u-%02u%c%02u:%02u:%02u.%03uZ",
	    (unsigned long long)y, m, d, between, rest / 3600000,
	    rest / 60000 % 60, rest / 1000 % 60, rest % 1000);
}

static void
out_init(struct out *o, char *buf)
{
	*o = (struct out){ .buf = buf, .size = LOG_LINE_MAX };
}

size_t
log_line_text(const struct log_event *ev, char *buf)
{
	struct parsed ps;
	struct out o;

	parse(&ps, ev);
	out_init(&o, buf);
	out_time(&o, ev->time_ms, ' ');
	out_f(&o, " %-6s ", log_level_name(ev->level));
	if (ev->slot >= 0)
		out_f(&o, "%s %d: ", ev->role, ev->slot);
	else
		out_f(&o, "%s: ", ev->role);
	out_raw(&o, ps.text, strlen(ps.text));
	out_end(&o, "\n");
	return o.len;
}

static void
logfmt_body(struct out *o, const struct log_event *ev, struct parsed *ps)
{
	const struct field *f;

	out_f(o, "level=%s role=%s", log_level_name(ev->level), ev->role);
	if (ev->slot >= 0)
		out_f(o, " slot=%d", ev->slot);
	out_f(o, " pid=%d msg=", ev->pid);
	out_quoted(o, ps->text, ps->msg_len);
	for (size_t i = 0; i < ps->nfields; i++) {
		f = &ps->fields[i];
		if (!out_room(o, f))
			break;
		out_raw(o, " ", 1);
		out_raw(o, f->key, f->key_len + 1);
		if (!f->quoted && !plain_value(f)) {
			out_quoted(o, f->value, f->value_len);
			continue;
		}
		out_raw(o, f->value - f->quoted, f->value_len + 2 * f->quoted);
		if (o->full)
			out_end(o, "...");
	}
}

static void
json_body(struct out *o, const struct log_event *ev, struct parsed *ps)
{
	const struct field *f;

	out_f(o, "\"level\":\"%s\",\"role\":\"%s\"", log_level_name(ev->level),
	    ev->role);
	if (ev->slot >= 0)
		out_f(o, ",\"slot\":%d", ev->slot);
	out_f(o, ",\"pid\":%d,\"msg\":", ev->pid);
	out_quoted(o, ps->text, ps->msg_len);
	for (size_t i = 0; i < ps->nfields; i++) {
		f = &ps->fields[i];
		if (!out_room(o, f))
			break;
		out_raw(o, ",\"", 2);
		out_raw(o, f->key, f->key_len);
		out_raw(o, "\":", 2);
		if (f->quoted)
			out_json_escaped(o, f->value, f->value_len);
		else
			out_quoted(o, f->value, f->value_len);
	}
	out_end(o, "}");
}

size_t
log_line_logfmt(const struct log_event *ev, char *buf)
{
	struct parsed ps;
	struct out o;

	parse(&ps, ev);
	out_init(&o, buf);
	out_raw(&o, "time=", 5);
	out_time(&o, ev->time_ms, 'T');
	out_raw(&o, " ", 1);
	logfmt_body(&o, ev, &ps);
	out_end(&o, "\n");
	return o.len;
}

size_t
log_line_json(const struct log_event *ev, char *buf)
{
	struct parsed ps;
	struct out o;

	parse(&ps, ev);
	out_init(&o, buf);
	out_raw(&o, "{\"time\":\"", 9);
	out_time(&o, ev->time_ms, 'T');
	out_raw(&o, "\",", 2);
	json_body(&o, ev, &ps);
	out_end(&o, "\n");
	return o.len;
}

/* RFC 3164 wants local time, and months in English whatever the locale. */
static void
syslog_head(struct out *o, const struct log_event *ev)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t t = (time_t)(ev->time_ms / 1000);
	struct tm tm;

	out_f(o, "<%d>", FACILITY_DAEMON * 8 + severity(ev->level));
	if (localtime_r(&t, &tm) != NULL)
		out_f(o, "%.3s %2d %02d:%02d:%02d ", months + 3 * tm.tm_mon,
		    tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	out_f(o, "%s[%d]: ", ev->ident, ev->pid);
}

size_t
log_line_syslog(const struct log_event *ev, enum log_format format, char *buf)
{
	struct parsed ps;
	struct out o;

	parse(&ps, ev);
	out_init(&o, buf);
	syslog_head(&o, ev);
	switch (format) {
	case LOG_FORMAT_TEXT:
		if (ev->slot >= 0)
			out_f(&o, "%s %d: ", ev->role, ev->slot);
		else
			out_f(&o, "%s: ", ev->role);
		out_raw(&o, ps.text, strlen(ps.text));
		break;
	case LOG_FORMAT_JSON:
		out_raw(&o, "{", 1);
		json_body(&o, ev, &ps);
		break;
	case LOG_FORMAT_LOGFMT:
	case LOG_FORMAT__MAX:
		logfmt_body(&o, ev, &ps);
		break;
	}
	return o.len;
}

size_t
log_line_journal(const struct log_event *ev, char *buf)
{
	const struct field *f;
	struct parsed ps;
	struct out o;
	char key[64];

	parse(&ps, ev);
	out_init(&o, buf);
	out_f(&o, "PRIORITY=%d\nSYSLOG_FACILITY=%d\nSYSLOG_IDENTIFIER=%s\n",
	    severity(ev->level), FACILITY_DAEMON, ev->ident);
	out_f(&o, "SYSLOG_PID=%d\nCHATD_ROLE=%s\n", ev->pid, ev->role);
	if (ev->slot >= 0)
		out_f(&o, "CHATD_SLOT=%d\n", ev->slot);
	out_raw(&o, "MESSAGE=", 8);
	out_raw(&o, ps.text, strlen(ps.text));
	out_end(&o, "\n");
	for (size_t i = 0; i < ps.nfields; i++) {
		f = &ps.fields[i];
		if (f->key_len >= sizeof(key) ||
		    o.len + f->key_len + f->value_len + 2 * OUT_RESERVE + 8 >
			o.size)
			continue;
		for (size_t k = 0; k < f->key_len; k++)
			key[k] = f->key[k] >= 'a' && f->key[k] <= 'z'
			    ? (char)(f->key[k] - 'a' + 'A')
			    : f->key[k];
		key[f->key_len] = '\0';
		out_f(&o, "CHATD_%s=", key);
		out_raw(&o, f->value, f->value_len);
		out_end(&o, "\n");
	}
	return o.len;
}
