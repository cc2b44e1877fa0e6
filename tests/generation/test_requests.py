import base64
import os
import subprocess
import sys
from dataclasses import fields, replace

import pytest

from tests.generation.making import endpoint, picture, request, user
from vlreward.errors import PictureError
from vlreward.generation.config import HOW_ASKED, EndpointConfig
from vlreward.generation.requests import make_request, to_openai_messages
from vlreward.pictures import admit, open_rgb
from vlreward.records import Message


def test_equal_content_has_one_key_however_the_text_is_cut():
    whole, cut = request("What is it?"), request("x")
    cut = replace(cut, messages=(user("What ", "", "is it?"),))
    assert whole.key == cut.key
    assert to_openai_messages(whole.messages) == to_openai_messages(cut.messages)


def test_everything_that_decides_the_answer_changes_the_key():
    first = request()
    others = [
        replace(first, model="other"),
        replace(first, temperature=None),
        replace(first, temperature=0.5),
        replace(first, max_output_tokens=7),
        replace(first, sample=1),
        replace(first, seed=1),
        replace(first, json_schema={"type": "object"}),
        replace(first, messages=(Message(role="system", content=("What is it?",)),)),
        replace(first, messages=(user("What is it?", picture()),)),
        replace(first, messages=(user(picture(), "What is it?"),)),
        replace(first, messages=(user("What is it?", picture(9)),)),
        replace(first, messages=(user("What is "), user("it?"))),
    ]
    keys = {first.key, *(one.key for one in others)}
    assert len(keys) == 1 + len(others)


def test_neither_the_address_nor_the_kind_of_prompt_changes_the_key():
    here, there = endpoint(), endpoint(base_url="https://example.org/v1", api_key_env="KEY")
    keys = {
        make_request((user("a"),), endpoint=one, kind=kind).key
        for one in (here, there)
        for kind in ("judge-pair", "describe")
    }
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("base_url", "https://example.org/v1"),
        ("model", "other"),
        ("api_key_env", "KEY"),
        ("timeout_seconds", 7.0),
        ("max_concurrency", 7),
        ("max_attempts", 7),
        ("temperature", 0.5),
        ("top_p", 0.5),
        ("max_output_tokens", 7),
        ("output_limit_field", "max_completion_tokens"),
        ("structured", True),
        ("dollars_per_million_input_tokens", 7.0),
        ("dollars_per_million_output_tokens", 7.0),
        ("tokens_per_picture", 7),
        ("expected_output_tokens", 7),
    ],
)
def test_what_a_run_may_change_between_its_starts_is_what_no_key_holds(name, value):
    def key(one):
        return make_request((user("a"),), endpoint=one, kind="x", json_schema={"a": "b"}).key

    changed = replace(endpoint(), **{name: value})
    assert changed != endpoint() and len(fields(EndpointConfig)) == 15
    assert (key(changed) == key(endpoint())) == (name in HOW_ASKED)


def test_a_key_is_the_same_in_every_process():
    program = (
        "from tests.generation.making import picture, request, user\n"
        "from dataclasses import replace\n"
        "one = replace(request(), messages=(user('é\\ud800', picture()),))\n"
        "print(replace(one, json_schema={'b': 1, 'a': 2}).key)"
    )
    keys = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(keys) == 1


def test_the_schema_is_left_out_where_the_endpoint_takes_none():
    schema = {"type": "object"}
    one, other = (
        make_request((user("a"),), endpoint=endpoint(structured=s), kind="k", json_schema=schema)
        for s in (True, False)
    )
    assert (one.json_schema, other.json_schema) == (schema, None)


def test_text_and_pictures_are_sent_in_reading_order_and_plain_text_as_text():
    messages = (
        Message(role="system", content=("Be brief.",)),
        user("Look: ", picture(), "and answer.", " Please."),
    )
    system, asked = to_openai_messages(messages)
    assert system == {"role": "system", "content": "Be brief."}
    kinds = [part["type"] for part in asked["content"]]
    assert kinds == ["text", "image_url", "text"]
    assert asked["content"][2]["text"] == "and answer. Please."


@pytest.mark.parametrize(
    ("form", "media_type"),
    [
        ("PNG", "image/png"),
        ("JPEG", "image/jpeg"),
        ("GIF", "image/gif"),
        ("WEBP", "image/webp"),
    ],
)
def test_a_picture_goes_out_byte_for_byte_with_the_type_its_bytes_say(form, media_type):
    one = picture(form=form)
    assert sent(one) == (media_type, one.data)


def test_a_form_that_endpoints_do_not_take_goes_out_as_png():
    one = picture(form="BMP")
    media_type, data = sent(one)
    assert media_type == "image/png"
    assert open_rgb(admit(data)).tobytes() == open_rgb(one).tobytes()


def test_a_picture_that_exif_turns_goes_out_upright():
    exif = picture_exif(6)
    media_type, data = sent(picture(8, 6, form="JPEG", exif=exif))
    again = admit(data)
    assert (media_type, again.width, again.height) == ("image/png", 6, 8)


def picture_exif(orientation):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def sent(one):
    (message,) = to_openai_messages((user(one),))
    head, _, data = message["content"][0]["image_url"]["url"].partition(";base64,")
    return head.removeprefix("data:"), base64.b64decode(data)


def test_a_picture_that_changed_on_the_disk_is_an_error(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(picture().data)
    one = admit(path)
    path.write_bytes(picture(9).data)
    with pytest.raises(PictureError, match="picture-changed"):
        to_openai_messages((user(one),))


def test_lone_surrogates_are_sent_as_question_marks():
    (message,) = to_openai_messages((user("a\ud800b"),))
    assert message["content"] == "a?b"
