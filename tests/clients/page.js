// page.js - what a page does with the client that it got from the daemon.
// The test puts 'setup' before it: { name, chat, echo, transports }.
"use strict";

const results = {};
const KINDS = { polling: ["polling"], websocket: ["websocket"],
  upgrade: ["polling", "websocket"] };
// they stay open until the browser is closed
const kept = [];

function within(promise, what, ms = 15000) {
  return Promise.race([promise, new Promise((_, fail) =>
    setTimeout(() => fail(new Error(`${what} takes too long`)), ms))]);
}

const event = (socket, name) => within(new Promise((done) =>
  socket.once(name, (...args) => done(args))), name);

const connects = (socket) => within(new Promise((done, fail) => {
  socket.once("connect", done);
  socket.once("connect_error", fail);
}), "connecting");

function equal(a, b, what) {
  const [x, y] = [a, b].map((v) => JSON.stringify(v));
  if (x !== y) throw new Error(`${what}: ${x}, not ${y}`);
}

async function settles(socket, transport) {
  const want = transport === "polling" ? "polling" : "websocket";
  for (let i = 0; socket.io.engine.transport.name !== want; i++) {
    if (i === 1000) throw new Error("does not settle");
    await new Promise((done) => setTimeout(done, 10));
  }
}

async function chat(url, transport, options = {}) {
  const userId = `${setup.name}-${transport}`;
  const socket = io(url, { transports: KINDS[transport], forceNew: true,
    reconnectionDelay: 200, reconnectionDelayMax: 200,
    auth: { userId, userName: userId }, ...options });
  await connects(socket);
  const room = { sessionId: `browser-${userId}`, workspaceId: "w1" };
  const joined = await within(socket.emitWithAck("chat:join-session", room),
    "joining");
  equal(joined.ok, true, "joining");
  const other = io(url, { transports: KINDS[transport], forceNew: true,
    auth: { userId: `${userId}-2`, userName: "2" }, ...options });
  await connects(other);
  await within(other.emitWithAck("chat:join-session", room), "joining");
  const list = [];
  socket.on("chat:message-received", (m) => list.push(m.content));
  let sent = 0;
  const say = async (n) => {
    await within(Promise.all(Array.from({ length: n }, () =>
      other.emitWithAck("chat:send-message", { message: { type: "user",
        content: `m${sent++}`, sessionId: room.sessionId } }))), "saying");
  };
  await say(200);
  await settles(socket, transport);
  await say(100);
  // cut, miss something, and be recovered
  const id = socket.id, again = event(socket, "connect");
  const gone = event(socket, "disconnect");
  socket.io.engine.close();
  await gone;
  await say(10);
  await again;
  equal(socket.recovered, true, "recovered");
  equal(socket.id, id, "its id");
  await say(10);
  await within((async () => {
    while (list.length < sent)
      await new Promise((done) => setTimeout(done, 10));
  })(), `getting ${sent} messages`);
  equal(list, Array.from({ length: sent }, (_, i) => `m${i}`), "messages");
  other.disconnect();
  await within(socket.emitWithAck("chat:leave-session",
    { sessionId: room.sessionId }), "leaving");
  await within(socket.emitWithAck("chat:join-session",
    { sessionId: "all-browsers", workspaceId: "w1" }), "joining all");
  kept.push(socket);
}

async function binary(url, transport) {
  const socket = io(url, { transports: KINDS[transport], forceNew: true,
    auth: { token: "x" } });
  const auth = event(socket, "auth");
  await connects(socket);
  equal((await auth)[0], { token: "x" }, "auth");
  await settles(socket, transport);
  const bytes = Uint8Array.from({ length: 50000 }, (_, i) => i);
  for (const data of [bytes, bytes.buffer, new Blob([bytes])]) {
    const [back, tail] = await within(
      new Promise((done) => socket.emit("message-with-ack", data, "tail",
        (...args) => done(args))), "echo");
    if (!(back instanceof ArrayBuffer)) throw new Error("no ArrayBuffer");
    equal([...new Uint8Array(back)], [...bytes], "bytes");
    equal(tail, "tail", "what follows");
  }
  socket.disconnect();
}

/** By hand, without the client: what the browser lets a page have. */
async function byHand(url) {
  const found = {};
  found.fetch = await fetch(`${url}/socket.io/?EIO=4&transport=polling`)
    .then((a) => a.status, () => "blocked");
  found.socket = await new Promise((done) => {
    const ws = new WebSocket(
      `${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
    ws.onmessage = (m) => done(m.data.slice(0, 1));
    ws.onerror = () => done("refused");
  });
  for (const transport of Object.keys(KINDS)) {
    const socket = io(url, { transports: KINDS[transport], forceNew: true,
      reconnection: false, auth: { userId: "evil", userName: "evil" } });
    found[transport] = await connects(socket).then(() => "connected",
      () => "refused");
    socket.disconnect();
  }
  return found;
}

async function attempt(name, what) {
  try {
    results[name] = (await what()) ?? "ok";
  } catch (e) {
    results[name] = `${e.name}: ${e.message} ${e.description ?? ""}`;
  }
}

(async () => {
  if (typeof io === "undefined") results.script = "io is not there";
  else if (setup.foreign) await attempt("foreign", () => byHand(setup.chat));
  else {
    for (const transport of Object.keys(KINDS)) {
      await attempt(`chat ${transport}`, () => chat(setup.chat, transport));
      await attempt(`binary ${transport}`,
        () => binary(setup.echo, transport));
    }
    await attempt("with credentials", () =>
      chat(setup.chat, "upgrade", { withCredentials: true,
        auth: { userId: "cookie", userName: "cookie" } }));
    if (setup.tls)
      for (const transport of Object.keys(KINDS))
        await attempt(`tls ${transport}`, () => chat(setup.tls, transport, {
          auth: { userId: `tls-${transport}`, userName: "tls" } }));
    await attempt("module", async () => {
      const { io } = await import(
        `${setup.chat}/socket.io/socket.io.esm.min.js`);
      const socket = io(setup.chat, { forceNew: true,
        auth: { userId: "module", userName: "module" } });
      await connects(socket);
      socket.disconnect();
    });
    await attempt("by hand", () => byHand(setup.chat));
  }
  await fetch(location.pathname,
    { method: "POST", body: JSON.stringify(results) });
})();
