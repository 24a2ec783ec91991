// hello.mjs - a chat in a terminal, with the stock socket.io-client.
//
//   node hello.mjs NAME [SESSION]
//
// Joins a session, sends what is typed, shows what comes.
import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const name = process.argv[2] ?? "somebody";
const sessionId = process.argv[3] ?? "lobby";
const url = process.env.CHATD_URL ?? "http://127.0.0.1:3002";
let lastSeq = 0;
let lines = null;

const socket = io(url, {
  transports: ["websocket"],
  auth: { userId: name, userName: name },
});

function show(message) {
  // what an operator announces to all has no number
  lastSeq = message.seq ?? lastSeq;
  console.log(`${message.seq ?? "*"} <${message.metadata?.senderName ?? message.userId}> ${message.content}`);
}

socket.on("connect", async () => {
  // after a reconnect: only what was missed
  const joined = await socket.emitWithAck("chat:join-session",
    { sessionId, workspaceId: "demo", afterSeq: lastSeq });
  if (!joined.ok) return console.log(`* cannot join: ${joined.error}`);
  const who = [...new Set(joined.presences.map((p) => p.userName))];
  console.log(`* in ${sessionId} with ${who.join(", ")}`);
  lines ??= createInterface({ input: process.stdin })
    .on("line", say).on("close", () => socket.close());
});
socket.on("connect_error", (e) => console.log(`* ${e.message}`));
socket.on("disconnect", (reason) => console.log(`* disconnected: ${reason}`));
socket.on("chat:message-received", show);
socket.on("chat:user-joined", (p) => console.log(`* ${p.userName} joined`));
socket.on("chat:user-left", (p) => console.log(`* ${p.userId} left`));

async function say(content) {
  if (content.trim() === "") return;
  const message = { id: randomUUID(), content, type: "user", sessionId };
  const sent = await socket.emitWithAck("chat:send-message", { message });
  if (sent.ok) lastSeq = Math.max(lastSeq, sent.seq);
  console.log(sent.ok ? `${sent.seq} <${name}> ${content}` : `* not sent: ${sent.error}`);
}
