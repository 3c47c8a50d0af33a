"""The game over bands: coalitions, values, Shapley values, intervals, scores. Tables in, numbers out; no model."""
