// corpus.mjs - the texts of this folder, as tests/unit/html_corpus.h reads
// them: one a line, "## " begins a class.
import { readFileSync } from "node:fs";

const names = { n: "\n", t: "\t", r: "\r", f: "\f", "\\": "\\" };

/** [{ kind, text }] of one file. */
export function corpus(file) {
  const texts = [];
  let kind = "";
  for (const line of readFileSync(new URL(file, import.meta.url), "utf8")
    .split("\n")) {
    if (line.startsWith("## ")) kind = line.slice(3);
    else if (line !== "" && line !== "#" && !line.startsWith("# "))
      texts.push({ kind, text: line.replace(
        /\\(?:u([0-9a-f]{4})|([ntrf\\]))/g,
        (_, hex, c) => hex ? String.fromCharCode(parseInt(hex, 16)) : names[c]) });
  }
  return texts;
}
