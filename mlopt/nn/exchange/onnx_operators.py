"""The operators of ONNX on real numbers: what each makes of the values that :mod:`.onnx_graph` follows.

Most add a layer to the data; others move its axes, or compute shapes and zeros for those that do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mlopt.nn.exchange.chain import (
    LAYER_NORM_EPS,
    Activation,
    Affine,
    Dense,
    Dropout,
    LayerNorm,
    Recurrent,
    affine_of_batch_norm,
)
from mlopt.nn.exchange.onnx_graph import (
    DIRECTION,
    FEATURES,
    MOST_DIMENSIONS,
    Array,
    Node,
    Shape,
    States,
    Stream,
    Value,
    Zeros,
    array_of,
    follow,
    settled,
)

ROOT_HALF = math.sqrt(0.5)
# ONNX keeps the gates as input, output, forget, cell
GATES_FROM_ONNX = (0, 2, 3, 1)


# --- operators that make layers ------------------------------------------------------------------


def constant(node: Node) -> Value:
    if "value" in node.attributes:
        values = array_of(node.walk.onnx, node.attributes["value"].t)
        node.walk.left += values.size
        return values
    for name, dtype in (("value_float", np.float32), ("value_floats", np.float32), ("value_int", np.int64),
                        ("value_ints", np.int64)):  # fmt: skip
        if name in node.attributes:
            return np.array(node.attribute(name, None), dtype)
    raise node.refuse("only numbers are supported")


def dense(node: Node, stream: Stream, weights: Array, biases: Array) -> Stream:
    if stream.axes[-1] != FEATURES:
        raise node.refuse(f"the last axis must be the features, but the axes are ({', '.join(stream.axes)})")
    if stream.width is not None and stream.width != weights.shape[0]:
        raise node.refuse(f"the weights take {weights.shape[0]} values, but are given {stream.width}")
    return follow(stream, Dense(node.where, weights, biases), weights.shape[1])


def gemm(node: Node) -> Value:
    stream, weights = node.stream(), node.numbers(1, 2)
    if len(stream.axes) != 2 or node.attribute("transA", 0):
        raise node.refuse("the first input must be (samples, features), not transposed")
    if node.attribute("transB", 0):
        weights = weights.T
    alpha, beta = node.attribute("alpha", 1.0), node.attribute("beta", 1.0)
    biases = np.zeros(weights.shape[1], weights.dtype)
    if node.has(2):
        biases = row(node, node.numbers(2), weights.shape[1]) * np.asarray(beta, weights.dtype)
    return dense(node, stream, weights if alpha == 1 else weights * np.asarray(alpha, weights.dtype), biases)


def matmul(node: Node) -> Value:
    weights = node.numbers(1, 2)
    return dense(node, node.stream(), weights, np.zeros(weights.shape[1], weights.dtype))


def row(node: Node, array: Array, width: int) -> Array:
    """A constant that broadcasts to (samples, width), as a vector."""
    vector = array.reshape(-1)
    if vector.size not in (1, width) or (array.ndim and array.shape[-1] != vector.size):
        raise node.refuse(f"a constant of shape {array.shape} does not fit {width} features")
    return np.broadcast_to(vector, (width,))


def operands(node: Node) -> tuple[Value, Value]:
    return node.value(0), node.value(1)


def arithmetic(node: Node) -> Value:
    """Add, Sub, Mul, Div."""
    a, b = operands(node)
    if isinstance(a, Stream) and isinstance(b, Stream):
        return product(node, a, b)
    if isinstance(a, Shape) or isinstance(b, Shape):
        return product_of_sizes(node)
    if isinstance(a, Stream):
        return with_constant(node, a, node.numbers(1), False)
    if isinstance(b, Stream):
        return with_constant(node, b, node.numbers(0), True)
    raise node.refuse("one input must be what the layers in front of it make of the model's input")


def with_constant(node: Node, stream: Stream, constant: Array, constant_first: bool) -> Value:
    operator = node.proto.op_type
    number = constant.reshape(-1)[0] if constant.size == 1 else None
    form = stream.form
    if number is not None and operator in ("Mul", "Div") and not (operator == "Div" and constant_first):
        factor = number if operator == "Mul" else number.dtype.type(1) / number
        if form[0] == "plain":
            return replace(stream, form=("scaled", factor))
        if form[0] == "scaled":
            return replace(stream, form=("scaled", form[1] * factor))
        if form[0] in ("erf+1", "x(erf+1)"):
            return gelu_of(node, replace(stream, form=(form[0], form[1], form[2] * float(factor))))
    if number == 1 and operator == "Add" and form[0] == "erf":
        return replace(stream, form=("erf+1", form[1], 1.0))
    stream = settled(node.where, stream)
    if constant.ndim > len(stream.axes):
        raise node.refuse(f"a constant of shape {constant.shape} adds dimensions")
    values: Array = constant.astype(np.float64)
    if constant.size != 1:
        size = constant.size
        values = row(node, values, size if stream.width is None else stream.width)
        if stream.axes[-1] != FEATURES:
            raise node.refuse("a constant must be one number, or one for each feature")
        stream = replace(stream, width=size)
    else:
        values = values.reshape(())
    one, zero = np.ones(()), np.zeros(())
    scale, shift = {
        "Add": (one, values), "Sub": (-one if constant_first else one, values if constant_first else -values),
        "Mul": (values, zero), "Div": (1 / values, zero),
    }[operator]  # fmt: skip
    if operator == "Div" and constant_first:
        raise node.refuse("the model's data must be divided by a constant, not a constant by it")
    return follow(stream, Affine(node.where, scale, shift, constant.dtype))


def product(node: Node, a: Stream, b: Stream) -> Value:
    """Of two functions of the same data: SiLU and GELU."""
    if node.proto.op_type == "Mul" and a.link is b.link and a.axes == b.axes:
        for x, factor in ((a, b), (b, a)):
            k = {"plain": 1.0, "scaled": x.form[-1]}.get(x.form[0])
            if k is None:
                continue
            if factor.form[0] == "sigmoid" and k == 1:
                return follow(x, Activation(node.where, "silu"))
            if factor.form[0] == "erf+1":
                return gelu_of(node, replace(x, form=("x(erf+1)", factor.form[1], factor.form[2] * float(k))))
    raise node.refuse("of what is computed from the data twice, only x Sigmoid(x) and the exact GELU are supported")


def gelu_of(node: Node, stream: Stream) -> Stream:
    match stream.form:
        case ("x(erf+1)", s, k) if math.isclose(s, ROOT_HALF, rel_tol=1e-6) and math.isclose(k, 0.5, rel_tol=1e-6):
            return follow(stream, Activation(node.where, "gelu"))
    return stream


def erf(node: Node) -> Value:
    value = node.value(0)
    if isinstance(value, Stream) and value.form[0] == "scaled":
        return replace(value, form=("erf", float(value.form[1])))
    return replace(node.stream(), form=("erf", 1.0))


def sigmoid(node: Node) -> Value:
    return replace(node.stream(), form=("sigmoid",))


def activation(name: str) -> Callable[[Node], Value]:
    return lambda node: follow(node.stream(), Activation(node.where, name))


def gelu(node: Node) -> Value:
    if (approximate := node.attribute("approximate", "none")) != "none":
        raise node.refuse(f"approximate={approximate!r} is not supported, only 'none'")
    return follow(node.stream(), Activation(node.where, "gelu"))


def swish(node: Node) -> Value:
    if (alpha := node.attribute("alpha", 1.0)) != 1:
        raise node.refuse(f"alpha={alpha} is not supported, only 1")
    return follow(node.stream(), Activation(node.where, "silu"))


def softmax(node: Node) -> Value:
    stream = node.stream()
    axis = node.axis(node.attribute("axis", -1 if node.walk.opset >= 13 else 1), len(stream.axes))
    if stream.axes[axis] != FEATURES or axis != len(stream.axes) - 1:
        raise node.refuse(f"axis must be the features', the last, not {axis}")
    return follow(stream, Activation(node.where, "softmax"))


def batch_normalization(node: Node) -> Value:
    stream = node.stream()
    if node.attribute("training_mode", 0):
        raise node.refuse("training_mode=1 is not supported")
    if len(stream.axes) != 2 or stream.axes[1] != FEATURES:
        raise node.refuse("its input must be (samples, features)")
    gain, shift, mean, variance = (node.numbers(position, 1) for position in (1, 2, 3, 4))
    if not gain.size == shift.size == mean.size == variance.size:
        raise node.refuse("scale, bias, mean and variance must have the same size")
    if stream.width not in (None, mean.size):
        raise node.refuse(f"it takes {mean.size} values, but is given {stream.width}")
    layer = affine_of_batch_norm(node.where, mean, variance, node.attribute("epsilon", 1e-5), gain, shift)
    return follow(stream, layer, mean.size)


def layer_normalization(node: Node) -> Value:
    stream, gain = node.stream(), node.numbers(1, 1)
    axis = node.axis(node.attribute("axis", -1), len(stream.axes))
    if axis != len(stream.axes) - 1 or stream.axes[axis] != FEATURES:
        raise node.refuse(f"axis must be the features', the last, not {axis}")
    eps = node.attribute("epsilon", 1e-5)
    if not math.isclose(eps, LAYER_NORM_EPS, rel_tol=1e-6):
        raise node.refuse(f"epsilon must be {LAYER_NORM_EPS}, got {eps}")
    shift = node.numbers(2, 1) if node.has(2) else None
    if (shift is not None and shift.size != gain.size) or stream.width not in (None, gain.size):
        raise node.refuse(f"its scale has {gain.size} values, which must be the number of features and of the bias")
    return follow(stream, LayerNorm(node.where, gain.size, gain, shift), gain.size)


def dropout(node: Node) -> Value:
    if node.has(2) and node.constant(2).any():
        raise node.refuse("training_mode must be false")
    ratio = float(node.constant(1).reshape(-1)[:1].sum()) if node.has(1) else node.attribute("ratio", 0.5)
    return follow(node.stream(), Dropout(node.where, ratio))


def identity(node: Node) -> Value:
    return node.value(0)


def lstm(node: Node) -> Value | list[Value]:
    stream = node.stream()
    sequence = (1, 0) if (layout := node.attribute("layout", 0)) else (0, 1)
    if len(stream.axes) != 3 or stream.axes[2] != FEATURES:
        raise node.refuse(f"its input must be sequences with the features last, not ({', '.join(stream.axes)})")
    time, batch = (stream.axes[position] for position in sequence)
    if stream.time not in (None, time):
        raise node.refuse("its steps must be those of the LSTM in front of it")
    for name, allowed in (("direction", "forward"), ("input_forget", 0), ("clip", None)):
        if (found := node.attribute(name, allowed)) != allowed:
            raise node.refuse(f"{name}={found!r} is not supported")
    names = [name.decode("utf-8", "replace").lower() for name in node.attribute("activations", [])]
    if names and names != ["sigmoid", "tanh", "tanh"]:
        raise node.refuse(f"activations must be Sigmoid, Tanh, Tanh, got {names}")
    if node.has(4) or node.has(7):
        raise node.refuse("sequence lengths and peepholes are not supported")
    for position in (5, 6):
        if node.has(position):
            state = node.value(position)
            if not (isinstance(state, Zeros) or (isinstance(state, np.ndarray) and not state.any())):
                raise node.refuse("it must start from states of 0")
    weights, recurrent = node.numbers(1, 3), node.numbers(2, 3)
    hidden = recurrent.shape[2]
    biases = node.numbers(3, 2) if node.has(3) else np.zeros((1, 8 * hidden), weights.dtype)
    if (weights.shape, recurrent.shape, biases.shape) != (
        (1, 4 * hidden, weights.shape[2]), (1, 4 * hidden, hidden), (1, 8 * hidden),
    ) or node.attribute("hidden_size", hidden) != hidden:  # fmt: skip
        raise node.refuse(f"weights of shapes {weights.shape}, {recurrent.shape}, {biases.shape} do not fit together")
    if stream.width not in (None, weights.shape[2]):
        raise node.refuse(f"the weights take {weights.shape[2]} values, but are given {stream.width}")
    layer = Recurrent(
        node.where, torch_gates(weights[0]).T, torch_gates(recurrent[0]).T,
        torch_gates(biases[0, : 4 * hidden]) + torch_gates(biases[0, 4 * hidden :]),
    )  # fmt: skip
    after = replace(follow(stream, layer, hidden), time=time)
    if layout:
        every, last = (batch, time, DIRECTION, FEATURES), (batch, DIRECTION, FEATURES)
    else:
        every, last = (time, DIRECTION, batch, FEATURES), (DIRECTION, batch, FEATURES)
    return [replace(after, axes=every), replace(after, axes=last)]


def torch_gates(array: Array) -> Array:
    blocks = array.reshape(4, -1, *array.shape[1:])
    return blocks[list(GATES_FROM_ONNX)].reshape(array.shape)


# --- operators that move axes --------------------------------------------------------------------


def transpose(node: Node) -> Value:
    value = node.value(0)
    ndim = value.ndim if isinstance(value, np.ndarray) else len(node.stream().axes)
    order = list(node.attribute("perm", range(ndim)[::-1]))
    if sorted(order) != list(range(ndim)):
        raise node.refuse(f"perm must order {ndim} axes, got {order}")
    if isinstance(value, np.ndarray):
        return value.transpose(order)
    stream = node.stream()
    return replace(stream, axes=tuple(stream.axes[i] for i in order))


def squeeze(node: Node) -> Value:
    value = node.value(0)
    if isinstance(value, Shape):
        return value
    stream = node.stream()
    axes = node.axes(len(stream.axes))
    if any(stream.axes[axis] != DIRECTION for axis in axes):
        raise node.refuse(f"only the axis of an LSTM's directions may be removed, of ({', '.join(stream.axes)})")
    return replace(stream, axes=tuple(name for name in stream.axes if name != DIRECTION))


def flatten(node: Node) -> Value:
    stream = node.stream()
    if node.attribute("axis", 1) != 1:
        raise node.refuse("axis must be 1")
    return flat(node, stream)


def flat(node: Node, stream: Stream) -> Stream:
    if len(stream.axes) == 2:
        return stream
    if stream.link is not None or stream.axes[-1] != FEATURES:
        raise node.refuse("only the model's input may be flattened")
    return replace(stream, axes=(stream.axes[0], FEATURES), width=None)


def reshape(node: Node) -> Value:
    value = node.value(0)
    if isinstance(value, Shape):
        return value
    stream, target = node.stream(), node.shape(1)
    whole = stream.axes
    without = tuple(name for name in whole if name != DIRECTION)
    for axes in (whole, without):
        if fits(node, target, axes, stream):
            return replace(stream, axes=axes)
    if len(target) == 2 and stream.link is None and FEATURES not in target:
        width = target[1] if isinstance(target[1], int) and target[1] > 0 else None
        flattened = replace(flat(node, stream), width=width)
        if fits(node, target, flattened.axes, flattened):
            return flattened
    raise node.refuse(f"to {target} does more than to move axes, which are ({', '.join(whole)})")


def fits(node: Node, target: tuple[int | str, ...], axes: tuple[str, ...], before: Stream) -> bool:
    """Whether a target shape is that of these axes."""
    if len(target) != len(axes) or target.count(-1) > 1:
        return False
    for i, (size, name) in enumerate(zip(target, axes, strict=True)):
        kept = size == 0 and not node.attribute("allowzero", 0) and before.axes[i : i + 1] == (name,)
        known = 1 if name == DIRECTION else before.width if name == FEATURES else node.walk.sizes.get(name)
        if not (size in (-1, name) or kept or (known is not None and size == known)):
            return False
    return True


def gather(node: Node) -> Value:
    value, index = node.value(0), node.integers(1)
    if len(index) != 1:
        raise node.refuse("one index is supported")
    axis = node.attribute("axis", 0)
    if isinstance(value, Shape):
        return Shape((value.sizes[node.axis(index[0], len(value.sizes))],))
    if node.constant(1).ndim:
        raise node.refuse("the index must be one number without dimensions")
    if isinstance(value, States):
        if axis != 0:
            raise node.refuse("the states of one layer must be taken, axis=0")
        chosen = value.parts[node.axis(index[0], len(value.parts))]
        return replace(chosen, axes=chosen.axes[1:])
    stream = node.stream()
    axis = node.axis(axis, len(stream.axes))
    name = stream.axes[axis]
    if not ((name == DIRECTION and index[0] in (0, -1)) or (name == stream.time and index[0] == -1)):
        raise node.refuse("only the last step of an LSTM may be taken, index -1")
    return replace(stream, axes=stream.axes[:axis] + stream.axes[axis + 1 :])


def concat(node: Node) -> Value:
    count = len(node.proto.input)
    values = [node.value(position) for position in range(count)]
    if all(isinstance(value, Stream) and value.axes[0] == DIRECTION and value.time for value in values):
        if node.attribute("axis", 0) != 0:
            raise node.refuse("the states of LSTM layers must be stacked on their first axis")
        return States(tuple(node.stream(position) for position in range(count)))
    sizes = tuple(size for position in range(count) for size in node.shape(position))
    if len(sizes) > MOST_DIMENSIONS:
        raise node.refuse("of shapes, or of the states of LSTM layers, is supported")
    return Shape(sizes)


# --- operators on shapes and zeros ---------------------------------------------------------------


def shape(node: Node) -> Value:
    axes = node.stream().axes
    sizes = tuple(1 if name == DIRECTION else name for name in axes)
    return Shape(sizes[slice(node.attribute("start", 0), node.attribute("end", None))])


def cut(node: Node) -> Value:
    """Slice."""
    value = node.value(0)
    if isinstance(value, Zeros) or (isinstance(value, np.ndarray) and not value.any()):
        return Zeros()
    if not isinstance(value, Shape) or not node.has(1):
        raise node.refuse("only shapes and zeros may be cut")
    first, last = node.integers(1), node.integers(2)
    axes, steps = node.integers(3) if node.has(3) else [0], node.integers(4) if node.has(4) else [1]
    if not (len(first) == len(last) == len(axes) == len(steps) == 1 and axes[0] in (0, -1) and steps[0] == 1):
        raise node.refuse("one range is supported")
    return Shape(value.sizes[first[0] : last[0]])


def product_of_sizes(node: Node) -> Value:
    a, b = node.shape(0), node.shape(1)
    if node.proto.op_type != "Mul" or not len(a) == len(b) == 1 or 1 not in (a[0], b[0]):
        raise node.refuse("of sizes, only the product with 1 is supported")
    return Shape(b if a[0] == 1 else a)


def unsqueeze(node: Node) -> Value:
    value = node.value(0)
    if isinstance(value, np.ndarray):
        node.integers(0)
        return value.reshape(-1)
    if not isinstance(value, Shape):
        raise node.refuse("only shapes are supported")
    return value


def cast(node: Node) -> Value:
    value = node.value(0)
    if isinstance(value, Shape | Zeros):
        return value
    raise node.refuse("only shapes are supported")


def constant_of_shape(node: Node) -> Value:
    if "value" in node.attributes and array_of(node.walk.onnx, node.attributes["value"].t).any():
        raise node.refuse("only zeros are supported")
    return Zeros()


def expand(node: Node) -> Value:
    value = node.value(0)
    if isinstance(value, Zeros) or (isinstance(value, np.ndarray) and not value.any()):
        return Zeros()
    raise node.refuse("only zeros are supported")


OPERATORS: dict[str, Callable[[Node], Value | list[Value]]] = {
    "Add": arithmetic, "BatchNormalization": batch_normalization, "Cast": cast, "Concat": concat, "Constant": constant,
    "ConstantOfShape": constant_of_shape, "Div": arithmetic, "Dropout": dropout, "Erf": erf, "Expand": expand,
    "Flatten": flatten, "Gather": gather, "Gelu": gelu, "Gemm": gemm, "Identity": identity, "LSTM": lstm,
    "LayerNormalization": layer_normalization, "MatMul": matmul, "Mul": arithmetic, "Relu": activation("relu"),
    "Reshape": reshape, "Shape": shape, "Sigmoid": sigmoid, "Slice": cut, "Softmax": softmax, "Squeeze": squeeze,
    "Sub": arithmetic, "Swish": swish, "Tanh": activation("tanh"), "Transpose": transpose, "Unsqueeze": unsqueeze,
}  # fmt: skip
