// smoke.test.mjs - the official clients against every mode of the
// conformance server, over each way to connect, with one worker and several.
//
// CONFORMANCE="node tests/wire/reference/server.mjs" runs the same against
// the reference.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { acked, ask, Engine, io, isOurs, next, Server, sleep, WebSocket,
  withServer } from "./server.mjs";

const WAYS = {
  "polling": ["polling"],
  "websocket": ["websocket"],
  "polling, then upgraded": ["polling", "websocket"],
};
const WORKERS = [1, 2];

/** One test for each way to connect and number of workers. */
function everyWay(name, fn) {
  for (const workers of WORKERS)
    for (const [way, transports] of Object.entries(WAYS))
      test(`${name}: ${way}, ${workers} worker(s)`, () =>
        fn(transports, workers));
}

const bytes = (n) => Buffer.from(Array.from({ length: n }, (_, i) => i % 256));

async function upgraded(engine) {
  if (engine.transport.name !== "websocket") await next(engine, "upgrade");
}

/* --- Engine.IO ----------------------------------------------------------- */

function engineTo(server, transports) {
  const e = new Engine(server.url(), { path: "/engine.io/", transports });
  e.binaryType = "nodebuffer";
  server.clients.add({ disconnect: () => e.close() });
  return e;
}

describe("eio-echo", () => {
  everyWay("messages come back as they are", (transports, workers) =>
    withServer("eio-echo", { workers }, async (server) => {
      const e = engineTo(server, transports);
      await next(e, "open");
      for (const data of ["a", "äöü€😀", "", bytes(300), Buffer.alloc(0),
        "x".repeat(200000), bytes(150000)]) {
        const got = next(e, "message");
        e.send(data);
        // the client shows an empty text as nothing
        assert.deepEqual((await got)[0] ?? "", data);
      }
    }));

  everyWay("2,000 messages keep their order", (transports, workers) =>
    withServer("eio-echo", { workers }, async (server) => {
      const e = engineTo(server, transports);
      const got = [];
      const all = new Promise((done) => e.on("message", (m) => {
        if (got.push(String(m)) === 2000) done();
      }));
      await next(e, "open");
      for (let i = 0; i < 2000; i++) {
        e.send(i % 7 ? `m${i}` : Buffer.from(`m${i}`));
        if (i % 100 === 0) await sleep(1);
      }
      await all;
      assert.deepEqual(got, Array.from({ length: 2000 }, (_, i) => `m${i}`));
    }));

  everyWay("the heartbeat goes on", (transports, workers) =>
    withServer("eio-echo", { workers, "ping-interval": 200,
      "ping-timeout": 1500 }, async (server) => {
      const e = engineTo(server, transports);
      const began = Date.now();
      let pings = 0;
      e.on("ping", () => pings++);
      await next(e, "open");
      while (pings < 5 && Date.now() < began + 15000) await sleep(50);
      const took = Date.now() - began;
      assert.ok(pings >= 5 && pings <= took / 200 + 1, `${pings} in ${took} ms`);
      assert.equal(e.readyState, "open");
    }));

  test("the open packet has its five keys in order", () =>
    withServer("eio-echo", { "ping-interval": 300, "ping-timeout": 200,
      "max-payload": 4096 }, async (server) => {
      const res = await fetch(server.url("/engine.io/?EIO=4&transport=polling"));
      const text = await res.text();
      const { sid, ...rest } = JSON.parse(text.slice(1));
      assert.match(sid, /^[\w-]{20}$/);
      assert.equal(text, "0" + JSON.stringify({ sid, ...rest }));
      assert.deepEqual(rest, { upgrades: ["websocket"], pingInterval: 300,
        pingTimeout: 200, maxPayload: 4096 });
    }));

  test("revision 3 is served only when asked to", async () => {
    const open = (server) =>
      fetch(server.url("/engine.io/?EIO=3&transport=polling&b64=1"));
    await withServer("eio-echo", {}, async (server) => {
      const res = await open(server);
      assert.equal(res.status, 400);
      assert.deepEqual(await res.json(),
        { code: 5, message: "Unsupported protocol version" });
    });
    await withServer("eio-echo", { eio3: true }, async (server) => {
      const res = await open(server);
      assert.equal(res.status, 200);
      assert.match(await res.text(), /^\d+:0\{"sid":/);
    });
  });
});

/* --- WebSocket ----------------------------------------------------------- */

async function webSocketTo(server, options) {
  const ws = new WebSocket(`ws://127.0.0.1:${server.port}/echo`, options);
  server.clients.add({ disconnect: () => ws.terminate() });
  await next(ws, "open");
  return ws;
}

async function echoes(ws, data) {
  const got = next(ws, "message");
  ws.send(data);
  const [message, isBinary] = await got;
  assert.equal(isBinary, typeof data !== "string");
  assert.ok(message.equals(Buffer.from(data)), "not what was sent");
}

describe("ws-echo", () => {
  for (const deflate of [false, true])
    test(`each message comes back${deflate ? ", compressed" : ""}`, () =>
      withServer("ws-echo", { "max-payload": 2000000,
        ...(deflate ? { deflate } : {}) }, async (server) => {
        const ws = await webSocketTo(server, { perMessageDeflate: deflate });
        assert.equal(ws.extensions.includes("permessage-deflate"), deflate);
        for (const n of [0, 1, 125, 126, 127, 1023, 1024, 65535, 65536,
          1000000]) {
          await echoes(ws, "x".repeat(n));
          await echoes(ws, bytes(n));
        }
      }));

  test("fragments with a ping between them are one message", () =>
    withServer("ws-echo", {}, async (server) => {
      const ws = await webSocketTo(server, { perMessageDeflate: false });
      const pong = next(ws, "pong");
      const got = next(ws, "message");
      ws.send("one", { fin: false });
      ws.ping("p");
      ws.send("", { fin: false });
      ws.send("two", { fin: true });
      assert.equal(String((await pong)[0]), "p");
      assert.equal(String((await got)[0]), "onetwo");
    }));

  test("what is larger than max-payload closes with 1009", () =>
    withServer("ws-echo", { "max-payload": 100 }, async (server) => {
      const ws = await webSocketTo(server, { perMessageDeflate: false });
      await echoes(ws, "x".repeat(100));
      const closed = next(ws, "close");
      ws.send("x".repeat(101));
      assert.equal((await closed)[0], 1009);
    }));

  test("a close is answered with its code", () =>
    withServer("ws-echo", {}, async (server) => {
      const ws = await webSocketTo(server, {});
      const closed = next(ws, "close");
      ws.close(3456, "enough");
      assert.equal((await closed)[0], 3456);
    }));
});

/* --- mode sio ------------------------------------------------------------ */

describe("sio", () => {
  everyWay("auth, echo and acknowledgement", (transports, workers) =>
    withServer("sio", { workers }, async (server) => {
      const s = server.client(transports, "/", { auth: { token: "t😀" } });
      assert.deepEqual(await next(s, "auth"), [{ token: "t😀" }]);
      const args = [1, "zwei€", [3, { four: 5.5, n: null }], true];
      assert.deepEqual(await ask(s, "message-back", "message", ...args), args);
      assert.deepEqual(await acked(s, "message-with-ack", ...args), args);
      assert.deepEqual(await ask(s, "message-back", "message"), []);
      assert.deepEqual(await acked(s, "message-with-ack"), []);
    }));

  everyWay("bytes", (transports, workers) =>
    withServer("sio", { workers }, async (server) => {
      const s = server.client(transports);
      assert.deepEqual(await next(s, "auth"), [{}]);
      const args = [bytes(10), { a: [bytes(20), "x"], b: Buffer.alloc(0) },
        bytes(70000)];
      assert.deepEqual(await ask(s, "message-back", "message", ...args), args);
      assert.deepEqual(await acked(s, "message-with-ack", ...args), args);
    }));

  everyWay("1,000 messages, each once and in order", (transports, workers) =>
    withServer("sio", { workers }, async (server) => {
      const s = server.client(transports);
      const got = [];
      const all = new Promise((done) => s.on("message-back", (i) => {
        if (got.push(i) === 1000) done();
      }));
      await next(s, "connect");
      for (let i = 0; i < 1000; i++) {
        s.emit("message", i);
        if (i % 50 === 0) await sleep(2);
      }
      await all;
      assert.deepEqual(got, Array.from({ length: 1000 }, (_, i) => i));
    }));

  everyWay("two namespaces on a connection", (transports, workers) =>
    withServer("sio", { workers }, async (server) => {
      const s = server.client(transports, "/", { forceNew: true });
      await next(s, "connect");
      const custom = s.io.socket("/custom", { auth: { a: 1 } });
      assert.deepEqual(await next(custom, "auth"), [{ a: 1 }]);
      assert.notEqual(custom.id, s.id);
      custom.disconnect();
      assert.deepEqual(await acked(s, "message-with-ack", 1), [1]);
    }));

  test("any other namespace is refused", () =>
    withServer("sio", {}, async (server) => {
      const s = server.client(["websocket"], "/nope");
      const [err] = await next(s, "connect_error");
      assert.equal(err.message, "Invalid namespace");
    }));

  everyWay("the client leaves and comes back", (transports, workers) =>
    withServer("sio", { workers }, async (server) => {
      const s = server.client(transports);
      await next(s, "connect");
      const { id } = s;
      s.disconnect();
      await sleep(50);
      s.connect();
      await next(s, "auth");
      assert.notEqual(s.id, id);
      assert.deepEqual(await acked(s, "message-with-ack", 1), [1]);
    }));

  everyWay("a lost connection is made again", (transports, workers) =>
    withServer("sio", { workers }, async (server) => {
      const s = server.client(transports);
      await next(s, "connect");
      await upgraded2(s, transports);
      const again = next(s, "connect");
      s.io.engine.transport.onClose();
      await again;
      assert.deepEqual(await acked(s, "message-with-ack", 1), [1]);
    }));

  everyWay("a CONNECT is answered late", (transports, workers) =>
    withServer("sio", { workers, "handshake-delay": 300 }, async (server) => {
      const began = Date.now();
      const s = server.client(transports);
      await next(s, "auth");
      assert.ok(Date.now() - began >= 290);
      assert.deepEqual(await acked(s, "message-with-ack", 1), [1]);
    }));

  test("who goes before the CONNECT is answered leaves nothing behind", () =>
    withServer("sio", { "handshake-delay": 300 }, async (server) => {
      for (let i = 0; i < 20; i++) {
        const s = server.client(["websocket"]);
        await next(s.io, "open");
        await sleep(10);
        s.io.engine.close();
        s.disconnect();
      }
      await sleep(400);
      const s = server.client(["websocket"]);
      assert.deepEqual(await next(s, "auth"), [{}]);
    }));

  test("events behind a CONNECT without answer wait for it",
    { skip: isOurs ? false : "the reference closes" }, () =>
      withServer("sio", { "handshake-delay": 200 }, async (server) => {
        const path = "/socket.io/?EIO=4&transport=polling";
        const open = await (await fetch(server.url(path))).text();
        const { sid } = JSON.parse(open.slice(1));
        const url = server.url(`${path}&sid=${sid}`);
        const post = await fetch(url, { method: "POST",
          body: '40\x1e42["message",1]\x1e421["message-with-ack",2]' });
        assert.equal(await post.text(), "ok");
        let text = "";
        while (!text.includes("431[2]"))
          text += "\x1e" + await (await fetch(url)).text();
        assert.match(text,
          /40\{"sid":"[\w-]{20}"\}\x1e42\["auth",\{\}\]\x1e42\["message-back",1\]\x1e431\[2\]$/);
      }));
});

async function upgraded2(s, transports) {
  if (transports.length > 1) await upgraded(s.io.engine);
}

/* --- mode edge ----------------------------------------------------------- */

describe("edge", () => {
  everyWay("any event is acknowledged with its arguments",
    (transports, workers) =>
      withServer("edge", { workers }, async (server) => {
        for (const nsp of ["/", "/a"]) {
          const s = server.client(transports, nsp);
          await next(s, "connect");
          const args = [1, { a: bytes(5) }, "x"];
          assert.deepEqual(await acked(s, "anything", ...args), args);
          assert.deepEqual(await acked(s, "error"), []);
        }
      }));

  everyWay("as large an answer as one likes", (transports, workers) =>
    withServer("edge", { workers }, async (server) => {
      const s = server.client(transports);
      for (const n of [0, 1, 70000, 3000000])
        assert.equal((await ask(s, "bigb", "big", n))[0], "x".repeat(n));
    }));

  everyWay("kick", (transports, workers) =>
    withServer("edge", { workers }, async (server) => {
      for (const close of [false, true]) {
        const s = server.client(transports, "/", { reconnection: false });
        await next(s, "connect");
        const gone = next(s, "disconnect");
        s.emit("kick", close);
        assert.equal((await gone)[0], "io server disconnect");
      }
    }));

  // the official client has stopped polling by then, and would hang
  test("kicked in the middle of an upgrade", () =>
    withServer("edge", {}, async (server) => {
      const path = "/socket.io/?EIO=4&transport=";
      const poll = async (sid, body) => (await fetch(
        server.url(`${path}polling${sid ? `&sid=${sid}` : ""}`),
        body ? { method: "POST", body } : {})).text();
      const { sid } = JSON.parse((await poll()).slice(1));
      await poll(sid, "40");
      await poll(sid);
      const ws = new WebSocket(
        `ws://127.0.0.1:${server.port}${path}websocket&sid=${sid}`);
      const got = [];
      ws.on("message", (m) => got.push(String(m)));
      await next(ws, "open");
      ws.send("2probe");
      await next(ws, "message");
      assert.equal(await poll(sid, '42["kick",true]'), "ok");
      ws.send("5");
      await next(ws, "close");
      assert.deepEqual(got, ["3probe", "41"]);
    }));

  everyWay("what the server asks is answered once", (transports, workers) =>
    withServer("edge", { workers }, async (server) => {
      const s = server.client(transports);
      const asked = [], answered = [];
      s.on("asked", (i, cb) => {
        asked.push(i);
        cb(`a${i}`, i % 2 ? bytes(3) : null);
        cb("again");
      });
      const all = new Promise((done) => s.on("answered", (...a) => {
        if (answered.push(a) === 10) done();
      }));
      s.emit("ask", 10);
      await all;
      assert.deepEqual(answered, asked.map((i) =>
        [i, `a${i}`, i % 2 ? bytes(3) : null]));
      assert.equal(new Set(asked).size, 10);
    }));

  test("a middleware refuses, and lets in", () =>
    withServer("edge", { "handshake-delay": 50 }, async (server) => {
      const s = server.client(["websocket"], "/mw");
      const [err] = await next(s, "connect_error");
      assert.equal(err.message, "not authorized");
      assert.deepEqual(err.data, { content: "Please retry later" });
      s.auth = { ok: true };
      s.connect();
      await next(s, "connect");
      assert.deepEqual(await acked(s, "x", 1), [1]);
    }));
});

/* --- mode client --------------------------------------------------------- */

describe("client", () => {
  everyWay("all handlers", (transports, workers) =>
    withServer("client", { workers }, async (server) => {
      const s = server.client(transports, "/", { query: { key: "&=?a 😀" },
        auth: { me: 1 } });
      const first = (...a) => ask(s, ...a).then((got) => got[0]);
      const iso = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
      await next(s, "connect");
      await ask(s, "hi", "hi");
      assert.deepEqual(await acked(s, "echo", { a: "€" }), [{ a: "€" }]);
      s.on("ack", (cb) => cb(5, { test: true }));
      await ask(s, "got it", "ack");
      assert.match((await acked(s, "getAckDate", {}))[0], iso);
      assert.match(await first("takeDate", "getDate"), iso);
      assert.match((await first("takeDateObj", "getDateObj")).date, iso);
      const texts = [];
      s.on("takeUtf8", (t) => texts.push(t));
      s.emit("getUtf8");
      assert.equal(await first("false", "false"), false);
      assert.deepEqual(texts, ["てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß",
        "utf8 — string", "utf8 — string"]);
      assert.equal(String(await first("doge", "doge")), "asdfasdf");
      assert.deepEqual(await first("takebin", "getbin", bytes(9)), bytes(9));
      await first("buffack", "buffa", bytes(1));
      const letter = { hello: "lol", message: bytes(4), goodbye: "gotcha" };
      await first("jsonbuff-ack", "jsonbuff", letter);
      await first("jsonblob-ack", "jsonblob", letter);
      s.emit("abuff1", bytes(2));
      await first("abuff2-ack", "abuff2", "text");
      assert.deepEqual(await first("back", "blob", bytes(3)), bytes(3));
      s.emit("blob1", bytes(1));
      s.emit("blob2", "second");
      await first("blob3-ack", "blob3", bytes(3));
      assert.deepEqual(await acked(s, "getId"), [s.id]);
      const [h] = await acked(s, "getHandshake");
      assert.equal(h.query.key, "&=?a 😀");
      assert.equal(h.query.EIO, "4");
      assert.equal(h.query.transport, transports[0]);
      assert.equal(h.auth.me, 1);
      assert.equal(h.headers.host, `127.0.0.1:${server.port}`);
    }));

  test("namespaces", () =>
    withServer("client", {}, async (server) => {
      const foo = server.client(["websocket"], "/foo");
      await next(foo, "connect");
      assert.deepEqual(await acked(foo, "getId"), [foo.id]);
      for (const nsp of ["/timeout_socket", "/valid", "/asd"])
        await next(server.client(["polling"], nsp), "connect");
      const abc = server.client(["polling"], "/abc", { query: { a: "b" },
        auth: { token: "c" } });
      const [h] = await next(abc, "handshake");
      assert.equal(h.query.a, "b");
      assert.equal(h.auth.token, "c");
      const no = server.client(["polling"], "/no");
      assert.equal((await next(no, "connect_error"))[0].message,
        "Auth failed (custom namespace)");
      const fail = server.client(["polling"], "/", { query: { fail: true } });
      assert.equal((await next(fail, "connect_error"))[0].message,
        "Auth failed (main namespace)");
    }));
});

describe("what suites take for granted", () => {
  for (const transports of [["polling"], ["websocket"]])
    test(`a timeout of nothing is over before a handshake: ${transports}`, () =>
      withServer("client", {}, async (server) => {
        for (let i = 0; i < 10; i++) {
          const s = server.client(transports, "/", { timeout: 0,
            reconnection: false });
          const [err] = await next(s, "connect_error");
          assert.equal(err.message, "timeout");
        }
      }));

  test("an answer comes soon after the beginning", () =>
    withServer("client", {}, async (server) => {
      const s = server.client(["polling", "websocket"]);
      const [err, value] = await new Promise((done) =>
        s.timeout(1000).emit("echo", 42, (...a) => done(a)));
      assert.equal(err, null);
      assert.equal(value, 42);
    }));

  // they listen for one message after the other; a client that is slow itself
  // may still read two packets at once, but not each time
  test("what follows CONNECT comes in a packet of its own", () =>
    withServer("sio", {}, async (server) => {
      let apart = 0;
      for (let i = 0; i < 40 && apart < 10; i++) {
        const ws = new WebSocket(`ws://127.0.0.1:${server.port}` +
          "/socket.io/?EIO=4&transport=websocket");
        await next(ws, "message");
        ws.send("40");
        await next(ws, "message");
        if (isOurs) {
          const got = await next(ws, "message", 1000).catch(() => null);
          if (got !== null) assert.equal(String(got[0]), '42["auth",{}]');
          apart += got !== null;
        } else {
          apart++;
        }
        ws.close();
      }
      assert.equal(apart, 10);
    }));

  everyWay("an engine that is closed is recovered at once",
    (transports, workers) =>
      withServer("client", { workers }, async (server) => {
        const s = server.client(transports, "/", { reconnectionDelay: 10 });
        s.emit("hi");
        await next(s, "hi");
        const { id } = s;
        s.io.engine.close();
        await next(s, "connect");
        assert.equal(s.id, id);
        assert.equal(s.recovered, true);
      }));
});

/* --- recovery ------------------------------------------------------------ */

describe("recovery", () => {
  everyWay("a lost socket is taken up again", (transports, workers) =>
    withServer("sio", { workers, recovery: true }, async (server) => {
      // the reference does not take a socket over
      if (!isOurs && transports.length === 1) return;
      const s = server.client(transports, "/", { auth: { a: 1 } });
      assert.deepEqual((await next(s, "auth"))[0], { a: 1 });
      await upgraded2(s, transports);
      const { id } = s;
      assert.equal(s.recovered, false);
      for (let i = 0; i < 3; i++) {
        const again = next(s, "connect");
        // a session that polls is still there when the socket comes back
        s.io.engine.transport.ws?._socket?.destroy();
        s.io.engine.transport.onClose();
        await again;
        assert.equal(s.recovered, true);
        assert.equal(s.id, id);
        const [back, offset] = await ask(s, "message-back", "message", i);
        assert.equal(back, i);
        assert.equal(typeof offset, "string");
      }
    }));

  test("it gets what it has missed, before its CONNECT", () =>
    withServer("edge", { workers: 2, recovery: true }, async (server) => {
      const path = "/socket.io/?EIO=4&transport=polling";
      const poll = async (sid, body) => (await fetch(
        server.url(path + (sid ? `&sid=${sid}` : "")),
        body ? { method: "POST", body } : {})).text();
      const open = async (connect) => {
        const { sid } = JSON.parse((await poll()).slice(1));
        await poll(sid, connect);
        return sid;
      };
      const first = await open("40");
      const { sid, pid } = JSON.parse((await poll(first)).slice(2));
      // the answer is never fetched
      await poll(first, '42["big",3]\x1e42["big",2]');
      const second = await open(`40{"pid":"${pid}"}`);
      let text = await poll(second);
      while (!text.includes("40{")) text += "\x1e" + await poll(second);
      const packets = text.split("\x1e");
      assert.match(packets[0], /^42\["bigb","xxx","[^"]+"\]$/);
      assert.match(packets[1], /^42\["bigb","xx","[^"]+"\]$/);
      assert.equal(packets[2], `40{"sid":"${sid}","pid":"${pid}"}`);
      // the first one's socket is not there twice
      await sleep(200);
      const res = await fetch(server.url(`${path}&sid=${first}`));
      if (res.status === 200) assert.match(await res.text(), /^.*1$/);
      // what came with an offset that is known is not sent again
      const offset = JSON.parse(packets[0].slice(2))[2];
      const third = await open(JSON.stringify({ pid, offset })
        .replace(/^/, "40"));
      text = await poll(third);
      assert.match(text, /^42\["bigb","xx","[^"]+"\]\x1e40\{/);
    }).catch((e) => {
      if (isOurs) throw e;
    }));

  test("who left on purpose, or too long ago, is somebody else", () =>
    withServer("sio", { recovery: true, ...(isOurs ?
      { "recovery-window": 200 } : {}) }, async (server) => {
      const s = server.client(["websocket"]);
      await next(s, "auth");
      let { id } = s;
      s.disconnect();
      s.connect();
      await next(s, "connect");
      assert.equal(s.recovered, false);
      assert.notEqual(s.id, id);
      if (!isOurs) return;
      ({ id } = s);
      const again = next(s, "connect");
      s.io.reconnectionDelay(600);
      s.io.reconnectionDelayMax(600);
      s.io.randomizationFactor(0);
      s.io.engine.transport.ws._socket.destroy();
      await again;
      assert.equal(s.recovered, false);
      assert.notEqual(s.id, id);
    }));
});

/* --- the program --------------------------------------------------------- */

const ours = { skip: !isOurs };

describe("the program", () => {
  test("it ends on SIGTERM and tells its clients", ours, async () => {
    for (const workers of WORKERS) {
      const server = await new Server("sio", { workers }).start();
      const gone = [];
      for (const transports of Object.values(WAYS)) {
        const s = server.client(transports, "/", { reconnection: false });
        await next(s, "connect");
        await upgraded2(s, transports);
        gone.push(next(s, "disconnect"));
      }
      server.process.kill("SIGTERM");
      for (const g of gone)
        assert.match((await g)[0], /^transport (close|error)$/);
      const { code, log } = await server.ended;
      assert.equal(code, 0, log);
      for (const c of server.clients) c.disconnect();
    }
  });

  test("a worker that dies ends it, with its name", ours, async () => {
    const server = await new Server("sio", { workers: 2 }).start();
    const pid = server.workers()[1];
    process.kill(pid, "SIGKILL");
    const { code, log } = await server.ended;
    assert.equal(code, 1);
    assert.match(log, new RegExp(`worker died slot=1 pid=${pid} signal=9`));
  });

  test("what makes no sense is refused", ours, async () => {
    const bad = [["sio", { workers: 0 }], ["x", {}], ["sio", { bogus: 1 }],
      ["sio", { transports: "pigeon" }]];
    for (const [mode, options] of bad) {
      const server = new Server(mode, options);
      await assert.rejects(server.start());
      assert.equal((await server.ended).code, 2);
    }
  });

  test("transports, cookie, origins and compression are the daemon's", ours,
    async () => {
      await withServer("eio-echo", { transports: "websocket" },
        async (server) => {
          const url = server.url("/engine.io/?EIO=4&transport=polling");
          assert.equal((await (await fetch(url)).json()).code, 0);
        });
      await withServer("eio-echo", { "cookie": "io", "deflate": true,
        "cors-origin": "http://a.example,http://b.example",
        "cors-credentials": true }, async (server) => {
        const url = server.url("/engine.io/?EIO=4&transport=polling");
        const res = await fetch(url, { headers: {
          Origin: "http://b.example" } });
        const { sid } = JSON.parse((await res.text()).slice(1));
        const h = res.headers;
        assert.equal(h.get("set-cookie"),
          `io=${sid}; Path=/; HttpOnly; SameSite=Lax`);
        assert.equal(h.get("access-control-allow-origin"), "http://b.example");
        assert.equal(h.get("access-control-allow-credentials"), "true");
        await fetch(`${url}&sid=${sid}`, { method: "POST",
          body: "4" + "x".repeat(5000) });
        const get = await fetch(`${url}&sid=${sid}`);
        assert.equal(get.headers.get("content-encoding"), "gzip");
        assert.equal(await get.text(), "4" + "x".repeat(5000));
      });
    });
});
