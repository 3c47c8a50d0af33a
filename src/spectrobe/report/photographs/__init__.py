"""Strips of photographs: what a model sees of some images and what it answers, once both can be opened again."""
