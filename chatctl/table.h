/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * table - text in columns, as wide as they have to be.
 */

#ifndef CHATCTL_TABLE_H
#define CHATCTL_TABLE_H

#include <stdbool.h>
#include <stdio.h>

/* More cells in a row than this are dropped. */
#define TABLE_MAX_COLUMNS 32

struct table;

struct table *table_new(void);
void table_free(struct table **t);

/* Cells go from left to right; table_end_row() begins the next row.
 * 'right' aligns this cell to the right. */
void table_cell(struct table *t, const char *text, bool right);
void table_end_row(struct table *t);

/* 'indent' blanks before each row, two between columns, none at the end. */
void table_print(const struct table *t, unsigned indent, FILE *fp);

#endif /* CHATCTL_TABLE_H */
