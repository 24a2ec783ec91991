/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * table - text in columns, as wide as they have to be.
 */

#include "chatctl/table.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>

struct cell {
	char *text;
	bool right;
};

struct row {
	struct cell cell[TABLE_MAX_COLUMNS];
	unsigned n;
};

struct table {
	struct row *row;
	size_t nrows;
	/* the last row is being filled */
	bool open;
};

struct table *
table_new(void)
{
	struct table *t;

	if ((t = calloc(1, sizeof(*t))) == NULL)
		err(1, NULL);
	return t;
}

void
table_free(struct table **tp)
{
	struct table *t = *tp;

	*tp = NULL;
	for (size_t i = 0; i < t->nrows; i++)
		for (unsigned k = 0; k < t->row[i].n; k++)
			free(t->row[i].cell[k].text);
	free(t->row);
	free(t);
}

void
table_cell(struct table *t, const char *text, bool right)
{
	struct row *rows, *r;

	if (!t->open) {
		rows = reallocarray(t->row, t->nrows + 1, sizeof(*rows));
		if (rows == NULL)
			err(1, NULL);
		t->row = rows;
		memset(&rows[t->nrows], 0, sizeof(*rows));
		t->nrows++;
		t->open = true;
	}
	r = &t->row[t->nrows - 1];
	if (r->n == TABLE_MAX_COLUMNS)
		return;
	if ((r->cell[r->n].text = strdup(text)) == NULL)
		err(1, NULL);
	r->cell[r->n].right = right;
	r->n++;
}

void
table_end_row(struct table *t)
{
	t->open = false;
}

/* Characters, taking each for one column wide. */
static unsigned
width(const char *s)
{
	unsigned n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void
blanks(unsigned n, FILE *fp)
{
	(void)fprintf(fp, "%*s", (int)n, "");
}

static void
print_row(const struct row *r, const unsigned *widths, FILE *fp)
{
	unsigned pad;

	for (unsigned k = 0; k < r->n; k++) {
		pad = widths[k] - width(r->cell[k].text);
		if (k > 0)
			blanks(2, fp);
		if (r->cell[k].right)
			blanks(pad, fp);
		(void)fputs(r->cell[k].text, fp);
		if (!r->cell[k].right && k + 1 < r->n)
			blanks(pad, fp);
	}
	(void)fputc('\n', fp);
}

void
table_print(const struct table *t, unsigned indent, FILE *fp)
{
	unsigned widths[TABLE_MAX_COLUMNS] = { 0 };
	unsigned w;

	for (size_t i = 0; i < t->nrows; i++)
		for (unsigned k = 0; k < t->row[i].n; k++)
			if ((w = width(t->row[i].cell[k].text)) > widths[k])
				widths[k] = w;
	for (size_t i = 0; i < t->nrows; i++) {
		blanks(indent, fp);
		print_row(&t->row[i], widths, fp);
	}
}
