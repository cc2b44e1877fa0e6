"""The same said in other words: paraphrases by rule, to plant duplicates that a reader would see.

Each kind changes a text as people do and keeps what it says; what it cannot change, it returns as
it was.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping

Paraphrase = Callable[[str, random.Random], str]

_SYNONYMS = {
    "picture": "image",
    "image": "picture",
    "photo": "picture",
    "largest": "biggest",
    "biggest": "largest",
    "greatest": "highest",
    "highest": "greatest",
    "smallest": "tiniest",
    "shown": "displayed",
    "displayed": "shown",
    "write": "compose",
    "create": "make",
    "begin": "start",
    "start": "begin",
    "name": "title",
    "find": "determine",
    "determine": "find",
    "calculate": "compute",
    "compute": "calculate",
    "explain": "clarify",
    "describe": "depict",
    "sentence": "phrase",
    "list": "enumerate",
    "missing": "absent",
    "pattern": "scheme",
    "overlapping": "intersecting",
    "overlap": "intersect",
    "shape": "form",
    "quickly": "fast",
    "begins": "starts",
    "buy": "purchase",
    "answer": "reply",
    "error": "mistake",
    "mistake": "error",
    "method": "way",
    "summary": "overview",
    "colour": "hue",
    "color": "hue",
}
_SHORT = {
    "do not": "don't",
    "does not": "doesn't",
    "is not": "isn't",
    "are not": "aren't",
    "cannot": "can't",
    "I am": "I'm",
    "it is": "it's",
    "what is": "what's",
    "What is": "What's",
    "that is": "that's",
    "will not": "won't",
    "did not": "didn't",
    "was not": "wasn't",
    "I have": "I've",
    "you are": "you're",
    "there is": "there's",
    "There is": "There's",
}
_OPENINGS = (
    "Please answer this question: {}",
    "Could you please tell me: {}",
    "Hello! I would like to know: {}",
    "{} Please help me with this. Thank you!",
    "Kindly help me with the following: {}",
)
_FRAMES = (
    (re.compile(r"^How many (.+?) are there (in|on) (.+?)\?"), r"What is the number of \1 \2 \3?"),
    (re.compile(r"^How many (.+?) are (in|on) (.+?)\?"), r"What is the count of \1 \2 \3?"),
    (re.compile(r"^How many (.+?) are there\?"), r"Count the \1. How many are there?"),
    (re.compile(r"^How many (.+?) does (.+?) have\?"), r"What is the number of \1 that \2 has?"),
    (re.compile(r"^What is the (.+?)\?"), r"Tell me the \1."),
    (re.compile(r"^What are the (.+?)\?"), r"Tell me what the \1 are."),
    (re.compile(r"^Which (.+?) is (.+?)\?"), r"Tell me which \1 is \2."),
    (re.compile(r"^(Is|Are) (.+?)\?"), r"Can you tell me: \1 \2?"),
    (
        re.compile(r"^(Write|Create|Give|Name|List|Explain|Describe|Find) (.+?)\."),
        r"I want you to do this: \1 \2.",
    ),
)
_NUMBERS = dict(
    zip(
        "2 3 4 5 6 7 8 9 10 11 12".split(),
        "two three four five six seven eight nine ten eleven twelve".split(),
        strict=True,
    )
)


def synonyms(text: str, rng: random.Random) -> str:
    """Words for words of the same meaning."""
    del rng
    return _replace_words(text, _SYNONYMS)


def short_forms(text: str, rng: random.Random) -> str:
    """Such as "don't" for "do not"."""
    del rng
    for full, short in _SHORT.items():
        text = re.sub(rf"\b{full}\b", short, text)
    return text


def politeness(text: str, rng: random.Random) -> str:
    """A greeting or a request around the text."""
    return rng.choice(_OPENINGS).format(text)


def reframed(text: str, rng: random.Random) -> str:
    """Another way to ask: "How many … are there?" as "What is the number of …?"."""
    del rng
    for pattern, other in _FRAMES:
        found, count = pattern.subn(other, text, count=1)
        if count:
            return found
    return text


def typing_errors(text: str, rng: random.Random) -> str:
    """Two longer words with neighbouring letters exchanged or one left out."""
    words = re.findall(r"[A-Za-z]{7,}", text)
    for word in rng.sample(words, min(2, len(words))):
        at = rng.randrange(2, len(word) - 2)
        swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        text = text.replace(word, swapped if swapped != word else word[:at] + word[at + 1 :], 1)
    return text


def number_words(text: str, rng: random.Random) -> str:
    """Figures up to twelve in words."""
    del rng
    return re.sub(
        r"(?<![\w.,-])(\d{1,2})(?![\w.,%-]\w|\w)",
        lambda found: _NUMBERS.get(found[1], found[1]),
        text,
    )


def formatting(text: str, rng: random.Random) -> str:
    """Marks of emphasis and lists, capitals and punctuation."""
    body = text.rstrip(".?!")
    return rng.choice(
        (f"**Question:** {text}", f"- {body}", f"{body} ..?", f"*{text}*", f"> {text}")
    )


KINDS: Mapping[str, Paraphrase] = {
    "synonyms": synonyms,
    "short forms": short_forms,
    "politeness": politeness,
    "reframed": reframed,
    "typing errors": typing_errors,
    "number words": number_words,
    "formatting": formatting,
}


def _replace_words(text: str, words: Mapping[str, str]) -> str:
    def other(found: re.Match[str]) -> str:
        word = found[0]
        instead = words.get(word.lower())
        if instead is None:
            return word
        return instead.capitalize() if word[0].isupper() else instead

    return re.sub(r"[A-Za-z]+", other, text)
