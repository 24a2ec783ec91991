/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat_state - what chat_world.h consists of.
 */

#ifndef CHAT_STATE_H
#define CHAT_STATE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chat/chat.h"
#include "chat/count.h"
#include "chat/offset.h"
#include "common/json.h"
#include "common/log.h"
#include "tests/unit/stream_table.h"

#define WORKERS 2
#define CONNS 64
#define OUTS 4096
#define EVENTS 8192
#define ROOMS 80
#define ROWS 4096
#define RECOVERIES 64
#define RECOVERY_ROOMS 32
#define READS 512
#define BANS 64
#define MARKS 64
#define START_MS 1700000000000ULL

struct world;

struct conn {
	struct world *w;
	int worker;
	struct chat_socket *s;
	char id[40], pid[40];
	struct chat_owner owner;
	/* "event json", "ack:id json", "CONNECT new", "CONNECT recovered",
	 * "CONNECT_ERROR code", "CLOSE", "DISCONNECT reason"; and the offset
	 * behind it, or NULL */
	char *out[OUTS], *offset[OUTS];
	enum chat_priority prio[OUTS];
	int nout, next;
	bool want_produce;
	/* its connection takes nothing that can wait */
	bool slow;
	/* it is to be disconnected, and this is why */
	const char *let_go;
	/* the application is asked about this token; 0: about none */
	uint32_t verify;
	char verify_token[64];
};

struct stored {
	struct chat_delivery d;
	char *field[CHAT_MAX_FIELDS];
	int worker;
	unsigned incarnation;
	bool live;
};

/* Whose a row is. */
struct whose {
	unsigned incarnation;
	struct chat_owner owner;
};

struct presence_row {
	bool used;
	uint64_t room, user, joined_ms, active_ms, gseq;
	char user_id[256], user_name[256], socket_id[64], status[16];
	char pid[40];
	struct whose whose;
};

struct recovery_row {
	bool used, partial;
	char pid[40], socket_id[64], user_id[256];
	uint64_t user, lost_ms;
	struct whose whose;
	int nrooms;
	struct recovery_room_row {
		uint64_t room, gseq, after_seq, after_revision;
		bool has_after, has_revision, present;
		char agent[128];
	} room[RECOVERY_ROOMS];
};

/* What an operator decided, as the store has it. */
struct ban_row {
	int kind;
	char id[256], reason[512];
	uint64_t until_ms, since_ms, gseq;
};

struct room_row {
	char workspace[128], session[128];
	uint64_t last, time_ms, revision;
};

struct message_row {
	uint64_t room, seq, gseq, time_ms;
	char *id, *user, *body;
};

/* An edit, a deletion, a receipt, a status; ascending by position. */
struct change_row {
	enum chat_event_type type;
	uint64_t room, seq, gseq, revision, time_ms;
	/* RECEIPT */
	char user[128];
	/* body, or status; and its reason */
	char *text, *reason;
};

enum read_kind {
	READ_CHANGES,
	READ_RECEIPTS,
	READ_FIND,
	READ_ROSTER,
	READ_MESSAGES,
	READ_SEEK,
	READ_RECOVERY,
};

/* One that is under way: asked, read, answered. */
struct read {
	bool used, done, ready;
	enum chat_read result;
	int worker;
	/* NULL: of nobody */
	struct conn *conn;
	enum read_kind kind;
	uint64_t room, from, after;
	bool backward;
	char pid[40];
	/* what there was when it was read */
	uint64_t pos, last, seq;
	struct presence_row *roster;
	struct recovery_row *row;
	int n;
	/* how long nobody has come for it */
	int age;
};

struct world {
	struct config cfg;
	struct chat *chat[WORKERS];
	struct engine {
		struct world *w;
		int worker;
		unsigned incarnation;
		/* what the others deliver has been delivered up to here */
		uint64_t delivered;
		/* it misses what is live, until chat_resync_live() */
		bool deaf;
		int interests;
	} engine[WORKERS];
	struct conn conn[CONNS];
	int nconns;
	struct stored *published[EVENTS], *sequenced[EVENTS];
	int npublished, nsequenced, ndelivered, nlive;
	struct stored *live[EVENTS];
	char *frame[OUTS], *frame_offset[OUTS];
	int nframes;
	struct presence_row presence[ROWS];
	struct recovery_row recovery[RECOVERIES];
	struct ban_row ban[BANS];
	int nbans, bans_asked, late_bans;
	bool fail_bans;
	struct room_row room[ROOMS];
	int nrooms;
	struct message_row message[ROWS];
	int nmessages;
	struct change_row change[ROWS];
	int nchanges, changes_a_page;
	char *users[64];
	int nusers;
	uint64_t gseq, mono_ms, real_ms;
	/* ns; 0: allowed */
	uint64_t wait_ns[CHAT_RATE__MAX];
	/* there is too much to do; how often one was refused; which of these
	 * is one too many; by how many bits that is made longer */
	bool busy;
	unsigned refused[CHAT_RATE__MAX], out_after, doubled;
	/* workspace/session that was lost last */
	char lost[256];
	int charged[CHAT_RATE__MAX], given_back[CHAT_RATE__MAX];
	/* what was said, how often, and of that given back; all is too much */
	uint64_t marks[MARKS];
	int nmarks, marks_back;
	bool bursting;
	unsigned counts[CHAT_COUNT__MAX];
	/* faults */
	bool fail_roster, fail_messages, fail_seek, fail_changes, fail_find;
	bool fail_recovery;
	/* who is told to close does so at once */
	bool close_at_once;
	bool force;
	enum chat_outcome forced;
	int encodes;
	/* ids and owners given out */
	unsigned nids;
	/* of new clients */
	bool without_offsets;
	/* of 100 reads so many are late (chat_reads.h) */
	unsigned late, late_seed;
	struct read reads[READS];
	struct stream_table streams;
};

#define UNUSED __attribute__((unused))

static struct chat_str
str_of(const char *p)
{
	return (struct chat_str){ p, strlen(p) };
}

static struct recovery_row *
recovery_find(struct world *w, struct chat_str pid)
{
	int i;

	for (i = 0; i < RECOVERIES; i++) {
		if (w->recovery[i].used && pid.len > 0 &&
		    strlen(w->recovery[i].pid) == pid.len &&
		    memcmp(w->recovery[i].pid, pid.p, pid.len) == 0)
			return &w->recovery[i];
	}
	return NULL;
}

#endif /* CHAT_STATE_H */
