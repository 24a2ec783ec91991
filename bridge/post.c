/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "bridge/post.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/log.h"
#include "common/utf8.h"

#define REPLY_DEPTH 16
#define STATUS_OK 200
#define STATUS_UNAUTHORIZED 401
#define STATUS_FORBIDDEN 403
/* somebody in between says that the application is not there */
#define STATUS_BAD_GATEWAY 502
#define STATUS_GATEWAY_TIMEOUT 504

/* --- the question -------------------------------------------------------- */

/* Fields of HTTP may hold any bytes. */
static void
put_any(struct json_out *o, struct ask_text text)
{
	char buf[ASK_AGENT_MAX];
	size_t i, n;
	uint32_t c;

	CHECK(text.len <= sizeof(buf));
	for (i = 0; i < text.len; i += n) {
		n = utf8_decode(text.p + i, text.len - i, &c);
		if (n > 0)
			memcpy(buf + i, text.p + i, n);
		else
			buf[i] = '?';
		n = n == 0 ? 1 : n;
	}
	json_out_string(o, buf, text.len);
}

bool
post_body(const struct ask_question *q, struct json_out *o)
{
	if (!utf8_valid(q->token.p, q->token.len))
		return false;
	json_out_reset(o);
	json_out_object(o);
	json_out_key(o, "token");
	json_out_string(o, q->token.p, q->token.len);
	json_out_key(o, "remoteAddress");
	put_any(o, q->address);
	json_out_key(o, "userAgent");
	put_any(o, q->agent);
	json_out_object_end(o);
	if (o->failed)
		fatalx("out of memory for a question");
	return true;
}

/* --- the answer ----------------------------------------------------------- */

/* The value behind a directive's name; NULL if it is another one. */
static const char *
directive(const char *p, size_t len, const char *name)
{
	size_t n = strlen(name);

	if (len < n || strncasecmp(p, name, n) != 0)
		return NULL;
	return len == n || p[n] == '=' ? p + n : NULL;
}

static unsigned
parse_age(const char *p)
{
	unsigned long n;
	char *end;

	if (p[0] != '=')
		return 0;
	p += p[1] == '"' ? 2 : 1;
	if (*p < '0' || *p > '9')
		return 0;
	n = strtoul(p, &end, 10);
	if (*end == '"')
		end++;
	if (*end != '\0' && strchr(", \t", *end) == NULL)
		return 0;
	return n > INT_MAX ? INT_MAX : (unsigned)n;
}

unsigned
post_max_age(const char *cache_control)
{
	const char *p = cache_control, *value;
	unsigned age = 0;
	size_t len;

	while (p != NULL && *p != '\0') {
		p += strspn(p, ", \t");
		len = strcspn(p, ", \t");
		if (directive(p, len, "no-store") != NULL ||
		    directive(p, len, "no-cache") != NULL)
			return 0;
		if ((value = directive(p, len, "max-age")) != NULL)
			age = parse_age(value);
		p += len;
	}
	return age;
}

/* What the contract names, out of an object; false if there is no user. */
static bool
take_claims(struct json_value v, struct json_out *o)
{
	static const char *const names[] = { "userId", "userName", "role",
		"workspaces", "expiresAt" };
	struct json_value member;

	if (v.kind != JSON_KIND_OBJECT ||
	    json_member(v, "userId").kind != JSON_KIND_STRING)
		return false;
	json_out_reset(o);
	json_out_object(o);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		member = json_member(v, names[i]);
		/* as if it were not there */
		if (member.kind == JSON_KIND_NONE ||
		    member.kind == JSON_KIND_NULL)
			continue;
		json_out_key(o, names[i]);
		json_out_compact(o, member.text);
	}
	json_out_object_end(o);
	if (o->failed)
		fatalx("out of memory for an answer");
	return o->len <= ASK_CLAIMS_MAX;
}

static struct post_result
unavailable(const char *why, bool down)
{
	return (struct post_result){ .outcome = ASK_UNAVAILABLE,
		.down = down,
		.why = why };
}

static struct post_result
judge_ok(const struct post_reply *r, struct json_out *claims)
{
	const char *why;

	if (r->too_large)
		return unavailable("the answer is too large", false);
	if (json_scan(r->body.p, r->body.len, REPLY_DEPTH, &why) != JSON_FINE)
		return unavailable("the answer is not the JSON that it "
				   "should be",
		    false);
	if (!take_claims(json_value(r->body.p, r->body.len), claims))
		return unavailable("the answer names no user", false);
	return (struct post_result){ .outcome = ASK_GRANTED,
		.max_age = post_max_age(r->cache_control) };
}

struct post_result
post_judge(const struct post_reply *r, struct json_out *claims)
{
	if (r->status == STATUS_OK)
		return judge_ok(r, claims);
	if (r->status == STATUS_UNAUTHORIZED || r->status == STATUS_FORBIDDEN)
		return (struct post_result){ .outcome = ASK_REFUSED };
	if (r->status == 0)
		return unavailable(r->why == NULL ? "no answer" : r->why, true);
	return unavailable("the answer has another status",
	    r->status >= STATUS_BAD_GATEWAY &&
		r->status <= STATUS_GATEWAY_TIMEOUT);
}
