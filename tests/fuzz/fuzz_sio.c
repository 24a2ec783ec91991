/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fuzz_sio - Engine.IO and Socket.IO packets: what is handed out is JSON
 * that lies within the packet, and means the same when written again; the
 * placeholders are those that a slower search finds.
 */

#include <stdint.h>
#include <stdlib.h>

#include "common/json.h"
#include "common/log.h"
#include "proto/eio.h"
#include "proto/sio.h"
#include "proto/sio2.h"
#include "proto/sio_binary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
same(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static char *
copy_of(const void *p, size_t len)
{
	char *copy = malloc(len + 1);

	CHECK(copy != NULL);
	if (len > 0)
		memcpy(copy, p, len);
	copy[len] = '\0';
	return copy;
}

static void
check_event(const struct sio_packet *pkt)
{
	CHECK(!sio_name_is(pkt, "connect"));
	CHECK(!sio_name_is(pkt, "disconnect"));
	CHECK(!sio_name_is(pkt, "connect_error"));
	CHECK(!sio_name_is(pkt, "newListener"));
}

/* The arguments are what an array could hold. */
static void
check_args(const struct sio_packet *pkt)
{
	char *array = malloc(pkt->args.len + 2);
	const char *why;

	CHECK(array != NULL);
	array[0] = '[';
	if (pkt->args.len > 0)
		memcpy(array + 1, pkt->args.p, pkt->args.len);
	array[pkt->args.len + 1] = ']';
	CHECK(json_scan(array, pkt->args.len + 2, SIO_DEPTH_MAX + 1, &why) ==
	    JSON_FINE);
	free(array);
}

static void
write_again(const struct sio_packet *pkt)
{
	char *name = copy_of(pkt->name.p, pkt->name.len), *text;
	struct sio_packet again;
	const char *why;
	size_t len, max;

	if (pkt->type == SIO_EVENT)
		max = sio_event(NULL, 0, &pkt->nsp, name, pkt->args.p,
		    pkt->args.len);
	else
		max = sio_ack(NULL, 0, &pkt->nsp, pkt->id, pkt->args.p,
		    pkt->args.len);
	text = malloc(max);
	CHECK(text != NULL);
	if (pkt->type == SIO_EVENT)
		len = sio_event(text, max, &pkt->nsp, name, pkt->args.p,
		    pkt->args.len);
	else
		len = sio_ack(text, max, &pkt->nsp, pkt->id, pkt->args.p,
		    pkt->args.len);
	CHECK(len == max);
	CHECK(sio_decode(text, len, &again, &why));
	CHECK(again.type == pkt->type && again.refused == NULL);
	CHECK(same(again.args, pkt->args) && same(again.nsp, pkt->nsp));
	CHECK(pkt->type == SIO_ACK ? again.id == pkt->id
				   : same(again.name, pkt->name));
	free(text);
	free(name);
}

/* --- placeholders -------------------------------------------------------- */

#define FOUND_MAX 1024

static struct {
	struct span object;
	unsigned num;
} found[FOUND_MAX];
static size_t nfound;

/* The slow way: false if one is illegal. */
static bool
search(struct json_value v, unsigned nattach)
{
	struct json_iter it = json_iter(v);
	struct json_value key, element;
	size_t before = nfound;
	int64_t num;
	bool fine = true, marked;

	while (fine &&
	    (v.kind == JSON_KIND_OBJECT ? json_next_member(&it, &key, &element)
					: json_next(&it, &element)))
		fine = search(element, nattach);
	if (!fine || v.kind != JSON_KIND_OBJECT ||
	    !json_to_bool(json_member(v, "_placeholder"), &marked) || !marked)
		return fine;
	if (nfound > before ||
	    !json_to_int(json_member(v, "num"), 0, nattach - 1, &num))
		return false;
	if (nfound < FOUND_MAX) {
		found[nfound].object = (struct span){ v.text.p, v.text.len };
		found[nfound].num = (unsigned)num;
	}
	nfound++;
	return true;
}

static bool
search_args(struct span args, unsigned nattach)
{
	struct json_iter it = json_iter_inside(args.p, args.len);
	struct json_value v;

	nfound = 0;
	while (args.len > 0 && json_next(&it, &v))
		if (!search(v, nattach))
			return false;
	return true;
}

/* Numbered again, it is a packet with that many, in order. */
static void
check_renumbered(const struct sio_packet *pkt, unsigned count)
{
	unsigned order[SIO_ATTACHMENTS_MAX], n, num, i = 0;
	size_t len = sio_renumber(NULL, 0, pkt, order, &n), size;
	char *args = malloc(len > 0 ? len : 1), *text;
	struct sio_message m = { 0 };
	struct sio_packet again;
	struct sio_walk walk;
	struct span object;
	const char *why;

	CHECK(args != NULL && n == count);
	CHECK(sio_renumber(args, len, pkt, order, &n) == len && n == count);
	for (i = 0; i < n && i < SIO_ATTACHMENTS_MAX; i++)
		CHECK(order[i] < pkt->nattach);
	m.type = pkt->type;
	m.nsp = pkt->nsp;
	m.has_id = pkt->has_id;
	m.id = pkt->id;
	m.nattach = n;
	m.name = sio_name_json(pkt);
	m.args = (struct span){ args, len };
	size = sio_encode(NULL, 0, &m);
	text = malloc(size);
	CHECK(text != NULL && sio_encode(text, size, &m) == size);
	CHECK(
	    sio_decode(text, size, &again, &why) == (n <= SIO_ATTACHMENTS_MAX));
	if (n <= SIO_ATTACHMENTS_MAX) {
		CHECK(again.nattach == n && again.refused == NULL);
		CHECK(again.id == pkt->id && same(again.name, pkt->name));
		sio_walk_begin(&walk, &again);
		for (i = 0; sio_walk_next(&walk, &object, &num); i++)
			CHECK(num == i);
		CHECK(i == n);
	}
	free(text);
	free(args);
}

static void
check_placeholders(const struct sio_packet *pkt)
{
	struct sio_walk walk;
	struct span object;
	unsigned num;
	size_t n = 0;

	sio_walk_begin(&walk, pkt);
	if (pkt->refused != NULL) {
		while (sio_walk_next(&walk, &object, &num))
			CHECK(num < pkt->nattach);
		return;
	}
	CHECK(search_args(pkt->args, pkt->nattach));
	for (; sio_walk_next(&walk, &object, &num); n++) {
		if (n < FOUND_MAX)
			CHECK(object.p == found[n].object.p &&
			    object.len == found[n].object.len &&
			    num == found[n].num);
	}
	CHECK(n == nfound);
	check_renumbered(pkt, (unsigned)n);
}

/* As a plain packet it is fine, but its placeholders are not. */
static void
check_illegal(const char *p, size_t len)
{
	const char *dash = memchr(p, '-', len), *why;
	size_t head = (size_t)(dash - p);
	unsigned nattach =
	    p[1] == '1' && head == 3 ? 10 : (unsigned)(p[1] - '0');
	struct sio_packet pkt;
	char *text = copy_of(dash, len - head);

	text[0] = p[0] == '5' ? '2' : '3';
	CHECK(sio_decode(text, len - head, &pkt, &why));
	if (pkt.refused == NULL)
		CHECK(!search_args(pkt.args, nattach));
	free(text);
}

/* --- packets ------------------------------------------------------------- */

/* The namespace of version 2 and its query are what '?' stands between. */
static void
check_split(const struct sio_packet *pkt)
{
	struct sio_packet split = *pkt;
	struct span query;

	sio2_split(&split, &query);
	CHECK(split.nsp.p == pkt->nsp.p && split.nsp.len <= pkt->nsp.len);
	CHECK(memchr(split.nsp.p, '?', split.nsp.len) == NULL);
	CHECK(memchr(split.nsp.p, '#', split.nsp.len) == NULL);
	if (query.len == 0)
		return;
	CHECK(query.p == split.nsp.p + split.nsp.len + 1 && query.p[-1] == '?');
	CHECK(query.p + query.len <= pkt->nsp.p + pkt->nsp.len);
	CHECK(memchr(query.p, '#', query.len) == NULL);
}

static void
check_connect(const struct sio_packet *pkt)
{
	char pid[EIO_SID_LEN + 1] = "", offset[32] = "", *auth;
	size_t len = sio_auth(NULL, 0, pkt->payload), max;
	const char *why;

	if (pkt->refused != NULL)
		return;
	if (sio_recovery(pkt->payload, pid, offset, sizeof(offset)))
		CHECK(strlen(pid) == EIO_SID_LEN);
	auth = malloc(len);
	CHECK(auth != NULL);
	max = pkt->payload.len > 2 ? pkt->payload.len : 2;
	CHECK(sio_auth(auth, len, pkt->payload) == len && len <= max);
	CHECK(json_scan(auth, len, SIO_DEPTH_MAX, &why) == JSON_FINE);
	CHECK(
	    json_member(json_value(auth, len), "pid").kind == JSON_KIND_NONE &&
	    json_member(json_value(auth, len), "offset").kind ==
		JSON_KIND_NONE);
	free(auth);
}

static void
decode(const char *p, size_t len)
{
	struct sio_packet pkt;
	const char *why = NULL;
	bool event, ack;

	if (!sio_decode(p, len, &pkt, &why)) {
		CHECK(why != NULL);
		if (strcmp(why, "illegal attachments") == 0)
			check_illegal(p, len);
		return;
	}
	event = pkt.type == SIO_EVENT || pkt.type == SIO_BINARY_EVENT;
	ack = pkt.type == SIO_ACK || pkt.type == SIO_BINARY_ACK;
	CHECK((pkt.nattach > 0) == (pkt.type >= SIO_BINARY_EVENT));
	CHECK(pkt.nattach <= SIO_ATTACHMENTS_MAX);
	CHECK(pkt.id <= SIO_ID_MAX && (pkt.has_id || pkt.id == 0));
	CHECK(pkt.nsp.len > 0 && pkt.nsp.p[0] == '/');
	CHECK(event || pkt.name.len == 0);
	CHECK(event || ack || pkt.args.len == 0);
	if (event)
		check_event(&pkt);
	if (event || ack)
		check_args(&pkt);
	check_split(&pkt);
	if (pkt.type == SIO_CONNECT)
		check_connect(&pkt);
	if (pkt.nattach > 0)
		check_placeholders(&pkt);
	if (pkt.refused != NULL || pkt.name_is_number)
		return;
	if (pkt.type == SIO_EVENT || (pkt.type == SIO_ACK && pkt.has_id))
		write_again(&pkt);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* a copy that ends where it ends */
	char *copy = malloc(size > 0 ? size : 1);
	struct eio_packet pkt;
	const char *why = NULL;

	CHECK(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	if (!eio_decode(copy, size, &pkt, &why))
		CHECK(why != NULL);
	else if (pkt.type == EIO_MESSAGE && !pkt.binary)
		decode(pkt.data.p, pkt.data.len);
	free(copy);
	return 0;
}
