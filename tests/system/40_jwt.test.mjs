// auth.mode=jwt: tokens that chatctl signs, and those that are refused.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdtempSync, writeFileSync, chmodSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Daemon, join_, send } from "./daemon.mjs";

const dir = mkdtempSync(join(tmpdir(), "chatd-jwt-"));
chmodSync(dir, 0o755);
const secret = "0123456789abcdef0123456789abcdef-secret";
const file = join(dir, "secret");
writeFileSync(file, secret + "\n");
const d = new Daemon({ "auth.mode": "jwt", "auth.secret_file": file });
before(() => d.start());
after(async () => {
  await d.end();
  rmSync(dir, { recursive: true, force: true });
});

const b64 = (x) => Buffer.from(x).toString("base64url");
const now = () => Math.floor(Date.now() / 1000);
function sign(claims, header = { alg: "HS256", typ: "JWT" }, key = secret) {
  const head = `${b64(JSON.stringify(header))}.${b64(JSON.stringify(claims))}`;
  return `${head}.${createHmac("sha256", key).update(head).digest("base64url")}`;
}
const good = () => ({ sub: "ada", name: "Ada", exp: now() + 600, workspaces: ["w1"] });
const connect = (token, options) =>
  d.client(undefined, { auth: { token, userId: "forged" }, ...options });

test("a good token names the user", async () => {
  const c = await connect(sign(good()));
  const j = await join_(c, "s");
  assert.equal(j.presence.userId, "ada");
  assert.equal(j.presence.userName, "Ada");
  assert.ok((await send(c, "s", "hi")).ok);
  assert.equal((await join_(c, "s2", { workspaceId: "w2" })).code, "ACCESS_DENIED");
});

test("the Authorization header is the fallback", async () => {
  const c = await d.client(undefined, { auth: {},
    extraHeaders: { Authorization: `Bearer ${sign(good())}` } });
  assert.equal((await join_(c, "s")).presence.userId, "ada");
});

test("chatctl token signs one that works", async () => {
  const { execFileSync } = await import("node:child_process");
  const ctl = process.env.CHATCTL ?? "build/chatctl";
  const { resolve, dirname } = await import("node:path");
  const root = resolve(dirname(new URL(import.meta.url).pathname), "../..");
  const token = execFileSync(resolve(root, ctl), ["token", "--user", "tina",
    "--workspace", "w1", "--secret-file", file]).toString().trim();
  const c = await connect(token);
  assert.equal((await join_(c, "s")).presence.userId, "tina");
});

const refused = [
  ["no token", undefined, "Authentication required", "AUTHENTICATION_REQUIRED"],
  ["another key", () => sign(good(), undefined, "x".repeat(40)), "Token validation failed", "TOKEN_INVALID"],
  ["expired", () => sign({ ...good(), exp: now() - 5 }), "Token validation failed", "TOKEN_EXPIRED"],
  ["no exp", () => sign({ ...good(), exp: undefined }), "Token validation failed", "TOKEN_INVALID"],
  ["not yet", () => sign({ ...good(), nbf: now() + 500 }), "Token validation failed", "TOKEN_INVALID"],
  ["alg none", () => `${b64('{"alg":"none"}')}.${b64(JSON.stringify(good()))}.`, "Token validation failed", "TOKEN_INVALID"],
  ["no sub", () => sign({ ...good(), sub: undefined }), "Token validation failed", "TOKEN_INVALID"],
  ["unknown role", () => sign({ ...good(), role: "king" }), "Token validation failed", "TOKEN_INVALID"],
  ["crit", () => sign(good(), { alg: "HS256", crit: ["x"], x: 1 }), "Token validation failed", "TOKEN_INVALID"],
  ["garbage", () => "a.b.c", "Token validation failed", "TOKEN_INVALID"],
  ["a number", () => 5, "Token validation failed", "TOKEN_INVALID"],
];
for (const [name, token, text, code] of refused)
  test(`refused: ${name}`, async () => {
    await assert.rejects(connect(token?.()), (e) => {
      assert.equal(e.message, text);
      assert.equal(e.data.code, code);
      assert.equal(e.data.retryable, false);
      return true;
    });
  });

test("no workspaces give none", async () => {
  for (const workspaces of [undefined, []]) {
    const c = await connect(sign({ ...good(), sub: `n${workspaces}`, workspaces }));
    assert.equal((await join_(c, "s")).code, "ACCESS_DENIED");
  }
  const c = await connect(sign({ ...good(), sub: "listed",
    workspaces: [{ id: "w1", sessions: ["only"] }] }));
  assert.ok((await join_(c, "only")).ok);
  assert.equal((await join_(c, "other")).code, "ACCESS_DENIED");
});
