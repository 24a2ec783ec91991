// An agent's answer while it is being written: two workers, stock clients.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { alive, Daemon, STREAM, next, never, collect, until, sleep, join_, ask, workerOf, send }
  from "./daemon.mjs";

// who comes back has this long for it, s
const RESUME = 8;
const d = new Daemon({ "stream.resume": `${RESUME}s`, "stream.idle_timeout": "60s" });
before(() => d.start());
after(() => d.end());

const AGENT = { auth: { role: "agent" } };
let sessions = 0;
const session = () => `stream-${++sessions}`;

function chunk(socket, sessionId, messageId, text, extra = {}) {
  return ask(socket, "chat:agent-message-stream",
    { sessionId, messageId, chunk: text, isComplete: false, ...extra });
}

/** What a client shows: all chunks of a message after another. */
class Screen {
  constructor(socket, joined = null) {
    this.text = {};
    this.index = {};
    this.last = {};
    this.messages = [];
    this.order = [];
    for (const s of joined?.streams ?? []) this.#sync(s);
    socket.on("chat:agent-stream-chunk", (c) => {
      assert.ok(!this.last[c.messageId], `a chunk behind the last: ${JSON.stringify(c)}`);
      assert.ok(c.index > (this.index[c.messageId] ?? -1) || c.isComplete,
        `index ${c.index} after ${this.index[c.messageId]}`);
      this.text[c.messageId] = (this.text[c.messageId] ?? "") + c.chunk;
      this.index[c.messageId] = c.index;
      this.order.push(`chunk ${c.messageId}`);
      if (c.isComplete) this.last[c.messageId] = c;
    });
    socket.on("chat:stream-sync", (m) => m.streams.forEach((s) => this.#sync(s)));
    socket.on("chat:message-received", (m) => {
      this.messages.push(m);
      this.order.push(`message ${m.id}`);
    });
  }
  #sync(s) {
    this.text[s.messageId] = s.content;
    this.index[s.messageId] = s.index;
  }
  message(id) {
    return until(() => this.messages.find((m) => m.id === id), 40000, `message ${id}`);
  }
  end(id) {
    return until(() => this.last[id], 40000, `end of ${id}`);
  }
  has(id, text) {
    return until(() => this.text[id] === text, 20000, `${id} being ${text.slice(0, 40)}`);
  }
}

/** An agent and one viewer on each worker, in a session of their own. */
async function room(agentWorker = 0) {
  const s = session();
  const agent = await d.clientOn(agentWorker, `bot-${s}`, AGENT);
  const viewers = [await d.clientOn(0, "v0"), await d.clientOn(1, "v1")];
  const joins = [];
  assert.ok((await join_(agent, s, { agentId: "helper" })).ok);
  for (const v of viewers) joins.push(await join_(v, s));
  const screens = viewers.map((v, i) => new Screen(v, joins[i]));
  return { s, agent, viewers, screens, own: new Screen(agent) };
}

function leave(...sockets) {
  for (const s of sockets) s.disconnect();
}

test("chunks come to all at once, and the whole text as a message", async () => {
  const { s, agent, viewers, screens, own } = await room();
  const words = ["Let ", "me \\ \"think\"\n", "", "über 😀 ", "done."];
  for (let i = 0; i < words.length - 1; i++)
    assert.deepEqual(await chunk(agent, s, "m1", words[i], { index: i, metadata: { tokens: 3 } }),
      { ok: true, messageId: "m1", index: i });
  const end = await chunk(agent, s, "m1", words.at(-1), { isComplete: true });
  assert.equal(end.ok, true);
  assert.equal(end.seq, 1);
  assert.ok(end.timestamp > 0 && end.messageId === "m1");
  const text = words.join("");
  for (const screen of screens) {
    const m = await screen.message("m1");
    assert.equal(m.content, text);
    assert.equal(m.type, "assistant");
    assert.equal(m.seq, 1);
    assert.equal(m.userId, agent.auth.userId);
    assert.equal(m.agentId, "helper");
    assert.equal(m.metadata.tokens, 3);
    assert.equal(m.metadata.isStreaming, false);
    assert.equal(m.metadata.isComplete, true);
    assert.equal(screen.text.m1, text);
    assert.equal(screen.order.at(-1), "message m1");
    assert.equal(screen.last.m1.agentId, "helper");
    assert.equal(screen.messages.length, 1);
  }
  assert.equal(own.text.m1, text);
  assert.equal(own.messages.length, 0);
  // again: it is known
  const again = await chunk(agent, s, "m1", "done.", { index: 4, isComplete: true });
  assert.deepEqual([again.ok, again.duplicate, again.seq], [true, true, 1]);
  assert.equal((await chunk(agent, s, "m1", "x", { index: 1 })).duplicate, true);
  const page = await ask(viewers[1], "chat:request-history", { sessionId: s });
  assert.deepEqual(page.messages.map((m) => m.content), [text]);
  leave(agent, ...viewers);
});

test("indexes, ids, roles, limits", async () => {
  const { s, agent, viewers, screens } = await room();
  const other = await d.clientOn(1, "other-bot", AGENT);
  await join_(other, s);
  const refused = next(agent, "chat:send-message-error");
  assert.equal((await chunk(agent, s, "m1", "x", { index: 3 })).code, "STREAM_UNKNOWN");
  const event = await refused;
  assert.deepEqual([event.code, event.messageId, event.sessionId],
    ["STREAM_UNKNOWN", "m1", s]);
  assert.ok((await chunk(agent, s, "m1", "a", { index: 0 })).ok);
  assert.equal((await chunk(agent, s, "m1", "a", { index: 0 })).duplicate, true);
  assert.equal((await chunk(agent, s, "m1", "c", { index: 2 })).code, "INVALID_PAYLOAD");
  assert.ok((await chunk(agent, s, "m1", "b", { index: 1 })).ok);
  await screens[1].has("m1", "ab");
  assert.equal((await chunk(other, s, "m1", "z")).code, "ID_TAKEN");
  assert.equal((await send(viewers[1], s, "hi", { id: "m1" })).code, "ID_TAKEN");
  assert.equal((await chunk(viewers[0], s, "m2", "z")).code, "FORBIDDEN");
  assert.equal((await chunk(agent, "elsewhere", "m2", "z")).code, "NOT_JOINED");
  assert.equal((await chunk(agent, s, "m2", 5)).code, "INVALID_PAYLOAD");
  assert.equal((await chunk(agent, s, "m2", "x", { isComplete: "yes" })).code, "INVALID_PAYLOAD");
  assert.equal((await chunk(agent, s, "m2", "  \n", { isComplete: true })).code, "CONTENT_EMPTY");
  assert.equal((await screens[0].end("m2")).chunk, "  \n");
  // four of them are a whole text, but for a bit
  const big = "y".repeat(STREAM * 230);
  for (let i = 0; i < 4; i++) assert.ok((await chunk(agent, s, "m3", big)).ok);
  assert.equal((await chunk(agent, s, "m3", big)).code, "STREAM_TOO_LONG");
  assert.ok((await chunk(agent, s, "m3", "", { isComplete: true })).ok);
  assert.equal((await screens[1].message("m3")).content.length, 4 * big.length);
  assert.equal(screens[1].text.m3.length, 4 * big.length);
  assert.ok((await chunk(agent, s, "m1", "c", { isComplete: true })).ok);
  assert.equal((await screens[0].message("m1")).content, "abc");
  // a message's id is no stream's
  assert.ok((await send(viewers[0], s, "mine", { id: "m4" })).ok);
  await chunk(agent, s, "m4", "not mine");
  const end = await screens[1].end("m4");
  assert.equal(end.interrupted, true);
  assert.equal((await chunk(agent, s, "m4", "x", { isComplete: true })).code, "ID_TAKEN");
  leave(agent, other, ...viewers);
});

test("somebody cancels: the agent has the last word, or not", async () => {
  const { s, agent, viewers, screens } = await room();
  assert.equal((await ask(viewers[1], "chat:cancel-stream",
    { sessionId: s, messageId: "none" })).code, "STREAM_UNKNOWN");
  await chunk(agent, s, "c1", "to be ");
  await chunk(agent, s, "c2", "never ending");
  const told = next(agent, "chat:stream-cancelled");
  assert.ok((await ask(viewers[1], "chat:cancel-stream", { sessionId: s, messageId: "c1" })).ok);
  const event = await told;
  assert.deepEqual([event.sessionId, event.messageId, event.userId], [s, "c1", "v1"]);
  assert.ok(event.timestamp > 0);
  assert.equal((await chunk(agent, s, "c1", "ignored", { index: 1 })).code, "STREAM_UNKNOWN");
  assert.ok((await chunk(agent, s, "c1", "continued", { index: 2, isComplete: true })).ok);
  const began = Date.now();
  assert.ok((await ask(viewers[0], "chat:cancel-stream", { sessionId: s, messageId: "c2" })).ok);
  for (const screen of screens) {
    assert.equal((await screen.end("c1")).cancelled, true);
    const m = await screen.message("c1");
    assert.equal(m.content, "to be continued");
    assert.equal(m.metadata.cancelled, true);
  }
  assert.equal((await screens[1].end("c2")).cancelled, true);
  assert.ok(Date.now() - began > 3000);
  const m = await screens[1].message("c2");
  assert.deepEqual([m.content, m.metadata.cancelled], ["never ending", true]);
  assert.equal((await ask(viewers[0], "chat:cancel-stream",
    { sessionId: s, messageId: "c2" })).code, "STREAM_UNKNOWN");
  leave(agent, ...viewers);
});

test("an agent that leaves or says goodbye ends what it writes", async () => {
  const { s, agent, viewers, screens } = await room();
  await chunk(agent, s, "l1", "left");
  await ask(agent, "chat:leave-session", { sessionId: s });
  assert.equal((await screens[0].end("l1")).interrupted, true);
  assert.equal((await screens[1].message("l1")).metadata.interrupted, true);
  await join_(agent, s);
  await chunk(agent, s, "l2", "gone");
  agent.disconnect();
  assert.equal((await screens[1].end("l2")).interrupted, true);
  const m = await screens[0].message("l2");
  assert.deepEqual([m.content, m.metadata.interrupted], ["gone", true]);
  leave(...viewers);
});

test("a lost connection's stream goes on from the other worker, or is ended", async () => {
  const { s, agent, viewers, screens } = await room();
  await chunk(agent, s, "r1", "first ", { index: 0 });
  await chunk(agent, s, "r2", "alone");
  agent.io.engine.transport.ws.terminate?.() ?? agent.io.engine.close();
  const again = await d.clientOn(1, agent.auth.userId, AGENT);
  assert.ok((await join_(again, s)).ok);
  await until(async () => (await chunk(again, s, "r1", "second", { index: 1 })).ok);
  const end = await chunk(again, s, "r1", "", { index: 2, isComplete: true });
  assert.ok(end.ok, JSON.stringify(end));
  for (const screen of screens) {
    const m = await screen.message("r1");
    assert.equal(m.content, "first second");
    assert.equal(m.metadata.interrupted, undefined);
    assert.equal(screen.text.r1, "first second");
  }
  assert.equal((await screens[0].end("r2")).interrupted, true);
  assert.equal((await screens[1].message("r2")).content, "alone");
  leave(again, ...viewers);
});

test("who joins in the middle has the text so far, and then each chunk once", async () => {
  const { s, agent, viewers, screens } = await room();
  let text = "";
  let run = true;
  const writer = (async () => {
    for (let i = 0; run; i++) {
      const word = `${i} `;
      text += word;
      const a = await chunk(agent, s, "j1", word, { index: i });
      assert.ok(a.ok, JSON.stringify(a));
      if (i % 8 === 0) await sleep(1);
    }
  })();
  const late = [];
  for (let i = 0; i < 12; i++) {
    const v = await d.clientOn(i % 2, `late-${i}`);
    const screen = new Screen(v);
    const joined = await new Promise((done) => {
      v.once("chat:join-session-success", (j) => {
        for (const x of j.streams) {
          screen.text[x.messageId] = x.content;
          screen.index[x.messageId] = x.index;
        }
        done(j);
      });
      v.emit("chat:join-session", { sessionId: s, workspaceId: "w1" });
    });
    assert.equal(joined.streams.length, 1);
    assert.equal(joined.streams[0].agentId, "helper");
    late.push({ v, screen });
  }
  run = false;
  await writer;
  assert.ok((await chunk(agent, s, "j1", "end", { isComplete: true })).ok);
  for (const screen of [...screens, ...late.map((x) => x.screen)]) {
    assert.equal((await screen.message("j1")).content, `${text}end`);
    assert.equal(screen.text.j1, `${text}end`);
  }
  leave(agent, ...viewers, ...late.map((x) => x.v));
});

test("kill -9 of the agent's worker: it goes on elsewhere, or is ended", async () => {
  const { s, agent, viewers, screens } = await room(1);
  await chunk(agent, s, "k1", "before ", { index: 0 });
  await chunk(agent, s, "k2", "never more");
  await screens[0].has("k2", "never more");
  process.kill(d.roles().workers[1], "SIGKILL");
  const again = await d.clientOn(0, agent.auth.userId, AGENT);
  assert.ok((await join_(again, s)).ok);
  await until(async () => (await chunk(again, s, "k1", "after", { index: 1 })).ok);
  assert.ok((await chunk(again, s, "k1", "", { isComplete: true })).ok);
  assert.equal((await screens[0].message("k1")).content, "before after");
  assert.equal(screens[0].text.k1, "before after");
  assert.equal((await screens[0].end("k2")).interrupted, true);
  const m = await screens[0].message("k2");
  assert.deepEqual([m.content, m.metadata.interrupted], ["never more", true]);
  await sleep(2500);
  const page = await ask(viewers[0], "chat:request-history", { sessionId: s });
  assert.deepEqual(page.messages.map((x) => x.id).sort(), ["k1", "k2"]);
  leave(again, ...viewers);
});

test("kill -9 of a viewer's worker: it is recovered with the text so far", async () => {
  const s = session();
  const agent = await d.clientOn(0, "steady", AGENT);
  await join_(agent, s);
  const v = await d.clientOn(1, "looks", { reconnection: true, reconnectionDelay: 50 });
  const screen = new Screen(v);
  await join_(v, s);
  let i = 0, text = "";
  const write = async () => {
    const word = `w${i++} `;
    text += word;
    assert.ok((await chunk(agent, s, "v1", word)).ok);
  };
  for (let k = 0; k < 20; k++) await write();
  await screen.has("v1", text);
  process.kill(d.roles().workers[1], "SIGKILL");
  for (let k = 0; k < 50 || !v.connected; k++) {
    await write();
    await sleep(20);
  }
  assert.equal(v.recovered, true);
  await screen.has("v1", text);
  assert.ok((await chunk(agent, s, "v1", "!", { isComplete: true })).ok);
  assert.equal((await screen.message("v1")).content, `${text}!`);
  assert.equal(screen.text.v1, `${text}!`);
  leave(agent, v);
});

// so much does not fit the kernel's buffers, nor a configuration of small texts
test("a slow reader gets the whole text in fewer chunks", { skip: STREAM < 256 },
  async () => {
  const { s, agent, viewers, screens } = await room();
  let n = 0;
  viewers[1].on("chat:agent-stream-chunk", () => n++);
  const ws = viewers[1].io.engine.transport.ws;
  (ws._socket ?? ws).pause();
  let text = "";
  for (let i = 0; i < 160; i++) {
    const word = `${i}${"z".repeat(40000)} `;
    const id = `s${i % 40}`;
    if (id === "s0") text += word;
    assert.ok((await chunk(agent, s, id, word)).ok);
  }
  await screens[0].has("s0", text);
  (ws._socket ?? ws).resume();
  await screens[1].has("s0", text);
  for (let i = 0; i < 40; i++)
    assert.ok((await chunk(agent, s, `s${i}`, "", { isComplete: true })).ok);
  for (let i = 0; i < 40; i++) {
    const m = await screens[1].message(`s${i}`);
    assert.equal(screens[1].text[m.id], m.content);
  }
  assert.ok(n < 200, `${n} chunks`);
  leave(agent, ...viewers);
});

test("the daemon is started again: what was written is stored, once", async () => {
  const e = new Daemon({ "stream.resume": "1s" });
  await e.start();
  try {
    const s = "again";
    const agent = await e.client("bot", AGENT);
    const v = await e.client("looks");
    await join_(agent, s);
    await join_(v, s);
    await chunk(agent, s, "d1", "in good order");
    await sleep(1500);
    await e.restart();
    const w = await e.client("looks2");
    await join_(w, s);
    const history = async () =>
      (await ask(w, "chat:request-history", { sessionId: s })).messages;
    const [m] = await until(async () => {
      const list = await history();
      return list.length > 0 && list;
    }, 15000, "the message");
    assert.deepEqual([m.id, m.content, m.type, m.metadata.interrupted, m.metadata.isComplete],
      ["d1", "in good order", "assistant", true, true]);
    const agent2 = await e.client("bot", AGENT);
    await join_(agent2, s);
    await chunk(agent2, s, "d2", "pulled the plug");
    // the last second may be lost
    await sleep(5000);
    const { scribe, workers } = e.roles();
    const all = [e.pid, scribe, ...Object.values(workers)];
    for (const pid of all) {
      try {
        process.kill(pid, "SIGKILL");
      } catch { /* it went with the master */ }
    }
    await e.exited;
    await until(() => !all.some(alive), 20000, "all are gone");
    await e.start();
    const x = await e.client("looks3");
    await join_(x, s);
    const both = await until(async () => {
      const list = (await ask(x, "chat:request-history", { sessionId: s })).messages;
      return list.length > 1 && list;
    }, 15000, "the second message");
    assert.deepEqual(both.map((y) => [y.id, y.content]),
      [["d1", "in good order"], ["d2", "pulled the plug"]]);
    await sleep(3000);
    assert.equal((await ask(x, "chat:request-history", { sessionId: s })).messages.length, 2);
  } finally {
    await e.end();
  }
});
