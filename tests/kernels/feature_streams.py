"""Streams of bars through the three kernels of the features family, on memory that starts undefined."""

import numpy as np

from mlopt._kernels.register import Kernel
from mlopt.features.definitions import parse_feature
from mlopt.features.layout import KINDS, LANES, history_words, symbols_words
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
    """The states of so many symbols, as they start: LANES of them interleaved word by word."""
    groups = empty_words(-(-count // LANES) * len(plan.initial) * LANES).reshape(-1, len(plan.initial), LANES)
    groups[:] = plan.initial[:, np.newaxis]
    return groups


def steps_of(plan):
    """Every step of a plan: kind, lanes, used, first parameter, first value, first word of state, levels, windows."""
    return plan.words[PLAN_HEADER:][: PLAN_HEADER * plan.words[5]].reshape(-1, PLAN_HEADER).tolist()


def rings_of(plan):
    """Where the rings of a state begin, and how many values each has, twice."""
    rings = []
    for kind, lanes, used, parameters, *_ in steps_of(plan):
        if kind == KINDS["push"].number:
            rows = plan.words[parameters : parameters + 3 * lanes].reshape(3, lanes)
            rings += zip(rows[1, :used].tolist(), (rows[2, :used] + 1).tolist(), strict=True)
    return rings


def places_in_group(plan):
    """Where a group has each word of a state: what a node remembers is together there, row after row in a state."""
    places = np.arange(len(plan.initial))
    kinds = {kind.number: kind for kind in KINDS.values()}
    for kind, lanes, _, _, _, state, *_ in steps_of(plan):
        if kinds[kind].kind_class == "recurrence":
            rows = kinds[kind].states
            places[state : state + rows * lanes] = state + np.arange(rows * lanes).reshape(lanes, rows).T.ravel()
    return places


def take_state(plan, groups, symbol):
    """The state of one symbol: a group has every ring once."""
    state = groups[symbol // LANES, places_in_group(plan), symbol % LANES].copy()
    for base, capacity in rings_of(plan):
        state[base + capacity : base + 2 * capacity] = state[base : base + capacity]
    return state


def put_state(plan, groups, symbol, state):
    groups[symbol // LANES, places_in_group(plan), symbol % LANES] = state[: groups.shape[1]]
