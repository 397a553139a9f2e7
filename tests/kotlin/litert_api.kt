package com.google.ai.edge.litert

enum class Accelerator { CPU }

class TensorBuffer : AutoCloseable {
    fun writeInt(data: IntArray): Unit = TODO()
    fun writeFloat(data: FloatArray): Unit = TODO()
    fun readFloat(): FloatArray = TODO()
    override fun close(): Unit = TODO()
}

class CompiledModel : AutoCloseable {
    class Options(vararg accelerators: Accelerator)
    fun createInputBuffer(inputName: String, signature: String = ""): TensorBuffer = TODO()
    fun createOutputBuffer(outputName: String, signature: String = ""): TensorBuffer = TODO()
    fun run(inputs: Map<String, TensorBuffer>, outputs: Map<String, TensorBuffer>, signature: String = ""): Unit = TODO()
    override fun close(): Unit = TODO()
    companion object {
        fun create(filePath: String, options: Options = TODO()): CompiledModel = TODO()
    }
}
