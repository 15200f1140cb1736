"""The built-in module `rule_engine`.

What rules look like stands in `spec`, what is wrong with them is told by `check`. `parse` reads conditions into the trees of
`tree`; `evaluate` says whether one holds, and `decide` when a rule fires and is over: both only decide, with time as an
argument. `engine` runs all that, and does what rules ask for.
"""
