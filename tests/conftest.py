"""What every test shares: one thread a process, no network, no telemetry, steady hypotheses."""

from __future__ import annotations

import os
from pathlib import Path

# Before anything imports torch or a Hugging Face library: they read these once.
os.environ.update(
    OMP_NUM_THREADS="1",
    MKL_NUM_THREADS="1",
    TOKENIZERS_PARALLELISM="false",
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    DO_NOT_TRACK="1",
    MPLBACKEND="agg",
)

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile("vlreward", deadline=None, derandomize=True, database=None)
settings.load_profile("vlreward")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real preference data beside the checkout; the test is skipped where there is none."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder
