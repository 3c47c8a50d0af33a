"""The poster's claims about frequency on the user's own models: `study.measure_poster`."""
