"""Reading a whole catalogue at once: Shopify writes a file in its own time, we look how far it is and read it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import msgspec
import structlog

from backend.shopify.addresses import Addresses
from backend.shopify.admin import Admin, Sleep
from backend.shopify.documents import BULK_OPERATION, RUNNING_BULK, START_BULK, Document
from backend.shopify.errors import BulkFailed, ShopifyUnavailable, UserErrors

log = structlog.get_logger()

FIRST_WAIT_S, MAX_WAIT_S = 1.0, 30.0
MAX_LOOKS = 240
"""About two hours."""
DOWNLOAD_TIMEOUT_S = 60
BUSY = {"OPERATION_IN_PROGRESS", "LIMIT_REACHED"}
ENDED_BADLY = {"FAILED", "CANCELED", "CANCELING", "EXPIRED"}

Row = dict[str, Any]
"""One object; a child names its parent in `__parentId` and comes after it."""


class Progress(msgspec.Struct, frozen=True):
    status: str
    objects: int


class BulkOperations:
    """One at a time for each shop: of our own that still runs the result is waited for, not asked anew."""

    def __init__(self, admin: Admin, http: httpx.AsyncClient, addresses: Addresses, sleep: Sleep) -> None:
        self.admin = admin
        self.http = http
        self.addresses = addresses
        self.sleep = sleep

    async def read(
        self, shop: str, document: Document, on_progress: Callable[[Progress], Awaitable[None]]
    ) -> AsyncIterator[Row]:
        """Rows as they are downloaded. Raises `BulkFailed`, and what `Admin.run` raises."""
        address = await self._finished(shop, await self._start(shop, document), on_progress)
        if address is None:
            return
        async for row in self._download(address):
            yield row

    async def _start(self, shop: str, document: Document) -> str:
        try:
            data = await self.admin.run(shop, START_BULK, {"query": document.text})
        except UserErrors as refused:
            if not refused.codes & BUSY:
                raise
            return await self._running(shop, document)
        started: str = data["bulkOperationRunQuery"]["bulkOperation"]["id"]
        return started

    async def _running(self, shop: str, document: Document) -> str:
        """A start whose answer was lost, or another process's: the same question has the same answer."""
        nodes = (await self.admin.run(shop, RUNNING_BULK))["bulkOperations"]["nodes"]
        for node in nodes:
            if node["type"] == "QUERY" and node["query"].split() == document.text.split():
                found: str = node["id"]
                return found
        raise ShopifyUnavailable(f"{shop} is busy with another bulk operation.")

    async def _finished(
        self, shop: str, operation_id: str, on_progress: Callable[[Progress], Awaitable[None]]
    ) -> str | None:
        """Where the file is; None when there is nothing to read."""
        wait_s = FIRST_WAIT_S
        for _ in range(MAX_LOOKS):
            operation = (await self.admin.run(shop, BULK_OPERATION, {"id": operation_id}))["bulkOperation"]
            if operation is None:
                raise BulkFailed(f"{shop} has forgotten the bulk operation.")
            status = operation["status"]
            await on_progress(Progress(status, int(operation["objectCount"])))
            if status == "COMPLETED":
                address: str | None = operation["url"]
                return address
            if status in ENDED_BADLY:
                raise BulkFailed(f"{shop}: the bulk operation ended as {status}, {operation['errorCode']}.")
            await self.sleep(wait_s)
            wait_s = min(MAX_WAIT_S, wait_s * 1.5)
        raise BulkFailed(f"{shop}: the bulk operation takes too long.")

    async def _download(self, address: str) -> AsyncIterator[Row]:
        """From where Shopify says, without the shop's token: the address is the credential."""
        if not address.startswith(("https://", f"{self.addresses.demo_url or 'https:'}/")):
            raise BulkFailed("The result is not to be fetched from there.")
        try:
            async with self.http.stream("GET", address, timeout=DOWNLOAD_TIMEOUT_S) as answer:
                if not answer.is_success:
                    raise BulkFailed(f"The result was answered with {answer.status_code}.")
                async for line in answer.aiter_lines():
                    if line.strip():
                        yield json.loads(line)
        except httpx.TransportError as error:
            raise ShopifyUnavailable("The result of the bulk operation could not be fetched.") from error
