/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * health - is all well, and if not, what is wrong.
 *
 * A score from 100 down to 0: each thing that is wrong takes something off
 * and is named in a sentence.  From 80 on the daemon is "healthy", from 60 on
 * "degraded", below it is "unhealthy": people notice.  What is counted is
 * counted over the last minute, so an hour ago does not show; only damage,
 * which does not go away, is told until the daemon's end.
 */

#ifndef MASTER_HEALTH_H
#define MASTER_HEALTH_H

struct health;
struct json_out;
struct master;
struct request;

/* Begins to take samples. */
struct health *health_new(struct master *m);
void health_free(struct health **h);

/*
 * {"status":"healthy","score":100,"issues":[...],"timestamp":ms,
 *  "connections":n,"uptime":s,"version":"..."}
 */
void report_health(struct master *m, const struct request *r,
    struct json_out *o);

#endif /* MASTER_HEALTH_H */
