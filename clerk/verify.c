/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * verify - a check of everything, and what came out of it.
 */

#include <errno.h>
#include <string.h>

#include "clerk/check.h"
#include "common/json.h"

static struct check self;

static void
put_tables(const struct check *ck, struct json_out *o)
{
	json_out_key(o, "tables");
	json_out_array(o);
	for (unsigned i = 0; i < STORE_TABLES; i++) {
		json_out_object(o);
		clerk_put_text(o, "table", store_table(i));
		clerk_put_u64(o, "rows", ck->table[i].rows);
		clerk_put_u64(o, "data_bytes", ck->table[i].bytes);
		clerk_put_u64(o, "errors", ck->table[i].errors);
		json_out_object_end(o);
	}
	json_out_array_end(o);
}

static void
put_errors(const struct check *ck, struct json_out *o)
{
	uint64_t n = ck->errors < CHECK_ERRORS ? ck->errors : CHECK_ERRORS;

	json_out_key(o, "errors");
	json_out_array(o);
	for (uint64_t i = 0; i < n; i++) {
		json_out_object(o);
		clerk_put_text(o, "table", ck->error[i].table);
		clerk_put_text(o, "key", ck->error[i].key);
		clerk_put_text(o, "error", ck->error[i].what);
		json_out_object_end(o);
	}
	json_out_array_end(o);
}

/* Each page is in use or free; what is neither is lost until compact. */
static void
put_pages(const struct check *ck, const struct store_space *space,
    struct json_out *o)
{
	uint64_t all = space->used_bytes / space->page_bytes;
	uint64_t free_pages =
	    (space->free_bytes + space->held_bytes) / space->page_bytes;
	/* what is free was looked at as well */
	uint64_t used = ck->pages > free_pages ? ck->pages - free_pages : 0;

	json_out_key(o, "pages");
	json_out_object(o);
	clerk_put_u64(o, "page_bytes", space->page_bytes);
	clerk_put_u64(o, "all", all);
	clerk_put_u64(o, "used", used);
	clerk_put_u64(o, "free", free_pages);
	/* a store that is written to meanwhile moves between the two looks */
	if (ck->clerk->offline)
		clerk_put_u64(o, "lost", all > ck->pages ? all - ck->pages : 0);
	clerk_put_u64(o, "errors", ck->page_errors);
	json_out_object_end(o);
}

static void
tell(const struct check *ck, const struct store_space *space, unsigned schema)
{
	struct json_out o = { 0 };
	uint64_t rows = 0;

	for (unsigned i = 0; i < STORE_TABLES; i++)
		rows += ck->table[i].rows;
	json_out_object(&o);
	clerk_put_text(&o, "result", "verify");
	clerk_put_u64(&o, "schema", schema);
	clerk_put_u64(&o, "position", ck->pos);
	clerk_put_u64(&o, "rows", rows);
	clerk_put_u64(&o, "file_bytes", space->file_bytes);
	clerk_put_u64(&o, "took_ms", clerk_elapsed_ms(ck->clerk));
	clerk_put_u64(&o, "errors_found", ck->errors);
	put_tables(ck, &o);
	put_pages(ck, space, &o);
	put_errors(ck, &o);
	json_out_object_end(&o);
	answer_data(ck->clerk, &o);
	json_out_clear(&o);
}

int
verify_run(struct clerk *c)
{
	struct check *ck = &self;
	struct store_space space;
	struct store_stat stat;
	unsigned schema;

	memset(ck, 0, sizeof(*ck));
	ck->clerk = c;
	growth_begin(c, &ck->growth, 0);
	if (store_stat(c->store, &stat) == -1 ||
	    store_space(c->store, &space) == -1)
		return answer_failed(c, "the store cannot be read: %s",
		    strerror(errno));
	for (unsigned i = 0; i < STORE_TABLES; i++)
		ck->of += stat.table[i].entries;
	if (check_all(ck) == -1)
		return -1;
	if (store_schema(c->txn, &schema) == -1)
		schema = 0;
	store_snapshot_end(&c->txn);
	tell(ck, &space, schema);
	return 0;
}
