// Loads LiteRT.js in Node (20 or newer), which it is not made for: it asks for globals of a browser
// worker, and for those of a CommonJS module.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { runInThisContext } from "node:vm";

// LiteRT.js asks for a GPU, and warns where there is none.
const NO_GPU = { limits: {}, features: new Set(), requestDevice: async () => null };

/**
 * The module @litertjs/core, ready for Ranker.load.
 * @param {string} folder node_modules/@litertjs, with core and wasm-utils in it.
 */
export async function loadLiteRt(folder) {
  const core = resolve(folder, "core");
  const wasm = join(core, "wasm");
  const litert = await import(pathToFileURL(join(core, "dist", "index.js")).href);
  const lent = {
    self: globalThis,
    Module: { print() {}, printErr() {} }, // the runtime's log
    require: createRequire(import.meta.url),
    __dirname: wasm,
    __filename: join(wasm, "litert.js"),
    navigator: { gpu: { requestAdapter: async () => NO_GPU } },
    importScripts(path) {
      runInThisContext(readFileSync(path, "utf8"), { filename: path });
    },
  };
  const before = Object.keys(lent).map((name) => [
    name,
    Object.getOwnPropertyDescriptor(globalThis, name),
  ]);
  for (const [name, value] of Object.entries(lent)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  try {
    await litert.loadLiteRt(wasm);
  } finally {
    for (const [name, descriptor] of before) {
      if (descriptor) Object.defineProperty(globalThis, name, descriptor);
      else delete globalThis[name];
    }
  }
  return litert;
}
