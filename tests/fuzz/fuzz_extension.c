/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fuzz_extension - offers of extensions, a field a line: what is agreed to
 * is what a slower reader finds, and the answer is itself a good offer.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "proto/ws_extension.h"

#define TOKENS_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- the slower reader --------------------------------------------------- */

/* A mark, or 't': a token, 'q': one in quotes; 0: the end, '!': nonsense. */
struct token {
	char kind;
	struct span text;
};

static struct token tokens[TOKENS_MAX];

static size_t
token_length(const char *p, size_t len)
{
	size_t n = 0;

	while (n < len && http_is_token((struct span){ p + n, 1 }))
		n++;
	return n;
}

/* The token at 'p'; returns its length there. */
static size_t
read_token(const char *p, size_t len, struct token *t)
{
	size_t n;

	t->text = (struct span){ p, 1 };
	t->kind = p[0];
	if (p[0] == ',' || p[0] == ';' || p[0] == '=')
		return 1;
	n = token_length(p, len);
	t->kind = 't';
	t->text.len = n;
	if (n > 0)
		return n;
	t->kind = '!';
	if (p[0] != '"')
		return 1;
	n = token_length(p + 1, len - 1);
	if (n == 0 || n + 1 == len || p[n + 1] != '"')
		return 1;
	t->kind = 'q';
	t->text = (struct span){ p + 1, n };
	return n + 2;
}

static void
read_tokens(struct span field)
{
	size_t at = 0, n = 0;

	while (at < field.len && n < TOKENS_MAX - 1) {
		if (field.p[at] == ' ' || field.p[at] == '\t')
			at++;
		else
			at += read_token(field.p + at, field.len - at,
			    &tokens[n++]);
	}
	tokens[n] = (struct token){ 0 };
}

static int
bits_of(struct span text)
{
	static const char *const names[] = { "8", "9", "10", "11", "12", "13",
		"14", "15" };
	int i;

	for (i = 0; i < 8; i++)
		if (span_is(text, names[i]))
			return 8 + i;
	return -1;
}

/* What a parameter does to an offer: 0 declines it. */
static bool
good_param(struct span name, const struct token *value, unsigned *seen,
    int *bits)
{
	static const char *const names[] = { "server_no_context_takeover",
		"client_no_context_takeover", "server_max_window_bits",
		"client_max_window_bits" };
	unsigned i = 0;

	while (i < 4 && !span_is(name, names[i]))
		i++;
	if (i == 4 || (*seen >> i & 1) != 0)
		return false;
	*seen |= 1u << i;
	if (i < 2)
		return value == NULL;
	if (value == NULL)
		return i == 3;
	if (i == 2)
		*bits = bits_of(value->text);
	return i == 2 ? *bits >= 9 : bits_of(value->text) >= 8;
}

/*
 * Reads tokens: -1 nonsense, 0 nothing to take, else the window, negative
 * less 100 if it was not asked for.
 */
static int
read_field(void)
{
	const struct token *t = tokens;
	int found = 0;

	for (;;) {
		unsigned seen = 0;
		int bits = 0;
		bool good;

		while (t->kind == ',')
			t++;
		if (t->kind == '\0')
			return found;
		if (t->kind != 't')
			return -1;
		good = span_is((t++)->text, "permessage-deflate");
		while (t->kind == ';') {
			const struct token *name = ++t, *value = NULL;

			if (name->kind != 't')
				return -1;
			if ((++t)->kind == '=') {
				value = ++t;
				if (value->kind != 't' && value->kind != 'q')
					return -1;
				t++;
			}
			good =
			    good_param(name->text, value, &seen, &bits) && good;
		}
		if (t->kind != ',' && t->kind != '\0')
			return -1;
		if (good && found == 0)
			found = bits > 0 ? bits : 100 + 15;
	}
}

/* --- the target ---------------------------------------------------------- */

static int
expected(const struct http_request *req)
{
	unsigned i;
	int found = 0;

	for (i = 0; i < req->nheaders && found == 0; i++) {
		read_tokens(req->headers[i].value);
		found = read_field();
	}
	return found < 0 ? 0 : found;
}

/* The answer, offered, leads to the same answer. */
static void
check_answer(const struct ws_deflate *params)
{
	static struct http_request req;
	char answer[WS_DEFLATE_ANSWER_MAX], again[WS_DEFLATE_ANSWER_MAX];
	struct ws_deflate got;
	size_t len = ws_deflate_answer(answer, sizeof(answer), params);

	CHECK(len < sizeof(answer) && strlen(answer) == len);
	req.nheaders = 1;
	req.headers[0].name = (struct span){ "Sec-WebSocket-Extensions", 24 };
	req.headers[0].value = (struct span){ answer, len };
	CHECK(ws_deflate_negotiate(&req, &got));
	CHECK(ws_deflate_answer(again, sizeof(again), &got) == len);
	CHECK(strcmp(answer, again) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_request req;
	struct ws_deflate got = { .bits = 77 };
	char *copy = malloc(size > 0 ? size : 1), *at = copy, *end;
	int want;

	CHECK(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	req.nheaders = 0;
	while (at < copy + size && req.nheaders < 8) {
		end = memchr(at, '\n', (size_t)(copy + size - at));
		if (end == NULL)
			end = copy + size;
		req.headers[req.nheaders].name =
		    (struct span){ "sec-websocket-extensions", 24 };
		req.headers[req.nheaders++].value =
		    (struct span){ at, (size_t)(end - at) };
		at = end + 1;
	}
	if (size < TOKENS_MAX) {
		want = expected(&req);
		CHECK(ws_deflate_negotiate(&req, &got) == (want > 0));
		CHECK(want > 0 ? got.bits == want % 100 : got.bits == 77);
		CHECK(want == 0 || got.bits_asked == (want < 100));
		if (want > 0)
			check_answer(&got);
	}
	free(copy);
	return 0;
}
