"""A long mixed load that goes on while everything around it is hurt, and is judged shift by shift.

`load` lets callers work, a `shift` is what is judged together, `judge` does it, `gauges` measures the
processes and `trend` says whether they stay as large as they are, `result` has the figures. What starts and
hurts servers and databases is `inventory soak`, in the server's package.
"""
