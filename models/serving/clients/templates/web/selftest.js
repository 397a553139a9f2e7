// Checks the client by ../vectors.json: encodings and, with a Ranker, scores.
// In Node: node selftest.js [node_modules/@litertjs]

import { FEATURES, Ranker, SEED, encode } from "./ranklite-client.js";

const TOLERANCE = 1e-6;

/** A row of vectors.json as an app would have it. */
export function toRow(row) {
  const value = (feature, each) =>
    feature.type === "int64" && each !== null ? BigInt(each) : each;
  const entries = FEATURES.map((feature) => {
    const raw = row[feature.name];
    return [
      feature.name,
      Array.isArray(raw) ? raw.map((each) => value(feature, each)) : value(feature, raw),
    ];
  });
  return Object.fromEntries(entries);
}

/**
 * What does not agree, a line each; none where all is well.
 * @param {object} vectors What vectors.json holds.
 * @param {Ranker} [ranker] Without one, only encodings are checked.
 */
export async function check(vectors, ranker) {
  const wrong = [];
  if (vectors.fingerprint.seed !== SEED) wrong.push("vectors.json is that of another version");
  vectors.rows.forEach(({ row, inputs }, number) => {
    const values = toRow(row);
    for (const feature of FEATURES) {
      const actual = [encode(feature, values[feature.name])].flat();
      const expected = [inputs[feature.name]].flat().map(Number);
      if (actual.length !== expected.length || actual.some((n, k) => !Object.is(n, expected[k]))) {
        wrong.push("row " + number + ": " + feature.name + " is " + actual + ", not " + expected);
      }
    }
  });
  if (ranker) {
    const scores = await ranker.score(vectors.rows.map(({ row }) => toRow(row)));
    vectors.rows.forEach(({ score }, number) => {
      if (!(Math.abs(scores[number] - score) <= TOLERANCE)) {
        wrong.push("row " + number + ": the score is " + scores[number] + ", not " + score);
      }
    });
  }
  return wrong;
}

async function main([folder]) {
  const { readFile } = await import("node:fs/promises");
  const here = (name) => new URL(name, import.meta.url);
  const vectors = JSON.parse(await readFile(here("../vectors.json"), "utf8"));
  let ranker;
  if (folder) {
    const { loadLiteRt } = await import("./node.js");
    const model = new Uint8Array(await readFile(here("model.tflite")));
    ranker = await Ranker.load({ litert: await loadLiteRt(folder), model });
  }
  const wrong = await check(vectors, ranker);
  for (const line of wrong) console.error(line);
  const what = folder ? "encodings and scores" : "encodings";
  if (!wrong.length) console.log(what + " of " + vectors.rows.length + " rows agree");
  process.exitCode = wrong.length ? 1 : 0;
}

if (globalThis.process?.argv?.[1]) {
  const { pathToFileURL } = await import("node:url");
  if (pathToFileURL(process.argv[1]).href === import.meta.url) await main(process.argv.slice(2));
}
