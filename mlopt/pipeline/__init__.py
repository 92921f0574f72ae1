"""Records through stages, without copies: one C call a record, or stages on threads and in processes.

`links.pyx` makes of each stage an object of C that reads from one place and writes to another; `chain.pyx` binds them
to one buffer, each reading where the one before wrote.  Fused (`fused.py`), blocks of records go from a
source (`sources.py`) through the chain into the sink's own memory (`sinks.py`).  Staged (`staged.py`), chains work on
threads or in processes (`workers.py`, `worker.pyx`, `process.py`) between queues whose slots they read and write in
place (`records.py`); what a process remembers outlives it (`checkpoints.py`).  `delivery.py` counts and reports what
arrives.
"""

from mlopt.pipeline.delivery import PipelineError
from mlopt.pipeline.pipeline import Pipeline
from mlopt.pipeline.stages import Apply, Learn

__all__ = ["Apply", "Learn", "Pipeline", "PipelineError"]
