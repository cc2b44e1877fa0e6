import pytest

from tests.evaluation.judges.making import seen_hashes
from tests.evaluation.scorers.making import opened, reward_folder, values
from tests.generation.making import connect, journal_at
from tests.support import tiny
from vlreward.curation.calls import Calls
from vlreward.errors import ConfigError, DataError
from vlreward.evaluation.judges.respondents import ApiRespondent
from vlreward.evaluation.scorers.captions import CaptionedJudge, CaptionedScorer, Captioner
from vlreward.evaluation.scorers.config import CaptionConfig, ScorerConfig, WeightsConfig
from vlreward.evaluation.scorers.protocols import Ballot, raising
from vlreward.generation.config import EndpointConfig
from vlreward.generation.scripted import Fails, Says, ScriptedEndpoint
from vlreward.records import Picture, Score

ONE, OTHER = tiny.picture(1), tiny.picture(2)
TOLD = "\n\nWhat the pictures show:\nA red square."


class Reader:
    """Scores by nothing and remembers what it was shown."""

    def __init__(self):
        self.shown = []

    def score_many(self, comparisons):
        return raising(self.score_each(comparisons))

    def score_each(self, comparisons):
        for prompt, responses in comparisons:
            self.shown.append(prompt)
            yield [Score(value=1.0, num_tokens=1) for _ in responses]

    def judge(self, prompt, first, second):
        self.shown.append(prompt)

    def vote_each(self, duels, *, progress=None):
        self.shown += [prompt for prompt, _, _ in duels]
        return [Ballot(()) for _ in duels]


@pytest.fixture
def journal(tmp_path):
    with journal_at(tmp_path) as opened_:
        yield opened_


def captioner(script, journal, **settings):
    return Captioner(respondent=ApiRespondent(connection=connect(script, journal)), **settings)


def answers(*prompts):
    return [(prompt, [tiny.response("Yes.")]) for prompt in prompts]


def test_a_description_stands_behind_the_question_and_each_is_asked_once(journal):
    endpoint = ScriptedEndpoint(lambda call: Says(text="<think>hm</think>A red square."))
    reader = Reader()
    scorer = CaptionedScorer(scorer=reader, captioner=captioner(endpoint, journal))
    seen, blind = tiny.prompt(ONE, "and", OTHER, "Why?"), tiny.prompt("Why?")
    assert len(list(scorer.score_many(answers(seen, blind, seen)))) == 3
    content = seen.messages[0].content
    told = tiny.prompt(*content, "\n\nWhat the pictures show:\n", "A red square.")
    assert reader.shown == [told, blind, told]
    assert [seen_hashes(call) for call in endpoint.calls] == [[ONE.sha256, OTHER.sha256]]


def test_a_judge_reads_them_too_and_pictures_may_be_left_out(journal):
    reader = Reader()
    judge = CaptionedJudge(
        judged_by=reader,
        captioner=captioner(lambda call: Says(text="A red square."), journal, keep_pictures=False),
    )
    asked = tiny.prompt(ONE, "or", OTHER, "?", system="Look.")
    duel = (asked, tiny.response("a"), tiny.response("b"))
    judge.vote_each([duel])
    judge.judge(*duel)
    for shown in reader.shown:
        assert not shown.pictures
        text = "".join(part for part in shown.messages[-1].content if isinstance(part, str))
        assert text == f"[picture 1]or[picture 2]?{TOLD}"


def test_a_description_that_fails_fails_its_row_alone(journal):
    def script(call):
        return Fails(status=400) if "broken" in call.text else Says(text="A red square.")

    reader = Reader()
    made = captioner(script, journal)
    asked = [tiny.prompt(ONE, "A broken one?"), tiny.prompt(ONE, "Why?")]
    results = list(CaptionedScorer(scorer=reader, captioner=made).score_each(answers(*asked)))
    assert isinstance(results[0], DataError) and results[0].code == "no-answer-rejected"
    assert values(results[1]) == [1.0] and len(reader.shown) == 1
    ballots = CaptionedJudge(judged_by=reader, captioner=made).vote_each(
        [(one, tiny.response("a"), tiny.response("b")) for one in asked]
    )
    assert isinstance(ballots[0], DataError) and isinstance(ballots[1], Ballot)


def test_a_text_reward_model_scores_rows_with_pictures_by_local_captions(tmp_path):
    text = reward_folder(tmp_path / "text", "qwen2")
    base = tiny.write_base_model(tmp_path / "sees", "qwen2_5_vl")
    plain = ScorerConfig(reward_model=WeightsConfig(path=str(text)))
    captions = CaptionConfig(
        local=WeightsConfig(path=str(base)), max_new_tokens=4, keep_pictures=False
    )
    [blind] = opened(plain).score_each(answers(tiny.prompt(ONE, "Why?")))
    assert isinstance(blind, DataError) and blind.code == "pictures-for-a-text-model"
    scorer = opened(ScorerConfig(reward_model=plain.reward_model, captions=captions))
    one, other = scorer.score_many(
        answers(*(tiny.prompt(picture, "Why?") for picture in (ONE, OTHER)))
    )
    told = scorer.captioner.caption([tiny.prompt(ONE, "Why?")])
    assert not any(isinstance(part, Picture) for part in told[0].messages[0].content)
    again = values(next(opened(plain).score_many(answers(told[0]))))
    assert values(one) == pytest.approx(again, abs=1e-6)
    assert len(values(other)) == 1


def test_a_model_behind_an_api_wants_a_journal(journal):
    endpoint = EndpointConfig(base_url="http://127.0.0.1:9/v1", model="m", api_key_env="NO_KEY")
    captions = CaptionConfig(endpoint=endpoint)
    config = ScorerConfig(reward_model=WeightsConfig(path="miniature"), captions=captions)
    with pytest.raises(ConfigError, match="journal-missing"):
        opened(config)
    with pytest.raises(ConfigError, match="key-missing"):
        opened(config, calls=Calls(journal=journal))
