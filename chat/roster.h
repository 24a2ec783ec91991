/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * roster - who is in a session, in pieces: what a join, a presence-sync and
 * chat:request-presence tell of it.
 *
 * A session may have more members than anybody is told at once.  How many
 * there are is known without reading: each join and leave tells it.
 */

#ifndef CHAT_ROSTER_H
#define CHAT_ROSTER_H

#include "chat/replay.h"
#include "chat/request.h"

/* entries that are told at once */
#define ROSTER_MAX 200

/* The first of them, and the socket's own; 's' NULL: nobody's. */
struct chat_roster_query roster_query(const struct room *room,
    const struct chat_socket *s);
/* Is that there?  Else it is asked for. */
bool roster_is_there(struct chat *chat, const struct chat_socket *s,
    const struct room *room);

/*
 * Ask for a page.  While it is read, the changes behind it are kept; the end
 * of the job, or roster_sent(), ends that.
 */
enum chat_read roster_read(struct chat *chat, struct chat_socket *s,
    struct job *job, const struct chat_roster_query *q, chat_member_fn fn,
    void *arg, struct chat_roster *roster_r);
/* It was sent: the member (unless NULL) is told of what is behind it. */
void roster_sent(struct chat *chat, struct chat_socket *s, struct job *job,
    struct member *m, uint64_t pos);

/* A join or a leave tells how many there are; and a read may. */
void room_count(struct room *room, uint32_t members);
void roster_counted(struct room *room, const struct chat_roster *roster);
/*
 * How many there were where this was read, of which it told 'n'.  False:
 * that will be known when all of it has been delivered here.
 */
bool roster_count(const struct chat *chat, const struct room *room,
    const struct chat_roster *roster, uint64_t n, uint64_t *count_r);

/* "presences", and behind them "count". */
struct roster_out {
	struct json_out *o;
	const char *session;
	/* whose entry is looked for (or NULL), and what it says */
	const char *socket_id;
	bool seen;
	struct chat_member self;
	char status[16];
	/* how many were told */
	uint64_t n;
};
bool roster_add(void *arg, const struct chat_member *m);
void roster_out_count(struct json_out *o, uint64_t count);

#endif /* CHAT_ROSTER_H */
