/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * listen - the listening sockets, and accepting from them.
 */

#include "master/listen.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/config.h"
#include "common/fault.h"
#include "common/log.h"
#include "master/deal.h"
#include "master/master.h"
#include "shm/counter.h"

/* Out of descriptors: the backlog holds who comes, for so long. */
#define PAUSE_FILES_MS 1000
/* No slot, or no worker: told when there is one; this is only a net. */
#define PAUSE_ROOM_MS 250

/* Dead peers of idle connections are found by the kernel. */
#define KEEPALIVE_IDLE_S 60
#define KEEPALIVE_INTERVAL_S 15
#define KEEPALIVE_PROBES 4

enum pause {
	PAUSE_NOT,
	/* not started yet */
	PAUSE_START,
	/* no descriptors left in the process or the system */
	PAUSE_FILES,
	/* no free slot, or no worker that takes clients */
	PAUSE_ROOM,
};

struct listen_socket {
	struct listeners *all;
	int fd;
	struct event *readable;
	/* connections begin with a PROXY header */
	bool proxy;
	/* of a Unix socket: where it lies, and which file is ours */
	int dirfd;
	char name[108];
	dev_t dev;
	ino_t ino;
};

struct listeners {
	struct master *master;
	struct listen_socket *v;
	size_t n;
	enum pause pause;
	struct event *resume;
};

/* What went wrong, for a message that names the address. */
struct bind_error {
	const char *what;
	int error;
};

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

/* ------------------------------------------------------------------ */
/* Binding. */

static void
listener_name(const struct listener *l, char *buf, size_t size)
{
	const char *proxy = l->proxy ? "?proxy" : "";

	switch (l->family) {
	case LISTENER_TCP4:
		(void)snprintf(buf, size, "%s:%u%s", l->host, l->port, proxy);
		break;
	case LISTENER_TCP6:
		(void)snprintf(buf, size, "[%s]:%u%s", l->host, l->port, proxy);
		break;
	case LISTENER_UNIX:
		(void)snprintf(buf, size, "unix:%s%s", l->path, proxy);
		break;
	}
}

static socklen_t
make_address(const struct listener *l, union address *a)
{
	memset(a, 0, sizeof(*a));
	switch (l->family) {
	case LISTENER_TCP4:
		a->in.sin_family = AF_INET;
		a->in.sin_port = htons(l->port);
		if (inet_pton(AF_INET, l->host, &a->in.sin_addr) != 1)
			return 0;
		return sizeof(a->in);
	case LISTENER_TCP6:
		a->in6.sin6_family = AF_INET6;
		a->in6.sin6_port = htons(l->port);
		if (inet_pton(AF_INET6, l->host, &a->in6.sin6_addr) != 1)
			return 0;
		return sizeof(a->in6);
	case LISTENER_UNIX:
		a->un.sun_family = AF_UNIX;
		memcpy(a->un.sun_path, l->path, sizeof(a->un.sun_path));
		return sizeof(a->un);
	}
	return 0;
}

static int
fail(struct bind_error *e, const char *what)
{
	e->what = what;
	e->error = errno;
	return -1;
}

/*
 * A socket file that is in the way: removed if nobody answers behind it.
 * 0 the way is free, or -1.
 */
static int
clear_path(const union address *a, bool only_look, struct bind_error *e)
{
	const char *path = a->un.sun_path;
	struct stat st;
	int fd, rc;

	if (lstat(path, &st) == -1)
		return errno == ENOENT ? 0 : fail(e, "cannot look at it");
	if (!S_ISSOCK(st.st_mode)) {
		errno = EEXIST;
		return fail(e, "there is a file that is no socket");
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return fail(e, "cannot make a socket");
	rc = connect(fd, &a->sa, sizeof(a->un));
	(void)close(fd);
	if (rc == 0 || errno == EAGAIN) {
		errno = EADDRINUSE;
		return fail(e, "somebody answers there");
	}
	if (only_look)
		return 0;
	if (unlink(path) == -1)
		return fail(e, "cannot remove the stale socket");
	return 0;
}

/* Accepted sockets inherit all of these. */
static int
set_tcp_options(int fd, const struct listener *l)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ SOL_SOCKET, SO_REUSEADDR, 1 },
		/* an urgent byte would spoil the kernel's count of what was
		 * read */
		{ SOL_SOCKET, SO_OOBINLINE, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S },
		{ IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES },
	};
	int on = 1;

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (setsockopt(fd, options[i].level, options[i].name,
			&options[i].value, sizeof(options[i].value)) == -1)
			return -1;
	if (l->family == LISTENER_TCP6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == -1)
		return -1;
	return 0;
}

/* A bound socket, or -1.  'only_look' changes nothing on the disk. */
static int
bind_listener(const struct listener *l, bool only_look, struct bind_error *e)
{
	union address a;
	socklen_t len;
	mode_t mask;
	int fd, rc = 0;

	if ((len = make_address(l, &a)) == 0) {
		errno = EINVAL;
		return fail(e, "not an address");
	}
	if (l->family == LISTENER_UNIX && clear_path(&a, only_look, e) == -1)
		return -1;
	fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	if (fd == -1)
		return fail(e, "cannot make a socket");
	if (l->family != LISTENER_UNIX && set_tcp_options(fd, l) == -1) {
		(void)fail(e, "cannot set up a socket");
		(void)close(fd);
		return -1;
	}
	/* whoever reaches a port may reach a Unix socket; a chmod() later
	 * could hit something else of that name */
	mask = umask(0111);
	if (l->family != LISTENER_UNIX || !only_look)
		rc = bind(fd, &a.sa, len);
	(void)umask(mask);
	if (rc == 0)
		return fd;
	(void)fail(e, "cannot bind");
	(void)close(fd);
	return -1;
}

void
listeners_check(const struct config *cfg, struct config_errors *errors)
{
	struct bind_error e;
	char name[160];
	int fd;

	for (size_t i = 0; i < cfg->nlisteners; i++) {
		fd = bind_listener(&cfg->listeners[i], true, &e);
		if (fd != -1) {
			(void)close(fd);
			continue;
		}
		/* most likely the chatd whose configuration this is */
		if (e.error == EADDRINUSE)
			continue;
		listener_name(&cfg->listeners[i], name, sizeof(name));
		config_errors_add(errors, "%s: listen: %s: %s: %s",
		    cfg->where[CONFIG_listen], name, e.what, strerror(e.error));
	}
}

/* Remember which file it is, so that we never remove somebody else's. */
static void
remember_file(struct listen_socket *s, const struct listener *l)
{
	char path[sizeof(l->path) + 1];
	struct stat st;

	if (lstat(l->path, &st) == -1)
		fatal("listen: unix:%s", l->path);
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	(void)snprintf(path, sizeof(path), "%s", l->path);
	(void)snprintf(s->name, sizeof(s->name), "%s", basename(path));
	(void)snprintf(path, sizeof(path), "%s", l->path);
	s->dirfd = open(dirname(path), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->dirfd == -1)
		fatal("listen: unix:%s", l->path);
}

static void on_accept(evutil_socket_t fd, short what, void *arg);
static void on_resume(evutil_socket_t fd, short what, void *arg);

static void
open_one(struct listeners *all, struct listen_socket *s,
    const struct listener *l)
{
	struct bind_error e;
	char name[160];

	s->all = all;
	s->proxy = l->proxy;
	s->dirfd = -1;
	listener_name(l, name, sizeof(name));
	if ((s->fd = bind_listener(l, false, &e)) == -1) {
		errno = e.error;
		fatal("listen: %s: %s", name, e.what);
	}
	if (l->family == LISTENER_UNIX)
		remember_file(s, l);
	if (listen(s->fd, SOMAXCONN) == -1)
		fatal("listen: %s", name);
	s->readable = event_new(all->master->base, s->fd, EV_READ | EV_PERSIST,
	    on_accept, s);
	if (s->readable == NULL)
		fatalx("out of memory");
}

void
listeners_log(const struct config *cfg)
{
	char name[160];

	for (size_t i = 0; i < cfg->nlisteners; i++) {
		listener_name(&cfg->listeners[i], name, sizeof(name));
		log_info("listening address=%s", name);
	}
}

struct listeners *
listeners_open(struct master *m)
{
	const struct config *cfg = m->cfg;
	struct listeners *l;

	if ((l = calloc(1, sizeof(*l))) == NULL ||
	    (l->v = calloc(cfg->nlisteners, sizeof(*l->v))) == NULL)
		fatal("calloc");
	l->master = m;
	l->n = cfg->nlisteners;
	l->pause = PAUSE_START;
	if ((l->resume = evtimer_new(m->base, on_resume, l)) == NULL)
		fatalx("out of memory");
	for (size_t i = 0; i < l->n; i++)
		open_one(l, &l->v[i], &cfg->listeners[i]);
	return l;
}

void
listeners_free(struct listeners **lp)
{
	struct listeners *l = *lp;
	struct stat st;

	*lp = NULL;
	if (l == NULL)
		return;
	for (size_t i = 0; i < l->n; i++) {
		struct listen_socket *s = &l->v[i];

		event_free(s->readable);
		(void)close(s->fd);
		if (s->dirfd == -1)
			continue;
		if (fstatat(s->dirfd, s->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_dev == s->dev && st.st_ino == s->ino)
			(void)unlinkat(s->dirfd, s->name, 0);
		(void)close(s->dirfd);
	}
	event_free(l->resume);
	free(l->v);
	free(l);
}

/* ------------------------------------------------------------------ */
/* Accepting. */

static void
watch_all(struct listeners *l, bool on)
{
	for (size_t i = 0; i < l->n; i++) {
		if (on)
			(void)event_add(l->v[i].readable, NULL);
		else
			(void)event_del(l->v[i].readable);
	}
}

static void
pause_all(struct listeners *l, enum pause why)
{
	const struct timeval files = { .tv_sec = PAUSE_FILES_MS / 1000 };
	const struct timeval room = { .tv_usec = PAUSE_ROOM_MS * 1000 };
	static uint64_t told;

	watch_all(l, false);
	l->pause = why;
	(void)evtimer_add(l->resume, why == PAUSE_FILES ? &files : &room);
	if (why != PAUSE_FILES)
		return;
	counter_add(l->master->shared.tables, COUNTER_MASTER,
	    COUNTER_ACCEPT_PAUSED, 1);
	if (log_due(&told))
		log_warn("no descriptors left: accepting nobody ms=%d",
		    PAUSE_FILES_MS);
}

static void
on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct listeners *l = arg;

	l->pause = PAUSE_NOT;
	watch_all(l, true);
}

void
listeners_start(struct listeners *l)
{
	if (l->pause == PAUSE_START)
		on_resume(-1, 0, l);
}

void
listeners_room(struct listeners *l)
{
	if (l == NULL || l->pause != PAUSE_ROOM)
		return;
	(void)evtimer_del(l->resume);
	on_resume(-1, 0, l);
}

const char *
listeners_state(const struct listeners *l)
{
	if (l == NULL)
		return "closed";
	switch (l->pause) {
	case PAUSE_NOT:
		return "accepting";
	case PAUSE_START:
		return "starting";
	case PAUSE_FILES:
		return "no descriptors";
	case PAUSE_ROOM:
		return "no room";
	}
	return "";
}

/*
 * What accept() may say about the connection and not about us; Linux passes
 * pending network errors of the new socket on.
 */
static bool
is_harmless(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
	case EPERM:
	case ENETDOWN:
	case ENETUNREACH:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
	case ETIMEDOUT:
		return true;
	}
	return false;
}

/* Fill 'c'; 0, 1 enough for this turn, -1 out of descriptors. */
static int
accept_one(const struct listen_socket *s, struct deal_client *c)
{
	socklen_t len = sizeof(c->peer);

	memset(&c->peer, 0, sizeof(c->peer));
	c->proxy = s->proxy;
	c->fd = accept4(s->fd, (struct sockaddr *)&c->peer, &len,
	    SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (c->fd == -1)
		return errno == EAGAIN || is_harmless(errno) ? 1 : -1;
	/* a nameless peer of a Unix socket may have no address at all */
	if (len < sizeof(sa_family_t))
		c->peer.ss_family = AF_UNIX;
	return 0;
}

static void
on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct listen_socket *s = arg;
	struct listeners *l = s->all;
	struct deal_client batch[DEAL_BATCH];
	unsigned n = 0, room = deal_room(l->master->deal);
	int rc = 0;

	if (room == 0) {
		pause_all(l, PAUSE_ROOM);
		return;
	}
	while (n < room && (rc = accept_one(s, &batch[n])) == 0)
		n++;
	/* whatever else accept() says, asking again at once is no use */
	if (rc == -1) {
		if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS &&
		    errno != ENOMEM)
			log_error_errno("cannot accept");
		pause_all(l, PAUSE_FILES);
	}
	FAULT(ACCEPTED);
	if (n > 0)
		deal_clients(l->master->deal, batch, n);
}
