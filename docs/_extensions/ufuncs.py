"""Documents ufuncs as data: numpydoc's signature, which autodoc has no place for, stays in the docstring."""

from sphinx.application import Sphinx


def keep_signature(app: Sphinx, what: str, *_: object) -> tuple[None, None] | None:
    """Answers before numpydoc does; an answer without a text is none to autodoc."""
    return (None, None) if what == "data" else None


def setup(app: Sphinx) -> dict[str, object]:
    """Listen with a priority above numpydoc's."""
    app.connect("autodoc-process-signature", keep_signature, priority=400)
    return {"parallel_read_safe": True}
