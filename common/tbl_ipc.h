/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * IPC(name, text, from) - all messages between the master and its children.
 */
/* clang-format off */

/* The first message: who you are and everything that you hold.
 * u8 role (enum role), u32 slot, u32 incarnation, u32 log arena, u32 live
 * arena, u8 bits: 1 the daemon has just started (scribe: nobody can be
 * present), 2 RINGS_NEXT follows and belongs to this, then
 * u32 n and n times (u32 slot, u32 incarnation) of the living workers, u32
 * how many workers have an inbox (0 for the scribe), u8 there is a bundle;
 * descriptors: configuration, tables, log ring, live ring, data directory,
 * log target, one eventfd a consumer (WAKE_CONSUMERS), then, if there are
 * inboxes, the end that reads from the own one, those that write to each, and
 * the own end of the pair with the bridge (shm/ask.h), then the bundle
 * (common/bundle.h) if there is one.
 * To the bridge: u8 role, u32 incarnation, u32 n; descriptors: configuration,
 * tables, log target, its ends of n pairs with workers, by slot.
 * Incarnations are given out in ascending order, to workers and scribes
 * alike: one above the receiver's own belongs to somebody started later. */
IPC(HELLO,		"hello",		IPC_FROM_MASTER)
/* The child is ready to work; empty. */
IPC(READY,		"ready",		IPC_FROM_CHILD)
/* New clients: u32 n, n times (u32 client slot, u32 generation, u8 flags:
 * those of the record, CLIENT_F_ of shm/client.h); n descriptors. */
IPC(CLIENTS,		"clients",		IPC_FROM_MASTER)
/* Reload, phase one: u64 serial, u8 there is a bundle; descriptors:
 * configuration, and the bundle if there is one. */
IPC(CONFIG_PREPARE,	"config prepare",	IPC_FROM_MASTER)
/* u64 serial, u8 ok, string why not */
IPC(CONFIG_PREPARED,	"config prepared",	IPC_FROM_CHILD)
/* Reload, phase two: u64 serial, u8 switch (1) or forget (0) */
IPC(CONFIG_SWITCH,	"config switch",	IPC_FROM_MASTER)
/* u64 serial */
IPC(CONFIG_SWITCHED,	"config switched",	IPC_FROM_CHILD)
/* Rings that follow on yours, closed already or soon.  u64 generation, u32
 * log arena, u32 live arena; descriptors: log ring, to a worker live ring */
IPC(RINGS_NEXT,		"rings next",		IPC_FROM_MASTER)
/* We have attached, and have our seats: u64 generation, u8 ok, string why
 * not */
IPC(RINGS_MAPPED,	"rings mapped",		IPC_FROM_CHILD)
/* They will not be used after all: u64 generation */
IPC(RINGS_FORGET,	"rings forget",		IPC_FROM_MASTER)
/* We have left all rings before these: u64 generation */
IPC(RINGS_LEFT,		"rings left",		IPC_FROM_CHILD)
/* A new log target (SIGUSR1); descriptor */
IPC(LOG_TARGET,		"log target",		IPC_FROM_MASTER)
/* To the scribe: a worker has been reaped.  u32 slot, u32 incarnation,
 * u64 the first position that it cannot have published */
IPC(WORKER_DEAD,	"worker dead",		IPC_FROM_MASTER)
/* To the scribe: remove at once all that retention may remove, in slices.
 * u64 serial; answered by RETENTION_DONE, unless the scribe dies */
IPC(RETENTION,		"retention",		IPC_FROM_MASTER)
/* u64 serial, string why not (empty: it was done), u64 rooms looked at, u64
 * messages removed, u64 message ids removed that nobody has to recognise */
IPC(RETENTION_DONE,	"retention done",	IPC_FROM_CHILD)
/* From the scribe: a reader of the store has held one snapshot for too long,
 * and the file grows.  u32 pid, u64 milliseconds */
IPC(READER_STUCK,	"reader stuck",		IPC_FROM_CHILD)
/* To a worker: chatctl asks for what only a worker can tell.
 * bytes: the request line (JSON); descriptor: chatctl's connection */
IPC(CTL_REQUEST,	"ctl request",		IPC_FROM_MASTER)
/* To a clerk, its first and only one but for STOP: what to do.  string
 * command, u32 n, n strings: its arguments, u8 the store is a file or a
 * directory without a daemon, u8 there is an output; descriptors: the data
 * directory (or that store), chatctl's connection, the log target, the
 * output if there is one */
IPC(CLERK,		"clerk",		IPC_FROM_MASTER)
/* End in good order; u32 milliseconds that are left.  The child exits 0. */
IPC(STOP,		"stop",			IPC_FROM_MASTER)
#undef IPC
/* clang-format on */
