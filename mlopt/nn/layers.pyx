"""Chains of dense layers: their places in a flat vector of parameters and in a workspace, their first weights."""
import operator

cimport numpy as cnp

import numpy as np

from mlopt.nn.network cimport *

cnp.import_array()

cdef size_t LINE = 64
cdef dict ACTIVATION_NUMBERS = {
    "identity": MLOPT_IDENTITY, "relu": MLOPT_RELU, "tanh": MLOPT_TANH, "sigmoid": MLOPT_SIGMOID,
    "gelu": MLOPT_GELU, "silu": MLOPT_SILU,
}
ACTIVATIONS = tuple(ACTIVATION_NUMBERS)


cdef cnp.ndarray lay_out_dense(Model model, mlopt_network *network, tuple widths, tuple activations, bint linked,
                               tuple rates, tuple norms, list spans):
    cdef size_t unit = LINE // <size_t>model.type.itemsize
    cdef size_t sample = 0, widest = 0, i, count = len(widths) - 1
    cdef mlopt_layer *layer
    cdef cnp.ndarray memory = np.zeros(count * sizeof(mlopt_layer), np.uint8)
    network.layers = <mlopt_layer *>cnp.PyArray_DATA(memory)
    network.count = count
    network.plain = not any(norms)
    for i in range(count):
        layer = <mlopt_layer *>cnp.PyArray_DATA(memory) + i
        hidden = i < count - 1
        layer.inputs = widths[i]
        layer.outputs = widths[i + 1]
        layer.row = (layer.outputs + unit - 1) // unit * unit
        layer.normalises = hidden and norms[i]
        layer.dropout = rates[i] if hidden else 0
        layer.activation = MLOPT_IDENTITY if linked and not hidden else ACTIVATION_NUMBERS[activations[i]]
        arrays = []
        layer.weights = model.length
        model.length = model.place(arrays, model.length, (widths[i], widths[i + 1]))
        spans.append((layer.weights, layer.inputs * layer.outputs))
        layer.bias = model.length
        model.length = model.place(arrays, model.length, (widths[i + 1],))
        if layer.normalises:
            layer.gain = model.length
            model.length = model.place(arrays, model.length, (widths[i + 1],))
            layer.shift = model.length
            model.length = model.place(arrays, model.length, (widths[i + 1],))
        model.places.append(arrays)
        layer.z = layer.out = sample
        sample += layer.row
        if mlopt_keeps_sums(layer.activation):
            layer.z = sample
            sample += layer.row
        if layer.normalises:
            layer.normed = sample
            layer.deviations = sample + layer.row
            sample += layer.row + unit
        layer.dropped = layer.out
        if layer.dropout > 0:
            layer.dropped = sample
            sample += layer.row
        widest = max(widest, layer.row)
    network.deltas[0] = sample
    network.deltas[1] = sample + widest
    network.sample = sample + 2 * widest
    return memory


cdef draw_dense(layers, activations, generator):
    # He's normal distribution in front of what is 0 for negative sums, Glorot's uniform one otherwise
    for (weights, _, *norm), name in zip(layers, activations, strict=True):
        inputs, outputs = weights.shape
        if name in ("relu", "gelu", "silu"):
            weights[...] = generator.standard_normal(weights.shape) * (2 / inputs) ** 0.5
        else:
            limit = (6 / (inputs + outputs)) ** 0.5
            weights[...] = generator.uniform(-limit, limit, weights.shape)
        if norm:
            norm[0][...] = 1


cdef same_or_each(values, default):
    if len(set(values)) > 1:
        return values
    return values[0] if values else default


cdef tuple of_each(str name, value, count, kind):
    # one value for every hidden layer
    if isinstance(value, kind):
        return (value,) * count
    expected = kind.__name__ if isinstance(kind, type) else "number" if int in kind else "bool"
    try:
        values = tuple(value)
    except TypeError:
        raise TypeError(f"{name} must be a {expected} or one for each hidden layer, "
                        f"not {type(value).__name__}") from None
    for one in values:
        if not isinstance(one, kind):
            raise TypeError(f"{name} must hold one {expected} for each hidden layer, got {one!r}")
    if len(values) != count:
        raise ValueError(f"{name} must be one value or {count}, one for each hidden layer, got {len(values)}")
    return values


cdef size_t integer(str name, value, size_t most) except? 0:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if not 1 <= number <= most:
        raise ValueError(f"{name} must be from 1 to {most}, got {number}")
    return number


cdef tuple integers(str name, value, size_t least):
    # widths of layers
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{name} must be a sequence of integers, not {type(value).__name__}")
    try:
        widths = tuple([operator.index(width) for width in value])
    except TypeError:
        raise TypeError(f"{name} must be a sequence of integers, got {value!r}") from None
    if len(widths) < least:
        raise ValueError(f"{name} must name at least inputs and outputs, got {list(widths)}")
    for width in widths:
        if not 1 <= width <= 1 << 24:
            raise ValueError(f"{name} must be widths from 1 to {1 << 24}, got {width}")
    return widths
