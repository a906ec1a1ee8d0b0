"""The Cedar schema that every policy is checked against, and the policy that a new subscriber starts with."""

import re
from importlib.resources import files
from typing import Final

import cedarpy

from sealwright.domain.errors import InvalidRequestError
from sealwright.domain.keys import is_name

MAX_POLICY_SIZE: Final = 65_536
# Cedar's parser and evaluator recurse, and end the process where the stack ends: at about 600 nested brackets in
# 8 MiB, at about 50 brackets, 300 conditionals or 8,000 operators in 512 KiB (a thread on macOS). cedarpy 4.12.
MAX_STATEMENT: Final = 8_192  # characters from one `;` to the next
MAX_NESTING: Final = 24
MAX_CONDITIONALS: Final = 64  # `if` in one statement: each may stand in the `else` of the one before

_LEXEME: Final = re.compile(
    r"""//[^\n\r]*|"(?:[^"\\]|\\.)*"|[A-Za-z_][A-Za-z0-9_]*|[()\[\]{};]""", re.ASCII | re.DOTALL
)


def schema_text() -> str:
    """Return the schema in Cedar's human syntax, as it is published."""
    return (files("sealwright.policy") / "schema.cedarschema").read_text(encoding="utf-8")


def load_schema() -> cedarpy.Schema:
    """Return the schema, parsed."""
    return cedarpy.Schema.from_str(schema_text())


def validate(text: str, schema: cedarpy.Schema) -> None:
    """Check policies against the schema, or raise InvalidRequestError with Cedar's own words.

    Templates are refused: nothing links them, so they would decide nothing.
    """
    policies = parse_policies(text)
    result = cedarpy.validate_policies(text, schema)
    if not result.validation_passed:
        raise InvalidRequestError(
            "; ".join(str(error) for error in result.errors),
            hint="entities, actions and what a request tells of itself: sealwright/policy/schema.cedarschema",
        )
    if policies.templates():
        raise InvalidRequestError("policy templates (?principal, ?resource) are not used here: name the entities")


def parse_policies(text: str) -> cedarpy.PolicySet:
    """Parse policies within limits (size, nesting), or raise InvalidRequestError with Cedar's own words."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidRequestError("the policies are no Unicode text") from None
    if size > MAX_POLICY_SIZE:
        raise InvalidRequestError(f"the policies of one subscriber end at {MAX_POLICY_SIZE} bytes")
    _check_nesting(text)
    try:
        return cedarpy.PolicySet.from_str(text)
    except ValueError as error:
        raise InvalidRequestError(f"Policy parse error: {error}") from None


def _check_nesting(text: str) -> None:
    """Refuse what could exhaust the parser's stack. Brackets in strings and comments do not count."""
    depth = conditionals = start = 0
    for found in _LEXEME.finditer(text):
        lexeme = found[0]
        if lexeme in "([{":
            depth += 1
        elif lexeme in ")]}":
            depth = max(depth - 1, 0)
        elif lexeme == "if":
            conditionals += 1
        elif lexeme == ";" and depth == 0:
            _check_statement(found.end() - start)
            start, conditionals = found.end(), 0
        if depth > MAX_NESTING or conditionals > MAX_CONDITIONALS:
            raise InvalidRequestError(
                "a policy nests too deeply",
                hint=f"at most {MAX_NESTING} brackets in one another, and {MAX_CONDITIONALS} `if` in one policy",
            )
    _check_statement(len(text) - start)


def _check_statement(length: int) -> None:
    if length > MAX_STATEMENT:
        raise InvalidRequestError(
            f"one policy is longer than {MAX_STATEMENT} characters", hint="divide it into several policies"
        )


def default_policy(subscriber: str, workload: str) -> str:
    """Return the policy that lets one workload ask for and get signatures with all keys of its subscriber.

    Raises InvalidRequestError if a name is none (domain.keys.is_name).
    """
    for name in (subscriber, workload):
        if not is_name(name):
            raise InvalidRequestError(f"{name!r} is no name", hint="use 1 to 64 of a-z 0-9 . _ -, ends alphanumeric")
    return (
        f'@id("{workload}-may-sign")\n'
        "permit (\n"
        f'  principal == Workload::"{workload}",\n'
        '  action in [Action::"request", Action::"sign"],\n'
        f'  resource in Subscriber::"{subscriber}"\n'
        ");\n"
    )
