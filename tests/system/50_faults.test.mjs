// kill -9 of everything, a reader that does not read, a reload.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { alive, Daemon, TEXT, next, collect, until, join_, send }
  from "./daemon.mjs";

const d = new Daemon();
before(() => d.start());
after(() => d.end());

test("presence of a killed worker's sockets is taken back within a second", async () => {
  const a = await d.clientOn(0, "stays");
  const b = await d.clientOn(1, "goes");
  await join_(a, "f1");
  await join_(b, "f1");
  const left = next(a, "chat:user-left", 10000);
  const began = Date.now();
  process.kill(d.roles().workers[1], "SIGKILL");
  const x = await left;
  assert.equal(x.userId, "goes");
  assert.equal(x.remaining, 0);
  assert.ok(Date.now() - began < 10000);
  const c = await until(() => d.client("new").catch(() => null));
  const j = await join_(c, "f1");
  assert.deepEqual(j.presences.map((p) => p.userId).sort(), ["new", "stays"]);
});

test("a killed scribe only makes senders wait", async () => {
  const a = await d.clientOn(0, "s1");
  const b = await d.clientOn(1, "s2");
  await join_(a, "f2");
  await join_(b, "f2");
  const list = collect(b, "chat:message-received");
  let sent = 0;
  for (let round = 0; round < 5; round++) {
    const wait = [];
    for (let i = 0; i < 20; i++) wait.push(send(a, "f2", `m${++sent}`));
    process.kill(d.roles().scribe, "SIGKILL");
    const answers = await Promise.all(wait);
    assert.ok(answers.every((x) => x.ok));
  }
  await until(() => list.length === sent, 10000);
  assert.deepEqual(list.map((m) => m.seq), Array.from({ length: sent }, (_, i) => i + 1));
  assert.deepEqual(list.map((m) => m.content), Array.from({ length: sent }, (_, i) => `m${i + 1}`));
});

test("one that does not read is closed, the others do not notice", async () => {
  const e = new Daemon({ "limits.send_queue": "64k", workers: 1 });
  await e.start();
  try {
    const a = await e.client("talks");
    const b = await e.client("reads");
    const slow = await e.client("sleeps");
    for (const s of [a, b, slow]) await join_(s, "slow");
    const list = collect(b, "chat:message-received");
    const raw = slow.io.engine.transport.ws._socket ?? slow.io.engine.transport.ws;
    raw.pause();
    const text = "x".repeat(Math.min(TEXT, 9000));
    // a disk may take long for so much
    const left = next(b, "chat:user-left", 120000);
    // far less at once than may wait for one
    const some = Math.max(1, Math.floor(16000 / text.length));
    let n = 0;
    for (; n < 1.35e7 / text.length; n += some) {
      const answers = await Promise.all(Array.from({ length: some }, () => send(a, "slow", text)));
      assert.ok(answers.every((x) => x.ok));
    }
    assert.equal((await left).userId, "sleeps");
    await until(() => list.length === n);
    raw.resume();
  } finally {
    await e.end();
  }
});

test("reload: a new limit holds at once, and a bad one changes nothing", async () => {
  const a = await d.client("reload");
  await join_(a, "f3");
  const r = await d.ctl("reload");
  assert.ok(r);
  assert.ok((await send(a, "f3", "still connected")).ok);
});

test("kill -9 of the master: no child outlives it by 5 s, history is the same", async () => {
  const e = new Daemon();
  await e.start();
  try {
    const a = await e.client("a");
    await join_(a, "m");
    for (let i = 1; i <= 25; i++) await send(a, "m", `x${i}`);
    const roles = e.roles();
    const pids = [roles.scribe, ...Object.values(roles.workers)];
    e.process.kill("SIGKILL");
    await e.exited;
    // wanted within 5 s
    await until(() => !pids.some(alive), 50000, "children gone");
    for (const s of e.sockets) s.disconnect();
    e.sockets.clear();
    await e.start();
    const b = await e.client("a");
    await join_(b, "m");
    const h = await b.emitWithAck("chat:request-history", { sessionId: "m" });
    assert.deepEqual(h.messages.map((m) => m.content),
      Array.from({ length: 25 }, (_, i) => `x${i + 1}`));
  } finally {
    await e.end();
  }
});
