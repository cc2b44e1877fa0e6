"""Runs a reward model by code of its own folder: a program, not a module to import.

It stands alone, as it may run in another environment: Python 3.8 or later with the torch and
transformers that the model wants. It reads JSON lines. The first one says what to load, each other
one is a chat to score; each is answered by one line on the original standard output, and whatever
the model prints goes to standard error.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import IO, Any, Callable, Dict, List  # noqa: UP035 - Python 3.8 knows no other

Chat = List[Dict[str, str]]  # noqa: UP006


def main() -> None:
    """Loads what the first line says, then answers until the input ends."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lines = iter(sys.stdin.readline, "")
    settings = json.loads(next(lines))
    try:
        score = load(settings)
    except Exception as error:
        answer(out, {"error": explain(error)})
        return
    answer(out, {"ready": True})
    for line in lines:
        request = json.loads(line)
        try:
            found = score(request["chat"], request["pictures"])
        except Exception as error:
            answer(out, {"error": explain(error)})
        else:
            answer(out, {"score": found})


def answer(out: IO[str], body: dict[str, Any]) -> None:
    """One line, at once."""
    out.write(json.dumps(body) + "\n")
    out.flush()


def explain(error: Exception) -> str:
    """An error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:2000]


def load(settings: dict[str, Any]) -> Callable[[Chat, list[str]], float]:
    """The model's way to score a chat with pictures, as a function that gives a number."""
    import torch
    import transformers

    path, revision, call = settings["path"], settings["revision"], settings["call"]
    device = settings["device"] or ("cuda" if torch.cuda.is_available() else "cpu")
    name = settings["dtype"]
    if name == "auto":
        name = "float16" if device.startswith("cuda") else "float32"
    dtype = getattr(torch, name)
    tokenizer = transformers.AutoTokenizer.from_pretrained(
        path, trust_remote_code=True, revision=revision
    )
    classifies = call == "score-output"
    auto = transformers.AutoModelForSequenceClassification if classifies else transformers.AutoModel
    spelled = "dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype"
    model: Any = auto.from_pretrained(
        path, trust_remote_code=True, revision=revision, **{spelled: dtype}
    )
    model.to(device).eval()
    model.tokenizer = tokenizer
    autocasts = device.startswith("cuda") and call == "get-score-pictures"

    def score(chat: Chat, pictures: list[str]) -> float:
        context = torch.autocast("cuda", dtype=dtype) if autocasts else contextlib.nullcontext()
        with torch.no_grad(), context:
            if call == "get-score":
                return number(model.get_score(tokenizer, chat))
            if call == "get-score-pictures":
                return number(model.get_score(chat, pictures, hd_num=settings["hd_num"]))
            return number(score_output(model, tokenizer, chat))

    return score


def score_output(model: Any, tokenizer: Any, chat: Chat) -> Any:
    """The `score` of the model's output for the chat."""
    ids = tokenizer.apply_chat_template(chat, return_tensors="pt")
    if not hasattr(ids, "shape"):  # transformers 5 gives a mapping
        ids = ids["input_ids"]
    return model(ids.to(model.device)).score


def number(value: Any) -> float:
    """A tensor, list or number of one element as a number."""
    while isinstance(value, (list, tuple)):
        (value,) = value
    return float(value)


if __name__ == "__main__":
    main()
