"""What a model relied on as it trained, afterwards: one decomposition for each saved checkpoint, on the same images."""
