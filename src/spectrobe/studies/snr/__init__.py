"""Which frequency bands of the images survive a perturbation? `study.snr_study`, its result, and how it is made."""
