import json

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from vlreward.errors import CheckpointError
from vlreward.modeling.sentence_encoder import SentenceEncoder

WORDS = ["[PAD]", "[UNK]", "which", "bar", "is", "the", "longest", "?", "a"]
MODULES = ["sentence_transformers.models.Transformer", "sentence_transformers.models.Pooling"]


@pytest.fixture
def folder(tmp_path):
    """A tiny random encoder in the layout of sentence-transformers."""
    words = models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]")
    tokenizer = Tokenizer(words)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    fast.save_pretrained(tmp_path)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(tmp_path)
    (tmp_path / "modules.json").write_text(json.dumps([{"type": one} for one in MODULES]))
    (tmp_path / "1_Pooling").mkdir()
    pooling = {"pooling_mode_mean_tokens": True}
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return tmp_path


def test_vectors_are_unit_means_in_the_order_of_the_texts_whatever_they_are_batched_with(folder):
    encoder = SentenceEncoder.load(str(folder))
    texts = ["the longest bar ?", "a", "which bar is the longest ?"]
    together = encoder.embed(texts)
    assert together.shape == (3, 16)
    assert np.linalg.norm(together, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    alone = np.concatenate([encoder.embed([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-5
    assert np.abs(together[0] - together[2]).max() > 1e-3


def test_no_texts_make_no_vectors(folder):
    assert SentenceEncoder.load(str(folder)).embed([]).shape == (0, 16)


@pytest.mark.parametrize(
    ("file", "content", "code"),
    [
        ("modules.json", [{"type": one} for one in (*MODULES, "x.Dense")], "encoder-unusable"),
        ("modules.json", {"no": "list"}, "encoder-unusable"),
        ("1_Pooling/config.json", {"pooling_mode_cls_token": True}, "encoder-unusable"),
        ("1_Pooling/config.json", [], "model-json-unreadable"),
        ("config.json", {"model_type": "bert", "auto_map": {}}, "model-wants-remote-code"),
    ],
)
def test_what_is_no_encoder_of_this_kind_is_refused(folder, file, content, code):
    (folder / file).write_text(json.dumps(content))
    with pytest.raises(CheckpointError) as caught:
        SentenceEncoder.load(str(folder))
    assert caught.value.code == code


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="model-folder-missing"):
        SentenceEncoder.load(str(tmp_path / "none"))
