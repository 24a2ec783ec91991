// page.js - puts each text into a document of its own, in many ways, does
// what a user might do with it, and tells which of them did anything.
/* global setup */
const hits = new Set();
window.hit = (id) => hits.add(`${window.context} ${id}`);

const wrap = (before, behind) => (doc, text) =>
  (doc.body.innerHTML = before + text + behind);
const inside = (outer, selector) => (doc, text) => {
  doc.body.innerHTML = outer;
  doc.querySelector(selector).innerHTML = text;
};
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
  template: (doc, text) => {
    const t = doc.createElement("template");
    t.innerHTML = text;
    doc.body.append(t.content);
  },
  // what comes out of a document and goes into one again
  again: (doc, text) => {
    const t = doc.createElement("template");
    t.innerHTML = text;
    doc.body.innerHTML = t.innerHTML;
    doc.body.innerHTML = String(doc.body.innerHTML);
  },
  written: (doc, text) => {
    doc.open();
    doc.write(text);
    doc.close();
  },
  document: null,
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

async function batch(name, texts) {
  const frames = [];
  for (const { text } of texts) {
    const frame = document.createElement("iframe");
    if (name === "document") frame.srcdoc = text;
    document.body.append(frame);
    try {
      if (name !== "document") contexts[name](frame.contentDocument, text);
    } catch (e) {
      console.log(`${name}: ${text}: ${e}`);
    }
    frames.push(frame);
  }
  await sleep(setup.wait);
  for (const frame of frames) poke(frame);
  await sleep(setup.wait);
  for (const frame of frames) frame.remove();
}

async function all(phase, names) {
  const texts = await (await fetch(`/texts/${phase}`)).json();
  for (const name of names ?? Object.keys(contexts)) {
    window.context = `${phase} ${name}`;
    for (let i = 0; i < texts.length; i += setup.batch)
      await batch(name, texts.slice(i, i + setup.batch));
    await fetch(`/done/${encodeURIComponent(window.context)}`);
  }
}

addEventListener("load", async () => {
  for (const [phase, names] of Object.entries(setup.phases))
    await all(phase, names);
  await fetch("/report", { method: "POST", body: JSON.stringify([...hits]) });
});
