/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * url - an address of the web application, taken apart.
 *
 * Stricter than RFC 3986: what no operator means (a user, a password, a
 * fragment, a blank) is refused instead of being read one way here and
 * another way by the library that goes there.
 */

#ifndef COMMON_URL_H
#define COMMON_URL_H

#include <stdbool.h>
#include <stdint.h>

#define URL_HOST_MAX 253

struct url {
	/* https */
	bool tls;
	/* a name or an address, without the brackets of IPv6 */
	char host[URL_HOST_MAX + 1];
	uint16_t port;
};

/*
 * http:// or https://, host, port, path, query.  False with *why_r what is
 * wrong with it, as the end of a sentence; it holds nothing of the text, of
 * which some may be a secret.
 */
bool url_parse(const char *text, struct url *url_r, const char **why_r);

/* Room for what url_origin() writes. */
#define URL_ORIGIN_SIZE (URL_HOST_MAX + sizeof("https://[]:65535"))

/* What may be shown: scheme, host and port.  Returns buf. */
const char *url_origin(const struct url *url, char buf[URL_ORIGIN_SIZE]);

#endif /* COMMON_URL_H */
