"""Whether a translation says what the original says: nothing lost of its formulas, links, numbers, code; its terms kept.

What is compared is what Markdown makes of both. `glossary.json` has the terms:

    {"en": "token", "zh": ["词元"], "must": true, "avoid": ["令牌"], "notes": "patch"}

`zh` are the words that translate it, the first for choice; where `must`, a sentence with the English word has one of
them; no sentence has one of `avoid`; `notes` is what the notes say otherwise. A comment of the translator beside a
message, `# term: token`, excuses the message from one term.
"""

import functools
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator

from babel.messages import Message
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.myst_role import myst_role_plugin

from uses import ROOT

GLOSSARY = ROOT / "book" / "locale" / "zh_CN" / "glossary.json"
MARKDOWN = (
    MarkdownIt("commonmark").use(dollarmath_plugin, double_inline=True).use(myst_role_plugin)
)
HAN = "[\u4e00-\u9fff]"
NUMBER = re.compile(
    r"\d+(?:,\d{3})*(?:\.\d+)?(?!\d)|[½¼¾]"
)  # a comma behind it is the sentence's
SAID = {word: str(value) for value, word in enumerate("""zero one two three four five six seven eight nine ten
    eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty""".split())} | {
    "once": "1", "twice": "2", "first": "1", "second": "2", "third": "3", "half": "½", "hundred": "100", "thousand": "1000",
}  # fmt: skip
# Kinds of a token of Markdown, as a translator calls them.
KINDS = {
    "math_inline": "formula",
    "math_inline_double": "formula",
    "code_inline": "code",
    "myst_role": "role",
    "html_inline": "HTML",
    "strong_open": "bold text",
    "em_open": "slanted text",
    "link_open": "link",
}
QUOTED = re.compile(r'"[^"]+"|“[^”]+”')


def problems(message: Message, terms: list[dict] | None = None) -> Iterator[str]:
    """What is wrong with one translation, in the translator's words.

    Args:
        message: of a catalogue.
        terms: of the glossary; those of the book if none are given.
    """
    if not message.string:
        yield "missing"
        return
    if message.fuzzy:
        yield "fuzzy: the English changed; look, mend, and delete the line `#, fuzzy`"
    english, chinese = (
        MARKDOWN.parseInline(text)[0].children for text in (message.id, message.string)
    )
    yield from _differences(_spans(english), _spans(chinese))
    before, after = (
        " ".join(token.content for token in tokens if token.type == "text")
        for tokens in (english, chinese)
    )
    yield from _numbers(before, after)
    if (
        not re.search(HAN, after)
        and len(re.findall(r"\b[a-z]{3,}\b", QUOTED.sub("", before))) > 3
    ):
        yield "left in English"
    yield from _punctuation(chinese)
    excused = {comment.removeprefix("term:").strip() for comment in message.user_comments}
    yield from _departures(
        before,
        after,
        [t for t in (book_terms() if terms is None else terms) if t["en"] not in excused],
    )


def _spans(tokens: list) -> Counter:
    """All that has to be in both, with what it holds; of emphasis, that it is there."""
    found: Counter = Counter()
    for token in tokens:
        if kind := KINDS.get(token.type):
            held = token.attrs.get("href") or " ".join(token.content.split())
            found[kind, f"{token.meta.get('name', '')}{held}"] += 1
    return found


def _differences(before: Counter, after: Counter) -> Iterator[str]:
    for kind, held in before - after:
        yield f"lost {kind} {held}".rstrip()
    for kind, held in after - before:
        yield f"{kind} that is not in the English: {held}".rstrip(" :")


def _numbers(before: str, after: str) -> Iterator[str]:
    """Digits stay digits; a number that the English spells may become digits."""
    old, new = (Counter(NUMBER.findall(text)) for text in (before, after))
    spelled = Counter(
        SAID[word] for word in re.findall(r"[a-z]+", before.lower()) if word in SAID
    )
    if lost := old - new:
        yield f"lost number {', '.join(lost)}"
    if added := new - old - spelled:
        yield f"number that is not in the English: {', '.join(added)}"


def _own_words(tokens: list) -> Iterator:
    """All but what is quoted in Chinese, which stands as it was written."""
    quoted = False
    for token in tokens:
        if token.type == "html_inline":
            quoted = token.content.startswith("<span lang") or (
                quoted and token.content != "</span>"
            )
        if not quoted:
            yield token


def _punctuation(tokens: list) -> Iterator[str]:
    tokens = [*_own_words(tokens)]
    for token in tokens:
        if token.type == "text":
            if found := re.search(
                rf"{HAN}[,;:!?](?!\S)|{HAN}[,;:!?.]{HAN}|{HAN}\.$", token.content
            ):
                yield f"half-width punctuation: {found[0]}"
            if found := re.search(rf"{HAN}[A-Za-z0-9]|[A-Za-z0-9]{HAN}", token.content):
                yield f"no space between Han and Latin: {found[0]}"
    for left, right in itertools.pairwise(tokens):
        pair = left.type, right.type
        spans = ("code_inline", "math_inline")
        if (pair[0] == "text" and pair[1] in spans and re.search(rf"{HAN}$", left.content)) or (
            pair[1] == "text" and pair[0] in spans and re.match(HAN, right.content)
        ):
            yield f"no space between Han and {left.content[-12:]}|{right.content[:12]}"


def _departures(before: str, after: str, terms: list[dict]) -> Iterator[str]:
    # A title that stays in English has no term in it.
    for title in QUOTED.findall(before):
        if title[1:-1] in after:
            before = before.replace(title, "")
    for term in terms:
        for wrong in term.get("avoid", ()):
            if wrong in after:
                yield f"{wrong} for {term['en']}: the glossary has {term['zh'][0]}"
        there = term.get("must") and re.search(
            rf"\b{re.escape(term['en'])}(s|es)?\b", before, re.IGNORECASE
        )
        if there and not any(word.lower() in after.lower() for word in term["zh"]):
            yield f"{term['en']} without {' or '.join(term['zh'])}"


@functools.cache
def book_terms() -> list[dict]:
    return json.loads(GLOSSARY.read_text(encoding="utf-8"))
