"""From a configuration to the scorer or judge that it describes, ready to be asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from vlreward.curation.calls import Calls
from vlreward.errors import ConfigError
from vlreward.evaluation.judges.forms import FORMS
from vlreward.evaluation.judges.pairs import PairJudge
from vlreward.evaluation.judges.ratings import RatingScorer
from vlreward.evaluation.judges.respondents import ApiRespondent, LocalRespondent, Respondent
from vlreward.evaluation.scorers.config import JudgeConfig, ScorerConfig
from vlreward.evaluation.scorers.protocols import PatientScorer, VotingJudge
from vlreward.generation.config import EndpointConfig
from vlreward.generation.templates import load_template
from vlreward.progress import Advance

Assessor = PatientScorer | VotingJudge


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """What opening may use beyond the configuration.

    `calls` holds journal, budget and keys for models behind an API; `progress` hears of each reply.
    """

    calls: Calls | None = None
    progress: Advance | None = None


@contextmanager
def open_scorer(config: ScorerConfig, *, means: Means | None = None) -> Iterator[Assessor]:
    """The scorer or judge; processes that it started end with the context.

    torch and transformers are imported where a model is to run in this process. Raises
    ConfigError, CheckpointError or MissingExtraError if it cannot be had.
    """
    with ExitStack() as stack:
        yield build(config, means=means or Means(), stack=stack)


def build(config: ScorerConfig, *, means: Means, stack: ExitStack) -> Assessor:
    """`open_scorer` for parts of a whole; `stack` ends what must be ended."""
    return _BUILDERS[config.kind](config, means, stack)


def _reward_model(config: ScorerConfig, means: Means, stack: ExitStack) -> Assessor:
    del means, stack
    from vlreward.evaluation.scorers.reward_models import load_reward_model

    assert config.reward_model is not None
    return load_reward_model(config.reward_model)


def _implicit(config: ScorerConfig, means: Means, stack: ExitStack) -> Assessor:
    del means, stack
    from vlreward.evaluation.scorers.implicit import load_implicit

    assert config.implicit is not None
    return load_implicit(config.implicit)


def _judge(config: ScorerConfig, means: Means, stack: ExitStack) -> Assessor:
    del stack
    judge = config.judge
    assert judge is not None
    respondent = _respondent(judge, means)
    if judge.ask == "rating":
        return RatingScorer(
            respondent=respondent,
            template=load_template("judge-rating", path=judge.prompt),
            num_votes=judge.num_votes,
            progress=means.progress,
        )
    form = FORMS[judge.form]
    return PairJudge(
        respondent=respondent,
        form=form,
        template=form.load_template(judge.prompt),
        order=judge.order,
        num_votes=judge.num_votes,
        seed=judge.seed,
    )


def _respondent(judge: JudgeConfig, means: Means) -> Respondent:
    if judge.endpoint is not None:
        return api_respondent(judge.endpoint, means)
    assert judge.local is not None
    from vlreward.evaluation.judges.local import load_generator

    generator = load_generator(
        judge.local,
        max_new_tokens=judge.max_new_tokens,
        temperature=judge.temperature,
        top_p=judge.top_p,
    )
    return LocalRespondent(generator=generator, seed=judge.seed)


def api_respondent(endpoint: EndpointConfig, means: Means) -> ApiRespondent:
    """Asks an endpoint; raises ConfigError without a journal to keep the replies."""
    if means.calls is None:
        raise ConfigError(
            "journal-missing",
            value="none",
            place=endpoint.model,
            expected="a journal that keeps the replies of a model behind an API",
            mend="Open the scorer with `Means(calls=Calls(journal=…))`.",
        )
    return ApiRespondent(connection=means.calls.connect(endpoint))


_BUILDERS: Mapping[str, Callable[[ScorerConfig, Means, ExitStack], Assessor]] = {
    "reward_model": _reward_model,
    "judge": _judge,
    "implicit": _implicit,
}
