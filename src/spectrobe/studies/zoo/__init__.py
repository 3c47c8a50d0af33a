"""Decompose and measure a list of models on the same images, then relate: `study.measure_zoo`."""
