/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "master/faults.h"

#ifdef CHATD_FAULTS

#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "common/json.h"
#include "common/role.h"
#include "master/request.h"

static void
put_row(enum fault_point point, struct json_out *o)
{
	const struct fault_row *row = &fault_file()->row[point];

	json_out_object(o);
	json_out_key(o, "point");
	json_out_cstring(o, fault_point_name(point));
	json_out_key(o, "who");
	json_out_cstring(o, fault_point_who(point));
	json_out_key(o, "hits");
	json_out_u64(o, row->hits);
	json_out_key(o, "fired");
	json_out_u64(o, row->fired);
	json_out_key(o, "armed");
	json_out_cstring(o, fault_action_name(row->action));
	json_out_key(o, "text");
	json_out_cstring(o, fault_point_text(point));
	json_out_object_end(o);
}

static void
put_error(struct json_out *o, const char *why)
{
	json_out_object(o);
	json_out_key(o, "error");
	json_out_cstring(o, why);
	json_out_object_end(o);
}

/* The number of a name, or 'n'. */
static unsigned
find(const char *name, const char *(*name_of)(unsigned), unsigned n)
{
	unsigned i;

	for (i = 0; i < n && strcmp(name_of(i), name) != 0; i++)
		continue;
	return i;
}

static const char *
point_name(unsigned i)
{
	return fault_point_name((enum fault_point)i);
}

static const char *
action_name(unsigned i)
{
	return fault_action_name((enum fault_action)i);
}

static const char *
role_name(unsigned i)
{
	static const char *const names[] = { "master", "worker", "scribe",
		"clerk", "any" };

	return names[i];
}

static long
number(const struct request *r, size_t i, long otherwise)
{
	return r->nargs > i ? strtol(r->args[i], NULL, 10) : otherwise;
}

/* NULL, or what is wrong. */
static const char *
arm(const struct request *r)
{
	unsigned point, action, role = 4;

	if (r->nargs < 3)
		return "arm POINT ACTION [HIT [ROLE [SLOT [VALUE]]]]";
	point = find(r->args[1], point_name, FAULT__MAX);
	action = find(r->args[2], action_name, FAULT_ACTION__MAX);
	if (r->nargs > 4)
		role = find(r->args[4], role_name, 5);
	if (point == FAULT__MAX || action == FAULT_ACTION__MAX || role > 4)
		return "there is no such point, action or role";
	fault_set((enum fault_point)point, (enum fault_action)action,
	    (int32_t)number(r, 3, 1), role == 4 ? 0 : 1U << role,
	    (int32_t)number(r, 5, -1), (int32_t)number(r, 6, 0));
	return NULL;
}

static const char *
clear(const struct request *r)
{
	unsigned i, point = FAULT__MAX;

	if (r->nargs > 1 &&
	    (point = find(r->args[1], point_name, FAULT__MAX)) == FAULT__MAX)
		return "there is no such point";
	for (i = 0; i < FAULT__MAX; i++)
		if (point == FAULT__MAX || point == i)
			fault_set((enum fault_point)i, FAULT_ACTION_NONE, 0, 0,
			    -1, 0);
	return NULL;
}

void
report_faults(struct master *m, const struct request *r, struct json_out *o)
{
	const char *why = NULL;
	unsigned i;

	if (fault_file() == NULL)
		why = "started without " FAULT_FILE_ENV;
	else if (r->nargs > 0 && strcmp(r->args[0], "arm") == 0)
		why = arm(r);
	else if (r->nargs > 0 && strcmp(r->args[0], "clear") == 0)
		why = clear(r);
	else if (r->nargs > 0)
		why = "arm, clear, or nothing";
	if (why != NULL) {
		put_error(o, why);
		return;
	}
	json_out_array(o);
	for (i = 0; i < FAULT__MAX; i++)
		if (r->nargs < 2 || strcmp(r->args[1], point_name(i)) == 0)
			put_row((enum fault_point)i, o);
	json_out_array_end(o);
}

#endif /* CHATD_FAULTS */
