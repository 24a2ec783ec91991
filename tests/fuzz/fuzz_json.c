/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fuzz_json - whatever the text, nothing leaves it; what the scanner finds
 * fine reads, and written again means the same; cJSON agrees that it is JSON.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "common/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DEPTH 32

static void
check_string(struct json_value v)
{
	struct json_out o = { 0 };
	struct json_value again;
	size_t max = v.text.len + 1;
	char *buf = malloc(max);
	const char *at = NULL;
	uint32_t c;
	size_t units = 0;
	ssize_t len;

	CHECK(buf != NULL);
	len = json_decode(v, buf, max);
	CHECK(len >= 0 && utf8_valid(buf, (size_t)len));
	CHECK(memchr(buf, '\0', (size_t)len) == NULL);
	CHECK(json_is(v, buf));
	while (json_next_char(v, &at, &c))
		units += c >= 0x10000 ? 2 : 1;
	CHECK(units == json_utf16_length(v));
	CHECK(units == utf8_utf16_length(buf, (size_t)len));
	json_out_string(&o, buf, (size_t)len);
	again = json_value(o.p, o.len);
	CHECK(again.text.len == o.len && json_is(again, buf));
	json_out_clear(&o);
	free(buf);
}

/* Everything in a value, written to 'o' token by token. */
static void
copy_value(struct json_out *o, struct json_value v)
{
	struct json_iter it = json_iter(v);
	struct json_value k, e;
	int64_t n;
	double d;

	switch (v.kind) {
	case JSON_KIND_OBJECT:
		json_out_object(o);
		while (json_next_member(&it, &k, &e)) {
			check_string(k);
			json_out_raw_key(o, k);
			copy_value(o, e);
		}
		json_out_object_end(o);
		break;
	case JSON_KIND_ARRAY:
		json_out_array(o);
		while (json_next(&it, &e))
			copy_value(o, e);
		json_out_array_end(o);
		break;
	case JSON_KIND_STRING:
		check_string(v);
		json_out_raw(o, v.text.p, v.text.len);
		break;
	case JSON_KIND_NUMBER:
		if (json_to_int(v, -1000, 1000, &n))
			CHECK(json_to_double(v, &d) && d == (double)n);
		json_out_raw(o, v.text.p, v.text.len);
		break;
	case JSON_KIND_BOOL:
	case JSON_KIND_NULL:
		json_out_raw(o, v.text.p, v.text.len);
		break;
	case JSON_KIND_NONE:
		CHECK(!"a value in what is fine");
	}
}

static void
check_fine(const char *p, size_t len)
{
	struct json_value v = json_value(p, len);
	struct json_out tokens = { 0 }, compact = { 0 };
	struct json_tree *tree;
	const char *why;

	copy_value(&tokens, v);
	json_out_compact(&compact, (struct json_span){ p, len });
	CHECK(tokens.len == compact.len);
	CHECK(memcmp(tokens.p, compact.p, compact.len) == 0);
	CHECK(json_compact_length(v.text) == compact.len);
	CHECK(json_scan(compact.p, compact.len, DEPTH, &why) == JSON_FINE);
	tree = json_tree_parse(p, len, &why);
	CHECK(tree != NULL && json_tree_kind(tree) == v.kind);
	json_tree_free(&tree);
	json_out_clear(&tokens);
	json_out_clear(&compact);
}

/* Of a text that was not scanned the reader tells nonsense, and no more. */
static void
read_anything(const char *p, size_t len)
{
	struct json_iter it = json_iter_inside(p, len);
	struct json_value v = json_value(p, len), k;
	const char *at;
	char buf[64];
	uint32_t c;

	CHECK(v.text.p >= p && v.text.p + v.text.len <= p + len);
	while (json_next(&it, &v)) {
		CHECK(v.text.p >= p && v.text.p + v.text.len <= p + len);
		(void)json_member(v, "sessionId");
		(void)json_decode(v, buf, sizeof(buf));
		(void)json_utf16_length(v);
		for (at = NULL; json_next_char(v, &at, &c);)
			CHECK(at > p && at <= p + len);
	}
	it = json_iter(json_value(p, len));
	while (json_next_member(&it, &k, &v))
		CHECK(k.text.p + k.text.len <= v.text.p);
	CHECK(json_compact_length((struct json_span){ p, len }) <= len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* a copy that ends where it ends */
	char *p = malloc(size > 0 ? size : 1);
	const char *why = NULL;
	enum json_verdict verdict;

	CHECK(p != NULL);
	if (size > 0)
		memcpy(p, data, size);
	verdict = json_scan(p, size, DEPTH, &why);
	CHECK((verdict == JSON_FINE) == (why == NULL));
	/* a limit of depth refuses, it does not change what is JSON */
	CHECK(
	    (json_scan(p, size, 1, &why) == JSON_BAD) == (verdict == JSON_BAD));
	if (verdict == JSON_FINE)
		check_fine(p, size);
	else
		read_anything(p, size);
	free(p);
	return 0;
}
