// page.js - puts each text into a document of its own, in many ways, does
// what a user might do with it, and tells which of them did anything.
/* global setup */
const hits = new Set();
window.hit = (id) => hits.add(`${window.context} ${id}`);

const wrap = (before, behind) => (host, text) =>
  (host.innerHTML = before + text + behind);
const inside = (outer, selector) => (host, text) => {
  host.innerHTML = outer;
  host.querySelector(selector).innerHTML = text;
};
/** Into an element of a document. */
const contexts = {
  body: wrap("", ""),
  table: wrap("<table>", "</table>"),
  select: wrap("<select>", "</select>"),
  svg: wrap("<svg>", "</svg>"),
  math: wrap("<math>", "</math>"),
  "raw text": wrap("<title>", "</title>"),
  comment: wrap("<!--", "-->"),
  "in a table": inside("<table></table>", "table"),
  "in a row": inside("<table><tr></tr></table>", "tr"),
  "in a select": inside("<select></select>", "select"),
  "in svg": inside("<svg></svg>", "svg"),
  "in foreignObject": inside("<svg><foreignObject></foreignObject></svg>",
    "foreignObject"),
  "in math": inside("<math></math>", "math"),
  template: (host, text) => {
    const t = host.ownerDocument.createElement("template");
    t.innerHTML = text;
    host.append(t.content);
  },
  // what comes out of a document and goes into one again
  again: (host, text) => {
    const t = host.ownerDocument.createElement("template");
    t.innerHTML = text;
    host.innerHTML = t.innerHTML;
    host.innerHTML = String(host.innerHTML);
  },
};
/** As a document. */
const documents = {
  written: (frame, text) => {
    frame.contentDocument.open();
    frame.contentDocument.write(text);
    frame.contentDocument.close();
  },
  document: (frame, text) => (frame.srcdoc = text),
};

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** What a user might do: everything that there is to be done. */
function poke(frame) {
  let doc;
  try {
    doc = frame.contentDocument;
  } catch { /* it has gone elsewhere */ }
  if (!doc) return;
  for (const el of doc.querySelectorAll("*")) {
    for (const { name } of [...el.attributes])
      if (/^on/i.test(name))
        el.dispatchEvent(new Event(name.slice(2), { bubbles: true }));
    if (/^(a|area|button|input|summary)$/i.test(el.localName))
      el.dispatchEvent(new MouseEvent("click",
        { bubbles: true, cancelable: true, view: frame.contentWindow }));
  }
}

function show(frame, name, texts) {
  for (const { text } of texts) {
    try {
      if (documents[name]) {
        documents[name](frame, text);
      } else {
        const host = frame.contentDocument.createElement("div");
        frame.contentDocument.body.append(host);
        contexts[name](host, text);
      }
    } catch (e) {
      console.log(`${name}: ${text}: ${e}`);
    }
  }
}

async function batch(name, texts, each) {
  const frames = [];
  for (let i = 0; i < texts.length; i += each) {
    const frame = document.createElement("iframe");
    document.body.append(frame);
    show(frame, name, texts.slice(i, i + each));
    frames.push(frame);
  }
  await sleep(setup.wait);
  for (const frame of frames) poke(frame);
  await sleep(setup.wait);
  for (const frame of frames) frame.remove();
}

async function all(phase, { names, each }) {
  const texts = await (await fetch(`/texts/${phase}`)).json();
  for (const name of names ?? Object.keys({ ...contexts,
    ...documents })) {
    window.context = `${phase} ${name}`;
    for (let i = 0; i < texts.length; i += setup.batch)
      await batch(name, texts.slice(i, i + setup.batch),
        documents[name] ? 1 : each);
    await fetch(`/done/${encodeURIComponent(window.context)}`);
  }
}

addEventListener("load", async () => {
  for (const [phase, how] of Object.entries(setup.phases))
    await all(phase, how);
  await fetch("/report", { method: "POST", body: JSON.stringify([...hits]) });
});
