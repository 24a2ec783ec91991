/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * faults - chatctl faults: the fault points of a test build, armed by hand.
 */

#ifndef MASTER_FAULTS_H
#define MASTER_FAULTS_H

#ifdef CHATD_FAULTS

struct json_out;
struct master;
struct request;

/*
 * No argument: all points, how often somebody came there, what is armed.
 * "arm POINT ACTION [HIT [ROLE [SLOT [VALUE]]]]": at that hit (1: the next)
 * in that role (any), in that worker's slot (-1: any), with that errno or
 * that many milliseconds.  "clear [POINT]".  Answers with what stands in the
 * row or rows then, or with {"error": ...}.
 */
void report_faults(struct master *m, const struct request *r,
    struct json_out *o);

#endif

#endif /* MASTER_FAULTS_H */
