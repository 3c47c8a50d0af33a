"""How much information does each frequency band give the model? `study.decompose`, its result, and how it is made."""
