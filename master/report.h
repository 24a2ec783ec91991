/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * report - the daemon's state as JSON documents.
 *
 * The names of the members are an interface: they may become more, they do
 * not change.  The end of a name tells the unit: _ms is milliseconds (_at_ms
 * since 1970), _s seconds, _us microseconds, _bytes bytes.
 */

#ifndef MASTER_REPORT_H
#define MASTER_REPORT_H

struct json_out;
struct master;
struct request;

void report_status(struct master *m, const struct request *r,
    struct json_out *o);
void report_workers(struct master *m, const struct request *r,
    struct json_out *o);
void report_ring(struct master *m, const struct request *r, struct json_out *o);
void report_store(struct master *m, const struct request *r,
    struct json_out *o);
/* Argument: a shell pattern of the names that are wanted. */
void report_stats(struct master *m, const struct request *r,
    struct json_out *o);
void report_config(struct master *m, const struct request *r,
    struct json_out *o);
void report_version(struct master *m, const struct request *r,
    struct json_out *o);

#endif /* MASTER_REPORT_H */
