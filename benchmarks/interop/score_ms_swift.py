"""Scores pairs with ms-swift's own inference engine for sequence classification.

    python score_ms_swift.py peers/out_sw/checkpoint-4 peers/data peers/scores_sw.json --num-rows 6

Every number comes from ms-swift: `TransformersEngine` with the task `seq_cls` loads, renders, pads
(on the left) and scores, two answers a batch; the template's batches, noted on their way through,
give the tokens and pixels. Float32, on the CPU.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import torch
import torchvision_stub
from peer_rows import NotingCollator, PeerScore, find_system, split_batch, write_scores

torchvision_stub.install()
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

from swift.infer_engine import InferRequest, TransformersEngine  # noqa: E402


def load_engine(model: Path) -> TransformersEngine:
    """Return ms-swift's engine over a reward checkpoint, in float32."""
    engine = TransformersEngine(
        str(model),
        model_type="qwen2_5_vl",
        template_type="qwen2_5_vl",
        task_type="seq_cls",
        num_labels=1,
        problem_type="regression",
        torch_dtype=torch.float32,
        attn_impl="sdpa",
        device_map="cpu",
        max_batch_size=2,
    )
    print("image processor:", type(engine.template.processor.image_processor).__name__)
    print("head:", tuple(engine.model.score.weight.shape), engine.model.score.weight.dtype)
    return engine


def to_requests(row: dict[str, Any]) -> list[InferRequest]:
    """Return one request for the chosen answer and one for the rejected one."""
    question, chosen = row["messages"]
    rejected = {"role": "assistant", "content": row["rejected_response"]}
    return [
        InferRequest(messages=[dict(question), dict(answer)], images=list(row["images"]))
        for answer in (chosen, rejected)
    ]


def score_rows(engine: TransformersEngine, *, rows: list[dict[str, Any]]) -> list[PeerScore]:
    """Score every row's two answers."""
    collator = NotingCollator(engine.template.data_collator)
    engine.template.data_collator = collator
    requests = [request for row in rows for request in to_requests(row)]
    responses = engine.infer(requests, use_tqdm=False)
    values = [float(response.choices[0].message.content) for response in responses]
    answers = [answer for batch in collator.batches for answer in split_batch(batch)]
    return [
        PeerScore(
            row=index,
            prompt=row["messages"][0]["content"],
            image=row["images"][0],
            chosen=row["messages"][1]["content"],
            rejected=row["rejected_response"],
            score_chosen=values[2 * index],
            score_rejected=values[2 * index + 1],
            input_ids_chosen=chosen.input_ids,
            input_ids_rejected=rejected.input_ids,
            image_grid_thw=[chosen.image_grid_thw],
            pixel_values_sum=chosen.pixel_values_sum,
            system=find_system(engine.tokenizer.decode(chosen.input_ids)),
        )
        for index, (row, chosen, rejected) in enumerate(
            zip(rows, answers[::2], answers[1::2], strict=True)
        )
    ]


def main() -> None:
    """Read the command line, score and write the scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path, help="the folder that make_pairs.py wrote")
    parser.add_argument("output", type=Path)
    parser.add_argument("--num-rows", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    lines = (options.data / "swift.jsonl").read_text().splitlines()[: options.num_rows]
    scores = score_rows(load_engine(options.model), rows=[json.loads(line) for line in lines])
    write_scores(options.output, scores)


if __name__ == "__main__":
    main()
