"""Judging scorers and judges: benchmarks, outcomes row by row, their arithmetic and statistics."""
