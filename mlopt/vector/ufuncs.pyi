import numpy as np

add: np.ufunc
subtract: np.ufunc
multiply: np.ufunc
divide: np.ufunc
fma: np.ufunc
sqrt: np.ufunc
exp: np.ufunc
log: np.ufunc
tanh: np.ufunc
sigmoid: np.ufunc
erf: np.ufunc
relu: np.ufunc
gelu: np.ufunc
silu: np.ufunc
