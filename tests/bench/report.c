/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * report - what the load generator measured, for people or as one line of
 * JSON.
 */

#include <sys/resource.h>

#include <stdio.h>

#include "tests/bench/load.h"
#include "tests/bench/util.h"

void
report_mark(const struct load *l, struct mark *m)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	m->own_cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
	m->server_cpu = l->opt.server_pid ? tree_cpu(l->opt.server_pid) : 0;
	m->sent = l->status->sent;
	m->acked = l->v.acked;
	m->deliveries = l->v.deliveries;
	m->bytes = l->bytes;
	m->requests = l->requests;
	m->ns = now_ns();
}

static double
per(double n, double d)
{
	return d > 0 ? n / d : 0;
}

static double
seconds(const struct mark m[2])
{
	return (double)(m[1].ns - m[0].ns) / 1e9;
}

static void
print_hist(const char *name, const struct hist *h)
{
	printf("\"%s\":{\"n\":%llu,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,"
	       "\"p999\":%.1f,\"max\":%.1f},",
	    name, (unsigned long long)h->n, (double)hist_at(h, 0.5) / 1e3,
	    (double)hist_at(h, 0.9) / 1e3, (double)hist_at(h, 0.99) / 1e3,
	    (double)hist_at(h, 0.999) / 1e3, (double)h->max / 1e3);
}

static void
print_setup(const struct load *l)
{
	const struct mark *m = l->setup;
	double cpu = m[1].server_cpu - m[0].server_cpu;

	printf("\"setup\":{\"clients\":%u,\"seconds\":%.3f,"
	       "\"server_cpu\":%.3f,\"per_cpu_second\":%.0f}",
	    l->nclients, seconds(m), cpu, per(l->nclients, cpu));
}

void
report_ready(const struct load *l)
{
	printf("{\"ready\":%u,", l->ready);
	print_setup(l);
	printf("}\n");
	fflush(stdout);
}

static void
print_json(const struct load *l)
{
	const struct options *o = &l->opt;
	const struct mark *a = &l->measured[0], *b = &l->measured[1];
	double cpu = b->server_cpu - a->server_cpu, s = seconds(l->measured);
	double sent = (double)(b->sent - a->sent);
	double acked = (double)(b->acked - a->acked);
	double got = (double)(b->deliveries - a->deliveries);
	unsigned i;

	printf("{\"rooms\":%u,\"members\":%u,\"senders\":%u,\"window\":%u,"
	       "\"rate\":%.1f,\"size\":%u,\"seconds\":%.3f,",
	    o->rooms, o->members, o->senders, o->window, o->rate, o->size, s);
	printf("\"sent\":%.0f,\"acked\":%.0f,\"deliveries\":%.0f,"
	       "\"sent_per_s\":%.1f,\"acked_per_s\":%.1f,"
	       "\"deliveries_per_s\":%.1f,",
	    sent, acked, got, per(sent, s), per(acked, s), per(got, s));
	printf("\"server_cpu\":%.3f,\"own_cpu\":%.3f,"
	       "\"deliveries_per_cpu_s\":%.1f,\"acked_per_cpu_s\":%.1f,"
	       "\"bytes\":%llu,",
	    cpu, b->own_cpu - a->own_cpu, per(got, cpu), per(acked, cpu),
	    (unsigned long long)(b->bytes - a->bytes));
	print_hist("sent_us", &l->sent_after);
	print_hist("delivered_us", &l->delivered_after);
	print_hist("late_us", &l->late);
	print_hist("upgraded_us", &l->upgraded_after);
	printf("\"requests_per_s\":%.1f,",
	    per((double)(b->requests - a->requests), s));
	print_setup(l);
	printf(",\"total\":{\"sent\":%llu,\"acked\":%llu,\"deliveries\":%llu,"
	       "\"complete\":%llu,\"reconnects\":%llu,\"resent\":%llu,"
	       "\"history_pages\":%llu,\"history_messages\":%llu,",
	    (unsigned long long)l->status->sent, (unsigned long long)l->v.acked,
	    (unsigned long long)l->v.deliveries,
	    (unsigned long long)l->v.complete,
	    (unsigned long long)l->reconnects, (unsigned long long)l->resent,
	    (unsigned long long)l->history_pages,
	    (unsigned long long)l->history_messages);
	printf("\"requests\":%llu,\"opened\":%llu,\"upgrades\":%llu,"
	       "\"recovered\":%llu,\"unrecovered\":%llu,\"cuts\":%llu},",
	    (unsigned long long)l->requests, (unsigned long long)l->opened,
	    (unsigned long long)l->upgrades, (unsigned long long)l->recovered,
	    (unsigned long long)l->unrecovered, (unsigned long long)l->cuts);
	printf("\"violations\":{\"total\":%llu",
	    (unsigned long long)verify_faults(&l->v));
	for (i = 0; i < FAULT__MAX; i++)
		printf(",\"%s\":%llu", fault_words[i],
		    (unsigned long long)l->v.fault[i]);
	printf("}}\n");
}

static void
print_latency(const char *name, const struct hist *h)
{
	if (h->n > 0)
		printf("%-12s p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, "
		       "max %.2f ms\n",
		    name, (double)hist_at(h, 0.5) / 1e6,
		    (double)hist_at(h, 0.99) / 1e6,
		    (double)hist_at(h, 0.999) / 1e6, (double)h->max / 1e6);
}

static void
print_text(const struct load *l)
{
	const struct mark *a = &l->measured[0], *b = &l->measured[1];
	double cpu = b->server_cpu - a->server_cpu, s = seconds(l->measured);
	double acked = (double)(b->acked - a->acked);
	double got = (double)(b->deliveries - a->deliveries);
	unsigned i;

	printf("clients      %u in %u rooms, ready after %.2f s\n", l->nclients,
	    l->opt.rooms, seconds(l->setup));
	printf("acknowledged %.0f messages/s\n", per(acked, s));
	printf("delivered    %.0f/s", per(got, s));
	if (cpu > 0)
		printf(", %.0f a CPU-second of the server", per(got, cpu));
	printf("\n");
	print_latency("sent after", &l->sent_after);
	print_latency("received", &l->delivered_after);
	print_latency("upgraded", &l->upgraded_after);
	if (l->requests > 0)
		printf("requests     %llu, %.0f/s, over %llu connections\n",
		    (unsigned long long)l->requests,
		    per((double)(b->requests - a->requests), s),
		    (unsigned long long)l->opened);
	if (l->opt.recover)
		printf("recovered    %llu, not %llu\n",
		    (unsigned long long)l->recovered,
		    (unsigned long long)l->unrecovered);
	if (l->opt.reconnect)
		printf("reconnects   %llu, %llu messages sent again\n",
		    (unsigned long long)l->reconnects,
		    (unsigned long long)l->resent);
	if (l->opt.history)
		printf("history      %llu messages on %llu pages\n",
		    (unsigned long long)l->history_messages,
		    (unsigned long long)l->history_pages);
	printf("in all       %u messages, %llu deliveries, %llu violations\n",
	    l->v.nmessages, (unsigned long long)l->v.deliveries,
	    (unsigned long long)verify_faults(&l->v));
	for (i = 0; i < FAULT__MAX; i++)
		if (l->v.fault[i] > 0)
			printf("  %-10s %llu\n", fault_words[i],
			    (unsigned long long)l->v.fault[i]);
}

void
report_print(const struct load *l)
{
	if (l->opt.json)
		print_json(l);
	else
		print_text(l);
}
