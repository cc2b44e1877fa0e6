"""Reward models that run by code of their own folder, in a process that knows no secrets.

The process may use another interpreter, so that the model's pins need not be ours. It gets the
pictures as files, and of the environment only what finding libraries, devices and caches takes.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO, Any, NamedTuple

from vlreward.errors import CheckpointError, ConfigError, DataError, VlrewardError
from vlreward.evaluation.scorers.config import RemoteCodeConfig
from vlreward.evaluation.scorers.protocols import Comparison, PatientScorer
from vlreward.generation.requests import plain_file
from vlreward.records import Message, Picture, Prompt, Response, Score

_WORKER = Path(__file__).with_name("remote_worker.py")
_ENVIRONMENT = (
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "HF_ENDPOINT",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "OMP_NUM_THREADS",
)
_PLACE = "<ImageHere>"
"""Where IXC-2.5 puts a picture; with a single one it wants none and puts it first."""
_MOST_DEATHS = 3
_TAIL = 2000


class _Gone(NamedTuple):
    """The process ended, or gave no answer in time."""

    reason: str


class RemoteScorer(PatientScorer):
    """An `interfaces.Scorer`; close it, or use it as a context manager.

    A process that dies over a row, or hangs, costs that row and is started anew; after three in
    succession the run ends. Raises ConfigError unless the configuration allows the model's code,
    CheckpointError if the model cannot be loaded.
    """

    def __init__(
        self, config: RemoteCodeConfig, *, environment: Mapping[str, str] | None = None
    ) -> None:
        refuse_unallowed(config)
        self.config = config
        self._environment = environment or {}
        self._folder = tempfile.TemporaryDirectory(prefix="vlreward-remote-")
        self._process: _Process | None = None
        self._num_deaths = 0
        try:
            self._running()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> RemoteScorer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process and removes its pictures."""
        if self._process is not None:
            self._process.end()
            self._process = None
        self._folder.cleanup()

    def score_each(
        self, comparisons: Iterable[Comparison]
    ) -> Iterator[list[Score] | VlrewardError]:
        """See `PatientScorer`; raises CheckpointError where the process keeps dying."""
        for prompt, responses in comparisons:
            try:
                yield [self._score(prompt, response) for response in responses]
            except DataError as error:
                yield error

    def _score(self, prompt: Prompt, response: Response) -> Score:
        pictures = [*prompt.pictures, *response.pictures]
        takes_pictures = self.config.call == "get-score-pictures"
        if pictures and not takes_pictures:
            raise DataError(
                "pictures-for-a-text-model",
                value="a row with pictures",
                place="row",
                expected=f"text alone, which is all that {self.config.path} reads",
                mend="Select text-only rows, or give it captions instead of pictures.",
            )
        messages = [*prompt.messages, Message(role="assistant", content=response.content)]
        marks = takes_pictures and len(pictures) > 1
        files = [self._write(picture) for picture in dict.fromkeys(pictures)]
        paths = dict(zip(dict.fromkeys(pictures), files, strict=True))
        request = {
            "chat": [
                {"role": one.role, "content": _text(one, marks=marks, breaks=takes_pictures)}
                for one in messages
            ],
            "pictures": [str(paths[picture]) for picture in pictures],
        }
        try:
            return Score(value=self._ask(request), num_tokens=0)
        finally:
            for file in files:
                file.unlink(missing_ok=True)

    def _ask(self, request: dict[str, Any]) -> float:
        process = self._running()
        reply = process.ask(request, timeout_seconds=self.config.timeout_seconds)
        if isinstance(reply, _Gone):
            process.end()
            self._process = None
            self._num_deaths += 1
            if self._num_deaths >= _MOST_DEATHS:
                raise self._unusable("model-process-dies", reply.reason)
            raise _not_scored(reply.reason)
        self._num_deaths = 0
        score = reply.get("score")
        if not isinstance(score, (int, float)) or not math.isfinite(score):
            raise _not_scored(str(reply.get("error", f"a score of {score}")))
        return float(score)

    def _running(self) -> _Process:
        if self._process is None:
            self._process = _Process(
                [self.config.python or sys.executable, "-I", str(_WORKER)],
                folder=Path(self._folder.name),
                environment=self._environment,
            )
            settings = {
                name: getattr(self.config, name)
                for name in ("path", "revision", "call", "dtype", "device", "hd_num")
            }
            if Path(self.config.path).expanduser().is_dir():
                settings["path"] = str(Path(self.config.path).expanduser().resolve())
            reply = self._process.ask(settings, timeout_seconds=self.config.start_timeout_seconds)
            if isinstance(reply, _Gone):
                raise self._unusable("model-process-not-started", reply.reason)
            if "error" in reply:
                raise self._unusable("model-not-loaded", str(reply["error"]))
        return self._process

    def _unusable(self, code: str, reason: str) -> CheckpointError:
        return CheckpointError(
            code,
            value=reason,
            place=self.config.path,
            expected="a model that its own code loads and runs",
            mend="Check the call, and that `python` names an environment with what the model's "
            "card asks for.",
        )

    def _write(self, picture: Picture) -> Path:
        media_type, data = plain_file(picture)
        path = Path(self._folder.name, f"{picture.sha256}.{media_type.rpartition('/')[2]}")
        path.write_bytes(data)
        return path


class _Process:
    """The worker, and what it answers line by line."""

    def __init__(self, command: list[str], *, folder: Path, environment: Mapping[str, str]) -> None:
        self._log = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed in `end`
        kept = {name: environment[name] for name in _ENVIRONMENT if name in environment}
        own = {"HF_MODULES_CACHE": str(folder / "modules"), "TOKENIZERS_PARALLELISM": "false"}
        try:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                cwd=folder,
                env={**kept, **own, "PYTHONUTF8": "1", "HF_HUB_DISABLE_TELEMETRY": "1"},
                start_new_session=True,
            )
        except OSError as error:
            self._log.close()
            raise ConfigError(
                "interpreter-missing",
                value=str(error),
                place="remote_code.python",
                expected="a Python interpreter",
                mend="Name the interpreter of the model's environment, as in env/bin/python.",
            ) from error
        assert self._popen.stdin is not None and self._popen.stdout is not None
        self._input: IO[bytes] = self._popen.stdin
        self._replies: Queue[bytes] = Queue()
        Thread(target=_forward, args=(self._popen.stdout, self._replies), daemon=True).start()

    def ask(self, request: dict[str, Any], *, timeout_seconds: float) -> dict[str, Any] | _Gone:
        """Sends a line and waits for its answer."""
        try:
            self._input.write(json.dumps(request).encode() + b"\n")
            self._input.flush()
            line = self._replies.get(timeout=timeout_seconds)
        except Empty:
            return _Gone(f"no answer in {timeout_seconds:g} s")
        except OSError:
            line = b""
        try:
            reply = json.loads(line)
        except ValueError:
            return _Gone(f"the process ended ({self._popen.wait()}): {self._said()}")
        assert isinstance(reply, dict), "the worker answers in objects"
        return reply

    def end(self) -> None:
        """Kills the process with all that it started, and frees its pipes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        with contextlib.suppress(BrokenPipeError):
            self._input.close()
        self._log.close()

    def _said(self) -> str:
        """The end of what it wrote to standard error."""
        size = self._log.seek(0, 2)
        self._log.seek(max(0, size - _TAIL))
        return " ".join(self._log.read().decode("utf-8", "replace").split())


def _forward(stream: IO[bytes], replies: Queue[bytes]) -> None:
    """Passes lines on; an empty one tells the end."""
    with stream:
        for line in stream:
            replies.put(line)
    replies.put(b"")


def refuse_unallowed(config: RemoteCodeConfig) -> None:
    """Raises ConfigError unless the configuration allows the model's own code."""
    if not config.runs_code_of_the_model:
        raise ConfigError(
            "model-wants-remote-code",
            value=config.path,
            place="remote_code.runs_code_of_the_model",
            expected="true, to let the model's own code run with all your rights on this machine",
            mend="Read the Python files of the model first; then set it (--run-model-code) and pin "
            "the revision.",
        )


def _text(message: Message, *, marks: bool, breaks: bool) -> str:
    """The message as one text; what only looks like a picture's place is broken."""
    parts = []
    for part in message.content:
        if isinstance(part, Picture):
            parts.append(_PLACE if marks else "")
        else:
            parts.append(part.replace(_PLACE, "<Image Here>") if breaks else part)
    return "".join(parts)


def _not_scored(reason: str) -> DataError:
    return DataError(
        "model-code-failed",
        value=reason,
        place="row",
        expected="a score by the model's own code",
        mend="Drop the row, or see what the model's code wants.",
    )
