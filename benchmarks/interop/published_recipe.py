"""Scores answers as the model card of Skywork-VL-Reward-7B tells its users to, and nothing more.

    python published_recipe.py CHECKPOINT rows.json --output scores.json

It is the independent reference for checkpoints of the layout backbone + `value_head.safetensors`
(keys `v_head.summary.weight` [1, hidden] and `v_head.summary.bias` [1]), so it imports nothing of
this project. `rows.json` is a list of {"prompt", "response", "image"}, the image a path relative
to the file or null. It runs under transformers 4.51 with trl 0.19 and under transformers 5.x with
trl 0.24 (the wrapper at the top of the package) and 0.29 (in `trl.experimental.ppo`); trl 1.16 has
it no more. Without it, or with `--head by-hand`, the script does the wrapper's arithmetic itself:
last hidden state (after the final norm) times weight plus bias, in float32, in eval mode, so that
the wrapper's dropout of 0.1 is off.

The recipe: chat template over user(image, text) and assistant(text) without a generation prompt
(the template adds its default system message), a forward pass in float32, one row at a time, and
the value at position `attention_mask.sum() - 1`, which for Qwen is the newline after `<|im_end|>`.
"""

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import PIL
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoProcessor, AutoTokenizer, Qwen2_5_VLForConditionalGeneration

IMAGE_TOKEN = "<|image_pad|>"
PICTURE_UNIT = 28
MIN_PIXELS = 4 * PICTURE_UNIT**2
MAX_PIXELS = 16_384 * PICTURE_UNIT**2

HeadKind = Literal["trl", "by-hand"]
InputsKind = Literal["processor", "composed"]


@dataclass(frozen=True)
class Row:
    """One answer to score; `image` is an existing file or None."""

    prompt: str
    response: str
    image: Path | None


@dataclass(frozen=True)
class Score:
    """A score with what it was computed from, so that a difference can be traced."""

    score: float
    input_ids: list[int]
    image_grid_thw: list[list[int]] | None
    pixel_values_sum: float | None


def read_rows(path: Path) -> list[Row]:
    """Read the rows; an image path is taken relative to the file's folder."""
    rows = []
    for record in json.loads(path.read_text()):
        image = path.parent / record["image"] if record.get("image") else None
        rows.append(Row(prompt=record["prompt"], response=record["response"], image=image))
    return rows


def load_picture(path: Path) -> Image.Image:
    """Open a picture as the package qwen_vl_utils, which the recipe calls, hands it over.

    RGB, transparency over white, sides rounded to multiples of 28 within its limits on the area.
    """
    picture = Image.open(path)
    if picture.mode == "RGBA":
        flat = Image.new("RGB", picture.size, (255, 255, 255))
        flat.paste(picture, mask=picture.split()[3])
        picture = flat
    picture = picture.convert("RGB")
    height, width = rounded_size(picture.height, picture.width)
    return picture.resize((width, height))


def rounded_size(height: int, width: int) -> tuple[int, int]:
    """Return (height, width) rounded to multiples of 28, with the area kept within the limits."""
    rounded = [
        max(PICTURE_UNIT, round(side / PICTURE_UNIT) * PICTURE_UNIT) for side in (height, width)
    ]
    area = rounded[0] * rounded[1]
    if area > MAX_PIXELS:
        shrink = math.sqrt(height * width / MAX_PIXELS)
        rounded = [
            math.floor(side / shrink / PICTURE_UNIT) * PICTURE_UNIT for side in (height, width)
        ]
    elif area < MIN_PIXELS:
        grow = math.sqrt(MIN_PIXELS / (height * width))
        rounded = [math.ceil(side * grow / PICTURE_UNIT) * PICTURE_UNIT for side in (height, width)]
    return rounded[0], rounded[1]


def to_messages(row: Row) -> list[dict[str, Any]]:
    """Return the row as a conversation: the picture first, then the question, then the answer."""
    text = {"type": "text", "text": row.prompt}
    picture = [{"type": "image", "image": str(row.image)}] if row.image else []
    return [
        {"role": "user", "content": [*picture, text]},
        {"role": "assistant", "content": [{"type": "text", "text": row.response}]},
    ]


class ProcessorInputs:
    """Tensors by the checkpoint's own processor class; needs torchvision under transformers 5."""

    def __init__(self, checkpoint: Path) -> None:
        """Raises ImportError where the processor's requirements are missing."""
        self.processor = AutoProcessor.from_pretrained(checkpoint)

    def __call__(self, row: Row) -> dict[str, torch.Tensor]:
        """Return the model's arguments for one row, each with a batch axis of one."""
        text = self.processor.apply_chat_template(
            to_messages(row), tokenize=False, add_generation_prompt=False
        )
        images = [load_picture(row.image)] if row.image else None
        return dict(self.processor(text=[text], images=images, padding=True, return_tensors="pt"))


class ComposedInputs:
    """The same tensors from the tokenizer and the PIL image processor, without torchvision."""

    def __init__(self, checkpoint: Path) -> None:
        """Load both; transformers 4 and 5 have the PIL image processor under different names."""
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        name = "Qwen2VLImageProcessorPil" if is_version_5() else "Qwen2VLImageProcessor"
        self.image_processor = getattr(transformers, name).from_pretrained(checkpoint)

    def __call__(self, row: Row) -> dict[str, torch.Tensor]:
        """Return the model's arguments for one row, each with a batch axis of one."""
        text = self.tokenizer.apply_chat_template(
            to_messages(row), tokenize=False, add_generation_prompt=False
        )
        pictures = {}
        if row.image:
            images = [load_picture(row.image)]
            pictures = dict(self.image_processor(images=images, return_tensors="pt"))
            num_patches = int(pictures["image_grid_thw"][0].prod())
            num_tokens = num_patches // self.image_processor.merge_size**2
            text = text.replace(IMAGE_TOKEN, IMAGE_TOKEN * num_tokens, 1)
        tokens = dict(self.tokenizer([text], return_tensors="pt"))
        if is_version_5():
            image_id = self.tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
            tokens["mm_token_type_ids"] = (tokens["input_ids"] == image_id).int()
        return {**tokens, **pictures}


class TrlScorer:
    """Values by trl's wrapper, with the head loaded into it as the recipe does."""

    def __init__(self, checkpoint: Path) -> None:
        """Raises ImportError where no trl with the wrapper is installed."""
        wrapper = find_trl_wrapper()
        backbone = load_backbone(checkpoint)
        # Under transformers 5 only the nested config knows the width that trl looks for at the top.
        backbone.config.hidden_size = backbone.config.get_text_config().hidden_size
        self.model = wrapper.from_pretrained(backbone)
        report = self.model.load_state_dict(load_head(checkpoint), strict=False)
        if report.unexpected_keys:
            raise SystemExit(f"{checkpoint}: unknown keys in the head: {report.unexpected_keys}")
        self.model.requires_grad_(False).eval()

    def __call__(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the values of every position, [batch, length]."""
        return self.model(**inputs, return_dict=True, use_cache=False)[-1]


class HandScorer:
    """The same values without trl: last hidden state times weight plus bias, in float32."""

    def __init__(self, checkpoint: Path) -> None:
        """Load the backbone and the head."""
        self.model = load_backbone(checkpoint).requires_grad_(False).eval()
        head = load_head(checkpoint)
        self.weight = head["v_head.summary.weight"].float()
        self.bias = head["v_head.summary.bias"].float()

    def __call__(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the values of every position, [batch, length]."""
        output = self.model(**inputs, output_hidden_states=True, use_cache=False)
        hidden = output.hidden_states[-1].float()
        return torch.nn.functional.linear(hidden, self.weight, self.bias).squeeze(-1)


def is_version_5() -> bool:
    """Tell whether transformers is of the 5.x line."""
    return int(transformers.__version__.split(".")[0]) >= 5


def find_trl_wrapper() -> Any:
    """Return trl's value-head class from where this trl keeps it; raises ImportError without."""
    try:
        from trl import AutoModelForCausalLMWithValueHead
    except ImportError:
        from trl.experimental.ppo import AutoModelForCausalLMWithValueHead
    return AutoModelForCausalLMWithValueHead


def load_backbone(checkpoint: Path) -> Any:
    """Return the model with its language-modelling head, in float32."""
    dtype = {"dtype" if is_version_5() else "torch_dtype": torch.float32}
    return Qwen2_5_VLForConditionalGeneration.from_pretrained(checkpoint, **dtype)


def load_head(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of `value_head.safetensors`."""
    return load_file(checkpoint / "value_head.safetensors")


def make_inputs(checkpoint: Path, *, kind: InputsKind | None) -> ProcessorInputs | ComposedInputs:
    """Return what was asked for, or without a wish the processor where it can be imported."""
    if kind == "composed":
        return ComposedInputs(checkpoint)
    try:
        return ProcessorInputs(checkpoint)
    except ImportError:
        if kind == "processor":
            raise
        return ComposedInputs(checkpoint)


def make_scorer(checkpoint: Path, *, kind: HeadKind | None) -> TrlScorer | HandScorer:
    """Return what was asked for, or without a wish trl's wrapper where it can be imported."""
    if kind == "by-hand":
        return HandScorer(checkpoint)
    try:
        return TrlScorer(checkpoint)
    except ImportError:
        if kind == "trl":
            raise
        return HandScorer(checkpoint)


@torch.inference_mode()
def score_row(
    row: Row, *, inputs_of: ProcessorInputs | ComposedInputs, values_of: TrlScorer | HandScorer
) -> Score:
    """Score one row as the recipe does: the value at the last position the mask covers."""
    inputs = inputs_of(row)
    values = values_of(inputs)
    last = inputs["attention_mask"].sum(dim=-1, keepdim=True) - 1
    grids, pixels = inputs.get("image_grid_thw"), inputs.get("pixel_values")
    return Score(
        score=values.gather(dim=-1, index=last).item(),
        input_ids=inputs["input_ids"][0].tolist(),
        image_grid_thw=None if grids is None else grids.tolist(),
        pixel_values_sum=None if pixels is None else pixels.double().sum().item(),
    )


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--output", type=Path, help="a JSON file; without it, standard output")
    parser.add_argument("--inputs", choices=("processor", "composed"), help="default: what imports")
    parser.add_argument("--head", choices=("trl", "by-hand"), help="default: what imports")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Score every row and write the scores with the versions that made them."""
    options = read_options()
    torch.set_num_threads(options.threads)
    inputs_of = make_inputs(options.checkpoint, kind=options.inputs)
    values_of = make_scorer(options.checkpoint, kind=options.head)
    scores = [
        score_row(row, inputs_of=inputs_of, values_of=values_of) for row in read_rows(options.rows)
    ]
    document = {
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "pillow": PIL.__version__,
        "inputs": type(inputs_of).__name__,
        "head": type(values_of).__name__,
        "scores": [vars(score) for score in scores],
    }
    if options.output is None:
        print(json.dumps(document))
    else:
        options.output.write_text(json.dumps(document, indent=1) + "\n")
        print(*(f"{score.score:+.6f}" for score in scores))


if __name__ == "__main__":
    main()
