/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * config_code - a configuration as bytes for another process.
 *
 *	magic 32 | version 32 | count 32
 *	count times: name, where, value
 *	secret
 *
 * Every string and the secret have their length (32 bits) before them.
 * Values travel as the text that a file would hold and are read back by the
 * same code, so that there is one idea of what an option may be.
 */

#include "common/config.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config_reader.h"
#include "common/config_table.h"

#define CODE_MAGIC 0x43686366U
#define CODE_VERSION 1
#define CODE_MAX (8 * 1024 * 1024)

static void
put_u32(struct strbuf *sb, uint32_t v)
{
	sb_add(sb, &v, sizeof(v));
}

static void
put_bytes(struct strbuf *sb, const void *p, size_t len)
{
	CHECK(len < CODE_MAX);
	put_u32(sb, (uint32_t)len);
	sb_add(sb, p, len);
}

static void
put_str(struct strbuf *sb, const char *s)
{
	put_bytes(sb, s, strlen(s));
}

void
config_encode(const struct config *cfg, struct strbuf *sb)
{
	struct strbuf value = STRBUF_INIT;

	sb_reset(sb);
	put_u32(sb, CODE_MAGIC);
	put_u32(sb, CODE_VERSION);
	put_u32(sb, CONFIG__MAX);
	for (unsigned i = 0; i < CONFIG__MAX; i++) {
		sb_reset(&value);
		config_value(cfg, (enum config_option)i, &value);
		put_str(sb, config_rows[i].name);
		put_str(sb, cfg->where[i]);
		put_str(sb, value.data);
	}
	put_bytes(sb, cfg->auth_secret, cfg->auth_secret_len);
	for (unsigned i = 0; i < CONFIG_BLOB__MAX; i++)
		put_bytes(sb, cfg->blob[i].p, cfg->blob[i].len);
	sb_clear(&value);
}

/* ------------------------------------------------------------------ */

struct cursor {
	const uint8_t *p, *end;
	bool bad;
};

static uint32_t
get_u32(struct cursor *c)
{
	uint32_t v;

	if (c->bad || (size_t)(c->end - c->p) < sizeof(v)) {
		c->bad = true;
		return 0;
	}
	memcpy(&v, c->p, sizeof(v));
	c->p += sizeof(v);
	return v;
}

static const uint8_t *
get_bytes(struct cursor *c, size_t *len_r)
{
	uint32_t len = get_u32(c);
	const uint8_t *p = c->p;

	*len_r = 0;
	if (c->bad || (size_t)(c->end - c->p) < len) {
		c->bad = true;
		return NULL;
	}
	c->p += len;
	*len_r = len;
	return p;
}

static void
get_str(struct cursor *c, struct strbuf *sb)
{
	size_t len;
	const uint8_t *p = get_bytes(c, &len);

	sb_reset(sb);
	if (p != NULL && memchr(p, '\0', len) == NULL)
		sb_add(sb, p, len);
	else
		c->bad = true;
}

/* What decode reads into; one set for all options. */
struct scratch {
	struct strbuf name, where, value, why;
};

static int
decode_option(struct cursor *c, struct config *cfg, bool *seen,
    struct scratch *s)
{
	struct config_items items = { NULL, 0 };
	enum config_option opt;
	const char *why;
	int rc = -1;

	get_str(c, &s->name);
	get_str(c, &s->where);
	get_str(c, &s->value);
	if (c->bad)
		return -1;
	opt = config_find(s->name.data);
	if (opt == CONFIG__MAX || seen[opt])
		return -1;
	seen[opt] = true;
	sb_reset(&s->why);
	if (config_read_value(s->value.data, s->value.data + s->value.len,
		&items, &why) == 0 &&
	    config_set(cfg, opt, &items, &s->why) == 0) {
		config_set_where(cfg, opt, s->where.data);
		rc = 0;
	}
	config_items_clear(&items);
	return rc;
}

static int
decode_options(struct cursor *c, struct config *cfg)
{
	bool seen[CONFIG__MAX] = { false };
	struct scratch s;
	int rc = 0;

	sb_init(&s.name);
	sb_init(&s.where);
	sb_init(&s.value);
	sb_init(&s.why);
	for (unsigned i = 0; i < CONFIG__MAX && rc == 0; i++)
		rc = decode_option(c, cfg, seen, &s);
	sb_clear(&s.name);
	sb_clear(&s.where);
	sb_clear(&s.value);
	sb_clear(&s.why);
	return rc;
}

/* A copy; NULL if there are none. */
static uint8_t *
decode_bytes(struct cursor *c, size_t *len_r)
{
	const uint8_t *p = get_bytes(c, len_r);
	uint8_t *copy;

	if (c->bad || *len_r == 0)
		return NULL;
	if ((copy = malloc(*len_r)) == NULL)
		fatal("no memory for the configuration");
	return memcpy(copy, p, *len_r);
}

static int
decode_files(struct cursor *c, struct config *cfg)
{
	cfg->auth_secret = decode_bytes(c, &cfg->auth_secret_len);
	for (unsigned i = 0; i < CONFIG_BLOB__MAX; i++)
		cfg->blob[i].p = decode_bytes(c, &cfg->blob[i].len);
	return c->bad || c->p != c->end ? -1 : 0;
}

struct config *
config_decode(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	struct cursor c = { .p = p, .end = p + len };
	struct config_errors errors = { .v = NULL };
	struct config *cfg;

	if (get_u32(&c) != CODE_MAGIC || get_u32(&c) != CODE_VERSION ||
	    get_u32(&c) != CONFIG__MAX) {
		errno = EPROTO;
		return NULL;
	}
	cfg = config_new();
	if (decode_options(&c, cfg) == -1 || decode_files(&c, cfg) == -1 ||
	    config_derive(cfg, &errors) == -1 ||
	    config_keys(cfg, &errors) == -1) {
		config_free(&cfg);
		errno = EPROTO;
	}
	config_errors_clear(&errors);
	return cfg;
}

/* ------------------------------------------------------------------ */

static int
write_all(int fd, const char *p, size_t len)
{
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

int
config_memfd(const struct config *cfg)
{
	struct strbuf sb = STRBUF_INIT;
	int fd, saved;

	fd = memfd_create("chatd config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd == -1)
		return -1;
	config_encode(cfg, &sb);
	if (write_all(fd, sb.data, sb.len) == -1 ||
	    fcntl(fd, F_ADD_SEALS,
		F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) ==
		-1) {
		saved = errno;
		(void)close(fd);
		errno = saved;
		fd = -1;
	}
	explicit_bzero(sb.data, sb.len);
	sb_clear(&sb);
	return fd;
}

struct config *
config_from_fd(int fd)
{
	struct config *cfg = NULL;
	struct stat st;
	size_t len, got = 0;
	ssize_t n;
	char *buf;

	if (fstat(fd, &st) == -1)
		return NULL;
	if (st.st_size <= 0 || st.st_size > CODE_MAX) {
		errno = EPROTO;
		return NULL;
	}
	len = (size_t)st.st_size;
	if ((buf = malloc(len)) == NULL)
		return NULL;
	while (got < len) {
		n = pread(fd, buf + got, len - got, (off_t)got);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	if (got == len)
		cfg = config_decode(buf, len);
	else
		errno = EPROTO;
	explicit_bzero(buf, len);
	free(buf);
	return cfg;
}
