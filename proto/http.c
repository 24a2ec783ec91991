/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "proto/http.h"

/*
 * A head is read in two steps.  head_scan() looks at each byte once, as it
 * comes: it finds the end, and refuses at once what can be no head (control
 * characters, bare CR or LF, too much of anything), so that garbage does
 * not wait for a timeout.  What it lets through consists of lines that end
 * in CR LF and hold neither; the second step cuts them up.
 */

/* indexed by enum http_method */
static const char *const method_names[] = {
	"GET",
	"HEAD",
	"POST",
	"PUT",
	"DELETE",
	"OPTIONS",
	"PATCH",
	"TRACE",
};
_Static_assert(sizeof(method_names) / sizeof(method_names[0]) ==
	HTTP_METHOD__MAX,
    "each method has its name");

static bool
bad(struct http_error *err, int status, const char *why)
{
	err->status = status;
	err->why = why;
	return false;
}

static bool
is_alnum(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	    (c >= 'a' && c <= 'z');
}

static bool
is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

/* RFC 9110 5.6.2 */
static const bool token_chars[256] = {
	['0' ... '9'] = true,
	['A' ... 'Z'] = true,
	['a' ... 'z'] = true,
	['!'] = true,
	['#' ... '\''] = true,
	['*'] = true,
	['+'] = true,
	['-'] = true,
	['.'] = true,
	['^' ... '`'] = true,
	['|'] = true,
	['~'] = true,
};

bool
http_is_token(struct span s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (!token_chars[(unsigned char)s.p[i]])
			return false;
	return s.len > 0;
}

static struct span
trim(const char *p, size_t len)
{
	while (len > 0 && (p[0] == ' ' || p[0] == '\t')) {
		p++;
		len--;
	}
	while (len > 0 && (p[len - 1] == ' ' || p[len - 1] == '\t'))
		len--;
	return (struct span){ p, len };
}

/* --- step one: where the head ends --------------------------------------- */

/* The line that ends at 'pos' is empty: it begins behind a line's end. */
static bool
line_is_empty(const char *buf, size_t pos)
{
	return pos == 0 || buf[pos - 1] == '\n';
}

/*
 * A line ends at 'pos'.  True if the head does, too, or is bad: then
 * err->status is set.
 */
static bool
head_line(const char *buf, size_t pos, struct http_scan *scan,
    struct http_error *err)
{
	if (!line_is_empty(buf, pos)) {
		/* the request line is none of them */
		if (scan->lines++ > HTTP_HEADERS_MAX)
			bad(err, 431, "too many header fields");
		return err->status != 0;
	}
	if (scan->lines > 0)
		return true;
	/* RFC 9112 2.2: one empty line left over from a body before */
	if (pos == 0)
		return false;
	bad(err, 400, "empty request line");
	return true;
}

static enum http_result
bad_head(struct http_error *err, int status, const char *why)
{
	bad(err, status, why);
	return HTTP_BAD;
}

static enum http_result
head_too_long(const struct http_scan *scan, struct http_error *err)
{
	if (scan->lines == 0)
		return bad_head(err, 414, "request line too long");
	return bad_head(err, 431, "request head too long");
}

/* HTTP_OK: *end_r is the place of the last, empty line's CR. */
static enum http_result
head_scan(const char *buf, size_t len, struct http_scan *scan, size_t *end_r,
    struct http_error *err)
{
	size_t max = len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX;
	size_t line_max = HTTP_LINE_MAX + (len > 0 && buf[0] == '\r' ? 2 : 0);
	size_t pos;

	err->status = 0;
	for (pos = scan->pos; pos < max; pos++) {
		unsigned char c = (unsigned char)buf[pos];

		if (c == '\r') {
			if (pos + 1 >= max)
				break;
			if (buf[pos + 1] != '\n')
				return bad_head(err, 400, "CR without LF");
			if (head_line(buf, pos, scan, err)) {
				*end_r = pos;
				return err->status == 0 ? HTTP_OK : HTTP_BAD;
			}
			pos++;
			continue;
		}
		if (c == '\n')
			return bad_head(err, 400, "LF without CR");
		if ((c < ' ' && c != '\t') || c == 0x7f)
			return bad_head(err, 400, "control character");
		if (pos >= line_max && scan->lines == 0)
			return head_too_long(scan, err);
	}
	if (max == HTTP_HEAD_MAX)
		return head_too_long(scan, err);
	scan->pos = (uint32_t)pos;
	return HTTP_MORE;
}

/* --- step two: the request line ------------------------------------------ */

/* Cut off what stands before the next blank; false if there is none. */
static bool
cut_word(struct span *line, struct span *word_r)
{
	const char *blank = memchr(line->p, ' ', line->len);

	if (blank == NULL)
		return false;
	*word_r = (struct span){ line->p, (size_t)(blank - line->p) };
	line->len -= word_r->len + 1;
	line->p = blank + 1;
	return true;
}

static bool
parse_version(struct span v, struct http_request *req, struct http_error *err)
{
	if (v.len != 8 || memcmp(v.p, "HTTP/", 5) != 0 || v.p[6] != '.' ||
	    !is_digit((unsigned char)v.p[5]) ||
	    !is_digit((unsigned char)v.p[7]))
		return bad(err, 400, "malformed HTTP version");
	if (v.p[5] != '1')
		return bad(err, 505, "HTTP version not supported");
	/* RFC 9110 6.2: a later minor version is read as the latest known */
	req->minor = v.p[7] == '0' ? 0 : 1;
	return true;
}

static bool
parse_method(struct http_request *req, struct http_error *err)
{
	unsigned i;

	for (i = 0; i < HTTP_METHOD__MAX; i++) {
		if (span_is(req->method_text, method_names[i])) {
			req->method = (enum http_method)i;
			return true;
		}
	}
	return bad(err, 501, "unknown method");
}

/* uri-host [ ":" port ] of RFC 9110; a name may be empty. */
static bool
host_is_valid(struct span host)
{
	size_t i = 0;

	if (host.len > 0 && host.p[0] == '[') {
		for (i = 1; i < host.len && host.p[i] != ']'; i++)
			if (!is_alnum((unsigned char)host.p[i]) &&
			    strchr(":.-_~%", host.p[i]) == NULL)
				return false;
		if (i < 2 || i++ == host.len)
			return false;
	} else {
		for (; i < host.len && host.p[i] != ':'; i++)
			if (!is_alnum((unsigned char)host.p[i]) &&
			    strchr("-._~%!$&'()*+,;=", host.p[i]) == NULL)
				return false;
	}
	if (i < host.len && host.p[i++] != ':')
		return false;
	for (; i < host.len; i++)
		if (!is_digit((unsigned char)host.p[i]))
			return false;
	return true;
}

/* Take scheme and authority off an absolute-form target. */
static bool
parse_absolute(struct http_request *req, struct span *rest_r,
    struct http_error *err)
{
	struct span t = req->target;
	size_t scheme = 0, n = 0;

	if (t.len > 7 && strncasecmp(t.p, "http://", 7) == 0)
		scheme = 7;
	else if (t.len > 8 && strncasecmp(t.p, "https://", 8) == 0)
		scheme = 8;
	else
		return bad(err, 400, "malformed request target");
	t.p += scheme;
	t.len -= scheme;
	while (n < t.len && t.p[n] != '/' && t.p[n] != '?')
		n++;
	req->host = (struct span){ t.p, n };
	if (n == 0 || t.p[0] == ':' || !host_is_valid(req->host))
		return bad(err, 400, "malformed authority in request target");
	*rest_r = (struct span){ t.p + n, t.len - n };
	return true;
}

static bool
parse_target(struct http_request *req, struct http_error *err)
{
	struct span rest = req->target;
	const char *mark;
	size_t i;

	for (i = 0; i < rest.len; i++)
		if (rest.p[i] <= ' ' || rest.p[i] > '~' || rest.p[i] == '#')
			return bad(err, 400,
			    "character not allowed in request target");
	if (span_is(rest, "*") && req->method == HTTP_OPTIONS) {
		req->path = rest;
		req->query = (struct span){ rest.p + 1, 0 };
		return true;
	}
	if (rest.len == 0 || rest.p[0] != '/') {
		if (!parse_absolute(req, &rest, err))
			return false;
	}
	mark = rest.len == 0 ? NULL : memchr(rest.p, '?', rest.len);
	req->path = rest;
	req->query = (struct span){ rest.p + rest.len, 0 };
	if (mark != NULL) {
		req->path.len = (size_t)(mark - rest.p);
		req->query.p = mark + 1;
		req->query.len = rest.len - req->path.len - 1;
	}
	if (req->path.len == 0)
		req->path = (struct span){ "/", 1 };
	return true;
}

static bool
parse_request_line(struct span line, struct http_request *req,
    struct http_error *err)
{
	if (!cut_word(&line, &req->method_text) ||
	    !http_is_token(req->method_text) || !cut_word(&line, &req->target))
		return bad(err, 400, "malformed request line");
	/* the version first: the others depend on it */
	return parse_version(line, req, err) && parse_method(req, err) &&
	    parse_target(req, err);
}

/* --- step two: the fields ------------------------------------------------ */

static bool
parse_field(struct span line, struct http_request *req, struct http_error *err)
{
	struct http_header *h = &req->headers[req->nheaders];
	const char *colon = memchr(line.p, ':', line.len);

	if (line.p[0] == ' ' || line.p[0] == '\t')
		return bad(err, 400, "folded header field");
	if (colon == NULL)
		return bad(err, 400, "header field without a colon");
	h->name = (struct span){ line.p, (size_t)(colon - line.p) };
	if (!http_is_token(h->name))
		return bad(err, 400, "malformed header field name");
	h->value = trim(colon + 1, line.len - h->name.len - 1);
	req->nheaders++;
	return true;
}

/* All lines up to 'end', the place of the empty one. */
static bool
parse_lines(const char *buf, size_t end, struct http_request *req,
    struct http_error *err)
{
	size_t pos = buf[0] == '\r' ? 2 : 0;
	bool first = true;

	while (pos < end) {
		const char *cr = memchr(buf + pos, '\r', end - pos);
		struct span line = { buf + pos, (size_t)(cr - (buf + pos)) };

		if (first && !parse_request_line(line, req, err))
			return false;
		if (!first && !parse_field(line, req, err))
			return false;
		first = false;
		pos += line.len + 2;
	}
	return true;
}

unsigned
http_header(const struct http_request *req, const char *name,
    struct span *value_r)
{
	unsigned i, n = 0;

	for (i = 0; i < req->nheaders; i++) {
		if (!span_is_nocase(req->headers[i].name, name))
			continue;
		if (n++ == 0 && value_r != NULL)
			*value_r = req->headers[i].value;
	}
	return n;
}

bool
http_list_next(const struct http_request *req, const char *name,
    struct http_list *list, struct span *element_r)
{
	for (; list->header < req->nheaders; list->header++, list->pos = 0) {
		const struct http_header *h = &req->headers[list->header];

		if (!span_is_nocase(h->name, name))
			continue;
		while (list->pos < h->value.len) {
			const char *p = h->value.p + list->pos;
			size_t left = h->value.len - list->pos;
			const char *comma = memchr(p, ',', left);
			size_t n = comma == NULL ? left : (size_t)(comma - p);
			struct span element = trim(p, n);

			list->pos += n + (comma != NULL);
			if (element.len > 0) {
				*element_r = element;
				return true;
			}
		}
	}
	return false;
}

static bool
list_has(const struct http_request *req, const char *name, const char *token)
{
	struct http_list list = { 0 };
	struct span element;

	while (http_list_next(req, name, &list, &element))
		if (span_is_nocase(element, token))
			return true;
	return false;
}

/* --- what the fields mean ------------------------------------------------ */

static bool
check_host(struct http_request *req, struct http_error *err)
{
	struct span host = { "", 0 };
	unsigned n = http_header(req, "Host", &host);

	if (n > 1)
		return bad(err, 400, "more than one Host field");
	if (n == 0 && req->minor >= 1)
		return bad(err, 400, "no Host field");
	if (!host_is_valid(host))
		return bad(err, 400, "malformed Host field");
	/* RFC 9112 3.2.2: a target's authority replaces the field */
	if (req->host.len == 0)
		req->host = host;
	return true;
}

static bool
check_content_length(struct http_request *req, struct http_error *err)
{
	struct span v;
	unsigned n = http_header(req, "Content-Length", &v);
	uint64_t sum = 0;
	size_t i;

	if (n == 0)
		return true;
	if (n > 1 || v.len == 0)
		return bad(err, 400, "malformed Content-Length");
	for (i = 0; i < v.len; i++)
		if (!is_digit((unsigned char)v.p[i]))
			return bad(err, 400, "malformed Content-Length");
	for (i = 0; i < v.len; i++) {
		unsigned digit = (unsigned)(v.p[i] - '0');

		if (sum > ((uint64_t)INT64_MAX - digit) / 10)
			return bad(err, 413, "Content-Length too large");
		sum = sum * 10 + digit;
	}
	req->content_length = sum;
	return true;
}

/* Exactly one coding, chunked, in HTTP/1.1, and no length beside it. */
static bool
check_transfer_encoding(struct http_request *req, struct http_error *err)
{
	struct http_list list = { 0 };
	struct span coding;
	unsigned others = 0;

	if (http_header(req, "Transfer-Encoding", NULL) == 0)
		return true;
	if (req->minor == 0)
		return bad(err, 400, "Transfer-Encoding in HTTP/1.0");
	if (http_header(req, "Content-Length", NULL) > 0)
		return bad(err, 400, "Transfer-Encoding and Content-Length");
	while (http_list_next(req, "Transfer-Encoding", &list, &coding)) {
		if (req->chunked)
			return bad(err, 400, "coding behind chunked");
		if (span_is_nocase(coding, "chunked"))
			req->chunked = true;
		else
			others++;
	}
	if (!req->chunked)
		return bad(err, 400, "last transfer coding is not chunked");
	if (others > 0)
		return bad(err, 501, "transfer coding not supported");
	return true;
}

static bool
check_expect(struct http_request *req, struct http_error *err)
{
	struct http_list list = { 0 };
	struct span element;

	/* RFC 9110 10.1.1: ignored in HTTP/1.0 */
	if (req->minor == 0)
		return true;
	while (http_list_next(req, "Expect", &list, &element)) {
		if (!span_is_nocase(element, "100-continue"))
			return bad(err, 417, "expectation not supported");
		req->expect_continue = true;
	}
	return true;
}

static void
read_connection(struct http_request *req)
{
	if (list_has(req, "Connection", "close"))
		req->keep_alive = false;
	else if (req->minor == 0)
		req->keep_alive = list_has(req, "Connection", "keep-alive");
	else
		req->keep_alive = true;
	/* RFC 9110 7.8: Upgrade is ignored in HTTP/1.0 */
	req->upgrade_websocket = req->minor >= 1 &&
	    list_has(req, "Connection", "upgrade") &&
	    list_has(req, "Upgrade", "websocket");
}

enum http_result
http_parse(const char *buf, size_t len, struct http_scan *scan,
    struct http_request *req_r, struct http_error *err_r)
{
	struct http_error err;
	enum http_result result;
	size_t end = 0;

	result = head_scan(buf, len, scan, &end, &err);
	if (result == HTTP_MORE)
		return HTTP_MORE;
	if (result == HTTP_BAD) {
		*err_r = err;
		return HTTP_BAD;
	}
	/* the table of headers needs no clearing */
	memset(req_r, 0, offsetof(struct http_request, headers));
	if (!parse_lines(buf, end, req_r, &err) || !check_host(req_r, &err) ||
	    !check_content_length(req_r, &err) ||
	    !check_transfer_encoding(req_r, &err) ||
	    !check_expect(req_r, &err)) {
		*err_r = err;
		return HTTP_BAD;
	}
	read_connection(req_r);
	req_r->head_len = end + 2;
	*scan = (struct http_scan){ 0 };
	return HTTP_OK;
}
