// server.mjs - the conformance server over the reference implementation.
//
// Takes the command line of build/chatd-conformance and behaves as the
// packages of package.json do, so that the edge cases can be run against
// what they were read off from.  --workers is accepted and means nothing.
// One mode more: `chat', the part of the chat that the cases of rooms and
// recovery need; there the program under test is the daemon itself.
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { Server as EngineServer } from "engine.io";
import { Server } from "socket.io";
import { WebSocketServer } from "ws";
import { modes } from "./modes.mjs";

const { values: o } = parseArgs({
  options: {
    "port": { type: "string" },
    "workers": { type: "string", default: "1" },
    "mode": { type: "string" },
    "ping-interval": { type: "string", default: "25000" },
    "ping-timeout": { type: "string", default: "20000" },
    "max-payload": { type: "string", default: "1000000" },
    "connect-timeout": { type: "string", default: "45000" },
    "upgrade-timeout": { type: "string", default: "10000" },
    "transports": { type: "string", default: "polling,websocket" },
    "cors-origin": { type: "string" },
    "cors-credentials": { type: "boolean", default: false },
    "cookie": { type: "string" },
    "recovery": { type: "boolean", default: false },
    "handshake-delay": { type: "string", default: "0" },
    "deflate": { type: "boolean", default: false },
    "eio3": { type: "boolean", default: false },
  },
});

const engine = {
  pingInterval: Number(o["ping-interval"]),
  pingTimeout: Number(o["ping-timeout"]),
  upgradeTimeout: Number(o["upgrade-timeout"]),
  maxHttpBufferSize: Number(o["max-payload"]),
  transports: o.transports.split(","),
  allowEIO3: o.eio3,
  perMessageDeflate: o.deflate ? { threshold: 1024 } : false,
  httpCompression: o.deflate ? { threshold: 1024 } : false,
};
if (o.cookie)
  engine.cookie = { name: o.cookie, path: "/", httpOnly: true,
    sameSite: "lax" };
if (o["cors-origin"]) {
  const list = o["cors-origin"].split(",");
  engine.cors = { credentials: o["cors-credentials"],
    origin: list.length === 1 && list[0] === "*" ? "*" : list };
}

const http = createServer((req, res) => {
  res.writeHead(404);
  res.end();
});

function echoEngine() {
  const server = new EngineServer(engine);
  server.attach(http, { path: "/engine.io/" });
  server.on("connection", (socket) => {
    socket.on("message", (data) => socket.send(data));
  });
}

function echoWebSocket() {
  const server = new WebSocketServer({ server: http, path: "/echo",
    maxPayload: engine.maxHttpBufferSize,
    perMessageDeflate: engine.perMessageDeflate });
  server.on("connection", (ws) => {
    ws.on("error", () => {});
    ws.on("message", (data, binary) => ws.send(data, { binary }));
  });
}

function socketIo(mode) {
  const io = new Server(http, {
    ...engine,
    connectTimeout: Number(o["connect-timeout"]),
    serveClient: false,
    ...(o.recovery || mode.recovery
      ? { connectionStateRecovery: { skipMiddlewares: false } } : {}),
  });
  mode.start(io, { delay: Number(o["handshake-delay"]) });
}

if (o.mode === "eio-echo")
  echoEngine();
else if (o.mode === "ws-echo")
  echoWebSocket();
else if (modes[o.mode])
  socketIo(modes[o.mode]);
else
  throw new Error(`no mode ${o.mode}`);

process.on("SIGTERM", () => process.exit(0));
http.listen(Number(o.port), "127.0.0.1", () => {
  console.log(`listening on 127.0.0.1:${http.address().port}`);
});
