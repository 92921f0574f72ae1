"""Ratios for every row of ``mlopt targets``, from the same definitions.

Each row is measured once, all its alternatives interleaved; the benchmarks then look their number up.
NaN, which asv shows as a gap, stands for what was not measured.
"""

import math

try:
    from mlopt.targets import TARGETS, Options

    IDS = [target.id for target in TARGETS if target.measured_by]
except ImportError:
    TARGETS, IDS = (), []


class Targets:
    """Against the baseline program, the best peer installed, and the machine's limit."""

    params = (IDS,)
    param_names = ("target",)
    timeout = 900

    def setup_cache(self):
        options = Options(seconds=0.5, peers=True)
        return {target.id: target.run(options).metrics for target in TARGETS if target.measured_by}

    def track_vs_baseline(self, metrics, id):
        return metrics[id].get("vs_baseline", math.nan)

    track_vs_baseline.unit = "times the baseline program's speed"

    def track_vs_peer(self, metrics, id):
        return metrics[id].get("vs_peer", metrics[id].get("worst_vs_peer", math.nan))

    track_vs_peer.unit = "times the best peer's speed"

    def track_share_of_limit(self, metrics, id):
        return metrics[id].get("share", metrics[id].get("elementwise_share", math.nan))

    track_share_of_limit.unit = "share of the limit"


for track in (Targets.track_vs_baseline, Targets.track_vs_peer, Targets.track_share_of_limit):
    track.timeout = 900
Targets.setup_cache.timeout = 900


class VectorOperations:
    """Reductions against the scalar loop at 1 K, float32."""

    timeout = 300

    def setup_cache(self):
        try:
            from mlopt.targets.rows.vector_ops import REDUCTIONS, contest
        except ImportError:
            return {}
        ratios = {}
        for name in REDUCTIONS:
            rounds = contest(name, "float32", 1024, Options(peers=False)).measure(0.3)
            ratios[name] = rounds.ratio("baseline", of="mlopt").median
        return ratios

    params = (["dot", "sum", "max"],)
    param_names = ("kernel",)

    def track_vs_scalar(self, ratios, name):
        return ratios.get(name, math.nan)

    track_vs_scalar.unit = "times the scalar loop's speed"
