/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * COUNTER(NAME, name, help) - only grow; survive the worker
 * GAUGE(NAME, name, help) - go up and down; 0 once the worker is dead
 * HISTOGRAM(NAME, name, unit, help) - how often which value
 *
 * Whoever includes this file defines those that it wants.
 */
/* clang-format off */

#ifndef COUNTER
#define COUNTER(NAME, name, help)
#endif
#ifndef GAUGE
#define GAUGE(NAME, name, help)
#endif
#ifndef HISTOGRAM
#define HISTOGRAM(NAME, name, unit, help)
#endif

/* connections */
COUNTER(ACCEPTED,	"accepted",	"connections accepted")
COUNTER(REFUSED,	"refused",	"connections refused: max_connections")
COUNTER(CONNECT_LIMITED, "connect_limited", "connections refused: limits.connect_rate")
COUNTER(ACCEPT_PAUSED,	"accept_paused",	"pauses of accept: no descriptors left")
COUNTER(CLOSED,		"closed",	"connections closed, for whatever reason")
COUNTER(CLOSED_PEER,	"closed_peer",	"connections closed by the client")
COUNTER(CLOSED_SERVER,	"closed_server", "connections closed in good order by the server")
COUNTER(CLOSED_TIMEOUT,	"closed_timeout", "connections closed: no pong, no CONNECT in time")
COUNTER(CLOSED_PROTOCOL, "closed_protocol", "connections closed: protocol error")
COUNTER(CLOSED_SLOW,	"closed_slow",	"connections closed: the client reads too slowly")
COUNTER(CLOSED_OVERLOAD, "closed_overload", "connections closed: out of memory for them")
COUNTER(CLOSED_ERROR,	"closed_error",	"connections closed: error of the socket")
COUNTER(CLOSED_WORKER,	"closed_worker", "connections lost with their worker")

/* bytes */
COUNTER(BYTES_IN,	"bytes_in",	"bytes read from clients")
COUNTER(BYTES_OUT,	"bytes_out",	"bytes written to clients")
COUNTER(READS,		"reads",	"read calls")
COUNTER(WRITES,		"writes",	"write calls")
COUNTER(FRAMES_IN,	"frames_in",	"WebSocket frames read")
COUNTER(FRAMES_OUT,	"frames_out",	"WebSocket frames written")
COUNTER(REQUESTS,	"requests",	"HTTP requests")
COUNTER(REQUESTS_BAD,	"requests_bad",	"HTTP requests refused")
COUNTER(UPGRADES,	"upgrades",	"WebSocket handshakes done")
COUNTER(HANDOFFS,	"handoffs",	"connections handed over to another worker")
COUNTER(HANDOFFS_TAKEN,	"handoffs_taken", "connections taken over from another worker")
COUNTER(HANDOFFS_LATER,	"handoffs_later", "handovers that had to wait: the other's inbox was full")
COUNTER(SESSIONS,	"sessions",	"Engine.IO sessions opened")
COUNTER(SID_UNKNOWN,	"sid_unknown",	"requests of sessions that are not known")
COUNTER(POLLS,		"polls",	"polling GETs answered")
COUNTER(POSTS,		"posts",	"polling POSTs taken")
COUNTER(TOO_LARGE,	"too_large",	"polling POSTs refused: engine.max_payload")
COUNTER(PROXY_BAD,	"proxy_bad",	"connections closed: no PROXY header")
COUNTER(PROTOCOL_ERRORS, "protocol_errors", "frames and packets that break the rules")
COUNTER(PINGS,		"pings",	"heartbeats sent")

/* who */
COUNTER(AUTHENTICATED,	"authenticated", "Socket.IO connections admitted")
COUNTER(AUTH_FAILED,	"auth_failed",	"Socket.IO connections refused: identity")
COUNTER(RECOVERED,	"recovered",	"Socket.IO connections that went on where they were cut")
COUNTER(USER_LIMITED,	"user_limited",	"Socket.IO connections refused: limits.connections_per_user")
COUNTER(USER_HELD,	"user_held",	"Socket.IO connections refused: who runs into limits all the time")
COUNTER(USERS_FULL,	"users_full",	"users for whom the user table had no row")


/* auth.mode webhook: the bridge, then the workers */
COUNTER(BRIDGE_QUESTIONS, "bridge_questions", "questions of workers that the bridge has read")
COUNTER(BRIDGE_ASKED,	"bridge_asked",	"questions put to the web application")
COUNTER(BRIDGE_GRANTED,	"bridge_granted", "answers of the web application: an identity")
COUNTER(BRIDGE_REFUSED,	"bridge_refused", "answers of the web application: not valid")
COUNTER(BRIDGE_FAILED,	"bridge_failed", "questions that the web application did not answer usefully")
COUNTER(BRIDGE_CACHED,	"bridge_cached", "questions answered from the bridge's memory")
COUNTER(BRIDGE_SHARED,	"bridge_shared", "questions answered with another's that was under way")
COUNTER(BRIDGE_HELD_OFF, "bridge_held_off", "questions not put: the web application is down, or too much waits")
COUNTER(BRIDGE_DROPPED,	"bridge_dropped", "answers that a worker's socket did not take")
COUNTER(BRIDGE_REPEATED, "bridge_repeated", "questions put again because the bridge had died")
COUNTER(BRIDGE_MISSING,	"bridge_missing", "questions that the bridge did not take, or not answer in time")
COUNTER(RECHECKED,	"rechecked",	"identities of live sockets looked at again")
COUNTER(RECHECK_REVOKED, "recheck_revoked", "sockets disconnected: their token is not valid any more")

/* events of clients */
COUNTER(EVENT_JOIN,	"event_join",	"chat:join-session received")
COUNTER(EVENT_MESSAGE,	"event_message", "chat:send-message received")
COUNTER(EVENT_TYPING,	"event_typing",	"chat:typing received")
COUNTER(EVENT_PRESENCE,	"event_presence", "chat:update-presence received")
COUNTER(EVENT_HISTORY,	"event_history", "chat:request-history received")
COUNTER(EVENT_OTHER,	"event_other",	"other events received")
COUNTER(EVENT_BAD,	"event_bad",	"events refused: payload")
COUNTER(EVENT_DENIED,	"event_denied",	"events refused: not a member, or no session")
COUNTER(UNAUTHORIZED,	"unauthorized",	"joins refused: the token does not cover the session")
COUNTER(JOINS_REFUSED,	"joins_refused", "joins refused, for whatever reason")
COUNTER(EVENTS_REFUSED,	"events_refused", "other events refused, for whatever reason")
COUNTER(STORE_ERRORS,	"store_errors",	"requests that the store could not serve")
COUNTER(RATE_EXCEEDED,	"rate_exceeded", "events refused: any rate")
COUNTER(EVENTS_SHED,	"events_shed",	"events refused because there was too much to do")
COUNTER(MESSAGE_BLOCKED, "message_blocked", "messages refused: content")
COUNTER(SUSPICIOUS,	"suspicious",	"messages flagged")
COUNTER(LIMITED_MESSAGE, "limited_message", "messages refused: limits.message_rate")
COUNTER(LIMITED_TYPING,	"limited_typing", "typing refused: limits.typing_rate")
COUNTER(LIMITED_JOIN,	"limited_join",	"joins refused: limits.join_rate")
COUNTER(LIMITED_HISTORY, "limited_history", "history refused: limits.history_rate")
COUNTER(LIMITED_PRESENCE, "limited_presence", "presence refused: limits.presence_rate")

/* messages */
COUNTER(STREAMS_BEGUN,	"streams_begun", "streams begun by agents")
COUNTER(STREAM_CHUNKS,	"stream_chunks", "chunks of streams taken")
COUNTER(STREAM_MERGED,	"stream_merged", "times that chunks were merged for a slow reader")
COUNTER(STREAMS_RESUMED, "streams_resumed", "streams that went on with another connection")
COUNTER(STREAMS_STORED,	"streams_stored", "streams that became a message")
COUNTER(STREAMS_INTERRUPTED, "streams_interrupted", "streams that ended without their agent")
COUNTER(STREAMS_CANCELLED, "streams_cancelled", "streams that ended because somebody wanted it")
COUNTER(LIMITED_CHUNK,	"limited_chunk", "chunks refused: limits.chunk_rate")
COUNTER(MESSAGES_STORED, "messages_stored", "messages stored")
COUNTER(MESSAGES_DUPLICATE, "messages_duplicate", "messages recognised as sent before")
COUNTER(MESSAGES_REFUSED, "messages_refused", "messages refused by the scribe")
COUNTER(DELIVERIES,	"deliveries",	"events delivered to clients")
COUNTER(DROPPED,	"dropped",	"ephemeral events dropped for slow clients")
COUNTER(JOINS,		"joins",	"sessions joined")
COUNTER(LEAVES,		"leaves",	"sessions left")
COUNTER(PRESENCE_SET,	"presence_set",	"presence updates stored")
COUNTER(REPLAYS,	"replays",	"joins that asked for missed messages")
COUNTER(HISTORY_PAGES,	"history_pages", "history pages served")
COUNTER(REPLAYED,	"replayed",	"messages replayed to members who came back")
COUNTER(RESUMED,	"resumed",	"sockets taken up again with all they missed")
COUNTER(NOT_RESUMED,	"not_resumed",	"sockets that could not be taken up again and began anew")
COUNTER(TAKEN_OVER,	"taken_over",	"connections closed because another took their socket over")

/* rings */
COUNTER(PUBLISHED_LOG,	"published_log", "records published to the log ring")
COUNTER(PUBLISHED_LIVE,	"published_live", "records published to the live ring")
COUNTER(RING_FULL,	"ring_full",	"times that a ring was full")
COUNTER(RING_BAD,	"ring_bad",	"records that made no sense")
COUNTER(EVICTIONS,	"evictions",	"times that this worker was too slow for a ring")
COUNTER(RESYNCS,	"resyncs",	"refills from the store")
COUNTER(TURNS,		"turns",	"turns of the event loop")
COUNTER(ENCODE_FULL,	"encode_full",	"flushes because the encode arena was full")
COUNTER(CHUNKS_EMPTY,	"chunks_empty",	"times that the chunk pool was empty")

/* scribe */
COUNTER(SEQUENCED,	"sequenced",	"records sequenced")
COUNTER(BATCHES,	"batches",	"batches sequenced")
COUNTER(COMMITS,	"commits",	"transactions committed")
COUNTER(COMMITS_FAILED,	"commits_failed", "transactions that failed")
COUNTER(ORPHANS,	"orphans",	"members removed because their worker died")
COUNTER(RECOVERY_OVER,	"recovery_over", "sockets forgotten because the recovery window was over")
COUNTER(STREAM_ROWS,	"stream_rows",	"rows of text in progress put into the store")
COUNTER(TRIMMED,	"trimmed",	"messages removed by retention")
COUNTER(IDS_MERGED,	"ids_merged",	"message ids written to be recognised later")
COUNTER(IDS_OVER,	"ids_over",	"message ids forgotten because the window was over")
COUNTER(UPKEEP_FAILED,	"upkeep_failed", "steps of upkeep that the store could not take")
COUNTER(DAMAGED,	"damaged",	"damaged values that the scribe met in the store")
COUNTER(DAMAGE_REFUSED,	"damage_refused", "records refused because what they need is damaged")
COUNTER(BALLAST_USED,	"ballast_used",	"times that the space kept for a full disk was given up")
COUNTER(CLOCK_STEPS,	"clock_steps",	"times that the clock was set by more than an hour")
COUNTER(READERS_STUCK,	"readers_stuck", "readers that held a snapshot of the store for too long")

/* master */
COUNTER(READERS_KILLED, "readers_killed", "workers killed because they held a snapshot of the store")
COUNTER(CHILDREN_SILENT, "children_silent", "processes killed because they had stopped working")
COUNTER(WORKER_RESTARTS, "worker_restarts", "workers replaced after their death")
COUNTER(SCRIBE_RESTARTS, "scribe_restarts", "scribes replaced after their death")
COUNTER(BRIDGE_RESTARTS, "bridge_restarts", "bridges replaced after their death")
COUNTER(RELOADS,	"reloads",	"configurations switched to")
COUNTER(RELOADS_REFUSED, "reloads_refused", "configurations refused")
COUNTER(USERS_FREED,	"users_freed",	"rows of the user table reused")

GAUGE(CONNECTIONS,	"connections",	"open connections")
GAUGE(SESSIONS,		"engine_sessions", "open Engine.IO sessions")
GAUGE(SOCKETS,		"sockets",	"connected Socket.IO sockets")
GAUGE(ROOMS,		"rooms",	"sessions with members at this worker")
GAUGE(MEMBERS,		"members",	"memberships at this worker")
GAUGE(DEFERRED,		"deferred",	"events that wait for space in a ring")
GAUGE(OVERLOAD,	"overload",	"how much is refused of those who ask for most: 0 nothing")
GAUGE(CHUNKS,		"chunks",	"chunks in use")
GAUGE(BRIDGE_ASKING,	"bridge_asking", "questions that the web application has not answered yet")
GAUGE(BRIDGE_WAITING,	"bridge_waiting", "questions that wait for others to be answered")
GAUGE(BRIDGE_DOWN,	"bridge_down",	"1: the web application is taken for down")

HISTOGRAM(DURABLE,	"durable",	"us",	"from reading an event to its being durable")
HISTOGRAM(COMMIT,	"commit",	"us",	"time of a commit")
HISTOGRAM(BATCH,	"batch",	"records", "records in a batch")
HISTOGRAM(UPKEEP,	"upkeep",	"us",	"time of a step of retention, merging or sweeping")
HISTOGRAM(BRIDGE,	"bridge",	"us",	"time that the web application took for an answer")
HISTOGRAM(TURN,		"turn",		"us",	"time of one turn of the event loop")

#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
/* clang-format on */
