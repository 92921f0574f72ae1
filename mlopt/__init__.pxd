# What `cimport mlopt` gives a Cython module: functions on typed memoryviews of float and double, without the GIL.
from mlopt.linalg.views cimport axpy, dot, matmul
