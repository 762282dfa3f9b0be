"""The OpenAPI document at `/schema/openapi.json` and a reference page at `/schema` that needs no other host."""

from html import escape
from typing import Any

from litestar import Request
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from backend.core.auth import BRAND_KEY, SHOPPER_TOKEN

VERSION = "1"
DESCRIPTION = (
    "Which size fits, how it sits, what it looks like on me. Centimetres and kilograms; every refusal is a problem"
    " (RFC 9457) with a stable `code`."
)
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>TryOn API</title>
<meta name="viewport" content="width=device-width"></head><body>
<h1>TryOn API</h1><p>{description}</p>
<p>The document for machines: <a href="/schema/openapi.json">/schema/openapi.json</a></p>
{operations}</body></html>"""


def openapi_config() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="TryOn",
        version=VERSION,
        description=DESCRIPTION,
        path="/schema",
        use_handler_docstrings=True,
        render_plugins=[ReferencePage(path="/"), JsonRenderPlugin(path="/openapi.json")],
        components=Components(
            security_schemes={
                BRAND_KEY: SecurityScheme(
                    type="http", scheme="bearer", description="A brand's API key, `tryon_…`; for servers alone."
                ),
                SHOPPER_TOKEN: SecurityScheme(
                    type="http", scheme="bearer", bearer_format="JWT", description="A shopper's token, 15 minutes."
                ),
            }
        ),
    )


class ReferencePage(OpenAPIRenderPlugin):
    """Plain HTML from the document: no script, no style sheet, nothing from another host."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        operations = "".join(
            _operation(method, path, operation)
            for path, item in sorted(openapi_schema["paths"].items())
            for method, operation in item.items()
            if isinstance(operation, dict)
        )
        return PAGE.format(description=escape(DESCRIPTION), operations=operations).encode()


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    callers = ", ".join(escape(name) for option in operation.get("security") or [] for name in option) or "anyone"
    parameters = "".join(
        f"<li><code>{escape(one['name'])}</code> ({escape(one['in'])}) {escape(one.get('description') or '')}</li>"
        for one in operation.get("parameters") or []
    )
    body = "".join(
        f"<li>body <code>{escape(kind)}</code>: <code>{escape(_reference(content))}</code></li>"
        for kind, content in (operation.get("requestBody") or {}).get("content", {}).items()
    )
    answers = "".join(
        f"<li><b>{escape(status)}</b> {escape(answer.get('description') or '')}</li>"
        for status, answer in sorted(operation.get("responses", {}).items())
    )
    about = escape(operation.get("description") or "")
    return (
        f'<section id="{escape(operation["operationId"])}"><h2><code>{method.upper()} {escape(path)}</code></h2>'
        f"<p>{about}</p><p>Caller: {callers}</p><ul>{parameters}{body}</ul><ul>{answers}</ul></section>"
    )


def _reference(content: dict[str, Any]) -> str:
    schema: dict[str, Any] = content.get("schema", {})
    return str(schema.get("$ref", schema.get("type", "any"))).rsplit("/", 1)[-1]
