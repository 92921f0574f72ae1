import dataclasses
import json
import re

import pytest

pytest.importorskip("matplotlib")

from mlopt.demo.page import render, write_report
from mlopt.demo.result import SCHEMA, Result


@pytest.fixture(scope="module")
def page(result, tmp_path_factory):
    return write_report(result, tmp_path_factory.mktemp("folder") / "new").read_text(encoding="utf-8")


def test_json_holds_everything_and_comes_back(result, tmp_path):
    write_report(result, tmp_path / "new" / "folder")
    values = json.loads((tmp_path / "new" / "folder" / "report.json").read_text(encoding="utf-8"))
    assert values["schema"] == SCHEMA == "mlopt.demo/1"
    assert {f.name for f in dataclasses.fields(Result)} < set(values)
    assert [stage["passed"] for stage in values["stages"]] == [True, None, False, False]
    assert set(values["stages"][0]["figures"]) == {"median", "p99", "p999", "max"}
    assert values["served"]["verdict"].startswith("a coin flip")
    assert values["walk_forward"]["count"] == 2800
    assert values["passed"] is False
    assert json.loads(json.dumps(Result.from_dict(values).to_dict())) == values


def test_other_schema_is_refused(result):
    with pytest.raises(ValueError, match=r"mlopt\.demo/1"):
        Result.from_dict(result.to_dict() | {"schema": "mlopt.demo/99"})


def test_page_needs_nothing_beside_it(page):
    assert page.count("<svg ") == page.count("</svg>") == 4
    assert not re.search(r"(?:src|href)=\"(?!#|report\.json\")", page.replace("xlink:href", "href"))
    assert "@import" not in page
    assert "$" not in page
    assert not re.search(r"#0[1-7]0[1-7]0[1-7]", page)  # no drawing kept a colour of its own


def test_ids_are_unique_and_every_reference_has_one(page):
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', page)) <= set(ids)


def test_page_says_what_was_found(page):
    assert "bars &lt;of&gt; somewhere" in page
    assert "a coin flip" in page
    assert "✓ met" in page
    assert "✗ missed" in page
    assert "1 of 3" in page
    assert "Some were not within their tolerance" in page


def test_page_without_a_baseline(result):
    stages = [dataclasses.replace(stage, baseline=None, ratio=None) for stage in result.stages]
    page = render(dataclasses.replace(result, stages=stages))
    assert "The baseline program was not run" in page
    assert page.count("<svg ") == 3


def test_rendering_is_deterministic(result, page):
    assert render(result) == page
