// stock.mjs - the stock JavaScript clients in three versions, the
// conformance server, and a wire that can be cut.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import net from "node:net";
import { io as io4 } from "socket.io-client";
import { io as io3 } from "socket.io-client-3";
import io2 from "socket.io-client-2";
import { freePort } from "../system/daemon.mjs";

export { freePort };

const HERE = dirname(fileURLToPath(import.meta.url));
export const ROOT = resolve(HERE, "../..");
const CONFORMANCE = resolve(ROOT,
  process.env.CONFORMANCE ?? "build/chatd-conformance");

/** The clients: who a user is stands in the CONNECT packet, or in the query. */
export const CLIENTS = {
  4.8: { io: io4, recovers: true, who: (auth) => ({ auth }) },
  3.1: { io: io3, recovers: false, who: (auth) => ({ auth }) },
  2.5: { io: io2, recovers: false, eio3: true, who: (query) => ({ query }) },
};

export const TRANSPORTS = {
  polling: ["polling"],
  websocket: ["websocket"],
  upgrade: ["polling", "websocket"],
};

/** Every client by every transport: body(kind, transport, title) */
export function matrix(body) {
  for (const version of Object.keys(CLIENTS).sort().reverse())
    for (const transport of Object.keys(TRANSPORTS))
      body({ version, ...CLIENTS[version] }, transport,
        `${version} ${transport}:`);
}

const open = new Set();

/** A client of that kind; what it did is undone by hangUp(). */
export function dial(kind, transport, url, { auth, ...options } = {}) {
  const socket = kind.io(url, {
    transports: TRANSPORTS[transport],
    forceNew: true,
    reconnection: false,
    ...(auth ? kind.who(auth) : {}),
    ...options,
  });
  open.add(socket);
  return socket;
}

export function hangUp() {
  for (const socket of open) {
    socket.disconnect();
    (socket.io.engine ?? {}).close?.();
  }
  open.clear();
}

/** dial(), and wait until it stands (on websocket, if it is to upgrade). */
export async function connected(kind, transport, url, options) {
  const socket = dial(kind, transport, url, options);
  await connects(socket);
  return socket;
}

export function connects(socket, ms = 30000) {
  return new Promise((done, fail) => {
    const timer = setTimeout(() => fail(new Error("does not connect")), ms);
    const end = (then, x) => {
      clearTimeout(timer);
      then(x);
    };
    socket.once("connect", () => end(done, socket));
    // version 2 says it otherwise
    for (const event of ["connect_error", "error"])
      socket.once(event, (e) => end(fail,
        e instanceof Error ? e : new Error(JSON.stringify(e))));
  });
}

/** The transport is what the client ends with: after an upgrade websocket. */
export async function settles(socket, transport, ms = 30000) {
  const want = transport === "polling" ? "polling" : "websocket";
  const end = Date.now() + ms;
  while (socket.io.engine.transport.name !== want) {
    if (Date.now() > end)
      throw new Error(`stays on ${socket.io.engine.transport.name}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

/** Connect again; older clients must have finished closing for that. */
export async function connectAgain(socket) {
  for (let i = 0; i < 500 && socket.io.engine.readyState !== "closed"; i++)
    await new Promise((done) => setTimeout(done, 10));
  socket.connect();
  return connects(socket);
}

/** An event with an acknowledgement: all of its arguments. */
export function call(socket, event, ...args) {
  return new Promise((done, fail) => {
    const timer = setTimeout(() =>
      fail(new Error(`no acknowledgement of ${event}`)), 30000);
    socket.emit(event, ...args, (...answer) => {
      clearTimeout(timer);
      done(answer);
    });
  });
}

/** The arguments of the next event of that name. */
export function event(socket, name, ms = 30000) {
  return new Promise((done, fail) => {
    const timer = setTimeout(() => fail(new Error(`no ${name}`)), ms);
    timer.unref();
    socket.once(name, (...args) => {
      clearTimeout(timer);
      done(args);
    });
  });
}

/** The conformance server: options by name, true for those without value. */
export class Conformance {
  constructor(mode, options = {}) {
    this.options = { mode, workers: 2, ...options };
  }

  async start() {
    this.port = await freePort();
    const args = ["--port", String(this.port)];
    for (const [k, v] of Object.entries(this.options)) {
      args.push(`--${k}`);
      if (v !== true) args.push(String(v));
    }
    this.process = spawn(CONFORMANCE, args,
      { stdio: ["ignore", "pipe", "inherit"] });
    this.exited = new Promise((done) =>
      this.process.once("exit", (code, signal) => done({ code, signal })));
    const ready = new Promise((done) =>
      createInterface(this.process.stdout).on("line", (line) => {
        if (line === `listening on 127.0.0.1:${this.port}`) done(true);
      }));
    const failed = new Promise((_, fail) => this.process.once("error", fail));
    if (await Promise.race([ready, this.exited, failed]) !== true)
      throw new Error("the conformance server ended at once");
    this.url = `http://127.0.0.1:${this.port}`;
    return this;
  }

  async end() {
    hangUp();
    this.process.kill("SIGTERM");
    return this.exited;
  }
}

/** A wire to 127.0.0.1:port that can be cut, and kept cut. */
export class Wire {
  constructor(port) {
    this.to = port;
    this.pairs = new Set();
    this.orphans = new Set();
    this.broken = false;
  }

  start() {
    this.server = net.createServer({ allowHalfOpen: true }, (a) => {
      if (this.broken) return a.resetAndDestroy();
      const b = net.connect({ port: this.to, host: "127.0.0.1", allowHalfOpen: true });
      const pair = [a, b];
      this.pairs.add(pair);
      for (const [x, y] of [[a, b], [b, a]]) {
        x.setNoDelay();
        x.on("error", () => {});
        x.on("end", () => y.end());
        x.on("close", () => {
          if (this.orphans.has(pair)) return;
          y.destroy();
          this.pairs.delete(pair);
        });
        x.on("data", (data) => y.write(data));
      }
    });
    return new Promise((done) => this.server.listen(0, "127.0.0.1", () => {
      this.url = `http://127.0.0.1:${this.server.address().port}`;
      done(this);
    }));
  }

  /** All connections are reset, and new ones until mend(). */
  cut() {
    this.broken = true;
    for (const [a, b] of [...this.pairs, ...this.orphans]) {
      a.resetAndDestroy();
      b.resetAndDestroy();
    }
    this.pairs.clear();
    this.orphans.clear();
  }

  /** The same for the client only: the server hears nothing of it. */
  lose() {
    this.broken = true;
    for (const pair of this.pairs) {
      this.orphans.add(pair);
      pair[0].resetAndDestroy();
    }
    this.pairs.clear();
  }

  mend() {
    this.broken = false;
  }

  end() {
    this.cut();
    return new Promise((done) => this.server.close(done));
  }
}
