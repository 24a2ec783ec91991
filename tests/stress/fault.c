/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "tests/stress/fault.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[FAULT__MAX] = {
#define FAULT_POINT(name, who, text) #name " (" text ")",
#include "common/tbl_fault.h"
};

static struct {
	enum fault_point point;
	unsigned hits;
	enum fault_action action;
	_Atomic unsigned *fired;
} armed = { .point = FAULT__MAX };

const char *
fault_name(enum fault_point point)
{
	return names[point];
}

enum fault_point
fault_find(const char *name)
{
	size_t len = strlen(name);
	unsigned i;

	for (i = 0; i < FAULT__MAX; i++)
		if (strncmp(names[i], name, len) == 0 && names[i][len] == ' ')
			break;
	return (enum fault_point)i;
}

void
fault_arm(enum fault_point point, unsigned hits, enum fault_action action,
    _Atomic unsigned fired[FAULT__MAX])
{
	armed.point = point;
	armed.hits = hits;
	armed.action = action;
	armed.fired = fired;
}

void
fault_hit(enum fault_point point)
{
	if (point != armed.point || armed.hits == 0 || --armed.hits > 0)
		return;
	if (armed.fired != NULL)
		armed.fired[point]++;
	(void)kill(getpid(),
	    armed.action == FAULT_ACTION_KILL ? SIGKILL : SIGSTOP);
	/* stopped: somebody sends SIGCONT, and we go on from here */
}

/* Nothing in the rings can fail. */
bool
fault_error(enum fault_point point)
{
	fault_hit(point);
	return false;
}
