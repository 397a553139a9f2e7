"""DCN V2 (Wang et al., "DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale
Learning to Rank Systems", WWW 2021, https://arxiv.org/abs/2008.13535) over a fused layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from ranklite.models.architectures.family import Family, FamilySettings
from ranklite.models.architectures.inputs import FLATTEN, Inputs
from ranklite.models.architectures.parts import Parts
from ranklite.models.architectures.tower import build_tower, glorot_uniform, tower_parts
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.layers.sequence_sizes import encoder_weights
from ranklite.models.layers.table_config import EMBEDDING
from ranklite.models.search_space import Choice, Space

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

CROSS = "cross"
CROSSED = "crossed"


class DCNv2Settings(FamilySettings):
    """Hyperparameters of DCN V2.

    `hidden_units: []` is the cross network alone, whatever the structure.

    Attributes:
      family: `dcn_v2`.
      cross_layers: How many cross layers there are; L of them give terms of degree L + 1.
      structure: `stacked`: the tower reads what the cross layers give; `parallel`: it reads the
        embeddings, and the logit adds both.
      low_rank: r of the kernels  W = V U,  V [n, r] and U [r, n]; None keeps them whole.
    """

    needs_tower: ClassVar[bool] = False

    family: Literal["dcn_v2"] = "dcn_v2"
    cross_layers: int = Field(3, ge=1, le=16)
    structure: Literal["stacked", "parallel"] = "parallel"
    low_rank: int | None = Field(None, ge=1)

    searched: ClassVar[Space] = {
        **FamilySettings.searched,
        "cross_layers": Choice(values=(1, 2, 3, 4)),
    }

    @property
    def is_stacked(self) -> bool:
        """Whether a tower reads what the cross layers give."""
        return self.structure == "stacked" and bool(self.hidden_units)


def build_dcn_v2(layout: FeatureLayout, settings: DCNv2Settings) -> keras.Model:
    r"""Builds a DCN V2, whose cross layers multiply the input x_0 into what they are given:

        x_{l+1} = x_0 * (x_l W_l + b_l) + x_l

        stacked:   logit = tower(x_L)
        parallel:  logit = <w, x_L> + tower(x_0)
        no tower:  logit = <w, x_L> + w_0

    x is the embeddings e and the standardized numbers z, side by side in the paper. Here they are
    two blocks with kernels of their own, which is the same function:

        e_{l+1} = e_0 * (e_l W_ee + z_l W_ze + b_e) + e_l
        z_{l+1} = z_0 * (e_l W_ez + z_l W_zz + b_z) + z_l

    so that integer arithmetic gives each block its own range: one for both would be that of the
    numbers' outliers. Only the products with W_ee, the large ones, are computed in integers. The
    element-wise part stays float: rounding x_l once more a layer is what it would cost.

    Args:
      layout: Where the features live in the inputs.
      settings: Sizes and rates.

    Returns:
      A functional model from {`ids`: [B, S] int32, `numeric`: [B, N] float32 (where N > 0)} to the
      logit [B, 1] float32. Cross layer l is made of `cross_<l>`, with low rank of `cross_<l>_down`
      before it, and of the element-wise `cross_<l>_product` and `cross_<l>_sum`.
    """
    import tensorflow as tf
    import tf_keras as keras

    inputs = Inputs(layout, settings.table, settings.embedding_stddev)
    flat = inputs.flat(inputs.lookup(EMBEDDING, settings.embedding_dim))  # e_0 [B, F * D]
    crossed, numeric = flat, inputs.numeric
    for level in range(settings.cross_layers):
        crossed, numeric = _cross(
            level, (flat, inputs.numeric), (crossed, numeric), settings.low_rank
        )
    if settings.is_stacked:
        read = keras.layers.Activation("linear", name=CROSSED)(crossed)
        return inputs.model(build_tower(read, numeric, settings), "dcn_v2")
    terms = [_head(f"{CROSS}_out", use_bias=not settings.hidden_units)(crossed)]
    if numeric is not None:
        terms.append(_head(f"{CROSS}_out_numeric")(numeric))
    if settings.hidden_units:
        terms.append(build_tower(flat, inputs.numeric, settings))
    if len(terms) == 1:
        return inputs.model(terms[0], "dcn_v2")
    return inputs.model(keras.layers.Add(name="logit", dtype=tf.float32)(terms), "dcn_v2")


def _cross(
    level: int,
    first: tuple[tf.Tensor, tf.Tensor | None],
    last: tuple[tf.Tensor, tf.Tensor | None],
    low_rank: int | None,
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """The blocks (e_{l+1}, z_{l+1}) of cross layer l = `level` from (e_0, z_0) and (e_l, z_l)."""
    import tensorflow as tf
    import tf_keras as keras

    name, (embedded, numeric) = f"{CROSS}_{level}", last
    numbers = 0 if numeric is None else numeric.shape[1]
    width = embedded.shape[1] + numbers

    def product(x: tf.Tensor, units: int, part: str, whole: tuple[int, int], bias: bool) -> Any:
        start = glorot_uniform(*whole)
        dense = keras.layers.Dense(units, use_bias=bias, kernel_initializer=start, name=part)
        return dense(x)

    def plus(x: tf.Tensor, y: tf.Tensor, part: str) -> tf.Tensor:
        return keras.layers.Add(name=part, dtype=tf.float32)([x, y])

    def hadamard(start: tf.Tensor, x: tf.Tensor, rest: tf.Tensor, part: str) -> tf.Tensor:
        times = keras.layers.Multiply(name=f"{part}_product", dtype=tf.float32)([start, x])
        return plus(times, rest, f"{part}_sum")

    # What the kernel reads may be rounded; what is passed on to the next layer is not.
    read = embedded
    if level:
        read = keras.layers.Activation("linear", name=f"{name}_input")(embedded)
    if low_rank is not None:
        shape = (width, low_rank)
        down = product(read, low_rank, f"{name}_down", shape, False)
        if numeric is not None:
            branch = product(numeric, low_rank, f"{name}_down_numeric", shape, False)
            down = plus(down, branch, f"{name}_down_add")
        shape = (low_rank, width)
        to_embedded = product(down, embedded.shape[1], name, shape, True)
        if numeric is not None:
            to_numeric = product(down, numbers, f"{name}_to_numeric", shape, True)
    else:
        shape = (width, width)
        to_embedded = product(read, embedded.shape[1], name, shape, True)
        if numeric is not None:
            branch = product(numeric, embedded.shape[1], f"{name}_numeric", shape, False)
            to_embedded = plus(to_embedded, branch, f"{name}_add")
            to_numeric = product(embedded, numbers, f"{name}_to_numeric", shape, True)
            branch = product(numeric, numbers, f"{name}_numeric_to_numeric", shape, False)
            to_numeric = plus(to_numeric, branch, f"{name}_numeric_add")
    after = hadamard(first[0], to_embedded, embedded, name)
    if numeric is None:
        return after, None
    return after, hadamard(first[1], to_numeric, numeric, f"{name}_numeric")


def _head(name: str, use_bias: bool = False) -> keras.layers.Dense:
    import tensorflow as tf
    import tf_keras as keras

    return keras.layers.Dense(1, use_bias=use_bias, dtype=tf.float32, name=name)


class DCNv2(Family[DCNv2Settings]):
    """Cross layers and a deep tower over one embedding table.

    The cross layers keep their width, which is that of the embeddings; units are removed from the
    tower alone.
    """

    Settings = DCNv2Settings
    example: ClassVar[dict[str, Any]] = {**Family.example, "cross_layers": 2}
    kernels = r"tower_\d+|cross_\d+(_down)?"
    small_kernels = r"tower_out|tower_\d+_numeric|cross_out|cross_\w+_numeric"

    def build(self, layout: FeatureLayout) -> keras.Model:
        return build_dcn_v2(layout, self.settings)

    def parts(self, layout: FeatureLayout) -> Parts:
        width, numbers = layout.num_vectors * self.settings.embedding_dim, layout.num_numbers
        rank = self.settings.low_rank
        kernels: dict[str, tuple[int, int]] = {}
        small: dict[str, tuple[int, int]] = {}
        ranges: list[str] = []
        heads: list[str] = []
        for level in range(self.settings.cross_layers):
            name = f"{CROSS}_{level}"
            if level:
                ranges.append(f"{name}_input")
            if rank is not None:
                kernels[f"{name}_down"] = (width, rank)
                ranges.append(f"{name}_down")
                if numbers:
                    small[f"{name}_down_numeric"] = (numbers, rank)
                    ranges.append(f"{name}_down_add")
            elif numbers:
                small[f"{name}_numeric"] = (numbers, width)
                small[f"{name}_numeric_to_numeric"] = (numbers, numbers)
            if numbers:
                small[f"{name}_to_numeric"] = (rank or width, numbers)
                if level == 0 or rank is not None:  # the others read a float sum
                    heads.append(f"{name}_to_numeric")
            kernels[name] = (rank or width, width)
            ranges.append(name)
        if self.settings.is_stacked:
            ranges.append(CROSSED)
        else:
            small[f"{CROSS}_out"] = (width, 1)
            if numbers:
                small[f"{CROSS}_out_numeric"] = (numbers, 1)
        tower = tower_parts(width, numbers, self.settings)
        return Parts(
            tables=(EMBEDDING,),
            embeddings=FLATTEN,
            hidden=tower["hidden"],
            kernels={**kernels, **tower["kernels"]},
            small_kernels={**small, **tower["small_kernels"]},
            ranges=(*ranges, *tower["ranges"]),
            inputs=(FLATTEN,),
            encoders=encoder_weights(layout, self.settings.embedding_dim),
            heads=(*heads, *tower["heads"]),
        )
