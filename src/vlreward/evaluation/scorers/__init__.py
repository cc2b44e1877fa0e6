"""Everything that gives a response a number, or two of them an order, and how it is chosen."""
