/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * One pass over text whose grammar is known to be right; if it were not,
 * nothing would make it leave the text.  An object is known to be a placeholder when it ends; since none may hold another, they
 * end in the order in which they begin.
 */

#include "proto/sio_binary.h"

#include "common/json.h"
#include "proto/put.h"

#define MARK "_placeholder"
#define NUMBER "num"

static const char illegal[] = "illegal attachments";

enum step {
	STEP_NONE,
	/* the innermost open object has ended, and is a placeholder */
	STEP_FOUND,
	STEP_END,
	STEP_DEEP,
};

static void
skip_blanks(struct sio_walk *w)
{
	while (w->p < w->end &&
	    (*w->p == ' ' || *w->p == '\t' || *w->p == '\n' || *w->p == '\r'))
		w->p++;
}

/* The string that begins here, quotes and all. */
static struct json_value
take_string(struct sio_walk *w)
{
	const char *begin = w->p++;

	while (w->p < w->end && *w->p != '"')
		w->p += *w->p == '\\' && w->end - w->p > 1 ? 2 : 1;
	w->p += w->p < w->end;
	return (struct json_value){
		.kind = JSON_KIND_STRING,
		.text = { begin, (size_t)(w->p - begin) },
	};
}

static bool
is_number_char(char c)
{
	return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' ||
	    c == 'e' || c == 'E';
}

/* "num" of the object under way: what stands behind its colon. */
static void
read_number(const struct sio_walk *w, struct sio_level *level)
{
	struct json_value v = { JSON_KIND_NUMBER, { w->p, 0 } };
	int64_t n;

	while (v.text.p + v.text.len < w->end &&
	    is_number_char(v.text.p[v.text.len]))
		v.text.len++;
	level->numbered = v.text.len > 0 && w->nattach > 0 &&
	    json_to_int(v, 0, w->nattach - 1, &n);
	if (level->numbered)
		level->num = (unsigned)n;
}

/* A key; its value is left for the next step, but looked at here. */
static void
take_key(struct sio_walk *w)
{
	struct sio_level *level = &w->levels[w->depth - 1];
	struct json_value key = take_string(w);

	skip_blanks(w);
	/* the colon */
	w->p += w->p < w->end;
	skip_blanks(w);
	w->key_is_next = false;
	if (w->p == w->end)
		return;
	/* of a key that comes twice the last counts, as in JavaScript */
	if (json_is(key, MARK))
		level->marked = *w->p == 't';
	else if (json_is(key, NUMBER))
		read_number(w, level);
}

static enum step
open_level(struct sio_walk *w, bool object)
{
	if (w->depth == SIO_DEPTH_MAX)
		return STEP_DEEP;
	w->levels[w->depth++] = (struct sio_level){
		.begin = object ? w->p : NULL,
		.found_before = w->found,
	};
	w->p++;
	w->key_is_next = object;
	return STEP_NONE;
}

static enum step
close_level(struct sio_walk *w)
{
	const struct sio_level *level;

	w->p++;
	w->key_is_next = false;
	if (w->depth == 0)
		return STEP_NONE;
	level = &w->levels[--w->depth];
	return level->begin != NULL && level->marked ? STEP_FOUND : STEP_NONE;
}

/* One token. */
static enum step
step(struct sio_walk *w)
{
	if (w->p >= w->end)
		return STEP_END;
	switch (*w->p) {
	case '{':
		return open_level(w, true);
	case '[':
		return open_level(w, false);
	case '}':
	case ']':
		return close_level(w);
	case '"':
		if (w->key_is_next)
			take_key(w);
		else
			(void)take_string(w);
		return STEP_NONE;
	case ',':
		w->key_is_next =
		    w->depth > 0 && w->levels[w->depth - 1].begin != NULL;
		break;
	default:
		/* blanks, and what numbers and words are made of */
		break;
	}
	w->p++;
	return STEP_NONE;
}

/* The next object that says that it is a placeholder, or why there is none. */
static enum step
find(struct sio_walk *w)
{
	enum step result;

	do
		result = step(w);
	while (result == STEP_NONE);
	return result;
}

static void
begin(struct sio_walk *w, struct span args, unsigned nattach)
{
	w->p = args.p;
	w->end = args.p + args.len;
	w->nattach = nattach;
	w->found = 0;
	w->depth = 0;
	w->key_is_next = false;
}

bool
sio_placeholders_fit(struct span args, unsigned nattach, bool *deep_r,
    const char **why_r)
{
	struct sio_walk w;
	enum step result;

	*deep_r = false;
	if (args.len == 0)
		return true;
	begin(&w, args, nattach);
	while ((result = find(&w)) == STEP_FOUND) {
		const struct sio_level *level = &w.levels[w.depth];

		if (!level->numbered || level->found_before != w.found) {
			*why_r = illegal;
			return false;
		}
		w.found++;
	}
	*deep_r = result == STEP_DEEP;
	return true;
}

void
sio_walk_begin(struct sio_walk *walk, const struct sio_packet *pkt)
{
	static const char none[] = "";
	struct span args = pkt->raw_args;

	if (pkt->nattach == 0 || args.len == 0)
		args = (struct span){ none, 0 };
	begin(walk, args, pkt->nattach);
}

bool
sio_walk_next(struct sio_walk *walk, struct span *object_r, unsigned *num_r)
{
	const struct sio_level *level;

	if (find(walk) != STEP_FOUND)
		return false;
	walk->found++;
	level = &walk->levels[walk->depth];
	object_r->p = level->begin;
	object_r->len = (size_t)(walk->p - level->begin);
	*num_r = level->num;
	return true;
}

size_t
sio_renumber(char *buf, size_t size, const struct sio_packet *pkt,
    unsigned order_r[SIO_ATTACHMENTS_MAX], unsigned *count_r)
{
	struct put w = { buf, size, 0 };
	const char *p = pkt->raw_args.p;
	struct sio_walk walk;
	struct span object;
	unsigned count = 0, num;

	sio_walk_begin(&walk, pkt);
	while (sio_walk_next(&walk, &object, &num)) {
		put_bytes(&w, p, (size_t)(object.p - p));
		put_text(&w, "{\"" MARK "\":true,\"" NUMBER "\":");
		put_u64(&w, count);
		put_char(&w, '}');
		p = object.p + object.len;
		if (count < SIO_ATTACHMENTS_MAX)
			order_r[count] = num;
		count++;
	}
	if (pkt->raw_args.len > 0)
		put_bytes(&w, p,
		    (size_t)(pkt->raw_args.p + pkt->raw_args.len - p));
	*count_r = count;
	return w.len;
}
