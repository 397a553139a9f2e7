// Scores rows on Android with LiteRT's CompiledModel (com.google.ai.edge.litert:litert, version 2).
// RankLite's tests compile this file against the signatures of that API; they have no Android to
// run it on.

package ranklite

import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel

/**
 * A model that is loaded, on the CPU. It is not safe to use from two threads at once.
 *
 * @param path of `model.tflite`, or of `clients/web/model.tflite`
 * @param rows that the file computes at a time, since LiteRT resizes no inputs in Kotlin: 1 of the
 *   first file, [WEB_ROWS] of the second, which is the one to rank many candidates with
 */
class RankLiteModel(path: String, private val rows: Int = 1) : AutoCloseable {
    private val model = CompiledModel.create(path, CompiledModel.Options(Accelerator.CPU))
    private val names = RankLite.encode(emptyList()).map { it.name }
    private val inputs = names.associateWith { model.createInputBuffer(it, SIGNATURE) }
    private val output = model.createOutputBuffer(SCORE, SIGNATURE)

    /** Probabilities of a positive, a row each. */
    fun score(candidates: List<Row>): FloatArray =
        candidates.chunked(rows).flatMap(::scores).toFloatArray()

    private fun scores(part: List<Row>): List<Float> {
        val full = part + List(rows - part.size) { part.last() }
        for (input in RankLite.encode(full)) {
            val buffer = inputs.getValue(input.name)
            input.ints?.let(buffer::writeInt)
            input.floats?.let(buffer::writeFloat)
        }
        model.run(inputs, mapOf(SCORE to output), SIGNATURE)
        return output.readFloat().take(part.size)
    }

    override fun close() {
        (inputs.values + output).forEach { it.close() }
        model.close()
    }

    companion object {
        const val WEB_ROWS = $batch
        private const val SIGNATURE = "serving_raw"
        private const val SCORE = "score"
    }
}
