/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * config - what the operator asked for.
 *
 * The rows of tbl_options.h are the options.  The master reads and checks
 * them (config_load), the children get them encoded in a sealed memfd that
 * also holds the contents of the files that options name.  Precedence:
 * overrides (-o), environment, file, default.
 */

#ifndef COMMON_CONFIG_H
#define COMMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/log.h"
#include "common/strbuf.h"

#define CONFIG_DEFAULT_FILE "/etc/chatd/chatd.conf"

struct keys;

enum auth_mode {
	AUTH_MODE_NONE,
	AUTH_MODE_JWT,
	AUTH_MODE_WEBHOOK,
	AUTH_MODE__MAX,
};

/* What becomes of what a browser would execute. */
enum content_html {
	CONTENT_HTML_INERT,
	CONTENT_HTML_STRIP,
	CONTENT_HTML_REJECT,
	CONTENT_HTML_ALLOW,
	CONTENT_HTML__MAX,
};

struct config_list {
	char **v;
	size_t n;
};

enum listener_family {
	LISTENER_TCP4,
	LISTENER_TCP6,
	LISTENER_UNIX,
};

/* One element of listen, taken apart. */
struct listener {
	enum listener_family family;
	/* numeric, without brackets; empty for a Unix socket */
	char host[48];
	uint16_t port;
	/* of a Unix socket, else empty */
	char path[108];
	/* connections begin with a PROXY protocol header */
	bool proxy;
};

/* One network of trusted_proxies; an address is one of all its bits. */
struct config_net {
	/* AF_INET or AF_INET6 */
	uint16_t family;
	uint16_t bits;
	/* IPv4 in the first 4; what is behind 'bits' is 0 */
	uint8_t addr[16];
};

enum config_option {
#define OPT(name, field, type, def, min, max, env, reload, help) CONFIG_##field,
#include "common/tbl_options.h"
	CONFIG__MAX,
};

/* Files of which all roles get the contents. */
enum config_blob_kind {
	/* auth.key_file, auth.jwks_file, content.rules */
	CONFIG_BLOB_KEYS,
	CONFIG_BLOB_JWKS,
	CONFIG_BLOB_RULES,
	CONFIG_BLOB__MAX,
};

#define CONFIG_C_STRING char *
#define CONFIG_C_LIST struct config_list
#define CONFIG_C_DURATION uint64_t
#define CONFIG_C_SIZE uint64_t
#define CONFIG_C_COUNT uint32_t
#define CONFIG_C_BOOL bool
#define CONFIG_C_LOG_LEVEL enum log_level
#define CONFIG_C_LOG_FORMAT enum log_format
#define CONFIG_C_AUTH_MODE enum auth_mode
#define CONFIG_C_CONTENT_HTML enum content_html

/* Strings are never NULL; an option that is not set is "". */
struct config {
#define OPT(name, field, type, def, min, max, env, reload, help) \
	CONFIG_C_##type field;
#include "common/tbl_options.h"
	/* where each came from: "default", "environment X", "file:9", "-o" */
	char *where[CONFIG__MAX];
	/* listen, taken apart */
	struct listener *listeners;
	size_t nlisteners;
	/* engine.transports */
	bool engine_polling, engine_websocket;
	/* cors.origins is * */
	bool cors_any;
	/* trusted_proxies; config_trusts() looks there */
	struct config_net *trusted;
	size_t ntrusted;
	bool trusted_unix;
	/* engine.cookie as "name=<sid>; attributes"; NULL without one, the
	 * attributes also if it has none */
	char *cookie_name, *cookie_attributes;
	/* contents of auth.secret_file; NULL without one */
	uint8_t *auth_secret;
	size_t auth_secret_len;
	/* contents of other files that options name; 'p' NULL without one */
	struct config_blob {
		uint8_t *p;
		size_t len;
	} blob[CONFIG_BLOB__MAX];
	/* what tokens are verified with, out of these; NULL: not read */
	struct keys *keys;
};

/* What to read. */
struct config_source {
	/* NULL: none */
	const char *file;
	/* named by the operator: its absence is an error */
	bool file_required;
	/* what the file would hold, if it is not to be read; cannot include */
	const char *text;
	size_t text_len;
	/* "option=value" each */
	const char *const *overrides;
	size_t noverrides;
	/* "NAME=value" each, up to a NULL (environ); NULL: none */
	char *const *env;
	/* do not open the files that options name (auth.secret_file) and
	 * do not insist on them: for tools that only look something up */
	bool without_files;
};

/* Everything that is wrong, in the order of the text; each a whole line. */
struct config_errors {
	char **v;
	size_t n;
	/* more than we keep (CONFIG_MAX_ERRORS): only counted */
	size_t more;
};

#define CONFIG_MAX_ERRORS 100

/*
 * Read and check everything.  NULL when something is wrong; then *errors
 * holds each thing: "file:line: what is wrong, what would be right".
 * *errors is initialized here.
 */
struct config *config_load(const struct config_source *src,
    struct config_errors *errors);
void config_free(struct config **cfg);

void config_errors_add(struct config_errors *errors, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* A line each. */
void config_errors_print(const struct config_errors *errors, FILE *fp);
void config_errors_clear(struct config_errors *errors);

/*
 * What is allowed and hardly meant, a sentence each: for the operator to
 * read, not to refuse.
 */
typedef void (*config_warn_fn)(const char *text, void *arg);
void config_warnings(const struct config *cfg, config_warn_fn fn, void *arg);

/*
 * Is this peer one of trusted_proxies, so that X-Forwarded-For from it
 * counts?  'family' is AF_INET, AF_INET6 (IPv4 in IPv6 clothes is IPv4) or
 * AF_UNIX; IPv4 stands in the first 4 bytes, in network order.
 */
bool config_trusts(const struct config *cfg, int family,
    const uint8_t addr[16]);

/*
 * May pages of this site connect: is it in cors.origins, byte for byte, or
 * is that *?  False with an empty list.
 */
bool config_allows_origin(const struct config *cfg, const char *origin,
    size_t len);

/*
 * Bytes of an event's JSON, as its client sent it, that a record of the ring
 * holds whatever chatd adds to it: a quarter of ring.arena_bytes, and of 4m,
 * less 4k.
 */
uint64_t config_event_room(const struct config *cfg);

/* Each option with its value as it would be written in a file. */
typedef void (*config_each_fn)(const char *name, const char *value,
    const char *where, void *arg);
void config_each(const struct config *cfg, config_each_fn fn, void *arg);
/* chatd -T: a file that says the same, each line with where it came from. */
void config_dump(const struct config *cfg, FILE *fp);

/*
 * What differs; the contents of a file that an option names count as its
 * value (and are not shown).  Returns how many of the changes a reload
 * cannot make.
 */
typedef void (*config_diff_fn)(const char *name, const char *old_value,
    const char *new_value, bool reloadable, void *arg);
size_t config_diff(const struct config *old_cfg, const struct config *new_cfg,
    config_diff_fn fn, void *arg);

/* Everything including secrets, as bytes; the buffer is sb's. */
void config_encode(const struct config *cfg, struct strbuf *sb);
/* NULL with errno (EPROTO) when the bytes are not what encode made. */
struct config *config_decode(const void *bytes, size_t len);
/* The same in a sealed memfd, close-on-exec; -1 with errno. */
int config_memfd(const struct config *cfg);
/* Reads from the beginning; 'fd' stays open.  NULL with errno. */
struct config *config_from_fd(int fd);

/* The options as the sample file (etc/chatd.conf), and as mdoc. */
void config_sample(FILE *fp);
void config_manual(FILE *fp);

#endif /* COMMON_CONFIG_H */
