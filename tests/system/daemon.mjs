// daemon.mjs - the real daemon in a temporary directory, and what tests
// want to know about it.
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import net from "node:net";
import { io } from "socket.io-client";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const CHATD = resolve(ROOT, process.env.CHATD ?? "build/chatd");
const CHATCTL = resolve(ROOT, process.env.CHATCTL ?? "build/chatctl");

/** Options of the configuration that is tested, as "name=value name=value". */
const CONFIGURATION = Object.fromEntries(
  (process.env.CHATD_TEST_OPTIONS ?? "").split(/\s+/).filter(Boolean)
    .map((o) => o.split(/=(.*)/s).slice(0, 2)));

/** The most that a text and metadata may be in this configuration. */
export const TEXT = Number(CONFIGURATION["limits.message_length"] ?? 10000);
export const METADATA = Number(CONFIGURATION["limits.metadata_bytes"] ?? 8192);
/** The same of the text of a stream, in KiB. */
export const STREAM = parseInt(CONFIGURATION["stream.max_text"] ?? "256k");

export { sleep };

/** What should take no time may take so long on a machine that is busy, ms. */
const PATIENCE = 20000;

let ports = process.pid * 61;
/** None that the kernel gives to who connects, nor one of another test. */
export async function freePort() {
  for (;;) {
    const port = 12000 + ports++ % 20000;
    const free = await new Promise((done) => {
      const s = net.createServer().once("error", () => done(false))
        .listen(port, "127.0.0.1", () => s.close(() => done(true)));
    });
    if (free) return port;
  }
}

function children(pid) {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
    .trim().split(/\s+/).filter(Boolean).map(Number);
}

function title(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")[0];
  } catch {
    return "";
  }
}

/** Whether there is that process still. */
export function alive(pid) {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1][0] !== "Z";
  } catch {
    return false;
  }
}

export class Daemon {
  /** options: chatd options by name; without: limits off, nobody checked */
  constructor(options = {}) {
    this.dir = mkdtempSync(join(tmpdir(), "chatd-test-"));
    this.options = {
      "auth.mode": "none",
      workers: 2,
      "log.target": "stderr",
      "limits.message_rate": 0,
      "limits.typing_rate": 0,
      "limits.join_rate": 0,
      "limits.history_rate": 0,
      "limits.presence_rate": 0,
      "limits.connect_rate": 0,
      "content.burst": 0,
      "limits.connections_per_user": 0,
      ...CONFIGURATION,
      ...options,
    };
    this.log = "";
    this.sockets = new Set();
  }

  async start() {
    this.port ??= await freePort();
    const o = {
      listen: `127.0.0.1:${this.port}`,
      run_dir: join(this.dir, "run"),
      data_dir: join(this.dir, "data"),
      user: "nobody",
      group: "nogroup",
      ...this.options,
    };
    const args = ["-d", "-c", "/dev/null"];
    for (const [k, v] of Object.entries(o)) args.push("-o", `${k}=${v}`);
    this.process = spawn(CHATD, args, { stdio: ["ignore", "ignore", "pipe"] });
    this.process.stderr.on("data", (d) => (this.log += d));
    this.exited = new Promise((done) =>
      this.process.on("exit", (code, signal) => done({ code, signal })));
    let gone = null;
    this.exited.then((how) => (gone = how));
    for (let i = 0; i < 1800; i++) {
      if (gone) throw new Error(`chatd ended at once: ${this.log}`);
      try {
        const s = await this.ctl("status");
        if (s.state === "running") return this;
      } catch { /* not yet */ }
      await sleep(50);
    }
    throw new Error(`chatd does not answer: ${this.log}`);
  }

  get pid() {
    return this.process.pid;
  }

  /** pids of the children: { scribe, workers: { slot: pid } } */
  roles() {
    const found = { scribe: 0, workers: {} };
    for (const pid of children(this.pid)) {
      const name = title(pid);
      const m = name.match(/^chatd: worker (\d+)/);
      if (m) found.workers[m[1]] = pid;
      else if (name.startsWith("chatd: scribe")) found.scribe = pid;
    }
    return found;
  }

  /** chatctl -j; the last JSON document, or all of them */
  ctl(...args) {
    return new Promise((done, fail) => {
      execFile(CHATCTL, ["-j", "-s", join(this.dir, "run/chatd.sock"), ...args],
        { maxBuffer: 1 << 26 }, (err, out, errout) => {
          if (err) return fail(new Error(errout || err.message));
          const docs = out.trim().split("\n").filter(Boolean)
            .map((l) => JSON.parse(l));
          done(docs.length === 1 ? docs[0] : docs);
        });
    });
  }

  async stop(signal = "SIGTERM") {
    if (!this.process) return null;
    for (const s of this.sockets) s.disconnect();
    this.sockets.clear();
    this.process.kill(signal);
    const how = await this.exited;
    this.process = null;
    return how;
  }

  async restart() {
    const kept = this.sockets;
    this.sockets = new Set();
    this.process.kill("SIGTERM");
    const how = await this.exited;
    this.sockets = kept;
    await this.start();
    return how;
  }

  /** Stop and remove everything. */
  async end() {
    for (const s of this.sockets) s.disconnect();
    const how = await this.stop();
    rmSync(this.dir, { recursive: true, force: true });
    return how;
  }

  /** A stock client; resolves when it is connected. */
  client(userId, { auth = {}, wait = true, ...options } = {}) {
    const socket = io(`http://127.0.0.1:${this.port}`, {
      transports: ["websocket"],
      forceNew: true,
      reconnection: false,
      auth: { userId, userName: userId, ...auth },
      ...options,
    });
    this.sockets.add(socket);
    if (!wait) return socket;
    return new Promise((done, fail) => {
      socket.once("connect", () => done(socket));
      socket.once("connect_error", fail);
    });
  }

  /** A client on this worker: connect until it is there. */
  async clientOn(worker, userId, options) {
    // the others stay until then: the least loaded worker gets the next one
    const others = [];
    const leave = () => {
      for (const socket of others.splice(0)) {
        socket.disconnect();
        this.sockets.delete(socket);
      }
    };
    const end = Date.now() + PATIENCE;
    try {
      while (Date.now() < end) {
        const socket = await this.client(userId, options);
        if (workerOf(socket) === worker) return socket;
        others.push(socket);
        if (others.length < 50) continue;
        // a worker that was killed comes back, but not at once
        leave();
        await sleep(100);
      }
    } finally {
      leave();
    }
    throw new Error(`no connection reached worker ${worker}`);
  }
}

/** The worker that owns a connection stands in its Engine.IO id. */
export function workerOf(socket) {
  return Buffer.from(socket.io.engine.id, "base64url")[14];
}

/** The next event of that name, or an error after a while. */
export function next(socket, event, ms = PATIENCE) {
  return new Promise((done, fail) => {
    const timer = setTimeout(() => {
      socket.off(event, on);
      fail(new Error(`no ${event} within ${ms} ms`));
    }, ms);
    // one that nobody waits for any more keeps no process
    timer.unref();
    function on(...args) {
      clearTimeout(timer);
      // behind the payload of stored events stands the recovery offset
      done(args[0]);
    }
    socket.once(event, on);
  });
}

/** Fails if the event comes within that time. */
export async function never(socket, event, ms = 300) {
  let seen = null;
  const on = (x) => (seen = x);
  socket.on(event, on);
  await sleep(ms);
  socket.off(event, on);
  if (seen !== null)
    throw new Error(`unexpected ${event}: ${JSON.stringify(seen)}`);
}

/** Collects the events of that name. */
export function collect(socket, event) {
  const list = [];
  socket.on(event, (x) => list.push(x));
  return list;
}

export async function until(what, ms = PATIENCE, why = "condition") {
  const end = Date.now() + ms;
  for (;;) {
    const x = await what();
    if (x) return x;
    if (Date.now() > end) throw new Error(`${why} not met within ${ms} ms`);
    await sleep(20);
  }
}

/** Asks for it until it is refused: so many pass at once, and then as many as
    a minute's rate has given since. What refuses it. */
export async function spend(event, limit, rate, since = Date.now()) {
  for (let passed = 0; ; passed++) {
    const answer = await event(passed);
    // a worker's clock may be a bit behind
    const more = Math.floor((Date.now() - since + 100) * rate / 60000);
    if (answer.ok ? passed >= limit + more : passed < limit)
      throw new Error(`${passed} have passed of ${limit} and ${more}: ` +
        JSON.stringify(answer));
    if (!answer.ok) return { ...answer, more: passed - limit };
  }
}

export function join_(socket, sessionId, extra = {}) {
  return socket.emitWithAck("chat:join-session",
    { sessionId, workspaceId: "w1", ...extra });
}

export function send(socket, sessionId, content, extra = {}) {
  return socket.emitWithAck("chat:send-message",
    { message: { content, type: "user", sessionId, ...extra } });
}

/** Any event, and its acknowledgement. */
export function ask(socket, event, payload) {
  return socket.emitWithAck(event, payload);
}
