"""Every kernel of the register, timed from C on the tier that the process runs."""

import statistics

from .common import aligned

try:
    from mlopt._kernels.core import current_isa
    from mlopt._kernels.register import Kernel, kernel_report

    ROWS = {(row["name"], row["type"]): row["signature"] for row in kernel_report()}
except ImportError:
    ROWS = {}

# signature -> how many arrays of n elements it takes
OPERANDS = {
    "unary": 2, "binary": 3, "ternary": 4, "reduce": 1, "argreduce": 1, "moments": 1, "dot": 2, "axpy": 2,
    "scale": 2, "row": 2, "limit": 3,
}  # fmt: skip
# the same for matrices of n elements, as wide as here
MATRIX_OPERANDS = {"columns": 2, "argcolumns": 2, "moments_columns": 3, "softmax_columns": 2, "matrix_sum": 3}
WIDTH = 256
RECIPES = OPERANDS | MATRIX_OPERANDS
DTYPES = {"f32": "float32", "f64": "float64"}


class Register:
    """Nanoseconds per call."""

    params = (
        sorted({name for (name, _), signature in ROWS.items() if signature in RECIPES}),
        sorted(DTYPES),
        [1024, 16384, 1 << 20],
    )
    param_names = ("kernel", "type", "n")
    timeout = 60
    unit = "ns"

    def setup(self, name, kind, n):
        signature = ROWS.get((name, kind))
        if signature not in RECIPES:
            raise NotImplementedError(f"no recipe for {name} of type {kind}")
        self.kernel = Kernel(name, kind, current_isa())
        self.operands = [aligned(n, DTYPES[kind], place) for place in range(RECIPES[signature])]
        matrix = signature in MATRIX_OPERANDS
        self.dims = (n // WIDTH, WIDTH, 0) if matrix else (n,)
        self.steps = (WIDTH,) * len(self.operands) if matrix else None

    def track_ns(self, name, kind, n):
        def measure(calls):
            return self.kernel.time(self.dims, *self.operands, number=1e-6, steps=self.steps, calls=calls)

        calls = max(1, int(2e6 / max(measure(3), 1.0)))
        return statistics.median(measure(calls) for _ in range(7))

    track_ns.unit = "ns"
