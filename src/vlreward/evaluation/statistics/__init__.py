"""How far a benchmark's figures can be trusted, and what else the outcomes tell."""
