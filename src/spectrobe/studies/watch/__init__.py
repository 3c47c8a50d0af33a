"""What a model relies on while it trains: a game settled once, played within a budget, that leaves no trace."""
