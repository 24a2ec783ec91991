// Edits, deletions, receipts and a session's status: stock clients on two
// workers, what they miss and get again, and what is left after a restart.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { ask, collect, Daemon, TEXT, join_, never, next, send, until }
  from "./daemon.mjs";

const CHANGES = ["chat:message-updated", "chat:message-deleted",
  "chat:read-receipt", "chat:session-status-changed"];
const d = new Daemon({ "content.burst": 0 });
before(() => d.start());
after(() => d.end());

let serial = 0;
/** two clients of different users in one new session, on both workers */
async function pair() {
  const n = ++serial;
  const s = `e${n}`;
  const a = await d.clientOn(0, `a${n}`);
  const b = await d.clientOn(1, `b${n}`);
  await join_(a, s);
  await join_(b, s);
  return { a, b, s, ua: `a${n}`, ub: `b${n}` };
}
const edit = (c, s, messageId, content) =>
  ask(c, "chat:edit-message", { sessionId: s, messageId, content });
const remove = (c, s, messageId) =>
  ask(c, "chat:delete-message", { sessionId: s, messageId });
const read = (c, s, seq) => ask(c, "chat:mark-read", { sessionId: s, seq });
const history = async (c, s) =>
  (await ask(c, "chat:request-history", { sessionId: s })).messages;

/** what of changes and messages a client gets, in order */
function record(c) {
  const list = [];
  for (const event of ["chat:message-received", ...CHANGES])
    c.on(event, (p) => list.push({ event: event.slice(5), ...p }));
  return list;
}

/** the connection is lost; the client comes back when all that is done */
async function cut(c, meanwhile) {
  const gone = next(c, "disconnect");
  c.io.engine.close();
  await gone;
  await meanwhile?.();
  c.connect();
  await until(() => c.connected, 20000, "reconnected");
}

test("an edit: the whole room sees it, the acknowledgement tells it", async () => {
  const { a, b, s, ua } = await pair();
  const sent = await send(a, s, "hi", { id: "m1", metadata: { k: [1, "x"] } });
  const seen = [next(a, "chat:message-updated"), next(b, "chat:message-updated")];
  const ack = await edit(a, s, "m1", "hi *there*");
  assert.deepEqual({ ...ack, timestamp: 0 }, { ok: true, messageId: "m1",
    sessionId: s, seq: 1, revision: 1, timestamp: 0 });
  for (const m of await Promise.all(seen)) {
    assert.equal(m.content, "hi *there*");
    assert.equal(m.id, "m1");
    assert.equal(m.userId, ua);
    assert.equal(m.seq, 1);
    assert.equal(m.type, "user");
    assert.equal(m.timestamp, sent.timestamp);
    assert.equal(m.editedAt, ack.timestamp);
    assert.equal(m.revision, 1);
    assert.deepEqual(m.metadata.k, [1, "x"]);
    assert.equal(m.metadata.senderSocketId, a.id);
  }
  assert.ok(ack.timestamp >= sent.timestamp);
});

test("a deletion: its place stays, its id stays taken", async () => {
  const { a, b, s } = await pair();
  await send(a, s, "one", { id: "m1" });
  const sent = await send(a, s, "two", { id: "m2" });
  const seen = next(b, "chat:message-deleted");
  const ack = await remove(a, s, "m1");
  assert.deepEqual(await seen, { sessionId: s, messageId: "m1", seq: 1,
    revision: 1, timestamp: ack.timestamp });
  const [gone, two] = await history(b, s);
  assert.deepEqual(gone, { id: "m1", sessionId: s, seq: 1, deleted: true });
  assert.equal(two.timestamp, sent.timestamp);
  assert.equal(two.revision, undefined);
  assert.equal((await remove(a, s, "m1")).code, "NOT_FOUND");
  assert.equal((await edit(a, s, "m1", "x")).code, "NOT_FOUND");
  const again = await send(a, s, "one", { id: "m1" });
  assert.equal(again.duplicate, true);
  assert.equal(again.seq, 1);
  assert.equal((await send(b, s, "one", { id: "m1" })).code, "ID_TAKEN");
});

test("who may, and what", async () => {
  const { a, b, s } = await pair();
  await send(a, s, "mine", { id: "m1" });
  const quiet = never(a, "chat:message-updated");
  for (const [ack, code, text] of [
    [await edit(b, s, "m1", "x"), "FORBIDDEN", "Operation not allowed"],
    [await remove(b, s, "m1"), "FORBIDDEN", "Operation not allowed"],
    [await edit(a, s, "none", "x"), "NOT_FOUND", "Message not found"],
    [await edit(a, s, "m1", " \u00a0"), "CONTENT_EMPTY"],
    [await edit(a, s, "m1", "x".repeat(TEXT + 1)), "CONTENT_TOO_LONG"],
    [await edit(a, s, "m1", 7), "INVALID_PAYLOAD", "Invalid message content"],
    [await edit(a, s, "no id", "x"), "INVALID_PAYLOAD"],
    [await edit(a, "other", "m1", "x"), "NOT_JOINED"],
    [await remove(a, s), "INVALID_PAYLOAD", "Invalid request data"],
    [await read(a, s, 2), "INVALID_PAYLOAD", "Invalid request data"],
    [await read(a, s, -1), "INVALID_PAYLOAD"],
    [await read(a, s), "INVALID_PAYLOAD"],
    [await read(a, "other", 1), "NOT_JOINED"]]) {
    assert.equal(ack.ok, false, code);
    assert.equal(ack.code, code);
    if (text) assert.equal(ack.error, text);
    assert.equal(ack.retryable, false);
  }
  await quiet;
  const bot = await d.client("bot", { auth: { role: "service" } });
  await join_(bot, s);
  const seen = next(a, "chat:message-updated");
  assert.ok((await edit(bot, s, "m1", "moderated")).ok);
  assert.equal((await seen).content, "moderated");
  assert.ok((await remove(bot, s, "m1")).ok);
});

test("an edited text is made harmless like a new one", async () => {
  const { a, b, s } = await pair();
  await send(a, s, "fine", { id: "m1" });
  const seen = next(b, "chat:message-updated");
  await edit(a, s, "m1", "<script>alert(1)</script> a < b && c");
  const { content } = await seen;
  assert.ok(!content.includes("<script"), content);
  assert.ok(content.includes("a < b && c"), content);
});

test("what is sent at once is done in order", async () => {
  const { a, b, s } = await pair();
  const got = record(b);
  const acks = await Promise.all([
    send(a, s, "first", { id: "m1" }), edit(a, s, "m1", "1st"),
    edit(a, s, "m1", "1."), send(a, s, "second", { id: "m2" }),
    read(a, s, 2), remove(a, s, "m1")]);
  assert.deepEqual(acks.map((x) => x.ok), Array(6).fill(true));
  await until(() => got.length === 6);
  assert.deepEqual(got.map((x) => [x.event, x.content]), [
    ["message-received", "first"], ["message-updated", "1st"],
    ["message-updated", "1."], ["message-received", "second"],
    ["read-receipt", undefined], ["message-deleted", undefined]]);
});

test("edits that race are in one order for all", async () => {
  const { a, b, s, ua } = await pair();
  // the same user, on the other worker
  const a2 = await d.clientOn(1, ua);
  await join_(a2, s);
  await send(a, s, "0", { id: "m1" });
  const seen = [a, b, a2].map((c) => collect(c, "chat:message-updated"));
  const acks = await Promise.all(Array.from({ length: 40 }, (_, i) =>
    edit(i % 2 ? a : a2, s, "m1", `v${i}`)));
  await until(() => seen.every((x) => x.length === 40));
  assert.deepEqual(acks.map((x) => x.revision).sort((x, y) => x - y),
    Array.from({ length: 40 }, (_, i) => i + 1));
  for (const list of seen) {
    assert.deepEqual(list.map((m) => m.revision),
      Array.from({ length: 40 }, (_, i) => i + 1));
    assert.deepEqual(list.map((m) => m.content), seen[0].map((m) => m.content));
  }
  assert.equal((await history(b, s))[0].content, seen[0][39].content);
});

test("receipts grow, are told to joiners, and only once", async () => {
  const { a, b, s, ub } = await pair();
  for (let i = 0; i < 3; i++) await send(a, s, `m${i}`);
  const seen = next(a, "chat:read-receipt");
  const ack = await read(b, s, 2);
  assert.deepEqual({ ...ack, timestamp: 0 },
    { ok: true, sessionId: s, seq: 2, revision: 1, timestamp: 0 });
  assert.deepEqual(await seen, { sessionId: s, userId: ub, seq: 2, revision: 1,
    timestamp: ack.timestamp });
  const quiet = never(a, "chat:read-receipt");
  assert.deepEqual(await read(b, s, 1), ack);
  await quiet;
  const c = await d.client("c-reads");
  const joined = await join_(c, s);
  assert.deepEqual(joined.receipts, [{ userId: ub, seq: 2 }]);
  assert.equal(joined.lastRevision, 1);
});

/** four messages; 1 edited, 2 deleted, 3 edited twice, read up to 4 */
async function changed() {
  const p = await pair();
  for (let i = 1; i <= 4; i++) await send(p.a, p.s, `text ${i}`, { id: `m${i}` });
  await edit(p.a, p.s, "m3", "first");
  await edit(p.a, p.s, "m1", "one");
  await remove(p.a, p.s, "m2");
  await edit(p.a, p.s, "m3", "three");
  await read(p.b, p.s, 4);
  return p;
}

test("afterRevision: each item once, as it is, behind the messages", async () => {
  const { s } = await changed();
  const c = await d.client("late");
  const got = record(c);
  const joined = await join_(c, s, { afterSeq: 1, afterRevision: 1 });
  assert.equal(joined.lastRevision, 5);
  await until(() => got.length >= 7);
  assert.deepEqual(got.map((x) => [x.event, x.seq, x.revision ?? null, x.content ?? null]), [
    ["message-received", 2, null, null], ["message-received", 3, 4, "three"],
    ["message-received", 4, null, "text 4"],
    ["message-updated", 1, 2, "one"], ["message-deleted", 2, 3, null],
    ["message-updated", 3, 4, "three"], ["read-receipt", 4, 5, null]]);
  assert.equal(got[0].deleted, true);
  got.length = 0;
  await join_(c, s, { afterRevision: 5 });
  await join_(c, s, { afterRevision: 99 });
  await join_(c, s, { afterRevision: 4 });
  await until(() => got.length >= 1);
  assert.deepEqual(got.map((x) => x.revision), [5]);
});

test("recovery: what was changed comes once, before what is live", async () => {
  const { a, b, s } = await changed();
  const got = record(b);
  const id = b.id;
  await cut(b, async () => {
    await edit(a, s, "m1", "while away");
    await edit(a, s, "m1", "and again");
    await send(a, s, "text 5", { id: "m5" });
    await remove(a, s, "m3");
    await read(a, s, 5);
    await d.ctl("session", "status", `w1/${s}`, "paused", "lunch");
  });
  assert.equal(b.recovered, true);
  assert.equal(b.id, id);
  await edit(a, s, "m5", "live");
  await until(() => got.some((x) => x.content === "live"));
  assert.deepEqual(got.map((x) => x.event), ["message-received",
    "message-updated", "message-deleted", "read-receipt",
    "session-status-changed", "message-updated"]);
  assert.equal(got[1].content, "and again");
  assert.equal(got[4].reason, "lunch");
  got.length = 0;
  await cut(b);
  assert.equal(b.recovered, true);
  await send(a, s, "the end");
  await until(() => got.length > 0);
  assert.deepEqual(got.map((x) => x.content), ["the end"]);
});

test("a status: in the session, and in the workspace who may see it", async () => {
  const { a, b, s } = await pair();
  const beside = await d.client("beside");
  await join_(beside, `${s}-beside`);
  const only = await d.client("only", { auth: { workspaces:
    [{ id: "w1", sessions: [`${s}-beside`] }] } });
  await join_(only, `${s}-beside`);
  const other = await d.client("other");
  await other.emitWithAck("chat:join-session",
    { sessionId: s, workspaceId: "w2" });
  const none = await d.client("none");
  const seen = [a, b, beside].map((c) => next(c, "chat:session-status-changed"));
  const quiet = [only, other, none].map((c) =>
    never(c, "chat:session-status-changed", 1000));
  await d.ctl("session", "status", `w1/${s}`, "completed");
  for (const x of await Promise.all(seen)) {
    assert.deepEqual({ ...x, timestamp: 0 },
      { sessionId: s, status: "completed", timestamp: 0 });
    assert.ok(Math.abs(x.timestamp - Date.now()) < 60000);
  }
  await Promise.all(quiet);
  await assert.rejects(d.ctl("session", "status", `w1/${s}`, "sad"));
  await assert.rejects(d.ctl("session", "status", "w1/nothing", "active"));
});

test("chatctl shows what is left", async () => {
  const { s } = await changed();
  const rows = (await d.ctl("history", `w1/${s}`)).filter((x) => x.seq);
  assert.deepEqual(rows.map((x) => x.content ?? x.deleted),
    ["one", true, "three", "text 4"]);
  assert.equal(rows[2].revision, 4);
  assert.ok(rows[2].editedAt >= rows[2].timestamp);
});

test("the daemon starts again: nothing of it is lost", async () => {
  const { a, b, s, ua, ub } = await changed();
  const before_ = await history(b, s);
  const got = record(b);
  b.io.reconnection(true);
  a.io.reconnection(true);
  await d.restart();
  await until(() => a.connected && b.connected, 20000, "reconnected");
  assert.equal(b.recovered, true);
  assert.deepEqual(await history(b, s), before_);
  const c = await d.client("after");
  const joined = await join_(c, s, { afterRevision: 0 });
  assert.equal(joined.lastRevision, 5);
  assert.deepEqual(joined.receipts, [{ userId: ub, seq: 4 }]);
  const ack = await edit(a, s, "m4", "four");
  assert.equal(ack.revision, 6);
  assert.ok(ack.timestamp >= before_[2].editedAt);
  assert.equal((await remove(c, s, "m1")).code, "FORBIDDEN");
  assert.ok((await remove(a, s, "m1")).ok);
  await until(() => got.length === 2);
  assert.deepEqual(got.map((x) => x.revision), [6, 7]);
  assert.equal(got[0].userId, ua);
});

test("an old message is found whatever its age, without known ids", async () => {
  const e = new Daemon({ "content.burst": 0, "store.dedupe_window": 0 });
  try {
    await e.start();
    const a = await e.client("ada");
    await join_(a, "s");
    const acks = [];
    for (let i = 0; i < 3000; i++)
      acks.push(send(a, "s", `n${i}`, { id: `m${i}` }));
    await Promise.all(acks);
    for (const i of [0, 1, 1500, 2999]) {
      const ack = await edit(a, "s", `m${i}`, "found");
      assert.equal(ack.seq, i + 1);
    }
    assert.equal((await edit(a, "s", "m3000", "x")).code, "NOT_FOUND");
  } finally {
    await e.end();
  }
});
