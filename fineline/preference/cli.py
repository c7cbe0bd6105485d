"""`fineline preference`: a judge model compares the answers of two models (evidence/README.md)."""

from typing import Annotated

import typer

from fineline.evidence.cli import show
from fineline.project import params
from fineline.project.argument import AdapterName


def prefer(
    name: AdapterName,
    endpoint: Annotated[str, typer.Option(metavar="URL", help="An OpenAI-compatible API, such as https://judge.example/v1.")],
    model: Annotated[str, typer.Option(help="Name of the judge model on the server.")],
    key_variable: Annotated[str | None, typer.Option(metavar="NAME", help="Environment variable with the API key.")] = None,
    against: Annotated[str, typer.Option(help="base or champion.")] = "base",
    task: Annotated[list[str] | None, typer.Option(help="A task whose answers are compared; may be repeated.")] = None,
    limit: Annotated[int | None, typer.Option(help="Maximum number of pairs.")] = None,
    margin: Annotated[
        float | None, typer.Option(help="Test `not worse by this share of pairs` instead of `preferred`.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="One-sided confidence level.")] = 0.95,
    max_tokens: Annotated[int, typer.Option(help="Maximum tokens of a reply.")] = 8,
    allow_plain_http: Annotated[bool, typer.Option("--allow-plain-http", help="Allow http to another machine.")] = False,
) -> None:
    """Let a judge model decide which of two models answers better. It sends questions and answers to the endpoint."""
    from fineline.preference.endpoint import connect
    from fineline.preference.session import NAME, Settings, read_answers
    from fineline.preference.session import prefer as compare

    params.load().adapter(name)
    settings = Settings(tuple(task or ()), limit, margin, confidence, max_tokens)
    judge = connect(endpoint, model, key_variable=key_variable, allow_plain_http=allow_plain_http)
    answers = read_answers(name, against)
    show(answers.evidence / f"{NAME}.json", compare(answers, judge, settings))
