// Limits of every kind, exact to the event; who does not stop is held off for
// longer, and let go at last; what was lost is joined again for nothing.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { Daemon, until, sleep, join_, send, spend, ask } from "./daemon.mjs";

const RATES = { message: 30, typing: 60, join: 10, history: 30, presence: 30 };
const d = new Daemon({
  ...Object.fromEntries(
    Object.entries(RATES).map(([k, v]) => [`limits.${k}_rate`, v])),
  "limits.backoff_max": "6s",
});
before(() => d.start());
after(() => d.end());

/** One event of each kind, by its answer. */
const events = {
  message: (s, i) => send(s, "kinds", `text ${i}`),
  typing: (s, i) => ask(s, "chat:typing",
    { sessionId: "kinds", isTyping: i % 2 === 0 }),
  join: (s) => ask(s, "chat:join-session",
    { sessionId: "kinds", workspaceId: "w1" }),
  history: (s) => ask(s, "chat:request-history", { sessionId: "kinds" }),
  presence: (s, i) => ask(s, "chat:update-presence",
    { sessionId: "kinds", status: i % 2 ? "idle" : "away" }),
};

for (const [kind, event] of Object.entries(events)) {
  test(`${RATES[kind]} of ${kind} a minute, and not one more`, async () => {
    const a = await d.clientOn(0, `one-${kind}`);
    const b = await d.clientOn(1, `one-${kind}`);
    const began = Date.now();
    // these two count as joins
    await join_(a, "kinds");
    await join_(b, "kinds");
    const limit = RATES[kind] - (kind === "join" ? 2 : 0);
    const r = await spend((i) => event(i % 2 ? a : b, i), limit, RATES[kind],
      began);
    // the next slot: a minute's share, less what this took
    const share = 60 / RATES[kind];
    const least = Math.max(1, Math.ceil((r.more + 1) * share -
      (Date.now() - began + 100) / 1000));
    assert.equal(r.ok, false);
    assert.equal(r.code, "RATE_LIMITED");
    assert.equal(r.error, "Rate limit exceeded");
    assert.equal(r.retryable, true);
    assert.ok(r.retryAfter >= least && r.retryAfter <= Math.ceil(share),
      `${r.retryAfter} of ${least}..${Math.ceil(share)}`);
    // and nobody else is meant
    const c = await d.client(`two-${kind}`);
    await join_(c, "kinds");
    assert.equal((await event(c, 0)).ok, true);
  });
}

test("ten refusals double the time, and nothing passes before", async () => {
  const a = await d.client("pushy");
  await join_(a, "pushed");
  const first = await spend(() => send(a, "pushed", "x"), 30, 30);
  assert.ok(first.retryAfter <= 2);
  let last, at;
  for (let i = 0; i < 30; i++) {
    at = Date.now();
    last = await send(a, "pushed", "x");
  }
  assert.ok(last.retryAfter >= 4 && last.retryAfter <= 6,
    `${last.retryAfter}`);
  // other kinds are not held off
  assert.equal((await events.history(a)).code, "NOT_JOINED");
  await sleep(2500);
  const again = await send(a, "pushed", "x");
  // what is told is in whole seconds
  if (Date.now() < at + (last.retryAfter - 1) * 1000)
    assert.equal(again.code, "RATE_LIMITED");
});

test("who goes on is let go, and may come back later", async () => {
  const a = await d.client("stubborn");
  const heard = {};
  a.on("chat:disconnect-reason", (x) => (heard.reason = x));
  const gone = new Promise((done) => a.on("disconnect", done));
  await join_(a, "pushed2");
  for (let i = 0; i < 140; i++)
    a.emit("chat:request-history", { sessionId: "pushed2" }, () => {});
  assert.equal(await gone, "io server disconnect");
  assert.equal(heard.reason.code, "RATE_LIMITED");
  assert.ok(heard.reason.retryAfter > 2 && heard.reason.retryAfter <= 7);
  const refused = await d.client("stubborn").catch((e) => e);
  assert.equal(refused.message, "Rate limit exceeded");
  assert.equal(refused.data.code, "RATE_LIMITED");
  assert.equal(refused.data.retryable, true);
  assert.ok(refused.data.retryAfter >= 1 && refused.data.retryAfter <= 7);
  // somebody else may
  assert.ok(await d.client("patient"));
  await until(() => d.client("stubborn").catch(() => null), 60000);
});

test("what was lost with the connection is joined again for nothing",
  async () => {
    const name = "unlucky";
    let s = await d.client(name);
    const began = Date.now();
    for (let i = 0; i < 8; i++) assert.ok((await join_(s, `lost${i}`)).ok);
    for (let round = 0; round < 3; round++) {
      s.io.engine.close();
      // until its worker knows
      await until(async () =>
        (await d.ctl("presence", "w1/lost0")).presence.length === 0);
      s = await d.client(name);
      for (let i = 0; i < 8; i++)
        assert.ok((await join_(s, `lost${i}`)).ok, `${round} ${i}`);
    }
    // two are left of ten: what was left on purpose counts
    const no = await spend((i) => join_(s, `more${i}`), 2, 10, began);
    assert.equal(no.code, "RATE_LIMITED");
  });

test("the sixth connection asks whether the other five are there",
  { timeout: 60000 }, async () => {
    const few = new Daemon({ "limits.connections_per_user": 5 });
    await few.start();
    try {
      const five = [];
      for (let i = 0; i < 5; i++) five.push(await few.client("many"));
      const no = await few.client("many").catch((e) => e);
      assert.equal(no.message, "Maximum connections per user exceeded (5)");
      assert.equal(no.data.code, "TOO_MANY_CONNECTIONS");
      assert.equal(no.data.retryable, true);
      assert.ok(five.every((s) => s.connected));
      // two of them are deaf: they make room, and nobody else does
      for (const s of five.slice(0, 2))
        s.io.engine.transport.onPacket = () => {};
      const sixth = await few.client("many");
      assert.ok(sixth.connected);
      assert.ok(five.slice(2).every((s) => s.connected));
      // who gives up waiting leaves no trace
      const gone = few.client("many", { wait: false });
      gone.on("connect_error", () => {});
      await sleep(100);
      gone.disconnect();
      assert.ok((await few.client("other")).connected);
      const stats = await few.ctl("stats", "user_limited");
      assert.ok(JSON.stringify(stats).includes("user_limited"));
    } finally {
      await few.end();
    }
  });

test("who is banned while a sixth connection waits is not let in by it",
  { timeout: 60000 }, async () => {
    const few = new Daemon({ "limits.connections_per_user": 5 });
    await few.start();
    try {
      for (let i = 0; i < 5; i++) await few.client("many");
      const waiting = [1, 2, 3, 4].map(() =>
        few.client("many").then(() => "let in", (e) => e.data.code));
      await sleep(200);
      assert.equal((await few.ctl("ban", "many")).sockets, 5);
      for (const code of await Promise.all(waiting))
        assert.ok(code === "BANNED" || code === "TOO_MANY_CONNECTIONS", code);
    } finally {
      await few.end();
    }
  });

test("with too much to do, who asks for most is refused first, for a while",
  { timeout: 120000 }, async () => {
    const busy = new Daemon({
      workers: 1, "limits.message_rate": 30, "ring.slots": 64,
      "ring.arena_bytes": "64k", "limits.event_bytes": "8k",
      "limits.message_length": 2000, "limits.metadata_bytes": 4096,
    });
    await busy.start();
    const gauge = async () => {
      const stats = await busy.ctl("stats", "overload");
      return JSON.stringify(stats);
    };
    try {
      const quiet = await gauge();
      const heavy = await busy.client("heavy");
      const light = await busy.client("light");
      await join_(heavy, "h");
      await join_(light, "h");
      for (let i = 0; i < 28; i++) assert.ok((await send(heavy, "h", "x")).ok);
      const crowd = [];
      for (let i = 0; i < 60; i++) {
        crowd.push(await busy.client(`crowd${i}`));
        await join_(crowd[i], `c${i}`);
      }
      const { scribe } = busy.roles();
      process.kill(scribe, "SIGSTOP");
      let refused;
      try {
        crowd.forEach((s, i) =>
          s.emit("chat:send-message", { message: {
            content: "full", type: "user", sessionId: `c${i}` } }, () => {}));
        await until(async () => (await gauge()) !== quiet, 15000, "overload");
        refused = await Promise.race([
          send(heavy, "h", "one too many"), sleep(10000)]);
      } finally {
        process.kill(scribe, "SIGCONT");
      }
      assert.equal(refused?.code, "OVERLOADED", JSON.stringify(refused));
      assert.equal(refused.error, "Server busy");
      assert.equal(refused.retryable, true);
      assert.ok(refused.retryAfter >= 1);
      assert.ok((await send(light, "h", "I say little")).ok);
      assert.match(busy.log, /too much to do/);
      // and it opens up again by itself
      await until(async () => (await gauge()) === quiet, 30000, "all is well");
      assert.ok((await send(heavy, "h", "again")).ok);
      assert.match(busy.log, /there is less to do/);
    } finally {
      await busy.end();
    }
  });
