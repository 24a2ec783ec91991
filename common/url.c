/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "common/url.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool
wrong(const char **why_r, const char *why)
{
	*why_r = why;
	return false;
}

/* Nothing that a library might repair, or read in its own way. */
static bool
is_plain(const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text <= ' ' || *text > '~' ||
		    strchr("\"<>\\^`{|}", *text) != NULL)
			return false;
	}
	return true;
}

/* What stands behind the scheme; NULL if it is none of ours. */
static const char *
skip_scheme(const char *text, bool *tls_r)
{
	*tls_r = strncasecmp(text, "https://", 8) == 0;
	if (*tls_r)
		return text + 8;
	return strncasecmp(text, "http://", 7) == 0 ? text + 7 : NULL;
}

/* A name, or an address in four numbers. */
static bool
is_name(const char *p, size_t len)
{
	size_t n = strspn(p,
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789.-_");

	return len > 0 && n >= len && p[0] != '.' && p[0] != '-' &&
	    memmem(p, len, "..", 2) == NULL;
}

/* Host and, if there is one, the colon in front of the port. */
static bool
take_host(const char *p, size_t len, struct url *url, const char **rest_r)
{
	struct in6_addr a;
	const char *end;
	size_t n;

	if (p[0] == '[') {
		if ((end = memchr(p, ']', len)) == NULL)
			return false;
		n = (size_t)(end - p) - 1;
		*rest_r = end + 1;
		p++;
	} else {
		end = memchr(p, ':', len);
		n = end == NULL ? len : (size_t)(end - p);
		*rest_r = p + n;
		if (!is_name(p, n))
			return false;
	}
	if (n == 0 || n > URL_HOST_MAX)
		return false;
	memcpy(url->host, p, n);
	url->host[n] = '\0';
	return p[-1] != '[' || inet_pton(AF_INET6, url->host, &a) == 1;
}

static bool
take_port(const char *p, const char *end, struct url *url)
{
	unsigned port = 0;

	url->port = url->tls ? 443 : 80;
	if (p == end)
		return true;
	if (*p++ != ':' || p == end)
		return false;
	for (; p < end; p++) {
		if (*p < '0' || *p > '9')
			return false;
		port = port * 10 + (unsigned)(*p - '0');
		if (port > 65535)
			return false;
	}
	url->port = (uint16_t)port;
	return port != 0;
}

bool
url_parse(const char *text, struct url *url_r, const char **why_r)
{
	struct url url;
	const char *host, *rest;
	size_t len;

	if (!is_plain(text))
		return wrong(why_r,
		    "holds blanks or characters that are to be written as "
		    "%XX");
	if ((host = skip_scheme(text, &url.tls)) == NULL)
		return wrong(why_r, "must begin with http:// or https://");
	if (strchr(host, '#') != NULL)
		return wrong(why_r, "must not have a part behind #");
	len = strcspn(host, "/?");
	if (memchr(host, '@', len) != NULL)
		return wrong(why_r, "must not hold a user or a password");
	if (!take_host(host, len, &url, &rest))
		return wrong(why_r, "needs the name or address of a host");
	if (!take_port(rest, host + len, &url))
		return wrong(why_r, "needs a port from 1 to 65535, or none");
	*url_r = url;
	return true;
}

const char *
url_origin(const struct url *url, char buf[URL_ORIGIN_SIZE])
{
	bool v6 = strchr(url->host, ':') != NULL;

	(void)snprintf(buf, URL_ORIGIN_SIZE, "%s://%s%s%s:%u",
	    url->tls ? "https" : "http", v6 ? "[" : "", url->host,
	    v6 ? "]" : "", (unsigned)url->port);
	return buf;
}
