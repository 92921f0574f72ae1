"""Switches that belong to the calling context: mlopt.flags."""
import contextvars
import os
from contextlib import ContextDecorator

import numpy as np

from cpython.contextvars cimport get_value

# name -> what it does; every flag is off unless MLOPT_FLAGS names it
KNOWN = {
    "strassen": "matmul may take Strassen's product for large operands",
}

cdef object context_flags = contextvars.ContextVar("mlopt_flags")
cdef frozenset default_flags = frozenset()
cdef bint strassen_by_default = False
cdef bint overridden = False  # whether flags was ever entered; until then no context is looked up


cdef object current():
    value = get_value(context_flags) if overridden else None
    return default_flags if value is None else value


cdef bint strassen_allowed() except -1:
    if not overridden:
        return strassen_by_default
    return "strassen" in current()


class flags(ContextDecorator):
    """Switch optional behaviour on or off inside a ``with`` block or a decorated function.

    The choice belongs to the current context (:mod:`contextvars`), as that of :class:`use_isa` does: other threads
    and other asyncio tasks are not affected, and a thread started inside the block starts with the process's
    flags. Blocks nest; a flag that is not named keeps the value it has. Every public function reads the flags once,
    when it is entered.

    ``MLOPT_FLAGS`` in the environment, names separated by commas, switches flags on for the process.

    Parameters
    ----------
    **names : bool
        Flags and their values:

        ``strassen``
            :func:`matmul` with ``method="auto"`` takes Strassen's product where that is faster, with its
            weaker error bound and its spreading of NaN and infinity.

    Raises
    ------
    TypeError
        If a value is not a bool.
    ValueError
        If a name is not a flag; the message lists those that are.

    See Also
    --------
    current_flags

    Examples
    --------
    >>> import mlopt
    >>> with mlopt.flags(strassen=True):
    ...     mlopt.current_flags()
    {'strassen': True}
    """

    def __init__(self, **names):
        for name, value in names.items():
            if name not in KNOWN:
                raise ValueError(f"{name!r} is not a flag; known: {', '.join(KNOWN)}")
            if not isinstance(value, (bool, np.bool_)):
                raise TypeError(f"{name} must be True or False, not {type(value).__name__}")
        self._names = {name: bool(value) for name, value in names.items()}
        self._tokens = []

    def __enter__(self):
        global overridden
        on = set(current())
        for name, value in self._names.items():
            if value:
                on.add(name)
            else:
                on.discard(name)
        overridden = True
        self._tokens.append(context_flags.set(frozenset(on)))
        return self

    def __exit__(self, *exc_info):
        context_flags.reset(self._tokens.pop())
        return False

    def _recreate_cm(self):  # a decorated function may run in several threads at once
        return type(self)(**self._names)


def current_flags():
    """The flags that calls made here and now obey.

    Returns
    -------
    dict
        Each flag of :class:`flags` and whether it is on.

    Examples
    --------
    >>> import mlopt
    >>> sorted(mlopt.current_flags())
    ['strassen']
    """
    on = current()
    return {name: name in on for name in KNOWN}


cdef initialise():
    global default_flags, strassen_by_default
    text = os.environ.get("MLOPT_FLAGS", "")
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in KNOWN:
            raise ImportError(f"MLOPT_FLAGS={text!r}: {name!r} is not a flag; known: {', '.join(KNOWN)}")
    default_flags = frozenset(names)
    strassen_by_default = "strassen" in default_flags


initialise()


__all__ = ["current_flags", "flags"]
