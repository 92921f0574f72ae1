"""Small networks, one sample at a time: inference and the gradient."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from mlopt.targets import peers
from mlopt.targets.contest import OURS, Contest, NotHere, Options
from mlopt.targets.limits import l1_read
from mlopt.targets.measure import calls, latencies
from mlopt.targets.memory import aligned, aligned_copy
from mlopt.targets.result import MEASURED, Row
from mlopt.targets.rows.matmul import on_reference
from mlopt.targets.serving_loop import measure_bound, measure_quantized, parameter_bytes

SMALL = (100, 50, 10)
# From weights of some cache lines to such as no cache holds.
QUANTIZED = [SMALL, *((width, width, width) for width in (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096))]
# Shapes drawn at random, whose weights fit the first-level cache; nothing in the library knows them.
SHAPES, FEWEST_BYTES, MOST_BYTES = 20, 8 * 1024, 32 * 1024


def make_network(widths: tuple[int, ...]) -> Any:
    """This library's network, weights from a fixed seed."""
    try:
        from mlopt.nn import MLP
    except ImportError as error:
        raise NotHere(f"mlopt.nn is not in this version ({error})") from error
    return MLP(list(widths), rng=0)


def baseline_network(model: Any) -> Any:
    """The baseline program's network, with the weights of a model."""
    from mlopt.targets.baseline.network import Network

    return Network(model.weights, model.biases)


def make_samples(widths: tuple[int, ...], rows: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Input and target, of one sample or a batch."""
    rng = np.random.default_rng(1)
    lead = () if rows is None else (rows,)
    x, y = (rng.standard_normal((*lead, width)).astype("float32") for width in (widths[0], widths[-1]))
    return aligned_copy(x), aligned_copy(y, place=1)


def torch_network(torch: Any, model: Any) -> Any:
    """PyTorch's network, with the weights of a model."""
    layers: list[Any] = []
    for w, b in zip(model.weights, model.biases, strict=True):
        linear = torch.nn.Linear(*w.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(np.ascontiguousarray(w.T)))
            linear.bias.copy_(torch.from_numpy(np.array(b)))
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def numpy_gradient(model: Any, x: np.ndarray, y: np.ndarray) -> Callable[[], object]:
    """The gradient of one sample by hand in NumPy, into arrays made before."""
    (w1, w2), (b1, b2) = ([np.array(a) for a in pair] for pair in (model.weights, model.biases))
    dw1, dw2 = np.empty_like(w1), np.empty_like(w2)
    factor = np.float32(2 / y.size)

    def gradient() -> None:
        h = np.maximum(x @ w1 + b1, 0)
        d2 = (h @ w2 + b2 - y) * factor
        np.multiply(h[:, None], d2, out=dw2)
        d1 = (w2 @ d2) * (h > 0)
        np.multiply(x[:, None], d1, out=dw1)

    return gradient


def measure_gradient(row: Row, options: Options) -> None:
    """All parameter gradients of one sample."""
    model = make_network(SMALL)
    x, y = make_samples(SMALL)
    before = baseline_network(model)
    contest = Contest(
        ours=calls(lambda: model.gradient(x, y)),
        baseline=on_reference(calls(lambda: before.gradient(x, y))),
        limits=[l1_read()],
        plan_figure=45e-6,
    )
    if hasattr(model, "bind_gradient"):
        contest.variants["bound"] = calls(model.bind_gradient(x, y))
    if options.peers:
        contest.peers[f"{peers.label('numpy')}, by hand"] = calls(numpy_gradient(model, x, y))
        if (torch := peers.find("torch")) is not None:
            network, loss = torch_network(torch, model), torch.nn.MSELoss()
            parameters = list(network.parameters())
            inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
            contest.peers[f"{peers.label('torch')} autograd"] = calls(
                lambda: torch.autograd.grad(loss(network(inputs), targets), parameters)
            )
    contest.fill(row, options.seconds)
    if "bound" in row.metrics:
        row.figures["bound call"] = row.metrics["bound"]


def measure_inference(row: Row, options: Options) -> None:
    """One sample through the network: predict(x, out=), and the bound call."""
    from mlopt.targets.empty import EmptyCall

    model = make_network(SMALL)
    x, _ = make_samples(SMALL)
    out = aligned(SMALL[-1], "float32", place=1)
    bound = model.bind(x, out)
    before = baseline_network(model)
    limit = l1_read(parameter_bytes(SMALL))
    contest = Contest(
        ours=calls(lambda: model.predict(x, out=out)),
        baseline=on_reference(calls(lambda: before.predict(x))),
        limits=[limit],
        variants={"bound": calls(bound), "empty": calls(EmptyCall())},
        plan_figure=50e-6,
    )
    if options.peers:
        add_inference_peers(contest, model, x, out)
    rounds = contest.fill(row, options.seconds)
    (alone,) = measure_bound([SMALL], options.seconds / 2)
    row.metrics["bound_over_floor"] = alone["over"]
    row.figures["bound call in a process of its own"] = alone["bound"]
    row.figures["bound call"] = row.metrics["bound"]
    row.figures["empty call"] = row.metrics["empty"]
    count = 1_000_000 if options.seconds >= 1 else 100_000
    for name, call in (("predict", lambda: model.predict(x, out=out)), ("bound", bound)):
        times = latencies(call, count)
        row.details.append(
            {
                "call": name,
                "median µs": times.median * 1e6,
                "p99 µs": times.p99 * 1e6,
                "p99.9 µs": times.p999 * 1e6,
                "worst µs": times.worst * 1e6,
                "calls": times.calls,
                "clock taken off µs": times.clock_overhead * 1e6,
            }
        )
        row.metrics[f"{name}_p99"], row.metrics[f"{name}_p999"] = times.p99, times.p999
    row.metrics["ours_over_bound"] = rounds.ratio(OURS, of="variant bound").median
    (quantized,) = measure_quantized([SMALL], options.seconds / 2)
    row.metrics["int8"] = quantized["int8"]
    row.figures["int8, bound call in a process of its own"] = quantized["int8"]


def measure_inference_int8(row: Row, options: Options) -> None:
    """The bound call in int8 against float32, from weights in the first-level cache to those in memory."""
    results = measure_quantized(QUANTIZED, options.seconds / 5)
    for result in results:
        row.details.append(
            {
                "widths": "-".join(map(str, result["widths"])),
                "float32 KB": parameter_bytes(result["widths"]) / 1024,
                "float32 µs": result["float32"] * 1e6,
                "int8 µs": result["int8"] * 1e6,
                "float32 / int8": result["ratio"],
            }
        )
    ratios = [result["ratio"] for result in results]
    row.status = MEASURED
    row.metrics["worst_ratio"], row.metrics["median_ratio"] = min(ratios), float(np.median(ratios))


def random_shapes(seed: int = 20) -> list[tuple[int, ...]]:
    """Widths of networks of one to three hidden layers."""
    rng = np.random.default_rng(seed)
    shapes: list[tuple[int, ...]] = []
    while len(shapes) < SHAPES:
        widths = np.exp(rng.uniform(np.log(4), np.log(200), rng.integers(3, 6))).astype(int)
        if FEWEST_BYTES <= parameter_bytes(widths.tolist()) <= MOST_BYTES:
            shapes.append(tuple(int(width) for width in widths))
    return shapes


def measure_inference_shapes(row: Row, options: Options) -> None:
    """The bound call of random networks over reading their parameters and an empty call."""
    results = measure_bound(random_shapes(), options.seconds / 5)
    for result in results:
        row.details.append(
            {
                "widths": "-".join(map(str, result["widths"])),
                "KB": parameter_bytes(result["widths"]) / 1024,
                "bound ns": result["bound"] * 1e9,
                "over reading and an empty call": result["over"],
            }
        )
    ratios = [result["over"] for result in results]
    row.status = MEASURED
    row.metrics["worst_over_floor"], row.metrics["median_over_floor"] = max(ratios), float(np.median(ratios))


def add_inference_peers(contest: Contest, model: Any, x: np.ndarray, out: np.ndarray) -> None:
    """The same network in the peers, each in its quickest form."""
    (w1, w2), (b1, b2) = ([np.array(a) for a in pair] for pair in (model.weights, model.biases))
    hidden = np.empty_like(b1)

    def by_hand() -> None:
        np.matmul(x, w1, out=hidden)
        np.add(hidden, b1, out=hidden)
        np.maximum(hidden, 0, out=hidden)
        np.matmul(hidden, w2, out=out)
        np.add(out, b2, out=out)

    contest.peers[f"{peers.label('numpy')}, by hand"] = calls(by_hand)
    if (torch := peers.find("torch")) is not None:
        inputs = torch.from_numpy(x)
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch calls TorchScript deprecated; it is still its quickest
            script = torch.jit.freeze(torch.jit.trace(torch_network(torch, model).eval(), inputs))

        def traced() -> None:
            with torch.inference_mode():
                script(inputs)

        contest.peers[f"{peers.label('torch')} TorchScript"] = calls(traced)
    runtime, onnx = peers.find("onnxruntime"), peers.find("onnx")
    if runtime is not None and onnx is not None:
        contest.peers[f"{peers.label('onnxruntime')}, IO binding"] = calls(onnx_call(runtime, onnx, model, x, out))


def onnx_call(runtime: Any, onnx: Any, model: Any, x: np.ndarray, out: np.ndarray) -> Callable[[], object]:
    """A run of ONNX Runtime with its input and output bound before, on one thread."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, initializers, last = [], [], "x"
    count = len(model.weights)
    for i, (w, b) in enumerate(zip(model.weights, model.biases, strict=True)):
        initializers += [numpy_helper.from_array(np.array(a), f"{k}{i}") for k, a in (("w", w), ("b", b))]
        name = "y" if i == count - 1 else f"z{i}"
        nodes.append(helper.make_node("Gemm", [last, f"w{i}", f"b{i}"], [name]))
        last = name
        if i < count - 1:
            last = f"h{i}"
            nodes.append(helper.make_node("Relu", [name], [last]))
    graph = helper.make_graph(
        nodes, "mlp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, x.size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, out.size])],
        initializers,
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = runtime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for name, array, bind in (("x", x, binding.bind_input), ("y", out, binding.bind_output)):
        bind(name, "cpu", 0, np.float32, [1, array.size], array.ctypes.data)
    return lambda: session.run_with_iobinding(binding)
