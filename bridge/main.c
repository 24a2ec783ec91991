/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * main - the bridge: between workers and the web application.
 *
 *   workers -- pairs (shm/ask.h) -- desk -- http -- the web application
 *
 * It alone talks to the outside.  So it holds no client's connection, no
 * ring and no store, and of the shared memory only counters; what it is told
 * by workers are tokens, what it tells them are claims.
 */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "bridge/desk.h"
#include "bridge/http.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/role.h"
#include "common/sandbox.h"
#include "common/url.h"
#include "shm/ask.h"
#include "shm/child.h"
#include "shm/counter.h"

#define TICK_MS 100
/* questions of one worker that are taken at once */
#define BATCH 64

struct bridge {
	struct child child;
	struct event_base *base;
	struct event *master_ev, *tick_ev, *ask_ev[TABLES_WORKERS];
	struct http *http;
	struct desk *desk;
	/* what the desk's and http's configuration came from */
	char *url;
	bool stopping;
	uint64_t told_bad;
};

static struct bridge self;

/* --- what the desk wants ------------------------------------------------- */

static int
op_call(void *ctx, struct desk_call *call, const char *body, size_t len,
    uint64_t timeout_ms)
{
	struct bridge *b = ctx;

	return http_post(b->http, call, clock_mono_ns(), body, len, timeout_ms);
}

static void
op_count(void *ctx, enum counter what)
{
	struct bridge *b = ctx;

	counter_add(b->child.tables, COUNTER_BRIDGE, what, 1);
}

static void
op_answer(void *ctx, unsigned slot, const struct ask_answer *a)
{
	struct bridge *b = ctx;

	/* it is stopped, or too slow: its clients are told by itself */
	if (slot < b->child.nask &&
	    ask_send_answer(b->child.ask[slot], a) == -1)
		op_count(b, COUNTER_BRIDGE_DROPPED);
}

static const struct desk_ops desk_ops = {
	.call = op_call,
	.answer = op_answer,
	.count = op_count,
};

static void
on_reply(void *arg, void *owner, uint64_t since_ns, const struct post_reply *r)
{
	struct bridge *b = arg;

	if (r->status != 0)
		hist_add(b->child.tables, COUNTER_BRIDGE, HIST_BRIDGE,
		    (clock_mono_ns() - since_ns) / 1000);
	else
		log_debug("no answer why=%s", log_text(r->why, strlen(r->why)));
	desk_reply(b->desk, owner, r, clock_mono_ms());
}

/* --- events ---------------------------------------------------------------- */

static void
on_question(evutil_socket_t fd, short what, void *arg)
{
	/* one at a time; too large for a stack */
	static char buf[ASK_QUESTION_SIZE];
	struct bridge *b = arg;
	struct ask_question q;
	unsigned slot = 0;
	int rc;

	while (b->child.ask[slot] != fd)
		slot++;
	for (int i = 0; i < BATCH; i++) {
		if ((rc = ask_receive_question((int)fd, buf, &q)) == 0)
			break;
		if (rc == -1) {
			if (errno == ENOTCONN)
				break;
			if (errno != EBADMSG)
				fatal("socket of worker %u", slot);
			log_error("a question of worker %u makes no sense",
			    slot);
			continue;
		}
		FAULT(BRIDGE_QUESTION);
		desk_question(b->desk, slot, &q, clock_mono_ms());
	}
	explicit_bzero(buf, sizeof(buf));
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct bridge *b = arg;
	const struct tables *t = b->child.tables;

	child_beat(&b->child);
	desk_tick(b->desk, clock_mono_ms());
	gauge_set(t, COUNTER_BRIDGE, GAUGE_BRIDGE_ASKING, desk_calls(b->desk));
	gauge_set(t, COUNTER_BRIDGE, GAUGE_BRIDGE_WAITING,
	    desk_waiting(b->desk));
	gauge_set(t, COUNTER_BRIDGE, GAUGE_BRIDGE_DOWN, desk_is_down(b->desk));
}

static void
on_master(evutil_socket_t fd, short what, void *arg)
{
	static struct ipc_msg msg;
	struct bridge *b = arg;
	int rc;

	while ((rc = child_receive(&b->child, &msg)) == 1) {
		if (msg.type != IPC_STOP)
			fatalx("the master sent %s", ipc_name(msg.type));
		(void)ipc_get_u32(&msg);
		child_end(&msg);
		b->stopping = true;
	}
	if (rc == -1)
		log_warn("the master is gone");
	/* clients who wait are told by their workers */
	if (rc == -1 || b->stopping)
		(void)event_base_loopbreak(b->base);
}

/* --- configuration ----------------------------------------------------------- */

/* Secrets of another mode are nothing that we need. */
static void
forget_secrets(struct config *cfg)
{
	if (cfg->auth_secret != NULL)
		explicit_bzero(cfg->auth_secret, cfg->auth_secret_len);
}

/* Read anew each time: certificates expire, and others take their place. */
static void
trust(struct bridge *b, const struct url *url)
{
	const char *why;

	if (http_trust(b->http, &why) == -1 && url->tls)
		log_error("no certificate can be checked reason=\"%s\"", why);
}

static void
configure(struct bridge *b)
{
	struct config *cfg = b->child.cfg;
	char origin[URL_ORIGIN_SIZE];
	const char *why;
	struct url url;
	bool other;

	forget_secrets(cfg);
	/* a reload that ends us */
	if (cfg->auth_mode != AUTH_MODE_WEBHOOK)
		return;
	if (!url_parse(cfg->auth_webhook_url, &url, &why))
		fatalx("auth.webhook_url %s", why);
	trust(b, &url);
	other = b->url == NULL || strcmp(b->url, cfg->auth_webhook_url) != 0;
	if (other) {
		free(b->url);
		if ((b->url = strdup(cfg->auth_webhook_url)) == NULL)
			fatal("strdup");
		http_set_url(b->http, b->url);
		log_info("asks application=%s", url_origin(&url, origin));
	}
	if (b->desk == NULL &&
	    (b->desk = desk_new(&desk_ops, b, cfg->auth_webhook_timeout)) ==
		NULL)
		fatal("memory for questions");
	desk_configure(b->desk, cfg->auth_webhook_timeout, other);
}

static void
on_configure(void *arg)
{
	configure(arg);
}

/* --- from start to end ----------------------------------------------------- */

static struct event *
add(struct bridge *b, int fd, event_callback_fn fn, const struct timeval *tv)
{
	struct event *ev;

	ev = event_new(b->base, fd,
	    fd == -1 ? EV_PERSIST : EV_READ | EV_PERSIST, fn, b);
	if (ev == NULL || event_add(ev, tv) == -1)
		fatalx("events");
	return ev;
}

static void
start(struct bridge *b)
{
	const struct timeval tick = { 0, TICK_MS * 1000 };
	struct event_config *ec;

	child_hello(&b->child, ROLE_BRIDGE);
	b->child.configure = on_configure;
	b->child.arg = b;
	if ((ec = event_config_new()) == NULL ||
	    event_config_set_flag(ec, EVENT_BASE_FLAG_NOLOCK) == -1 ||
	    (b->base = event_base_new_with_config(ec)) == NULL)
		fatalx("event base");
	event_config_free(ec);
	b->http = http_new(b->base, on_reply, b);
	configure(b);
	if (b->desk == NULL)
		fatalx("nobody wants a bridge");
	http_prepare_resolver();
	FAULT(BRIDGE_STARTED);
	if (sandbox_enter(ROLE_BRIDGE) == -1)
		fatal("sandbox");
	b->master_ev = add(b, ROLE_IPC_FD, on_master, NULL);
	b->tick_ev = add(b, -1, on_tick, &tick);
	for (unsigned i = 0; i < b->child.nask; i++)
		b->ask_ev[i] = add(b, b->child.ask[i], on_question, NULL);
}

static void
finish(struct bridge *b)
{
	event_free(b->master_ev);
	event_free(b->tick_ev);
	for (unsigned i = 0; i < b->child.nask; i++)
		event_free(b->ask_ev[i]);
	http_free(&b->http);
	desk_free(&b->desk);
	event_base_free(b->base);
	free(b->url);
	child_free(&b->child);
}

int
bridge_main(void)
{
	struct bridge *b = &self;

	(void)signal(SIGPIPE, SIG_IGN);
	start(b);
	child_ready(&b->child);
	if (event_base_dispatch(b->base) == -1)
		fatalx("event loop");
	finish(b);
	return 0;
}

void
bridge_version(role_version_fn fn, void *arg)
{
	fn("libcurl", http_version(), arg);
}
