"""Training a reward network: objective, optimizer, loop, state, stages."""
