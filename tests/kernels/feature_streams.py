"""Streams of bars through the three kernels of the features family, on memory that starts undefined."""

import numpy as np

from mlopt._kernels.register import Kernel
from mlopt.features.definitions import parse_feature
from mlopt.features.layout import LANES, group_words, history_words, put_symbol, symbols_words, take_symbol
from mlopt.features.plan import compile_plan, empty_words

PLAN_HEADER = 8  # words of the plan before its steps, and of every step


def plan_of(names, columns=()):
    return compile_plan([parse_feature(name, columns).value for name in names], len(columns))


def memory_of(plan, state=None):
    """The state that a plan starts from, or the one given, and undefined values behind it."""
    memory = empty_words(len(plan.initial) + plan.values)
    memory[: len(plan.initial)] = plan.initial if state is None else state[: len(plan.initial)]
    memory[len(plan.initial) :] = np.nan
    return memory


def state_bytes(plan, memory):
    return memory[: len(plan.initial)].tobytes()


def undefined(count):
    workspace = empty_words(count)
    workspace[:] = np.nan
    return workspace


def update(tier, plan, bars, memory):
    """Bar after bar."""
    kernel, out = Kernel("features_update", "f64", tier), np.empty((len(bars), len(plan.ready)))
    for bar, row in zip(np.ascontiguousarray(bars), out, strict=True):
        kernel((0,), plan.words, memory, bar, row)
    return out


def history(tier, plan, bars, memory):
    """All bars at once."""
    out, bars = np.empty((len(bars), len(plan.ready))), np.ascontiguousarray(bars)
    kernel = Kernel("features_history", "f64", tier)
    kernel((len(bars),), plan.words, memory, bars, out, undefined(history_words(plan.words)))
    return out


def symbols(tier, plan, bars, groups, ticking=None):
    """Bar after bar of many symbols, (n, symbols, fields); rows of those that do not tick stay NaN."""
    out = np.full((*bars.shape[:2], len(plan.ready)), np.nan)
    kernel = Kernel("features_symbols", "f64", tier)
    workspace = undefined(symbols_words(plan.words))
    for t, row in enumerate(out):
        columns = np.ascontiguousarray(bars[t].T)
        addresses = np.array([column.ctypes.data for column in columns], np.uintp)
        kernel((bars.shape[1],), plan.words, groups, addresses, None if ticking is None else ticking[t], row, workspace)
    return out


def groups_of(plan, count):
    """The states of so many symbols, as they start: LANES of them interleaved word by word, then a trailer of zeros."""
    groups = np.zeros((-(-count // LANES), group_words(plan.words)))
    groups[:, : LANES * len(plan.initial)] = np.repeat(plan.initial, LANES)
    memory = empty_words(groups.size).reshape(groups.shape)
    memory[:] = groups
    return memory


def take_state(plan, groups, symbol):
    """The state of one symbol."""
    return take_symbol(plan.words, groups[symbol // LANES], symbol % LANES)[0]


def are_apart(plan, groups):
    """Which groups have their states one after another."""
    return [take_symbol(plan.words, group, 0)[1] for group in groups]


def put_state(plan, groups, symbol, state):
    put_symbol(plan.words, groups[symbol // LANES], symbol % LANES, state)
