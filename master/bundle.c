/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * bundle - the browser's files out of client_dir, for the workers to serve.
 */

#include "master/bundle.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "common/bundle.h"
#include "common/config.h"
#include "common/log.h"

/* A map is told by the version of its script, which comes before it. */
static const char *const names[BUNDLE_FILES] = {
	"socket.io.js",
	"socket.io.js.map",
	"socket.io.min.js",
	"socket.io.min.js.map",
	"socket.io.esm.min.js",
	"socket.io.esm.min.js.map",
	"socket.io.msgpack.min.js",
	"socket.io.msgpack.min.js.map",
};

/* The comment that a script begins with: "Socket.IO v4.8.1". */
#define BANNER "Socket.IO v"
#define BANNER_WITHIN 256

/* ------------------------------------------------------------------ */
/* Files. */

static int
write_all(int fd, const void *data, size_t len)
{
	const uint8_t *p = data;
	ssize_t n;

	while (len > 0) {
		n = write(fd, p, len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int
read_all(int fd, uint8_t *p, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = read(fd, p, len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EAGAIN;
		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* The contents of a file, to be freed; NULL with errno. */
static uint8_t *
read_file(int dirfd, const char *name, size_t *len_r)
{
	uint8_t *buf = NULL;
	struct stat st;
	int fd, saved;

	/* a FIFO shall not stop us */
	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd == -1)
		return NULL;
	errno = EINVAL;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
		errno = EFBIG;
		if (st.st_size <= BUNDLE_FILE_MAX)
			buf = malloc((size_t)st.st_size);
	}
	if (buf != NULL && read_all(fd, buf, (size_t)st.st_size) == -1) {
		saved = errno;
		free(buf);
		buf = NULL;
		errno = saved;
	}
	saved = errno;
	(void)close(fd);
	errno = saved;
	if (buf != NULL)
		*len_r = (size_t)st.st_size;
	return buf;
}

/* ------------------------------------------------------------------ */
/* Entity tags. */

/* The version in the banner as a tag; false: there is none. */
static bool
tag_of_banner(const uint8_t *data, size_t len, char *etag, size_t size)
{
	const char *p, *v;
	size_t n;

	if (len > BANNER_WITHIN)
		len = BANNER_WITHIN;
	p = memmem(data, len, BANNER, sizeof(BANNER) - 1);
	if (p == NULL)
		return false;
	v = p + sizeof(BANNER) - 1;
	len -= (size_t)(v - (const char *)data);
	for (n = 0; n < len; n++)
		if ((v[n] < '0' || v[n] > '9') && (v[n] < 'a' || v[n] > 'z') &&
		    v[n] != '.' && v[n] != '-' && v[n] != '+')
			break;
	if (n == 0 || n + 3 > size)
		return false;
	(void)snprintf(etag, size, "\"%.*s\"", (int)n, v);
	return true;
}

static void
tag_of_contents(const uint8_t *data, size_t len, char *etag, size_t size)
{
	XXH128_hash_t h = XXH3_128bits(data, len);

	(void)snprintf(etag, size, "\"%016llx%016llx\"",
	    (unsigned long long)h.high64, (unsigned long long)h.low64);
}

/* The script that this is the map of, if it is there; else NULL. */
static const struct bundle_entry *
script_of(const struct bundle_head *head, const char *map)
{
	size_t len = strlen(map) - strlen(".map");

	if (strcmp(map + len, ".map") != 0)
		return NULL;
	for (uint32_t i = 0; i < head->n; i++)
		if (strlen(head->entry[i].name) == len &&
		    memcmp(head->entry[i].name, map, len) == 0)
			return &head->entry[i];
	return NULL;
}

/* ------------------------------------------------------------------ */

/* The files themselves, as they were read. */
struct files {
	struct bundle_head head;
	uint8_t *data[BUNDLE_FILES];
};

static void
add(struct files *f, const char *name, uint8_t *data, size_t len)
{
	const struct bundle_entry *script = script_of(&f->head, name);
	struct bundle_entry *e = &f->head.entry[f->head.n];

	(void)snprintf(e->name, sizeof(e->name), "%s", name);
	if (script != NULL)
		memcpy(e->etag, script->etag, sizeof(e->etag));
	else if (!tag_of_banner(data, len, e->etag, sizeof(e->etag)))
		tag_of_contents(data, len, e->etag, sizeof(e->etag));
	e->offset = f->head.size;
	e->len = (uint32_t)len;
	f->head.size += (uint32_t)len;
	f->data[f->head.n++] = data;
}

_Static_assert((uint64_t)BUNDLE_FILES *BUNDLE_FILE_MAX +
	    sizeof(struct bundle_head) <
	UINT32_MAX,
    "a bundle's size is 32 bits");

static void
read_files(struct files *f, int dirfd, const char *dir)
{
	uint8_t *data;
	size_t len;

	f->head = (struct bundle_head){
		.magic = BUNDLE_MAGIC,
		.version = BUNDLE_VERSION,
		.size = sizeof(f->head),
	};
	for (size_t i = 0; i < BUNDLE_FILES; i++) {
		if ((data = read_file(dirfd, names[i], &len)) != NULL)
			add(f, names[i], data, len);
		else if (errno != ENOENT)
			log_warn_errno("client_dir: cannot take file=%s/%s",
			    log_text(dir, strlen(dir)), names[i]);
	}
}

static int
pack(const struct files *f)
{
	const int seals =
	    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
	int fd, rc;

	fd = memfd_create("chatd bundle", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd == -1)
		return -1;
	rc = write_all(fd, &f->head, sizeof(f->head));
	for (uint32_t i = 0; i < f->head.n && rc == 0; i++)
		rc = write_all(fd, f->data[i], f->head.entry[i].len);
	if (rc == 0 && fcntl(fd, F_ADD_SEALS, seals) == 0)
		return fd;
	rc = errno;
	(void)close(fd);
	errno = rc;
	return -1;
}

int
bundle_make(const struct config *cfg)
{
	const char *dir = cfg->client_dir;
	/* a directory that nobody named need not be there */
	bool named = strcmp(cfg->where[CONFIG_client_dir], "default") != 0;
	struct files f = { .head.n = 0 };
	int dirfd, fd = -1;

	if (dir[0] == '\0')
		return -1;
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd == -1) {
		if (named || (errno != ENOENT && errno != ENOTDIR))
			log_warn_errno("client_dir: cannot open dir=%s",
			    log_text(dir, strlen(dir)));
		return -1;
	}
	read_files(&f, dirfd, dir);
	(void)close(dirfd);
	if (f.head.n > 0 && (fd = pack(&f)) == -1)
		log_error_errno("client_dir: cannot make a memfd");
	else if (f.head.n == 0 && named)
		log_warn("client_dir: no socket.io.js there dir=%s",
		    log_text(dir, strlen(dir)));
	for (uint32_t i = 0; i < f.head.n; i++)
		free(f.data[i]);
	return fd;
}

bool
bundle_same(int a, int b)
{
	static uint8_t bufs[2][65536];
	off_t at = 0;
	ssize_t n[2];

	if (a == -1 || b == -1)
		return a == b;
	do {
		n[0] = pread(a, bufs[0], sizeof(bufs[0]), at);
		n[1] = pread(b, bufs[1], sizeof(bufs[1]), at);
		if (n[0] != n[1] || n[0] == -1 ||
		    memcmp(bufs[0], bufs[1], (size_t)n[0]) != 0)
			return false;
		at += n[0];
	} while (n[0] > 0);
	return true;
}
