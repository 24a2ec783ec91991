/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * clerk - one command of chatctl that reads the whole store.
 *
 * A process for one command: the master starts it (or chatctl itself, when
 * there is no daemon) and sends it CLERK: the command, the data directory,
 * chatctl's connection, and what it may write to.  It opens the store for
 * reading, enters its sandbox, works, and answers chatctl as the master
 * would (master/control.h): lines of JSON, the last one says "done".
 *
 * It ends as soon as nobody wants its answer: chatctl has gone, or the
 * daemon has.  Nothing depends on how it ends.
 */

#ifndef CLERK_CLERK_H
#define CLERK_CLERK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLERK_MAX_ARGS 8

struct ipc;
struct json_out;
struct store;
struct store_txn;

struct clerk {
	char command[32];
	/* of malloc() */
	char *arg[CLERK_MAX_ARGS];
	unsigned nargs;
	/* no daemon: the store is what chatctl opened */
	bool offline;
	/* the data directory, or that store; then, with the store open, -1 */
	int dir;
	/* chatctl's connection, and what to write to (-1: nothing) */
	int conn, out;
	/* who started us */
	struct ipc *master;
	struct store *store;
	/* the snapshot, if one is under way */
	struct store_txn *txn;
	/* ends what else uses the store or leaves something behind, before
	 * the process does; or NULL */
	void (*undo)(void);
	/* CLOCK_MONOTONIC; when we last looked whether somebody listens, and
	 * when we last told how far we are */
	uint64_t began_ms, looked_ms, told_ms;
};

/* A command: opens what it needs, then works.  Both return 0 or -1 after
 * answer_failed(). */
struct clerk_command {
	const char *name;
	int (*open)(struct clerk *c);
	int (*run)(struct clerk *c);
};

/* --- answers (answer.c) ------------------------------------------------ */

/* A line of data; 'o' is one document. */
void answer_data(struct clerk *c, const struct json_out *o);
/* The last line.  Both may be said only once; failed returns -1. */
void answer_done(struct clerk *c);
int answer_failed(struct clerk *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/*
 * How far it is, {"progress":what,"done":...,"of":...}, at most twice a
 * second; of is 0 when that is not known.  A chatctl that does not read is
 * not waited for.
 */
void answer_progress(struct clerk *c, const char *what, uint64_t done,
    uint64_t of);

/*
 * For every place where much is done: does anybody still want this?  If not
 * there is no return.  Cheap: looks every 20 ms.
 */
void clerk_look(struct clerk *c);
/* The same question, from any thread. */
bool clerk_wanted(const struct clerk *c);
/* From a thread that may not touch what the others use: tell, and end. */
void clerk_abort(struct clerk *c) __attribute__((noreturn));
/* End the snapshot, close the store, exit. */
void clerk_exit(struct clerk *c, int status) __attribute__((noreturn));

uint64_t clerk_elapsed_ms(const struct clerk *c);

/* --- what all commands need (open.c) ----------------------------------- */

/* Open the store for looking at it. */
int clerk_open_store(struct clerk *c);
/* Begin c->txn. */
int clerk_snapshot(struct clerk *c);
/* A member of a document. */
void clerk_put_u64(struct json_out *o, const char *key, uint64_t n);
void clerk_put_text(struct json_out *o, const char *key, const char *text);

/* --- the file's growth (growth.c) -------------------------------------- */

/*
 * While a snapshot lasts no page that it can see is used again, so each
 * commit makes the file grow.  Whoever reads for long looks here, and gives
 * up before the store has paid too much for it.
 */
struct growth {
	uint64_t began_bytes, limit_bytes;
};

/* 'limit' 0: the default, a fifth of the file and at least 256 MiB. */
void growth_begin(const struct clerk *c, struct growth *g, uint64_t limit);
bool growth_allowed(const struct clerk *c, const struct growth *g);
/* 0, or -1 with answer_failed() when it has grown by more. */
int growth_check(struct clerk *c, const struct growth *g);
/* By how much it may grow, as an operator writes it: "1g", "300m"; 0 is no
 * size. */
uint64_t growth_parse(const char *text);

/* --- the output (output.c) --------------------------------------------- */

struct output {
	struct clerk *clerk;
	/* watched while we wait for the reader; may be NULL */
	const struct growth *growth;
	uint64_t bytes;
	/* a file: on the disk up to here */
	uint64_t synced;
	bool is_file;
};

void output_begin(struct clerk *c, struct output *out,
    const struct growth *growth);
/* All of it, however slow the reader is: 0, or -1 after answer_failed(). */
int output_write(struct output *out, const void *p, size_t len);
/* Bring it to the disk if it is a file. */
int output_end(struct output *out);

/* --- the commands ------------------------------------------------------ */

int backup_run(struct clerk *c);
int compact_open(struct clerk *c);
int compact_run(struct clerk *c);
int export_run(struct clerk *c);
int verify_run(struct clerk *c);

#endif /* CLERK_CLERK_H */
