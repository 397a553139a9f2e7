"""The server that one writes for a model without RankLite: FastAPI, dictionaries, ONNX Runtime.

`benchmarks/serve.py` starts it beside `ranklite serve` and asks both the same. Requests are checked
by pydantic and answered in FastAPI's thread pool, rows are encoded in Python, and the session runs
on one thread.

    python benchmarks/plain_server.py <folder with model.onnx and encoder.json> <port>
"""

import json
import pathlib
import sys

import fastapi
import numpy as np
import onnxruntime
import pydantic
import uvicorn


class Item(pydantic.BaseModel):
    """A candidate."""

    item: int | None
    category: str | None
    tags: list[str]
    price: float | None


class User(pydantic.BaseModel):
    """The user and the context."""

    user: str | None
    device: str | None
    hour: int | None


class Row(Item, User):
    """What a score is of."""


class Rows(pydantic.BaseModel):
    """The body of /score."""

    rows: list[Row]


class Ranking(pydantic.BaseModel):
    """The body of /rank."""

    user: User
    candidates: list[Item]
    k: int


class Model:
    """A session and what its inputs are made of.

    Args:
      folder: With model.onnx and encoder.json: rows of the table by value, and the number's scale.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        about = json.loads((folder / "encoder.json").read_text())
        self.fields, self.mean, self.std = about["fields"], about["mean"], about["std"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
        [self.ids] = [i for i in self.session.get_inputs() if i.name == "ids"]
        self.dtype = np.int32 if "int32" in self.ids.type else np.int64

    def encoded(self, field: dict, value: object) -> list[int]:
        """Rows of the table of a value, or of a list of them."""
        rows = field["rows"]
        if field["length"] == 1:
            return [field["missing"] if value is None else rows.get(str(value), field["unseen"])]
        known = [rows.get(part, field["unseen"]) for part in value][: field["length"]]
        known = known or [field["missing"]]
        return known + [0] * (field["length"] - len(known))

    def score(self, rows: list[dict]) -> np.ndarray:
        """Probabilities of rows."""
        ids = [
            [one for field in self.fields for one in self.encoded(field, row[field["name"]])]
            for row in rows
        ]
        numbers = [
            [0.0 if r["price"] is None else (r["price"] - self.mean) / self.std] for r in rows
        ]
        feeds = {"ids": np.array(ids, self.dtype), "numeric": np.array(numbers, np.float32)}
        return 1 / (1 + np.exp(-self.session.run(None, feeds)[0][:, 0]))


app = fastapi.FastAPI()


@app.post("/score")
def score(body: Rows) -> dict:
    """Scores rows."""
    return {"scores": app.state.model.score([row.model_dump() for row in body.rows]).tolist()}


@app.post("/rank")
def rank(body: Ranking) -> dict:
    """Ranks candidates."""
    user = body.user.model_dump()
    scores = app.state.model.score([{**user, **one.model_dump()} for one in body.candidates])
    best = np.argsort(-scores, kind="stable")[: body.k].tolist()
    return {"ranking": [{"index": index, "score": float(scores[index])} for index in best]}


if __name__ == "__main__":
    app.state.model = Model(pathlib.Path(sys.argv[1]))
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", access_log=False)
