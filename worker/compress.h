/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * compress - messages and bodies made smaller, if the operator wants that.
 *
 * A frame that goes to many is compressed once: without context takeover it
 * is the same for all whose window is the same.
 */

#ifndef WORKER_COMPRESS_H
#define WORKER_COMPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/chat.h"

struct worker;

/* what is smaller than this is sent as it is (wire page 2.1, 2.4) */
#define COMPRESS_MIN 1024

/* A data frame of this turn, compressed if that pays. */
struct chat_frame compress_frame(struct worker *w, struct chat_frame frame,
    unsigned bits);

/* gzip, or zlib's format; 0 if it does not pay, else the length. */
size_t compress_body(struct worker *w, bool gzip, const void *p, size_t len,
    void *out, size_t size);

/*
 * A compressed message: its bytes in the worker's second buffer, or NULL with
 * the close code and why.
 */
char *compress_inflate(struct worker *w, const void *p, size_t len, bool text,
    size_t *len_r, unsigned *code_r, const char **why_r);

/* The turn's frames are gone. */
void compress_forget(struct worker *w);
void compress_free(struct worker *w);

#endif /* WORKER_COMPRESS_H */
