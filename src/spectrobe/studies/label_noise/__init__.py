"""How wrong labels move what a model relies on: its profile at every epoch, for several rates of label noise (S6)."""
