"""Trains the packaged tokenizer: `python -m vlreward.world.train_tokenizer [FOLDER]`.

The text is the standard library's documentation (Python Software Foundation licence), this
project's own world, everyday words, and made-up sums with numbers and symbols. The same Python
version writes the same files from the same world; the packaged ones were written by Python 3.11.7
with tokenizers 0.23.3 at commit e38773e: another world's would not be those of the packaged models.
"""

from __future__ import annotations

import ast
import json
import random
import re
import sys
import sysconfig
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from pydoc_data.topics import topics

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from vlreward.world.lessons import make_lessons, make_text_lessons
from vlreward.world.preferences import make_pairs
from vlreward.world.tokenizer import TOKENIZER_FOLDER

VOCABULARY_SIZE = 6144
"""Number of tokens in all, the special ones included."""

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
"""Qwen2.5-VL's special tokens in its order; they take the last ids."""

WORD_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen2 cuts text into words before merging; every digit stands alone."""

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if loop.first and message.role != 'system' -%}"
    "{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' -}}"
    "{%- endif -%}"
    "{{- '<|im_start|>' + message.role + '\\n' -}}"
    "{%- if message.content is string -%}"
    "{{- message.content -}}"
    "{%- else -%}"
    "{%- for part in message.content -%}"
    "{%- if part.type in ('image', 'image_url') or 'image' in part or 'image_url' in part -%}"
    "{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}"
    "{%- elif part.type == 'video' or 'video' in part -%}"
    "{{- '<|vision_start|><|video_pad|><|vision_end|>' -}}"
    "{%- elif 'text' in part -%}"
    "{{- part.text -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- endif -%}"
    "{{- '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
"""Qwen2.5-VL's layout of a conversation."""

TOKENIZER_CONFIG: dict[str, object] = {
    "tokenizer_class": "Qwen2Tokenizer",
    "processor_class": "Qwen2_5_VLProcessor",
    "add_prefix_space": False,
    "bos_token": None,
    "eos_token": "<|im_end|>",
    "pad_token": "<|endoftext|>",
    "unk_token": None,
    "additional_special_tokens": [
        token for token in SPECIAL_TOKENS if token not in ("<|endoftext|>", "<|im_end|>")
    ],
    "clean_up_tokenization_spaces": False,
    "errors": "replace",
    "model_max_length": 131072,
    "split_special_tokens": False,
    "chat_template": CHAT_TEMPLATE,
}

PROCESSOR_CONFIG: dict[str, object] = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "processor_class": "Qwen2_5_VLProcessor",
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "min_pixels": 3136,
    "max_pixels": 12845056,
}

_SYMBOLS = "°±×÷²³·√∞≈≠≤≥∠△□○∑∫∂πθαβγδλμσφωΔΩ€£¥…–—‘’“”•→←é è ê ü ö ä ß ñ ç å ø á í ó ú ã õ"
_EVERYDAY_WORDS = """
picture image photo photograph drawing painting chart graph table figure diagram map screen text
title label axis legend bar line curve point slice value number percent total average maximum
minimum increase decrease higher lower largest smallest left right top bottom middle center
corner front behind above below beside between inside outside near far foreground background
colour color red orange yellow green blue purple pink brown black white grey gray gold silver dark
bright light shape circle square triangle rectangle star diamond oval cross arrow angle degree
length width height area perimeter volume radius diameter parallel perpendicular similar equal
person people man woman men women boy girl child children baby player team crowd family friend
dog cat horse cow sheep bird elephant giraffe zebra bear fish animal head face eye eyes nose mouth
hair hand hands arm arms leg legs foot feet wearing holding standing sitting walking running
riding playing eating drinking looking smiling shirt jacket dress hat shoes glasses bag umbrella
car cars truck bus train bicycle bike motorcycle airplane plane boat ship street road sign traffic
light building buildings house houses window door wall floor roof room kitchen bathroom bedroom
living table chair bed sofa couch lamp clock book phone laptop computer keyboard mouse camera
television bottle cup glass plate bowl fork knife spoon food bread cheese meat rice salad soup
pizza cake fruit apple banana orange vegetable coffee tea water wine milk tree trees grass flower
flowers plant garden park field forest mountain river lake sea ocean beach sand snow rain cloud
clouds sky sun moon night morning evening day week month year summer winter spring autumn city
town village country world school hospital station market shop store restaurant money price cost
work game ball bat tennis baseball football soccer skateboard surfboard skiing kite question
answer answers response correct incorrect wrong right better worse best because therefore however
although appears seems shows visible clearly likely probably possible according based given
first second third fourth fifth last next step steps solve solution find calculate compute
equation triangle sum difference product ratio fraction half quarter double twice one two three
four five six seven eight nine ten eleven twelve twenty thirty hundred thousand million
""".split()
_NUM_WORD_USES = 40
_NUM_WORLD_WORD_USES = 500
_NUM_WORLD_PICTURES = 3000
_NUM_WORLD_TASKS = 3000
_NUM_SUMS = 3000


def train_tokenizer() -> Tokenizer:
    """A tokenizer trained on the texts of `training_texts`, special tokens at the end."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORD_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE - len(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(training_texts(), trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL_TOKENS])
    return tokenizer


def training_texts() -> Iterator[str]:
    """All the text, always in the same order."""
    for name in sorted(topics):
        yield _without_rulers(topics[name])
    for text in _docstrings(Path(sysconfig.get_paths()["stdlib"])):
        yield _without_rulers(text)
    for word in _EVERYDAY_WORDS:
        yield f" {word}" * _NUM_WORD_USES
    for one in make_pairs(num_pictures=_NUM_WORLD_PICTURES, seed=0, split="train"):
        question = one.pair.prompt.messages[-1].content[-1]
        yield f"{question}\n{one.pair.chosen.text}\n{one.pair.rejected.text}"
    for word in _world_words():
        yield f" {word}" * _NUM_WORLD_WORD_USES
        yield f"{word}\n" * _NUM_WORLD_WORD_USES
    yield from _sums(random.Random(0))


def write_folder(folder: Path) -> None:
    """Trains the tokenizer and writes its three files."""
    folder.mkdir(parents=True, exist_ok=True)
    text = train_tokenizer().to_str(pretty=False)
    (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    for name, config in (
        ("tokenizer_config.json", TOKENIZER_CONFIG),
        ("preprocessor_config.json", PROCESSOR_CONFIG),
    ):
        (folder / name).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _docstrings(library: Path) -> Iterator[str]:
    """The docstrings of the standard library's modules, classes and functions, tests left out."""
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library).parts
        if {"site-packages", "test", "tests", "lib2to3", "idlelib"} & set(parts):
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                yield ast.get_docstring(node) or ""


def _world_words() -> list[str]:
    """Every word of the miniature world: what is asked, what is said, and what is seen."""
    lessons = chain(
        make_lessons(num_pictures=_NUM_WORLD_PICTURES, seed=0, split="train"),
        make_text_lessons(num_lessons=_NUM_WORLD_TASKS, seed=0, split="train"),
    )
    words: set[str] = set()
    for lesson in lessons:
        shown = lesson.demonstration
        text = [part for part in shown.prompt.messages[0].content if isinstance(part, str)]
        for said in (*text, shown.response.text):
            words.update(re.findall(r"[A-Za-z]+", said))
        for mark in chain.from_iterable(lesson.marks):
            words.update(re.findall(r"[A-Za-z]+", f"{mark.word} {mark.phrase}"))
    return sorted(words)


def _without_rulers(text: str) -> str:
    """The text with long runs of one sign cut to eight: tables would fill the vocabulary."""
    return re.sub(r"(\W)\1{7,}", r"\1" * 8, text)


def _sums(rng: random.Random) -> Iterator[str]:
    """Short lines of arithmetic, measures and symbols, as maths questions have them."""
    for _ in range(_NUM_SUMS):
        one, other = rng.randint(0, 999), rng.randint(1, 99)
        symbol = rng.choice(_SYMBOLS)
        yield (
            f"{one} + {other} = {one + other}, {one} × {other} = {one * other}.\n"
            f"x = {one}{symbol}, {symbol}{other}, $x^2 + {other}x$ {symbol} \\frac{{1}}{{{other}}}"
        )


def main() -> None:
    """Writes the packaged folder, or the one named on the command line."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else TOKENIZER_FOLDER
    write_folder(folder)
    print(f"wrote {folder}")


if __name__ == "__main__":
    main()
