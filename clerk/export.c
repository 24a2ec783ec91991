/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * export - all messages of a session, a line of JSON each.
 *
 * What was there at the start is exported, in its order.  It is read in
 * slices, each from a snapshot of its own that ends before a byte of it is
 * written, so however slow the reader is, the store pays nothing for it.
 * What retention takes away in between is gone, and counted.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clerk/clerk.h"
#include "common/fault.h"
#include "common/json.h"
#include "common/strbuf.h"
#include "store/store.h"

#define PAGE_COUNT 512
#define PAGE_BYTES (1 << 20)

struct export
{
	struct clerk *clerk;
	const char *session;
	uint64_t room;
	/* what is next, and the last that was there at the start */
	uint64_t next, last;
	uint64_t written, deleted, missing;
	struct store_message page[PAGE_COUNT];
	unsigned n;
	struct strbuf text;
};

static struct export self;

/* As the history shows it. */
static void
render(struct export *e, const struct store_message *m)
{
	struct json_out o = { 0 };

	json_out_object(&o);
	if (m->deleted) {
		json_out_key(&o, "id");
		json_out_string(&o, m->id.p, m->id.len);
	} else {
		json_out_inside(&o, m->body.p, m->body.len);
	}
	json_out_key(&o, "sessionId");
	json_out_cstring(&o, e->session);
	if (!m->deleted)
		clerk_put_u64(&o, "timestamp", m->time_ms);
	clerk_put_u64(&o, "seq", m->seq);
	if (m->deleted) {
		json_out_key(&o, "deleted");
		json_out_bool(&o, true);
	} else if (m->revision != 0) {
		clerk_put_u64(&o, "editedAt", m->edited_ms);
		clerk_put_u64(&o, "revision", m->revision);
	}
	json_out_object_end(&o);
	if (!o.failed) {
		sb_add(&e->text, o.p, o.len);
		sb_addc(&e->text, '\n');
	}
	json_out_clear(&o);
}

/* A slice into e->text; 0, or -1 after the answer. */
static int
read_slice(struct export *e)
{
	struct store_query q = { .room = e->room,
		.from = e->next,
		.count = PAGE_COUNT,
		.bytes = PAGE_BYTES };
	struct clerk *c = e->clerk;
	bool more;

	sb_reset(&e->text);
	if (clerk_snapshot(c) == -1)
		return -1;
	FAULT(CLERK_EXPORT);
	if (store_page(c->txn, &q, e->page, &e->n, &more) == -1)
		return answer_failed(c, "the store cannot be read: %s",
		    strerror(errno));
	for (unsigned i = 0; i < e->n && e->page[i].seq <= e->last; i++) {
		e->missing += e->page[i].seq - e->next;
		e->next = e->page[i].seq + 1;
		e->deleted += e->page[i].deleted;
		e->written++;
		render(e, &e->page[i]);
	}
	if (e->n == 0 || !more || e->page[e->n - 1].seq > e->last) {
		e->missing += e->last + 1 - e->next;
		e->next = e->last + 1;
	}
	store_snapshot_end(&c->txn);
	return 0;
}

static int
find_room(struct export *e, const char *name)
{
	const char *slash = strchr(name, '/');
	struct clerk *c = e->clerk;
	struct store_text workspace, session;
	struct store_room room;

	if (slash == NULL || slash == name || slash[1] == '\0')
		return answer_failed(c, "a session is named workspace/session");
	workspace = (struct store_text){ name, (size_t)(slash - name) };
	session = (struct store_text){ slash + 1, strlen(slash + 1) };
	e->session = session.p;
	if (clerk_snapshot(c) == -1)
		return -1;
	if (store_room_find(c->txn, workspace, session, &e->room) == -1)
		return errno == ENOENT
		    ? answer_failed(c, "no such session")
		    : answer_failed(c, "the store cannot be read: %s",
			  strerror(errno));
	if (store_room_get(c->txn, e->room, &room) == -1 ||
	    store_last_seq(c->txn, e->room, &e->last) == -1)
		return answer_failed(c, "the store cannot be read: %s",
		    strerror(errno));
	e->next = room.floor.seq + 1;
	store_snapshot_end(&c->txn);
	return 0;
}

static void
tell(const struct export *e, const struct output *out)
{
	struct json_out o = { 0 };

	json_out_object(&o);
	clerk_put_text(&o, "result", "export");
	clerk_put_u64(&o, "messages", e->written);
	clerk_put_u64(&o, "of_them_deleted", e->deleted);
	/* taken away by retention meanwhile, or damaged */
	clerk_put_u64(&o, "missing", e->missing);
	clerk_put_u64(&o, "bytes", out->bytes);
	clerk_put_u64(&o, "took_ms", clerk_elapsed_ms(e->clerk));
	json_out_object_end(&o);
	answer_data(e->clerk, &o);
	json_out_clear(&o);
}

int
export_run(struct clerk *c)
{
	struct export *e = &self;
	struct output out;
	uint64_t first;

	memset(e, 0, sizeof(*e));
	sb_init(&e->text);
	e->clerk = c;
	if (c->nargs != 1)
		return answer_failed(c, "name a session: workspace/session");
	if (find_room(e, c->arg[0]) == -1)
		return -1;
	output_begin(c, &out, NULL);
	for (first = e->next; e->next <= e->last;) {
		if (read_slice(e) == -1 ||
		    output_write(&out, e->text.data, e->text.len) == -1)
			return -1;
		answer_progress(c, "messages", e->next - first,
		    e->last + 1 - first);
	}
	if (output_end(&out) == -1)
		return -1;
	tell(e, &out);
	sb_clear(&e->text);
	return 0;
}
