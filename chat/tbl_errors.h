/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * tbl_errors - what a client can be told instead of what it asked for.
 *
 * CHAT_ERROR(name, code, text, retryable): 'code' is the constant and 'text'
 * the sentence that clients see; {} stands for the configured number.
 */

/* clang-format off */

/* at CONNECT */
CHAT_ERROR(AUTHENTICATION_REQUIRED, "AUTHENTICATION_REQUIRED",
    "Authentication required", false)
CHAT_ERROR(SESSION_INVALID, "SESSION_INVALID",
    "Invalid session", false)
CHAT_ERROR(TOKEN_INVALID, "TOKEN_INVALID",
    "Token validation failed", false)
CHAT_ERROR(TOKEN_EXPIRED, "TOKEN_EXPIRED",
    "Token validation failed", false)
CHAT_ERROR(AUTH_UNAVAILABLE, "AUTH_UNAVAILABLE",
    "Authentication failed", true)
CHAT_ERROR(TOO_MANY_CONNECTIONS, "TOO_MANY_CONNECTIONS",
    "Maximum connections per user exceeded ({})", true)
CHAT_ERROR(BANNED, "BANNED",
    "Access suspended", true)

/* what was asked for makes no sense: of send, edit and stream; of others */
CHAT_ERROR(INVALID_MESSAGE, "INVALID_PAYLOAD",
    "Invalid message content", false)
CHAT_ERROR(INVALID_REQUEST, "INVALID_PAYLOAD",
    "Invalid request data", false)
CHAT_ERROR(UNKNOWN_EVENT, "UNKNOWN_EVENT",
    "Unknown event", false)

/* sessions */
CHAT_ERROR(ACCESS_DENIED, "ACCESS_DENIED",
    "Access denied to chat session", false)
CHAT_ERROR(NOT_JOINED, "NOT_JOINED",
    "Not joined to this chat session", false)
CHAT_ERROR(TOO_MANY_SESSIONS, "TOO_MANY_SESSIONS",
    "Too many chat sessions on this connection", false)
CHAT_ERROR(SESSION_FULL, "SESSION_FULL",
    "Chat session is full", true)

/* what may not be said, or not now */
CHAT_ERROR(RATE_LIMITED, "RATE_LIMITED",
    "Rate limit exceeded", true)
CHAT_ERROR(MUTED, "MUTED",
    "Sending suspended", true)
CHAT_ERROR(CONTENT_EMPTY, "CONTENT_EMPTY",
    "Message content cannot be empty", false)
CHAT_ERROR(CONTENT_TOO_LONG, "CONTENT_TOO_LONG",
    "Message content exceeds maximum length ({} characters)", false)
CHAT_ERROR(METADATA_TOO_LARGE, "METADATA_TOO_LARGE",
    "Message metadata exceeds maximum size ({} bytes)", false)
CHAT_ERROR(CONTENT_BLOCKED, "CONTENT_BLOCKED",
    "Message contains potentially unsafe content", false)
CHAT_ERROR(SPAM_BLOCKED, "SPAM_BLOCKED",
    "Message appears to contain spam or suspicious content", false)
CHAT_ERROR(FORBIDDEN_TYPE, "FORBIDDEN_TYPE",
    "Message type not allowed", false)
CHAT_ERROR(FORBIDDEN, "FORBIDDEN",
    "Operation not allowed", false)
CHAT_ERROR(ID_TAKEN, "ID_TAKEN",
    "Message id already used", false)
CHAT_ERROR(NOT_FOUND, "NOT_FOUND",
    "Message not found", false)
CHAT_ERROR(STREAM_UNKNOWN, "STREAM_UNKNOWN",
    "Unknown stream", false)
CHAT_ERROR(STREAM_TOO_LONG, "STREAM_TOO_LONG",
    "Stream exceeds maximum length", false)

/* ours */
CHAT_ERROR(OVERLOADED, "OVERLOADED",
    "Server busy", true)
CHAT_ERROR(STORE_UNAVAILABLE, "STORE_UNAVAILABLE",
    "Message store unavailable", true)
CHAT_ERROR(INTERNAL, "INTERNAL",
    "Internal error", true)

#undef CHAT_ERROR
/* clang-format on */
