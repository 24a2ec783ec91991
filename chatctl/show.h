/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * show - the daemon's documents for people.
 *
 * An array of objects is a table, an object a list of names and values, and
 * what is nested in it follows under a heading.  The ends of names tell
 * units: _bytes, _at_ms, _s, _us.  Nothing that a terminal would act upon
 * gets through.
 */

#ifndef CHATCTL_SHOW_H
#define CHATCTL_SHOW_H

#include <stddef.h>
#include <stdio.h>

#include "common/json.h"

/* A string without its quotes. */
void show_string(struct json_value string, FILE *fp);

void show_document(const char *json, size_t len, FILE *fp);

/* What it says of itself, its member "result"; without one, all of it. */
void show_result(const char *json, size_t len, FILE *fp);

/* A chat message on one line (more, if it has more), or a security event. */
void show_message(const char *json, size_t len, FILE *fp);

#endif /* CHATCTL_SHOW_H */
