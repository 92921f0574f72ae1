# Only functions for Cython: see views.pxd.
