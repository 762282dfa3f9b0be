"""What an operator sees in a browser, and what nobody sees there."""

import re

import aiohttp
import pytest

from tests.gpu_worker.endpoint.driver import Endpoint


async def page(endpoint: Endpoint, password: str | None = None) -> tuple[int, str]:
    login = aiohttp.encode_basic_auth("operator", endpoint.keys.client_key if password is None else password)
    async with endpoint.session.get(f"{endpoint.base}/", headers={"Authorization": login}) as answer:
        return answer.status, await answer.text()


def figure(text: str, name: str) -> int:
    found = re.search(rf"<dt>{name}</dt><dd>(\d+)</dd>", text)
    assert found is not None, text
    return int(found[1])


async def test_it_counts_what_waits_runs_and_has_ended(endpoint: Endpoint) -> None:
    first, second = await endpoint.run("secret-of-a-shopper"), await endpoint.run()
    worker = endpoint.worker("w1")
    await worker.take()
    status, text = await page(endpoint)
    assert status == 200
    assert (figure(text, "waiting"), figure(text, "running"), figure(text, "workers idle")) == (1, 1, 0)
    await worker.done(first, output={"measurements": "secret-result"})
    _, text = await page(endpoint)
    assert (figure(text, "completed"), figure(text, "running")) == (1, 0)
    assert first in text
    assert second in text
    assert "secret" not in text


async def test_a_worker_that_is_not_heard_any_more_is_called_silent(endpoint: Endpoint) -> None:
    await endpoint.worker("w<1>").ping()
    _, text = await page(endpoint)
    assert "<td>w&lt;1&gt;</td><td>idle</td>" in text
    await endpoint.pass_time(60)
    _, text = await page(endpoint)
    assert "<td>w&lt;1&gt;</td><td>silent</td>" in text


@pytest.mark.parametrize("password", ["", "wrong", "\u00e9"])
async def test_it_is_closed_without_the_client_key(endpoint: Endpoint, password: str) -> None:
    await endpoint.run()
    status, text = await page(endpoint, password)
    assert status == 401
    assert "waiting" not in text


async def test_the_workers_key_does_not_open_it(endpoint: Endpoint) -> None:
    assert (await page(endpoint, endpoint.keys.worker_key))[0] == 401


@pytest.mark.parametrize("header", ["Basic", "Basic %%%", "Bearer x", "Basic bm9jb2xvbg=="])
async def test_a_broken_login_is_refused(endpoint: Endpoint, header: str) -> None:
    async with endpoint.session.get(f"{endpoint.base}/", headers={"Authorization": header}) as answer:
        assert answer.status == 401
        assert "client_key" in await answer.text()
