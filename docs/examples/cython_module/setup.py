import os

from Cython.Build import cythonize
from setuptools import Extension, setup

import mlopt

extension = Extension("ridge", ["ridge.pyx"], include_dirs=[mlopt.get_include()])
setup(ext_modules=cythonize([extension], include_path=[os.path.dirname(os.path.dirname(mlopt.__file__))]))
