/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * config_derive - what follows from options alone: lists taken apart, by
 * the master to check them and by its children to use them.
 */

#include "common/config_table.h"

#include <sys/socket.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/keys.h"

#define MAX_LISTENERS 64

/* attributes of a cookie that was only named; as the reference has them */
#define COOKIE_ATTRIBUTES "Path=/; HttpOnly; SameSite=Lax"

struct derive {
	struct config *cfg;
	struct config_errors *errors;
};

#define wrong(dv, opt, ...) \
	config_wrong((dv)->cfg, (dv)->errors, opt, __VA_ARGS__)

static void *
zeroed(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (p == NULL)
		fatal("no memory for the configuration");
	return p;
}

static char *
copy(const char *s, size_t len)
{
	char *p = strndup(s, len);

	if (p == NULL)
		fatal("no memory for the configuration");
	return p;
}

/* ------------------------------------------------------------------ */
/* Listeners. */

static const char *
parse_port(const char *s, uint16_t *port_r)
{
	unsigned long v;
	char *end;

	if (*s < '1' || *s > '9')
		return "a port is a number from 1 to 65535";
	errno = 0;
	v = strtoul(s, &end, 10);
	if (errno != 0 || *end != '\0' || v > 65535)
		return "a port is a number from 1 to 65535";
	*port_r = (uint16_t)v;
	return NULL;
}

static const char *
parse_unix(const char *path, struct listener *l)
{
	size_t len = strlen(path);

	if (path[0] != '/')
		return "the path behind unix: must begin with /";
	if (len >= sizeof(l->path))
		return "the path of a Unix socket has at most 107 bytes";
	l->family = LISTENER_UNIX;
	memcpy(l->path, path, len + 1);
	return NULL;
}

static const char *
parse_inet(const char *s, struct listener *l)
{
	static const char form[] = "it is host:port, [v6 address]:port or "
				   "unix:/path";
	const char *colon = strrchr(s, ':'), *host = s;
	struct in6_addr addr;
	size_t len;

	if (colon == NULL)
		return form;
	len = (size_t)(colon - s);
	l->family = LISTENER_TCP4;
	if (*s == '[') {
		if (len < 2 || s[len - 1] != ']')
			return form;
		l->family = LISTENER_TCP6;
		host++;
		len -= 2;
	}
	if (len >= sizeof(l->host))
		return "the host is not a numeric address, localhost or *";
	memcpy(l->host, host, len);
	l->host[len] = '\0';
	if (l->family == LISTENER_TCP6) {
		if (inet_pton(AF_INET6, l->host, &addr) != 1)
			return "that is not an IPv6 address";
	} else if (strchr(l->host, ':') != NULL)
		return "an IPv6 address stands in brackets: [::1]:3002";
	else if (strcmp(l->host, "localhost") == 0)
		memcpy(l->host, "127.0.0.1", sizeof("127.0.0.1"));
	else if (strcmp(l->host, "*") == 0)
		memcpy(l->host, "0.0.0.0", sizeof("0.0.0.0"));
	else if (inet_pton(AF_INET, l->host, &addr) != 1)
		return "the host is not a numeric address, localhost or *";
	return parse_port(colon + 1, &l->port);
}

/* NULL, or what is wrong. */
static const char *
parse_listener(const char *s, struct listener *l)
{
	const char *mark = strchr(s, '?'), *why;
	char *address;

	memset(l, 0, sizeof(*l));
	if (mark != NULL && strcmp(mark, "?proxy") != 0)
		return "behind the ? there can only be proxy";
	l->proxy = mark != NULL;
	address = copy(s, mark == NULL ? strlen(s) : (size_t)(mark - s));
	if (strncmp(address, "unix:", 5) == 0)
		why = parse_unix(address + 5, l);
	else
		why = parse_inet(address, l);
	free(address);
	return why;
}

static bool
same_listener(const struct listener *a, const struct listener *b)
{
	return a->family == b->family && a->port == b->port &&
	    strcmp(a->host, b->host) == 0 && strcmp(a->path, b->path) == 0;
}

static void
add_listener(struct derive *dv, const char *s)
{
	struct config *cfg = dv->cfg;
	struct listener *l = &cfg->listeners[cfg->nlisteners];
	const char *why;

	if ((why = parse_listener(s, l)) != NULL) {
		wrong(dv, CONFIG_listen, "%s: %s", log_text(s, strlen(s)), why);
		return;
	}
	for (size_t i = 0; i < cfg->nlisteners; i++) {
		if (!same_listener(&cfg->listeners[i], l))
			continue;
		wrong(dv, CONFIG_listen, "%s is there twice",
		    log_text(s, strlen(s)));
		return;
	}
	cfg->nlisteners++;
}

static void
derive_listeners(struct derive *dv)
{
	struct config *cfg = dv->cfg;

	cfg->listeners = zeroed(cfg->listen.n + 1, sizeof(*cfg->listeners));
	if (cfg->listen.n > MAX_LISTENERS) {
		wrong(dv, CONFIG_listen, "%zu are too many; at most %d",
		    cfg->listen.n, MAX_LISTENERS);
		return;
	}
	for (size_t i = 0; i < cfg->listen.n; i++)
		add_listener(dv, cfg->listen.v[i]);
}

/* ------------------------------------------------------------------ */
/* Transports. */

static void
derive_transports(struct derive *dv)
{
	struct config *cfg = dv->cfg;
	bool *seen;

	for (size_t i = 0; i < cfg->engine_transports.n; i++) {
		const char *s = cfg->engine_transports.v[i];

		if (strcmp(s, "polling") == 0)
			seen = &cfg->engine_polling;
		else if (strcmp(s, "websocket") == 0)
			seen = &cfg->engine_websocket;
		else {
			wrong(dv, CONFIG_engine_transports,
			    "%s is unknown; there are polling and websocket",
			    log_text(s, strlen(s)));
			continue;
		}
		if (*seen)
			wrong(dv, CONFIG_engine_transports, "%s is there twice",
			    s);
		*seen = true;
	}
}

/* ------------------------------------------------------------------ */
/* Origins. */

/* The ports that browsers leave out. */
static bool
is_default_port(const char *origin, const char *port)
{
	return (strncmp(origin, "http://", 7) == 0 &&
		   strcmp(port, "80") == 0) ||
	    (strncmp(origin, "https://", 8) == 0 && strcmp(port, "443") == 0);
}

/*
 * NULL, or why no browser says so (RFC 6454 7.1: scheme "://" host [ ":"
 * port ], in lower case; some apps have an empty host, as in file://).
 */
static const char *
check_origin(const char *s)
{
	static const char lower[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	const char *host, *p;
	uint16_t port;
	size_t len;

	if (strcmp(s, "null") == 0)
		return "any site can make a page of which browsers say that; "
		       "if that is meant, say *";
	len = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789+-.");
	if (len == 0 || strncmp(s + len, "://", 3) != 0)
		return "it is scheme://host or scheme://host:port, in lower "
		       "case";
	host = s + len + 3;
	if (strpbrk(host, "/?#") != NULL)
		return "nothing follows the host and its port, not even a /";
	for (p = host; *p != '\0' && *p != ':';) {
		if (*p == '[')
			p += 1 + strspn(p + 1, "0123456789abcdef:.") + 1;
		else if (strchr(lower, *p) != NULL ||
		    strchr("-._~", *p) != NULL)
			p++;
		else
			return "the host is in lower case, as browsers write "
			       "it";
		if (p[-1] == '\0')
			return "an IPv6 address ends with ]";
	}
	if (*p == '\0')
		return NULL;
	if (parse_port(p + 1, &port) != NULL)
		return "a port is a number from 1 to 65535";
	if (is_default_port(s, p + 1))
		return "browsers leave this port out; do so, too";
	return NULL;
}

static void
derive_origins(struct derive *dv)
{
	struct config *cfg = dv->cfg;
	const char *why;

	for (size_t i = 0; i < cfg->cors_origins.n; i++) {
		const char *s = cfg->cors_origins.v[i];

		if (strcmp(s, "*") == 0) {
			cfg->cors_any = true;
			if (cfg->cors_origins.n > 1)
				wrong(dv, CONFIG_cors_origins,
				    "* stands for all, and alone");
		} else if ((why = check_origin(s)) != NULL)
			wrong(dv, CONFIG_cors_origins, "%s: %s",
			    log_text(s, strlen(s)), why);
	}
}

bool
config_allows_origin(const struct config *cfg, const char *origin, size_t len)
{
	const char *s;

	if (cfg->cors_any)
		return true;
	for (size_t i = 0; i < cfg->cors_origins.n; i++) {
		s = cfg->cors_origins.v[i];
		if (strlen(s) == len && memcmp(s, origin, len) == 0)
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------ */
/* Proxies. */

static const uint8_t v4_in_v6[12] = { [10] = 0xff, [11] = 0xff };

/* Is the part of 'a' that a net of so many bits has the same as in 'b'? */
static bool
same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned rest = bits % 8;

	if (memcmp(a, b, bits / 8) != 0)
		return false;
	return rest == 0 || (a[bits / 8] ^ b[bits / 8]) >> (8 - rest) == 0;
}

static void
cut(uint8_t addr[16], unsigned bits)
{
	for (unsigned i = bits; i < 128; i++)
		addr[i / 8] &= (uint8_t) ~(0x80U >> i % 8);
}

static const char *
parse_bits(const char *s, unsigned max, uint16_t *bits_r)
{
	unsigned v = 0;
	const char *p = s;

	for (; *p >= '0' && *p <= '9' && v <= max; p++)
		v = v * 10 + (unsigned)(*p - '0');
	if (p == s || *p != '\0' || v > max)
		return max == 32 ? "behind the / is a number from 0 to 32"
				 : "behind the / is a number from 0 to 128";
	*bits_r = (uint16_t)v;
	return NULL;
}

/* NULL, or what is wrong. */
static const char *
parse_net(const char *s, struct config_net *net)
{
	static const char form[] = "it is an address, address/bits, or unix";
	const char *slash = strchr(s, '/'), *why;
	size_t len = slash == NULL ? strlen(s) : (size_t)(slash - s);
	char host[INET6_ADDRSTRLEN];
	uint8_t net_addr[16];
	unsigned max;

	memset(net, 0, sizeof(*net));
	if (len >= sizeof(host))
		return form;
	memcpy(host, s, len);
	host[len] = '\0';
	net->family = strchr(host, ':') != NULL ? AF_INET6 : AF_INET;
	max = net->family == AF_INET6 ? 128 : 32;
	if (inet_pton(net->family, host, net->addr) != 1)
		return form;
	net->bits = (uint16_t)max;
	if (slash != NULL && (why = parse_bits(slash + 1, max, &net->bits)))
		return why;
	memcpy(net_addr, net->addr, sizeof(net_addr));
	cut(net_addr, net->bits);
	if (memcmp(net_addr, net->addr, sizeof(net_addr)) != 0)
		return "the address has bits behind those that count";
	if (net->family == AF_INET6 && net->bits >= 96 &&
	    memcmp(net->addr, v4_in_v6, sizeof(v4_in_v6)) == 0) {
		net->family = AF_INET;
		net->bits = (uint16_t)(net->bits - 96);
		memmove(net->addr, net->addr + 12, 4);
		memset(net->addr + 4, 0, 12);
	}
	return NULL;
}

static void
derive_trusted(struct derive *dv)
{
	struct config *cfg = dv->cfg;
	const char *why;

	cfg->trusted =
	    zeroed(cfg->trusted_proxies.n + 1, sizeof(*cfg->trusted));
	for (size_t i = 0; i < cfg->trusted_proxies.n; i++) {
		const char *s = cfg->trusted_proxies.v[i];

		if (strcmp(s, "unix") == 0)
			cfg->trusted_unix = true;
		else if ((why = parse_net(s, &cfg->trusted[cfg->ntrusted])) !=
		    NULL)
			wrong(dv, CONFIG_trusted_proxies, "%s: %s",
			    log_text(s, strlen(s)), why);
		else
			cfg->ntrusted++;
	}
}

bool
config_trusts(const struct config *cfg, int family, const uint8_t addr[16])
{
	const struct config_net *net;

	if (family == AF_UNIX)
		return cfg->trusted_unix;
	if (family == AF_INET6 &&
	    memcmp(addr, v4_in_v6, sizeof(v4_in_v6)) == 0) {
		family = AF_INET;
		addr += sizeof(v4_in_v6);
	}
	for (size_t i = 0; i < cfg->ntrusted; i++) {
		net = &cfg->trusted[i];
		if (net->family == family &&
		    same_bits(net->addr, addr, net->bits))
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------ */
/* The cookie. */

/* RFC 6265 4.1.1: a name is a token, attributes are what is no ";" */
static const char *
check_cookie(const char *s, size_t name_len)
{
	static const char separators[] = "()<>@,;:\\\"/[]?={} \t";
	const char *p;
	size_t len;

	for (p = s; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			return "it is of printable ASCII characters";
	if (name_len == 0 || strcspn(s, separators) < name_len)
		return "its name is of letters, digits and some of - _ . ! # "
		       "$ & ' * + ^ ` | ~";
	for (p = s + name_len; *p == ';'; p += len) {
		p += 1 + strspn(p + 1, " ");
		len = strcspn(p, ";");
		if (len == 0)
			return "an attribute is missing behind a ;";
	}
	return NULL;
}

static void
derive_cookie(struct derive *dv)
{
	struct config *cfg = dv->cfg;
	const char *s = cfg->engine_cookie, *attributes, *why;
	size_t len = strcspn(s, ";");

	if (*s == '\0')
		return;
	if ((why = check_cookie(s, len)) != NULL) {
		wrong(dv, CONFIG_engine_cookie, "%s: %s",
		    log_text(s, strlen(s)), why);
		return;
	}
	cfg->cookie_name = copy(s, len);
	attributes = s + len;
	if (*attributes == '\0')
		attributes = COOKIE_ATTRIBUTES;
	else
		attributes += 1 + strspn(attributes + 1, " ");
	cfg->cookie_attributes = copy(attributes, strlen(attributes));
}

/* ------------------------------------------------------------------ */

void
config_undo(struct config *cfg)
{
	free(cfg->listeners);
	cfg->listeners = NULL;
	cfg->nlisteners = 0;
	cfg->engine_polling = cfg->engine_websocket = false;
	cfg->cors_any = false;
	free(cfg->trusted);
	cfg->trusted = NULL;
	cfg->ntrusted = 0;
	cfg->trusted_unix = false;
	free(cfg->cookie_name);
	free(cfg->cookie_attributes);
	cfg->cookie_name = cfg->cookie_attributes = NULL;
}

int
config_derive(struct config *cfg, struct config_errors *errors)
{
	struct derive dv = { cfg, errors };
	size_t before = errors->n + errors->more;

	config_undo(cfg);
	derive_listeners(&dv);
	derive_transports(&dv);
	derive_origins(&dv);
	derive_trusted(&dv);
	derive_cookie(&dv);
	return errors->n + errors->more == before ? 0 : -1;
}

/* ------------------------------------------------------------------ */
/* Warnings. */

static bool
trusts_all(const struct config *cfg)
{
	for (size_t i = 0; i < cfg->ntrusted; i++)
		if (cfg->trusted[i].bits == 0)
			return true;
	return false;
}

static bool
expects_proxy(const struct config *cfg)
{
	for (size_t i = 0; i < cfg->nlisteners; i++)
		if (cfg->listeners[i].proxy)
			return true;
	return cfg->ntrusted > 0 || cfg->trusted_unix;
}

void
config_warnings(const struct config *cfg, config_warn_fn fn, void *arg)
{
	const char *attributes = cfg->cookie_attributes;

	if (cfg->cors_any && cfg->cors_credentials)
		fn("cors.origins is * and cors.credentials on: browsers "
		   "refuse that combination, so pages that send credentials "
		   "cannot use polling; name their origins",
		    arg);
	if (cfg->auth_mode == AUTH_MODE_NONE && cfg->cors_any)
		fn("auth.mode is none and cors.origins *: any page that "
		   "somebody on this machine opens can be anybody in the chat",
		    arg);
	if (cfg->auth_mode == AUTH_MODE_NONE && expects_proxy(cfg))
		fn("auth.mode is none behind a proxy: whoever reaches the "
		   "proxy can be anybody in the chat",
		    arg);
	if (trusts_all(cfg))
		fn("trusted_proxies holds all addresses: every client can "
		   "say that it is any address, and limits.connect_rate is "
		   "worth nothing",
		    arg);
	if (attributes != NULL && strcasestr(attributes, "SameSite=None") &&
	    strcasestr(attributes, "Secure") == NULL)
		fn("engine.cookie has SameSite=None without Secure: browsers "
		   "refuse it",
		    arg);
	for (size_t i = 0; cfg->keys != NULL && i < cfg->keys->nnotes; i++)
		fn(cfg->keys->notes[i], arg);
}
