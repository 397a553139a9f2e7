"""Embedding tables with a scale for each row, in 8 or 4 bits."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras as keras

_SCALE_CODES = 255
_HEADROOM = 1.5  # rows may grow so much while training before they are clipped


@dataclasses.dataclass(frozen=True)
class _Stored:
    codes: npt.NDArray[Any]
    scales: npt.NDArray[np.uint8]
    unit: float


@keras.utils.register_keras_serializable("ranklite")
class RowQuantizedEmbedding(keras.layers.Embedding):
    r"""An Embedding whose rows are rounded to integers times a scale of their own.

    With q = 127 for 8 bits and 7 for 4, and a unit u that all rows share,

        s_i = u c_i^2,    c_i = ceil(sqrt(max_d |E_id| / (q u))),    1 <= c_i <= 255
        E_id ~ s_i round(E_id / s_i),    |error| <= s_i / 2

    so that a row of small numbers keeps its digits beside a row of large ones, which one scale for
    the table would round to zero (Guan et al. 2019, https://arxiv.org/abs/1911.02079). While it
    trains, the gradient passes the rounding as if it were not there, and stays sparse.

    A file stores the integers, for 4 bits two in a byte, and c_i in 8 bits, whose square spans
    65,000 to 1 and still steps by a tenth at a hundredth of the largest row. They are decoded by
    plain arithmetic, since TFLite has no lookup in tables of this kind that every runtime loads.
    A row of one number needs no scale of its own: then s_i = u for all.

    Args:
      bits: 8 or 4.
      **kwargs: Of `Embedding`.
    """

    def __init__(self, *args: Any, bits: int = 8, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bits = bits
        self.largest = 2 ** (bits - 1) - 1
        self._stored: _Stored | None = None

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        self.unit = self.add_weight("unit", shape=(), initializer="ones", trainable=False)

    def fit_unit(self) -> None:
        """Sets the unit of the scales from the table as it is."""
        greatest = _HEADROOM * max(float(tf.reduce_max(tf.abs(self.embeddings))), 1e-6)
        scales = 1 if self.output_dim == 1 else _SCALE_CODES**2
        self.unit.assign(greatest / (self.largest * scales))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        if self._stored is not None:
            return self._decode(inputs)
        rows = tf.gather(self.embeddings, inputs)
        scale = tf.stop_gradient(self.unit * tf.square(self._scale_codes(rows)))
        rounded = scale * self._round(rows, scale)
        return rows + tf.stop_gradient(rounded - rows)

    def _scale_codes(self, rows: tf.Tensor) -> tf.Tensor:
        if self.output_dim == 1:
            return tf.ones_like(rows)
        greatest = tf.reduce_max(tf.abs(rows), axis=-1, keepdims=True)
        codes = tf.math.ceil(tf.sqrt(greatest / (self.largest * self.unit)))
        return tf.clip_by_value(codes, 1, _SCALE_CODES)

    def _round(self, rows: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        return tf.clip_by_value(tf.round(rows / scale), -self.largest, self.largest)

    @contextlib.contextmanager
    def stored(self) -> Iterator[None]:
        """While it lasts, `call` decodes the constants that a file stores."""
        scales = self._scale_codes(self.embeddings)
        codes = self._round(self.embeddings, tf.square(scales) * self.unit).numpy().astype(np.int8)
        if self.bits == 4:
            codes = np.pad(codes, ((0, 0), (0, codes.shape[1] % 2))) + 8
            low, high = np.split(codes.astype(np.uint8), 2, axis=1)
            codes = low + 16 * high
        self._stored = _Stored(codes, scales.numpy().astype(np.uint8), float(self.unit))
        try:
            yield
        finally:
            self._stored = None

    def _decode(self, inputs: tf.Tensor) -> tf.Tensor:
        assert self._stored is not None

        def gather(table: npt.NDArray[Any]) -> tf.Tensor:
            return tf.cast(tf.gather(tf.constant(table), inputs), tf.float32)

        codes = gather(self._stored.codes)
        if self.bits == 4:
            high = tf.floor(codes / 16)
            codes = tf.concat([codes - 16 * high, high], axis=-1) - 8
            codes = codes[..., : self.output_dim]
        if self.output_dim == 1:
            return codes * self._stored.unit
        return codes * (tf.square(gather(self._stored.scales)) * self._stored.unit)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bits": self.bits}


@keras.utils.register_keras_serializable("ranklite")
class SummedProducts(keras.layers.Dense):
    """A Dense layer of few units, as a product and a sum.

    The converter forgets to dequantize the input of a float FULLY_CONNECTED behind 4-bit kernels.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        if self.units == 1:
            outputs = tf.reduce_sum(inputs * self.kernel[:, 0], axis=1, keepdims=True)
        else:
            outputs = tf.reduce_sum(inputs[:, None] * tf.transpose(self.kernel), axis=2)
        return outputs + self.bias if self.use_bias else outputs
