/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * OPT(name, field, type, default, min, max, env, reloadable, help)
 * - all options.  The reader, struct config, chatd -T, reload, the sample
 * etc/chatd.conf and the manual come from these rows.
 *
 * Types: STRING, LIST, DURATION (ms), SIZE (bytes), COUNT, BOOL, and the
 * enums LOG_LEVEL, LOG_FORMAT, AUTH_MODE, CONTENT_HTML.  min and max bind numbers; a min of 0
 * on a limit means that 0 switches it off.  A STRING or LIST with max > 0
 * has at most that many bytes; with min > 0 it must not be empty.
 */
/* clang-format off */

/* Where and as whom. */
OPT("listen", listen, LIST, "127.0.0.1:3002", 1, 4096, "SOCKET_PORT", false,
    "Where clients connect: a list of host:port, [v6 address]:port or "
    "unix:/path.  The host is a numeric address, localhost, or * for all.  "
    "?proxy behind one of them: a proxy begins each connection there with a "
    "PROXY protocol header, version 1 or 2; let nobody else reach it.")
OPT("run_dir", run_dir, STRING, "/run/chatd", 1, 80, NULL, false,
    "Directory of the PID file and of chatctl's socket; absolute.")
OPT("data_dir", data_dir, STRING, "/var/lib/chatd", 1, 4000, NULL, false,
    "Directory of the store; absolute.")
OPT("user", user, STRING, "chatd", 1, 32, NULL, false,
    "User that all processes run as when chatd is started by root.")
OPT("group", group, STRING, "chatd", 1, 32, NULL, false,
    "Group that all processes run as; its members may use chatctl.")
OPT("workers", workers, COUNT, "0", 0, 32, NULL, false,
    "Number of worker processes; 0 means one a core, at most 32.")
OPT("max_connections", max_connections, COUNT, "100000", 1, 1000000, NULL,
    false,
    "Connections in all; the hard limit of descriptors may lower it.")
OPT("path", path, STRING, "/socket.io/", 1, 200, NULL, true,
    "Path of Socket.IO on the public listeners; begins and ends with /.")
OPT("client_dir", client_dir, STRING, "/usr/share/chatd/client", 0, 4000,
    NULL, true,
    "Directory of the browser's bundle, socket.io.js and its variants, which "
    "is served under path if it is there; absolute, empty for none.")
OPT("trusted_proxies", trusted_proxies, LIST, "", 0, 4096, NULL, true,
    "Proxies whose X-Forwarded-For is believed: a list of addresses, "
    "address/bits, and unix for all who come by a Unix socket.  Their "
    "clients are limited by the address that it tells.")

/* What is logged. */
OPT("log.level", log_level, LOG_LEVEL, "info", 0, 0, NULL, true,
    "Least important level that is logged: error, warn, notice, info or "
    "debug.")
OPT("log.target", log_target, STRING, "syslog", 1, 4000, NULL, true,
    "stderr, syslog, journal, or the absolute path of a file.")
OPT("log.format", log_format, LOG_FORMAT, "logfmt", 0, 0, NULL, true,
    "text, logfmt or json.")

/* Who may connect. */
OPT("auth.mode", auth_mode, AUTH_MODE, "jwt", 0, 0, NULL, true,
    "jwt: clients show a signed token.  webhook: they show whatever the "
    "application gave them, and the application is asked.  none: they say "
    "who they are; for development, and only on loopback listeners.")
OPT("auth.secret_file", auth_secret_file, STRING, "", 0, 4000, NULL, true,
    "File that holds the secret of HS256, HS384 and HS512 tokens, at least "
    "as long as the hash (32, 48, 64 bytes); one line end behind it does not "
    "count.")
OPT("auth.key_file", auth_key_file, STRING, "", 0, 4000, NULL, true,
    "PEM file with the public keys (or certificates, whose dates do not "
    "matter) of RS, PS, ES and EdDSA tokens; absolute.")
OPT("auth.jwks_file", auth_jwks_file, STRING, "", 0, 4000, NULL, true,
    "JWK set with keys, chosen by a token's kid; absolute.  Put another one "
    "in its place and reload to rotate keys: tokens of a key that has gone "
    "are refused at CONNECT, who is connected stays until the token ends.")
OPT("auth.issuer", auth_issuer, STRING, "", 0, 1000, NULL, true,
    "What a token's iss must be; empty: not checked.")
OPT("auth.audience", auth_audience, STRING, "", 0, 1000, NULL, true,
    "What a token's aud must hold; empty: not checked.")

OPT("auth.webhook_url", auth_webhook_url, STRING, "", 0, 4000, NULL, true,
    "Where mode webhook asks: http:// or https://.")
OPT("auth.webhook_timeout", auth_webhook_timeout, DURATION, "5s", 10, 60000,
    NULL, true,
    "How long the application may take to answer.")
OPT("auth.webhook_recheck", auth_webhook_recheck, DURATION, "5m", 0,
    86400000, NULL, true,
    "How often the application is asked again about who is connected; 0: "
    "never.")
OPT("auth.expiry_grace", auth_expiry_grace, DURATION, "30s", 0, 3600000,
    NULL, true,
    "How long a client whose token has expired may take to send a new one.")

/* What browsers may do from pages of other sites. */
OPT("cors.origins", cors_origins, LIST, "", 0, 65536, "ALLOWED_ORIGINS",
    true,
    "Sites whose pages may connect, each as scheme://host or "
    "scheme://host:port the way browsers write it, or * for all.  Empty: no "
    "page of another site may use polling, and no origin is looked at when "
    "a WebSocket is opened.")
OPT("cors.credentials", cors_credentials, BOOL, "off", 0, 0, NULL, true,
    "Whether those pages may send cookies and HTTP authentication along.")

/* Engine.IO. */
OPT("engine.transports", engine_transports, LIST, "polling, websocket", 1,
    64, NULL, true,
    "Ways in which clients may connect: polling, websocket.  With both, "
    "polling can be upgraded.")
OPT("engine.ping_interval", engine_ping_interval, DURATION, "25s", 100,
    3600000, NULL, true,
    "Time between two pings to a client.")
OPT("engine.ping_timeout", engine_ping_timeout, DURATION, "20s", 100,
    3600000, NULL, true,
    "How long a client may take to answer a ping.")
OPT("engine.upgrade_timeout", engine_upgrade_timeout, DURATION, "10s", 100,
    600000, NULL, true,
    "How long an upgrade from polling to a WebSocket may take.")
OPT("engine.connect_timeout", engine_connect_timeout, DURATION, "45s", 100,
    600000, NULL, true,
    "How long a client may take from its connection to its namespace.")
OPT("engine.max_payload", engine_max_payload, SIZE, "1000000", 1024,
    16777216, NULL, true,
    "Largest message of a client, as told to it in the handshake.")
OPT("engine.compression", engine_compression, BOOL, "off", 0, 0, NULL, true,
    "Compress what is larger than 1k for clients that can read it: gzip for "
    "polling, permessage-deflate for WebSockets.")
OPT("engine.cookie", engine_cookie, STRING, "", 0, 1000, NULL, true,
    "Cookie that carries the session id, for proxies that want one: a name, "
    "or a name and attributes as they shall stand in Set-Cookie.  With a "
    "name alone these are Path=/; HttpOnly; SameSite=Lax.")
OPT("engine.eio3", engine_eio3, BOOL, "off", 0, 0, NULL, true,
    "Serve clients of Socket.IO 2, which speak revision 3 of Engine.IO, too.")

/* Clients that come back. */
OPT("recovery.window", recovery_window, DURATION, "2m", 0, 86400000, NULL,
    true,
    "How long after its connection was lost a client gets its socket and "
    "rooms back, with all that it missed; 0: never.")

/* Limits; 0 switches one off. */
OPT("limits.message_rate", limits_message_rate, COUNT, "30", 0, 1000000,
    "CHAT_MESSAGE_RATE_LIMIT", true,
    "Messages a minute, a user.")
OPT("limits.typing_rate", limits_typing_rate, COUNT, "60", 0, 1000000, NULL,
    true,
    "Typing notices a minute, a user.")
OPT("limits.join_rate", limits_join_rate, COUNT, "10", 0, 1000000, NULL,
    true,
    "Joins a minute, a user.")
OPT("limits.history_rate", limits_history_rate, COUNT, "30", 0, 1000000,
    NULL, true,
    "Requests for history a minute, a user.")
OPT("limits.presence_rate", limits_presence_rate, COUNT, "30", 0, 1000000,
    NULL, true,
    "Presence updates a minute, a user.")
OPT("limits.chunk_rate", limits_chunk_rate, COUNT, "6000", 0, 10000000, NULL,
    true,
    "Chunks a minute, a stream.")
OPT("limits.connections_per_user", limits_connections_per_user, COUNT, "5",
    0, 1000000, "CHAT_CONNECTION_LIMIT", true,
    "Connections that a user may have at one time.")
OPT("limits.connect_rate", limits_connect_rate, COUNT, "600", 0, 1000000,
    NULL, true,
    "New connections a minute, an address.")
OPT("limits.sessions_per_socket", limits_sessions_per_socket, COUNT, "20",
    0, 100000, NULL, true,
    "Chat sessions that one connection may have joined.")
OPT("limits.members_per_session", limits_members_per_session, COUNT,
    "100000", 0, 10000000, NULL, true,
    "Connections that may have joined one chat session.")
OPT("limits.message_length", limits_message_length, COUNT, "10000", 0,
    4000000, "CHAT_MESSAGE_MAX_LENGTH", true,
    "Length of a message's text in UTF-16 units.")
OPT("limits.metadata_bytes", limits_metadata_bytes, SIZE, "8k", 0, 16777216,
    NULL, true,
    "Bytes of a message's metadata.")
OPT("limits.event_bytes", limits_event_bytes, SIZE, "64k", 0, 16777216,
    NULL, true,
    "Bytes of one event of a client.")
OPT("limits.send_queue", limits_send_queue, SIZE, "1m", 0, 1073741824, NULL,
    true,
    "Bytes that may wait for a client that reads too slowly; what it asked "
    "for itself does not count.")
OPT("limits.history_page", limits_history_page, COUNT, "200", 0, 10000,
    NULL, true,
    "Messages in one answer to a request for history.")

OPT("limits.backoff_max", limits_backoff_max, DURATION, "15m", 1000,
    86400000, NULL, true,
    "Longest time for which a user that keeps running into limits is held "
    "off.")

/* What messages may say. */
OPT("content.rules", content_rules, STRING, "/etc/chatd/content.rules", 0,
    4000, NULL, true,
    "File of the rules for the text of messages; absolute, empty for none.  "
    "Where it is not there, there are none.")
OPT("content.html", content_html, CONTENT_HTML, "inert", 0, 0, NULL, true,
    "What a browser would execute in a message: inert is made text, strip "
    "is taken out, reject is refused, allow is let through.")
OPT("content.burst", content_burst, COUNT, "10", 0, 1000, NULL, true,
    "Nearly equal messages of a user within a minute; one more is refused.")

/* The chat. */
OPT("presence.idle_after", presence_idle_after, DURATION, "5m", 0, 86400000,
    NULL, true,
    "Who has sent nothing for so long is idle; 0: never.")
OPT("presence.away_after", presence_away_after, DURATION, "30m", 0, 86400000,
    NULL, true,
    "Who has sent nothing for so long is away; 0: never.")
OPT("presence.delta_above", presence_delta_above, COUNT, "500", 0, 1000000,
    NULL, true,
    "Sessions of more members are told of presence once a second, in one "
    "event; 0: none are.")
OPT("typing.coalesce", typing_coalesce, DURATION, "3s", 0, 60000, NULL,
    true,
    "Repeated typing notices within this time are told once.")
OPT("typing.expiry", typing_expiry, DURATION, "6s", 100, 600000, NULL, true,
    "Somebody who types is taken to have stopped after this time.")
OPT("stream.idle_timeout", stream_idle_timeout, DURATION, "1m", 100,
    3600000, NULL, true,
    "A stream whose agent is silent for so long is closed.")
OPT("stream.resume", stream_resume, DURATION, "10s", 0, 600000, NULL, true,
    "How long an agent whose connection was lost may take to go on with its "
    "streams.")
OPT("stream.max_text", stream_max_text, SIZE, "256k", 1024, 1048576, NULL,
    true,
    "Bytes of the text of one stream, as JSON.")
OPT("stream.memory", stream_memory, SIZE, "64m", 1048576, 17179869184, NULL,
    false,
    "Memory for all streams that are being written; one user's take at most "
    "three times what is left.")
OPT("replay.max", replay_max, COUNT, "500", 0, 100000, NULL, true,
    "Missed messages that a join with afterSeq may bring; 0: no bound.")

/* The store. */
OPT("store.min_commit_interval", store_min_commit_interval, DURATION, "0",
    0, 10000, NULL, true,
    "Time between two commits; 0: as fast as the disk is.")
OPT("store.dedupe_window", store_dedupe_window, DURATION, "7d", 0,
    31536000000, NULL, true,
    "How long a message id is recognised when a client sends it again.")
OPT("store.retention", store_retention, DURATION, "365d", 0,
    3153600000000, NULL, true,
    "How long messages are kept; 0: for ever.")
OPT("store.max_messages_per_session", store_max_messages_per_session, COUNT,
    "0", 0, 1000000000, NULL, true,
    "Messages that are kept of one chat session, the newest; 0: any number.")
OPT("store.max_bytes", store_max_bytes, SIZE, "64g", 16777216,
    1099511627776, NULL, true,
    "Most that the store may take on the disk.  At nine tenths of it new "
    "messages are refused, until retention has made space.")
OPT("store.ballast", store_ballast, SIZE, "64m", 0, 1073741824, NULL, true,
    "Space that is kept on the store's disk and given up when the disk is "
    "full, for what was taken before it was; at most a hundredth of the "
    "disk.  0: none.")

/* Shared memory. */
OPT("ring.slots", ring_slots, COUNT, "65536", 64, 16777216, NULL, true,
    "Records that may be under way; a power of two.")
OPT("ring.arena_bytes", ring_arena_bytes, SIZE, "4m", 65536, 1073741824,
    NULL, true,
    "Bytes that the records of one worker may take; a multiple of 4k.")
#undef OPT
/* clang-format on */
