// A message travels from one stock client to another, through two workers,
// and is still there after a restart.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { Daemon, workerOf, next, never, collect, until, sleep, join_, send }
  from "./daemon.mjs";

const d = new Daemon();
before(() => d.start());
after(() => d.end());

test("two clients on different workers exchange messages", async (t) => {
  const ada = await d.clientOn(0, "ada");
  const bob = await d.clientOn(1, "bob");
  t.diagnostic(`ada on worker ${workerOf(ada)}, bob on worker ${workerOf(bob)}`);
  assert.notEqual(workerOf(ada), workerOf(bob));
  assert.ok((await join_(ada, "s1")).ok);
  const joined = next(ada, "chat:user-joined");
  const bobs = await join_(bob, "s1");
  assert.equal((await joined).userId, "bob");
  assert.deepEqual(bobs.presences.map((p) => p.userId).sort(), ["ada", "bob"]);

  let got = next(bob, "chat:message-received");
  const sent = await send(ada, "s1", "hello bob", { id: "m1" });
  assert.equal(sent.ok, true);
  assert.equal(sent.seq, 1);
  const m = await got;
  assert.equal(m.content, "hello bob");
  assert.equal(m.id, "m1");
  assert.equal(m.seq, 1);
  assert.equal(m.userId, "ada");
  assert.equal(m.sessionId, "s1");
  assert.equal(m.type, "user");
  assert.equal(m.timestamp, sent.timestamp);
  assert.equal(m.metadata.senderName, "ada");
  assert.equal(m.metadata.senderSocketId, ada.id);

  got = next(ada, "chat:message-received");
  assert.equal((await send(bob, "s1", "hello ada")).seq, 2);
  assert.equal((await got).content, "hello ada");
});

test("one who joins late gets exactly what it missed, in order", async () => {
  const ada = await d.client("ada2");
  await join_(ada, "late");
  for (let i = 1; i <= 30; i++) await send(ada, "late", `m${i}`);
  const late = await d.client("late");
  const list = collect(late, "chat:message-received");
  const answer = await join_(late, "late", { afterSeq: 12 });
  assert.equal(answer.lastSeq, 30);
  await send(ada, "late", "m31");
  await until(() => list.length >= 19);
  await sleep(100);
  assert.deepEqual(list.map((m) => m.seq),
    Array.from({ length: 19 }, (_, i) => 13 + i));
  assert.deepEqual(list.map((m) => m.content),
    Array.from({ length: 19 }, (_, i) => `m${13 + i}`));
});

test("after SIGTERM and a new start history lists all of it", async () => {
  const ada = await d.client("ada3");
  await join_(ada, "kept");
  for (let i = 1; i <= 70; i++) await send(ada, "kept", `k${i}`, { id: `k${i}` });
  const { code } = await d.restart();
  assert.equal(code, 0);
  const again = await d.client("ada3");
  const joined = await join_(again, "kept");
  assert.equal(joined.lastSeq, 70);
  assert.deepEqual(joined.presences.map((p) => p.socketId), [again.id]);
  const h = await again.emitWithAck("chat:request-history",
    { sessionId: "kept", limit: 200 });
  assert.equal(h.ok, true);
  assert.deepEqual(h.messages.map((m) => m.content),
    Array.from({ length: 70 }, (_, i) => `k${i + 1}`));
  assert.deepEqual(h.messages.map((m) => m.seq),
    Array.from({ length: 70 }, (_, i) => i + 1));
  // and an id that was used before the restart is recognised after it
  const dup = await send(again, "kept", "other text", { id: "k7" });
  assert.equal(dup.ok, true);
  assert.equal(dup.duplicate, true);
  assert.equal(dup.seq, 7);
  assert.equal((await send(again, "kept", "new")).seq, 71);
});

test("the same id twice is one message, seen once", async () => {
  const ada = await d.clientOn(0, "ada4");
  const bob = await d.clientOn(1, "bob4");
  await join_(ada, "dup");
  await join_(bob, "dup");
  const list = collect(bob, "chat:message-received");
  const [a, b] = await Promise.all([
    send(ada, "dup", "once", { id: "same" }),
    send(ada, "dup", "once", { id: "same" }),
  ]);
  assert.deepEqual([a.seq, b.seq], [1, 1]);
  assert.equal(a.timestamp, b.timestamp);
  assert.equal([a, b].filter((x) => x.duplicate).length, 1);
  const stolen = await send(bob, "dup", "mine", { id: "same" });
  assert.equal(stolen.ok, false);
  assert.equal(stolen.code, "ID_TAKEN");
  assert.equal(stolen.error, "Message id already used");
  await sleep(200);
  assert.equal(list.length, 1);
});

test("the same session id in another workspace is another session", async () => {
  const a = await d.client("iso-a");
  const b = await d.client("iso-b");
  await join_(a, "same", { workspaceId: "wa" });
  const answer = await join_(b, "same", { workspaceId: "wb" });
  assert.deepEqual(answer.presences.map((p) => p.userId), ["iso-b"]);
  const quiet = never(b, "chat:message-received");
  assert.equal((await send(a, "same", "secret")).seq, 1);
  await quiet;
  assert.equal((await send(b, "same", "own")).seq, 1);
  const both = await join_(a, "same", { workspaceId: "wb" });
  assert.equal(both.code, "ACCESS_DENIED");
});

test("chatctl history and tail show what was said", async () => {
  const ada = await d.client("ada5");
  await join_(ada, "seen");
  for (const text of ["one", "two"]) await send(ada, "seen", text);
  const docs = await d.ctl("history", "w1/seen");
  assert.match(JSON.stringify(docs), /"one".*"two"/s);
});
