/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * A map gives what is in the file, whatever that is, and a signal where the
 * disk gives nothing.  LMDB follows page numbers and offsets without doubting
 * them, so a damaged page may lead it anywhere; where it leads is not asked,
 * only whether this thread was reading.  LMDB's own assertions come out here
 * as well.
 *
 * The handler leaves by siglongjmp() without the signal mask, which saves a
 * system call a read: the signals are not blocked while it runs.
 */

#include "store/env.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/log.h"

#define META_MAGIC 0xBEEFC0DEU
#define PAGE_HEAD 16
#define KEY_SHOWN 24

static _Thread_local struct {
	sigjmp_buf *volatile jmp;
	const void *volatile addr;
	volatile int sig;
	char asserted[160];
} guard;

static struct sigaction before[NSIG];

/* --- faults ------------------------------------------------------------ */

static void
on_fault(int sig, siginfo_t *info, void *context)
{
	sigjmp_buf *jmp = guard.jmp;

	if (jmp == NULL) {
		/* not ours: it happens again, to whoever cared before us */
		(void)sigaction(sig, &before[sig], NULL);
		return;
	}
	guard.jmp = NULL;
	guard.sig = sig;
	guard.addr = info->si_addr;
	siglongjmp(*jmp, 1);
}

/* Each opening looks again: somebody may have set another one since. */
static void
install(int sig)
{
	struct sigaction sa, now;

	if (sigaction(sig, NULL, &now) == 0 &&
	    (now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_fault)
		return;
	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = on_fault;
	sa.sa_flags = SA_SIGINFO | SA_NODEFER;
	sigemptyset(&sa.sa_mask);
	before[sig] = now;
	if (sigaction(sig, &sa, NULL) == -1)
		log_warn_errno("the store's pages cannot be guarded");
}

void
store_guard_install(void)
{
	install(SIGSEGV);
	install(SIGBUS);
}

static void
on_assert(MDB_env *env, const char *msg)
{
	sigjmp_buf *jmp = guard.jmp;

	if (jmp == NULL)
		return;
	guard.jmp = NULL;
	guard.sig = 0;
	snprintf(guard.asserted, sizeof(guard.asserted), "%s", msg);
	siglongjmp(*jmp, 1);
}

/* What was met, in words. */
static const char *
fault_text(void)
{
	if (guard.sig == 0)
		return guard.asserted;
	return guard.sig == SIGBUS ? "the disk does not give it"
				   : "it leads nowhere";
}

int
store_guard(struct store_txn *t, enum store_table table, uint64_t room,
    int (*fn)(void *arg), void *arg)
{
	sigjmp_buf here;
	int rc;

	if (guard.jmp != NULL)
		return fn(arg);
	if (sigsetjmp(here, 0) == 0) {
		guard.jmp = &here;
		rc = fn(arg);
		guard.jmp = NULL;
		return rc;
	}
	t->fault = STORE_FAULT_PAGE;
	store_name_page(t, table, room,
	    guard.sig == 0 ? 0 : store_page_of(t->s, guard.addr), fault_text());
	errno = EUCLEAN;
	return -1;
}

struct guarded {
	void (*fn)(void *arg);
	void *arg;
};

static int
call_guarded(void *arg)
{
	const struct guarded *g = arg;

	g->fn(g->arg);
	return 0;
}

int
store_guarded(struct store_txn *t, void (*fn)(void *arg), void *arg)
{
	struct guarded g = { fn, arg };

	return store_guard(t, STORE__TABLES, 0, call_guarded, &g);
}

/* --- the map ----------------------------------------------------------- */

struct find_map {
	struct store *s;
	const uint8_t *p;
};

static int
find_map(void *arg)
{
	struct find_map *f = arg;
	size_t size = f->s->page_bytes;
	const uint8_t *page;
	uint64_t number;
	uint32_t magic;

	page = f->p - (uintptr_t)f->p % size;
	memcpy(&number, page, sizeof(number));
	if (number > (uintptr_t)page / size)
		return 0;
	page -= number * size;
	memcpy(&magic, page + PAGE_HEAD, sizeof(magic));
	if (magic == META_MAGIC)
		f->s->map = page;
	return 0;
}

/* LMDB does not tell, but each page knows its number. */
void
store_guard_map(struct store_txn *t)
{
	MDB_val k = { .mv_size = 4, .mv_data = (void *)(uintptr_t) "meta" };
	struct find_map f = { .s = t->s };
	MDB_stat st;
	MDB_dbi dbi;
	MDB_val v;

	(void)mdb_env_set_assert(t->s->env, on_assert);
	if (mdb_env_stat(t->s->env, &st) != MDB_SUCCESS)
		return;
	t->s->page_bytes = st.ms_psize;
	if (mdb_dbi_open(t->txn, NULL, 0, &dbi) != MDB_SUCCESS ||
	    mdb_get(t->txn, dbi, &k, &v) != MDB_SUCCESS)
		return;
	f.p = v.mv_data;
	(void)store_guard(t, STORE__TABLES, 0, find_map, &f);
}

uint64_t
store_page_of(const struct store *s, const void *p)
{
	uintptr_t at = (uintptr_t)p, map = (uintptr_t)s->map;

	if (map == 0 || at < map || at - map >= (uintptr_t)1 << 40)
		return 0;
	return (at - map) / s->page_bytes;
}

/* --- naming ------------------------------------------------------------ */

/* true the first time; when there is no more space, once a minute. */
static bool
first_time(struct store *s, uint64_t hash)
{
	static _Thread_local uint64_t last;
	uint64_t was;
	unsigned i;

	hash |= 1;
	for (i = 0; i < STORE_NAMED; i++) {
		was = 0;
		if (atomic_compare_exchange_strong(&s->named[i], &was, hash))
			return true;
		if (was == hash)
			return false;
	}
	return log_due(&last);
}

static void
note_damage(struct store_txn *t, enum store_table table, uint64_t room,
    uint64_t page)
{
	/* snapshots are of many threads; what cannot be written is of one */
	if (!t->writes)
		return;
	t->s->damage.table = store_table_name(table);
	t->s->damage.room = room;
	t->s->damage.page = page;
	t->s->damaged = true;
}

bool
store_take_damage(struct store *s, struct store_damage *d_r)
{
	if (!s->damaged)
		return false;
	*d_r = s->damage;
	s->damaged = false;
	return true;
}

void
store_name_page(struct store_txn *t, enum store_table table, uint64_t room,
    uint64_t page, const char *what)
{
	uint64_t h[3] = { table, page, page == 0 ? room : 0 };

	t->fault = STORE_FAULT_PAGE;
	t->fault_page = page;
	note_damage(t, table, room, page);
	if (t->quiet)
		return;
	t->s->bad_pages++;
	if (!first_time(t->s, XXH3_64bits(h, sizeof(h))))
		return;
	log_error("the store is damaged: a page cannot be read (%s) table=%s "
		  "page=%llu room=%llu",
	    what, store_table_name(table), (unsigned long long)page,
	    (unsigned long long)room);
}

void
store_name_value(struct store_txn *t, enum store_table table,
    const MDB_val *key, const void *value, const char *what)
{
	char hex[2 * KEY_SHOWN + 1];
	const uint8_t *p = key->mv_data;
	uint64_t h[2];
	size_t i;

	if (t->writes)
		note_damage(t, table,
		    store_key_room(table, key->mv_data, key->mv_size), 0);
	if (t->quiet)
		return;
	t->s->bad++;
	h[0] = (uint64_t)table + 100;
	h[1] = XXH3_64bits(key->mv_data, key->mv_size);
	if (!first_time(t->s, XXH3_64bits(h, sizeof(h))))
		return;
	hex[0] = '\0';
	for (i = 0; i < key->mv_size && i < KEY_SHOWN; i++)
		snprintf(hex + 2 * i, 3, "%02x", p[i]);
	log_error("the store is damaged: a value is not served (%s) table=%s "
		  "page=%llu key=%s%s",
	    what, store_table_name(table),
	    (unsigned long long)store_page_of(t->s, value), hex,
	    i < key->mv_size ? "..." : "");
}
