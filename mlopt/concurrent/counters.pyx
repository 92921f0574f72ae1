"""Counters and gauges that threads share without waiting for each other."""
cimport cython
from cpython.number cimport PyNumber_Index

from mlopt._kernels.core cimport slab_acquire_zeroed, slab_release

mlopt_thread_index_initialise()

cdef object ONE = 1


cdef unsigned thread_index() noexcept nogil:
    return mlopt_thread_index()


def thread_indices_in_use():
    """How many threads of this process have an index now: for tests."""
    return mlopt_thread_index_count()


cdef class Metric:
    """What counters and gauges have in common: name, help and labels, for whoever shows them."""

    cdef int describe(self, name, help, labels) except -1:
        for what, text in (("name", name), ("help", help)):
            if not isinstance(text, str):
                raise TypeError(f"{what} must be a string, not {type(text).__name__}")
        self.name, self.help = name, help
        self.label_values = {} if labels is None else dict(labels)
        for label, value in self.label_values.items():
            if not isinstance(label, str) or not isinstance(value, str):
                raise TypeError(f"labels must map strings to strings, not {label!r} to {value!r}")
        return 0

    @property
    def labels(self):
        """Label names and their values; a copy."""
        return dict(self.label_values)

    cdef str described(self):
        """Name and labels as Prometheus writes them: what stands in the repr."""
        labels = ", ".join(f'{label}="{value}"' for label, value in self.label_values.items())
        return self.name + ("{" + labels + "}" if labels else "")

    def __reduce__(self):
        raise TypeError(f"a {type(self).__name__} cannot be pickled: its cells belong to the threads of this process")


@cython.final
cdef class Counter(Metric):
    """A count that only grows, into which any number of threads add without waiting for each other.

    Every thread adds to a cache line of its own; reading sums them.  Counts are whole numbers, exact as
    long as they are below ``2**64``, where they start at 0 again: for amounts that are no whole numbers, count a
    smaller unit (nanoseconds, bytes), or use a :class:`Gauge`.

    Parameters
    ----------
    name : str, default ""
        What it is called, for whoever shows it; :class:`MetricsRegistry` wants names of Prometheus.
    help : str, default ""
        What it counts.
    labels : dict of str to str, optional
        What distinguishes it from others of the same name.

    Raises
    ------
    TypeError
        If one of them is something else.

    Notes
    -----
    Adding is wait-free, with or without the GIL; only the first addition of the ninth thread, and of each eighth
    after it, takes memory from the slab pool (lock-free).  Beyond 256 threads at a time, the others share one word,
    by an atomic addition.  From Cython, ``counter.add(n)`` needs no GIL.

    `value` has all that was added before, and any part of what is added while it is read; a thread never
    sees it go back.  A process that was forked goes on from the parent's count, for itself.

    The cells are those of LongAdder in Java (D. Lea), with one writer each.

    Examples
    --------
    >>> from mlopt.concurrent import Counter
    >>> orders = Counter("orders_total", "Orders sent")
    >>> orders.increment()
    >>> orders.increment(5)
    >>> orders.value
    6
    """

    def __cinit__(self, *args, **kwargs):
        self.cells = mlopt_cells_new(slab_acquire_zeroed, slab_release)
        if self.cells == NULL:
            raise MemoryError("no memory for a counter")

    def __init__(self, name="", help="", labels=None):
        self.describe(name, help, labels)

    def __dealloc__(self):
        mlopt_cells_delete(self.cells)

    cdef void add(self, int64_t n) noexcept nogil:
        mlopt_cells_add(self.cells, mlopt_thread_index(), <uint64_t>n)

    cdef uint64_t total(self) noexcept nogil:
        return mlopt_cells_sum(self.cells)

    def increment(self, n=1):
        """Add to the count.

        Parameters
        ----------
        n : int, default 1
            At least 0, below ``2**63``.

        Raises
        ------
        TypeError
            If `n` is no whole number.
        ValueError
            If `n` is negative; nothing is counted.
        OverflowError
            If `n` is ``2**63`` or more; nothing is counted.
        """
        # the default is recognised by identity, which saves a conversion a call
        cdef int64_t amount = 1 if n is ONE else PyNumber_Index(n)
        if amount < 0:
            raise ValueError(f"n must be at least 0, not {n}")
        mlopt_cells_add(self.cells, mlopt_thread_index(), <uint64_t>amount)

    @property
    def value(self):
        """The count."""
        return mlopt_cells_sum(self.cells)

    def __repr__(self):
        return f"Counter({self.described()} {self.value})"


@cython.final
cdef class Gauge(Metric):
    """A number that goes up and down: a queue's length, a position, a temperature.

    Parameters
    ----------
    name, help : str, default ""
        As for :class:`Counter`.
    labels : dict of str to str, optional
        As for :class:`Counter`.
    function : callable, optional
        Called without arguments whenever the gauge is read; such a gauge cannot be set.

    Raises
    ------
    TypeError
        If one of them is something else.

    Notes
    -----
    The value is one atomic float64.  `set` and `value` are wait-free; `add` repeats a compare-and-swap until no
    other thread came between (lock-free).  From Cython, ``gauge.store(x)``, ``gauge.change(x)`` and ``gauge.load()``
    do the same without the GIL.

    Examples
    --------
    >>> from mlopt.concurrent import Gauge
    >>> depth = Gauge("queue_depth", "Records waiting")
    >>> depth.set(3)
    >>> depth.add(-1)
    >>> depth.value
    2.0
    >>> records = [1, 2, 3]
    >>> Gauge("records", function=lambda: len(records)).value
    3.0
    """

    def __cinit__(self, *args, **kwargs):
        self.word = <mlopt_gauge *>slab_acquire_zeroed(sizeof(mlopt_gauge))
        if self.word == NULL:
            raise MemoryError("no memory for a gauge")

    def __init__(self, name="", help="", labels=None, function=None):
        self.describe(name, help, labels)
        if function is not None and not callable(function):
            raise TypeError(f"function must be callable, not {type(function).__name__}")
        self.function = function

    def __dealloc__(self):
        slab_release(self.word)

    cdef int require_own(self, str what) except -1:
        if self.function is not None:
            raise TypeError(f"{what}: this gauge reads a function")
        return 0

    cdef void store(self, double value) noexcept nogil:
        mlopt_gauge_set(self.word, value)

    cdef void change(self, double amount) noexcept nogil:
        mlopt_gauge_add(self.word, amount)

    cdef double load(self) noexcept nogil:
        return mlopt_gauge_get(self.word)

    def set(self, double value):
        """Replace the value.

        Raises
        ------
        TypeError
            If `value` is no number, or the gauge reads a function.
        """
        self.require_own("set")
        mlopt_gauge_set(self.word, value)

    def add(self, double amount):
        """Add to the value; a negative amount subtracts.

        Raises
        ------
        TypeError
            If `amount` is no number, or the gauge reads a function.
        """
        self.require_own("add")
        mlopt_gauge_add(self.word, amount)

    @property
    def value(self):
        """The value, as a float; what the function raises is raised."""
        if self.function is not None:
            return float(self.function())
        return mlopt_gauge_get(self.word)

    def __repr__(self):
        value = "function" if self.function is not None else f"{self.value:g}"
        return f"Gauge({self.described()} {value})"


__all__ = ["Counter", "Gauge"]
