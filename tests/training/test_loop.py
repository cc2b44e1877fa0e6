"""Steps, batches made ahead, and signals."""

from __future__ import annotations

import math
import signal
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.support import training
from tests.support.training import tiny_config
from vlreward.errors import Interrupted, NonFiniteError, PictureError
from vlreward.records import PreferencePair
from vlreward.scoring import RewardModel
from vlreward.sources.read import load_preferences
from vlreward.training.config import OptimizerConfig, StageConfig, TrainConfig
from vlreward.training.loop import StagePlan, made_ahead, run_stage, signals_noted, train_step
from vlreward.training.optimizer import MasterOptimizer
from vlreward.training.pairwise import PairwiseObjective
from vlreward.training.setup import build_model

STAGE = StageConfig(name="s", epochs=2, batch_size=4, learning_rate=1e-3)


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return tiny_config(tmp_path)


@pytest.fixture
def pairs(config: TrainConfig) -> list[PreferencePair]:
    return load_preferences(config.data).pairs


@pytest.fixture
def model(config: TrainConfig) -> RewardModel:
    return build_model(config, device=torch.device("cpu"))


def objective_of(model: RewardModel, **loss: float) -> PairwiseObjective:
    return training.objective_of(model, token_budget=256, use_margin=True, **loss)


def plan_of(pairs: list[PreferencePair]) -> StagePlan[PreferencePair]:
    return StagePlan(stage=STAGE, items=pairs, groups=[pair.prompt for pair in pairs], seed=0)


def optimizer_of(model: RewardModel) -> MasterOptimizer:
    return MasterOptimizer(model.checkpoint.network, OptimizerConfig())


def test_every_epoch_uses_every_pair_once_in_an_order_of_its_own(
    pairs: list[PreferencePair],
) -> None:
    plan = plan_of(pairs)
    batches = list(plan.batches(first_step=0))
    assert (plan.steps_per_epoch, plan.num_steps, len(batches)) == (4, 8, 8)
    epochs = [[pair.id for batch in half for pair in batch] for half in (batches[:4], batches[4:])]
    assert all(Counter(epoch) == Counter(pair.id for pair in pairs) for epoch in epochs)
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("first_step", [0, 1, 3, 4, 7, 8])
def test_a_stage_entered_late_has_the_batches_that_are_left(
    pairs: list[PreferencePair], first_step: int
) -> None:
    plan = plan_of(pairs)
    whole = list(plan.batches(first_step=0))
    assert list(plan.batches(first_step=first_step)) == whole[first_step:]


@pytest.mark.parametrize("in_thread", [False, True])
def test_rows_made_ahead_are_the_rows_made_at_once(
    model: RewardModel, pairs: list[PreferencePair], in_thread: bool
) -> None:
    make = objective_of(model).make_rows
    batches = [pairs[:4], pairs[4:5], pairs[5:]]
    ahead = [
        [row.pair_ids for row in rows] for rows in made_ahead(make, batches, in_thread=in_thread)
    ]
    assert ahead == [[row.pair_ids for row in make(batch)] for batch in batches]


@pytest.mark.parametrize("beside_a_gpu", [False, True])
def test_an_error_in_the_rows_made_ahead_ends_the_stage_and_its_thread(
    model: RewardModel,
    pairs: list[PreferencePair],
    beside_a_gpu: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: beside_a_gpu)
    before = threading.active_count()
    path = pairs[0].prompt.pictures[0].path
    assert path is not None
    path.unlink()
    plan = plan_of(pairs)
    # The error kept as it would be further up: nothing ends here by being forgotten.
    with pytest.raises(PictureError, match=r"red\.png") as _kept:
        run_stage(
            objective_of(model),
            optimizer_of(model),
            plan,
            first_step=0,
            after_step=lambda _: None,
        )
    assert threading.active_count() == before


@pytest.mark.parametrize("beside_a_gpu", [False, True])
def test_an_error_between_two_steps_leaves_no_thread_behind(
    model: RewardModel,
    pairs: list[PreferencePair],
    beside_a_gpu: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: beside_a_gpu)
    before = threading.active_count()

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as _kept:
        run_stage(
            objective_of(model),
            optimizer_of(model),
            plan_of(pairs),
            first_step=0,
            after_step=stop,
        )
    assert threading.active_count() == before


def test_a_steps_metrics_are_those_of_its_batch(
    model: RewardModel, pairs: list[PreferencePair]
) -> None:
    margins = [
        chosen - rejected
        for chosen, rejected in (
            model.score(pair.prompt, [pair.chosen, pair.rejected]) for pair in pairs
        )
    ]
    objective = objective_of(model)
    metrics = train_step(
        objective, optimizer_of(model), objective.make_rows(pairs), learning_rate=1e-3
    )
    assert metrics.num_units == len(pairs)
    assert metrics.means["mean_margin"] == pytest.approx(sum(margins) / len(pairs), abs=1e-6)
    assert metrics.means["accuracy"] == sum(margin > 0 for margin in margins) / len(pairs)
    losses = [math.log1p(math.exp(-margin)) for margin in margins]
    assert metrics.loss == pytest.approx(sum(losses) / len(pairs), abs=1e-6)
    assert metrics.learning_rate == 1e-3


def test_a_loss_that_is_not_finite_names_the_pairs_of_its_pass(
    model: RewardModel, pairs: list[PreferencePair]
) -> None:
    # As float32 knows it, this margin is infinite.
    judgment = replace(pairs[5].judgment, margin=1e300)
    spoiled = [*pairs[:5], replace(pairs[5], judgment=judgment)]
    objective = replace(objective_of(model), token_budget=1)
    with pytest.raises(NonFiniteError) as refused:
        train_step(objective, optimizer_of(model), objective.make_rows(spoiled), learning_rate=1e-3)
    assert refused.value.code == "loss-not-finite"
    assert refused.value.place == f"items {pairs[5].id}"


def test_a_gradient_that_is_not_finite_names_the_pairs_and_moves_nothing(
    model: RewardModel, pairs: list[PreferencePair]
) -> None:
    network = model.checkpoint.network
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    objective = objective_of(model, centering=1e30)
    with pytest.raises(NonFiniteError) as refused:
        train_step(
            objective, optimizer_of(model), objective.make_rows(pairs[:3]), learning_rate=1e-3
        )
    assert refused.value.code == "gradient-not-finite"
    assert all(pair.id in refused.value.place for pair in pairs[:3])
    assert all(torch.equal(p, before[name]) for name, p in network.named_parameters())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_until_it_is_asked_for(number: signal.Signals) -> None:
    handler = signal.getsignal(number)
    with signals_noted() as check:
        check()
        signal.raise_signal(number)
        with pytest.raises(Interrupted, match=number.name):
            check()
    assert signal.getsignal(number) is handler


@pytest.mark.parametrize(
    ("number", "end"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_a_signal_that_nobody_has_asked_for_yet_ends_at_once(
    number: signal.Signals, end: type[BaseException]
) -> None:
    with signals_noted(), pytest.raises(end):
        signal.raise_signal(number)


def test_a_second_interrupt_from_the_keyboard_ends_at_once() -> None:
    with signals_noted() as check:
        check()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    handlers: list[object] = []

    def work() -> None:
        with signals_noted() as check:
            check()
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGINT)]
