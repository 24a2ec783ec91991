// Stock clients through Debian's nginx and HAProxy, configured by the samples
// of etc/: TLS in front, polling and websocket, and whose address chatd sees.
import { test, describe, before, after, afterEach } from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import https from "node:https";
import http from "node:http";
import { join } from "node:path";
import { Daemon, until } from "../system/daemon.mjs";
import { Conformance, CLIENTS, matrix, connected, settles, call, event,
  freePort, hangUp } from "./stock.mjs";
import { Haproxy, Nginx } from "./proxies.mjs";

const who = (userId) => ({ auth: { userId, userName: userId } });

/** A daemon with all kinds of listeners. */
async function daemon(options = {}) {
  const d = new Daemon({ workers: 2, "engine.eio3": "on",
    trusted_proxies: "127.0.0.1, unix", ...options });
  d.port = await freePort();
  d.proxy = await freePort();
  d.unix = join(d.dir, "run/public.sock");
  d.unixProxy = join(d.dir, "run/proxy.sock");
  d.options.listen = `127.0.0.1:${d.port}, 127.0.0.1:${d.proxy}?proxy, ` +
    `unix:${d.unix}, unix:${d.unixProxy}?proxy`;
  return d.start();
}

const PROXIES = {
  nginx: (d) => new Nginx({ to: `127.0.0.1:${d.port}` }),
  "nginx to a Unix socket": (d) => new Nginx({ to: `unix:${d.unix}` }),
  haproxy: (d) => new Haproxy({ to: `127.0.0.1:${d.proxy}` }),
  "haproxy to a Unix socket": (d) =>
    new Haproxy({ to: `unix@${d.unixProxy}` }),
};

for (const [name, make] of Object.entries(PROXIES)) describe(name, () => {
  let d, proxy;
  before(async () => {
    d = await daemon();
    proxy = await make(d).start();
  });
  after(async () => {
    hangUp();
    await proxy.end();
    await d.end();
  });
  afterEach(hangUp);
  let sessions = 0;

  matrix((kind, transport, title) => test(`${title} two talk`, async () => {
    const room = `s${++sessions}`;
    const [a, b] = await Promise.all(["a", "b"].map((u) => connected(kind,
      transport, proxy.url, { ...who(u), ...proxy.options })));
    const list = [];
    b.on("chat:message-received", (m) => list.push([m.seq, m.content]));
    for (const s of [a, b])
      assert.ok((await call(s, "chat:join-session",
        { sessionId: room, workspaceId: "w" }))[0].ok);
    // over the upgrade, and as large as it may be
    for (let i = 0; i < 60; i++)
      assert.equal((await call(a, "chat:send-message", { message:
        { id: `m${i}`, content: `${i}`, type: "user", sessionId: room } }))[0]
        .seq, i + 1);
    await Promise.all([settles(a, transport), settles(b, transport)]);
    const large = "\u{1f600}".repeat(5000);
    assert.equal((await call(a, "chat:send-message", { message:
      { content: large, type: "user", sessionId: room } }))[0].seq, 61);
    await until(() => list.length === 61);
    assert.deepEqual(list, [...Array.from({ length: 60 },
      (_, i) => [i + 1, `${i}`]), [61, large]]);
    const left = event(b, "chat:user-left");
    a.disconnect();
    assert.equal((await left)[0].userId, "a");
  }));

  test("a proxy that is restarted costs nobody anything", async () => {
    const b = await connected(CLIENTS["4.8"], "websocket",
      `http://127.0.0.1:${d.port}`, who("b"));
    await call(b, "chat:join-session", { sessionId: "again", workspaceId: "w" });
    const all = await Promise.all(["polling", "websocket", "upgrade"].map(
      async (transport) => {
        const s = await connected(CLIENTS["4.8"], transport, proxy.url,
          { ...who(transport), ...proxy.options, reconnection: true,
            reconnectionDelay: 200, reconnectionDelayMax: 200 });
        s.list = [];
        s.on("chat:message-received", (m) => s.list.push(m.content));
        await call(s, "chat:join-session",
          { sessionId: "again", workspaceId: "w" });
        await settles(s, transport);
        return s;
      }));
    const say = (content) => call(b, "chat:send-message",
      { message: { content, type: "user", sessionId: "again" } });
    await say("before");
    await until(() => all.every((s) => s.list.length === 1));
    const back = all.map((s) => event(s, "connect", 20000));
    const gone = all.map((s) => event(s, "disconnect"));
    await Promise.all([proxy.restart(), ...gone, say("meanwhile")]);
    await Promise.all(back);
    await say("after");
    await until(() => all.every((s) => s.list.length === 3));
    for (const s of all) {
      assert.equal(s.recovered, true);
      assert.deepEqual(s.list, ["before", "meanwhile", "after"]);
    }
  });

  test("binary, and acknowledgements of both sides", async () => {
    const server = await new Conformance("sio").start();
    // only TCP, and nginx: the conformance server has no other listener
    const p = proxy instanceof Nginx
      ? await new Nginx({ to: `127.0.0.1:${server.port}` }).start() : null;
    try {
      if (p === null) return;
      for (const transport of ["polling", "websocket", "upgrade"]) {
        const s = await connected(CLIENTS["4.8"], transport, p.url, p.options);
        const data = Buffer.alloc(300000, 1);
        const [back] = await call(s, "message-with-ack", data);
        assert.ok(data.equals(Buffer.from(back)));
      }
    } finally {
      hangUp();
      await server.end();
      await p?.end();
    }
  });
});

/** A handshake of polling: its status, from that address of this machine. */
function handshake(url, { from, headers, ca } = {}) {
  const { get } = url.startsWith("https") ? https : http;
  return new Promise((done, fail) => {
    const r = get(`${url}/socket.io/?EIO=4&transport=polling`,
      { localAddress: from, headers, ca, agent: false }, (answer) => {
        answer.resume();
        answer.on("end", () => done(answer));
      });
    r.on("error", fail);
  });
}

/** How many of n handshakes pass; the others must be 429. */
async function passing(n, url, options) {
  let passed = 0;
  for (let i = 0; i < n; i++) {
    const answer = await handshake(url, options(i));
    if (answer.statusCode === 200) passed++;
    else {
      assert.equal(answer.statusCode, 429);
      assert.match(answer.headers["retry-after"], /^\d+$/);
    }
  }
  return passed;
}

describe("whose address counts", () => {
  const RATE = 5;
  let d, all;
  before(async () => {
    d = await daemon({ "limits.connect_rate": RATE });
    all = Object.fromEntries(await Promise.all(Object.entries(PROXIES).map(
      async ([name, make]) => [name, await make(d).start()])));
  });
  after(async () => {
    for (const proxy of Object.values(all)) await proxy.end();
    await d.end();
  });

  let net = 0;
  for (const name of Object.keys(PROXIES))
    test(`${name}: the client's, whatever it says of itself`, async () => {
      const { url, ca } = all[name];
      net++;
      for (const host of [2, 3]) {
        const from = `127.0.${net}.${host}`;
        assert.equal(await passing(RATE + 3, url, (i) => ({ from, ca,
          headers: { "X-Forwarded-For": `203.0.113.${i}, 198.51.100.${i}` } })),
        RATE, from);
      }
    });

  test("who is not trusted cannot say that it is somebody else", async () => {
    assert.equal(await passing(RATE + 3, `http://127.0.0.1:${d.port}`, (i) => ({
      from: "127.0.77.1", headers: { "X-Forwarded-For": `203.0.113.${i}` } })),
    RATE);
  });

  test("who is trusted can, and is not limited itself", async () => {
    assert.equal(await passing(3 * RATE, `http://127.0.0.1:${d.port}`, (i) => ({
      from: "127.0.0.1",
      headers: { "X-Forwarded-For": `198.51.100.${100 + i}` } })), 3 * RATE);
  });

  test("the refusals are counted", async () => {
    const stats = await d.ctl("stats", "connect_limited");
    assert.match(JSON.stringify(stats), /"connect_limited"/);
    assert.ok(Number(/"value":\s*(\d+)|"connect_limited":\s*(\d+)/
      .exec(JSON.stringify(stats)).slice(1).find(Boolean)) >= 27);
  });
});

test("the samples name timeouts above the heartbeat's", () => {
  const seconds = (file, pattern) =>
    [...readFileSync(new URL(`../../etc/${file}`, import.meta.url), "utf8")
      .matchAll(pattern)].map((m) => Number(m[1]));
  const all = [
    ...seconds("nginx/chatd.conf", /^\s*proxy_(?:read|send)_timeout (\d+)s/gm),
    ...seconds("haproxy/chatd.cfg",
      /^\s*timeout (?:client|server|tunnel) (\d+)s/gm),
  ];
  assert.equal(all.length, 5);
  for (const s of all) assert.ok(s > 45, `${s} s`);
});
