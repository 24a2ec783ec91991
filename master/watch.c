/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "master/watch.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "master/child.h"
#include "master/master.h"
#include "master/supervise.h"
#include "shm/counter.h"

/* The letter that ps shows; '?' if it cannot be seen. */
static char
process_state(pid_t pid)
{
	char path[64], line[256], state = '?';
	const char *p;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if ((f = fopen(path, "re")) == NULL)
		return state;
	/* the name in parentheses may hold anything */
	if (fgets(line, sizeof(line), f) != NULL &&
	    (p = strrchr(line, ')')) != NULL && p[1] == ' ' && p[2] != '\0')
		state = p[2];
	(void)fclose(f);
	return state;
}

static void
look(struct master *m, struct child *c)
{
	const struct tables *t = m->shared.tables;
	uint64_t beats = atomic_load_explicit(&t->state->child[c->slot].beats,
	    memory_order_relaxed);
	char state;

	if (beats != c->beats || c->state != TABLES_CHILD_READY) {
		if (c->silent >= WATCH_WARN && beats != c->beats)
			log_notice("child works again child=\"%s\" "
				   "child_pid=%d",
			    child_name(c), (int)c->pid);
		c->beats = beats;
		c->silent = 0;
		return;
	}
	c->silent++;
	if (c->silent != WATCH_WARN && c->silent < WATCH_KILL)
		return;
	state = process_state(c->pid);
	if (c->silent == WATCH_WARN)
		log_warn("child does nothing child=\"%s\" child_pid=%d "
			 "state=%c",
		    child_name(c), (int)c->pid, state);
	if (c->silent < WATCH_KILL || state == 'D' || state == 't')
		return;
	counter_add(t, COUNTER_MASTER, COUNTER_CHILDREN_SILENT, 1);
	child_kill(c, "did nothing for half a minute");
}

void
watch_children(struct master *m)
{
	struct child *c;

	for (c = NULL; (c = supervise_next(m->supervisor, c)) != NULL;)
		look(m, c);
}
