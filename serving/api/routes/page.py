"""The page at `/`, its files below `/page`, and the API's reference at `/docs`."""

from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, HTMLResponse
from starlette.staticfiles import StaticFiles

PAGE: Final = Path(__file__).resolve().parents[2] / "page"

SWAGGER: Final = Path(str(files("bentoml"))) / "_internal" / "server" / "static_content"
"""BentoML brings Swagger's files, so that the reference needs no other server."""
_REFERENCE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>GREAM API</title>
<link rel="stylesheet" href="/docs/swagger/swagger-ui.css">
<div id="reference"></div>
<script src="/docs/swagger/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
"""
_START: Final = 'SwaggerUIBundle({url: "/openapi.json", dom_id: "#reference"});\n'
_REFERENCE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False)
page_files = StaticFiles(directory=PAGE)
swagger_files = StaticFiles(directory=SWAGGER)


@router.get("/")
async def index() -> FileResponse:
    """The page."""
    return FileResponse(PAGE / "index.html")


@router.get("/docs")
async def reference() -> HTMLResponse:
    """The API's reference, to read and to try."""
    return HTMLResponse(_REFERENCE, headers={"Content-Security-Policy": _REFERENCE_POLICY})


@router.get("/docs/start.js")
async def start_reference() -> Response:
    """A file of its own, because scripts within pages are forbidden."""
    return Response(_START, media_type="text/javascript")
