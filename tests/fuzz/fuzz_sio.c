/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fuzz_sio - Engine.IO and Socket.IO packets: what is handed out is JSON
 * that lies within the packet, and means the same when written again.
 */

#include <stdint.h>
#include <stdlib.h>

#include "common/json.h"
#include "common/log.h"
#include "proto/eio.h"
#include "proto/sio.h"

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

static void
decode(const char *p, size_t len)
{
	struct sio_packet pkt;
	const char *why = NULL;
	bool event, ack;

	if (!sio_decode(p, len, &pkt, &why)) {
		CHECK(why != NULL);
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
