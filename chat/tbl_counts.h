/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * tbl_counts - what the chat counts; the worker has a counter for each row.
 *
 * CHAT_COUNT(NAME, name, text): NAME gives CHAT_COUNT_<NAME> (chat/count.h),
 * 'name' is the counter's.
 */

/* clang-format off */

/* what clients did, on the worker of that client */
CHAT_COUNT(JOINS, joins, "sessions joined")
CHAT_COUNT(LEAVES, leaves, "sessions left, by leaving or disconnecting")
CHAT_COUNT(MESSAGES, messages, "messages stored")
CHAT_COUNT(DUPLICATES, duplicates, "messages that were a retry")
CHAT_COUNT(TYPING, typing, "typing indicators published")
CHAT_COUNT(PRESENCE, presence, "presence updates stored")
CHAT_COUNT(HISTORY, history, "history pages sent")
CHAT_COUNT(REPLAYS, replays, "joins that asked for missed messages")
CHAT_COUNT(REPLAYED, replayed, "messages sent again to a joiner")

CHAT_COUNT(RESUMED, resumed, "sockets taken up again with all they missed")
CHAT_COUNT(NOT_RESUMED, not_resumed,
    "sockets that could not be taken up again and began anew")
CHAT_COUNT(TAKEN_OVER, taken_over,
    "connections closed because another took their socket over")

CHAT_COUNT(STREAMS, streams, "streams begun")
CHAT_COUNT(CHUNKS, chunks, "chunks taken")
CHAT_COUNT(CHUNKS_MERGED, chunks_merged,
    "times that a reader was too slow for a chunk")
CHAT_COUNT(STREAMS_RESUMED, streams_resumed,
    "streams that went on with another connection")
CHAT_COUNT(STREAMS_STORED, streams_stored, "streams that became a message")
CHAT_COUNT(STREAMS_INTERRUPTED, streams_interrupted,
    "streams that ended without their agent")
CHAT_COUNT(STREAMS_CANCELLED, streams_cancelled,
    "streams that ended because somebody wanted it")

/* what was refused */
CHAT_COUNT(JOIN_ERRORS, join_errors, "joins refused")
CHAT_COUNT(MESSAGE_ERRORS, message_errors, "messages refused")
CHAT_COUNT(OTHER_ERRORS, other_errors, "other events refused")
CHAT_COUNT(UNKNOWN_EVENTS, unknown_events, "events with an unknown name")
CHAT_COUNT(INVALID_PAYLOADS, invalid_payloads, "events that make no sense")
CHAT_COUNT(STORE_ERRORS, store_errors, "requests the store could not serve")

/* security events */
CHAT_COUNT(MESSAGE_BLOCKED, message_blocked,
    "security: content that was blocked")
CHAT_COUNT(RATE_LIMIT_EXCEEDED, rate_limit_exceeded,
    "security: events over a rate")
CHAT_COUNT(SUSPICIOUS_ACTIVITY, suspicious_activity,
    "security: content that was flagged")
CHAT_COUNT(SESSION_VALIDATION_FAILED, session_validation_failed,
    "security: sessions that were not joined, or names that are none")
CHAT_COUNT(UNAUTHORIZED_ACCESS, unauthorized_access_attempt,
    "security: sessions that the token does not cover")

#undef CHAT_COUNT
/* clang-format on */
