/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "tests/power/disk.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

#define PAGE 4096

static uint32_t
units(size_t bytes)
{
	return (uint32_t)((bytes + DISK_UNIT - 1) / DISK_UNIT);
}

static uint64_t
step(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x >> 11;
}

/* --- files ------------------------------------------------------------- */

void
disk_init(struct disk *d)
{
	memset(d, 0, sizeof(*d));
}

static void
file_clear(struct disk_file *f)
{
	free(f->flushed);
	free(f->seen);
	free(f->v);
	free(f->newest);
	memset(f, 0, sizeof(*f));
}

void
disk_free(struct disk *d)
{
	int i;

	for (i = 0; i < DISK_FILES; i++)
		file_clear(&d->f[i]);
}

static struct disk_file *
find(const struct disk *d, uint64_t file)
{
	int i;

	for (i = 0; i < DISK_FILES; i++)
		if (d->f[i].file == file && file != 0)
			return (struct disk_file *)(uintptr_t)&d->f[i];
	return NULL;
}

static void *
grow(void *p, size_t from, size_t to)
{
	if ((p = realloc(p, to)) == NULL)
		fatal("memory for a disk");
	memset((uint8_t *)p + from, 0, to - from);
	return p;
}

static void
reserve(struct disk_file *f, size_t size)
{
	size_t cap = f->cap == 0 ? 64 * 1024 : f->cap;

	while (cap < size)
		cap *= 2;
	if (cap == f->cap)
		return;
	f->flushed = grow(f->flushed, f->cap, cap);
	f->seen = grow(f->seen, f->cap, cap);
	f->newest = grow(f->newest, units(f->cap) * sizeof(*f->newest),
	    units(cap) * sizeof(*f->newest));
	f->cap = cap;
}

static void
set_size(struct disk_file *f, size_t size)
{
	if (size == f->seen_size)
		return;
	f->seen_size = size;
	if (f->nsizes == sizeof(f->size) / sizeof(f->size[0])) {
		/* any of them will do */
		memmove(f->size, f->size + 1,
		    sizeof(f->size) - sizeof(*f->size));
		f->nsizes--;
	}
	f->size[f->nsizes++] = size;
}

static void
resize(struct disk_file *f, size_t size)
{
	reserve(f, size);
	if (size < f->seen_size)
		memset(f->seen + size, 0, f->seen_size - size);
	set_size(f, size);
}

/* Another version of a unit: as processes see it now. */
static void
push(struct disk_file *f, uint32_t unit)
{
	struct disk_version *v;

	if (f->nv == f->vcap) {
		f->vcap = f->vcap == 0 ? 1024 : f->vcap * 2;
		f->v = reallocarray(f->v, f->vcap, sizeof(*f->v));
		if (f->v == NULL)
			fatal("memory for a disk");
	}
	v = &f->v[f->nv];
	v->unit = unit;
	v->before = f->newest[unit];
	v->write = f->writes;
	memcpy(v->b, f->seen + (size_t)unit * DISK_UNIT, DISK_UNIT);
	f->newest[unit] = ++f->nv;
}

static void
put(struct disk_file *f, uint64_t at, const uint8_t *p, size_t len)
{
	uint32_t u;

	if (len == 0)
		return;
	reserve(f, at + len);
	memcpy(f->seen + at, p, len);
	if (at + len > f->seen_size)
		set_size(f, at + len);
	f->writes++;
	for (u = (uint32_t)(at / DISK_UNIT); u < units(at + len); u++)
		push(f, u);
}

/* --- flushing ---------------------------------------------------------- */

static void
flush_all(struct disk_file *f)
{
	uint32_t i, u;

	for (i = 0; i < f->nv; i++) {
		u = f->v[i].unit;
		if (f->newest[u] == 0)
			continue;
		memcpy(f->flushed + (size_t)u * DISK_UNIT,
		    f->seen + (size_t)u * DISK_UNIT, DISK_UNIT);
		f->newest[u] = 0;
	}
	f->nv = 0;
	f->flushed_size = f->seen_size;
	f->nsizes = 0;
}

/* The units of one write with O_DSYNC, and no others. */
static void
flush_write(struct disk_file *f)
{
	uint32_t u;

	for (u = (uint32_t)(f->at / DISK_UNIT); u < units(f->at + f->len);
	     u++) {
		memcpy(f->flushed + (size_t)u * DISK_UNIT,
		    f->seen + (size_t)u * DISK_UNIT, DISK_UNIT);
		f->newest[u] = 0;
	}
	/* what is needed to find it again */
	if (f->flushed_size < f->at + f->len)
		f->flushed_size = f->at + f->len;
}

/*
 * A write that did not return: what it would have written is forgotten, and
 * what was seen there later has been written instead.  Nothing else happened
 * to the file in between.
 */
static void
seen_later(struct disk_file *f, const struct journal_event *ev)
{
	const struct disk_version *v;

	while (f->writing && f->nv > 0 &&
	    (v = &f->v[f->nv - 1])->write == f->writes) {
		f->newest[v->unit] = v->before;
		f->nv--;
	}
	put(f, ev->a, journal_payload(ev), ev->len);
	f->writing = false;
}

/* --- names ------------------------------------------------------------- */

static void
name_set(struct disk_name *names, const char *path, uint64_t file)
{
	struct disk_name *empty = NULL;
	int i;

	for (i = 0; i < DISK_FILES; i++) {
		if (strcmp(names[i].path, path) == 0 || names[i].file == 0) {
			empty = &names[i];
			if (names[i].file != 0)
				break;
		}
	}
	CHECK(empty != NULL);
	(void)snprintf(empty->path, sizeof(empty->path), "%s", path);
	empty->file = file;
}

static void
name_apply(struct disk_name *names, const struct disk_rename *c)
{
	if (c->from[0] != '\0')
		name_set(names, c->from, 0);
	if (c->to[0] != '\0')
		name_set(names, c->to, c->file);
}

static void
names_now(const struct disk *d, struct disk_name *names)
{
	unsigned i;

	memcpy(names, d->name, sizeof(d->name));
	for (i = 0; i < d->nchanges; i++)
		name_apply(names, &d->change[i]);
}

static uint64_t
lookup(const struct disk *d, const char *path)
{
	struct disk_name names[DISK_FILES];
	int i;

	names_now(d, names);
	for (i = 0; i < DISK_FILES; i++)
		if (names[i].file != 0 && strcmp(names[i].path, path) == 0)
			return names[i].file;
	return 0;
}

static void
change(struct disk *d, const char *from, const char *to, uint64_t file)
{
	struct disk_rename *c;

	if (d->nchanges == sizeof(d->change) / sizeof(d->change[0])) {
		name_apply(d->name, &d->change[0]);
		memmove(d->change, d->change + 1,
		    sizeof(d->change) - sizeof(d->change[0]));
		d->nchanges--;
	}
	c = &d->change[d->nchanges++];
	(void)snprintf(c->from, sizeof(c->from), "%s", from);
	(void)snprintf(c->to, sizeof(c->to), "%s", to);
	c->file = file;
}

/* A process has opened the file; it may be new. */
static void
named(struct disk *d, const struct journal_event *ev)
{
	const char *path = (const char *)journal_payload(ev);
	struct disk_file *f = find(d, ev->file);
	int i;

	if (ev->a != 0 && f != NULL) {
		/* the number of one that is gone */
		file_clear(f);
		f = NULL;
	}
	if (f == NULL) {
		for (i = 0; i < DISK_FILES && d->f[i].file != 0; i++)
			;
		CHECK(i < DISK_FILES);
		d->f[i].file = ev->file;
		reserve(&d->f[i], PAGE);
	}
	if (lookup(d, path) != ev->file)
		change(d, "", path, ev->file);
}

static void
renamed(struct disk *d, const char *from, const char *to)
{
	uint64_t file = lookup(d, from);

	if (file != 0)
		change(d, from, to, file);
}

static bool
in_dir(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (path[0] == '\0' || strcmp(dir, ".") == 0)
		return true;
	return strncmp(path, dir, n) == 0 && path[n] == '/';
}

static void
names_flushed(struct disk *d, const char *dir)
{
	unsigned i, n = 0;

	for (i = 0; i < d->nchanges; i++) {
		if (in_dir(d->change[i].from, dir) &&
		    in_dir(d->change[i].to, dir))
			name_apply(d->name, &d->change[i]);
		else
			d->change[n++] = d->change[i];
	}
	d->nchanges = n;
}

/* --- events ------------------------------------------------------------ */

bool
disk_is_meta(const struct disk *d, const struct journal_event *ev)
{
	return ev->kind == J_WRITE && ev->a < 2 * PAGE && ev->len < PAGE &&
	    lookup(d, "db/data.mdb") == ev->file;
}

static void
apply_to_file(struct disk_file *f, const struct journal_event *ev)
{
	switch ((enum journal_kind)ev->kind) {
	case J_WRITE:
		f->at = ev->a;
		f->len = ev->len;
		f->writing = true;
		put(f, ev->a, journal_payload(ev), ev->len);
		break;
	case J_WRITTEN:
		f->writing = false;
		if (ev->b != 0)
			flush_write(f);
		break;
	case J_SEEN:
		seen_later(f, ev);
		break;
	case J_FLUSHED:
		flush_all(f);
		break;
	case J_SIZE:
		resize(f, ev->a);
		break;
	default:
		break;
	}
}

void
disk_apply(struct disk *d, const struct journal_event *ev)
{
	const char *text = (const char *)journal_payload(ev);
	struct disk_file *f;

	switch ((enum journal_kind)ev->kind) {
	case J_NAME:
		named(d, ev);
		break;
	case J_RENAME:
		renamed(d, text, text + strlen(text) + 1);
		break;
	case J_UNLINK:
		change(d, text, "", 0);
		break;
	case J_DIRSYNC:
		names_flushed(d, text);
		break;
	default:
		if ((f = find(d, ev->file)) != NULL)
			apply_to_file(f, ev);
	}
}

/* --- images ------------------------------------------------------------ */

/* How the disk chose what to take first. */
enum way {
	WAY_FLUSHED,
	WAY_SEEN,
	/* each unit on its own */
	WAY_HALF,
	WAY_FEW,
	WAY_MOST,
	WAY_ONE_MISSING,
	WAY_ONLY_ONE,
	/* whole pages */
	WAY_PAGES,
	/* the first writes; only the last ones */
	WAY_PREFIX,
	WAY_SUFFIX,
	/* a page is torn at one place */
	WAY_TORN,
	WAY__MAX,
};

static const char *const way_name[WAY__MAX] = { "nothing", "everything",
	"half of the units", "few units", "most units", "one unit missing",
	"only one unit", "half of the pages", "the first writes",
	"the last writes", "torn pages" };

static char last_way[64];

const char *
disk_last_way(void)
{
	return last_way;
}

struct choice {
	enum way way;
	uint32_t nth;
	uint32_t salt;
};

/* Does it hold a version of this unit that was not flushed? */
static bool
takes(const struct choice *c, const struct disk_file *f,
    const struct disk_version *v, uint32_t i, uint64_t *rnd)
{
	uint32_t page = v->unit / (PAGE / DISK_UNIT), h;

	switch (c->way) {
	case WAY_FLUSHED:
		return false;
	case WAY_HALF:
		return step(rnd) % 2 == 0;
	case WAY_FEW:
		return step(rnd) % 16 == 0;
	case WAY_MOST:
		return step(rnd) % 16 != 0;
	case WAY_ONE_MISSING:
		return i != c->nth;
	case WAY_ONLY_ONE:
		return i == c->nth;
	case WAY_PAGES:
		h = (page ^ c->salt) * 2654435761u;
		return (h >> 16) % 2 == 0;
	case WAY_PREFIX:
		return i <= c->nth;
	case WAY_SUFFIX:
		return i >= c->nth;
	case WAY_TORN:
		h = (page ^ c->salt) * 2654435761u;
		return v->unit % (PAGE / DISK_UNIT) < (h >> 16) % 9;
	case WAY_SEEN:
	case WAY__MAX:
		break;
	}
	return true;
}

/* One of the versions of a unit: mostly the newest. */
static const uint8_t *
version(const struct disk_file *f, uint32_t unit, uint64_t *rnd)
{
	uint32_t n = f->newest[unit];

	while (f->v[n - 1].before != 0 && step(rnd) % 4 == 0)
		n = f->v[n - 1].before;
	return f->v[n - 1].b;
}

static size_t
image_size(const struct choice *c, const struct disk_file *f, uint64_t *rnd)
{
	unsigned n;

	if (c->way == WAY_FLUSHED)
		return f->flushed_size;
	if (c->way == WAY_SEEN || f->nsizes == 0)
		return f->seen_size;
	n = (unsigned)(step(rnd) % (f->nsizes + 2));
	if (n == 0)
		return f->flushed_size;
	return n > f->nsizes ? f->seen_size : f->size[n - 1];
}

static int
write_file(const char *dir, const char *path, const uint8_t *p, size_t len)
{
	char name[2048];
	char *s;
	ssize_t n;
	int fd;

	(void)snprintf(name, sizeof(name), "%s/%s", dir, path);
	for (s = name + strlen(dir) + 1; (s = strchr(s, '/')) != NULL; s++) {
		*s = '\0';
		if (mkdir(name, 0700) == -1 && errno != EEXIST)
			return -1;
		*s = '/';
	}
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd == -1)
		return -1;
	n = write(fd, p, len);
	close(fd);
	return n == (ssize_t)len ? 0 : -1;
}

static int
image_file(const struct disk_file *f, const struct choice *c, uint64_t *rnd,
    const char *dir, const char *path)
{
	const struct disk_version *v;
	size_t size, at;
	uint8_t *b;
	uint32_t i;
	int rc;

	if ((b = malloc(f->cap)) == NULL)
		return -1;
	memcpy(b, c->way == WAY_SEEN ? f->seen : f->flushed, f->cap);
	for (i = 0; c->way != WAY_SEEN && i < f->nv; i++) {
		v = &f->v[i];
		/* once a unit, and not what has been flushed since */
		if (f->newest[v->unit] != i + 1 || !takes(c, f, v, i, rnd))
			continue;
		at = (size_t)v->unit * DISK_UNIT;
		memcpy(b + at, version(f, v->unit, rnd), DISK_UNIT);
	}
	size = image_size(c, f, rnd);
	rc = write_file(dir, path, b, size);
	free(b);
	return rc;
}

int
disk_image(const struct disk *d, enum disk_how how, uint64_t *rnd,
    const char *dir)
{
	struct disk_name names[DISK_FILES];
	const struct disk_file *f;
	struct choice c;
	unsigned i, n = d->nchanges;

	c.way = how == DISK_FLUSHED ? WAY_FLUSHED
	    : how == DISK_SEEN	    ? WAY_SEEN
				    : (enum way)(step(rnd) % WAY__MAX);
	c.salt = (uint32_t)step(rnd);
	if (how == DISK_FLUSHED || (how == DISK_CHANCE && n > 0))
		n = how == DISK_FLUSHED ? 0 : (unsigned)(step(rnd) % (n + 1));
	memcpy(names, d->name, sizeof(names));
	for (i = 0; i < n; i++)
		name_apply(names, &d->change[i]);
	for (i = 0; i < DISK_FILES; i++) {
		if ((f = find(d, names[i].file)) == NULL)
			continue;
		c.nth = f->nv == 0 ? 0 : (uint32_t)(step(rnd) % f->nv);
		if (image_file(f, &c, rnd, dir, names[i].path) == -1)
			return -1;
	}
	(void)snprintf(last_way, sizeof(last_way), "%s", way_name[c.way]);
	return 0;
}
