// A page in Chromium, from another origin than the daemon's, loads the client
// from the daemon and chats; a page of an origin that is not listed cannot.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { chmodSync, cpSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Daemon, until } from "../system/daemon.mjs";
import { CLIENTS, Conformance, connected, call, freePort, hangUp }
  from "./stock.mjs";
import { Browser, Site } from "./browser.mjs";
import { Nginx } from "./proxies.mjs";

const script = readFileSync(new URL("page.js", import.meta.url), "utf8");
const page = (setup) => `<!doctype html><title>chat</title>
<script src="${setup.chat}/socket.io/socket.io.js"></script>
<script>const setup = ${JSON.stringify(setup)};\n${script}</script>`;

let d, echo, site, nginx, setup;
before(async () => {
  site = await new Site({
    "/chat": () => page({ name: "listed", ...setup }),
    "/foreign": () => page({ name: "foreign", foreign: true, ...setup }),
  }).start();
  const origin = `http://127.0.0.1:${site.port}`;
  d = new Daemon({ workers: 3, "cors.origins": origin,
    "cors.credentials": "on", "engine.cookie": "io",
    trusted_proxies: "127.0.0.1" });
  d.port = await freePort();
  d.options.client_dir = join(d.dir, "client");
  chmodSync(d.dir, 0o755);
  cpSync(join(dirname(createRequire(import.meta.url)
    .resolve("socket.io-client/package.json")), "dist"),
  d.options.client_dir, { recursive: true });
  await d.start();
  nginx = await new Nginx({ to: `127.0.0.1:${d.port}` }).start();
  echo = await new Conformance("sio", { "cors-origin": origin,
    "cors-credentials": true }).start();
  setup = { chat: `http://127.0.0.1:${d.port}`, echo: echo.url,
    tls: nginx.url };
});
after(async () => {
  hangUp();
  await site.end();
  await nginx.end();
  await echo.end();
  await d.end();
});

test("a page of a listed origin does all that a client does", async (t) => {
  const b = await connected(CLIENTS["4.8"], "websocket",
    `http://127.0.0.1:${d.port}`, { auth: { userId: "b", userName: "b" } });
  const left = [];
  b.on("chat:user-left", (m) => left.push(m.userId));
  await call(b, "chat:join-session",
    { sessionId: "all-browsers", workspaceId: "w1" });
  const reported = site.report("/chat");
  const browser = new Browser().open(`http://127.0.0.1:${site.port}/chat`);
  try {
    const results = await reported.catch((e) => {
      throw new Error(`${e.message}: ${browser.log.slice(-2000)}`);
    });
    const names = ["polling", "websocket", "upgrade"];
    const fine = Object.fromEntries([
      ...names.flatMap((x) => [[`chat ${x}`, "ok"], [`binary ${x}`, "ok"]]),
      ["with credentials", "ok"],
      ...names.map((x) => [`tls ${x}`, "ok"]),
      ["module", "ok"],
      ["by hand", { fetch: 200, socket: "0", polling: "connected",
        websocket: "connected", upgrade: "connected" }],
    ]);
    assert.deepEqual(results, fine);
  } finally {
    await browser.close();
  }
  // a closed browser leaves at once, or, if it was between two polls, when
  // its heartbeat is missed
  await until(() => left.length === 7, 60000, `left: ${left}`);
  t.diagnostic(`left: ${left}`);
});

test("a page of another origin gets nothing", async () => {
  const reported = site.report("/foreign");
  const before = JSON.stringify(await d.ctl("stats", "authenticated"));
  const browser = new Browser().open(`http://localhost:${site.port}/foreign`);
  try {
    assert.deepEqual(await reported, { foreign: { fetch: "blocked",
      socket: "refused", polling: "refused", websocket: "refused",
      upgrade: "refused" } });
  } finally {
    await browser.close();
  }
  assert.equal(JSON.stringify(await d.ctl("stats", "authenticated")), before);
});
