"""What the studies that train have in common: images in memory, small networks, Lightning's loop, bands over seeds."""
