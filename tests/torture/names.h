/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * names - what the clients of the torture call things, and what they say.
 *
 * A message's number is its client in the upper half and the client's count
 * in the lower; id and text follow from it, so that a retry is the same.
 */

#ifndef TORTURE_NAMES_H
#define TORTURE_NAMES_H

#include "tests/bench/scan.h"

#define NAMES_WORKSPACE "torture"
#define NAMES_SIZE 64
/* the longest text of a message, and its NUL */
#define NAMES_TEXT 4096

/* Every id and session of a run begins with its tag. */
void names_tag(uint64_t seed);

/* Names into buffers of NAMES_SIZE; all return their length. */
size_t names_message(uint64_t message, char *out);
size_t names_room(unsigned room, char *out);
size_t names_user(unsigned user, char *out);

/* And back; false: it is no name of this run. */
bool names_is_message(struct span id, uint64_t *message_r);
bool names_is_room(struct span id, unsigned *room_r);

bool names_is_user(struct span id, unsigned *user_r);

/* The longest chunk, and its NUL; chunks of one stream. */
#define NAMES_CHUNK 400
#define NAMES_CHUNKS 14
/*
 * What the chunk says, into a buffer of NAMES_CHUNK; it begins with its
 * number.
 */
size_t names_chunk(uint64_t message, unsigned index, char *out);
/*
 * Is the text that of chunks in a row?  The first one's number and behind
 * which it ends; of an empty text 0 and 0.
 */
bool names_are_chunks(uint64_t message, struct span text, unsigned *first_r,
    unsigned *end_r);
/* The hash of what the first 'n' chunks say together. */
uint64_t names_chunks_hash(uint64_t message, unsigned user, unsigned n);

/* The text of a message into a buffer of NAMES_TEXT, never blank. */
size_t names_text(uint64_t message, char *out);

/* One number for a text and who wrote it. */
uint64_t names_hash(struct span user, struct span text);

/* A number that looks random, of one that does not. */
uint64_t names_mix(uint64_t x);

#endif /* TORTURE_NAMES_H */
