/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * master - the parent process from its start to its end.
 */

#include "master/master.h"

#include <sys/stat.h>

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/role.h"
#include "common/sandbox.h"
#include "master/bundle.h"
#include "master/clerk.h"
#include "master/control.h"
#include "master/deal.h"
#include "master/detach.h"
#include "master/health.h"
#include "master/hearing.h"
#include "master/listen.h"
#include "master/logs.h"
#include "master/notify.h"
#include "master/reload.h"
#include "master/retention.h"
#include "master/spawn.h"
#include "master/supervise.h"
#include "master/watch.h"
#include "shm/counter.h"
#include "shm/user.h"

/* Workers when none are configured: one a core, but not more. */
#define WORKERS_MAX 32
/* Rows of the user table that are looked at a second. */
#define SWEEP_ROWS 8192

/* Descriptors of the master that are not clients': eventfds, memfds,
 * chatctls, listeners and what happens to be open */
#define FILES_OWN 256
/* ... and for each worker: its channel, its inbox, its pair with the bridge,
 * and one message that waits */
#define FILES_WORKER (5 + DEAL_BATCH)
#define CLIENTS_MIN 16

static const int signals[] = { SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1,
	SIGUSR2 };
#define NSIGNALS (sizeof(signals) / sizeof(signals[0]))

static struct master self;
static struct event *signal_events[NSIGNALS];
static struct event *housekeeping;

const char *
master_state_name(enum master_state state)
{
	switch (state) {
	case MASTER_STARTING:
		return "starting";
	case MASTER_RUNNING:
		return "running";
	case MASTER_STOPPING:
		return "stopping";
	}
	return "";
}

/* ------------------------------------------------------------------ */
/* What happens to it. */

void
master_ready(struct master *m)
{
	if (m->state != MASTER_STARTING)
		return;
	m->state = MASTER_RUNNING;
	listeners_start(m->listeners);
	log_notice("ready version=" CHATD_VERSION " workers=%u "
		   "max_connections=%u",
	    m->workers, (unsigned)m->max_clients);
	detach_ready(&m->ready_fd);
	notify_ready();
	reload_ready(m->reload);
}

void
master_stop(struct master *m)
{
	if (m->state == MASTER_STOPPING) {
		supervise_hurry(m->supervisor);
		return;
	}
	log_notice("stopping");
	notify_stopping();
	m->state = MASTER_STOPPING;
	listeners_free(&m->listeners);
	control_close_listener(m->control);
	reload_abort(m->reload);
	clerk_stop(m->clerk);
	supervise_stop(m->supervisor);
}

void
master_give_up(struct master *m, const char *fmt, ...)
{
	va_list ap;
	size_t len;

	if (m->state != MASTER_STARTING)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(m->failure, sizeof(m->failure), fmt, ap);
	va_end(ap);
	len = strlen(m->failure);
	if (hearing_last(m->hearing)[0] != '\0')
		(void)snprintf(m->failure + len, sizeof(m->failure) - len,
		    ": %s", hearing_last(m->hearing));
	master_stop(m);
}

void
master_children_gone(struct master *m)
{
	FAULT(STOPPED);
	m->ended = true;
	(void)event_base_loopbreak(m->base);
}

/* 0, or -1 with errno: all go on with what they have. */
static int
reopen_log(struct master *m)
{
	int fd;

	if (logs_on_gone_stderr(m->cfg, m->opt.foreground))
		return 0;
	if ((fd = logs_open(m->cfg, m->opt.foreground)) == -1)
		return -1;
	(void)close(m->log_fd);
	m->log_fd = fd;
	logs_use(fd, m->cfg);
	supervise_log_target(m->supervisor);
	log_info("log opened again");
	return 0;
}

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	/* no signal handler's rules here: libevent calls us from its loop */
	struct master *m = arg;

	switch (sig) {
	case SIGCHLD:
		supervise_reap(m->supervisor);
		break;
	case SIGHUP:
		reload_begin(m->reload, 0);
		break;
	case SIGINT:
	case SIGTERM:
		master_stop(m);
		break;
	case SIGUSR1:
		if (reopen_log(m) == -1)
			log_error_errno("cannot open the log again");
		break;
	case SIGUSR2:
		log_warn("upgrading in place is not possible with this "
			 "version");
		break;
	}
}

/* Is there anybody whose log lines nobody takes? */
static bool
log_lost(struct master *m)
{
	struct tables_child *row = m->shared.tables->state->child;
	bool lost = log_target_lost();

	for (unsigned i = 0; i < TABLES_CHILDREN; i++)
		if (atomic_exchange_explicit(&row[i].log_lost, 0,
			memory_order_relaxed) != 0)
			lost = true;
	return lost;
}

static void
on_housekeeping(evutil_socket_t fd, short what, void *arg)
{
	struct master *m = arg;
	uint32_t n;

	n = users_sweep(m->shared.tables, clock_mono_ns(), SWEEP_ROWS);
	counter_add(m->shared.tables, COUNTER_MASTER, COUNTER_USERS_FREED, n);
	watch_children(m);
	/* the syslog daemon was restarted; as long as it is not there, there
	 * is nobody to complain to */
	if (log_lost(m) && !m->opt.foreground)
		(void)reopen_log(m);
}

/* ------------------------------------------------------------------ */
/* Start. */

static unsigned
count_workers(const struct config *cfg)
{
	long n = cfg->workers;

	if (n == 0)
		n = sysconf(_SC_NPROCESSORS_ONLN);
	if (n < 1)
		n = 1;
	return n < WORKERS_MAX ? (unsigned)n : WORKERS_MAX;
}

/*
 * The master holds a descriptor for each client, so their limit is the
 * limit of clients.
 */
static void
size_clients(struct master *m)
{
	uint64_t own = FILES_OWN + (uint64_t)m->workers * FILES_WORKER;
	uint64_t max, refuse;

	m->max_files = rights_raise_files();
	refuse = m->max_files / 64;
	refuse = refuse < 64 ? 64 : refuse > 256 ? 256 : refuse;
	own += refuse;
	if (m->max_files < own + CLIENTS_MIN)
		fatalx("the limit of descriptors is %llu, at least %llu are "
		       "needed (ulimit -Hn, LimitNOFILE=)",
		    (unsigned long long)m->max_files,
		    (unsigned long long)own + CLIENTS_MIN);
	max = m->max_files - own;
	m->refuse_slots = (uint32_t)refuse;
	m->max_clients = m->cfg->max_connections;
	if (max < m->max_clients)
		m->max_clients = (uint32_t)max;
}

static void
make_base(struct master *m)
{
	struct event_config *ec;

	if ((ec = event_config_new()) == NULL ||
	    event_config_set_flag(ec, EVENT_BASE_FLAG_NOLOCK) == -1 ||
	    (m->base = event_base_new_with_config(ec)) == NULL)
		fatalx("cannot make an event loop");
	event_config_free(ec);
	for (size_t i = 0; i < NSIGNALS; i++) {
		signal_events[i] =
		    evsignal_new(m->base, signals[i], on_signal, m);
		if (signal_events[i] == NULL ||
		    evsignal_add(signal_events[i], NULL) == -1)
			fatalx("cannot catch signals");
	}
	housekeeping = event_new(m->base, -1, EV_PERSIST, on_housekeeping, m);
	if (housekeeping == NULL)
		fatalx("out of memory");
}

/* As whom; an unknown user is an error of the configuration. */
static void
find_rights(struct master *m)
{
	struct config_errors errors = { 0 };

	if (rights_find(m->cfg, &m->rights, &errors) == -1) {
		config_errors_print(&errors, stderr);
		exit(1);
	}
	config_errors_clear(&errors);
}

static void
open_log(struct master *m)
{
	m->log_fd = logs_open(m->cfg, m->opt.foreground);
	if (m->log_fd == -1)
		fatal("log.target: cannot open %s (name another, or log to "
		      "stderr with -d)",
		    logs_target(m->cfg, m->opt.foreground));
	logs_use(m->log_fd, m->cfg);
}

static void
on_warning(const char *text, void *arg)
{
	log_warn("configuration warning=%s", log_text(text, strlen(text)));
}

/* What only root can do, in this order. */
static void
start_privileged(struct master *m)
{
	/* a file has to be the user's: it will be opened again */
	bool file = logs_target(m->cfg, m->opt.foreground)[0] == '/';

	log_set_level(LOG_LEVEL_WARN);
	if (!file)
		open_log(m);
	place_take(&m->place, m->cfg, &m->rights);
	size_clients(m);
	m->listeners = listeners_open(m);
	m->control = control_open(m);
	inboxes_open(&m->inboxes, m->workers);
	bridge_pairs_open(&m->pairs, m->workers);
	rights_drop(&m->rights);
	if (sandbox_enter(ROLE_MASTER) == -1)
		fatal("sandbox");
	if (file)
		open_log(m);
	if (m->max_clients < m->cfg->max_connections)
		log_warn("the limit of descriptors lowers max_connections "
			 "from=%u to=%u limit=%llu",
		    (unsigned)m->cfg->max_connections, (unsigned)m->max_clients,
		    (unsigned long long)m->max_files);
	config_warnings(m->cfg, on_warning, NULL);
	rights_unreadable(&m->rights, m->cfg, m->opt.file, on_warning, NULL);
	if (m->cfg->auth_mode == AUTH_MODE_NONE)
		log_warn("auth.mode is none, for development only: everybody "
			 "is whoever they say they are");
	listeners_log(m->cfg);
}

static void
start_shared(struct master *m)
{
	struct tables_state *st;

	shared_create(&m->shared, m->cfg, m->workers,
	    m->max_clients + m->refuse_slots);
	st = m->shared.tables->state;
	st->daemon_pid = (uint32_t)getpid();
	st->daemon_started_ms = clock_real_ms();
	st->daemon_started_ns = clock_mono_ns();
	if ((m->cfg_fd = config_memfd(m->cfg)) == -1)
		fatal("cannot make the configuration's memfd");
	m->bundle_fd = bundle_make(m->cfg);
}

static void
start(struct master *m, const struct options *opt, struct config *cfg)
{
	const struct timeval second = { .tv_sec = 1 };

	m->state = MASTER_STARTING;
	m->opt = *opt;
	m->cfg = cfg;
	m->ready_fd = m->bundle_fd = -1;
	(void)umask(022);
	spawn_init();
	log_init("chatd", ROLE_MASTER, -1);
	notify_init();
	find_rights(m);
	if (!opt->foreground)
		m->ready_fd = detach_start();
	make_base(m);
	m->workers = count_workers(cfg);
	start_privileged(m);
	start_shared(m);
	if (!opt->foreground)
		m->hearing = hearing_new(m->base);
	m->supervisor = supervisor_new(m);
	m->deal = deal_new(m);
	m->reload = reload_new(m);
	m->clerk = clerk_new(m);
	m->health = health_new(m);
	m->retention = retention_new(m);
	place_write_pid(&m->place);
	(void)event_add(housekeeping, &second);
	control_start(m->control);
	supervise_start(m->supervisor);
}

/* ------------------------------------------------------------------ */
/* End. */

static void
finish(struct master *m)
{
	clerk_free(&m->clerk);
	health_free(&m->health);
	retention_free(&m->retention);
	deal_free(&m->deal);
	reload_free(&m->reload);
	supervisor_free(&m->supervisor);
	hearing_free(&m->hearing);
	log_notice("stopped");
	/* whoever is told of our end may start the next one at once */
	control_close_listener(m->control);
	place_leave(&m->place);
	control_free(&m->control);
	for (size_t i = 0; i < NSIGNALS; i++)
		event_free(signal_events[i]);
	event_free(housekeeping);
	event_base_free(m->base);
	inboxes_close(&m->inboxes);
	bridge_pairs_close(&m->pairs);
	shared_free(&m->shared);
	config_free(&m->cfg);
	(void)close(m->cfg_fd);
	if (m->bundle_fd != -1)
		(void)close(m->bundle_fd);
	(void)close(m->log_fd);
	if (m->ready_fd != -1)
		(void)close(m->ready_fd);
}

int
master_main(const struct options *opt, struct config *cfg)
{
	struct master *m = &self;

	start(m, opt, cfg);
	if (!m->ended && event_base_dispatch(m->base) == -1)
		fatalx("the event loop failed");
	if (m->failure[0] != '\0')
		log_error("start failed reason=\"%s\"", m->failure);
	finish(m);
	if (m->failure[0] == '\0')
		return 0;
	(void)fprintf(stderr, "chatd: %s\n", m->failure);
	return 1;
}
