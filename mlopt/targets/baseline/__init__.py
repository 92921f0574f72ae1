"""The baseline program: what was done before, kept fixed, to measure against.

Per bar it recomputes every feature over the whole window of the last 500 bars
(:mod:`~mlopt.targets.baseline.features`), then runs the network and its
optimiser as a chain of array operations.  The arithmetic is sequential scalar loops: this package's
``reference`` kernels where there is one (:mod:`~mlopt.targets.baseline.network`),
else the loops of :mod:`~mlopt.targets.baseline.series`, compiled without vectorisation.  Every
stage makes fresh arrays.  Nothing sleeps, nothing is done twice within a bar, no loop is slower
than its textbook form: sums, moments and covariances of windows slide, extremes are searched anew only
when they leave the window, and features share what they have in common.  Skewness, kurtosis, ranks and
mean absolute deviations go over their windows: to slide, the first two would lose their digits, the
others have no sliding sum.

The tests hold its numbers against the library's.
"""
