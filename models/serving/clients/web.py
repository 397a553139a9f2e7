"""The client of browsers and Node: an ES module for LiteRT.js, its types, a check and a page."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from typing import Any

from ranklite.models.serving.clients import About, Input
from ranklite.models.serving.clients.templates import filled

CLIENT = "ranklite-client"
PAGE = "index.html"
LITERT = "litert"  # folder beside the page that holds core/ and wasm-utils/ of LiteRT.js
_PLAIN = ("node.js", "selftest.js", "page.js", "candidates.js", "page.css")
_TYPES = {"string": "string", "int64": "bigint | number", "float32": "number"}
_IMPORTS = {
    "@litertjs/core": f"./{LITERT}/core/dist/index.js",
    "@litertjs/wasm-utils": f"./{LITERT}/wasm-utils/dist/index.js",
}


def files(about: About) -> dict[str, str]:
    """Contents by name; beside them lies the browser's `model.tflite`."""
    features = [_feature(each) for each in about.inputs]
    values = {
        "model": json.dumps(about.name),
        "seed": about.seed,
        "item": json.dumps(item(about)),
        "features": _lines([json.dumps(feature) for feature in features]),
    }
    fields = [_field(each) for each in about.inputs]
    return {
        f"{CLIENT}.js": filled("web", f"{CLIENT}.js", **values),
        f"{CLIENT}.d.ts": filled("web", f"{CLIENT}.d.ts", fields="\n".join(fields)),
        "package.json": filled("web", "package.json"),
        PAGE: _page(about),
        **{name: filled("web", name) for name in _PLAIN},
    }


def item(about: About) -> str | None:
    """Name of the feature that is the item's id; None where the configuration names no item."""
    column = (about.metadata.get("config") or {}).get("item")
    names = [each.column.name for each in about.inputs if each.column.source == column]
    return names[0] if column and names else None


def policy(import_map: str) -> str:
    """The page's Content Security Policy: it loads from its own origin and sends nowhere else.

    Args:
      import_map: The only script inside of the page.
    """
    digest = base64.b64encode(hashlib.sha256(import_map.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'self' 'wasm-unsafe-eval' 'sha256-{digest}'; "
        "style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def _page(about: About) -> str:
    import_map = json.dumps({"imports": _IMPORTS})
    return filled(
        "web",
        PAGE,
        title=html.escape(about.name),
        policy=policy(import_map),
        import_map=import_map,
    )


def _feature(each: Input) -> dict[str, Any]:
    column = each.column
    return {
        "name": column.name,
        "type": column.dtype,
        "length": column.length,
        "separator": column.separator,
        "encoding": each.encoding,
        "past": column.past is not None,
    }


def _field(each: Input) -> str:
    """A property of the interface `Row`."""
    column = each.column
    one = f"{_TYPES[column.dtype]} | null"
    kind = f"readonly ({one})[] | null" if column.is_list else one
    return f"  {json.dumps(column.name)}{'?' if column.past else ''}: {kind};"


def _lines(texts: list[str]) -> str:
    return "[\n" + "".join(f"  {text},\n" for text in texts) + "]"
