"""The server that one writes for a model without RankLite: FastAPI, dictionaries, ONNX Runtime.

`benchmarks/serve.py` starts it beside `ranklite serve` and asks both the same. Requests are checked
by pydantic and answered in FastAPI's thread pool, rows are encoded in Python, and the session runs
on one thread.

    python benchmarks/plain_server.py <folder with model.onnx and encoder.json> <port>
"""

import pathlib
import sys

import fastapi
import numpy as np
import onnxruntime
import pydantic
import uvicorn
from plain_encoder import PlainEncoder  # beside this file, which is run as a script


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
      folder: With model.onnx and encoder.json.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
        [ids] = [i for i in self.session.get_inputs() if i.name == "ids"]
        self.encoder = PlainEncoder(folder, np.int32 if "int32" in ids.type else np.int64)

    def score(self, rows: list[dict]) -> np.ndarray:
        """Probabilities of rows."""
        return 1 / (1 + np.exp(-self.session.run(None, self.encoder.encoded(rows))[0][:, 0]))


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
