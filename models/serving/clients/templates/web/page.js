// The page: loads the model, and ranks what the form says. It asks for files beside it alone.

import { FEATURES, ITEM, Ranker } from "./ranklite-client.js";
import { parseCandidates, toCell, toValue } from "./candidates.js";
import { check } from "./selftest.js";

const OFFERED = 500; // values that a field offers
const CANDIDATES = 1000; // items that are ranked at first
const VERSION = new URL("../../", import.meta.url); // where the page lies in a pushed version
const SHARED = FEATURES.filter((feature) => feature.name !== ITEM);
const NO_CANDIDATES =
  "There are no candidates. The first line names features, each other line is one.";
const NO_JSON = /("(?:[^"\\]|\\.)*")|-?\b(?:NaN|Infinity)\b/g;
const byId = (id) => document.getElementById(id);
const inputs = new Map();
let ranker;
let turn = 0;

/** A JSON file of the version; null where there is none, and for NaN, which Python writes. */
async function json(path) {
  const answer = await fetch(new URL(path, VERSION));
  const strict = (text) => text.replace(NO_JSON, (_, quoted) => quoted ?? "null");
  return answer.ok ? JSON.parse(strict(await answer.text())) : null;
}

function element(tag, text, attributes = {}) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.textContent = text;
  return made;
}

function fact(text, isBad = false) {
  byId("facts").append(element("li", text, { className: isBad ? "bad" : "" }));
}

function say(text, isBad = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("bad", isBad);
}

function listOf({ type, separator }) {
  return (type === "string" ? ["a", "b"] : ["1", "2"]).join(separator || "|");
}

function showFields(vocabularies) {
  SHARED.forEach((feature, number) => {
    const input = element("input", "", { id: "field-" + number, placeholder: "missing" });
    const words = vocabularies[feature.name] ?? [];
    if (feature.length !== null) input.placeholder = listOf(feature);
    else if (words.length) {
      const list = element("datalist", "", { id: "words-" + number });
      list.append(...words.slice(0, OFFERED).map((value) => element("option", "", { value })));
      input.setAttribute("list", list.id);
      if (!feature.past) input.value = words[0];
      byId("form").append(list);
    }
    if (feature.type !== "string" && feature.length === null) input.inputMode = "decimal";
    const label = element("label", feature.name, { htmlFor: input.id });
    label.append(input);
    byId(feature.past ? "past-fields" : "fields").append(label);
    inputs.set(feature, input);
  });
  byId("past").hidden = !SHARED.some((feature) => feature.past);
  const items = (vocabularies[ITEM] ?? []).slice(0, CANDIDATES);
  if (ITEM !== null) byId("items").value = [ITEM, ...items].map(toCell).join("\n");
}

async function rank() {
  const mine = ++turn;
  try {
    const user = Object.fromEntries(
      [...inputs].map(([feature, input]) => [feature.name, toValue(feature, input.value)]),
    );
    const items = parseCandidates(byId("items").value);
    if (!items.length) throw new TypeError(NO_CANDIDATES);
    const start = performance.now();
    const best = await ranker.rank(user, items, Math.max(1, byId("count").valueAsNumber || 1));
    const time = performance.now() - start;
    if (mine !== turn) return; // a later one has begun
    show(best, items);
    const each = (time / items.length) * 1000;
    const what = items.length === 1 ? "1 candidate" : items.length + " candidates";
    say(what + " in " + time.toFixed(1) + " ms, " + each.toFixed(0) + " \u00b5s each");
  } catch (error) {
    if (mine === turn) say(error.message, true);
  }
}

function show(best, items) {
  const lines = best.map(({ index, score }) => {
    const line = document.createElement("li");
    const bar = element("span", "", { className: "bar" });
    bar.style.width = 100 * score + "%";
    const name = element("span", nameOf(items[index]), { className: "name" });
    line.append(bar, name, element("span", score.toFixed(4), { className: "score" }));
    return line;
  });
  byId("ranking").replaceChildren(...lines);
}

function nameOf(item) {
  const value = ITEM === null ? undefined : item[ITEM];
  if (value !== undefined) return value === null ? "missing" : String(value);
  return Object.values(item).map((each) => (each === null ? "missing" : String(each))).join(", ");
}

async function load() {
  const about = (await json("model.json")) ?? { files: {} };
  const holds = (name) => name in about.files;
  const file = about.files["clients/web/model.tflite"];
  const preprocessing = holds("preprocessing.json") ? await json("preprocessing.json") : null;
  showFields(preprocessing?.constants.vocabularies ?? {});
  const litert = await import("@litertjs/core").catch(() => {
    throw new Error("LiteRT.js is not here: copy node_modules/@litertjs to litert/, beside it");
  });
  const start = performance.now();
  globalThis.Module = { print() {}, printErr() {} }; // the runtime's log, which is long
  await litert.loadLiteRt(new URL("litert/core/wasm/", import.meta.url).href);
  const model = new URL("model.tflite", import.meta.url).href;
  ranker = await Ranker.load({ litert, model, sha256: file?.sha256 });
  if (file) fact((file.bytes / 1000).toFixed(0) + " kB");
  fact("loaded in " + (performance.now() - start).toFixed(0) + " ms");
  fact(ranker.batch + " rows a call");
  if (holds("clients/vectors.json")) {
    const vectors = await json("clients/vectors.json");
    const wrong = await check(vectors, ranker);
    for (const line of wrong) console.error(line);
    const whole = vectors.rows.length + " test vectors agree";
    fact(wrong.length ? "test vectors do not agree" : whole, wrong.length > 0);
  }
}

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  await rank();
  byId("result").scrollIntoView({ block: "nearest" }); // on a phone it lies below
});
byId("form").addEventListener("change", () => ranker && rank());
try {
  await load();
  byId("rank").disabled = false;
  await rank();
} catch (error) {
  say(error.message, true);
}
