"""One question each: a study takes a model and images and gives one frozen result."""
