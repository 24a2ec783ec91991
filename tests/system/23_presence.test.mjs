// Who is there: rosters in pages, deltas in large sessions, idle and away.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { Daemon, next, never, collect, until, sleep, join_ }
  from "./daemon.mjs";

const ABOVE = 5;
const IDLE = 1500, AWAY = 3000;
const d = new Daemon({ "presence.delta_above": ABOVE });
const lazy = new Daemon({
  "presence.idle_after": `${IDLE}ms`, "presence.away_after": `${AWAY}ms`,
});
before(() => Promise.all([d.start(), lazy.start()]));
after(() => Promise.all([d.end(), lazy.end()]));

const page = (c, s, more = {}) =>
  c.emitWithAck("chat:request-presence", { sessionId: s, ...more });
const ids = (list) => list.map((p) => p.socketId);

/** the sockets that it is told have left, one by one or together */
function gone(c) {
  const left = [];
  c.on("chat:presence-delta", (x) => left.push(...x.left));
  c.on("chat:user-left", (x) => left.push(x.socketId));
  return left;
}

/** so many members of a session, on both workers in turn */
async function crowd(s, n) {
  const all = [];
  for (let i = 0; i < n; i++) {
    const c = await d.clientOn(i % 2, `${s}-${i}`);
    await join_(c, s);
    all.push(c);
  }
  return all;
}

test("a join is answered with at most 200 of them, and how many there are",
  async () => {
    const s = "many", n = 203, all = [];
    for (let i = 0; i < n; i++)
      all.push(d.client(`many-${i}`));
    const clients = await Promise.all(all);
    let last;
    for (const c of clients) last = await join_(c, s);
    assert.equal(last.count, n);
    assert.equal(last.presences.length, 200);
    const own = clients[n - 1].id;
    assert.ok(ids(last.presences).includes(own));
    assert.equal(last.presence.socketId, own);
    // all of them, page by page, from any worker
    for (const c of [await d.clientOn(0, "reader0"),
      await d.clientOn(1, "reader1")]) {
      await join_(c, s);
      const seen = new Set();
      let after, pages = 0;
      do {
        const event = next(c, "chat:presence-sync");
        const ack = await page(c, s, after ? { after, limit: 90 }
          : { limit: 90 });
        const p = await event;
        assert.equal(ack.ok, true);
        assert.deepEqual(p.presences, ack.presences);
        assert.equal(p.sessionId, s);
        assert.ok(p.presences.length <= 90);
        for (const id of ids(p.presences)) {
          assert.ok(!seen.has(id));
          seen.add(id);
        }
        after = p.next;
        pages++;
      } while (after);
      assert.equal(pages, 3);
      for (const m of clients) assert.ok(seen.has(m.id));
    }
    for (const c of clients) c.disconnect();
  });

test("a page begins behind a socket; what makes no sense is refused",
  async () => {
    const [a, b] = await crowd("pages", 2);
    const first = await page(a, "pages", { limit: 1 });
    assert.deepEqual(ids(first.presences), [a.id]);
    assert.equal(first.count, 2);
    const second = await page(a, "pages", { after: a.id });
    assert.deepEqual(ids(second.presences), [b.id]);
    assert.equal(second.next, undefined);
    for (const bad of [{ limit: 0 }, { limit: "1" }, { after: 1 },
      { after: "" }, { after: "x".repeat(200) }]) {
      const answer = await page(a, "pages", bad);
      assert.equal(answer.code, "INVALID_PAYLOAD");
    }
    assert.equal((await page(a, "elsewhere")).code, "NOT_JOINED");
  });

test("in a large session changes are told together, once a second",
  async () => {
    const s = "large";
    const all = await crowd(s, ABOVE + 3);
    await sleep(2500);
    const [a, b, c] = all;
    const began = Date.now();
    const deltas = collect(a, "chat:presence-delta");
    const single = Promise.all(["chat:user-joined", "chat:user-left",
      "chat:presence-updated"].map((e) => never(a, e, 3000)));
    const others = collect(b, "chat:presence-delta");
    const joined = [await d.clientOn(0, "l1"), await d.clientOn(1, "l2")];
    for (const j of joined) await join_(j, s);
    await b.emitWithAck("chat:update-presence",
      { sessionId: s, status: "away" });
    await c.emitWithAck("chat:leave-session", { sessionId: s });
    const heard = (list, what) => list.flatMap((x) => x[what]);
    await until(() => heard(deltas, "left").includes(c.id) &&
      heard(deltas, "changed").some((p) => p.socketId === b.id) &&
      joined.every((j) => ids(heard(deltas, "joined")).includes(j.id)));
    assert.equal(deltas.at(-1).count, ABOVE + 4);
    assert.equal(deltas.at(-1).sessionId, s);
    // nobody is told of himself
    await until(() => heard(others, "left").includes(c.id));
    assert.ok(!ids(heard(others, "changed")).includes(b.id));
    await single;
    // at most one a second
    assert.ok(deltas.length <= 2 + (Date.now() - began) / 1000);
  });

test("who comes and goes within a second is not told", async () => {
  const s = "brief";
  const [a] = await crowd(s, ABOVE + 2);
  await sleep(2500);
  // the second begins with something that is told
  const deltas = collect(a, "chat:presence-delta");
  const first = await d.clientOn(1, "first");
  await join_(first, s);
  await until(() => deltas.length > 0);
  const brief = await d.clientOn(1, "brief");
  await join_(brief, s);
  await brief.emitWithAck("chat:leave-session", { sessionId: s });
  await first.emitWithAck("chat:leave-session", { sessionId: s });
  await until(() => deltas.some((x) => x.left.includes(first.id)));
  assert.equal(deltas.at(-1).count, ABOVE + 2);
});

test("below the border they are told one by one again", async () => {
  const s = "border";
  const all = await crowd(s, ABOVE + 1);
  const [a, b] = all;
  await sleep(2500);
  const left = gone(a);
  const those = all.slice(2);
  for (const c of those)
    await c.emitWithAck("chat:leave-session", { sessionId: s });
  await until(() => left.length === those.length);
  assert.deepEqual(left.sort(), those.map((c) => c.id).sort());
  const updated = collect(a, "chat:presence-updated");
  let n = 0;
  await until(async () => {
    await b.emitWithAck("chat:update-presence",
      { sessionId: s, status: n++ % 2 ? "active" : "idle" });
    // a delta ends with a second in which nothing comes
    await sleep(2500);
    return updated.length > 0;
  });
  assert.equal(updated[0].socketId, b.id);
});

test("a worker dies: those who are left know it soon", async () => {
  const s = "death";
  const all = await crowd(s, ABOVE + 3);
  // what came and goes within a second is not told
  await sleep(2500);
  const left = gone(all[0]);
  const dead = all.filter((_, i) => i % 2 === 1).map((c) => c.id);
  process.kill(d.roles().workers[1], "SIGKILL");
  await until(() => dead.every((id) => left.includes(id)));
  const p = await page(all[0], s);
  assert.deepEqual(ids(p.presences).filter((id) => dead.includes(id)), []);
  assert.equal(p.count, all.length - dead.length);
});

test("who says nothing is idle, then away, and active with its next event",
  async () => {
    const s = "silent";
    const a = await lazy.clientOn(0, "ada"), b = await lazy.clientOn(1, "bob");
    await join_(a, s);
    await join_(b, s);
    const seen = collect(b, "chat:presence-updated");
    // bob does not fall silent
    const busy = setInterval(() => b.emit("chat:typing",
      { sessionId: s, isTyping: false }), 200);
    const joined = Date.now();
    await until(() => seen.some((p) => p.status === "away"));
    assert.deepEqual(seen.map((p) => [p.userId, p.status]),
      [["ada", "idle"], ["ada", "away"]]);
    for (const p of seen) assert.ok(p.lastActivity < joined + IDLE);
    a.emit("chat:typing", { sessionId: s, isTyping: false });
    await until(() => seen.some((p) => p.status === "active"));
    clearInterval(busy);
    assert.equal(seen.length, 3);
  });

test("each device of a user has its own entry", async () => {
  const s = "devices";
  const a1 = await d.clientOn(0, "ada"), a2 = await d.clientOn(1, "ada");
  const b = await d.clientOn(1, "bob");
  for (const c of [b, a1, a2]) await join_(c, s);
  const left = collect(b, "chat:user-left");
  a1.disconnect();
  await until(() => left.length === 1);
  a2.disconnect();
  await until(() => left.length === 2);
  assert.deepEqual(left.map((x) => [x.remaining, x.reason]), [
    [1, "client namespace disconnect"], [0, "client namespace disconnect"]]);
});
