"""A Qwen2.5-VL of chosen sizes: what the sizes become, and which do not fit each other."""

from __future__ import annotations

from typing import Any

import pytest

from vlreward.collation.text import load_tokenizer
from vlreward.errors import ConfigError
from vlreward.modeling.config import ScratchConfig
from vlreward.modeling.scratch import qwen_config
from vlreward.world.tokenizer import TOKENIZER_FOLDER


def rope_of(config: ScratchConfig) -> dict[str, Any]:
    rope: dict[str, Any] = qwen_config(
        config, load_tokenizer(TOKENIZER_FOLDER)
    ).text_config.rope_parameters
    return rope


def test_a_heads_frequencies_are_shared_between_time_row_and_column() -> None:
    assert rope_of(ScratchConfig())["mrope_section"] == [8, 12, 12]
    chosen = rope_of(ScratchConfig(rope_theta=1e4, mrope_section=(2, 6, 24)))
    assert (chosen["mrope_section"], chosen["rope_theta"]) == ([2, 6, 24], 1e4)


@pytest.mark.parametrize("sections", [(2, 6, 23), (0, 8, 24)])
def test_frequencies_that_do_not_make_half_a_head_are_refused(
    sections: tuple[int, int, int],
) -> None:
    with pytest.raises(ConfigError, match="three numbers that make 32") as refused:
        ScratchConfig(mrope_section=sections)
    assert refused.value.place == "scratch.mrope_section"


@pytest.mark.parametrize(
    ("name", "value"), [("num_layers", 0), ("hidden_size", 100), ("num_key_value_heads", 3)]
)
def test_sizes_that_do_not_fit_are_refused(name: str, value: int) -> None:
    with pytest.raises(ConfigError) as refused:
        ScratchConfig(**{name: value})  # type: ignore[arg-type]
    assert refused.value.place.startswith("scratch.")
