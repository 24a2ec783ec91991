/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * From one schema to the next.
 *
 * A step goes along a table in transactions of at most SLICE rows; how far it
 * has come is in 'meta', in the same transaction.  So it may be killed
 * anywhere, and goes on there.  From the first transaction on an older chatd
 * refuses the store; readers of this one wait until the schema is theirs.
 *
 *   1 -> 2: rooms get a floor (session '#').  Messages of version 1 stay as
 *   they are: it is what an unchanged message is written as.
 */

#include <errno.h>
#include <string.h>

#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "store/env.h"

#define SLICE 1000

/* Rewrites at most 'max' rows from *place on: 0, or -1 with errno. */
typedef int step_fn(struct store_txn *t, struct store_place *place,
    unsigned max, uint64_t *rows);

/* --- 1 -> 2 ------------------------------------------------------------ */

struct rooms {
	unsigned n;
	uint64_t room[SLICE];
};

static bool
note_room(const struct store_room *room, void *arg)
{
	struct rooms *rs = arg;

	rs->room[rs->n++] = room->room;
	return true;
}

static int
add_floors(struct store_txn *t, struct store_place *place, unsigned max,
    uint64_t *rows)
{
	struct store_floor floor;
	struct rooms rs;
	unsigned i;

	rs.n = 0;
	if (store_room_walk(t, place, max, note_room, &rs) == -1)
		return -1;
	for (i = 0; i < rs.n; i++)
		if (store_floor_get(t, rs.room[i], &floor) == -1 ||
		    store_floor_put(t, rs.room[i], &floor) == -1)
			return -1;
	*rows += rs.n;
	return 0;
}

/* --- steps ------------------------------------------------------------- */

static const struct {
	uint32_t from;
	step_fn *run;
} step[] = {
	{ 1, add_floors },
};

static step_fn *
step_from(uint32_t schema)
{
	size_t i;

	for (i = 0; i < sizeof(step) / sizeof(step[0]); i++)
		if (step[i].from == schema)
			return step[i].run;
	return NULL;
}

/* One transaction; *done_r when the step is. */
static int
run_slice(struct store *s, uint32_t schema, step_fn *run, uint64_t *rows_r,
    bool *done_r)
{
	struct store_migration m;
	struct store_txn *t;

	if ((t = store_begin(s)) == NULL)
		return -1;
	if (store_migration_get(t, &m) == -1 || m.schema != schema) {
		memset(&m, 0, sizeof(m));
		m.schema = schema;
	}
	if (run(t, &m.place, SLICE, &m.rows) == -1)
		store_fail(t, errno);
	*rows_r = m.rows;
	*done_r = m.place.done;
	if (m.place.done) {
		store_migration_del(t);
		store_schema_put(t, schema + 1, STORE_SCHEMA);
	} else {
		store_migration_put(t, &m);
	}
	return store_commit(&t);
}

static int
run_step(struct store *s, uint32_t schema)
{
	step_fn *run = step_from(schema);
	uint64_t rows = 0, told = 0;
	bool done = false;

	if (run == NULL)
		return ENOTSUP;
	while (!done) {
		if (run_slice(s, schema, run, &rows, &done) == -1)
			return errno;
		if (!done && log_due(&told))
			log_notice("the store is being migrated schema=%u "
				   "to=%u rows=%llu",
			    schema, schema + 1, (unsigned long long)rows);
	}
	log_notice("the store was migrated schema=%u to=%u rows=%llu", schema,
	    schema + 1, (unsigned long long)rows);
	return 0;
}

int
store_migrate(struct store *s, uint32_t schema, const char **why_r)
{
	static char why[160];
	int err;

	for (; schema < STORE_SCHEMA; schema++) {
		if ((err = run_step(s, schema)) == 0)
			continue;
		snprintf(why, sizeof(why),
		    "the store cannot be migrated from schema %u to %u: %s",
		    schema, STORE_SCHEMA,
		    err == ENOTSUP ? "it is too old" : strerror(err));
		*why_r = why;
		return err;
	}
	return 0;
}
