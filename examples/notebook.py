# %% [markdown]
# # A ranker in ten lines
#
# From a table to one small file: fit, compress, export, score. Nothing of TFX is loaded. The
# preprocessing, the training, the compression and the exporter are those of `ranklite run`.
#
# `pip install 'ranklite[train]'`

# %%
import numpy as np
import pandas as pd

from ranklite import Ranker, Scorer

# %% [markdown]
# A table with a signal in it: users have tastes, items have genres, and cheap items are clicked
# more often. Any pandas or Arrow table with a column of 0 and 1 will do.

# %%
rng = np.random.default_rng(0)
ROWS, USERS, ITEMS, GENRES = 10_000, 200, 100, np.array(["comedy", "drama", "horror", "western"])
taste = rng.normal(size=(USERS, len(GENRES)))
has_genre = rng.random((ITEMS, len(GENRES))) < 0.4
user, item = rng.integers(0, USERS, ROWS), rng.integers(0, ITEMS, ROWS)
price = np.exp(rng.normal(2, 0.5, ITEMS))[item]
logit = (taste[user] * has_genre[item]).sum(axis=1) - (np.log(price) - 2)
clicks = pd.DataFrame(
    {
        "user": [f"u{u}" for u in user],
        "item": item,
        "genres": [list(GENRES[row]) for row in has_genre[item]],
        "price": np.where(rng.random(ROWS) < 0.1, np.nan, price),
        "click": rng.random(ROWS) < 1 / (1 + np.exp(-logit)),
    }
)
train, valid = clicks[: int(0.8 * ROWS)], clicks[int(0.8 * ROWS) :]

# %% [markdown]
# Features are named as in a configuration file; so are the settings of the model, the training and
# the compression.

# %%
ranker = Ranker.fit(
    train,
    valid,
    label="click",
    features=[
        {"name": "user", "kind": "categorical"},
        {"name": "item", "kind": "categorical", "dtype": "int64"},
        {"name": "genres", "kind": "multi_categorical", "max_length": 4},
        {"name": "price", "kind": "numeric", "log": True, "missing_indicator": True},
    ],
    model={"embedding_dim": 8, "hidden_units": [32, 16]},
    training={"batch_size": 256, "epochs": 4, "learning_rate": 0.005},
)
small = ranker.compress(
    [
        {"technique": "prune", "tower": {"sparsity": 0.5}, "epochs": 1},
        {"technique": "quantize", "epochs": 1},
    ]
)
pd.DataFrame(small.metrics).loc[["auc", "log_loss"]]

# %% [markdown]
# `export` writes a version as the pipeline's Pusher does: `model.tflite` with `model.json`. The
# scorer needs numpy and `ai-edge-litert` alone, and takes rows as they stand in the table.

# %%
version = small.export("pushed")
scorer = Scorer(version)
rows = valid.drop(columns="click").to_dict("records")
scores = scorer.score(rows)
scorer.metadata["metrics"]["exported"]

# %% [markdown]
# The file says what the Keras model says, and ranks candidates.

# %%
difference = np.abs(scores - small.predict(valid)).max()
best = scorer.top_k({"user": "u7"}, rows[:50], k=3)
difference, best
