"""Money and patience: what calls cost, and when the rest is not worth asking."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from harness.chat.calls import Failure
from harness.chat.prices import Price, cost


class Account:
    """Money spent and promised, and whether to stop.

    ``stopped`` is the reason why nothing more is asked, "" while questions are asked.
    """

    def __init__(self, model: str, prices: Mapping[str, Price], budget: float | None, give_up: int) -> None:
        self.tokens: dict[str, int] = {"prompt_tokens": 0, "completion_tokens": 0}
        self.stopped = ""
        self._model, self._prices, self._budget, self._give_up = model, prices, budget, give_up
        self._promised, self._promises = 0.0, 0
        self._failed_in_a_row, self._unpaid = 0, False

    def restart(self) -> None:
        """Other requests begin: what stopped earlier ones need not stop these. Money spent stays spent."""
        self.stopped, self._failed_in_a_row, self._unpaid = "", 0, False

    @property
    def spent(self) -> float | None:
        """USD; None where the model has no price."""
        return cost(self.tokens, self._model, self._prices)

    async def reserve(self, usage: Mapping[str, int]) -> float:
        """Set aside what a call of ``usage`` may cost; returns it.

        Raises Failure when the asking was stopped, or stops now because the budget cannot bear the call. It waits
        for calls in flight first: they may turn out cheaper than what was set aside for them.
        """
        if self.stopped:
            raise Failure(self.stopped, again=False, unpaid=self._unpaid)
        if self._budget is None:
            return 0.0
        price = cost(usage, self._model, self._prices) or 0.0
        while (self.spent or 0.0) + self._promised + price > self._budget:
            if self._promises == 0:
                reason = (
                    f"budget: ${self.spent or 0:.4f} of ${self._budget:g} spent, the next call may take ${price:.4f}"
                )
                raise Failure(reason, stop=True, unpaid=True)
            await asyncio.sleep(0.01)
        if price:
            self._promised, self._promises = self._promised + price, self._promises + 1
        return price

    def release(self, promised: float) -> None:
        """Take back what ``reserve`` set aside: the call is over."""
        if promised:
            self._promised, self._promises = self._promised - promised, self._promises - 1

    def book(self, usage: Mapping[str, int]) -> None:
        """Count the tokens of a call."""
        for name in self.tokens:
            self.tokens[name] += usage.get(name, 0)

    def succeeded(self) -> None:
        self._failed_in_a_row = 0

    def failed(self, failure: Failure) -> None:
        """A request was given up; too many in a row, or a hopeless one, stop the asking."""
        self._failed_in_a_row += 1
        if failure.stop:
            self._unpaid = failure.unpaid if not self.stopped else self._unpaid
            self.stopped = self.stopped or failure.reason
        elif self._failed_in_a_row >= self._give_up:
            self.stopped = self.stopped or f"not asked: {self._failed_in_a_row} in a row failed, last: {failure.reason}"
