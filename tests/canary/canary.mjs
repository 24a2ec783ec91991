// canary.mjs - two workspaces, each with words that must never be seen in the
// other, and clients of both that try everything to see them.
//
//   node canary.mjs [--operations n] [--seed n] [--workers n]
//
// Every byte that a client receives is looked through.  Hostile clients know
// all names of the other side - sessions, message ids, pids, socket ids - and
// use them; what they cannot know are the other side's words.  The same ids
// of sessions are used on both sides, and joined first at the same time.
// Prints what was done and what came over; exit status 1 if anything did.
import { parseArgs } from "node:util";
import { Daemon, sleep } from "../system/daemon.mjs";

const { values: args } = parseArgs({ options: {
  operations: { type: "string", default: "1000000" },
  seed: { type: "string", default: "1" },
  workers: { type: "string", default: "2" },
  clients: { type: "string", default: "40" },
} });
const OPERATIONS = Number(args.operations);
const CLIENTS = Number(args.clients);
const WINDOW = 100;

// --- chance -----------------------------------------------------------------

let state = BigInt(args.seed) * 0x9e3779b97f4a7c15n + 1n;
function random() {
  state = BigInt.asUintN(64, state * 6364136223846793005n +
    1442695040888963407n);
  return Number(state >> 33n);
}
const upTo = (n) => random() % n;
const oneOf = (list) => list[upTo(list.length)];

// --- the two sides ----------------------------------------------------------

const SIDES = ["alpha", "beta"].map((name, i) => ({
  name, i,
  word: `CANARY_${name}_${(random() * 0x7fffffff).toString(36)}`,
  clients: [],
  // what the other side may know and use
  messages: [], streams: [], pids: [], offsets: [], sockets: [],
  seen: 0,
}));
const other = (side) => SIDES[1 - side.i];

/** Sessions that both sides have, and some that only one has. */
const SHARED = Array.from({ length: 12 }, (_, i) => `shared${i}`);
const OWN = SIDES.map((side) =>
  Array.from({ length: 12 }, (_, i) => `${side.name}${i}`));
const NOWHERE = Array.from({ length: 12 }, (_, i) => `nowhere${i}`);

const leaks = [];
const counts = {};
let done = 0;
let races = 0;
// answers that did not come in time
let late = 0;

function leak(client, what, data) {
  if (leaks.length < 20)
    leaks.push(`${client.name} of ${client.side.name} sees ${what}: ` +
      String(data).slice(0, 300));
  else if (leaks.length === 20) leaks.push("...");
}

function look(client, data) {
  const text = typeof data === "string" ? data : String(data ?? "");
  if (text.includes(other(client.side).word))
    leak(client, "a word of the other side", text);
  if (text.includes(client.side.word)) client.side.seen++;
}

/** What cannot be told from one that there is not. */
const shapes = new Map();
function compare(client, event, kind, answer) {
  const { error, code, retryable, ok, ...rest } = answer;
  const shape = JSON.stringify([ok, error, code, retryable,
    Object.keys(rest).sort()]);
  const key = `${event}`;
  const known = shapes.get(key) ?? {};
  known[kind] ??= new Set();
  known[kind].add(shape);
  shapes.set(key, known);
}

// --- a client ----------------------------------------------------------------

class Client {
  constructor(d, side, n) {
    this.d = d;
    this.side = side;
    this.name = `${side.name}-${n}`;
    this.role = n % 5 === 0 ? "agent" : n % 11 === 0 ? "service" : "user";
    // what is not answered yet
    this.open = new Set();
    this.serial = 0;
  }

  get waiting() {
    return this.open.size;
  }

  async connect(auth = {}) {
    this.socket = this.d.client(this.name, { wait: false, auth: {
      userId: `${this.side.word}_${this.name}`,
      userName: `${this.side.word} ${this.name}`,
      role: this.role, workspaces: [this.side.name], ...auth,
    } });
    const { io } = this.socket;
    await new Promise((opened, failed) => {
      io.once("open", opened);
      io.once("error", failed);
    });
    io.engine.on("packet", (p) => look(this, p.data));
    await new Promise((connected) => {
      this.socket.once("connect", connected);
      this.socket.once("connect_error", connected);
    });
    const { open } = this;
    this.socket.once("disconnect", () => open.forEach((f) => f(null)));
    const pid = this.socket._pid;
    if (this.socket.recovered && auth.pid) leak(this, "another's socket", pid);
    if (pid) {
      this.side.pids.push(pid);
      this.side.sockets.push(this.socket.id);
    }
    return this;
  }

  /** Emits, counts, and looks at the answer's shape. */
  ask(event, payload, kind) {
    counts[event] = (counts[event] ?? 0) + 1;
    const { open } = this;
    const settle = (answer) => {
      if (!open.delete(settle)) return;
      clearTimeout(timer);
      done++;
      if (answer && kind && answer.ok === false)
        compare(this, event, kind, answer);
      if (answer && kind && answer.ok === true)
        leak(this, `${event} of a ${kind} session`, JSON.stringify(payload));
    };
    const timer = setTimeout(() => {
      late++;
      settle(null);
    }, 20000);
    open.add(settle);
    this.socket.emit(event, payload, settle);
  }

  id() {
    return `${this.name}-${this.serial++}`;
  }

  session() {
    return oneOf(upTo(2) ? SHARED : OWN[this.side.i]);
  }

  words() {
    return `${this.side.word} says ${this.serial}`;
  }

  // - what everybody does -

  join() {
    this.ask("chat:join-session", { sessionId: this.session(),
      workspaceId: this.side.name, agentId: this.side.word,
      // all of it is much: seldom
      ...(upTo(100) === 0 ? { afterSeq: 0, afterRevision: 0 } : {}) });
  }

  leave() {
    this.ask("chat:leave-session", { sessionId: this.session() });
  }

  send() {
    const id = this.id();
    const sessionId = this.session();
    this.side.messages.push([sessionId, id]);
    if (this.side.messages.length > 2000) this.side.messages.shift();
    this.ask("chat:send-message", { message: { id, sessionId,
      content: this.words(), metadata: { word: this.side.word } } });
  }

  typing() {
    this.ask("chat:typing",
      { sessionId: this.session(), isTyping: upTo(2) === 0 });
  }

  presence() {
    this.ask("chat:update-presence", { sessionId: this.session(),
      status: oneOf(["active", "idle", "away"]) });
  }

  history() {
    this.ask("chat:request-history", { sessionId: this.session(),
      limit: 1 + upTo(5), offset: upTo(20) });
  }

  roster() {
    this.ask("chat:request-presence", { sessionId: this.session(), limit: 2,
      ...(upTo(2) ? { after: oneOf(this.side.sockets) } : {}) });
  }

  stream() {
    const started = oneOf(this.side.streams.slice(-20)) ??
      [this.session(), this.id()];
    const [sessionId, messageId] = upTo(3) ? started :
      [this.session(), this.id()];
    this.side.streams.push([sessionId, messageId]);
    if (this.side.streams.length > 500) this.side.streams.shift();
    this.ask("chat:agent-message-stream", { sessionId, messageId,
      chunk: `${this.words()} `, isComplete: upTo(4) === 0,
      agentId: this.side.word });
  }

  cancel() {
    const [sessionId, messageId] = oneOf(this.side.streams) ?? ["x", "y"];
    this.ask("chat:cancel-stream", { sessionId, messageId });
  }

  change() {
    const [sessionId, messageId] = oneOf(this.side.messages.slice(-200)) ??
      ["x", "y"];
    if (upTo(3))
      this.ask("chat:edit-message",
        { sessionId, messageId, content: `${this.words()} now` });
    else
      this.ask("chat:delete-message", { sessionId, messageId });
  }

  read() {
    this.ask("chat:mark-read", { sessionId: this.session(), seq: upTo(50) });
  }

  // - what only the hostile do: everything of the other side -

  /** A session of the other side that we are not in, or one of nobody. */
  foreign() {
    return upTo(2) ? ["foreign", oneOf(OWN[1 - this.side.i])] :
      ["unknown", oneOf(NOWHERE)];
  }

  attack() {
    const them = other(this.side);
    const [kind, sessionId] = this.foreign();
    const [, messageId] = oneOf(them.messages) ?? ["", "none"];
    const [, streamId] = oneOf(them.streams) ?? ["", "none"];
    switch (upTo(13)) {
    case 0:
      return this.ask("chat:join-session", { sessionId,
        workspaceId: them.name, afterSeq: 0 }, kind);
    case 1:
      // ours by name: it must be another one than theirs
      return this.ask("chat:join-session",
        { sessionId: oneOf(SHARED), workspaceId: them.name }, "named");
    case 2:
      return this.ask("chat:send-message", { message: { sessionId,
        id: messageId, content: "hostile", workspaceId: them.name } }, kind);
    case 3:
      return this.ask("chat:request-history", { sessionId,
        workspaceId: them.name, limit: 200 }, kind);
    case 4:
      return this.ask("chat:request-presence", { sessionId,
        after: oneOf(them.sockets) }, kind);
    case 5:
      return this.ask("chat:edit-message",
        { sessionId, messageId, content: "hostile" }, kind);
    case 6:
      return this.ask("chat:delete-message", { sessionId, messageId }, kind);
    case 7:
      return this.ask("chat:mark-read", { sessionId, seq: 0 }, kind);
    case 8:
      return this.ask("chat:agent-message-stream", { sessionId,
        messageId: streamId, chunk: "hostile", isComplete: true }, kind);
    case 9:
      return this.ask("chat:cancel-stream",
        { sessionId, messageId: streamId }, kind);
    case 10:
      return this.ask("chat:typing", { sessionId, isTyping: true }, kind);
    case 11:
      return this.ask("chat:leave-session", { sessionId }, kind);
    default: {
      // their ids in a session of the same name that is ours
      const [s, id] = oneOf(them.messages) ?? ["x", "y"];
      if (!SHARED.includes(s)) return this.history();
      return upTo(2) ?
        this.ask("chat:edit-message",
          { sessionId: s, messageId: id, content: "hostile" }, "theirs") :
        this.ask("chat:cancel-stream",
          { sessionId: s, messageId: streamId }, "theirs");
    }
    }
  }

  step() {
    const x = upTo(100);
    if (x < 30) this.attack();
    else if (x < 52) this.send();
    else if (x < 60) this.join();
    else if (x < 68) this.history();
    else if (x < 73) this.typing();
    else if (x < 76) this.presence();
    else if (x < 79) this.read();
    else if (x < 82) this.roster();
    else if (x < 87) this.change();
    else if (x < 95 && this.role !== "user") this.stream();
    else if (x < 97) this.cancel();
    else if (x < 98) this.leave();
    else this.send();
  }

  /** The connection is cut; it comes back with a pid of the other side. */
  async steal() {
    const them = other(this.side);
    const pid = oneOf(them.pids.slice(-30));
    const { socket } = this;
    this.d.sockets.delete(socket);
    socket.io.engine.close();
    socket.disconnect();
    this.open.forEach((f) => f(null));
    this.open = new Set();
    counts.steal = (counts.steal ?? 0) + 1;
    await this.connect({ pid, offset: socket._lastOffset ?? "" });
    done++;
  }
}

/** Both sides make a session of the same name at the same time. */
function race() {
  const sessionId = `race${races++}`;
  for (const side of SIDES) {
    const c = oneOf(side.clients);
    c.ask("chat:join-session", { sessionId, workspaceId: side.name });
    c.ask("chat:send-message", { message: { id: c.id(), sessionId,
      content: c.words() } });
    c.ask("chat:request-history", { sessionId });
    c.ask("chat:leave-session", { sessionId });
  }
}

/** What an operator says to one side is nothing to the other. */
async function operator(d) {
  const { name, word } = oneOf(SIDES);
  const session = `${name}/${oneOf(SHARED)}`;
  counts.operator = (counts.operator ?? 0) + 1;
  await d.ctl("broadcast", "--workspace", name, `${word} to all`);
  await d.ctl("broadcast", "--session", session, `${word} to some`);
  await d.ctl("say", session, `${word} to who is here`);
  await d.ctl("session", "status", session, "paused", word);
}

// --- all of it -----------------------------------------------------------------

async function main() {
  const d = new Daemon({ workers: Number(args.workers),
    "limits.sessions_per_socket": 0, "log.level": "error",
    "limits.chunk_rate": 0, "content.burst": 0 });
  await d.start();
  const began = Date.now();
  let status = 0;
  try {
    for (const side of SIDES)
      for (let i = 0; i < CLIENTS / 2; i++) {
        const c = await new Client(d, side, i).connect();
        side.clients.push(c);
        for (const s of [...OWN[side.i], ...SHARED])
          if (upTo(3)) c.ask("chat:join-session",
            { sessionId: s, workspaceId: side.name });
      }
    const all = SIDES.flatMap((s) => s.clients);
    let turn = 0;
    while (done < OPERATIONS && leaks.length === 0) {
      const c = all[turn++ % all.length];
      if (!c.socket.connected) {
        await c.connect();
        continue;
      }
      if (turn % 300 === 0) await c.steal();
      if (turn % 100 === 0) race();
      for (let i = 0; i < 5 && c.waiting < WINDOW; i++) c.step();
      if (turn % all.length === 0) await sleep(0);
      if (turn % 3000 === 0) await operator(d);
    }
    for (let i = 0; i < 100 && all.some((c) => c.waiting > 0); i++)
      await sleep(50);
    const seconds = (Date.now() - began) / 1000;
    console.log(`${done} operations in ${seconds.toFixed(0)} s, seed ` +
      `${args.seed}: ${JSON.stringify(counts)}`);
    console.log(`own words seen: ${SIDES.map((s) => s.seen).join(", ")}; ` +
      `${races} races, ${counts.steal ?? 0} pids tried, ${late} not answered`);
  } finally {
    const how = await d.end();
    if (how?.code !== 0) {
      leaks.push(`the daemon ended with ${JSON.stringify(how)}`);
    }
  }
  // the test must be able to see
  for (const side of SIDES)
    if (side.seen < done / 100) leaks.push(`${side.name} hears too little`);
  for (const [event, kinds] of shapes) {
    const [a, b] = [kinds.foreign, kinds.unknown]
      .map((x) => JSON.stringify([...(x ?? [])].sort()));
    if (kinds.foreign && kinds.unknown && a !== b)
      leaks.push(`${event} tells whether a session exists: ${a} ${b}`);
  }
  for (const x of leaks) console.log(`LEAK ${x}`);
  if (leaks.length > 0) status = 1;
  console.log(`${leaks.length === 0 ? 1 : 0} passed, ${status} failed`);
  process.exit(status);
}

await main();
