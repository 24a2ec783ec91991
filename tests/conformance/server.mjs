// server.mjs - a conformance server of its own for a test, and the client
// libraries of tests/system.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = resolve(HERE, "../..");
const require = createRequire(resolve(HERE, "../system/package.json"));
const COMMAND = (process.env.CONFORMANCE ?? "build/chatd-conformance")
  .split(/\s+/);

export const { io } = require("socket.io-client");
export const { Socket: Engine } = require("engine.io-client");
export const { WebSocket } = require("ws");
// any other program with the same command line, to compare with
export const isOurs = COMMAND[0].includes("chatd-conformance");
export { sleep };

export class Server {
  constructor(mode, options = {}) {
    this.args = ["--port", "0", "--mode", mode];
    for (const [name, value] of Object.entries(options))
      this.args.push(`--${name}`, ...(value === true ? [] : [`${value}`]));
    this.log = "";
    this.clients = new Set();
  }

  async start() {
    this.process = spawn(COMMAND[0], [...COMMAND.slice(1), ...this.args],
      { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
    this.process.stderr.on("data", (d) => (this.log += d));
    this.ended = new Promise((done) => this.process.on("close",
      (code, signal) => done({ code, signal, log: this.log })));
    let said = "";
    await Promise.race([
      new Promise((done) => this.process.stdout.on("data", (d) => {
        if ((said += d).includes("\n")) done();
      })),
      this.ended,
    ]);
    const m = /^listening on 127\.0\.0\.1:(\d+)\n$/.exec(said);
    if (!m) throw new Error(`${this.args.join(" ")}: ${said}${this.log}`);
    this.port = Number(m[1]);
    return this;
  }

  url(path = "") {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  workers() {
    const { pid } = this.process;
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
      .trim().split(/\s+/).map(Number);
  }

  /** A Socket.IO client of its own; nsp with its slash. */
  client(transports, nsp = "/", options = {}) {
    const c = io(this.url(nsp), { transports, forceNew: true,
      reconnectionDelay: 50, reconnectionDelayMax: 50, ...options });
    this.clients.add(c);
    return c;
  }

  /** SIGTERM; how it ended. */
  async stop() {
    for (const c of this.clients) c.disconnect();
    this.process.kill("SIGTERM");
    return await this.ended;
  }
}

/** Start one, run fn with it, end it; it must end with status 0. */
export async function withServer(mode, options, fn) {
  const server = await new Server(mode, options).start();
  let wrong = null;
  try {
    await fn(server);
  } catch (e) {
    wrong = e;
  }
  const how = await server.stop();
  if (wrong) {
    wrong.message += `\n${server.args.join(" ")}\n${how.log}`;
    throw wrong;
  }
  if (how.code !== 0 || /Sanitizer|runtime error/.test(how.log))
    throw new Error(`${server.args.join(" ")} ended with ${how.code} ` +
      `${how.signal}\n${how.log}`);
}

/** The arguments of the next event of that name; in time. */
export function next(emitter, name, ms = 15000) {
  return new Promise((done, fail) => {
    const timer = setTimeout(() => {
      emitter.off(name, got);
      fail(new Error(`no ${name} within ${ms} ms`));
    }, ms);
    const got = (...args) => {
      clearTimeout(timer);
      done(args);
    };
    emitter.once(name, got);
  });
}

/** Emit and wait for the event that answers. */
export function ask(socket, answer, name, ...args) {
  const got = next(socket, answer);
  socket.emit(name, ...args);
  return got;
}

/** Emit and wait for the acknowledgement. */
export function acked(socket, name, ...args) {
  return new Promise((done, fail) => {
    socket.timeout(15000).emit(name, ...args, (err, ...got) =>
      err ? fail(new Error(`${name}: ${err.message}`)) : done(got));
  });
}
