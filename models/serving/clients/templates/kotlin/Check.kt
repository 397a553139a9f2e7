// Checks RankLiteClient.kt on a JVM; an app does not need this file:
//
//     kotlinc RankLiteClient.kt Check.kt -include-runtime -d check.jar
//     java -jar check.jar ../vectors.json
//
// It compares the encoding of each row with that of the file.

package ranklite

import java.io.File
import kotlin.system.exitProcess

/** A reader of JSON: Map, List, String, null, and numbers as the String of their digits. */
private class Reader(private val text: String) {
    private var at = 0

    fun read(): Any? {
        skip()
        return when {
            take('{') -> items('}') {
                skip()
                expect('"')
                val name = string()
                skip()
                expect(':')
                name to read()
            }.toMap()
            take('[') -> items(']') { read() }
            take('"') -> string()
            else -> {
                val start = at
                while (at < text.length && text[at] !in ",]} \t\r\n") at++
                text.substring(start, at).takeIf { it != "null" }
            }
        }
    }

    private fun <T> items(end: Char, item: () -> T): List<T> {
        val result = mutableListOf<T>()
        skip()
        if (take(end)) return result
        do {
            result += item()
            skip()
        } while (take(','))
        expect(end)
        return result
    }

    private fun string() = buildString {
        while (!take('"')) {
            val c = text[at++]
            if (c != '\\') {
                append(c)
                continue
            }
            when (val escaped = text[at++]) {
                'b' -> append('\b')
                'f' -> append('\u000c')
                'n' -> append('\n')
                'r' -> append('\r')
                't' -> append('\t')
                'u' -> append(text.substring(at, at + 4).toInt(16).toChar()).also { at += 4 }
                else -> append(escaped)
            }
        }
    }

    private fun skip() {
        while (at < text.length && text[at] in " \t\r\n") at++
    }

    private fun take(c: Char) = (at < text.length && text[at] == c).also { if (it) at++ }

    private fun expect(c: Char) = check(take(c)) { "the JSON lacks a $$c at $$at" }
}

private fun text(value: Any?) = value as String?
private fun integer(value: Any?) = (value as String?)?.toLong()
private fun number(value: Any?) = (value as String?)?.toDouble()
private fun <T : Any> list(value: Any?, of: (Any?) -> T?) =
    (value as List<*>? ?: emptyList<Any>()).mapNotNull(of)

private fun rowOf(json: Map<*, *>) = Row(
$values
)

/** Compares the encoding of the rows in `vectors.json`; returns how many there are. */
fun checked(document: String): Int {
    val expected = (Reader(document).read() as Map<*, *>)["rows"] as List<*>
    val rows = expected.map { rowOf((it as Map<*, *>)["row"] as Map<*, *>) }
    for (input in RankLite.encode(rows)) {
        val length = input.length ?: 1
        expected.forEachIndexed { k, entry ->
            val value = ((entry as Map<*, *>)["inputs"] as Map<*, *>)[input.name]
            val values = if (input.length == null) listOf(value) else value as List<*>
            val span = k * length until (k + 1) * length
            val own = input.ints?.slice(span) ?: input.floats!!.slice(span)
            val wanted = values.map {
                if (input.ints == null) (it as String).toFloat() else (it as String).toInt()
            }
            check(own == wanted) { "row $$k: $${input.name} is $$own, not $$wanted" }
        }
    }
    return rows.size
}

fun main(words: Array<String>) {
    if (words.size != 1) {
        System.err.println("usage: check.jar VECTORS")
        exitProcess(2)
    }
    println("$${checked(File(words[0]).readText())} rows agree")
}
