"""Are models that were trained on features of a higher native SNR more robust? Trainings on band groups (S2)."""
