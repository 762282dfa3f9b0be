"""An object store as a worker sees it: signed addresses that work or do not, and faults on demand."""

import contextlib
import hashlib
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

TOKEN = "s3cret-t0ken"
TYPES = {"avatar.glb": "model/gltf-binary", "body.npz": "application/zip", "manifest.json": "application/json"}
TAILORED = {
    "garment": {
        "preview.glb": "model/gltf-binary",
        "preview.png": "image/png",
        "garment.npz": "application/zip",
        "manifest.json": "application/json",
    },
    "dress": {"garment.glb": "model/gltf-binary", "manifest.json": "application/json"},
}
TYPE_OF = TYPES | TAILORED["garment"] | TAILORED["dress"]


class Storage:
    """Objects in memory. `faults[(method, name)]` is a list of answers given before the real one."""

    def __init__(self) -> None:
        self.origin = ""
        self.objects: dict[str, bytes] = {}
        self.faults: dict[tuple[str, str], list[str]] = {}
        self.written: list[str] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []

    async def serve(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        self.requests.append((request.method, name, dict(request.headers)))
        if request.query.get("token") != TOKEN:
            return web.Response(status=403)
        faults = self.faults.get((request.method, name), [])
        fault = faults.pop(0) if faults else ""
        if fault.isdigit():
            return web.Response(status=int(fault), headers={"Location": f"{self.origin}/objects/other?token={TOKEN}"})
        if fault == "cut" and request.transport:
            request.transport.close()
            return web.Response()
        if request.method == "GET":
            return self.get(name, fault)
        return await self.put(request, name, fault)

    def get(self, name: str, fault: str) -> web.Response:
        body = self.objects.get(name)
        if body is None:
            return web.Response(status=404)
        changed = {"longer": body + b"more", "shorter": body[:-1], "other": bytes(len(body)), "": body}
        return web.Response(body=changed[fault])

    async def put(self, request: web.Request, name: str, fault: str) -> web.Response:
        if request.headers.get("Content-Type") != TYPE_OF.get(name) or "Content-Length" not in request.headers:
            return web.Response(status=415)
        if name in self.objects:
            return web.Response(status=409)
        self.objects[name] = await request.read()
        self.written.append(name)
        if fault == "cut after writing" and request.transport:
            request.transport.close()
        return web.Response()

    def address(self, name: str) -> str:
        return f"{self.origin}/objects/{name}?token={TOKEN}"

    def input(self, name: str, body: bytes, **changed: Any) -> dict[str, Any]:
        self.objects[name] = body
        stated = {
            "url": self.address(name),
            "sha256": hashlib.sha256(body).hexdigest(),
            "bytes": len(body),
            "media_type": "image/jpeg",
        }
        return stated | changed

    def outputs(self, *names: str) -> dict[str, Any]:
        return {
            name: {"url": self.address(name), "headers": {"Content-Type": TYPE_OF[name]}, "max_bytes": 20_000_000}
            for name in names
        }

    def job(self, kind: str = "avatar", photo: bytes | None = b"a photo", **changed: Any) -> dict[str, Any]:
        content: dict[str, Any] = {
            "contract_version": 1,
            "attempt_id": "attempt-1",
            "kind": kind,
            "inputs": {} if photo is None else {"photo": self.input("photo", photo)},
            "outputs": self.outputs(*TYPES),
            "params": {"height_cm": 178, "weight_kg": 74.5, "sex": "male"},
        }
        return {"id": "rp-1", "input": content | changed}

    def tailored(self, kind: str, params: dict[str, Any], **inputs: bytes) -> dict[str, Any]:
        """A garment or dress job."""
        given = {name: self.input(name, body) for name, body in inputs.items()}
        return self.job(kind, None, params=params, inputs=given, outputs=self.outputs(*TAILORED[kind]))


@contextlib.asynccontextmanager
async def storage_running() -> AsyncIterator[Storage]:
    storage = Storage()
    app = web.Application(client_max_size=30_000_000)
    app.router.add_route("*", "/objects/{name}", storage.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    storage.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield storage
    finally:
        await runner.cleanup()
