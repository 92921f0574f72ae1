"""Benchmarks of mlopt; README.rst beside this folder says how to run them."""
