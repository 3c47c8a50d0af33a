"""What is left of a model's accuracy under perturbations? `study.robustness`, its result, and how it is made."""
