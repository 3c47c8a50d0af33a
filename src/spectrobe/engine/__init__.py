"""Runs the game on a model: absence images, batches, shards, the run folder."""
