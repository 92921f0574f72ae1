"""The main job, end to end: real market bars in, features, a network trained and served, a report.

``mlopt demo`` runs it from the command line (:mod:`mlopt.demo.command`); :func:`run_demo` from Python::

    bars -> FeatureExtractor -> Scaler -> MLP trained walk-forward on the older bars   (job, walk_forward)
                                       -> MLP served bar by bar on the younger ones    (serving)
                                            every 250th bar again on the reference tier   (checks)
                                            every 20th bar again by the baseline program  (baseline)
         -> Result -> the table on the terminal, report.json, index.html               (table, page, plots)
"""

__all__ = ["run_demo"]


def __getattr__(name: str) -> object:
    if name == "run_demo":
        from mlopt.demo.job import run_demo

        return run_demo
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
