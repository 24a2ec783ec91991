// What the README and the manual show to who writes a client works when it
// is pasted.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync }
  from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { io } from "socket.io-client";
import { Daemon, join_, send, sleep, until } from "./daemon.mjs";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const MANUAL = readFileSync(join(ROOT, "etc/man/chatd-client.7"), "utf8")
  .replaceAll("\\e", "\\");
const README = readFileSync(join(ROOT, "README.md"), "utf8");

const dir = mkdtempSync(join(tmpdir(), "chatd-manual-"));
chmodSync(dir, 0o755);
const secret = "0123456789abcdef0123456789abcdef-secret";
writeFileSync(join(dir, "secret"), secret);
const jwt = new Daemon({ "auth.mode": "jwt", "auth.secret_file": join(dir, "secret"),
  "recovery.window": "1s", "auth.expiry_grace": "5s" });
const open = new Daemon();
before(() => Promise.all([jwt.start(), open.start()]));
after(async () => {
  await Promise.all([jwt.end(), open.end()]);
  rmSync(dir, { recursive: true, force: true });
});

const b64 = (x) => Buffer.from(x).toString("base64url");
function sign(sub, seconds = 600) {
  const now = Math.floor(Date.now() / 1000);
  const body = { sub, exp: now + seconds, workspaces: ["demo"] };
  const head = `${b64('{"alg":"HS256","typ":"JWT"}')}.${b64(JSON.stringify(body))}`;
  return `${head}.${createHmac("sha256", secret).update(head).digest("base64url")}`;
}

/** What it has asked is answered: who leaves before that is told so. */
const answered = (socket) => until(() => Object.keys(socket.acks).length === 0);

/** The examples of the manual that hold this. */
function example(word) {
  const all = MANUAL.split("\n.Bd -literal -offset indent\n").slice(1)
    .map((s) => s.split("\n.Ed\n")[0]).filter((s) => s.includes(word));
  assert.equal(all.length, 1, word);
  return all[0];
}

test("the README's client joins, sends, hears, and comes back", async () => {
  const code = README.match(/```js\n(.*?)```/s)[1]
    .replace(/import .*\n/, "").replace(":3002", `:${open.port}`);
  const said = [];
  const socket = new Function("io", "console", `${code}\nreturn socket;`)(io,
    { log: (...args) => said.push(args) });
  const bob = await open.client("bob");
  assert.ok((await join_(bob, "lobby", { workspaceId: "demo" })).ok);
  await until(async () => (await open.ctl("history", "demo/lobby")).seq === 1);
  await send(bob, "lobby", "hello ada");
  await until(() => said.length === 1);
  assert.deepEqual(said, [[2, "hello ada"]]);
  await open.ctl("broadcast", "--workspace", "demo", "to all");
  await until(() => said.length === 2);
  // for good: it has to join again, and is told what it missed
  await answered(socket);
  socket.disconnect();
  await send(bob, "lobby", "while you were away");
  socket.connect();
  await until(() => said.length === 3);
  assert.deepEqual(said[2], [3, "while you were away"]);
  await answered(socket);
  socket.disconnect();
});

test("the manual's client misses nothing and sends nothing twice", async () => {
  let seconds = 1;
  const freshToken = async () => sign("ada", (seconds += 2));
  const shown = [];
  const make = new Function("io", "url", "freshToken", "show",
    `${example("const socket")}\n${example("const join")}\nreturn { socket, send };`);
  const { socket, send: say } = make(io, `http://127.0.0.1:${jwt.port}`, freshToken,
    (m) => shown.push(m.content));
  socket.io.reconnectionDelay(100);
  // before there is a connection
  const first = await say("first");
  assert.equal(first.seq, 1, JSON.stringify(first));
  const bob = await jwt.client(undefined, { auth: { token: sign("bob") } });
  assert.ok((await join_(bob, "lobby", { workspaceId: "demo" })).ok);
  let said = 0;
  for (let i = 0; i < 4; i++) {
    // longer than a socket is kept
    await jwt.stop("SIGKILL");
    const late = say(`late ${i}`);
    await sleep(1200);
    await jwt.start();
    assert.ok((await late).ok);
    const b = await jwt.client(undefined, { auth: { token: sign(`bob${i}`) } });
    assert.ok((await join_(b, "lobby", { workspaceId: "demo" })).ok);
    for (let k = 0; k < 3; k++) assert.ok((await send(b, "lobby", `b ${said++}`)).ok);
    // its token ends now and then
    await sleep(500);
  }
  const bs = Array.from({ length: said }, (_, i) => `b ${i}`);
  await until(() => shown.filter((s) => s.startsWith("b ")).length >= said);
  assert.deepEqual(shown.filter((s) => s.startsWith("b ")), bs);
  const all = await jwt.ctl("history", "demo/lobby");
  assert.deepEqual(all.map((m) => m.content).filter((s) => s.startsWith("late")),
    ["late 0", "late 1", "late 2", "late 3"]);
  await answered(socket);
  socket.disconnect();
});

test("the manual's client in Python", () => {
  const code = example("import socketio").replace(":3002", `:${jwt.port}`);
  const out = execFileSync("/usr/bin/python3", ["-c",
    `token = ${JSON.stringify(sign("py"))}\n${code}\nsio.disconnect()\nprint("done")`],
  { encoding: "utf8", timeout: 20000 });
  assert.match(out, /done\n$/);
});

test("the manual names every event, every code and every command", () => {
  const sources = readdirSync(join(ROOT, "chat")).filter((f) => /\.[ch]$/.test(f))
    .flatMap((f) => [...readFileSync(join(ROOT, "chat", f), "utf8")
      .matchAll(/"(chat:[a-z-]+)"/g)].map((m) => m[1]));
  assert.ok(new Set(sources).size > 30);
  const codes = [...readFileSync(join(ROOT, "chat/tbl_errors.h"), "utf8")
    .matchAll(/^CHAT_ERROR\(\w+, "(\w+)"/gm)].map((m) => m[1]);
  assert.ok(codes.length > 20);
  const plain = MANUAL.replaceAll(/[^\w:-]+/g, " ").split(" ");
  for (const name of [...sources, ...codes]) assert.ok(plain.includes(name), name);

  const page = readFileSync(join(ROOT, "etc/man/chatctl.1"), "utf8");
  const commands = readFileSync(join(ROOT, "chatctl/tbl_commands.h"), "utf8")
    .replace(/#ifdef CHATD_FAULTS.*?#endif/s, "");
  for (const [, name] of commands.matchAll(/^COMMAND\("(\w+)"/gm))
    assert.match(page, new RegExp(`^\\.(It )?Cm ${name}\\b`, "m"));
});
