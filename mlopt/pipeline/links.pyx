"""Stages of a pipeline as links of a chain: what each takes, what it gives, and one call that does it."""
cimport cython
cimport numpy as cnp
from libc.string cimport memcpy

import numpy as np

from mlopt._kernels.dispatch cimport mlopt_kernels
from mlopt.features.extractor cimport MLOPT_BAR_GOOD, ON_BAD_HOLD, ON_BAD_RAISE, FeatureExtractor
from mlopt.features.scaler cimport Scaler
from mlopt.nn.bound cimport Bound

from mlopt.memory import empty_aligned
from mlopt.nn.mlp import MLP
from mlopt.pipeline.stages import Apply, Learn

cnp.import_array()

# Bars taken at once, where so many wait: it takes 0.2 us a bar instead of 0.5, and begins to pay with the least number.
cdef enum:
    LEAST_AHEAD = 16
    MOST_AHEAD = 256

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


cdef class Link:
    """One stage between two places in memory."""

    def __init__(self, stage, name, inputs, input_type, outputs, output_type):
        self.stage = stage
        self.name = name
        self.inputs, self.input_type = inputs, input_type
        self.outputs, self.output_type = outputs, output_type

    cdef Outcome run(self, const mlopt_kernels *table, const void *x, void *out) noexcept nogil:
        return FAILED

    cdef str reason(self, const void *x):
        return "it failed"

    def get_state(self):
        """What the stage remembers of earlier records, as bytes; None where it remembers nothing."""
        get = getattr(self.stage, "get_state", None)
        return None if get is None else get()

    def set_state(self, state):
        """Back to what :meth:`get_state` returned."""
        if state is not None:
            self.stage.set_state(state)


@cython.final
cdef class ExtractorLink(Link):
    """Bars to features."""

    def __init__(self, FeatureExtractor extractor not None, name):
        if extractor.symbols != 1:
            raise ValueError(f"stages: a FeatureExtractor of one symbol is expected, not of {extractor.symbols}")
        self.extractor = extractor
        self.own_output = extractor.out
        self.bars = empty_aligned((MOST_AHEAD, extractor.fields))
        self.block = empty_aligned((MOST_AHEAD, extractor.width))
        self.workspace = empty_aligned(extractor.history_words())
        Link.__init__(self, extractor, name, extractor.fields, FLOAT64, len(extractor.names), FLOAT64)

    cdef Outcome run(self, const mlopt_kernels *table, const void *x, void *out) noexcept nogil:
        self.fault = self.extractor.stream(table, <const double *>x)
        if self.fault != MLOPT_BAR_GOOD and self.extractor.bad_policy != ON_BAD_HOLD:
            return FAILED if self.extractor.bad_policy == ON_BAD_RAISE else NOTHING
        if out != self.extractor.out:
            memcpy(out, self.extractor.out, self.extractor.width * sizeof(double))
        return DONE

    cdef Py_ssize_t run_ahead(self, const mlopt_kernels *table, const char *bars, Py_ssize_t stride,
                              Py_ssize_t count) noexcept nogil:
        cdef Py_ssize_t i, bytes = self.extractor.fields * sizeof(double)
        cdef char *together = <char *>cnp.PyArray_DATA(self.bars)
        if count < LEAST_AHEAD:
            return 0
        count = min(count, <Py_ssize_t>MOST_AHEAD)
        if stride != bytes:  # slots of a queue
            for i in range(count):
                memcpy(together + i * bytes, bars + i * stride, bytes)
            bars = together
        return self.extractor.stream_many(table, <const double *>bars, count, <double *>cnp.PyArray_DATA(self.block),
                                          <double *>cnp.PyArray_DATA(self.workspace))

    cdef const double *row(self, Py_ssize_t i) noexcept nogil:
        return <const double *>cnp.PyArray_DATA(self.block) + i * self.extractor.width

    cdef str reason(self, const void *x):
        return self.extractor.describe(self.fault, <const double *>x)


@cython.final
cdef class ScalerLink(Link):
    """Numbers to a common scale, in the type that the next stage takes."""
    cdef Scaler scaler
    cdef bint learns, narrow

    def __init__(self, Scaler scaler not None, name, output_type, learns):
        self.scaler = scaler
        self.learns = learns
        self.narrow = output_type == FLOAT32
        if learns and scaler.method == "robust":
            raise ValueError("stages: a Scaler that learns must have method 'standard' or 'minmax', not 'robust'")
        Link.__init__(self, scaler, name, scaler.features, FLOAT64, scaler.features, output_type)

    cdef Outcome run(self, const mlopt_kernels *table, const void *x, void *out) noexcept nogil:
        cdef const double *values = <const double *>x
        cdef Py_ssize_t i
        if self.learns:
            for i in range(self.inputs):
                if values[i] - values[i] != 0 and values[i] == values[i]:
                    return FAILED
            self.scaler.learn(table, values, 1)
        if self.scaler.stale:
            self.scaler.rescale(table)
        if self.narrow:
            self.scaler.scale(values, <float *>out, 1, False)
        else:
            self.scaler.scale(values, <double *>out, 1, False)
        return DONE

    cdef str reason(self, const void *x):
        return "an infinity cannot be taken into the scaler's statistics"


@cython.final
cdef class NetworkLink(Link):
    """A prediction of an MLP, from packed parameters while they stay the same."""
    cdef Bound bound

    def __init__(self, model, name):
        widths = model.layers
        x, out = empty_aligned(widths[0], model.dtype), empty_aligned(widths[len(widths) - 1], model.dtype)
        x[:] = 0
        self.bound = model.bind(x, out)
        for _ in range(8):  # until the parameters are packed
            self.bound()
        Link.__init__(self, model, name, len(x), model.dtype, len(out), model.dtype)

    def get_state(self):
        return None  # a prediction leaves the model as it was

    cdef Outcome run(self, const mlopt_kernels *table, const void *x, void *out) noexcept nogil:
        return DONE if self.bound.predict(table, x, out) == 0 else FAILED

    cdef str reason(self, const void *x):
        self.error = self.bound.error
        return describe(self.error)


cdef class PythonLink(Link):
    """A stage that is called with two arrays of its own; what lies elsewhere is copied there and back."""
    cdef object call
    cdef cnp.ndarray x, out

    cdef int bind(self, call, x, out) except -1:
        self.call, self.x, self.out = call, x, out
        return 0

    cdef Outcome run(self, const mlopt_kernels *table, const void *x, void *out) noexcept nogil:
        return self.run_python(x, out)

    cdef Outcome run_python(self, const void *x, void *out) noexcept with gil:
        try:
            memcpy(cnp.PyArray_DATA(self.x), x, cnp.PyArray_NBYTES(self.x))
            result = self.call()
            memcpy(out, cnp.PyArray_DATA(self.out), cnp.PyArray_NBYTES(self.out))
            return NOTHING if isinstance(result, (bool, np.bool)) and not result else DONE
        except BaseException as error:
            self.error = error
            return FAILED

    cdef str reason(self, const void *x):
        return describe(self.error)


@cython.final
cdef class BoundLink(PythonLink):
    """Any model with ``bind(x, out)``."""

    def __init__(self, model, name):
        widths = model.layers
        inputs, outputs = widths[0], widths[len(widths) - 1]
        self.bind(None, empty_aligned(inputs, np.float32), empty_aligned(outputs, np.float32))
        self.call = model.bind(self.x, self.out)
        Link.__init__(self, model, name, inputs, FLOAT32, outputs, FLOAT32)

    def get_state(self):
        return None


@cython.final
cdef class ApplyLink(PythonLink):
    """A function of two arrays."""

    def __init__(self, stage, name, inputs, input_type, outputs, output_type):
        x, out = empty_aligned(inputs, input_type), empty_aligned(outputs, output_type)
        out[:] = 0
        function = stage.function
        self.bind(lambda: function(x, out), x, out)
        Link.__init__(self, function, name, inputs, input_type, outputs, output_type)


@cython.final
cdef class CastLink(Link):
    """float64 to float32, or back."""
    cdef bint widens

    def __init__(self, count, input_type, output_type):
        self.widens = input_type == FLOAT32
        Link.__init__(self, None, f"to {output_type}", count, input_type, count, output_type)

    cdef Outcome run(self, const mlopt_kernels *table, const void *x, void *out) noexcept nogil:
        cdef Py_ssize_t i
        if self.widens:
            for i in range(self.inputs):
                (<double *>out)[i] = (<const float *>x)[i]
        else:
            for i in range(self.inputs):
                (<float *>out)[i] = <float>(<const double *>x)[i]
        return DONE


cdef str describe(error):
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # its own words fail
        return type(error).__name__


def input_of(stage):
    """(numbers, dtype) that a stage takes; None for what takes anything."""
    if isinstance(stage, Learn):
        stage = stage.scaler
    if isinstance(stage, FeatureExtractor):
        return (<FeatureExtractor>stage).fields, FLOAT64
    if isinstance(stage, Scaler):
        return stage.features, FLOAT64
    if isinstance(stage, MLP):
        return stage.layers[0], stage.dtype
    if is_bindable(stage):
        return stage.layers[0], FLOAT32
    return None, None


def is_bindable(stage):
    """Whether it is a model of single samples that binds arrays, such as a QuantizedMLP."""
    return hasattr(stage, "bind") and hasattr(stage, "layers") and hasattr(stage, "predict")


def name_of(stage):
    """How a stage is called in messages."""
    if isinstance(stage, Apply):
        return getattr(stage.function, "__name__", type(stage.function).__name__)
    return type(stage.scaler if isinstance(stage, Learn) else stage).__name__


def links_of(stages, inputs, dtype, wanted=None):
    """The links of stages in a row, the first taking `inputs` numbers of `dtype`, conversions in between.

    `wanted` is the type that what follows them takes, None where it takes any.
    """
    links = []
    for i, stage in enumerate(stages):
        count, taken = input_of(stage)
        name = name_of(stage)
        if count is not None and count != inputs:
            raise ValueError(f"stages: {name} takes {count} numbers, but what comes before gives {inputs}")
        if taken is not None and taken != dtype:
            links.append(CastLink(inputs, dtype, taken))
            dtype = taken
        following = input_of(stages[i + 1])[1] if i + 1 < len(stages) else wanted
        if isinstance(stage, FeatureExtractor):
            link = ExtractorLink(stage, name)
        elif isinstance(stage, (Scaler, Learn)):
            scaler = stage.scaler if isinstance(stage, Learn) else stage
            link = ScalerLink(scaler, name, following or FLOAT64, isinstance(stage, Learn))
        elif isinstance(stage, MLP):
            link = NetworkLink(stage, name)
        elif is_bindable(stage):
            link = BoundLink(stage, name)
        elif isinstance(stage, Apply):
            link = ApplyLink(stage, name, inputs, dtype, stage.outputs or inputs, stage.dtype or dtype)
        else:
            raise TypeError(f"stages: stage {i + 1} must be a FeatureExtractor, a Scaler, a model or a function of two "
                            f"arrays, not {type(stage).__name__}")
        links.append(link)
        inputs, dtype = link.outputs, link.output_type
    return links
