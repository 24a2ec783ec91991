/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * config_reader - the lines of a configuration file; knows no option.
 */

#include "common/config_reader.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX (1024 * 1024)
#define DEPTH_MAX 16
/* files that include each other twice would grow without end */
#define UNITS_MAX 1000
/* for what is no file and has nothing to say yet */
#define WAIT_MS 1000

/* A file that is being read, and the one that includes it. */
struct config_frame {
	dev_t dev;
	ino_t ino;
	unsigned depth;
	const struct config_frame *up;
};

/* Where we are in one text. */
struct text {
	struct config_reader *rd;
	struct config_place at;
	unsigned unit;
	/* the text is not a file: nothing can be relative to it */
	bool memory;
	struct strbuf section;
	bool skip;
};

static void error_at(struct text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
error_at(struct text *t, const char *fmt, ...)
{
	struct strbuf sb = STRBUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	sb_addv(&sb, fmt, ap);
	va_end(ap);
	config_errors_add(t->rd->errors, "%s:%u: %s", t->at.file, t->at.line,
	    sb.data);
	sb_clear(&sb);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static const char *
skip_blanks(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

static bool
is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

/* ------------------------------------------------------------------ */
/* Values. */

/* Behind the opening quote; NULL with a sentence. */
static const char *
read_quoted(const char *p, const char *end, struct config_items *items,
    const char **why_r)
{
	struct strbuf sb = STRBUF_INIT;

	while (p < end && *p != '"') {
		if (*p == '\\') {
			if (++p == end || (*p != '"' && *p != '\\')) {
				*why_r = "inside quotes \\ stands only "
					 "before \" and \\; write \\\\";
				goto fail;
			}
		}
		sb_addc(&sb, *p++);
	}
	if (p == end) {
		*why_r = "the closing \" is missing";
		goto fail;
	}
	p = skip_blanks(p + 1, end);
	if (p < end && *p != ',' && *p != '#') {
		*why_r = "behind the closing \" there may only be a comma or "
			 "a # comment";
		goto fail;
	}
	config_items_add(items, sb.data, sb.len);
	sb_clear(&sb);
	return p;
fail:
	sb_clear(&sb);
	return NULL;
}

static const char *
read_bare(const char *p, const char *end, struct config_items *items,
    const char **why_r)
{
	const char *start = p;

	while (p < end && !is_blank(*p) && *p != ',' && *p != '#' && *p != '"')
		p++;
	if (p < end && *p == '"') {
		*why_r = "a quote in the middle; put the whole value in "
			 "double quotes and write \\\" for a quote in it";
		return NULL;
	}
	if (p == start) {
		*why_r = "a value is missing beside the comma";
		return NULL;
	}
	config_items_add(items, start, (size_t)(p - start));
	p = skip_blanks(p, end);
	if (p < end && *p != ',' && *p != '#') {
		*why_r = "a value with blanks; put it in double quotes";
		return NULL;
	}
	return p;
}

int
config_read_value(const char *s, const char *end, struct config_items *items,
    const char **why_r)
{
	const char *p = skip_blanks(s, end);

	*items = (struct config_items){ NULL, 0 };
	if (p == end || *p == '#')
		return 0;
	for (;;) {
		p = *p == '"' ? read_quoted(p + 1, end, items, why_r)
			      : read_bare(p, end, items, why_r);
		if (p == NULL)
			return -1;
		if (p == end || *p == '#')
			return 0;
		/* a comma; the next part may not be missing */
		p = skip_blanks(p + 1, end);
		if (p == end || *p == '#') {
			*why_r = "a value is missing beside the comma";
			return -1;
		}
	}
}

/* ------------------------------------------------------------------ */
/* Lines. */

static void
read_section(struct text *t, const char *p, const char *end)
{
	const char *start = p = skip_blanks(p, end);
	size_t len;

	while (p < end && is_name(*p))
		p++;
	len = (size_t)(p - start);
	p = skip_blanks(p, end);
	t->skip = true;
	if (len == 0 || p == end || *p != ']') {
		error_at(t,
		    "a section is written [name]; its lines are not "
		    "looked at");
		return;
	}
	p = skip_blanks(p + 1, end);
	if (p < end && *p != '#')
		error_at(t, "behind [%.*s] there may only be a # comment",
		    (int)len, start);
	sb_reset(&t->section);
	sb_add(&t->section, start, len);
	t->skip = !t->rd->section(t->rd->arg, &t->at, &t->section);
}

static void read_path(struct config_reader *rd, const char *path, bool required,
    const struct text *from);

static void
read_include(struct text *t, const char *p, const char *end)
{
	struct config_items items;
	struct strbuf path = STRBUF_INIT;
	const char *why, *slash;

	if (config_read_value(p, end, &items, &why) == -1)
		error_at(t, "include: %s", why);
	else if (items.n != 1 || items.v[0][0] == '\0')
		error_at(t, "include takes one path");
	else if (t->memory)
		error_at(t, "include works only in a file");
	else {
		slash = strrchr(t->at.file, '/');
		if (items.v[0][0] != '/' && slash != NULL)
			sb_add(&path, t->at.file,
			    (size_t)(slash + 1 - t->at.file));
		sb_adds(&path, items.v[0]);
		read_path(t->rd, path.data, true, t);
	}
	config_items_clear(&items);
	sb_clear(&path);
}

static void
read_option(struct text *t, const char *name, size_t len, const char *p,
    const char *end)
{
	struct config_items items;
	struct strbuf sb = STRBUF_INIT;
	const char *why;

	sb_add(&sb, name, len);
	if (config_read_value(p, end, &items, &why) == -1)
		error_at(t, "%s%s%s: %s", t->section.data,
		    t->section.len > 0 ? "." : "", sb.data, why);
	else
		t->rd->option(t->rd->arg, &t->at, t->unit, t->section.data,
		    sb.data, &items);
	config_items_clear(&items);
	sb_clear(&sb);
}

static void
read_line(struct text *t, const char *p, const char *end)
{
	const char *name, *behind;

	for (const char *c = p; c < end; c++) {
		if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f) {
			error_at(t, "byte 0x%02x is not text",
			    (unsigned char)*c);
			return;
		}
	}
	p = skip_blanks(p, end);
	if (p == end || *p == '#')
		return;
	if (*p == '[') {
		read_section(t, p + 1, end);
		return;
	}
	name = p;
	while (p < end && is_name(*p))
		p++;
	behind = skip_blanks(p, end);
	if (p == name)
		error_at(t,
		    "not understood; a line is option = value, "
		    "[section], include path or # comment");
	else if (behind < end && *behind == '=') {
		if (!t->skip)
			read_option(t, name, (size_t)(p - name), behind + 1,
			    end);
	} else if (p - name == 7 && memcmp(name, "include", 7) == 0 &&
	    behind > p)
		read_include(t, behind, end);
	else
		error_at(t, "no = behind %.*s; a line is option = value",
		    p - name > 64 ? 64 : (int)(p - name), name);
}

static void
read_lines(struct text *t, const char *p, size_t len)
{
	const char *end = p + len, *nl, *line_end;

	t->unit = t->rd->units++;
	sb_init(&t->section);
	/* editors of other systems begin a text with its byte order */
	if (len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		p += 3;
	for (t->at.line = 1; p < end; t->at.line++) {
		nl = memchr(p, '\n', (size_t)(end - p));
		line_end = nl == NULL ? end : nl;
		if (line_end > p && line_end[-1] == '\r')
			read_line(t, p, line_end - 1);
		else
			read_line(t, p, line_end);
		p = nl == NULL ? end : nl + 1;
	}
	sb_clear(&t->section);
}

/* ------------------------------------------------------------------ */
/* Files. */

static bool
wait_for(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int rc;

	while ((rc = poll(&p, 1, WAIT_MS)) == -1 && errno == EINTR)
		continue;
	if (rc == 0)
		errno = EAGAIN;
	return rc > 0;
}

int
config_open(const char *path)
{
	int fd, saved;
	struct stat st;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd == -1)
		return -1;
	/* without a writer it would look empty */
	if (fstat(fd, &st) == 0 && (!S_ISFIFO(st.st_mode) || wait_for(fd)))
		return fd;
	saved = errno;
	(void)close(fd);
	errno = saved;
	return -1;
}

ssize_t
config_read(int fd, void *buf, size_t size)
{
	ssize_t n;

	do
		n = read(fd, buf, size);
	while (
	    n == -1 && (errno == EINTR || (errno == EAGAIN && wait_for(fd))));
	return n;
}

/* The whole file, or -1 with errno. */
static int
slurp(int fd, struct strbuf *sb)
{
	ssize_t n;

	for (;;) {
		n = config_read(fd, sb_reserve(sb, 65536), 65536);
		if (n == -1)
			return -1;
		if (n == 0)
			break;
		sb->len += (size_t)n;
		if (sb->len > FILE_MAX) {
			errno = EFBIG;
			return -1;
		}
	}
	sb_truncate(sb, sb->len);
	return 0;
}

static void
report(struct config_reader *rd, const char *path, const char *what,
    const struct text *from)
{
	if (from != NULL)
		config_errors_add(rd->errors, "%s:%u: include %s: %s",
		    from->at.file, from->at.line, path, what);
	else
		config_errors_add(rd->errors, "%s: %s", path, what);
}

static bool
in_use(const struct config_reader *rd, const struct stat *st)
{
	const struct config_frame *f;

	for (f = rd->stack; f != NULL; f = f->up)
		if (f->dev == st->st_dev && f->ino == st->st_ino)
			return true;
	return false;
}

static void
read_fd(struct config_reader *rd, int fd, const char *path,
    const struct text *from)
{
	struct text t = { .rd = rd, .at = { .file = path } };
	struct config_frame frame = { .up = rd->stack };
	struct strbuf sb = STRBUF_INIT;
	struct stat st;

	frame.depth = rd->stack == NULL ? 1 : rd->stack->depth + 1;
	if (fstat(fd, &st) == -1)
		report(rd, path, strerror(errno), from);
	else if (in_use(rd, &st))
		report(rd, path, "the file includes itself", from);
	else if (frame.depth > DEPTH_MAX || rd->units >= UNITS_MAX)
		report(rd, path, "too many files included", from);
	else if (slurp(fd, &sb) == -1)
		report(rd, path, strerror(errno), from);
	else {
		frame.dev = st.st_dev;
		frame.ino = st.st_ino;
		rd->stack = &frame;
		read_lines(&t, sb.data, sb.len);
		rd->stack = frame.up;
	}
	sb_clear(&sb);
}

static void
read_path(struct config_reader *rd, const char *path, bool required,
    const struct text *from)
{
	int fd;

	fd = config_open(path);
	if (fd == -1) {
		if (required || errno != ENOENT)
			report(rd, path, strerror(errno), from);
		return;
	}
	read_fd(rd, fd, path, from);
	(void)close(fd);
}

void
config_read_file(struct config_reader *rd, const char *path, bool required)
{
	read_path(rd, path, required, NULL);
}

void
config_read_text(struct config_reader *rd, const char *name, const char *text,
    size_t len)
{
	struct text t = { .rd = rd, .at = { .file = name }, .memory = true };

	read_lines(&t, text, len);
}
