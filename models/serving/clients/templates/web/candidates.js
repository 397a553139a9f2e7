// What a person types, as values of features: a field of the form, and candidates as CSV.

import { FEATURES } from "./ranklite-client.js";

const SEPARATOR = "|"; // of lists, where the log had lists

/** The value of a feature in a text; null where it is empty. */
export function toValue(feature, text) {
  if (feature.length === null) return one(feature, text);
  const parts = text === "" ? [] : text.split(feature.separator || SEPARATOR);
  return parts.map((part) => one(feature, part));
}

function one(feature, text) {
  if (feature.type === "string") return text || null;
  const trimmed = text.trim();
  if (trimmed === "") return null;
  if (feature.type === "int64") {
    if (!/^[+-]?\d+$$/.test(trimmed)) {
      throw new TypeError(feature.name + " = " + text + " is no integer");
    }
    return BigInt(trimmed.replace("+", ""));
  }
  const number = Number(trimmed);
  if (Number.isNaN(number)) throw new TypeError(feature.name + " = " + text + " is no number");
  return number;
}

/**
 * Candidates from CSV: the first line names features, each other line is a candidate.
 * @returns {object[]} A row each, for Ranker.rank.
 */
export function parseCandidates(text) {
  const [header, ...lines] = parseCsv(text);
  if (!header) return [];
  const features = header.map((name) => {
    const feature = FEATURES.find((each) => each.name === name);
    if (feature) return feature;
    const names = FEATURES.map((each) => each.name).join(", ");
    throw new TypeError("the candidates' first line names " + name + "; features are " + names);
  });
  return lines.map((cells, number) => {
    if (cells.length !== features.length) {
      throw new TypeError(
        "candidate " + (number + 1) + " has " + cells.length + " values, not " + features.length,
      );
    }
    const entries = features.map((feature, k) => [feature.name, toValue(feature, cells[k])]);
    return Object.fromEntries(entries);
  });
}

/** Lines of cells; a quoted cell may hold commas, quotes and line breaks. An empty line is none. */
export function parseCsv(text) {
  const lines = [[""]];
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const line = lines[lines.length - 1];
    const mark = text[i];
    if (quoted && mark === '"' && text[i + 1] === '"') line[line.length - 1] += text[i++];
    else if (mark === '"') quoted = !quoted;
    else if (quoted || !",\r\n".includes(mark)) line[line.length - 1] += mark;
    else if (mark === ",") line.push("");
    else lines.push([""]);
  }
  return lines.filter((line) => line.length > 1 || line[0] !== "");
}

/** A cell of CSV. */
export function toCell(text) {
  return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
}
