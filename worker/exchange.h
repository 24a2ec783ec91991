/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * exchange - one HTTP request and how it wants to be answered.
 *
 * Most are answered while their head is looked at, and then this lives on
 * the stack; a GET that waits and a POST whose body is still coming keep a
 * copy with their connection.
 */

#ifndef WORKER_EXCHANGE_H
#define WORKER_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/eio.h"
#include "proto/http.h"
#include "proto/http_body.h"

struct asset;
struct assets;
struct conn;

/* a request's head has to be here this long after its first byte */
#define EXCHANGE_HEAD_MS 10000
/* a connection may wait so long for its next request: longer than proxies
 * keep theirs (nginx: 60 s), so that they close first */
#define EXCHANGE_IDLE_MS 75000
/* a body may take so long, and a second more for each so many bytes */
#define EXCHANGE_BODY_MS 20000
#define EXCHANGE_BODY_RATE 4096
/* of what is added to each answer (CORS) */
#define EXCHANGE_HEADERS_MAX 1024

struct exchange {
	/* the connection may take another request */
	bool keep_alive;
	/* HEAD: no body */
	bool head_only;
	bool upgrade;
	/* what it can take besides plain text */
	bool gzip, deflate;
	/* an old browser that has to be told X-XSS-Protection: 0 */
	bool old_browser;
	bool jsonp;
	/* JSONP: the digits of j; the handshake's answer sets a cookie */
	uint32_t jsonp_index;
	bool set_cookie;
	/* its body is application/octet-stream */
	bool binary;
	/* nobody wants its body any more */
	bool dropped;
	/* ... but its sender is told `ok' all the same */
	bool late;
	/* a body is to come (chunked or by length) */
	bool has_body;
	bool expect_continue;
	/* how its body is framed, for when nobody wants it */
	struct http_body body;
	uint64_t body_began_ms;
	/* FILE: what is being sent, how far it is */
	struct assets *assets;
	const struct asset *file;
	size_t file_at;
	/* fields that go into each answer, each ended by CR LF */
	char headers[EXCHANGE_HEADERS_MAX];
};

struct exchange_answer {
	int status;
	/* Content-Type, or NULL */
	const char *type;
	/* further fields, each ended by CR LF, or NULL */
	const char *headers;
	const char *body;
	size_t len;
	/* the body follows piece by piece: x->file */
	bool stream;
	/* the connection takes no more requests in any case */
	bool close;
};

/* So much of an answer has left: it may take longer, if it is long. */
void exchange_progress(struct conn *c, size_t len);

/* Look at a head: everything but 'headers'. */
void exchange_init(struct exchange *x, const struct http_request *req);
/* The connection keeps a copy (or has it: 'x' is its own). */
void exchange_keep(struct conn *c, const struct exchange *x);
void exchange_free(struct exchange **x);

/*
 * Answer, and be ready for the next request; or for the body of this one,
 * to be dropped; or for the end.  'x' may be the connection's own, and is
 * gone then.
 */
void exchange_send(struct conn *c, const struct exchange *x,
    const struct exchange_answer *a);
/* The last piece of a file is on its way. */
void exchange_file_sent(struct conn *c);
/* An answer that is an error of Engine.IO. */
void exchange_refuse(struct conn *c, const struct exchange *x,
    enum eio_error error, const char *text);
/* Without a body. */
void exchange_status(struct conn *c, const struct exchange *x, int status);

#endif /* WORKER_EXCHANGE_H */
