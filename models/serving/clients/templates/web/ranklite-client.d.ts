// Types of ranklite-client.js: the features of this model, as an app has them.

/** A row: null, "" and NaN say that a value is missing. A list is cut to its feature's length. */
export interface Row {
$fields
}

export interface Feature {
  readonly name: keyof Row;
  readonly type: "string" | "int64" | "float32";
  /** Of a list, how many values the model takes; null of a single value. */
  readonly length: number | null;
  /** What splits a text of the log into a list. */
  readonly separator: string | null;
  /** How an id is sent: as its hash or as itself; "" of a number. */
  readonly encoding: "murmur3" | "integer" | "";
  /** Whether it is computed from the past: a row may lack it. */
  readonly past: boolean;
}

export interface Ranked {
  readonly index: number;
  readonly score: number;
}

/** The module @litertjs/core, after loadLiteRt. */
export interface LiteRt {
  loadAndCompile(model: Uint8Array, options: { accelerator: "wasm" }): Promise<unknown>;
  Tensor: new (data: Int32Array | Float32Array, shape: number[]) => unknown;
}

export const MODEL: string;
export const SEED: number;
export const ITEM: keyof Row | null;
export const FEATURES: readonly Feature[];

export function murmur3(bytes: Uint8Array, seed: number): number;
export function encode(feature: Feature, value: unknown): number | number[];

export class Ranker {
  static load(options: {
    litert: LiteRt;
    model: string | URL | Uint8Array;
    sha256?: string;
  }): Promise<Ranker>;
  private constructor();
  readonly batch: number;
  score(rows: readonly Row[]): Promise<Float32Array>;
  rank(user: Partial<Row>, items: readonly Partial<Row>[], k: number): Promise<Ranked[]>;
  delete(): void;
}
