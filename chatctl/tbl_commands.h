/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * COMMAND(name, group, args, min, max, how, help) - all commands; help,
 * usage, checking and printing come from these rows.
 *
 * how: TABLE the daemon answers with one document, shown as a table
 *      LIST it answers with messages, a line each
 *      STREAM the same, until one of us ends
 *      LINE it answers with one document, of which people see the result
 *      END it answers, and is gone
 *      CLERK it takes its time, and tells how far it is
 *      LOCAL done here
 */
/* clang-format off */

COMMAND("status", "look", "", 0, 0, TABLE,
    "What the daemon is doing: processes, connections, store.")
COMMAND("health", "look", "", 0, 0, TABLE,
    "Is all well, and if not, what is wrong.  Exit status 1 if the daemon is "
    "unhealthy.")
COMMAND("workers", "look", "", 0, 0, TABLE,
    "The worker processes: state, load, how far behind they are.")
COMMAND("ring", "look", "", 0, 0, TABLE,
    "The two rings: how full they are, who reads how far.")
COMMAND("store", "look", "", 0, 0, TABLE,
    "The store: size, tables, commits.")
COMMAND("stats", "look", "[pattern]", 0, 1, TABLE,
    "Gauges, counters and histograms of all processes since the start. "
    "The pattern is a shell's: stats 'closed*'.")
COMMAND("limits", "look", "[user]", 0, 1, TABLE,
    "The limits in force, or how much of them a user has left.")
COMMAND("config", "look", "", 0, 0, TABLE,
    "The options in force and where each comes from.")
COMMAND("version", "look", "", 0, 0, TABLE,
    "What the running daemon is and was built from.")
COMMAND("workspaces", "chat", "", 0, 0, TABLE,
    "The workspaces that have sessions: how many, and how many sockets are in "
    "them.")
COMMAND("sessions", "chat", "[workspace]", 0, 1, TABLE,
    "The sessions, of one workspace or of all: messages, sockets, status.")
COMMAND("members", "chat", "workspace/session", 1, 1, TABLE,
    "Who is in a session: users, and how many sockets each has there.")
COMMAND("presence", "chat", "workspace/session", 1, 1, TABLE,
    "The sockets in a session: whose, since when, and their status.")
COMMAND("users", "chat", "[--all]", 0, 1, TABLE,
    "The users who are connected, or all that were ever in a session.")
COMMAND("user", "chat", "show id", 2, 2, TABLE,
    "What is known of a user: connections, sessions, bans.")
COMMAND("history", "chat", "workspace/session [limit]", 1, 2, LIST,
    "The newest messages of a session (50, or as many as limit says).")
COMMAND("tail", "chat", "workspace/session", 1, 1, STREAM,
    "The messages of a session as they are stored, until interrupted.")
COMMAND("say", "chat", "[--name name] workspace/session text", 2, 5, LINE,
    "Say something in a session, as a message of type system: it is stored "
    "and numbered like any other.  Nobody is its author; its sender's name "
    "is chatd, or the name that is given.")
COMMAND("kick", "steer", "user|--conn id [reason]", 1, 4, LINE,
    "Disconnect a user, or one connection by its socket id.  Its client stays "
    "away unless its user connects again.")
COMMAND("ban", "steer", "[--for time] user [reason]", 1, 6, LINE,
    "Disconnect a user and let them in no more, for ever or for so long (30s, "
    "10m, 1h, 7d).")
COMMAND("unban", "steer", "user", 1, 2, LINE,
    "Let a user in again.")
COMMAND("bans", "steer", "", 0, 0, TABLE,
    "Who is banned or muted, and which tokens are revoked: since when, until "
    "when, by whom and why.")
COMMAND("mute", "steer", "[--for time] user [reason]", 1, 6, LINE,
    "Let a user read, but not send, edit, stream or be seen typing, for ever "
    "or for so long.")
COMMAND("unmute", "steer", "user", 1, 2, LINE,
    "Let a user send again.")
COMMAND("revoke", "steer", "[--for time] user|--token id [reason]", 1, 6, LINE,
    "Let in no more who has this token (its jti), or any token of a user "
    "that was issued until now, and disconnect those who came with one.  "
    "With --for it is forgotten then: not before the tokens have expired.")
COMMAND("broadcast", "steer", "[--workspace id|--session workspace/session] "
    "[--name name] text", 1, 7, LINE,
    "Tell something to everybody who is connected now, or is in that "
    "workspace or session: a message of type system that is not stored.  Its "
    "sender is chatd, or another with --name.")
COMMAND("session", "steer", "show workspace/session | session status "
    "workspace/session active|paused|completed|abandoned|error [reason]", 2, 6,
    LINE,
    "What is known of a session; or change its status and tell its members: "
    "active, paused, completed, abandoned or error.")
COMMAND("message", "steer", "delete workspace/session id", 3, 4, LINE,
    "Delete a message, whoever wrote it.")
COMMAND("token", "steer", "--user id [--name name] [--role role] "
    "[--workspace id [--session id]...]... [--expires 1h] "
    "[--not-before 5m] [--id jti] [--kid name] [--algorithm HS256] "
    "[--secret-file file|--key-file file]", 0, 64, LOCAL,
    "Sign a token for development: with a private key (PEM), or else with "
    "the secret of a file, or else with the one that the daemon is "
    "configured with.  Algorithms: HS256, HS384, HS512; RS, PS (256, 384, "
    "512); ES256, ES384, ES512; EdDSA.  A --session restricts the "
    "--workspace before it; without a --workspace the token gives access to "
    "none.")
COMMAND("backup", "store", "[--max-growth size] file", 1, 3, CLERK,
    "A consistent copy of the store into a new file, while the daemon runs, "
    "read again and verified before it gets its name.  \"-\" is standard "
    "output.")
COMMAND("verify", "store", "[--offline directory|file]", 0, 2, CLERK,
    "Look at every row of the store: order, shapes, checksums, references.  "
    "With --offline a data directory without a daemon, or a backup.")
COMMAND("compact", "store", "", 0, 0, CLERK,
    "Make a copy of the store without what is free in it; the next start "
    "puts it in the store's place.")
COMMAND("export", "store", "workspace/session [file]", 1, 2, CLERK,
    "All messages of a session, a line of JSON each, into a new file or to "
    "standard output.")
COMMAND("retention", "store", "run", 1, 1, CLERK,
    "Remove now what the options of retention do not keep.")
COMMAND("filter", "debug", "test [text|--file file]", 1, 3, LOCAL,
    "What would become of a text under the rules that are in force: allow, "
    "sanitize (and to what), block or spam, by which rule, and whether it is "
    "flagged.  Without a text it is read from standard input.")
COMMAND("events", "debug", "", 0, 0, STREAM,
    "Security events of all workers as they come, until interrupted: what "
    "was blocked, refused or flagged; never what was said.")
COMMAND("reload", "run", "", 0, 0, TABLE,
    "Read the configuration again; prints what changed, or why nothing "
    "did.")
COMMAND("stop", "run", "", 0, 0, END,
    "End the daemon in good order; returns when it has ended.")
#ifdef CHATD_FAULTS
COMMAND("faults", "run", "[arm point action [hit [role [slot [value]]]] | "
    "clear [point]]", 0, 7, TABLE,
    "The fault points of this test build; arm or clear one.")
#endif
COMMAND("completion", "run", "bash|zsh", 1, 1, LOCAL,
    "A script with which a shell completes commands and their options: "
    "source <(chatctl completion bash).")
COMMAND("help", "run", "[command]", 0, 3, LOCAL,
    "This list, or one command of it.")
#undef COMMAND
/* clang-format on */
