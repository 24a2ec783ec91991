/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * config_check - what single values do not show.
 */

#include "common/config_reader.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/keys.h"
#include "common/rules.h"
#include "common/url.h"

#define MAX_WORKERS 32
/* RFC 7518 3.2: a key as long as the hash of HS256 */
#define SECRET_MIN KEYS_SECRET_MIN
#define SECRET_MAX KEYS_SECRET_MAX
#define BLOB_MAX (1 << 20)

struct check {
	struct config *cfg;
	struct config_errors *errors;
	/* options that do not have the value that was meant */
	const bool *refused;
};

#define wrong(ck, opt, ...) \
	config_wrong((ck)->cfg, (ck)->errors, opt, __VA_ARGS__)

static bool
is_loopback(const struct listener *l)
{
	switch (l->family) {
	case LISTENER_TCP4:
		return strncmp(l->host, "127.", 4) == 0;
	case LISTENER_TCP6:
		return strcmp(l->host, "::1") == 0;
	case LISTENER_UNIX:
		return true;
	}
	return false;
}

/* ------------------------------------------------------------------ */
/* Identities. */

static void
check_auth_none(struct check *ck)
{
	const struct config *cfg = ck->cfg;

	for (size_t i = 0; i < cfg->nlisteners; i++) {
		if (is_loopback(&cfg->listeners[i]))
			continue;
		wrong(ck, CONFIG_auth_mode,
		    "none would let anybody who reaches %s:%u (listen, %s) "
		    "be anybody; use jwt, or listen on loopback only",
		    cfg->listeners[i].host, cfg->listeners[i].port,
		    cfg->where[CONFIG_listen]);
		return;
	}
}

/* The length, or -1 with errno. */
static ssize_t
read_secret(const char *path, uint8_t *buf, size_t size)
{
	size_t len = 0;
	ssize_t n = 0;
	int fd, saved;

	if ((fd = config_open(path)) == -1)
		return -1;
	while (len < size) {
		n = config_read(fd, buf + len, size - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	saved = errno;
	(void)close(fd);
	errno = saved;
	return n == -1 ? -1 : (ssize_t)len;
}

static void
load_secret(struct check *ck)
{
	struct config *cfg = ck->cfg;
	uint8_t *buf;
	ssize_t n;

	if ((buf = malloc(SECRET_MAX + 1)) == NULL)
		fatal("no memory for the configuration");
	n = read_secret(cfg->auth_secret_file, buf, SECRET_MAX + 1);
	if (n > 0 && buf[n - 1] == '\n')
		n--;
	if (n == -1)
		wrong(ck, CONFIG_auth_secret_file, "%s: %s",
		    cfg->auth_secret_file, strerror(errno));
	else if (n > SECRET_MAX)
		wrong(ck, CONFIG_auth_secret_file,
		    "%s is too long for a secret; at most %d bytes",
		    cfg->auth_secret_file, SECRET_MAX);
	else if (n < SECRET_MIN)
		wrong(ck, CONFIG_auth_secret_file,
		    "%s holds %zd bytes; a secret has at least %d",
		    cfg->auth_secret_file, n, SECRET_MIN);
	else {
		cfg->auth_secret = buf;
		cfg->auth_secret_len = (size_t)n;
		return;
	}
	explicit_bzero(buf, SECRET_MAX + 1);
	free(buf);
}

/* The contents of a file that an option names. */
static void
load_blob(struct check *ck, enum config_option opt, const char *path,
    enum config_blob_kind kind)
{
	struct config_blob *blob = &ck->cfg->blob[kind];
	uint8_t *buf;
	ssize_t n;

	if ((buf = malloc(BLOB_MAX + 1)) == NULL)
		fatal("no memory for the configuration");
	n = read_secret(path, buf, BLOB_MAX + 1);
	if (n == -1) {
		wrong(ck, opt, "%s: %s", path, strerror(errno));
	} else if (n == 0 || n > BLOB_MAX) {
		wrong(ck, opt, "%s is %s", path,
		    n == 0 ? "empty" : "too long; at most 1m");
	} else if ((blob->p = malloc((size_t)n)) == NULL) {
		fatal("no memory for the configuration");
	} else {
		memcpy(blob->p, buf, (size_t)n);
		blob->len = (size_t)n;
	}
	/* a set of keys may hold secrets */
	explicit_bzero(buf, BLOB_MAX + 1);
	free(buf);
}

static void
check_rules(struct check *ck)
{
	const struct config_blob *blob = &ck->cfg->blob[CONFIG_BLOB_RULES];
	struct rules *rules;

	if (blob->p == NULL)
		return;
	rules =
	    rules_new(ck->cfg->content_rules, blob->p, blob->len, ck->errors);
	rules_free(&rules);
}

/* What files hold that options name; that of the default may be absent. */
static void
check_blob(struct check *ck, enum config_option opt, const char *path,
    enum config_blob_kind kind, bool without_files)
{
	if (path[0] == '\0' || ck->refused[opt])
		return;
	if (path[0] != '/')
		wrong(ck, opt, "%s is not an absolute path",
		    log_text(path, strlen(path)));
	else if (!without_files &&
	    (strcmp(path, config_rows[opt].def) != 0 ||
		access(path, F_OK) == 0))
		load_blob(ck, opt, path, kind);
}

static void
check_blobs(struct check *ck, bool without_files)
{
	const struct config *cfg = ck->cfg;

	check_blob(ck, CONFIG_auth_key_file, cfg->auth_key_file,
	    CONFIG_BLOB_KEYS, without_files);
	check_blob(ck, CONFIG_auth_jwks_file, cfg->auth_jwks_file,
	    CONFIG_BLOB_JWKS, without_files);
	check_blob(ck, CONFIG_content_rules, cfg->content_rules,
	    CONFIG_BLOB_RULES, without_files);
	check_rules(ck);
}

/* The text itself may hold something secret, so it is not shown. */
static void
check_webhook(struct check *ck)
{
	const struct config *cfg = ck->cfg;
	const char *why;
	struct url url;

	if (ck->refused[CONFIG_auth_webhook_url])
		return;
	if (*cfg->auth_webhook_url != '\0') {
		if (!url_parse(cfg->auth_webhook_url, &url, &why))
			wrong(ck, CONFIG_auth_webhook_url, "the address %s",
			    why);
	} else if (cfg->auth_mode == AUTH_MODE_WEBHOOK &&
	    !ck->refused[CONFIG_auth_mode]) {
		wrong(ck, CONFIG_auth_webhook_url,
		    "auth.mode webhook (%s) needs one: http:// or https://",
		    cfg->where[CONFIG_auth_mode]);
	}
}

static void
check_auth(struct check *ck, bool without_files)
{
	const struct config *cfg = ck->cfg;
	const char *file = cfg->auth_secret_file;

	if (cfg->auth_mode == AUTH_MODE_NONE)
		check_auth_none(ck);
	check_webhook(ck);
	if (*file != '\0' && *file != '/')
		wrong(ck, CONFIG_auth_secret_file, "%s is not an absolute path",
		    log_text(file, strlen(file)));
	else if (without_files)
		return;
	else if (*file != '\0')
		load_secret(ck);
	else if (cfg->auth_mode == AUTH_MODE_JWT &&
	    *cfg->auth_key_file == '\0' && *cfg->auth_jwks_file == '\0' &&
	    !ck->refused[CONFIG_auth_mode] &&
	    !ck->refused[CONFIG_auth_secret_file])
		wrong(ck, CONFIG_auth_secret_file,
		    "auth.mode jwt (%s) needs one; name a file that holds at "
		    "least %d bytes",
		    cfg->where[CONFIG_auth_mode], SECRET_MIN);
}

/* ------------------------------------------------------------------ */
/* The rest. */

static void
check_absolute(struct check *ck, enum config_option opt, const char *path)
{
	if (path[0] != '/')
		wrong(ck, opt, "%s is not an absolute path",
		    log_text(path, strlen(path)));
}

static void
check_path(struct check *ck)
{
	const char *p = ck->cfg->path;
	size_t len = strlen(p);

	if (len < 2 || p[0] != '/' || p[len - 1] != '/')
		wrong(ck, CONFIG_path, "%s must begin and end with /",
		    log_text(p, len));
	else if (strstr(p, "//") != NULL)
		wrong(ck, CONFIG_path, "%s holds an empty part", p);
	else if (strspn(p,
		     "abcdefghijklmnopqrstuvwxyz0123456789/-_.~"
		     "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != len)
		wrong(ck, CONFIG_path,
		    "%s may hold letters, digits, - _ . ~ and / only",
		    log_text(p, len));
}

static void
check_log_target(struct check *ck)
{
	const char *s = ck->cfg->log_target;

	if (*s == '/' || strcmp(s, "stderr") == 0 || strcmp(s, "syslog") == 0 ||
	    strcmp(s, "journal") == 0)
		return;
	wrong(ck, CONFIG_log_target,
	    "%s is unknown; it is stderr, syslog, journal or the absolute "
	    "path of a file",
	    log_text(s, strlen(s)));
}

/* what chatd adds to an event at the most: names, ids, numbers */
#define EVENT_ADDED 4096
/* a record takes a quarter of an arena, and 1 MiB (ring_max_record()) */
#define RECORD_MAX (1U << 20)
/* the least that stream.max_text can be (tbl_options.h) */
#define STREAM_TEXT_MIN 1024

uint64_t
config_event_room(const struct config *cfg)
{
	uint64_t record = cfg->ring_arena_bytes / 4;

	if (record > RECORD_MAX)
		record = RECORD_MAX;
	return record > EVENT_ADDED ? record - EVENT_ADDED : 0;
}

/*
 * The text of a stream becomes a message, with its metadata: by default as
 * much as fits one.
 */
static void
check_stream(struct check *ck)
{
	struct config *cfg = ck->cfg;
	uint64_t most = config_event_room(cfg);

	/* without a limit of metadata it is whose metadata is that long */
	if (cfg->limits_metadata_bytes + STREAM_TEXT_MIN <= most)
		most -= cfg->limits_metadata_bytes;
	if (cfg->stream_max_text <= most)
		return;
	if (strcmp(cfg->where[CONFIG_stream_max_text], "default") == 0)
		cfg->stream_max_text = most;
	else
		wrong(ck, CONFIG_stream_max_text,
		    "the text of a stream does not fit a record of the ring; "
		    "at most %llu bytes do: a quarter of ring.arena_bytes "
		    "(and of 4m), less limits.metadata_bytes and 4k",
		    (unsigned long long)most);
}

/* An event that fits no record could never be published. */
static void
check_event(struct check *ck, uint64_t event)
{
	uint64_t room = config_event_room(ck->cfg);

	check_stream(ck);
	if (event > room)
		wrong(ck, CONFIG_limits_event_bytes,
		    "an event of %llu bytes (engine.max_payload, if that is "
		    "less or this is 0) does not fit a record of the ring; "
		    "at most %llu do: a quarter of ring.arena_bytes (and of "
		    "4m), less 4k",
		    (unsigned long long)event, (unsigned long long)room);
}

static void
check_numbers(struct check *ck)
{
	const struct config *cfg = ck->cfg;
	uint64_t event = cfg->limits_event_bytes;

	if ((cfg->ring_slots & (cfg->ring_slots - 1)) != 0)
		wrong(ck, CONFIG_ring_slots,
		    "%u is not a power of two; %u and %u are", cfg->ring_slots,
		    1U << (31 - __builtin_clz(cfg->ring_slots)),
		    2U << (31 - __builtin_clz(cfg->ring_slots)));
	if (cfg->ring_arena_bytes % 4096 != 0)
		wrong(ck, CONFIG_ring_arena_bytes,
		    "%llu is not a multiple of 4k",
		    (unsigned long long)cfg->ring_arena_bytes);
	if (cfg->typing_expiry <= cfg->typing_coalesce)
		wrong(ck, CONFIG_typing_expiry,
		    "must be longer than typing.coalesce (%s), or somebody "
		    "who goes on typing seems to stop",
		    cfg->where[CONFIG_typing_coalesce]);
	if (event == 0 || event > cfg->engine_max_payload)
		event = cfg->engine_max_payload;
	if (cfg->limits_send_queue != 0 && cfg->limits_send_queue < event)
		wrong(ck, CONFIG_limits_send_queue,
		    "must hold the largest event, %llu bytes "
		    "(limits.event_bytes, engine.max_payload)",
		    (unsigned long long)event);
	check_event(ck, event);
}

static void
find_workers(struct config *cfg)
{
	cpu_set_t set;
	long n;

	if (cfg->workers != 0)
		return;
	/* the cores that we may use, not those that there are */
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set);
	else
		n = sysconf(_SC_NPROCESSORS_ONLN);
	cfg->workers = n < 1 ? 1 : n > MAX_WORKERS ? MAX_WORKERS : (uint32_t)n;
}

void
config_check(struct config *cfg, const bool refused[CONFIG__MAX],
    bool without_files, struct config_errors *errors)
{
	struct check ck = { cfg, errors, refused };

	find_workers(cfg);
	(void)config_derive(cfg, errors);
	check_absolute(&ck, CONFIG_run_dir, cfg->run_dir);
	check_absolute(&ck, CONFIG_data_dir, cfg->data_dir);
	check_path(&ck);
	if (cfg->client_dir[0] != '\0')
		check_absolute(&ck, CONFIG_client_dir, cfg->client_dir);
	check_log_target(&ck);
	check_auth(&ck, without_files);
	check_blobs(&ck, without_files);
	if (!without_files)
		(void)config_keys(cfg, errors);
	check_numbers(&ck);
}
