/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The tables 'msg' and 'log':
 *
 *   msg: room 8, seq 8    (kind: type) gseq 8, time 8, user 8, id, body
 *   log: room 8, gseq 8   (kind: type) seq 8, time 8, user 8, id hash 16
 */

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "store/env.h"

#define LOG_BYTES (8 + 8 + 8 + 16)

static void
room_key(struct store_key *k, uint64_t room, uint64_t number)
{
	store_key_begin(k);
	store_key_u64(k, room);
	store_key_u64(k, number);
}

static bool
message_row(struct store *s, const MDB_val *key, const MDB_val *val,
    struct store_message *m)
{
	struct store_fields f;
	uint8_t kind;

	if (!store_value_open(s, key, val, &f, &kind))
		return false;
	m->room = store_key_get(key, 0);
	m->seq = store_key_get(key, 8);
	m->type = kind;
	m->gseq = store_take_u64(&f);
	m->time_ms = store_take_u64(&f);
	m->user = store_take_u64(&f);
	m->id = store_take_text(&f);
	m->body = store_take_rest(&f);
	return store_value_done(s, &f);
}

static bool
log_row(struct store *s, const MDB_val *key, const MDB_val *val,
    struct store_log *log)
{
	struct store_fields f;
	const uint8_t *hash;
	uint8_t kind;

	if (!store_value_open(s, key, val, &f, &kind))
		return false;
	log->room = store_key_get(key, 0);
	log->gseq = store_key_get(key, 8);
	log->type = kind;
	log->seq = store_take_u64(&f);
	log->time_ms = store_take_u64(&f);
	log->user = store_take_u64(&f);
	if ((hash = store_take_raw(&f, sizeof(log->id_hash))) != NULL)
		memcpy(log->id_hash, hash, sizeof(log->id_hash));
	return store_value_done(s, &f);
}

int
store_message_get(struct store_txn *t, uint64_t room, uint64_t seq,
    struct store_message *m_r)
{
	struct store_message m;
	struct store_key k;
	MDB_val key, val;

	room_key(&k, room, seq);
	if (store_get(t, STORE_MSG, &k, &val) == -1)
		return -1;
	key.mv_data = k.b;
	key.mv_size = k.len;
	if (!message_row(t->s, &key, &val, &m)) {
		errno = EBADMSG;
		return -1;
	}
	*m_r = m;
	return 0;
}

int
store_log_get(struct store_txn *t, uint64_t room, uint64_t gseq,
    struct store_log *log_r)
{
	struct store_log log;
	struct store_key k;
	MDB_val key, val;

	room_key(&k, room, gseq);
	if (store_get(t, STORE_LOG, &k, &val) == -1)
		return -1;
	key.mv_data = k.b;
	key.mv_size = k.len;
	if (!log_row(t->s, &key, &val, &log)) {
		errno = EBADMSG;
		return -1;
	}
	*log_r = log;
	return 0;
}

int
store_log_seek(struct store_txn *t, uint64_t room, uint64_t gseq,
    struct store_log *log_r)
{
	struct store_scan sc;
	struct store_log log;
	struct store_key k;
	int rc;

	room_key(&k, room, gseq);
	if (store_scan_begin(&sc, t, STORE_LOG, &k, 8, false) == -1)
		return -1;
	/* a row that is damaged is passed by */
	while ((rc = store_scan_next(&sc)) == 1 &&
	    !log_row(t->s, &sc.key, &sc.val, &log))
		;
	store_scan_end(&sc);
	if (rc == -1)
		return -1;
	if (rc == 0) {
		errno = ENOENT;
		return -1;
	}
	*log_r = log;
	return 0;
}

int
store_last_seq(struct store_txn *t, uint64_t room, uint64_t *seq_r)
{
	struct store_scan sc;
	struct store_key k;
	int rc;

	room_key(&k, room, UINT64_MAX);
	if (store_scan_begin(&sc, t, STORE_MSG, &k, 8, true) == -1)
		return -1;
	if ((rc = store_scan_next(&sc)) != -1)
		*seq_r = rc == 1 ? store_key_get(&sc.key, 8) : 0;
	store_scan_end(&sc);
	return rc == -1 ? -1 : 0;
}

static void
reverse(struct store_message *m, unsigned n)
{
	struct store_message tmp;
	unsigned i;

	for (i = 0; i < n / 2; i++) {
		tmp = m[i];
		m[i] = m[n - 1 - i];
		m[n - 1 - i] = tmp;
	}
}

int
store_page(struct store_txn *t, const struct store_query *q,
    struct store_message *m, unsigned *n_r, bool *more_r)
{
	struct store_scan sc;
	struct store_key k;
	size_t bytes = 0;
	bool more = false;
	unsigned n = 0;
	int rc;

	room_key(&k, q->room, q->from);
	if (store_scan_begin(&sc, t, STORE_MSG, &k, 8, q->backward) == -1)
		return -1;
	while ((rc = store_scan_next(&sc)) == 1) {
		if (n == q->count) {
			more = true;
			break;
		}
		if (!message_row(t->s, &sc.key, &sc.val, &m[n]))
			continue;
		if (n > 0 && q->bytes > 0 && bytes + m[n].body.len > q->bytes) {
			more = true;
			break;
		}
		bytes += m[n++].body.len;
	}
	store_scan_end(&sc);
	if (rc == -1)
		return -1;
	if (q->backward)
		reverse(m, n);
	*n_r = n;
	*more_r = more;
	return 0;
}

int
store_log_newest(struct store_txn *t, uint64_t room, store_log_fn *fn,
    void *arg)
{
	struct store_scan sc;
	struct store_log log;
	struct store_key k;
	int rc;

	room_key(&k, room, UINT64_MAX);
	if (store_scan_begin(&sc, t, STORE_LOG, &k, 8, true) == -1)
		return -1;
	while ((rc = store_scan_next(&sc)) == 1)
		if (log_row(t->s, &sc.key, &sc.val, &log) && !fn(&log, arg))
			break;
	store_scan_end(&sc);
	return rc == -1 ? -1 : 0;
}

void
store_message_add(struct store_txn *t, const struct store_message *m,
    const uint64_t id_hash[2])
{
	struct store_put put;
	struct store_key k;

	CHECK(m->type <= UINT8_MAX);
	room_key(&k, m->room, m->seq);
	store_put_begin(t, STORE_MSG, &k, (uint8_t)m->type,
	    8 + 8 + 8 + 2 + m->id.len + m->body.len, true, &put);
	store_add_u64(&put.f, m->gseq);
	store_add_u64(&put.f, m->time_ms);
	store_add_u64(&put.f, m->user);
	store_add_text(&put.f, m->id);
	store_add_raw(&put.f, m->body.p, m->body.len);
	store_put_end(&put);

	room_key(&k, m->room, m->gseq);
	store_put_begin(t, STORE_LOG, &k, (uint8_t)m->type, LOG_BYTES, true,
	    &put);
	store_add_u64(&put.f, m->seq);
	store_add_u64(&put.f, m->time_ms);
	store_add_u64(&put.f, m->user);
	store_add_raw(&put.f, id_hash, 16);
	store_put_end(&put);
}
