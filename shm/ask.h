/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * ask - what workers ask the bridge, and what it answers.
 *
 *   worker --- question: whose token is this? ---> bridge ---> application
 *          <------- answer: claims, or why not ---
 *
 * A pair of sockets (SOCK_SEQPACKET) a worker's slot, made by the master for
 * the daemon's life: it survives both of them, so what one has not read is
 * read by the next.  Nobody waits: what a socket does not take is not sent.
 * One message is one packet: a head, then its texts one behind the other.
 */

#ifndef SHM_ASK_H
#define SHM_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most bytes of each text. */
#define ASK_TOKEN_MAX 16384
#define ASK_ADDRESS_MAX 64
#define ASK_AGENT_MAX 1024
#define ASK_CLAIMS_MAX (256 * 1024)

/* Room for any question, and for any answer. */
#define ASK_QUESTION_SIZE (64 + ASK_TOKEN_MAX + ASK_ADDRESS_MAX + ASK_AGENT_MAX)
#define ASK_ANSWER_SIZE (64 + ASK_CLAIMS_MAX)

/* Not terminated. */
struct ask_text {
	const char *p;
	size_t len;
};

struct ask_question {
	/* who asks, so that an answer to its predecessor is not taken */
	uint32_t incarnation;
	/* the asker's own */
	uint32_t number;
	/* of a socket that is connected: it may wait, and is not answered
	 * from memory */
	bool recheck;
	/* CLOCK_MONOTONIC ms: nobody waits for the answer any longer */
	uint64_t until_ms;
	struct ask_text token;
	/* as they stand in the contract's POST; any bytes */
	struct ask_text address, agent;
};

enum ask_outcome {
	/* the claims are the application's */
	ASK_GRANTED,
	/* 401 or 403 */
	ASK_REFUSED,
	/* no answer, or none that makes sense: try again later */
	ASK_UNAVAILABLE,
	ASK_OUTCOME__MAX,
};

struct ask_answer {
	uint32_t incarnation;
	uint32_t number;
	enum ask_outcome outcome;
	/* UNAVAILABLE: seconds; 0: not known */
	uint32_t retry_after;
	/* GRANTED: a JSON object with userId, userName, role, workspaces and
	 * expiresAt, as far as they are there */
	struct ask_text claims;
};

/*
 * Send, without waiting.  0, or -1 with errno: EAGAIN the socket is full,
 * EMSGSIZE it takes no packet of that size, EINVAL a text is too long.
 */
int ask_send_question(int fd, const struct ask_question *q);
int ask_send_answer(int fd, const struct ask_answer *a);

/*
 * Take the next packet into 'buf' (ASK_QUESTION_SIZE or ASK_ANSWER_SIZE
 * bytes), which the texts then point into.  1: there was one; 0: there is
 * none; -1 with errno: EBADMSG what was there makes no sense and is gone;
 * ENOTCONN the other side has gone, or sent an empty packet.
 */
int ask_receive_question(int fd, char *buf, struct ask_question *q_r);
int ask_receive_answer(int fd, char *buf, struct ask_answer *a_r);

#endif /* SHM_ASK_H */
