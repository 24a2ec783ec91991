/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * Trees: cJSON behind our own scanner, which refuses what cJSON takes
 * (01, 1e400, a key twice, something behind the value).  A struct json_tree
 * is a cJSON by another name; nobody else sees one.
 */

#include "common/json.h"

#include <math.h>

#include <cjson/cJSON.h>

/* cJSON's own nesting limit is far above */
#define TREE_DEPTH JSON_MAX_DEPTH

static const cJSON *
node(const struct json_tree *t)
{
	return (const cJSON *)(const void *)t;
}

static const struct json_tree *
tree(const cJSON *item)
{
	return (const struct json_tree *)(const void *)item;
}

struct json_tree *
json_tree_parse(const char *p, size_t len, const char **why_r)
{
	cJSON *root;

	if (json_scan(p, len, TREE_DEPTH, why_r) != JSON_FINE)
		return NULL;
	if ((root = cJSON_ParseWithLength(p, len)) == NULL)
		*why_r = "out of memory";
	return (struct json_tree *)(void *)root;
}

void
json_tree_free(struct json_tree **t)
{
	cJSON_Delete((cJSON *)(void *)*t);
	*t = NULL;
}

enum json_kind
json_tree_kind(const struct json_tree *t)
{
	if (t == NULL)
		return JSON_KIND_NONE;
	switch (node(t)->type & 0xff) {
	case cJSON_Object:
		return JSON_KIND_OBJECT;
	case cJSON_Array:
		return JSON_KIND_ARRAY;
	case cJSON_String:
		return JSON_KIND_STRING;
	case cJSON_Number:
		return JSON_KIND_NUMBER;
	case cJSON_True:
	case cJSON_False:
		return JSON_KIND_BOOL;
	case cJSON_NULL:
		return JSON_KIND_NULL;
	default:
		return JSON_KIND_NONE;
	}
}

const struct json_tree *
json_tree_get(const struct json_tree *t, const char *key)
{
	if (json_tree_kind(t) != JSON_KIND_OBJECT)
		return NULL;
	return tree(cJSON_GetObjectItemCaseSensitive(node(t), key));
}

size_t
json_tree_size(const struct json_tree *t)
{
	enum json_kind kind = json_tree_kind(t);

	if (kind != JSON_KIND_OBJECT && kind != JSON_KIND_ARRAY)
		return 0;
	return (size_t)cJSON_GetArraySize(node(t));
}

const struct json_tree *
json_tree_at(const struct json_tree *t, size_t i)
{
	if (i >= json_tree_size(t))
		return NULL;
	return tree(cJSON_GetArrayItem(node(t), (int)i));
}

const char *
json_tree_key(const struct json_tree *t)
{
	return t == NULL ? NULL : node(t)->string;
}

const char *
json_tree_text(const struct json_tree *t)
{
	if (json_tree_kind(t) != JSON_KIND_STRING)
		return NULL;
	return node(t)->valuestring;
}

bool
json_tree_number(const struct json_tree *t, double *d_r)
{
	if (json_tree_kind(t) != JSON_KIND_NUMBER ||
	    !isfinite(node(t)->valuedouble))
		return false;
	*d_r = node(t)->valuedouble;
	return true;
}

bool
json_tree_bool(const struct json_tree *t, bool *b_r)
{
	if (json_tree_kind(t) != JSON_KIND_BOOL)
		return false;
	*b_r = cJSON_IsTrue(node(t));
	return true;
}
