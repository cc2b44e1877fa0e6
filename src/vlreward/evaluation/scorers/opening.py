"""From a configuration to the scorer or judge that it describes, ready to be asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from vlreward.curation.calls import Calls
from vlreward.errors import ConfigError
from vlreward.evaluation.judges.forms import FORMS
from vlreward.evaluation.judges.pairs import PairJudge
from vlreward.evaluation.judges.ratings import RatingScorer
from vlreward.evaluation.judges.respondents import ApiRespondent, LocalRespondent, Respondent
from vlreward.evaluation.scorers.captions import CaptionedJudge, CaptionedScorer, Captioner
from vlreward.evaluation.scorers.config import JudgeConfig, ScorerConfig, WeightsConfig
from vlreward.evaluation.scorers.ensembles import EnsembleScorer, Jury, Scale
from vlreward.evaluation.scorers.protocols import PatientScorer, VotingJudge
from vlreward.evaluation.scorers.rehearsing import (
    CountingRespondent,
    SilentRespondent,
    SilentScorer,
)
from vlreward.evaluation.scorers.remote import RemoteScorer
from vlreward.generation.config import EndpointConfig
from vlreward.generation.estimate import Estimate
from vlreward.generation.templates import load_template
from vlreward.progress import Advance

Assessor = PatientScorer | VotingJudge


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """What opening may use beyond the configuration.

    `calls` holds journal, budget and keys for models behind an API; `progress` hears of each reply;
    of the `environment` a foreign model's process gets what it needs and no secret. With
    `rehearsal` nothing is asked or loaded, and what asking will take is added to it.
    """

    calls: Calls | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    progress: Advance | None = None
    rehearsal: list[Estimate] | None = None


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
    found = _scorer(config, means, stack)
    if config.captions is None:
        return found
    captions = config.captions
    respondent = (
        api_respondent(captions.endpoint, means)
        if captions.endpoint is not None
        else _local_respondent(captions.local, means, max_new_tokens=captions.max_new_tokens)
    )
    captioner = Captioner(respondent=respondent, keep_pictures=captions.keep_pictures)
    if isinstance(found, VotingJudge):
        return CaptionedJudge(judged_by=found, captioner=captioner)
    return CaptionedScorer(scorer=found, captioner=captioner)


def _scorer(config: ScorerConfig, means: Means, stack: ExitStack) -> Assessor:
    if means.rehearsal is not None and config.kind not in ("judge", "ensemble"):
        return SilentScorer()
    return _BUILDERS[config.kind](config, means, stack)


def _reward_model(config: ScorerConfig, means: Means, stack: ExitStack) -> Assessor:
    del means, stack
    from vlreward.evaluation.scorers.reward_models import load_reward_model

    assert config.reward_model is not None
    return load_reward_model(config.reward_model)


def _remote_code(config: ScorerConfig, means: Means, stack: ExitStack) -> Assessor:
    assert config.remote_code is not None
    scorer = RemoteScorer(config.remote_code, environment=means.environment)
    return stack.enter_context(scorer)


def _implicit(config: ScorerConfig, means: Means, stack: ExitStack) -> Assessor:
    del means, stack
    from vlreward.evaluation.scorers.implicit import load_implicit

    assert config.implicit is not None
    return load_implicit(config.implicit)


def _process(config: ScorerConfig, means: Means, stack: ExitStack) -> Assessor:
    del means, stack
    from vlreward.evaluation.scorers.process import load_process

    assert config.process is not None
    return load_process(config.process)


def _ensemble(config: ScorerConfig, means: Means, stack: ExitStack) -> Assessor:
    ensemble = config.ensemble
    assert ensemble is not None
    members = tuple(build(one, means=means, stack=stack) for one in ensemble.members)
    scorers = tuple(one for one in members if isinstance(one, PatientScorer))
    judges = tuple(one for one in members if isinstance(one, VotingJudge))
    if len(judges) == len(members):
        return Jury(members=judges)
    if len(scorers) < len(members):
        raise ConfigError(
            "ensemble-mixed",
            value=f"{len(scorers)} scorers and {len(judges)} judges of pairs",
            place="ensemble.members",
            expected="all scorers, or all judges",
            mend="Let the language models rate (`ask: rating`), or leave one kind out.",
        )
    standardise = ensemble.standardise and means.rehearsal is None
    scales = tuple(_scale(one) if standardise else Scale() for one in scorers)
    return EnsembleScorer(
        members=scorers,
        scales=scales,
        combine=ensemble.combine,
        variance_weight=ensemble.variance_weight,
    )


def _scale(member: PatientScorer) -> Scale:
    """What a reward model remembers of its training's rewards."""
    settings = getattr(member, "settings", None)
    mean, spread = (getattr(settings, name, None) for name in ("reward_mean", "reward_std"))
    if mean is None or not spread:
        raise ConfigError(
            "scale-unknown",
            value=f"a {type(member).__name__} without mean and spread of its rewards",
            place="ensemble.standardise",
            expected="reward models that remember both in vlreward.json",
            mend="Set standardise to false.",
        )
    return Scale(mean, spread)


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
    return _local_respondent(
        judge.local,
        means,
        max_new_tokens=judge.max_new_tokens,
        temperature=judge.temperature,
        top_p=judge.top_p,
        seed=judge.seed,
    )


def _local_respondent(
    weights: WeightsConfig | None,
    means: Means,
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    top_p: float | None = None,
    seed: int = 0,
) -> Respondent:
    if means.rehearsal is not None:
        return SilentRespondent()
    from vlreward.evaluation.judges.local import load_generator

    assert weights is not None
    generator = load_generator(
        weights, max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p
    )
    return LocalRespondent(generator=generator, seed=seed)


def api_respondent(endpoint: EndpointConfig, means: Means) -> Respondent:
    """Asks an endpoint; raises ConfigError without a journal to keep the replies."""
    if means.calls is None:
        raise ConfigError(
            "journal-missing",
            value="none",
            place=endpoint.model,
            expected="a journal that keeps the replies of a model behind an API",
            mend="Open the scorer with `Means(calls=Calls(journal=…))`.",
        )
    connection = means.calls.connect(endpoint)
    if means.rehearsal is not None:
        return CountingRespondent(connection=connection, found=means.rehearsal)
    return ApiRespondent(connection=connection)


_BUILDERS: Mapping[str, Callable[[ScorerConfig, Means, ExitStack], Assessor]] = {
    "reward_model": _reward_model,
    "remote_code": _remote_code,
    "judge": _judge,
    "implicit": _implicit,
    "process": _process,
    "ensemble": _ensemble,
}
