"""One call of an endpoint, and what ends it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from harness.chat.calls import Failure, call
from harness.chat.completion import Completion

BODY = b'{"choices": [{"message": {"content": "4"}, "finish_reason": "stop"}], "model": "m"}'


class Endpoint:
    """A client whose answer comes when ``answer`` has it."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.default_query: dict[str, str] = {}
        self.base_url = "http://127.0.0.1/v1/"

    async def post(self, *words: object, **options: object) -> Any:
        return await self.answer


async def _left(after: int) -> Completion | None:
    """What a call gives that is cancelled ``after`` rounds of the loop from its answer; None for nothing."""
    endpoint = Endpoint()
    asking: asyncio.Task[Completion] = asyncio.create_task(call(endpoint, {}, 60.0))  # type: ignore[arg-type]
    await asyncio.sleep(0.01)
    endpoint.answer.set_result(SimpleNamespace(content=BODY))
    for _ in range(after):
        await asyncio.sleep(0)
    done = asking.done()
    asking.cancel()
    try:
        given = await asking
    except asyncio.CancelledError:
        assert not done
        return None
    assert done
    return given


@pytest.mark.parametrize("after", range(6))
def test_a_call_that_is_left_as_its_answer_comes_is_left(after: int) -> None:
    """Else its worker asks the next question, and waits for ever for somebody to take the answer."""
    given = asyncio.run(_left(after))
    assert given is None or given.text == "4"
    if after in (0, 5):
        assert (given is None) == (after == 0)


def test_an_answer_that_does_not_come_in_time_is_a_slow_failure() -> None:
    async def asked() -> None:
        await call(Endpoint(), {}, 0.01)  # type: ignore[arg-type]

    with pytest.raises(Failure, match=r"no answer within 0\.01 s") as caught:
        asyncio.run(asked())
    assert caught.value.slow
