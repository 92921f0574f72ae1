"""Where the headers are."""

import os


def get_include() -> str:
    """The directory of the C headers that Cython modules need which ``cimport mlopt``.

    Returns
    -------
    str
        A path for ``include_dirs`` of a setuptools extension, beside ``numpy.get_include()``.

    Examples
    --------
    >>> import os, mlopt
    >>> os.path.exists(os.path.join(mlopt.get_include(), "signatures.h"))
    True
    """
    return os.path.join(os.path.dirname(__file__), "_kernels")
