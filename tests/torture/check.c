/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * check - see check.h.
 */

#include "tests/torture/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/util.h"

#define SHOWN 4

static const struct {
	const char *name, *text;
} violations[] = {
#define VIOLATION(name, text) { #name, text },
#include "tests/torture/tbl_violation.h"
#undef VIOLATION
};

void
check_fault(struct check *c, enum violation v, const char *fmt, ...)
{
	va_list ap;

	if (c->found[v]++ >= SHOWN)
		return;
	fprintf(stderr, "%s: ", violations[v].name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

struct message *
check_message(struct check *c, uint64_t message)
{
	uint32_t client = (uint32_t)(message >> 32), n = (uint32_t)message;

	if (client >= c->nclients || n >= c->client[client].n ||
	    c->client[client].message[n].begin == 0)
		return NULL;
	return &c->client[client].message[n];
}

struct row *
check_row(struct check *c, unsigned room, uint64_t seq)
{
	if (room >= c->nrooms || seq == 0 || seq > c->room[room].n ||
	    c->room[room].row[seq - 1].stored == NULL)
		return NULL;
	return &c->room[room].row[seq - 1];
}

static bool
is_dump(const struct ledger *l)
{
	return l->entry[0].kind == LEDGER_DUMP;
}

static void
note_death(struct check *c, const struct ledger_entry *e)
{
	c->died = xreallocarray(c->died, c->ndied + 1, sizeof(*c->died));
	c->died[c->ndied++] = e;
}

/* How many clients and rooms there are, and which dump is the truth. */
static void
survey(struct check *c)
{
	const struct ledger_entry *e;
	unsigned i;
	size_t k;

	for (i = 0; i < c->nledgers; i++) {
		if (c->ledger[i].entry[c->ledger[i].n - 1].kind != LEDGER_END)
			check_fault(c, VIOLATION_INCOMPLETE, "%s",
			    c->ledger[i].path);
		e = c->ledger[i].entry;
		if (is_dump(&c->ledger[i]) &&
		    e->code == (FLAG_POSITIONS | FLAG_FINAL))
			c->truth = &c->ledger[i];
		for (k = 0; k < c->ledger[i].n; k++, e++) {
			if (e->room >= c->nrooms)
				c->nrooms = e->room + 1U;
			if (e->kind == LEDGER_SEND && e->client >= c->nclients)
				c->nclients = e->client + 1;
			if ((e->kind == LEDGER_CONNECT ||
				e->kind == LEDGER_STREAM) &&
			    e->client >= c->nclients)
				c->nclients = e->client + 1;
			if (e->kind == LEDGER_DIED)
				note_death(c, e);
		}
	}
	if (c->truth == NULL)
		die(EXIT_USAGE, "no final dump with positions");
	c->room = xcalloc(c->nrooms, sizeof(*c->room));
	c->client = xcalloc(c->nclients, sizeof(*c->client));
	c->revisions = xcalloc(c->nrooms, sizeof(*c->revisions));
}

static uint64_t
report(const struct check *c)
{
	const struct {
		const char *name;
		uint64_t n;
	} figures[] = {
		{ "stored", c->stored },
		{ "sent", c->sent },
		{ "acks", c->acks },
		{ "deliveries", c->deliveries },
		{ "joins", c->joins },
		{ "pages", c->pages },
		{ "retries", c->retries },
		{ "steals", c->steals },
		{ "refused", c->refused },
		{ "connects", c->connects },
		{ "recovered", c->recovered },
		{ "changes", c->changes },
		{ "receipts", c->receipts },
		{ "revised", c->revised },
		{ "streams", c->nstreams },
		{ "ended", c->ended },
		{ "chunks", c->chunks },
		{ "cut", c->cut },
	};
	uint64_t total = 0;
	unsigned v;
	size_t i;

	for (v = 0; v < VIOLATION__MAX; v++)
		total += c->found[v];
	for (i = 0; i < sizeof(figures) / sizeof(*figures); i++)
		printf("%s\"%s\":%" PRIu64, i ? "," : "{", figures[i].name,
		    figures[i].n);
	printf(",\"violations\":%" PRIu64 ",\"by\":{", total);
	for (v = 0, total = 0; v < VIOLATION__MAX; v++) {
		if (c->found[v] == 0)
			continue;
		printf("%s\"%s\":%" PRIu64, total ? "," : "",
		    violations[v].name, c->found[v]);
		total += c->found[v];
		fprintf(stderr, "%8" PRIu64 " %s: %s\n", c->found[v],
		    violations[v].name, violations[v].text);
	}
	printf("}}\n");
	return total;
}

int
main(int argc, char **argv)
{
	static struct check c = { .replay_max = 500 };
	int i;

	if (argc > 1 && strcmp(argv[1], "--list") == 0) {
		for (i = 0; i < VIOLATION__MAX; i++)
			printf("%s\n", violations[i].name);
		return EXIT_FINE;
	}
	if (argc < 3) {
		fputs("usage: check ledger... dump...\n"
		      "       check --list\n",
		    stderr);
		return EXIT_USAGE;
	}
	c.nledgers = (unsigned)argc - 1;
	c.ledger = xcalloc(c.nledgers, sizeof(*c.ledger));
	for (i = 1; i < argc; i++)
		ledger_map(&c.ledger[i - 1], argv[i]);
	survey(&c);
	check_sends(&c);
	check_changes(&c);
	check_store(&c);
	check_revisions(&c);
	check_clients(&c);
	check_dumps(&c);
	check_answers(&c);
	check_streams(&c);
	check_causality(&c);
	check_fifo(&c);
	check_fresh(&c);
	return report(&c) == 0 ? EXIT_FINE : EXIT_VIOLATED;
}
