"""How does a model respond to each spatial frequency, and does that predict what perturbations cost it?

`study.response`, its result, and how it is made.
"""
