"""Does a score predict robustness over a set of models? `study.relate`, its result, and how it is made."""
