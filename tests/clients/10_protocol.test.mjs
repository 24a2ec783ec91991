// Stock clients of three versions, by each transport, against the
// conformance server: auth, binary, acknowledgements, ends.
import { test, describe, before, after, afterEach } from "node:test";
import assert from "node:assert/strict";
import { CLIENTS, Conformance, matrix, dial, connected, connects,
  connectAgain, settles, call, event, hangUp } from "./stock.mjs";

const sio = new Conformance("sio", { eio3: true });
const edge = new Conformance("edge", { eio3: true });
const client = new Conformance("client", { eio3: true });

before(() => Promise.all([sio.start(), edge.start(), client.start()]));
after(async () => {
  for (const s of [sio, edge, client])
    assert.deepEqual(await s.end(), { code: 0, signal: null });
});
afterEach(hangUp);

const BYTES = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

matrix((kind, transport, title) => describe(title, () => {
  test("connects with auth", async () => {
    const s = dial(kind, transport, sio.url,
      { auth: { token: "t\u00fcr", n: 1 } });
    const auth = event(s, "auth");
    await connects(s);
    // version 2 has a query instead, which is no part of its CONNECT
    assert.deepEqual((await auth)[0], kind.eio3 ? {} : { token: "t\u00fcr", n: 1 });
    await settles(s, transport);
    assert.equal(s.connected, true);
    assert.match(s.id, /^[\w-]{20}$/);
    if (!kind.eio3) assert.notEqual(s.id, s.io.engine.id);
  });

  test("a namespace of its own over the same connection", async () => {
    const s = dial(kind, transport, sio.url, { auth: { a: "1" } });
    const [root] = await Promise.all([event(s, "auth"), connects(s)]);
    assert.ok(root);
    const custom = s.io.socket("/custom",
      kind.eio3 ? { query: { a: "2" } } : { auth: { a: "2" } });
    const [auth] = await Promise.all([event(custom, "auth"), connects(custom)]);
    assert.equal(auth[0].a, "2");
    assert.equal(custom.io.engine, s.io.engine);
    custom.disconnect();
    assert.deepEqual(await call(s, "message-with-ack", "still here"),
      ["still here"]);
  });

  test("an unknown namespace is refused and nothing else", async () => {
    const s = await connected(kind, transport, sio.url);
    const nope = s.io.socket("/nope", {});
    await assert.rejects(connects(nope), /Invalid namespace/);
    assert.deepEqual(await call(s, "message-with-ack", 1), [1]);
  });

  test("echoes text and binary", async () => {
    const s = await connected(kind, transport, sio.url);
    for (const args of [
      [],
      [1, "2", { 3: [true, null] }],
      ["\u{1f600} \u2028 \u00e4 \u0001", { nested: { deep: [[[]]] } }],
      [BYTES],
      [{ a: BYTES, b: [Buffer.from("x"), { c: Buffer.alloc(0) }] }, "end"],
      ["x".repeat(100000), Buffer.alloc(70000, 7)],
    ]) {
      const back = event(s, "message-back");
      s.emit("message", ...args);
      assert.deepEqual(plain(await back), plain(args));
    }
    // on the last transport too
    await settles(s, transport);
    const back = event(s, "message-back");
    s.emit("message", BYTES);
    assert.deepEqual(plain(await back), plain([BYTES]));
  });

  test("binary events stay in order, whatever else goes", async () => {
    const s = await connected(kind, transport, sio.url);
    const got = [];
    s.on("message-back", (i, data) => got.push([i, data && data.length]));
    for (let i = 0; i < 300; i++)
      if (i % 3) s.emit("message", i);
      else s.emit("message", i, Buffer.alloc(i + 1, i));
    await call(s, "message-with-ack", "done");
    assert.deepEqual(got, Array.from({ length: 300 },
      (_, i) => [i, i % 3 ? undefined : i + 1]));
  });

  test("the server acknowledges, also with binary", async () => {
    const s = await connected(kind, transport, sio.url);
    assert.deepEqual(await call(s, "message-with-ack"), []);
    assert.deepEqual(await call(s, "message-with-ack", 1, "2", { 3: [4] }),
      [1, "2", { 3: [4] }]);
    assert.deepEqual(plain(await call(s, "message-with-ack", [BYTES])),
      plain([[BYTES]]));
    const many = await Promise.all(Array.from({ length: 200 },
      (_, i) => call(s, "message-with-ack", i)));
    assert.deepEqual(many.flat(), Array.from({ length: 200 }, (_, i) => i));
  });

  test("the client acknowledges", async () => {
    const s = await connected(kind, transport, client.url);
    s.on("ack", (answer) => answer(5, { test: true }));
    const got = event(s, "got it");
    s.emit("ack");
    await got;
    const [doge] = await (s.emit("doge"), event(s, "doge"));
    assert.equal(Buffer.from(doge).toString(), "asdfasdf");
  });

  for (const close of [false, true])
    test(`the server disconnects${close ? " and closes" : ""}`, async () => {
      const s = await connected(kind, transport, edge.url);
      await settles(s, transport);
      const gone = event(s, "disconnect");
      s.emit("kick", close);
      assert.equal((await gone)[0], "io server disconnect");
      assert.equal(s.connected, false);
      // who was sent away may come back when it likes
      await connectAgain(s);
      assert.deepEqual(await call(s, "x", 1), [1]);
    });

  test("the client disconnects and connects again", async () => {
    const s = await connected(kind, transport, edge.url);
    await settles(s, transport);
    const gone = event(s, "disconnect");
    s.disconnect();
    assert.equal((await gone)[0], "io client disconnect");
    await connectAgain(s);
    assert.deepEqual(await call(s, "x", 2), [2]);
  });

  test("comes back when its transport was lost", async () => {
    const s = await connected(kind, transport, edge.url,
      { reconnection: true, reconnectionDelay: 50 });
    for (let i = 0; i < 3; i++) {
      const again = new Promise((done) => s.once("connect", done));
      s.io.engine.close();
      await again;
      assert.deepEqual(await call(s, "x", i), [i]);
    }
  });

  test("a refusal tells why, and only that namespace", async () => {
    const s = await connected(kind, transport, edge.url);
    const mw = s.io.socket("/mw", {});
    await assert.rejects(connects(mw), (e) => {
      // version 2 has the data alone
      if (kind.eio3) assert.match(e.message, /Please retry later/);
      else {
        assert.equal(e.message, "not authorized");
        assert.deepEqual(e.data, { content: "Please retry later" });
      }
      return true;
    });
    assert.deepEqual(await call(s, "x"), []);
  });
}));

test("without engine.eio3 a client of version 2 is refused", async () => {
  const strict = await new Conformance("sio").start();
  try {
    for (const transport of ["polling", "websocket"])
      await assert.rejects(connected({ version: "2.5", ...CLIENTS["2.5"] },
        transport, strict.url));
  } finally {
    await strict.end();
  }
});

/** Binary as the clients hand it out, made comparable. */
function plain(x) {
  if (x instanceof ArrayBuffer) return { bytes: Buffer.from(x).toString("hex") };
  if (ArrayBuffer.isView(x))
    return { bytes: Buffer.from(x.buffer, x.byteOffset, x.byteLength)
      .toString("hex") };
  if (Array.isArray(x)) return x.map(plain);
  if (x && typeof x === "object")
    return Object.fromEntries(Object.entries(x).map(([k, v]) => [k, plain(v)]));
  return x;
}
