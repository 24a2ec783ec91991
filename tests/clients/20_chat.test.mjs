// Stock clients of three versions, by each transport, in the chat: a
// thousand messages, ends, and coming back.
import { test, describe, before, after, afterEach } from "node:test";
import assert from "node:assert/strict";
import { Daemon, sleep, until, workerOf } from "../system/daemon.mjs";
import { CLIENTS, Wire, matrix, dial, connected, connects, settles, call, event,
  hangUp } from "./stock.mjs";

const d = new Daemon({ workers: 3, "engine.eio3": "on" });
const wire = new Wire();
let url;

before(async () => {
  await d.start();
  wire.to = d.port;
  await wire.start();
  url = `http://127.0.0.1:${d.port}`;
});
after(async () => {
  hangUp();
  await wire.end();
  assert.equal((await d.end()).code, 0);
  assert.doesNotMatch(d.log, /Sanitizer|runtime error/);
});
afterEach(() => {
  wire.mend();
  hangUp();
});

const who = (userId) => ({ auth: { userId, userName: userId } });

async function join(socket, sessionId, extra = {}) {
  const [answer] = await call(socket, "chat:join-session",
    { sessionId, workspaceId: "w1", ...extra });
  assert.equal(answer.ok, true, JSON.stringify(answer));
  return answer;
}

/**
 * Until it is acknowledged, by a client that reconnects: a request that a
 * dying worker had read is lost with it, and the client's transport with it.
 */
async function sendSurely(socket, sessionId, content) {
  const message = { id: content, content, type: "user", sessionId };
  const end = Date.now() + 30000;
  while (Date.now() < end) {
    const gone = new Promise((done) => socket.once("disconnect", done));
    if (!socket.connected) await until(() => socket.connected, 20000);
    const answer = await Promise.race([gone,
      new Promise((done) => socket.emit("chat:send-message", { message },
        (...args) => done(args)))]);
    if (!Array.isArray(answer)) continue;
    if (answer[0].code === "NOT_JOINED") await join(socket, sessionId);
    else return assert.equal(answer[0].ok, true, JSON.stringify(answer[0]));
  }
  assert.fail("never acknowledged");
}

async function send(socket, sessionId, content, id) {
  const [answer] = await call(socket, "chat:send-message",
    { message: { id, content, type: "user", sessionId } });
  assert.equal(answer.ok, true, JSON.stringify(answer));
  return answer;
}

/** What a socket got of a session: [seq, content] in the order of arrival. */
function listen(socket) {
  const list = [];
  socket.on("chat:message-received", (m) => list.push([m.seq, m.content]));
  return list;
}

const numbered = (n, from, text) =>
  Array.from({ length: n }, (_, i) => [from + i, `${text}${i}`]);

let sessions = 0;

matrix((kind, transport, title) => describe(title, () => {
  test("a thousand messages arrive once and in order", async () => {
    const one = `one${++sessions}`, two = `two${sessions}`;
    // who sends starts at once, in the middle of its upgrade
    const b = await connected(kind, transport, url, who("b"));
    const c = await connected(kind, transport, url, who("c"));
    await join(b, one);
    await join(c, two);
    const a = await connected(kind, transport, url, who("a"));
    await join(a, one);
    const lists = [a, b, c].map(listen), sent = [];
    a.on("chat:message-sent", (m) => sent.push(m.seq));
    const acked = [];
    for (let i = 0; i < 1000; i += 20)
      acked.push(...await Promise.all(Array.from({ length: 20 },
        (_, k) => send(a, one, `m${i + k}`, `m${i + k}`))));
    await send(c, two, "other", "other");
    await until(() => lists[1].length >= 1000 && sent.length >= 1000);
    await settles(a, transport);
    await settles(b, transport);
    await sleep(150);
    const seqs = Array.from({ length: 1000 }, (_, i) => i + 1);
    assert.deepEqual(acked.map((x) => x.seq), seqs);
    assert.deepEqual(sent, seqs);
    assert.deepEqual(lists[1], numbered(1000, 1, "m"));
    assert.deepEqual([lists[0], lists[2]], [[], []]);
    // and the store has just that
    const history = await d.ctl("history", `w1/${one}`, "1000");
    assert.deepEqual(history.map((m) => [m.seq, m.content]),
      numbered(1000, 1, "m"));
  });

  test("two who talk at once see one order", async () => {
    const room = `both${++sessions}`;
    const [a, b] = await Promise.all(["a", "b"].map((u) =>
      connected(kind, transport, url, who(u))));
    const seen = [a, b].map((s) => {
      const list = [];
      s.on("chat:message-received", (m) => list.push([m.seq, m.id]));
      s.on("chat:message-sent", (m) => list.push([m.seq, m.messageId]));
      return list;
    });
    await Promise.all([join(a, room), join(b, room)]);
    await Promise.all(Array.from({ length: 150 }, (_, i) =>
      Promise.all([send(a, room, "x", `a${i}`), send(b, room, "y", `b${i}`)])));
    await until(() => seen.every((list) => list.length >= 300));
    for (const list of seen)
      assert.deepEqual(list.map(([seq]) => seq),
        Array.from({ length: 300 }, (_, i) => i + 1));
    assert.deepEqual(seen[0], seen[1]);
  });

  test("the others are told why it went", async () => {
    const room = `left${++sessions}`;
    const a = await connected(kind, transport, url, who("a"));
    await join(a, room);
    for (const [end, reason] of [
      [(s) => s.disconnect(), /^client namespace disconnect$/],
      [(s) => s.io.engine.close(), /^transport (close|error)$/],
    ]) {
      const b = await connected(kind, transport, url, who("b"));
      await join(b, room);
      await settles(b, transport);
      const left = event(a, "chat:user-left");
      end(b);
      const [m] = await left;
      assert.equal(m.userId, "b");
      assert.match(m.reason, reason);
    }
  });

  // the third way nobody tells the server, which has two of it for a while
  for (const [how, lose, noticed] of [
    ["closed by the client", (s) => s.io.engine.close(), true],
    ["cut", () => wire.cut(), true],
    ["lost", () => wire.lose(), false],
  ])
    test(`comes back when its transport was ${how}`, async () => {
      const room = `back${++sessions}`;
      const b = await connected(kind, transport, url, who("b"));
      const a = dial(kind, transport, wire.url,
        { ...who("a"), reconnection: true, reconnectionDelay: 150,
          reconnectionDelayMax: 150 });
      await connects(a);
      await Promise.all([join(a, room), join(b, room)]);
      const list = listen(a);
      let sent = 0;
      for (let round = 1; round <= 3; round++) {
        for (let i = 0; i < 10; i++) await send(b, room, `m${sent++}`);
        await until(() => list.length === sent);
        await settles(a, transport);
        // a request waits: without one nobody sees that the wire is cut
        await sleep(50);
        const { id } = a;
        const again = event(a, "connect");
        const gone = event(a, "disconnect");
        const left = noticed && event(b, "chat:user-left");
        const joined = noticed && event(b, "chat:user-joined");
        lose(a);
        await gone;
        await left;
        for (let i = 0; i < 10; i++) await send(b, room, `m${sent++}`);
        wire.mend();
        await again;
        if (kind.recovers) {
          assert.equal(a.recovered, true);
          assert.equal(a.id, id);
        } else {
          assert.notEqual(a.id, id);
          await join(a, room, { afterSeq: list.length });
        }
        // version 2 takes its session id, a secret here, for its own
        if (noticed && !kind.eio3)
          assert.equal((await joined)[0].socketId, a.id);
        await until(() => list.length === sent);
        assert.equal((await send(a, room, `m${sent++}`)).seq, sent);
        list.push([sent, `m${sent - 1}`]);
      }
      await sleep(100);
      assert.deepEqual(list, numbered(sent, 1, "m"));
    });

  test("comes back when its worker is killed", async () => {
    const room = `killed${++sessions}`;
    const a = await connected(kind, transport, url, { ...who("a"),
      reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 });
    let b;
    do {
      b?.disconnect();
      b = await connected(kind, transport, url, { ...who("b"),
        reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 });
    } while (workerOf(b) === workerOf(a));
    await Promise.all([join(a, room), join(b, room)]);
    const list = listen(a), { id } = a;
    for (let i = 0; i < 5; i++) await send(b, room, `m${i}`);
    await until(() => list.length === 5);
    await settles(a, transport);
    const again = event(a, "connect");
    process.kill(d.roles().workers[workerOf(a)], "SIGKILL");
    for (let i = 5; i < 10; i++) await sendSurely(b, room, `m${i}`);
    await again;
    if (kind.recovers) {
      assert.equal(a.recovered, true);
      assert.equal(a.id, id);
    } else await join(a, room, { afterSeq: list.length });
    for (let i = 10; i < 15; i++) await sendSurely(b, room, `m${i}`);
    await until(() => list.length >= 15);
    assert.deepEqual(list, numbered(15, 1, "m"));
    await until(() => Object.keys(d.roles().workers).length === 3);
  });
}));

test("4.8: what was missed comes before connect, also to other listeners",
  async () => {
    const kind = CLIENTS["4.8"];
    const b = await connected(kind, "websocket", url, who("b"));
    const a = dial(kind, "upgrade", wire.url,
      { ...who("a"), reconnection: true, reconnectionDelay: 200,
        reconnectionDelayMax: 200 });
    await connects(a);
    await settles(a, "upgrade");
    await Promise.all([join(a, "before"), join(b, "before")]);
    const first = event(a, "chat:message-received");
    await send(b, "before", "first");
    await first;
    const order = [];
    a.onAny((name, x) => order.push(name.startsWith("chat:message-received")
      ? x.content : name));
    a.on("connect", () => order.push("connect"));
    const again = event(a, "connect");
    wire.cut();
    await event(a, "disconnect");
    for (const text of ["second", "third"]) await send(b, "before", text);
    wire.mend();
    await again;
    await until(() => order.includes("connect"));
    assert.deepEqual(order.slice(0, 3), ["second", "third", "connect"]);
    await until(() => order.includes("chat:presence-sync"));
  });

describe("a restart of the daemon", () => {
  matrix((kind, transport, title) => test(title, async () => {
    const options = { reconnection: true, reconnectionDelay: 100,
      reconnectionDelayMax: 300 };
    const room = `restart${++sessions}`;
    const [a, b] = await Promise.all(["a", "b"].map((u) =>
      connected(kind, transport, url, { ...who(u), ...options })));
    await Promise.all([join(a, room), join(b, room)]);
    const list = listen(a), { id } = a;
    for (let i = 0; i < 5; i++) await send(b, room, `m${i}`);
    await until(() => list.length === 5);
    await Promise.all([a, b].map((s) => settles(s, transport)));
    const back = [a, b].map((s) => event(s, "connect", 20000));
    // one is asked to end, the other is not asked
    await (sessions % 2 ? d.restart() : killAndStart());
    await Promise.all(back);
    if (kind.recovers) {
      assert.equal(a.recovered, true);
      assert.equal(a.id, id);
    } else
      await Promise.all([join(a, room, { afterSeq: 5 }),
        join(b, room, { afterSeq: 5 })]);
    for (let i = 5; i < 10; i++) await send(b, room, `m${i}`);
    await until(() => list.length >= 10);
    assert.deepEqual(list, numbered(10, 1, "m"));
  }));
});

async function killAndStart() {
  d.process.kill("SIGKILL");
  await d.exited;
  await d.start();
}

test("after recovery.window, and without one, there is a new socket",
  async () => {
    for (const [window, wait, pid] of [["1s", 2500, true], ["0", 0, false]]) {
      const e = await new Daemon({ "recovery.window": window }).start();
      try {
        const a = await connected(CLIENTS["4.8"], "websocket",
          `http://127.0.0.1:${e.port}`, { ...who("a"), reconnection: true,
            reconnectionDelay: wait || 50, reconnectionDelayMax: wait || 50,
            randomizationFactor: 0 });
        await join(a, "window");
        await send(a, "window", "x");
        assert.equal(a._pid !== undefined, pid);
        const { id } = a, again = event(a, "connect");
        a.io.engine.close();
        await again;
        assert.ok(!a.recovered);
        assert.notEqual(a.id, id);
        // it is in no room, and may join again
        const [answer] = await call(a, "chat:send-message",
          { message: { content: "y", type: "user", sessionId: "window" } });
        assert.equal(answer.code, "NOT_JOINED");
        assert.equal((await join(a, "window", { afterSeq: 0 })).lastSeq, 1);
      } finally {
        hangUp();
        await e.end();
      }
    }
  });
