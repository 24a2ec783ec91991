/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * reload - a new configuration, in all processes or in none.
 */

#include "master/reload.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/config.h"
#include "common/fault.h"
#include "common/json.h"
#include "common/log.h"
#include "master/bundle.h"
#include "master/child.h"
#include "master/control.h"
#include "master/logs.h"
#include "master/master.h"
#include "master/notify.h"
#include "master/resize.h"
#include "master/supervise.h"
#include "shm/counter.h"

/* How long the children may take for each of the two phases. */
#define PATIENCE_S 5
/* When to try again to close a ring that is full. */
#define CLOSE_MS 1

enum phase {
	IDLE,
	PREPARING,
	/* all have said yes; the old rings are not closed yet */
	CLOSING,
	SWITCHING,
};

struct reload {
	struct master *master;
	enum phase phase;
	/* tells late answers to an earlier question from today's */
	uint64_t serial;
	uint64_t asker;
	/* a signal came meanwhile */
	bool again;
	/* what is to count: the configuration, its memfd, the bundle (-1:
	 * none), and the log target if that changes (else -1) */
	struct config *next;
	int next_fd, next_bundle_fd, next_log_fd;
	/* who has not answered yet */
	bool waiting[TABLES_CHILDREN];
	struct event *deadline;
	/* the rings change too (resize.h); one of them is closed already */
	bool resizing, closed;
	struct event *retry;
	/* what changes, as JSON */
	struct json_out changes;
};

static void
set_deadline(struct reload *r)
{
	const struct timeval tv = { .tv_sec = PATIENCE_S };

	(void)evtimer_add(r->deadline, &tv);
}

static void
close_fd(int *fd)
{
	if (*fd != -1)
		(void)close(*fd);
	*fd = -1;
}

/* Back to idle; whatever is still in 'next' was not used. */
static void
clear(struct reload *r)
{
	(void)evtimer_del(r->deadline);
	(void)evtimer_del(r->retry);
	resize_forget(r->master);
	r->resizing = r->closed = false;
	config_free(&r->next);
	close_fd(&r->next_fd);
	close_fd(&r->next_bundle_fd);
	close_fd(&r->next_log_fd);
	r->phase = IDLE;
	r->asker = 0;
	notify_ready();
	if (r->again) {
		r->again = false;
		reload_begin(r, 0);
	}
}

static void refuse(struct reload *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The old one stays. */
static void
refuse(struct reload *r, const char *fmt, ...)
{
	char why[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	counter_add(r->master->shared.tables, COUNTER_MASTER,
	    COUNTER_RELOADS_REFUSED, 1);
	log_error("reload refused, the configuration stays as it was "
		  "reason=%s",
	    log_text(why, strlen(why)));
	control_failed(r->master->control, r->asker, "%s", why);
	clear(r);
}

/* ------------------------------------------------------------------ */
/* Reading and comparing. */

static void
tell_errors(struct reload *r, const struct config_errors *errors)
{
	struct json_out o = { 0 };

	json_out_object(&o);
	json_out_key(&o, "errors");
	json_out_array(&o);
	for (size_t i = 0; i < errors->n; i++) {
		log_error("configuration error=%s",
		    log_text(errors->v[i], strlen(errors->v[i])));
		json_out_cstring(&o, errors->v[i]);
	}
	json_out_array_end(&o);
	json_out_object_end(&o);
	if (!o.failed)
		control_data(r->master->control, r->asker, o.p, o.len);
	json_out_clear(&o);
}

static int
read_next(struct reload *r)
{
	struct config_errors errors;
	struct config_source src;
	size_t n;

	options_source(&r->master->opt, &src);
	r->next = config_load(&src, &errors);
	n = errors.n + errors.more;
	if (r->next == NULL)
		tell_errors(r, &errors);
	config_errors_clear(&errors);
	if (r->next != NULL) {
		r->next_bundle_fd = bundle_make(r->next);
		return 0;
	}
	refuse(r, "the new configuration has %zu error%s", n,
	    n == 1 ? "" : "s");
	return -1;
}

struct difference {
	struct reload *reload;
	size_t n;
	/* the options that a reload cannot change */
	char fixed[256];
};

/* An option that names the same file still has changed with what it holds. */
static const char *
what_changed(const char *old_value, const char *new_value)
{
	return strcmp(old_value, new_value) == 0 ? "contents" : "value";
}

static void
on_difference(const char *name, const char *old_value, const char *new_value,
    bool reloadable, void *arg)
{
	struct difference *d = arg;
	struct json_out *o = &d->reload->changes;
	size_t len = strlen(d->fixed);

	d->n++;
	if (!reloadable) {
		(void)snprintf(d->fixed + len, sizeof(d->fixed) - len, "%s%s",
		    len == 0 ? "" : ", ", name);
		return;
	}
	json_out_object(o);
	json_out_key(o, "option");
	json_out_cstring(o, name);
	json_out_key(o, "old");
	json_out_cstring(o, old_value);
	json_out_key(o, "new");
	json_out_cstring(o, new_value);
	json_out_key(o, "what");
	json_out_cstring(o, what_changed(old_value, new_value));
	json_out_object_end(o);
}

/* How many options change; -1: some that cannot. */
static int
compare(struct reload *r, size_t *changed_r)
{
	const struct config *old = r->master->cfg;
	const char *dir = r->next->client_dir;
	struct difference d = { .reload = r };
	struct json_out *o = &r->changes;

	json_out_reset(o);
	json_out_object(o);
	json_out_key(o, "changed");
	json_out_array(o);
	if (config_diff(old, r->next, on_difference, &d) > 0) {
		refuse(r, "a restart is needed to change %s", d.fixed);
		return -1;
	}
	/* as with a secret: what is in the files is the value */
	if (strcmp(old->client_dir, dir) == 0 &&
	    !bundle_same(r->master->bundle_fd, r->next_bundle_fd))
		on_difference("client_dir", dir, dir, true, &d);
	json_out_array_end(o);
	json_out_object_end(o);
	if (o->failed) {
		refuse(r, "out of memory");
		return -1;
	}
	*changed_r = d.n;
	return 0;
}

static int
make_ready(struct reload *r)
{
	struct master *m = r->master;
	const char *target = logs_target(r->next, m->opt.foreground);

	if (strcmp(target, logs_target(m->cfg, m->opt.foreground)) != 0) {
		if (logs_on_gone_stderr(r->next, m->opt.foreground)) {
			refuse(r,
			    "log.target: in the background there is no "
			    "stderr; that needs a restart");
			return -1;
		}
		r->next_log_fd = logs_open(r->next, m->opt.foreground);
		if (r->next_log_fd == -1) {
			refuse(r, "log.target: cannot open %s: %s", target,
			    strerror(errno));
			return -1;
		}
	}
	if ((r->next_fd = config_memfd(r->next)) == -1) {
		refuse(r, "cannot make a memfd: %s", strerror(errno));
		return -1;
	}
	return 0;
}

/* ------------------------------------------------------------------ */
/* Two phases. */

/* Whom we wait for; NULL: for nobody. */
static const char *
missing(const struct reload *r)
{
	struct supervisor *s = r->master->supervisor;

	if (r->waiting[TABLES_SCRIBE])
		return child_name(supervise_scribe(s));
	if (r->waiting[TABLES_BRIDGE])
		return child_name(supervise_bridge(s));
	for (unsigned i = 0; i < TABLES_WORKERS; i++)
		if (r->waiting[i])
			return child_name(supervise_worker(s, i));
	if (!r->resizing)
		return NULL;
	return r->phase == SWITCHING ? resize_staying(r->master)
				     : resize_missing(r->master);
}

static bool
anybody_missing(const struct reload *r)
{
	return missing(r) != NULL;
}

static void
send_prepare(struct reload *r, struct child *c)
{
	struct ipc_msg *msg = child_message(IPC_CONFIG_PREPARE);

	const bool bundle = c->role == ROLE_WORKER && r->next_bundle_fd != -1;

	ipc_put_u64(msg, r->serial);
	ipc_put_u8(msg, bundle);
	ipc_put_fd(msg, r->next_fd);
	if (bundle)
		ipc_put_fd(msg, r->next_bundle_fd);
	FAULT(RELOAD_PREPARE);
	/* one that has just ended is not waited for */
	r->waiting[c->slot] = child_send(c, msg) == 0;
}

static void
send_switch(struct reload *r, bool on)
{
	struct supervisor *s = r->master->supervisor;
	struct ipc_msg *msg;
	struct child *c;

	memset(r->waiting, 0, sizeof(r->waiting));
	for (c = NULL; (c = supervise_next(s, c)) != NULL;) {
		if (!child_serves(c))
			continue;
		FAULT(RELOAD_SWITCH);
		msg = child_message(IPC_CONFIG_SWITCH);
		ipc_put_u64(msg, r->serial);
		ipc_put_u8(msg, on);
		r->waiting[c->slot] = child_send(c, msg) == 0 && on;
	}
}

static void
log_difference(const char *name, const char *old_value, const char *new_value,
    bool reloadable, void *arg)
{
	/* it may hold something secret */
	if (strcmp(name, "auth.webhook_url") == 0) {
		log_notice("configuration changed option=%s what=%s", name,
		    what_changed(old_value, new_value));
		return;
	}
	log_notice("configuration changed option=%s old=%s new=%s what=%s",
	    name, log_text(old_value, strlen(old_value)),
	    log_text(new_value, strlen(new_value)),
	    what_changed(old_value, new_value));
}

/* All are on the new one, or as many as will ever be. */
static void
finish(struct reload *r)
{
	struct master *m = r->master;

	FAULT(RELOAD_DONE);
	control_data(m->control, r->asker, r->changes.p, r->changes.len);
	control_done(m->control, r->asker);
	clear(r);
}

static void
log_warning(const char *text, void *arg)
{
	log_warn("configuration warning=%s", log_text(text, strlen(text)));
}

/* All have said yes. */
static void
switch_over(struct reload *r)
{
	struct master *m = r->master;
	struct config *old = m->cfg;
	bool log_changes =
	    r->next_log_fd != -1 || old->log_format != r->next->log_format;

	FAULT(RELOAD_PREPARED);
	(void)config_diff(old, r->next, log_difference, NULL);
	config_warnings(r->next, log_warning, NULL);
	send_switch(r, true);
	FAULT(RELOAD_SWITCHED);
	m->cfg = r->next;
	r->next = NULL;
	config_free(&old);
	(void)close(m->cfg_fd);
	m->cfg_fd = r->next_fd;
	r->next_fd = -1;
	if (!bundle_same(m->bundle_fd, r->next_bundle_fd))
		log_notice("the files of client_dir have changed");
	close_fd(&m->bundle_fd);
	m->bundle_fd = r->next_bundle_fd;
	r->next_bundle_fd = -1;
	if (r->next_log_fd != -1) {
		(void)close(m->log_fd);
		m->log_fd = r->next_log_fd;
		r->next_log_fd = -1;
	}
	/* they take the level from the configuration, all else with this */
	if (log_changes)
		supervise_log_target(m->supervisor);
	logs_use(m->log_fd, m->cfg);
	counter_add(m->shared.tables, COUNTER_MASTER, COUNTER_RELOADS, 1);
	log_notice("configuration reloaded");
	r->phase = SWITCHING;
	/* one that starts now has the new configuration from its HELLO */
	supervise_bridge_follow(m->supervisor);
	set_deadline(r);
	if (!anybody_missing(r))
		finish(r);
}

static void
try_later(struct reload *r)
{
	const struct timeval tv = { .tv_usec = CLOSE_MS * 1000 };

	r->phase = CLOSING;
	(void)evtimer_add(r->retry, &tv);
}

/* All have said yes; other rings are the point of no return. */
static void
all_ready(struct reload *r)
{
	if (!r->resizing || resize_switch(r->master, &r->closed) == 0) {
		switch_over(r);
		return;
	}
	if (errno == EAGAIN) {
		try_later(r);
		return;
	}
	send_switch(r, false);
	refuse(r, "too much has been published meanwhile, try again");
}

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct reload *r = arg;

	/* one that has just started is asked, too */
	if (r->phase == CLOSING && !anybody_missing(r))
		all_ready(r);
}

static void
give_up(struct reload *r)
{
	const char *name = missing(r);

	/* there is no way back, and the live ring has always room */
	if (r->closed)
		return;
	send_switch(r, false);
	if (name != NULL)
		refuse(r, "%s did not answer in %d s", name, PATIENCE_S);
	else
		refuse(r, "the log ring was full for %d s", PATIENCE_S);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct reload *r = arg;
	const char *name = missing(r);

	if (r->phase != SWITCHING) {
		give_up(r);
		return;
	}
	if (name == NULL)
		name = "";
	log_warn("configuration not confirmed child=\"%s\" s=%d", name,
	    PATIENCE_S);
	finish(r);
}

void
reload_begin(struct reload *r, uint64_t asker)
{
	struct master *m = r->master;
	const char *why = "";
	struct child *c;
	size_t changed;

	if (r->phase != IDLE || m->state != MASTER_RUNNING) {
		if (asker == 0 && m->state != MASTER_STOPPING)
			r->again = true;
		else
			control_failed(m->control, asker, "%s",
			    r->phase != IDLE ? "another reload is under way"
					     : master_state_name(m->state));
		return;
	}
	r->asker = asker;
	notify_reloading();
	if (read_next(r) == -1 || compare(r, &changed) == -1)
		return;
	if (changed == 0) {
		log_notice("configuration read again, nothing has changed");
		finish(r);
		return;
	}
	if (make_ready(r) == -1)
		return;
	if (resize_wanted(m, r->next)) {
		if (resize_begin(m, r->next, &why) == -1) {
			refuse(r, "%s", why);
			return;
		}
		r->resizing = true;
	}
	r->phase = PREPARING;
	r->serial++;
	memset(r->waiting, 0, sizeof(r->waiting));
	set_deadline(r);
	for (c = NULL; (c = supervise_next(m->supervisor, c)) != NULL;)
		if (child_serves(c))
			send_prepare(r, c);
	if (!anybody_missing(r))
		all_ready(r);
}

void
reload_ready(struct reload *r)
{
	bool again = r->again;

	r->again = false;
	if (again)
		reload_begin(r, 0);
}

void
reload_abort(struct reload *r)
{
	r->again = false;
	if ((r->phase == PREPARING || r->phase == CLOSING) && !r->closed) {
		send_switch(r, false);
		refuse(r, "the daemon ends");
	} else if (r->closed && r->phase == CLOSING) {
		/* as good as switched: all children have both */
		clear(r);
	} else if (r->phase == SWITCHING) {
		finish(r);
	}
}

void
reload_prepared(struct reload *r, struct child *c, struct ipc_msg *msg)
{
	char why[256];
	uint64_t serial = ipc_get_u64(msg);
	bool ok = ipc_get_u8(msg) != 0;

	ipc_get_str(msg, why, sizeof(why));
	if (ipc_end(msg) == -1 || serial != r->serial ||
	    (r->phase != PREPARING && r->phase != CLOSING))
		return;
	if (!ok && !r->closed) {
		send_switch(r, false);
		refuse(r, "%s: %s", child_name(c), why);
		return;
	}
	r->waiting[c->slot] = false;
	if (!anybody_missing(r))
		all_ready(r);
}

void
reload_mapped(struct reload *r, struct child *c, struct ipc_msg *msg)
{
	const char *why = "";

	if (resize_mapped(c, msg, &why) == -1 && !r->closed) {
		send_switch(r, false);
		refuse(r, "%s", why);
		return;
	}
	if ((r->phase == PREPARING || r->phase == CLOSING) && r->resizing &&
	    !msg->bad && !anybody_missing(r))
		all_ready(r);
}

void
reload_left(struct reload *r)
{
	if (r->phase == SWITCHING && !anybody_missing(r))
		finish(r);
}

void
reload_switched(struct reload *r, struct child *c, struct ipc_msg *msg)
{
	uint64_t serial = ipc_get_u64(msg);

	if (ipc_end(msg) == -1 || r->phase != SWITCHING || serial != r->serial)
		return;
	r->waiting[c->slot] = false;
	if (!anybody_missing(r))
		finish(r);
}

void
reload_child_started(struct reload *r, struct child *c)
{
	if (r->phase == PREPARING || r->phase == CLOSING)
		send_prepare(r, c);
}

void
reload_child_gone(struct reload *r, struct child *c)
{
	if (r->phase == IDLE || (!r->waiting[c->slot] && !r->resizing))
		return;
	r->waiting[c->slot] = false;
	if (anybody_missing(r))
		return;
	if (r->phase == SWITCHING)
		finish(r);
	else
		all_ready(r);
}

struct reload *
reload_new(struct master *m)
{
	struct reload *r;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		fatal("calloc");
	r->master = m;
	r->next_fd = r->next_bundle_fd = r->next_log_fd = -1;
	r->deadline = evtimer_new(m->base, on_deadline, r);
	r->retry = evtimer_new(m->base, on_retry, r);
	if (r->deadline == NULL || r->retry == NULL)
		fatalx("out of memory");
	return r;
}

void
reload_free(struct reload **rp)
{
	struct reload *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	/* the daemon has ended: whatever was under way was aborted */
	CHECK(r->phase == IDLE);
	event_free(r->deadline);
	event_free(r->retry);
	json_out_clear(&r->changes);
	free(r);
}
