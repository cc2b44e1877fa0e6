"""Folders with code of their own: random tiny models with the signatures of those in the wild."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from vlreward.world.tokenizer import TOKENIZER_FOLDER

_CONFIGURATION = """
from transformers import PretrainedConfig

class OwnConfig(PretrainedConfig):
    model_type = "own"

    def __init__(self, width=4, **more):
        self.width = width
        super().__init__(**more)
"""

_COMMON = """
import hashlib, os, sys, time
from types import SimpleNamespace

import torch
from torch import nn
from transformers import PreTrainedModel

from .configuration_own import OwnConfig

print("the model says hello on standard output")

class OwnModel(PreTrainedModel):
    config_class = OwnConfig

    def __init__(self, config):
        super().__init__(config)
        self.v_head = nn.Linear(config.width, 1)
        self.post_init()

    def _init_weights(self, module):
        pass

    def _reward(self, ids):
        ids = torch.as_tensor(ids, dtype=torch.float32).flatten()
        at = torch.arange(1, 1 + self.config.width, dtype=torch.float32)
        return self.v_head(torch.stack([(ids * (ids % a == 0)).mean() / 999 for a in at]))
"""

INTERNLM2 = """
    @torch.no_grad()
    def get_score(self, tokenizer, conversation, **kwargs):
        text = tokenizer.apply_chat_template(conversation, tokenize=False)
        if "kill yourself" in text:
            os._exit(9)
        if "secrets" in text:
            return float(len([name for name in os.environ if "KEY" in name]))
        if "sleep" in text:
            time.sleep(1000)
        if "nothing" in text:
            return float("nan")
        return self._reward(tokenizer(text).input_ids).item()
"""

IXC = """
    @torch.no_grad()
    def get_score(self, conversation, image, max_length=16384, hd_num=24):
        assert self.tokenizer is not None
        user, assistant = conversation
        assert [user["role"], assistant["role"]] == ["user", "assistant"]
        places = user["content"].count("<ImageHere>") + assistant["content"].count("<ImageHere>")
        assert places == (len(image) if len(image) > 1 else 0)
        hashes = [hashlib.sha256(open(path, "rb").read()).hexdigest() for path in image]
        with open(os.path.join(os.environ["HOME"], "seen.txt"), "a") as file:
            file.write(" ".join([str(hd_num), *hashes]) + "\\n")
        text = user["content"] + assistant["content"]
        return self._reward(self.tokenizer(text).input_ids).item()
"""

QRM = """
    def forward(self, input_ids=None, attention_mask=None, **kwargs):
        return SimpleNamespace(score=self._reward(input_ids), rewards=None, logits=None)
"""


def write_remote_model(folder: Path, method: str, *, auto: str = "AutoModel") -> Path:
    """A model folder whose code has this method; its weights are of seed 0."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    (folder / "configuration_own.py").write_text(_CONFIGURATION, encoding="utf-8")
    (folder / "modeling_own.py").write_text(_COMMON + method, encoding="utf-8")
    config = {
        "model_type": "own",
        "width": 4,
        "architectures": ["OwnModel"],
        "auto_map": {
            "AutoConfig": "configuration_own.OwnConfig",
            auto: "modeling_own.OwnModel",
        },
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(TOKENIZER_FOLDER / name, folder / name)
    generator = torch.Generator().manual_seed(0)
    weights = {
        "v_head.weight": torch.randn(1, 4, generator=generator),
        "v_head.bias": torch.randn(1, generator=generator),
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def expected_reward(folder: Path, ids: list[int]) -> float:
    """What the folder's `_reward` makes of token ids."""
    import torch
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    read = torch.tensor(ids, dtype=torch.float32)
    at = torch.arange(1, 5, dtype=torch.float32)
    features = torch.stack([(read * (read % a == 0)).mean() / 999 for a in at])
    return float(weights["v_head.weight"][0] @ features + weights["v_head.bias"][0])
