"""What our pages share: texts stay texts, large pictures become small, nothing is fetched."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

from PIL import Image

from vlreward.pictures import admit
from vlreward.statistics import Interval
from vlreward.workflows import pages


def embedded(markup: str) -> tuple[str, Image.Image]:
    found = re.search(r'src="data:image/(\w+);base64,([^"]+)"', markup)
    assert found is not None
    return found[1], Image.open(io.BytesIO(base64.b64decode(found[2])))


def file_of(size: tuple[int, int], kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "red").save(out, kind)
    return out.getvalue()


def test_a_small_picture_stays_byte_for_byte() -> None:
    data = file_of((40, 30), "PNG")
    markup = pages.picture(admit(data))
    assert base64.b64encode(data).decode() in markup and 'alt="40 by 30 pixels"' in markup


def test_a_large_picture_becomes_smaller_in_its_own_shape() -> None:
    kind, shown = embedded(pages.picture(admit(file_of((2000, 1000), "PNG"))))
    assert kind == "jpeg" and shown.size == (720, 360)


def test_pictures_are_named_for_what_they_are(tmp_path: Path) -> None:
    for kind in ("PNG", "JPEG", "WEBP"):
        named, shown = embedded(pages.picture(admit(file_of((8, 8), kind))))
        assert named == kind.lower() and shown.format == kind


def test_headings_and_titles_are_text() -> None:
    markup = pages.page("<t>", [pages.table(["<h>"], [["<b>1</b>"]])])
    assert "&lt;t&gt;" in markup and "&lt;h&gt;" in markup and "<b>1</b>" in markup
    assert pages.group_row("<g>", num_columns=3).count("&lt;g&gt;") == 1


def test_shares_have_their_interval_and_a_dash_stands_for_none() -> None:
    assert pages.share(None, None) == "—"
    assert pages.share(0.5, None) == "0.500"
    said = pages.share(0.5, Interval(0.25, 0.75), in_per_cent=True)
    assert said == "50.0 <small>[25.0, 75.0]</small>"
