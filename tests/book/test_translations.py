"""Catalogues of the Chinese edition, which is being written: a translation says what the English says, in the glossary's words."""

import os
import re
import subprocess
import sys

import catalogues
import pytest
from babel.messages import Message
from faithful import book_terms, problems
from places import ROOT
from test_locales import ASCII

TERMS = [{"en": "gate", "zh": ["门控"], "must": True, "avoid": ["闸门"]}]
ENGLISH = "A *gate* of 1,024 numbers, [here](a.ipynb), is $\\sigma(s)$; see `reweight`."
CHINESE = "1,024 个数的 *门控* ，[见此](a.ipynb)，即 $\\sigma(s)$ ；见 `reweight`。"


@pytest.mark.parametrize("page", catalogues.pages())
def test_a_page_is_not_begun_or_whole_and_faithful(page):
    messages = [message for message in catalogues.read(page) if message.id]
    assert messages
    if any(message.string for message in messages):
        assert catalogues.wanting(page) == []


def test_a_faithful_translation_has_no_problem():
    assert [*problems(Message(ENGLISH, CHINESE), TERMS)] == []


@pytest.mark.parametrize(
    "old, new, said",
    [
        (CHINESE, "", "missing"),
        ("$\\sigma(s)$", "$\\sigma(x)$", "lost formula"),
        ("1,024", "1,042", "lost number"),
        ("a.ipynb", "b.ipynb", "lost link"),
        ("`reweight`", "`forward`", "lost code"),
        (" *门控* ", "门控", "lost slanted text"),
        ("门控", "闸门", "the glossary has 门控"),
        ("个数的", "个数,的", "half-width punctuation"),
        ("1,024 个", "1,024个", "no space between Han and Latin"),
    ],
)
def test_what_is_lost_is_said(old, new, said):
    assert old in CHINESE
    told = [*problems(Message(ENGLISH, CHINESE.replace(old, new)), TERMS)]
    assert any(said in each for each in told), told


def test_a_changed_sentence_keeps_its_translation_until_someone_has_looked():
    kept = catalogues.merged(
        catalogues.Catalog("zh_CN"), ["A gate opens."], {"A gate opens.": "门控打开。"}
    )
    now = catalogues.merged(kept, ["A gate opens slowly."], {})
    (message,) = [each for each in now if each.id]
    assert message.string == "门控打开。" and message.fuzzy
    assert any("fuzzy" in said for said in problems(message, TERMS))


def test_the_glossary_has_every_term_once_in_chinese_or_as_it_is():
    terms = book_terms()
    assert len({term["en"] for term in terms}) == len(terms) > 100
    for term in terms:
        assert (
            re.search("[\u4e00-\u9fff]", term["zh"][0])
            or term["zh"][0].lower() in term["en"].lower()
        )


def test_what_is_lacking_is_said_on_a_machine_that_reads_ascii():
    line = "3×3 的卷积"
    found = f"catalogues.wanting = lambda page: [{line!a}]"
    folder = os.path.dirname(catalogues.__file__)
    path = {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "PYTHONIOENCODING": ""}
    done = subprocess.run(
        [sys.executable, "-c", f"import catalogues; {found}; catalogues.main(['a/page'])"],
        env=os.environ | ASCII | path,
        capture_output=True,
        encoding="utf-8",
    )
    assert line in done.stdout and "a/page: 1 to mend" in done.stdout, done.stderr
