"""Optimisers as parameter objects: what a step does stands here, its state in the model."""
from numbers import Real

from libc.math cimport isfinite


cdef double check(str name, value, double low, double high, str expected) except? -1:
    # low <= value < high; NaN and infinity are never good
    if type(value) is not float and (not isinstance(value, Real) or isinstance(value, bool)):
        raise TypeError(f"{name} must be a real number, not {type(value).__name__}")
    cdef double number = value
    if not isfinite(number) or not low <= number < high:
        raise ValueError(f"{name} must be {expected}, got {value!r}")
    return number


cdef double INFINITY = float("inf")
# the smallest eps that is a normal number in float32, so that a step never divides by 0
cdef double SMALLEST_EPS = 1.1754943508222875e-38


cdef class Optimizer:
    """Common base of :class:`SGD` and :class:`AdamW`."""

    @property
    def lr(self):
        """Learning rate, or the schedule that gives it; may be set between steps."""
        return self.rates[0] if self.schedule is None else self.schedule

    @lr.setter
    def lr(self, value):
        if callable(value):
            check("lr(0)", value(0), 0, INFINITY, "at least 0 and finite")
            self.schedule = value
            return
        self.rates[0] = check("lr", value, 0, INFINITY, "at least 0 and finite")
        self.schedule = None

    @property
    def clip_norm(self):
        """The largest Euclidean norm of a gradient; a longer one is shortened to it.  None: no limit."""
        return None if self.most == 0 else self.most

    @clip_norm.setter
    def clip_norm(self, value):
        self.most = 0 if value is None else check("clip_norm", value, SMALLEST_EPS, INFINITY, "positive and finite")

    cdef int prepare(self, long long step) except -1:
        # for the step of this number, from 0
        if self.schedule is not None:
            self.rates[0] = check("lr", self.schedule(step), 0, INFINITY, "at least 0 and finite")
        return 0

    def _arguments(self):
        raise TypeError("Optimizer is abstract: use SGD or AdamW")

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._arguments().items())})"

    def __eq__(self, other):
        return type(self) is type(other) and self._arguments() == other._arguments()

    def __reduce__(self):
        return restore, (type(self), self._arguments())

    def __copy__(self):
        return type(self)(**self._arguments())


def restore(kind, arguments):
    """An optimiser from its arguments: what pickles call."""
    return kind(**arguments)


cdef class SGD(Optimizer):
    """Stochastic gradient descent with momentum, as :class:`torch.optim.SGD` defines it.

    ``velocity = momentum * velocity + gradient + weight_decay * parameter``, then
    ``parameter -= lr * velocity``.

    Parameters
    ----------
    lr : float or callable, default 1e-2
        Learning rate, or a function of the step's number (0, 1, ...) such as :class:`CosineSchedule`.
    momentum : float, default 0.0
        In [0, 1).
    weight_decay : float, default 0.0
        The L2 penalty's factor.
    nesterov : bool, default False
        Nesterov's form: the step looks one velocity ahead.
    clip_norm : float, optional
        Gradients of a larger Euclidean norm, over all parameters, are shortened to it.

    Examples
    --------
    >>> import mlopt
    >>> mlopt.nn.SGD(lr=0.1, momentum=0.9)
    SGD(lr=0.1, momentum=0.9, weight_decay=0.0, nesterov=False, clip_norm=None)
    """

    def __init__(self, lr=1e-2, momentum=0.0, weight_decay=0.0, *, nesterov=False, clip_norm=None):
        self.vectors = 1
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.nesterov = nesterov
        self.clip_norm = clip_norm

    @property
    def nesterov(self):
        """Whether the step looks one velocity ahead."""
        return self.rates[3] != 0

    @nesterov.setter
    def nesterov(self, value):
        if value not in (True, False):
            raise TypeError(f"nesterov must be True or False, got {value!r}")
        self.rates[3] = bool(value)

    @property
    def momentum(self):
        """Share of the last velocity that is kept."""
        return self.rates[1]

    @momentum.setter
    def momentum(self, value):
        self.rates[1] = check("momentum", value, 0, 1, "in [0, 1)")

    @property
    def weight_decay(self):
        """Factor of the L2 penalty."""
        return self.rates[2]

    @weight_decay.setter
    def weight_decay(self, value):
        self.rates[2] = check("weight_decay", value, 0, INFINITY, "at least 0 and finite")

    def _arguments(self):
        return {"lr": self.lr, "momentum": self.momentum, "weight_decay": self.weight_decay,
                "nesterov": self.nesterov, "clip_norm": self.clip_norm}


cdef class AdamW(Optimizer):
    """Adam with decoupled weight decay, as :class:`torch.optim.AdamW` defines it.

    Parameters
    ----------
    lr : float, default 1e-3
        Learning rate.
    betas : tuple of float, default (0.9, 0.999)
        Decay of the running mean of the gradient and of its square, each in [0, 1).
    eps : float, default 1e-8
        Added to the root of the mean square; at least 1.2e-38.
    weight_decay : float, default 1e-2
        Every step takes ``lr * weight_decay`` of each parameter away.

    Examples
    --------
    >>> import mlopt
    >>> mlopt.nn.AdamW(lr=3e-4)
    AdamW(lr=0.0003, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01, clip_norm=None)
    """

    def __init__(self, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, *, clip_norm=None):
        self.vectors = 2
        self.lr = lr
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm

    @property
    def betas(self):
        """Decay rates of the two running means."""
        return self.rates[1], self.rates[2]

    @betas.setter
    def betas(self, value):
        try:
            first, second = value
        except (TypeError, ValueError):
            raise ValueError(f"betas must be two numbers, got {value!r}") from None
        cdef double beta1 = check("betas[0]", first, 0, 1, "in [0, 1)")
        cdef double beta2 = check("betas[1]", second, 0, 1, "in [0, 1)")
        self.rates[1] = beta1
        self.rates[2] = beta2

    @property
    def eps(self):
        """Added to the root of the mean square."""
        return self.rates[3]

    @eps.setter
    def eps(self, value):
        self.rates[3] = check("eps", value, SMALLEST_EPS, INFINITY, "at least 1.2e-38 and finite")

    @property
    def weight_decay(self):
        """Share of a parameter, times `lr`, that each step takes away."""
        return self.rates[4]

    @weight_decay.setter
    def weight_decay(self, value):
        self.rates[4] = check("weight_decay", value, 0, INFINITY, "at least 0 and finite")

    def _arguments(self):
        return {"lr": self.lr, "betas": self.betas, "eps": self.eps, "weight_decay": self.weight_decay,
                "clip_norm": self.clip_norm}
