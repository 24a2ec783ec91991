// Every event of the contract that is there: success, each failure with its
// exact text and code, as an event and as an acknowledgement.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { Daemon, TEXT, METADATA, next, never, collect, until, sleep, join_, send }
  from "./daemon.mjs";

const d = new Daemon();
before(() => d.start());
after(() => d.end());

let serial = 0;
/** two clients of different users in one new session, on both workers */
async function pair() {
  const n = ++serial;
  const a = await d.clientOn(0, `a${n}`);
  const b = await d.clientOn(1, `b${n}`);
  const s = `p${n}`;
  await join_(a, s);
  const joined = next(a, "chat:user-joined");
  await join_(b, s);
  await joined;
  return { a, b, s, ua: `a${n}`, ub: `b${n}` };
}

test("join: the answer holds what the contract lists", async () => {
  const c = await d.client("joiner");
  const success = next(c, "chat:join-session-success");
  const ack = await c.emitWithAck("chat:join-session",
    { sessionId: "j1", workspaceId: "w1", agentId: "bot" });
  const ev = await success;
  assert.equal(ack.ok, true);
  for (const x of [ack, ev]) {
    assert.equal(x.sessionId, "j1");
    assert.equal(x.workspaceId, "w1");
    assert.equal(x.agentId, "bot");
    assert.equal(x.roomId, "chat:session:j1");
    assert.equal(x.workspaceRoomId, "chat:workspace:w1");
    assert.ok(Math.abs(x.timestamp - Date.now()) < 60000);
    assert.equal(x.lastSeq, 0);
    assert.equal(x.lastRevision, 0);
    assert.deepEqual(x.receipts, []);
    assert.deepEqual(x.streams, []);
    assert.equal(x.presence.userId, "joiner");
    assert.equal(x.presence.socketId, c.id);
    assert.equal(x.presence.status, "active");
    assert.equal(x.presences.length, 1);
    assert.deepEqual(Object.keys(x.presences[0]).sort(), ["joinedAt",
      "lastActivity", "sessionId", "socketId", "status", "userId", "userName"]);
  }
});

test("join: bad payloads are INVALID_PAYLOAD and nothing else", async () => {
  const c = await d.client("badjoin");
  const bad = [undefined, null, 5, "x", [], {}, { sessionId: "s" },
    { workspaceId: "w" }, { sessionId: "", workspaceId: "w" },
    { sessionId: "a b", workspaceId: "w" }, { sessionId: "s", workspaceId: 7 },
    { sessionId: "x".repeat(101), workspaceId: "w" },
    { sessionId: "s", workspaceId: "w", agentId: "" },
    { sessionId: "s", workspaceId: "w", agentId: null },
    { sessionId: "s", workspaceId: "w", afterSeq: -1 },
    { sessionId: "s", workspaceId: "w", afterSeq: "1" },
    { sessionId: "s\u0000", workspaceId: "w" }];
  for (const p of bad) {
    const error = next(c, "chat:join-session-error");
    const ack = await c.emitWithAck("chat:join-session", p);
    assert.equal(ack.ok, false, JSON.stringify(p));
    assert.equal(ack.code, "INVALID_PAYLOAD", JSON.stringify(p));
    assert.equal(ack.error, "Invalid request data");
    assert.equal(ack.retryable, false);
    assert.equal((await error).code, "INVALID_PAYLOAD");
  }
  assert.ok((await join_(c, "fine")).ok);
});

test("join again is a success and tells nobody", async () => {
  const { a, b, s } = await pair();
  const quiet = never(a, "chat:user-joined");
  assert.ok((await join_(b, s)).ok);
  await quiet;
});

test("leave: the room hears it, and again is an error", async () => {
  const { a, b, s, ub } = await pair();
  const left = next(a, "chat:user-left");
  const success = next(b, "chat:leave-session-success");
  const ack = await b.emitWithAck("chat:leave-session", { sessionId: s });
  assert.equal(ack.ok, true);
  assert.equal(ack.roomId, `chat:session:${s}`);
  assert.equal((await success).sessionId, s);
  const x = await left;
  assert.equal(x.userId, ub);
  assert.equal(x.socketId, b.id);
  assert.equal(x.remaining, 0);
  const error = next(b, "chat:leave-session-error");
  const again = await b.emitWithAck("chat:leave-session", { sessionId: s });
  assert.equal(again.code, "NOT_JOINED");
  assert.equal(again.error, "Not joined to this chat session");
  assert.equal((await error).sessionId, s);
});

test("disconnect: the room hears who and why, within a second", async () => {
  const { a, b, s, ub } = await pair();
  const id = b.id;
  const left = next(a, "chat:user-left", 10000);
  b.disconnect();
  const x = await left;
  assert.equal(x.sessionId, s);
  assert.equal(x.userId, ub);
  assert.equal(x.socketId, id);
  assert.ok(["client namespace disconnect", "transport close"]
    .includes(x.reason), x.reason);
});

test("send: each refusal has its text and code", async () => {
  const { a, b, s } = await pair();
  const quiet = never(b, "chat:message-received", 600);
  const long = "x".repeat(TEXT + 1);
  const rows = [
    [undefined, "INVALID_PAYLOAD", "Invalid message content"],
    [{}, "INVALID_PAYLOAD", "Invalid message content"],
    [{ message: 5 }, "INVALID_PAYLOAD", "Invalid message content"],
    [{ message: { sessionId: s } }, "INVALID_PAYLOAD", "Invalid message content"],
    [{ message: { sessionId: s, content: 5 } }, "INVALID_PAYLOAD", "Invalid message content"],
    [{ message: { sessionId: s, content: "x", id: "" } }, "INVALID_PAYLOAD", "Invalid message content"],
    [{ message: { sessionId: s, content: "x", id: "a b" } }, "INVALID_PAYLOAD", "Invalid message content"],
    [{ message: { sessionId: s, content: "x", metadata: 5 } }, "INVALID_PAYLOAD", "Invalid message content"],
    [{ message: { sessionId: s, content: "a\u0000b" } }, "INVALID_PAYLOAD", "Invalid message content"],
    [{ message: { sessionId: s, content: "\ud800" } }, "INVALID_PAYLOAD", "Invalid message content"],
    [{ message: { sessionId: s, content: "" } }, "CONTENT_EMPTY", "Message content cannot be empty"],
    [{ message: { sessionId: s, content: " \t\u00a0\ufeff\n" } }, "CONTENT_EMPTY", "Message content cannot be empty"],
    [{ message: { sessionId: s, content: long } }, "CONTENT_TOO_LONG", `Message content exceeds maximum length (${TEXT} characters)`],
    [{ message: { sessionId: s, content: "x", metadata: { x: "y".repeat(METADATA) } } }, "METADATA_TOO_LARGE", `Message metadata exceeds maximum size (${METADATA} bytes)`],
    [{ message: { sessionId: s, content: "x", type: "assistant" } }, "FORBIDDEN_TYPE", "Message type not allowed"],
    [{ message: { sessionId: s, content: "x", type: "system" } }, "FORBIDDEN_TYPE", "Message type not allowed"],
    [{ message: { sessionId: "elsewhere", content: "x" } }, "NOT_JOINED", "Not joined to this chat session"],
  ];
  for (const [p, code, text] of rows) {
    const error = next(a, "chat:send-message-error");
    const ack = await a.emitWithAck("chat:send-message", p);
    assert.equal(ack.ok, false, JSON.stringify(p)?.slice(0, 80));
    assert.equal(ack.code, code, JSON.stringify(p)?.slice(0, 80));
    assert.equal(ack.error, text);
    assert.equal(ack.retryable, false);
    const e = await error;
    assert.equal(e.code, code);
    assert.equal(e.error, text);
  }
  await quiet;
});

test("send: an event over 64 KiB is refused and the connection stays", async () => {
  const { a, s } = await pair();
  const big = await a.emitWithAck("chat:send-message",
    { message: { sessionId: s, content: "x", other: "y".repeat(70000) } });
  assert.equal(big.code, "INVALID_PAYLOAD");
  assert.ok((await send(a, s, "small")).ok);
});

test("send: texts arrive as they were", async () => {
  const { a, b, s } = await pair();
  const texts = ["a < b && c > d", "vector<int>", "\u{1F600}\u{1F468}\u200d\u{1F469}",
    "שלום \u202eabc", "line\u2028sep\u2029", "\"quotes\" \\ back", "tab\tnl\n",
    "x".repeat(TEXT), "\u{1F600}".repeat(TEXT / 2), "zero\u200bwidth"];
  for (const text of texts) {
    const got = next(b, "chat:message-received");
    assert.ok((await send(a, s, text)).ok, text.slice(0, 20));
    assert.equal((await got).content, text);
  }
});

test("send: metadata arrives with its numbers' digits and ours", async () => {
  const { a, b, s, ua } = await pair();
  const metadata = { tokens: 12, processingTime: 1.5, senderName: "forged",
    toolCalls: [{ id: "t", name: "n", parameters: { deep: [1, { x: null }] } }] };
  const got = next(b, "chat:message-received");
  await send(a, s, "x", { metadata });
  const m = await got;
  assert.equal(m.metadata.senderName, ua);
  assert.equal(m.metadata.senderSocketId, a.id);
  assert.deepEqual(m.metadata.toolCalls, metadata.toolCalls);
  assert.equal(m.metadata.processingTime, 1.5);
});

test("send: an id is made when there is none", async () => {
  const { a, b, s } = await pair();
  const got = next(b, "chat:message-received");
  const ack = await send(a, s, "no id");
  assert.match(ack.messageId, /^[A-Za-z0-9_-]{1,100}$/);
  assert.equal((await got).id, ack.messageId);
});

test("send: the sender gets message-sent, never its own message", async () => {
  const { a, s } = await pair();
  const sent = next(a, "chat:message-sent");
  const quiet = never(a, "chat:message-received");
  a.emit("chat:send-message",
    { message: { id: "q1", content: "x", type: "user", sessionId: s } });
  const x = await sent;
  assert.equal(x.messageId, "q1");
  assert.equal(x.sessionId, s);
  assert.equal(x.seq, 1);
  assert.equal("duplicate" in x && x.duplicate, false);
  await quiet;
});

test("history: pages, both ways, and what it refuses", async () => {
  const { a, s } = await pair();
  for (let i = 1; i <= 120; i++) await send(a, s, `h${i}`);
  const ask = (p) => a.emitWithAck("chat:request-history", { sessionId: s, ...p });
  const seqs = (h) => h.messages.map((m) => m.seq);
  const range = (x, y) => Array.from({ length: y - x + 1 }, (_, i) => x + i);
  let h = await ask({});
  assert.deepEqual(seqs(h), range(71, 120));
  assert.equal(h.limit, 50);
  assert.equal(h.offset, 0);
  assert.equal(h.hasMore, true);
  assert.equal(h.firstSeq, 71);
  assert.equal(h.lastSeq, 120);
  h = await ask({ offset: 50, limit: 30 });
  assert.deepEqual(seqs(h), range(41, 70));
  h = await ask({ offset: 110, limit: 30 });
  assert.deepEqual(seqs(h), range(1, 10));
  assert.equal(h.hasMore, false);
  h = await ask({ beforeSeq: 11 });
  assert.deepEqual(seqs(h), range(1, 10));
  assert.equal(h.hasMore, false);
  h = await ask({ afterSeq: 100, limit: 10 });
  assert.deepEqual(seqs(h), range(101, 110));
  assert.equal(h.hasMore, true);
  h = await ask({ afterSeq: 110, limit: 10 });
  assert.equal(h.hasMore, false);
  h = await ask({ afterSeq: 120 });
  assert.deepEqual([h.messages, h.firstSeq, h.lastSeq, h.hasMore], [[], 0, 0, false]);
  h = await ask({ limit: 5000 });
  assert.equal(h.limit, 200);
  assert.equal(h.messages.length, 120);
  for (const p of [{ limit: 0 }, { limit: -3 }, { limit: "5" }, { offset: -1 },
    { offset: 5, beforeSeq: 3 }, { offset: 0, afterSeq: 3 }]) {
    h = await ask(p);
    assert.equal(h.code, "INVALID_PAYLOAD", JSON.stringify(p));
    assert.equal(h.error, "Invalid request data");
  }
  const error = next(a, "chat:request-history-error");
  h = await a.emitWithAck("chat:request-history", { sessionId: "other" });
  assert.equal(h.code, "NOT_JOINED");
  assert.equal((await error).sessionId, "other");
  const answer = next(a, "chat:history-response");
  a.emit("chat:request-history", { sessionId: s, limit: 1 });
  assert.deepEqual(seqs(await answer), [120]);
});

test("unknown events and bad payloads are answered, and do no harm", async () => {
  const { a, s } = await pair();
  let x = await a.emitWithAck("chat:no-such-thing", {});
  assert.deepEqual([x.ok, x.code, x.error], [false, "UNKNOWN_EVENT", "Unknown event"]);
  x = await a.emitWithAck("hello", 1, 2);
  assert.equal(x.code, "UNKNOWN_EVENT");
  x = await a.emitWithAck("chat:typing", "not an object");
  assert.equal(x.code, "INVALID_PAYLOAD");
  assert.ok((await send(a, s, "still here")).ok);
});

test("typing: relayed, coalesced, ended by the message", async () => {
  const { a, b, s, ua } = await pair();
  const seen = collect(b, "chat:typing-indicator");
  const order = [];
  b.on("chat:typing-indicator", (t) => order.push(t.isTyping));
  b.on("chat:message-received", () => order.push("message"));
  const own = never(a, "chat:typing-indicator", 500);
  a.emit("chat:typing", { sessionId: s, isTyping: true });
  a.emit("chat:typing", { sessionId: s, isTyping: true });
  assert.equal((await a.emitWithAck("chat:typing",
    { sessionId: s, isTyping: true })).ok, true);
  await until(() => seen.length >= 1);
  await sleep(150);
  assert.equal(seen.length, 1);
  assert.equal(seen[0].userId, ua);
  assert.equal(seen[0].isTyping, true);
  assert.equal(seen[0].sessionId, s);
  await send(a, s, "done typing");
  await until(() => order.length >= 3);
  assert.deepEqual(order, [true, false, "message"]);
  await own;
});

test("typing: false without true is not relayed; a disconnect ends it", async () => {
  const { a, b, s } = await pair();
  const seen = collect(b, "chat:typing-indicator");
  await a.emitWithAck("chat:typing", { sessionId: s, isTyping: false });
  await sleep(150);
  assert.equal(seen.length, 0);
  a.emit("chat:typing", { sessionId: s, isTyping: true });
  await until(() => seen.length === 1);
  a.disconnect();
  await until(() => seen.length === 2);
  assert.equal(seen[1].isTyping, false);
});

test("typing: expires by itself", async () => {
  const e = new Daemon({ "typing.expiry": "700ms", "typing.coalesce": "300ms" });
  await e.start();
  try {
    const a = await e.client("a");
    const b = await e.client("b");
    await join_(a, "s");
    await join_(b, "s");
    const seen = collect(b, "chat:typing-indicator");
    a.emit("chat:typing", { sessionId: "s", isTyping: true });
    await until(() => seen.length === 2);
    assert.deepEqual(seen.map((x) => x.isTyping), [true, false]);
  } finally {
    await e.end();
  }
});

test("presence: the others see the status, and the next joiner too", async () => {
  const { a, b, s, ua } = await pair();
  const got = next(b, "chat:presence-updated");
  const own = never(a, "chat:presence-updated");
  const ack = await a.emitWithAck("chat:update-presence",
    { sessionId: s, status: "away" });
  assert.equal(ack.ok, true);
  const p = await got;
  assert.equal(p.userId, ua);
  assert.equal(p.status, "away");
  assert.equal(p.socketId, a.id);
  await own;
  const c = await d.client("third");
  const joined = await join_(c, s);
  const row = joined.presences.find((x) => x.userId === ua);
  assert.equal(row.status, "away");
  for (const status of ["busy", "", 5, null, undefined]) {
    const x = await a.emitWithAck("chat:update-presence", { sessionId: s, status });
    assert.equal(x.code, "INVALID_PAYLOAD");
  }
  const x = await a.emitWithAck("chat:update-presence",
    { sessionId: "nowhere", status: "idle" });
  assert.equal(x.code, "NOT_JOINED");
});

test("connections: the sixth of a user is refused with its text", async () => {
  const e = new Daemon({ "limits.connections_per_user": 5 });
  await e.start();
  try {
    const five = [];
    for (let i = 0; i < 5; i++) five.push(await e.client("many"));
    await assert.rejects(e.client("many"), (x) => {
      assert.equal(x.message, "Maximum connections per user exceeded (5)");
      assert.equal(x.data.code, "TOO_MANY_CONNECTIONS");
      assert.equal(x.data.retryable, true);
      return true;
    });
    await e.client("another");
    five[2].disconnect();
    await until(() => e.client("many").catch(() => null));
  } finally {
    await e.end();
  }
});

test("identity: without one there is no connection", async () => {
  for (const auth of [{ userId: undefined }, { userId: "" }, { userId: 7 },
    { userId: "x".repeat(129) }, { userId: "a\u0001b" }]) {
    await assert.rejects(d.client("nobody", { auth }), (e) => {
      assert.ok(e.data.code, e.message);
      assert.equal(e.data.retryable, false);
      return true;
    });
  }
});

test("access: mode none with a list of workspaces keeps to it", async () => {
  const c = await d.client("limited", { auth: { workspaces: ["w1"] } });
  assert.ok((await join_(c, "x1")).ok);
  const error = next(c, "chat:join-session-error");
  const x = await join_(c, "x1", { workspaceId: "w2" });
  assert.equal(x.code, "ACCESS_DENIED");
  assert.equal(x.error, "Access denied to chat session");
  assert.equal((await error).sessionId, "x1");
});
