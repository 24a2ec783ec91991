/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat_script - the world of fuzz_chat.c: clients, what they published, and
 * the store's writer, who decides on it.
 */

#ifndef TESTS_FUZZ_CHAT_SCRIPT_H
#define TESTS_FUZZ_CHAT_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>

#include "chat/chat.h"
#include "chat/offset.h"
#include "common/config.h"
#include "tests/unit/stream_table.h"

#define CLIENTS 4
#define EVENTS 512
#define ROOMS 8
#define MESSAGES 256
#define STEPS 300
#define CHAT_FUZZ_NAME 101

/* A connection. */
struct client {
	struct chat_socket *s;
	uint32_t serial;
	/* the answer to its CONNECT has come; it was told to close */
	bool connected, closed;
	/* it is to be disconnected, and this is why */
	const char *let_go;
	bool wants;
	/* acknowledgements that it waits for */
	uint64_t acks;
};

struct event {
	struct chat_event ev;
	char *field[CHAT_MAX_FIELDS];
	struct chat_socket *from;
	uint32_t request;
	enum chat_outcome outcome;
	uint64_t gseq, seq, revision;
};

struct message {
	uint64_t room, seq, gseq, revision;
	bool deleted;
	char *body;
};

struct change {
	enum chat_event_type type;
	uint64_t room, seq, gseq, revision;
};

/* What a client remembers, and its row: whether there is one, whose it is,
 * what it is in. */
struct person {
	char id[CHAT_SID_SIZE], pid[CHAT_SID_SIZE];
	char offset[OFFSET_TEXT_SIZE];
	bool used;
	uint32_t serial;
	uint64_t lost_ms;
	struct {
		bool in;
		uint64_t gseq, after, revision;
		char workspace[CHAT_FUZZ_NAME], session[CHAT_FUZZ_NAME];
	} room[ROOMS + 1];
};

struct script {
	struct config cfg;
	struct chat *chat;
	/* of each two, of which the second may be an old one */
	struct client client[2 * CLIENTS];
	int turn[CLIENTS];
	struct person person[CLIENTS];
	char offset[OFFSET_TEXT_SIZE];
	uint32_t serials;
	struct event event[EVENTS];
	int published, decided, delivered;
	struct message message[MESSAGES];
	int nmessages;
	struct change change[EVENTS];
	int nchanges;
	uint64_t last[ROOMS + 1], revision[ROOMS + 1], gseq, now;
	bool fail, late, over;
	struct stream_table streams;
	unsigned offers;
	unsigned refused;
	/* of the store */
	unsigned reads;
	int interests;
};

extern struct script w;

/* Whose pid it is; -1: nobody's. */
int client_of_pid(struct chat_str pid);
/*
 * Every other read is late while they are; 'conn' (may be NULL) will produce.
 */
enum chat_read read_store(void *conn, bool take);
/* Everything that was published gets its verdict. */
void decide(void);

#endif /* TESTS_FUZZ_CHAT_SCRIPT_H */
