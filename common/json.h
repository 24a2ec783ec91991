/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * json - JSON as bytes: a strict scanner, a reader of spans, a writer.
 *
 * What clients send is scanned once (json_scan), then read in place: a value
 * is a span of the text, so that what is only passed on travels as the bytes
 * it came as and numbers keep their digits.  There is no tree on that path.
 * Trees (json_tree_*) are for configuration and control.
 *
 * Names that jansson has (it comes with libjose) are avoided: json_string
 * here would be called by libjose there.
 */

#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_span {
	const char *p;
	size_t len;
};

/* --- scanning ----------------------------------------------------------- */

enum json_verdict {
	JSON_FINE,
	/*
	 * JSON by its grammar, but not for us: a key twice in an object, a
	 * NUL, half a surrogate pair, invalid UTF-8 in a string, or too deep.
	 */
	JSON_REFUSED,
	/* not JSON, or something behind the value */
	JSON_BAD,
};

#define JSON_MAX_DEPTH 64

/*
 * One value with nothing but blanks around it?  'max_depth' (at most
 * JSON_MAX_DEPTH) counts arrays and objects: [[]] has depth 2.  Unless
 * JSON_FINE, *why_r is a sentence.  Time is O(n log n) in the worst case.
 */
enum json_verdict json_scan(const char *p, size_t len, unsigned max_depth,
    const char **why_r);

/* --- reading: only what json_scan() has found JSON_FINE ------------------ */

enum json_kind {
	/* no value at all */
	JSON_KIND_NONE,
	JSON_KIND_OBJECT,
	JSON_KIND_ARRAY,
	JSON_KIND_STRING,
	JSON_KIND_NUMBER,
	JSON_KIND_BOOL,
	JSON_KIND_NULL,
};

/*
 * A value.  'text' is all of it as it stands in the source: a string's has
 * its quotes, an object's its braces; no blanks around.
 */
struct json_value {
	enum json_kind kind;
	struct json_span text;
};

/* The value of a whole text; KIND_NONE if it is blank. */
struct json_value json_value(const char *p, size_t len);

/* Walks over the members of an object or the elements of an array. */
struct json_iter {
	const char *p, *end;
};

/* 'v' must be an object or an array; anything else has no members. */
struct json_iter json_iter(struct json_value v);
/* Walk over values with commas between: the inside of an array. */
struct json_iter json_iter_inside(const char *p, size_t len);
/* The next element; false at the end. */
bool json_next(struct json_iter *it, struct json_value *v_r);
/* The next member; the key is a string with its quotes. */
bool json_next_member(struct json_iter *it, struct json_value *key_r,
    struct json_value *v_r);

/* Is this string (or key) this text?  Escapes are understood. */
bool json_is(struct json_value string, const char *text);
/* The member of an object; KIND_NONE if it has none of that name. */
struct json_value json_member(struct json_value object, const char *key);

/* What stands between a string's quotes, escapes and all. */
struct json_span json_inside(struct json_value string);
/* UTF-16 code units of a string. */
size_t json_utf16_length(struct json_value string);
/*
 * Decode a string into 'buf' and end it with a NUL.  Returns its length, or
 * -1 if it does not fit (escapes only ever shrink: a buffer of the span's
 * length always suffices).
 */
ssize_t json_decode(struct json_value string, char *buf, size_t size);
/*
 * Walk over a string's characters: 'at' begins as NULL.  False at the end.
 */
bool json_next_char(struct json_value string, const char **at, uint32_t *c_r);

/* A whole number between min and max, however it is written (5, 5.0, 5e0);
 * false if it is none.  max is less than 2^53. */
bool json_to_int(struct json_value v, int64_t min, int64_t max, int64_t *n_r);
/* A finite number. */
bool json_to_double(struct json_value v, double *d_r);
bool json_to_bool(struct json_value v, bool *b_r);

/* Length of a value without the blanks between its tokens. */
size_t json_compact_length(struct json_span text);
/* Write it so into 'buf', which holds text.len bytes; returns the length. */
size_t json_compact(struct json_span text, char *buf);

/* --- writing ------------------------------------------------------------ */

/*
 * Grows as needed; zero it to begin, json_out_clear() to end.  Commas are
 * put where they belong.  If memory runs out 'failed' is set and stays set
 * until json_out_reset().
 */
struct json_out {
	char *p;
	size_t len, size;
	/* a value stands before: the next one needs a comma */
	bool comma;
	bool failed;
};

void json_out_reset(struct json_out *o);
void json_out_clear(struct json_out *o);
void json_out_object(struct json_out *o);
void json_out_object_end(struct json_out *o);
void json_out_array(struct json_out *o);
void json_out_array_end(struct json_out *o);
/* 'key' is a plain name: nothing in it needs an escape. */
void json_out_key(struct json_out *o, const char *key);
/* A key as it stands in a source, quotes and all. */
void json_out_raw_key(struct json_out *o, struct json_value key);
/* Escaped as JSON.stringify() does it; 'p' is UTF-8. */
void json_out_string(struct json_out *o, const char *p, size_t len);
void json_out_cstring(struct json_out *o, const char *s);
void json_out_u64(struct json_out *o, uint64_t n);
void json_out_i64(struct json_out *o, int64_t n);
/* Shortest text that reads back the same; null if it is not finite. */
void json_out_double(struct json_out *o, double d);
void json_out_bool(struct json_out *o, bool b);
void json_out_null(struct json_out *o);
/* One value's text as it is; or without the blanks between its tokens. */
void json_out_raw(struct json_out *o, const char *p, size_t len);
void json_out_compact(struct json_out *o, struct json_span text);
/* Members or elements as they are, commas between them and none around;
 * nothing if len is 0. */
void json_out_inside(struct json_out *o, const char *p, size_t len);

/* --- trees: configuration and control, never a client's message ---------- */

/* A value and all in it; opaque. */
struct json_tree;

/* Scans strictly first.  NULL with *why_r a sentence. */
struct json_tree *json_tree_parse(const char *p, size_t len,
    const char **why_r);
void json_tree_free(struct json_tree **t);

enum json_kind json_tree_kind(const struct json_tree *t);
/* NULL if 't' is no object (or NULL) or has no such member. */
const struct json_tree *json_tree_get(const struct json_tree *t,
    const char *key);
/* Elements of an array or members of an object; 0 for the others. */
size_t json_tree_size(const struct json_tree *t);
const struct json_tree *json_tree_at(const struct json_tree *t, size_t i);
/* The member's name; NULL for the elements of an array. */
const char *json_tree_key(const struct json_tree *t);
/* NULL if it is no string. */
const char *json_tree_text(const struct json_tree *t);
bool json_tree_number(const struct json_tree *t, double *d_r);
bool json_tree_bool(const struct json_tree *t, bool *b_r);

#endif /* COMMON_JSON_H */
