"""The account of numbered records: which came, which did not, which came twice or too late."""

from __future__ import annotations

from collections.abc import Callable


def _every(number: int) -> bool:
    return True


class Ledger:
    """Takes the numbers of records as they arrive, in memory that does not grow with them.

    Parameters
    ----------
    expects : callable, optional
        Says of a number whether a record of that number is to come at all; every number by default.

    Attributes
    ----------
    received : int
        Records that came, each counted once.
    duplicated : int
        Records that came again.
    out_of_order : int
        Records that came after one with a larger number.
    unexpected : int
        Records that were never to come.
    lost : int
        Records that were due, and have not come so far.

    Examples
    --------
    >>> from mlopt.soak.ledger import Ledger
    >>> ledger = Ledger(lambda number: number % 10 != 3)
    >>> for number in (0, 1, 2, 4, 6, 5, 6):
    ...     ledger.take(number)
    >>> ledger.received, ledger.lost, ledger.out_of_order, ledger.duplicated
    (6, 0, 1, 1)
    >>> ledger.close(10)
    >>> ledger.lost
    3
    """

    REMEMBERED = 10_000  # records missing, any of which may still come late

    def __init__(self, expects: Callable[[int], bool] = _every) -> None:
        self._expects = expects
        self._next = 0
        self._missing: dict[int, None] = {}
        self._given_up = 0
        self.received = self.duplicated = self.out_of_order = self.unexpected = 0

    @property
    def lost(self) -> int:
        """Records that were due and have not come."""
        return len(self._missing) + self._given_up

    @property
    def next(self) -> int:
        """The number behind the largest that was seen."""
        return self._next

    def take(self, number: int) -> None:
        """A record of this number has come."""
        if number >= self._next:
            self._skip_to(number)
            self._next = number + 1
            if self._expects(number):
                self.received += 1
            else:
                self.unexpected += 1
        elif number in self._missing:
            del self._missing[number]
            self.received += 1
            self.out_of_order += 1
        else:
            self.duplicated += 1

    def _skip_to(self, number: int) -> None:
        for missing in range(self._next, number):
            if self._expects(missing):
                if len(self._missing) < self.REMEMBERED:
                    self._missing[missing] = None
                else:
                    self._given_up += 1

    def close(self, count: int) -> None:
        """All records below `count` were to have come by now."""
        if count > self._next:
            self._skip_to(count)
            self._next = count

    def counters(self) -> dict[str, int]:
        """What has gone wrong, by name."""
        return {
            "lost": self.lost,
            "duplicated": self.duplicated,
            "out_of_order": self.out_of_order,
            "unexpected": self.unexpected,
        }
