"""The measurements behind every figure that we name: ours beside a reference, in turn, in one run.

`load` is the process that asks, `suite` says what is measured against what, `figures` makes ratios of it,
`report` draws them. What starts servers and databases is `inventory bench`, in the server's package.
"""
