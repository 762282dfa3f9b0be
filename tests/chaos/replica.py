"""A replica that answers shoppers, workers and hooks; between its socket and the app, requests may come to grief."""

import asyncio
import json
import socket
import warnings
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from litestar import Litestar

from backend.app import create_app
from backend.core.folder_store import FolderStore
from backend.core.storage import StoredObject, StoreUnavailable
from tests.chaos.faults import HOOK, Faults
from tests.chaos.world import FastClock, World, write_log

Message = dict[str, Any]
REFUSED_UPLOADS = {
    "upload answers 503": 503,
    "upload address expired": 403,
    "upload refused": 413,
}
LOST_HOOKS = {"hook dropped": 200, "hook refused": 503}
"""What the sender is told; the service hears nothing."""
LATE_S, DELAY_S, SLOW_S = 4.0, 1.0, 0.4


class FullStore(FolderStore):
    """A replica's store whose disk is full now and then."""

    faults: Faults

    async def put(self, bucket: str, key: str, body: bytes | AsyncIterator[bytes], **how: Any) -> StoredObject:
        if self.faults.take("disk full"):
            raise StoreUnavailable("no space left on device")
        return await super().put(bucket, key, body, **how)


class Troubled:
    """ASGI around the app."""

    def __init__(self, app: Litestar, world: World) -> None:
        self.app: Any = app
        self.faults = world.faults
        self.storm = world.storm
        self.seen_ids: deque[str] = deque(maxlen=20)
        self.later: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http" and path.startswith("/hooks/jobs/"):
            await self._hook(scope, receive, send)
        elif scope["type"] == "http" and path.startswith("/objects/avatars/") and scope["method"] == "PUT":
            await self._upload(scope, receive, send)
        elif scope["type"] == "http" and path.startswith("/objects/photos/") and scope["method"] == "GET":
            await self._download(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    # ---- hooks ------------------------------------------------------------------------------------------------------

    async def _hook(self, scope: Message, receive: Any, send: Any) -> None:
        body = await read_body(receive)
        fault = self.faults.take_any(HOOK)
        if fault in LOST_HOOKS:
            await answer(send, LOST_HOOKS[fault])
            return
        await self._trouble(fault, scope, body)
        await self.app(scope, once(self._spoiled(fault, body)), send)

    def _spoiled(self, fault: str | None, body: bytes) -> bytes:
        match fault:
            case "hook without body":
                return b"null"
            case "hook is half a body":
                return body[: len(body) // 2]
            case "hook with another job's id":
                return self._with_another_id(body)
        return body

    async def _trouble(self, fault: str | None, scope: Message, body: bytes) -> None:
        match fault:
            case "hook delayed":
                await asyncio.sleep(DELAY_S)
            case "hook forged":
                await self._forge(scope, body)
            case "hook doubled":
                await self.again(scope, body)
            case "storm of hooks":
                await asyncio.gather(*(self.again(scope, body) for _ in range(self.storm)))
            case "hook replayed late":
                task = asyncio.create_task(self._replay(scope, body))
                self.later.add(task)
                task.add_done_callback(self.later.discard)

    async def _replay(self, scope: Message, body: bytes) -> None:
        await asyncio.sleep(LATE_S)
        await self.again(scope, body)

    async def _forge(self, scope: Message, body: bytes) -> None:
        """The right attempt, another token: nothing may come of it."""
        folder, _, token = scope["path"].rpartition("/")
        path = f"{folder}/{token[:-2]}{'xy' if token[-2:] != 'xy' else 'yx'}"
        status = await self.again({**scope, "path": path, "raw_path": path.encode()}, body)
        if status not in {404, 503}:  # the latter while the database is down
            self.faults.break_promise(f"a forged hook was answered {status}")

    def _with_another_id(self, body: bytes) -> bytes:
        told = json.loads(body)
        own = told.get("id")
        told["id"] = next((other for other in self.seen_ids if other != own), "never-seen-e1")
        self.seen_ids.append(own)
        return json.dumps(told).encode()

    async def again(self, scope: Message, body: bytes) -> int:
        """The same once more; its status."""
        told: list[int] = []

        async def note(message: Message) -> None:
            await asyncio.sleep(0)
            if message["type"] == "http.response.start":
                told.append(message["status"])

        await self.app({**scope, "state": dict(scope.get("state", {}))}, once(body), note)
        return told[0]

    # ---- objects ----------------------------------------------------------------------------------------------------

    async def _upload(self, scope: Message, receive: Any, send: Any) -> None:
        subject = scope["path"].split("/")[5]
        fault = self.faults.take_any((*REFUSED_UPLOADS, "upload stored, answer lost"), subject)
        if fault in REFUSED_UPLOADS:
            await read_body(receive)
            await answer(send, REFUSED_UPLOADS[fault])
        elif fault is not None:
            await self.again(scope, await read_body(receive))
            raise ConnectionResetError  # uvicorn cuts the connection
        else:
            await self.app(scope, receive, send)

    async def _download(self, scope: Message, receive: Any, send: Any) -> None:
        subject = scope["path"].split("/")[5]
        match self.faults.take_any(("download answers 503", "download address expired", "download is slow"), subject):
            case "download answers 503":
                await answer(send, 503)
            case "download address expired":
                await answer(send, 403)
            case fault:
                if fault is not None:
                    await asyncio.sleep(SLOW_S)
                await self.app(scope, receive, send)


async def read_body(receive: Any) -> bytes:
    body, is_more = b"", True
    while is_more:
        message = await receive()
        body += message.get("body", b"")
        is_more = message.get("more_body", False)
    return body


def once(body: bytes) -> Any:
    """An ASGI `receive` that has this body and then nothing."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        return next(messages, {"type": "http.disconnect"})

    return receive


async def answer(send: Any, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def shared_socket(port: int) -> socket.socket:
    """Several replicas behind one port: the kernel deals out the connections."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind(("127.0.0.1", port))
    return listening


def run_replica(world: World, name: str) -> None:
    write_log(world, name)
    warnings.simplefilter("ignore")
    settings, clock = world.settings(), FastClock.of(world)
    store = FullStore(settings.objects_dir, settings.public_base_url, settings.storage_signing_key, clock)
    store.faults = world.faults
    app: Any = Troubled(create_app(settings, clock=clock, store=store), world)
    config = uvicorn.Config(app, access_log=False, log_level="warning", server_header=False)
    uvicorn.Server(config).run(sockets=[shared_socket(world.service_port)])
