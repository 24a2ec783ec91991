/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The tables 'msg' and 'log':
 *
 *   msg: room 8, seq 8    (kind: type) gseq 8, time 8, user 8, id, body
 *     version 2:          gseq 8, time 8, user 8, revision 8, edited 8,
 *                         flags 1, id, body
 *   log: room 8, gseq 8   (kind: type) seq 8, time 8, user 8, id hash 16
 *
 * A message that nobody has changed is written as version 1.
 */

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "store/env.h"

#define LOG_BYTES (8 + 8 + 8 + 16)
#define MESSAGE_BYTES (8 + 8 + 8 + 2)
#define CHANGED_BYTES (8 + 8 + 1)

enum {
	MESSAGE_DELETED = 1 << 0,
};

/* --- rows -------------------------------------------------------------- */

bool
store_decode_message(struct store_txn *t, const MDB_val *key,
    const MDB_val *val, void *row)
{
	struct store_message *m = row;
	struct store_fields f;
	const uint8_t *flags;
	uint8_t kind;

	if (!store_value_open(t, STORE_MSG, key, val, &f, &kind))
		return false;
	if (key->mv_size != 16)
		return store_value_odd(t, &f);
	memset(m, 0, sizeof(*m));
	m->room = store_key_get(key, 0);
	m->seq = store_key_get(key, 8);
	m->type = kind;
	m->gseq = store_take_u64(&f);
	m->time_ms = store_take_u64(&f);
	m->user = store_take_u64(&f);
	if (f.version == 2) {
		m->revision = store_take_u64(&f);
		m->edited_ms = store_take_u64(&f);
		flags = store_take_raw(&f, 1);
		m->deleted = flags != NULL && (*flags & MESSAGE_DELETED) != 0;
	}
	m->id = store_take_text(&f);
	m->body = store_take_rest(&f);
	if (!store_value_done(t, &f))
		return false;
	/* of a snapshot that had to go on in a newer one */
	return !t->moved || t->pos == 0 || m->gseq < t->pos;
}

bool
store_decode_log(struct store_txn *t, const MDB_val *key, const MDB_val *val,
    void *row)
{
	struct store_log *log = row;
	struct store_fields f;
	const uint8_t *hash;
	uint8_t kind;

	if (!store_value_open(t, STORE_LOG, key, val, &f, &kind))
		return false;
	if (key->mv_size != 16)
		return store_value_odd(t, &f);
	log->room = store_key_get(key, 0);
	log->gseq = store_key_get(key, 8);
	log->type = kind;
	log->seq = store_take_u64(&f);
	log->time_ms = store_take_u64(&f);
	log->user = store_take_u64(&f);
	if ((hash = store_take_raw(&f, sizeof(log->id_hash))) != NULL)
		memcpy(log->id_hash, hash, sizeof(log->id_hash));
	if (!store_value_done(t, &f))
		return false;
	return !t->moved || t->pos == 0 || log->gseq < t->pos;
}

/* --- one row ----------------------------------------------------------- */

int
store_message_get(struct store_txn *t, uint64_t room, uint64_t seq,
    struct store_message *m_r)
{
	struct store_message m;
	struct store_key k;

	store_room_key(&k, room, seq);
	if (store_get_row(t, STORE_MSG, &k, store_decode_message, &m) == -1)
		return -1;
	*m_r = m;
	return 0;
}

int
store_log_get(struct store_txn *t, uint64_t room, uint64_t gseq,
    struct store_log *log_r)
{
	struct store_log log;
	struct store_key k;

	store_room_key(&k, room, gseq);
	if (store_get_row(t, STORE_LOG, &k, store_decode_log, &log) == -1)
		return -1;
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

	store_room_key(&k, room, gseq);
	if (store_scan_begin(&sc, t, STORE_LOG, &k, 8, false) == -1)
		return -1;
	rc = store_scan_row(&sc, store_decode_log, &log);
	store_scan_end(&sc);
	if (rc == 0)
		errno = ENOENT;
	if (rc != 1)
		return -1;
	*log_r = log;
	return 0;
}

/* --- the last seq ------------------------------------------------------ */

/* The newest row of the room: 1, 0, -1; is it sound, was all in order? */
static int
newest(struct store_txn *t, enum store_table table, uint64_t room,
    store_decode_fn *decode, void *row, bool *sure_r)
{
	struct store_scan sc;
	struct store_key k;
	int rc;

	store_room_key(&k, room, UINT64_MAX);
	if (store_scan_begin(&sc, t, table, &k, 8, true) == -1)
		return -1;
	sc.careful = t->writes;
	rc = store_scan_row(&sc, decode, row);
	*sure_r = !sc.damaged;
	store_scan_end(&sc);
	return rc;
}

/*
 * A seq must never be given twice, and a damaged page may lead past the
 * newest message.  The log says it too: both are written together.
 */
int
store_last_seq(struct store_txn *t, uint64_t room, uint64_t *seq_r)
{
	struct store_floor floor = { 0 };
	struct store_message m = { 0 };
	struct store_log log = { 0 };
	bool sure, log_sure;
	int n, nlog;

	n = newest(t, STORE_MSG, room, store_decode_message, &m, &sure);
	if (n == -1)
		return -1;
	/* who only reads does not give the next one */
	if (n == 1 && sure && !t->writes) {
		*seq_r = m.seq;
		return 0;
	}
	nlog = newest(t, STORE_LOG, room, store_decode_log, &log, &log_sure);
	if (nlog == -1)
		return -1;
	if ((!sure && !log_sure) || (!sure && nlog == 0) ||
	    (!log_sure && n == 0)) {
		errno = EBADMSG;
		return -1;
	}
	if (n == 0 && nlog == 0 && store_floor_get(t, room, &floor) == -1 &&
	    errno != ENOENT)
		return -1;
	if (sure && log_sure && m.seq != log.seq)
		store_name_page(t, m.seq < log.seq ? STORE_MSG : STORE_LOG,
		    room, 0, "it leads past a room's last row");
	*seq_r = floor.seq;
	if (n == 1 && m.seq > *seq_r)
		*seq_r = m.seq;
	if (nlog == 1 && log.seq > *seq_r)
		*seq_r = log.seq;
	return 0;
}

/* --- pages ------------------------------------------------------------- */

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

struct page {
	struct store_scan sc;
	const struct store_query *q;
	struct store_message *m;
	unsigned n;
	bool more;
};

/* Under one guard when all is well: -1 with EUCLEAN if it is not. */
static int
read_page(void *arg)
{
	struct page *p = arg;
	const struct store_query *q = p->q;
	struct store_message beyond, *m;
	size_t bytes = 0;
	int rc;

	for (;;) {
		m = p->n < q->count ? &p->m[p->n] : &beyond;
		rc = store_scan_row(&p->sc, store_decode_message, m);
		if (rc != 1)
			return rc;
		if (p->n == q->count ||
		    (p->n > 0 && q->bytes > 0 &&
			bytes + m->body.len > q->bytes)) {
			p->more = true;
			return 0;
		}
		bytes += m->body.len;
		p->n++;
	}
}

int
store_page(struct store_txn *t, const struct store_query *q,
    struct store_message *m, unsigned *n_r, bool *more_r)
{
	struct page p = { .q = q, .m = m };
	struct store_key k;
	int rc;

	store_room_key(&k, q->room, q->from);
	if (store_scan_begin(&p.sc, t, STORE_MSG, &k, 8, q->backward) == -1)
		return -1;
	rc = store_guard(t, STORE_MSG, q->room, read_page, &p);
	store_scan_end(&p.sc);
	if (rc == -1 && errno == EUCLEAN && !t->writes) {
		/* once more, row by row, past what cannot be read */
		p.n = 0;
		p.more = false;
		if (store_scan_begin(&p.sc, t, STORE_MSG, &k, 8, q->backward) ==
		    -1)
			return -1;
		rc = read_page(&p);
		store_scan_end(&p.sc);
	}
	if (rc == -1)
		return -1;
	if (q->backward)
		reverse(m, p.n);
	*n_r = p.n;
	*more_r = p.more;
	return 0;
}

int
store_log_newest(struct store_txn *t, uint64_t room, store_log_fn *fn,
    void *arg)
{
	bool sure;

	return store_log_back(t, room, UINT64_MAX, fn, arg, &sure);
}

int
store_log_back(struct store_txn *t, uint64_t room, uint64_t gseq,
    store_log_fn *fn, void *arg, bool *sure_r)
{
	struct store_scan sc;
	struct store_log log;
	struct store_key k;
	int rc;

	*sure_r = false;
	store_room_key(&k, room, gseq);
	if (store_scan_begin(&sc, t, STORE_LOG, &k, 8, true) == -1)
		return -1;
	while ((rc = store_scan_row(&sc, store_decode_log, &log)) == 1)
		if (!fn(&log, arg))
			break;
	*sure_r = !sc.damaged;
	store_scan_end(&sc);
	return rc == -1 ? -1 : 0;
}

/* --- writing ----------------------------------------------------------- */

void
store_message_put(struct store_txn *t, const struct store_message *m,
    bool must_be_new)
{
	bool changed = m->revision != 0 || m->deleted;
	uint8_t flags = m->deleted ? MESSAGE_DELETED : 0;
	struct store_put put;
	struct store_key k;

	CHECK(m->type <= UINT8_MAX);
	store_room_key(&k, m->room, m->seq);
	store_put_begin(t, STORE_MSG, &k, (uint8_t)m->type,
	    MESSAGE_BYTES + (changed ? CHANGED_BYTES : 0) + m->id.len +
		m->body.len,
	    must_be_new, &put);
	put.version = changed ? 2 : 1;
	store_add_u64(&put.f, m->gseq);
	store_add_u64(&put.f, m->time_ms);
	store_add_u64(&put.f, m->user);
	if (changed) {
		store_add_u64(&put.f, m->revision);
		store_add_u64(&put.f, m->edited_ms);
		store_add_raw(&put.f, &flags, 1);
	}
	store_add_text(&put.f, m->id);
	store_add_raw(&put.f, m->body.p, m->body.len);
	store_put_end(&put);
}

void
store_message_add(struct store_txn *t, const struct store_message *m,
    const uint64_t id_hash[2])
{
	struct store_put put;
	struct store_key k;

	store_message_put(t, m, true);
	store_room_key(&k, m->room, m->gseq);
	store_put_begin(t, STORE_LOG, &k, (uint8_t)m->type, LOG_BYTES, true,
	    &put);
	store_add_u64(&put.f, m->seq);
	store_add_u64(&put.f, m->time_ms);
	store_add_u64(&put.f, m->user);
	store_add_raw(&put.f, id_hash, 16);
	store_put_end(&put);
}
