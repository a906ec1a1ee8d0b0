import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwright.domain.errors import InvalidRequestError
from sealwright.policy.schema import (
    MAX_CONDITIONALS,
    MAX_NESTING,
    MAX_POLICY_SIZE,
    MAX_STATEMENT,
    default_policy,
    load_schema,
    parse_policies,
    schema_text,
    validate,
)

SCHEMA = load_schema()


def condition(text: str) -> str:
    return f"permit (principal, action, resource) when {{ {text} }};"


def test_the_default_policy_fits_the_schema() -> None:
    validate(default_policy("acme", "ci"), SCHEMA)
    validate("", SCHEMA)


def test_the_schema_is_published_as_text() -> None:
    assert "entity Key in [Subscriber]" in schema_text()


@pytest.mark.parametrize("name", ["", 'x"', "Ä", "a" * 65])
def test_a_default_policy_takes_names_only(name: str) -> None:
    for subscriber, workload in ((name, "ci"), ("acme", name)):
        with pytest.raises(InvalidRequestError):
            default_policy(subscriber, workload)


@pytest.mark.parametrize(
    "text",
    [
        condition('context.scheme == "authenticode" && context.count <= 100'),
        condition('context.parameters.contains({name: "program_name", value: "Setup"})'),
        condition('principal is Person && principal.administrator && resource.model == "signing-service"'),
        'forbid (principal in Subscriber::"acme", action == Action::"sign", resource == Key::"k");',
    ],
)
def test_policies_may_speak_of_what_the_schema_names(text: str) -> None:
    validate(text, SCHEMA)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("permit(", "unexpected end of input"),
        (condition("context.colour == 1"), "attribute `colour` in context"),
        (condition("principal.administrator"), "administrator"),
        ('permit (principal == Robot::"x", action, resource);', "unrecognized entity type `Robot`"),
        (condition("1"), "expected Bool but saw Long"),
        ("permit (principal == ?principal, action, resource);", "templates"),
        ("x" * (MAX_POLICY_SIZE + 1), "end at"),
        ("\ud800", "Unicode"),
    ],
)
def test_a_policy_that_does_not_fit_is_refused_in_cedars_words(text: str, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=re.escape(words)):
        validate(text, SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        condition("(" * MAX_NESTING + "true" + ")" * MAX_NESTING),
        condition("(" * 30_000 + "true" + ")" * 30_000),
        condition("[" * MAX_NESTING),
        "(;" * 1_000 + condition("true"),
        ")" * 1_000 + condition("(" * MAX_NESTING + "true" + ")" * MAX_NESTING),
        '// "\r' + condition("(" * MAX_NESTING + "true" + ")" * MAX_NESTING),
        condition("if true then true else " * (MAX_CONDITIONALS + 1) + "true"),
    ],
)
def test_a_policy_that_could_exhaust_the_stack_is_refused_before_it_is_parsed(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="nests too deeply"):
        parse_policies(text)


@pytest.mark.parametrize("text", ["1" + " + 1" * MAX_STATEMENT, "true" + " && true" * MAX_STATEMENT])
def test_a_policy_that_is_too_long_by_itself_is_refused(text: str) -> None:
    for whole in (condition(text[:MAX_STATEMENT]), condition(text[:MAX_STATEMENT])[:-1]):
        with pytest.raises(InvalidRequestError, match="one policy is longer"):
            parse_policies(whole)


def test_brackets_in_strings_and_comments_do_not_count() -> None:
    text = condition('context.scheme == "' + "(" * 100 + '\\"" // ' + "(" * 100 + "\n")
    validate(text, SCHEMA)
    validate(condition("(" * (MAX_NESTING - 2) + "true" + ")" * (MAX_NESTING - 2)) * 50, SCHEMA)


@given(st.text(alphabet='permit(){}[];"/\\\n\r ifcontext.!=&|a1', max_size=300))
def test_the_parser_only_fails_politely(text: str) -> None:
    for whole in (text, condition(text)):
        try:
            validate(whole, SCHEMA)
        except InvalidRequestError as error:
            assert error.detail  # noqa: PT017 - either outcome is right, a failure has to say why
