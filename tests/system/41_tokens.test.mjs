// auth.mode=jwt with a JWK set: all algorithms, what is told at CONNECT, tokens
// that end or are changed while their sockets are there, and other keys by
// reload; over two workers.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, sign as signBy, constants, randomBytes } from "node:crypto";
import { execFileSync } from "node:child_process";
import { mkdtempSync, writeFileSync, chmodSync, rmSync, renameSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Daemon, ask, join_, never, next, send, sleep, until, workerOf } from "./daemon.mjs";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const CHATD = resolve(ROOT, process.env.CHATD ?? "build/chatd");
const CHATCTL = resolve(ROOT, process.env.CHATCTL ?? "build/chatctl");
const dir = mkdtempSync(join(tmpdir(), "chatd-tokens-"));
chmodSync(dir, 0o755);
const GRACE = 3000;

// --- keys and tokens ----------------------------------------------------------

const pair = (kid, type, options = {}) =>
  ({ kid, ...generateKeyPairSync(type, options) });
const secret = { kid: "oct", secret: randomBytes(64) };
const rsa = pair("rsa", "rsa", { modulusLength: 2048 });
const other = pair("other", "rsa", { modulusLength: 2048 });
const p256 = pair("p256", "ec", { namedCurve: "P-256" });
const p384 = pair("p384", "ec", { namedCurve: "P-384" });
const p521 = pair("p521", "ec", { namedCurve: "P-521" });
const ed = pair("ed", "ed25519");
const all = [secret, rsa, p256, p384, p521, ed];

const jwk = (k) => k.secret
  ? { kty: "oct", kid: k.kid, k: k.secret.toString("base64url") }
  : { ...k.publicKey.export({ format: "jwk" }), kid: k.kid };
const jwksFile = join(dir, "jwks.json");
/** The set, put in its place as a whole. */
function writeKeys(keys, file = jwksFile) {
  writeFileSync(`${file}.new`, JSON.stringify({ keys: keys.map(jwk) }));
  chmodSync(`${file}.new`, 0o644);
  renameSync(`${file}.new`, file);
}

const b64 = (x) => Buffer.from(x).toString("base64url");
const now = () => Date.now() / 1000;
function signature(alg, key, text) {
  const hash = `sha${alg.slice(2)}`;
  if (alg[0] === "H")
    return createHmac(hash, key.secret).update(text).digest();
  if (alg === "EdDSA") return signBy(null, Buffer.from(text), key.privateKey);
  const options = { key: key.privateKey };
  if (alg[0] === "E") options.dsaEncoding = "ieee-p1363";
  if (alg[0] === "P") {
    options.padding = constants.RSA_PKCS1_PSS_PADDING;
    options.saltLength = constants.RSA_PSS_SALTLEN_DIGEST;
  }
  return signBy(hash, Buffer.from(text), options);
}
function token(claims = {}, { alg = "ES256", key = p256, header = {} } = {}) {
  const body = { sub: "ada", exp: now() + 600, workspaces: ["w1"], ...claims };
  const text = `${b64(JSON.stringify({ alg, kid: key.kid, ...header }))}.${b64(JSON.stringify(body))}`;
  return `${text}.${b64(signature(alg, key, text))}`;
}

// --- the daemon -----------------------------------------------------------------

writeKeys(all);
const d = new Daemon({ "auth.mode": "jwt", "auth.jwks_file": jwksFile,
  "auth.expiry_grace": `${GRACE}ms`, "log.level": "debug" });
before(() => d.start());
after(async () => {
  await d.end();
  rmSync(dir, { recursive: true, force: true });
});
const connect = (t, options) => d.client(undefined, { auth: { token: t }, ...options });
const connectOn = (worker, t) => d.clientOn(worker, undefined, { auth: { token: t } });
/** message and data of the CONNECT_ERROR */
async function refusal(t) {
  try {
    (await connect(t)).disconnect();
  } catch (e) {
    return { message: e.message, ...e.data };
  }
  throw new Error("let in");
}

// --- CONNECT ----------------------------------------------------------------------

const algorithms = [["HS256", secret], ["HS384", secret], ["HS512", secret],
  ["RS256", rsa], ["RS384", rsa], ["RS512", rsa], ["PS256", rsa], ["PS384", rsa],
  ["PS512", rsa], ["ES256", p256], ["ES384", p384], ["ES512", p521], ["EdDSA", ed]];
for (const [alg, key] of algorithms)
  test(`${alg} lets in, with kid and without`, async () => {
    for (const header of [{}, { kid: undefined }, { typ: "at+jwt", x: [1] }]) {
      const c = await connect(token({ sub: `user of ${alg}` }, { alg, key, header }));
      assert.equal((await join_(c, "s")).presence.userId, `user of ${alg}`);
      c.disconnect();
    }
  });

const INVALID = { message: "Token validation failed", code: "TOKEN_INVALID", retryable: false };
const pemOf = (k) => k.publicKey.export({ format: "pem", type: "spki" });
const bad = [
  ["no such key", () => token({}, { header: { kid: "gone" } }), "no key of this kid"],
  ["the key of another", () => token({}, { header: { kid: "rsa" } }), "the key of this kid is not for alg"],
  ["another key under that name", () => token({}, { alg: "RS256", key: other, header: { kid: "rsa" } }),
    "the signature is wrong"],
  ["a public key taken for a secret",
    () => token({}, { alg: "HS256", key: { kid: "rsa", secret: pemOf(rsa) } }),
    "the key of this kid is not for alg"],
  ["a public key taken for a secret, without kid",
    () => token({}, { alg: "HS256", key: { secret: pemOf(rsa) } }), "the signature is wrong"],
  ["a key in the header", () => token({}, { alg: "RS256", key: other,
    header: { kid: undefined, jwk: jwk(other) } }), "the signature is wrong"],
  ["crit", () => token({}, { header: { crit: ["exp"] } }), "the header has crit"],
  ["b64", () => token({}, { header: { b64: false } }), "the header has b64"],
  ["none", () => token({}).replace(/^[^.]*/, b64('{"alg":"none"}')), "alg is none"],
  ["no signature", () => token({}).replace(/[^.]*$/, ""), "a part is empty"],
  ["DER", () => {
    const [h, p] = token({}).split(".");
    return `${h}.${p}.${b64(signBy("sha256", Buffer.from(`${h}.${p}`), p256.privateKey))}`;
  }, "the signature has another length"],
  ["no exp", () => token({ exp: undefined }), "exp is missing"],
  ["not yet", () => token({ nbf: now() + 60 }), "nbf has not come"],
  ["no list", () => token({ workspaces: "w1" }), "workspaces is no list of workspaces"],
  ["a jti that is none", () => token({ jti: 7 }), "jti is no id"],
];
for (const [name, make, why] of bad)
  test(`refused: ${name}`, async () => {
    const from = d.log.length;
    assert.deepEqual(await refusal(make()), INVALID);
    // the log knows why, the client does not
    await until(() => d.log.slice(from).includes(why), 20000, why);
  });

test("expired is told apart, revoked as well", async () => {
  assert.deepEqual(await refusal(token({ exp: now() - 0.5 })),
    { ...INVALID, code: "TOKEN_EXPIRED" });
  assert.deepEqual(await refusal(""),
    { message: "Authentication required", code: "AUTHENTICATION_REQUIRED", retryable: false });
  const t = token({ sub: "rita", jti: "j-17" });
  const c = await connect(t);
  const why = next(c, "chat:disconnect-reason"), gone = next(c, "disconnect");
  await d.ctl("revoke", "--token", "j-17");
  assert.equal((await why).code, "TOKEN_REVOKED");
  assert.equal(await gone, "io server disconnect");
  assert.deepEqual(await refusal(t),
    { message: "Invalid session", code: "SESSION_INVALID", retryable: false });
  // another token of that user is fine
  (await connect(token({ sub: "rita", jti: "j-18" }))).disconnect();
});

test("one connection does not try tokens for ever", async () => {
  const { WebSocket } = await import("ws");
  const bad = token({}, { alg: "RS256", key: other, header: { kid: "rsa" } });
  const ws = new WebSocket(`ws://127.0.0.1:${d.port}/socket.io/?EIO=4&transport=websocket`);
  let refused = 0, closed = false;
  ws.on("message", (m) => {
    const text = String(m);
    if (text[0] === "0")
      for (let i = 0; i < 100; i++) ws.send(`40${JSON.stringify({ token: bad })}`);
    else if (text.startsWith("44")) refused++;
  });
  ws.on("close", () => (closed = true));
  await until(() => closed, 20000, "it is closed");
  assert.equal(refused, 16);
  // others come and go as before
  (await connect(token())).disconnect();
});

test("chatctl token signs by private keys", async () => {
  const file = join(dir, "private.pem");
  for (const [alg, key] of algorithms.slice(3)) {
    writeFileSync(file, key.privateKey.export({ format: "pem", type: "pkcs8" }));
    const t = execFileSync(CHATCTL, ["-s", join(d.dir, "run/chatd.sock"), "token", "--user", "tina", "--workspace", "w1", "--id",
      "t-9", "--kid", key.kid, "--algorithm", alg, "--key-file", file]).toString().trim();
    const c = await connect(t);
    assert.equal((await join_(c, "s")).presence.userId, "tina");
    c.disconnect();
  }
});

// --- tokens end --------------------------------------------------------------------

/** Its token ends soon, but not before that is known; when, in seconds. */
async function endsSoon(c, sub, soon = 1) {
  for (let s = soon; s < 60; s *= 2) {
    const exp = now() + s;
    const told = next(c, "chat:auth-expired", 60000 + s * 1000);
    const answer = await ask(c, "chat:refresh-token", { token: token({ sub, exp }) });
    if (answer.ok) return { exp, told };
    told.catch(() => {});
  }
  throw new Error("this machine is too slow");
}

test("a token that ends is told, and its socket let go", async () => {
  for (const worker of [0, 1]) {
    const c = await connectOn(worker, token({ sub: `eve${worker}` }));
    const bob = await connect(token({ sub: "bob" }));
    await join_(bob, "x");
    assert.ok((await join_(c, "x")).ok);
    c.io.opts.reconnection = true;
    let again = 0;
    c.io.on("reconnect_attempt", () => again++);
    const why = next(c, "chat:disconnect-reason", 60000), gone = next(c, "disconnect", 60000);
    const left = next(bob, "chat:user-left", 60000);
    const { exp, told } = await endsSoon(c, `eve${worker}`);
    assert.equal((await told).graceMs, GRACE);
    const at = Date.now();
    assert.ok(at >= exp * 1000 - 50, "not before its time");
    assert.ok(at < exp * 1000 + 10000, `${at - exp * 1000} ms late`);
    assert.ok((await send(c, "x", "in the grace time")).ok);
    assert.deepEqual(await why, { code: "TOKEN_EXPIRED", message: "Token has expired" });
    assert.ok(Date.now() >= exp * 1000 + GRACE - 50);
    assert.equal(await gone, "io server disconnect");
    assert.equal((await left).reason, "server namespace disconnect");
    // the stock client does not come back by itself
    await sleep(1500);
    assert.equal(again, 0);
    assert.equal(c.connected, false);
    bob.disconnect();
  }
});

test("who was let go may come back with another token", async () => {
  const c = await connect(token({ sub: "una" }));
  const gone = next(c, "disconnect", 60000);
  await endsSoon(c, "una");
  await gone;
  c.auth = { token: token({ sub: "una" }) };
  const there = next(c, "connect");
  c.connect();
  await there;
  assert.ok((await join_(c, "s")).ok);
  c.disconnect();
});

test("who polls is told the same", async () => {
  const c = await connect(token({ sub: "pia" }), { transports: ["polling"] });
  const why = next(c, "chat:disconnect-reason", 60000), gone = next(c, "disconnect", 60000);
  const { told } = await endsSoon(c, "pia");
  await told;
  assert.equal((await why).code, "TOKEN_EXPIRED");
  assert.equal(await gone, "io server disconnect");
});

test("who was recovered has an end as well", async () => {
  const exp = now() + 8;
  const c = await connect(token({ sub: "quin", exp }), { reconnection: true, reconnectionDelay: 50 });
  await join_(c, "s");
  assert.ok((await send(c, "s", "for the offset")).ok);
  const bob = await connect(token({ sub: "bob" }));
  await join_(bob, "s");
  const got = next(c, "chat:message-received");
  await send(bob, "s", "with an offset");
  await got;
  const there = next(c, "connect");
  c.io.engine.close();
  await there;
  assert.equal(c.recovered, true);
  await next(c, "chat:auth-expired", 60000);
  assert.ok(now() >= exp - 0.05);
  assert.equal((await next(c, "chat:disconnect-reason", 60000)).code, "TOKEN_EXPIRED");
  bob.disconnect();
});

const AT_ONCE = Number(process.env.TOKENS_AT_ONCE ?? 400);
test(`${AT_ONCE} tokens that end together`, { timeout: 120000 }, async () => {
  const late = [], clients = [], began = now();
  for (let i = 0; i < AT_ONCE; i++) clients.push(await connect(token({ sub: `t${i}` })));
  // to refresh takes less than to connect: all have it before the first ends
  const exp = now() + Math.max(3, now() - began);
  await Promise.all(clients.map(async (c, i) => {
    c.once("chat:auth-expired", () => late.push(now() - exp));
    assert.ok((await ask(c, "chat:refresh-token", { token: token({ sub: `t${i}`, exp }) })).ok);
  }));
  await until(() => late.length === AT_ONCE, 60000, "all are told");
  late.sort((x, y) => x - y);
  console.log(`# told ${(late[0] * 1000).toFixed(0)} to ${(late.at(-1) * 1000).toFixed(0)} ms after their end`);
  assert.ok(late[0] > -0.05 && late.at(-1) < 10, `${late[0]} ${late.at(-1)}`);
  await until(() => clients.every((c) => !c.connected), 60000, "all are let go");
});

test("another token in time keeps the socket", { timeout: 120000 }, async () => {
  for (const when of ["before", "within the grace time"]) {
    const c = await connect(token({ sub: "fay" }));
    await join_(c, "y");
    const { told } = await endsSoon(c, "fay", 2);
    if (when !== "before") await told;
    else told.catch(() => {});
    assert.deepEqual(await ask(c, "chat:refresh-token", { token: token({ sub: "fay" }) }), { ok: true });
    await never(c, "chat:disconnect-reason", 2000 + GRACE + 500);
    assert.ok((await send(c, "y", when)).ok);
    c.disconnect();
  }
});

test("a bad one leaves the old one in force", async () => {
  const c = await connect(token({ sub: "gil" }));
  const refresh = (t) => ask(c, "chat:refresh-token", { token: t });
  const denied = await refresh(token({ sub: "bob" }));
  assert.deepEqual(denied, { ok: false, error: "Access denied to chat session",
    code: "ACCESS_DENIED", retryable: false });
  assert.equal((await refresh(token({ sub: "gil", exp: now() - 1 }))).code, "TOKEN_EXPIRED");
  assert.equal((await refresh(token({ sub: "gil" }) + "x")).code, "TOKEN_INVALID");
  assert.equal((await refresh(7)).code, "INVALID_PAYLOAD");
  assert.equal((await ask(c, "chat:refresh-token", "x")).code, "INVALID_PAYLOAD");
  await d.ctl("revoke", "--token", "j-gil");
  assert.equal((await refresh(token({ sub: "gil", jti: "j-gil" }))).code, "SESSION_INVALID");
  assert.ok((await join_(c, "s")).ok);
  c.disconnect();
});

test("rights come from the new one at once", async () => {
  const c = await connectOn(0, token({ sub: "hal" }));
  const bob = await connectOn(1, token({ sub: "bob" }));
  for (const s of ["a", "b"]) {
    await join_(c, s);
    await join_(bob, s);
  }
  const lost = next(c, "chat:join-session-error"), left = next(bob, "chat:user-left");
  const t = token({ sub: "hal", workspaces: [{ id: "w1", role: "agent", sessions: ["b"] }] });
  assert.deepEqual(await ask(c, "chat:refresh-token", { token: t }), { ok: true });
  assert.deepEqual(await lost, { error: "Access denied to chat session", code: "ACCESS_DENIED",
    retryable: false, sessionId: "a", workspaceId: "w1" });
  const l = await left;
  assert.equal(l.sessionId, "a");
  assert.equal(l.reason, "access-revoked");
  const got = never(c, "chat:message-received");
  await send(bob, "a", "not for hal");
  await got;
  // and his role in the other one is the agent's
  const m = next(bob, "chat:message-received");
  assert.ok((await send(c, "b", "hello", { type: undefined })).ok);
  assert.equal((await m).type, "assistant");
  assert.equal((await join_(c, "a")).code, "ACCESS_DENIED");
  assert.equal((await send(c, "a", "x")).code, "NOT_JOINED");
  c.disconnect();
  bob.disconnect();
});

// --- other keys by reload ---------------------------------------------------------------

test("chatd -t names what is wrong with keys", () => {
  const file = join(dir, "bad.json"), pem = join(dir, "bad.pem");
  const small = generateKeyPairSync("rsa", { modulusLength: 1024 });
  writeFileSync(file, JSON.stringify({ keys: [
    { ...ed.privateKey.export({ format: "jwk" }), kid: "mine" },
    { ...small.publicKey.export({ format: "jwk" }), kid: "small" },
    { ...jwk(p256), kid: "twice" }, { ...jwk(p384), kid: "twice" },
    { kty: "oct", k: b64("short") }] }));
  writeFileSync(pem, rsa.privateKey.export({ format: "pem", type: "pkcs8" }));
  let out = "";
  try {
    execFileSync(CHATD, ["-t", "-c", "/dev/null", "-o", "user=nobody", "-o", "group=nogroup",
      "-o", `run_dir=${dir}`, "-o", `data_dir=${dir}`, "-o", `auth.jwks_file=${file}`,
      "-o", `auth.key_file=${pem}`], { stdio: "pipe" });
  } catch (e) {
    assert.equal(e.status, 1);
    out = String(e.stderr) + String(e.stdout);
  }
  for (const text of [
    `-o: auth.jwks_file: ${file}: key 1 (kid mine): it is a private key`,
    "key 2 (kid small): an RSA key of 1024 bits; 2048 to 8192 are taken",
    "key 4 (kid twice): another key of the set has this kid",
    "key 5: a secret of 5 bytes; it has 32 to 65536",
    `-o: auth.key_file: ${pem}: line 1: a private key does not belong here`])
    assert.ok(out.includes(text), `${text} in ${out}`);
});

test("a reload with a bad set changes nothing", async () => {
  writeFileSync(jwksFile, '{"keys":[]}');
  const from = d.log.length;
  await assert.rejects(d.ctl("reload"), /1 error/);
  await until(() => d.log.slice(from).includes("the set is empty"));
  const c = await connect(token({ sub: "ivy" }));
  c.disconnect();
  writeKeys(all);
  await d.ctl("reload");
});

// a generation's key; each client signs by the newest that it has heard of
const CLIENTS = Number(process.env.TOKENS_CLIENTS ?? 1000);
test(`keys rotate while ${CLIENTS} clients reconnect`, { timeout: 300000 }, async () => {
  const gens = [0, 1, 2].map((i) => pair(`gen${i}`, "ec", { namedCurve: "P-256" }));
  const of = (g, i) => token({ sub: `r${i}` }, { key: gens[g] });
  let oldest = 0, newest = 0, stop = false;
  const stats = { connected: 0, refusedOld: 0, wrong: [] };
  writeKeys([...all, gens[0]]);
  await d.ctl("reload");
  const stayed = [];
  for (const w of [0, 1]) stayed.push(await connectOn(w, of(0, `stay${w}`)));
  for (const c of stayed) await join_(c, "stay");

  async function lane(i) {
    while (!stop) {
      const before = newest, t = of(before, i);
      try {
        const c = await connect(t);
        stats.connected++;
        c.disconnect();
        d.sockets.delete(c);
      } catch (e) {
        // refused by its key only if that went meanwhile
        if (e.data?.code === "TOKEN_INVALID" && before < oldest) stats.refusedOld++;
        else stats.wrong.push(`${before} ${oldest} ${e.message} ${JSON.stringify(e.data)}`);
      }
    }
  }
  const lanes = [];
  for (let i = 0; i < CLIENTS; i++) lanes.push(lane(i));
  const settle = () => {
    const at = stats.connected;
    return until(() => stats.connected >= at + CLIENTS, 120000, "clients come and go");
  };
  await settle();
  // both are known; tokens are signed by the new one; the old one goes
  writeKeys([...all, gens[0], gens[1]]);
  await d.ctl("reload");
  newest = 1;
  await settle();
  oldest = 1;
  writeKeys([...all, gens[1]]);
  await d.ctl("reload");
  assert.deepEqual(await refusal(of(0, "late")), INVALID);
  await settle();
  // and in one step, as one does who has lost a key: nobody else is refused
  oldest = 2;
  newest = 2;
  writeKeys([...all, gens[2]]);
  await d.ctl("reload");
  await settle();
  stop = true;
  await Promise.all(lanes);
  console.log(`# ${stats.connected} let in, ${stats.refusedOld} refused with a key that had gone`);
  assert.ok(stats.connected >= CLIENTS);
  // in that step some may have come with the new key before it was known
  const early = stats.wrong.filter((x) => /^2 2 .*TOKEN_INVALID/.test(x));
  assert.deepEqual(stats.wrong.filter((x) => !early.includes(x)), []);
  for (const g of [0, 1])
    for (const w of [0, 1])
      await assert.rejects(connectOn(w, of(g, "late")), (e) => e.data.code === "TOKEN_INVALID");
  // who was there is there still, though its key is not
  for (const c of stayed) {
    assert.ok(c.connected);
    assert.ok((await send(c, "stay", "still here")).ok);
  }
  assert.deepEqual(stayed.map(workerOf).sort(), [0, 1]);
});
