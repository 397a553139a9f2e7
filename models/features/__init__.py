"""From raw features to fused ids and numbers: kinds, layout, Transform, the raw signature."""
