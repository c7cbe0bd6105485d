"""Words that this project does not use, with what to write instead. `make lint` runs it; see docs/glossary.md.

    python tools/words.py            # print file:line for each, exit with 1 if there is one
    python tools/words.py --count    # print how many there are in each package

words.allow lists exceptions: a path, a colon and the words as they are in the text, with the reason behind `#`.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ALLOW = Path("tools/words.allow")
READ = (
    "fineline/**/*.py",
    "fineline/**/*.j2",
    "pipelines/*.py",
    "assets/*.py",
    "benchmarks/*.py",
    "tools/*.py",
    "docs/*.md",
    "*.md",
)
LEFT_OUT = {Path("tools/words.py")}

WORDS = {
    r"told|tells?": "reported, logged, says, raises",
    r"(?<!there )(?:is|are) (?-i:none|no) (?!longer|more|less|later|earlier|better|faster|slower|larger|smaller|lower"
    r"|higher)\w+": "is not a valid X, is not X",
    r"(?:no|some)body|who(?:so)?ever|whatever": "the passive, or the role: user, operator, approver",
    r"beside": "next to, alongside, together with",
    r"surely|anew|so many": "significantly, again, that many",
    r"of its own(?! accord)": "separate, its own X",
    r"stands(?! for| in for)|lies": "is, is in, contains",
    r"(?:pseudonym|anonym|recogn|quant|dequant|normal|token|initial|serial|organ|optim|minim|maxim|summar|general|standard|author"
    r"|final|special|visual|material|categor|real|penal|memor|parallel|vector|random|custom|local|util|priorit|symbol|canonical"
    r"|synchron|character|central|capital|emphas|apolog|critic)is(?:e[ds]?|ers?|ing|ations?)": "the American spelling: -ize",
    r"analys(?:e[dr]?|ing)|behaviours?|favour\w*|colour\w*|neighbour\w*|honour\w*|labell\w+|modell(?:ed|ing)|cancell(?:ed|ing)"
    r"|cent(?:re|red|res)|licence[ds]?|judgement|artefacts?|grey|whilst|amongst|learnt|defence"
    r"|programme": "the American spelling",
}
"""What is looked for, as a whole word and without regard to case -> what to write instead."""
OPENINGS = "Return ..., True if ..., or a noun phrase"
"""What to write instead of a docstring that begins with What or Whether."""

ADVICE = dict(enumerate([*WORDS.values(), OPENINGS]))
PATTERN = re.compile(
    "|".join(rf"(?P<w{place}>\b(?:{word})\b)" for place, word in enumerate(WORDS))
    + rf'|(?P<w{len(WORDS)}>"""Wh(?:at|ether)\b)',
    re.IGNORECASE,
)


def main(arguments: list[str]) -> int:
    """Print what was found, and return the exit code."""
    found = [(file, *one) for file in files() for one in findings(file, (ROOT / file).read_text(encoding="utf-8"), allowed())]
    if arguments == ["--count"]:
        counted = Counter("/".join(file.parts[:2]) for file, *_ in found)
        for package, count in sorted(counted.items()):
            print(f"{count:>5} {package}")
        print(f"{len(found):>5} in all")
        return 0
    for file, line, words, advice in found:
        print(f"{file}:{line}: {words!r}; write: {advice}")
    return 1 if found else 0


def findings(file: Path, text: str, exceptions: set[tuple[str, str]]) -> Iterator[tuple[int, str, str]]:
    """Yield line number, words and advice for each use of words to avoid in a text.

    Args:
        exceptions: Path and words (in lower case) that are allowed there.
    """
    for match in PATTERN.finditer(text):
        words = " ".join(match.group().split())
        if (file.as_posix(), words.lower()) not in exceptions:
            place = int((match.lastgroup or "w0")[1:])
            yield text.count("\n", 0, match.start()) + 1, words.strip('"'), ADVICE[place]


def files() -> list[Path]:
    """Return the files that are looked at, relative to the repository."""
    found = {file.relative_to(ROOT) for pattern in READ for file in ROOT.glob(pattern)}
    return sorted(found - LEFT_OUT)


def allowed() -> set[tuple[str, str]]:
    """Return the exceptions of words.allow: path and words in lower case.

    Raises:
        ValueError: A line is not `PATH: WORDS  # REASON`.
    """
    found = set()
    for number, line in enumerate((ROOT / ALLOW).read_text(encoding="utf-8").splitlines(), 1):
        exception, _, reason = line.partition("#")
        if not exception.strip():
            continue
        file, colon, words = exception.partition(":")
        if not (colon and words.strip() and reason.strip()):
            raise ValueError(f"{ALLOW}:{number}: expected `PATH: WORDS  # REASON`, found {line!r}")
        found.add((file.strip(), words.strip().lower()))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
