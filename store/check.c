/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * Each row of a table, sound or not.
 */

#include <errno.h>
#include <string.h>

#include "store/env.h"

static const char *const fault_name[STORE_FAULT__MAX] = {
	[STORE_SOUND] = "sound",
	[STORE_FAULT_KEY] = "key",
	[STORE_FAULT_ORDER] = "order",
	[STORE_FAULT_SIZE] = "size",
	[STORE_FAULT_VERSION] = "version",
	[STORE_FAULT_SUM] = "sum",
	[STORE_FAULT_FIELDS] = "fields",
	[STORE_FAULT_PAGE] = "page",
};

const char *
store_fault_name(enum store_fault fault)
{
	return fault < STORE_FAULT__MAX ? fault_name[fault] : "?";
}

const char *
store_table(unsigned table)
{
	return table < STORE__TABLES ? store_table_name(table) : "?";
}

/* --- shapes of keys ---------------------------------------------------- */

/* What a key of the table is, or -1. */
static int
kind_of(enum store_table table, const MDB_val *key)
{
	const uint8_t *p = key->mv_data;
	size_t len = key->mv_size;

	switch (table) {
	case STORE_META:
		return STORE_ROW_META;
	case STORE_SESSION:
		if (p[0] == 'n')
			return memchr(p, '\0', len) != NULL
			    ? STORE_ROW_ROOM_NAME
			    : -1;
		return p[0] == '#' && len == 9 ? STORE_ROW_ROOM : -1;
	case STORE_USER:
		if (p[0] == 'n')
			return len > 1 ? STORE_ROW_USER_NAME : -1;
		return p[0] == '#' && len == 9 ? STORE_ROW_USER : -1;
	case STORE_MSG:
		return len == 16 ? STORE_ROW_MESSAGE : -1;
	case STORE_LOG:
		return len == 16 ? STORE_ROW_LOG : -1;
	case STORE_PRESENCE:
		return len > 16 ? STORE_ROW_PRESENCE : -1;
	case STORE_RECOVERY:
		return len == STORE_PID ? STORE_ROW_RECOVERY : -1;
	case STORE_DEDUPE:
		if (len == 8)
			return STORE_ROW_MERGED;
		return len == 24 ? STORE_ROW_DEDUPE : -1;
	case STORE_MEMBER:
		return len == 16 ? STORE_ROW_MEMBER : -1;
	case STORE_CHANGE:
		return len == 16 ? STORE_ROW_CHANGE : -1;
	case STORE_RECEIPT:
		return len == 16 ? STORE_ROW_RECEIPT : -1;
	case STORE_STREAM:
		if (len > 8 && memchr(p + 8, '\0', len - 8) == NULL)
			return STORE_ROW_STREAM;
		return store_stream_is_piece(key) ? STORE_ROW_PIECE : -1;
	case STORE_BAN:
		return STORE_ROW_BAN;
	default:
		return -1;
	}
}

/* --- rows -------------------------------------------------------------- */

static bool
decode_meta(struct store_txn *t, const MDB_val *key, const MDB_val *val,
    void *row)
{
	struct store_fields f;

	return store_value_open(t, STORE_META, key, val, &f, NULL);
}

/* Where the long row of a recovery goes: only that it is sound counts. */
static bool
decode_recovery(struct store_txn *t, const MDB_val *key, const MDB_val *val,
    void *row)
{
	struct store_text *pid = row;
	struct store_recovery rec;

	pid->p = key->mv_data;
	pid->len = key->mv_size;
	return store_decode_recovery(t, key, val, &rec);
}

static store_decode_fn *const decoder[] = {
	[STORE_ROW_META] = decode_meta,
	[STORE_ROW_ROOM_NAME] = store_decode_name,
	[STORE_ROW_USER_NAME] = store_decode_user_name,
	[STORE_ROW_ROOM] = store_decode_room,
	[STORE_ROW_USER] = store_decode_user,
	[STORE_ROW_MESSAGE] = store_decode_message,
	[STORE_ROW_LOG] = store_decode_log,
	[STORE_ROW_PRESENCE] = store_decode_presence,
	[STORE_ROW_RECOVERY] = decode_recovery,
	[STORE_ROW_DEDUPE] = store_decode_dedupe,
	[STORE_ROW_MERGED] = store_decode_merged,
	[STORE_ROW_MEMBER] = store_decode_member,
	[STORE_ROW_CHANGE] = store_decode_change,
	[STORE_ROW_RECEIPT] = store_decode_receipt,
	[STORE_ROW_STREAM] = store_decode_stream,
	[STORE_ROW_PIECE] = store_decode_piece,
	[STORE_ROW_BAN] = store_decode_ban,
};

struct looking {
	struct store_row row;
	struct store_place *place;
	unsigned n, max;
	store_row_fn *fn;
	void *arg;
	bool stopped;
};

static bool
decode_any(struct store_txn *t, const MDB_val *key, const MDB_val *val,
    void *arg)
{
	struct store_row *row = arg;
	int kind = kind_of(row->table, key);
	bool sound;

	row->key = key->mv_data;
	row->key_len = key->mv_size;
	row->value_len = val->mv_size;
	row->page = store_page_of(t->s, key->mv_data);
	row->version = 0;
	if (val->mv_size > 0)
		row->version = *(const uint8_t *)val->mv_data;
	if (kind == -1) {
		t->fault = row->fault = STORE_FAULT_KEY;
		return false;
	}
	row->kind = kind;
	sound = decoder[kind](t, key, val, &row->u);
	row->fault = t->fault;
	/* newer than the snapshot, when it had to be begun again */
	return sound;
}

/* false: stop. */
static bool
give(struct looking *l)
{
	if (l->n++ == l->max || !l->fn(&l->row, l->arg)) {
		l->stopped = true;
		return false;
	}
	return true;
}

static bool
on_gap(struct store_scan *sc, void *arg)
{
	struct looking *l = arg;
	unsigned table = l->row.table;

	memset(&l->row, 0, sizeof(l->row));
	l->row.table = table;
	l->row.fault = sc->stray ? STORE_FAULT_ORDER : STORE_FAULT_PAGE;
	l->row.page = sc->page;
	if (sc->stray) {
		l->row.key = sc->key.mv_data;
		l->row.key_len = sc->key.mv_size;
		l->row.value_len = sc->val.mv_size;
		l->row.page = store_page_of(sc->t->s, sc->key.mv_data);
	}
	return give(l);
}

static void
move_place(struct looking *l, const struct store_scan *sc)
{
	memcpy(l->place->key, sc->key.mv_data, sc->key.mv_size);
	l->place->len = sc->key.mv_size;
}

int
store_row_walk(struct store_txn *t, unsigned table, struct store_place *place,
    unsigned max, store_row_fn *fn, void *arg)
{
	struct looking l = { .row.table = table,
		.place = place,
		.max = max,
		.fn = fn,
		.arg = arg };
	bool quiet = t->quiet, sound;
	struct store_scan sc;
	struct store_key k;
	int rc;

	if (table >= STORE__TABLES) {
		errno = EINVAL;
		return -1;
	}
	store_key_begin(&k);
	if (place->len == 0)
		store_key_u8(&k, 0);
	else
		(void)store_key_bytes(&k, place->key, place->len);
	if (store_scan_begin(&sc, t, table, &k, 0, false) == -1)
		return -1;
	sc.gap_fn = on_gap;
	sc.gap_arg = &l;
	t->quiet = true;
	while ((rc = store_scan_any(&sc, decode_any, &l.row, &sound)) == 1) {
		move_place(&l, &sc);
		if (!give(&l))
			break;
	}
	t->quiet = quiet;
	store_scan_end(&sc);
	if (rc == 0 && !l.stopped)
		place->done = true;
	return rc == -1 ? -1 : 0;
}
