/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * http - POSTs to one address, many at once, out of the event loop.
 *
 * libcurl does it; this is the only place that knows.  Connections are kept
 * and used again, names are looked up in threads, redirects are answers like
 * others, the environment's proxies do not count, and certificates are
 * checked against authorities that were read before (http_trust()).
 */

#ifndef BRIDGE_HTTP_H
#define BRIDGE_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "bridge/post.h"

struct event_base;
struct http;

/*
 * What became of http_post(), whose 'owner' and 'since_ns' it is.
 */
typedef void (*http_fn)(void *arg, void *owner, uint64_t since_ns,
    const struct post_reply *r);

/*
 * Everything that is opened lazily is opened here, so call it in front of
 * the sandbox; the process has one thread.  Ends the process if it cannot
 * work.
 */
struct http *http_new(struct event_base *base, http_fn fn, void *arg);
/* What is under way is forgotten without a word. */
void http_free(struct http **h);

/* Where to, from now on: a URL that url_parse() takes. */
void http_set_url(struct http *h, const char *url);

/*
 * Read the certificates of authorities: those of the file that the
 * environment names in SSL_CERT_FILE, else the system's.  They are what
 * counts for connections from now on.  0, or -1 with *why_r: those that were
 * read before stay.
 */
int http_trust(struct http *h, const char **why_r);

/*
 * Look up a name that does not exist, so that the C library loads what the
 * system's configuration names: in a sandbox it could not.
 */
void http_prepare_resolver(void);

/*
 * POST 'body' (JSON; stays the caller's, and there) as 'owner'.  0, or -1
 * with errno.  'fn' is called once, from the loop.
 */
int http_post(struct http *h, void *owner, uint64_t since_ns, const char *body,
    size_t len, uint64_t timeout_ms);

/* "libcurl/7.88.1 OpenSSL/3.0.15 ..." */
const char *http_version(void);

#endif /* BRIDGE_HTTP_H */
