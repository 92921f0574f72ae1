"""The work of every row: a module a subject, a function ``measure_<id>(row, options)`` a row."""
