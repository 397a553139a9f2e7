"""The order of the ids of a row: of features that were looked up in groups."""

from __future__ import annotations

import tensorflow as tf

from ranklite.models.features.kind import FeatureKind

Blocks = list[tuple[list[FeatureKind], list[tf.Tensor]]]


def in_order(made: Blocks, wanted: list[FeatureKind]) -> tf.Tensor:
    """Columns [B, S] of some features in the order wanted, from blocks of one or some of them."""
    place = {feature.name: k for k, feature in enumerate(wanted)}
    if any(len(features) > 1 for features, _ in made) and any(len(b) > 1 for _, b in made):
        # Cut in any case: what is in one block besides is cut where it is put elsewhere.
        made = [part for each in made for part in _cut(*each, place)]
    made = sorted(made, key=lambda each: place[each[0][0].name])
    blocks = [block for _, some in made for block in some]
    rows = tf.concat(blocks, axis=1) if len(blocks) > 1 else blocks[0]
    now, first, start = [feature for features, _ in made for feature in features], {}, 0
    if now == wanted:
        return rows
    for feature in now:
        first[feature.name] = start
        start += feature.id_length
    return tf.gather(rows, [first[f.name] + k for f in wanted for k in range(f.id_length)], axis=1)


def _cut(features: list[FeatureKind], blocks: list[tf.Tensor], place: dict[str, int]) -> Blocks:
    """A block of several features as one for each, where others belong between them."""
    places = [place[feature.name] for feature in features]
    if len(features) == 1 or places == list(range(places[0], places[-1] + 1)):
        return [(features, blocks)]
    (block,) = blocks
    cut = tf.split(block, [feature.id_length for feature in features], axis=1)
    return [([feature], [part]) for feature, part in zip(features, cut, strict=True)]
