"""For Cython modules of this package; nothing to call from Python."""
