// Scores rows on iOS and macOS with LiteRT's package for Swift, whose product is `LiteRT`.
// What was run of this file, and how: docs/clients.md of RankLite.

import LiteRT

/// What kept a model from being used.
struct WrongModel: Error {}

/// A model that is loaded, on the CPU. It is not safe to use from two threads at once.
final class RankLiteModel {
  private static let batch = 512
  private let environment: Environment
  private let model: CompiledModel
  private let signature: Int
  private var names: [String] = []
  private var rows = 0
  private var inputs: [TensorBuffer] = []
  private var scores: [TensorBuffer] = []

  /// - Parameter path: Of `model.tflite`.
  /// - Throws: `WrongModel` where the file is another model's, and what LiteRT throws.
  init(path: String) throws {
    environment = try Environment()
    let options = try Options()
    try options.setHardwareAccelerators([.cpu])
    model = try CompiledModel(filePath: path, environment: environment, options: options)
    guard let place = try model.signatureKeys().firstIndex(of: "serving_raw") else {
      throw WrongModel()
    }
    signature = place
    for k in 0..<(try model.inputCount(signatureIndex: place)) {
      names.append(try model.inputName(inputIndex: k, signatureIndex: place))
    }
    guard Set(names) == Set(try RankLite.encode([]).map(\.name)) else { throw WrongModel() }
  }

  /// Probabilities of a positive, a row each.
  func score(_ rows: [RankLite.Row]) throws -> [Float] {
    try stride(from: 0, to: rows.count, by: Self.batch).flatMap { first in
      try run(Array(rows[first..<min(rows.count, first + Self.batch)]))
    }
  }

  private func run(_ part: [RankLite.Row]) throws -> [Float] {
    let encoded = try RankLite.encode(part)
    if part.count != rows { try makeRoom(encoded, part.count) }
    for input in encoded {
      let buffer = inputs[names.firstIndex(of: input.name)!]
      switch input.values {
      case .ints(let values): try buffer.write(values)
      case .floats(let values): try buffer.write(values)
      }
    }
    try model.run(inputs: inputs, outputs: scores, signatureIndex: signature)
    return Array((try scores[0].read() as [Float]).prefix(part.count))
  }

  /// Buffers for so many rows; they are kept for the next call.
  private func makeRoom(_ encoded: [RankLite.Input], _ count: Int) throws {
    rows = 0
    inputs = try names.enumerated().map { k, name in
      let input = encoded.first { $$0.name == name }!
      let shape = [count] + (input.length.map { [$$0] } ?? [])
      try model.resizeInputTensor(inputIndex: k, dimensions: shape, signatureIndex: signature)
      if case .ints = input.values { return try buffer(.int32, shape) }
      return try buffer(.float32, shape)
    }
    scores = [try buffer(.float32, [count, 1])]
    rows = count
  }

  private func buffer(_ type: ElementType, _ shape: [Int]) throws -> TensorBuffer {
    let about = TensorType(elementType: type, layout: Layout(dimensions: shape))
    return try TensorBuffer(
      environment: environment, bufferType: .hostMemory, tensorType: about,
      size: 4 * shape.reduce(1, *))
  }
}
