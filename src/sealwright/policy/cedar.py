"""Decisions by Cedar, default deny: the same engine serves the face (`request`) and the key holder (`sign`)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

import cedarpy

from sealwright.domain.errors import InvalidRequestError
from sealwright.domain.messages import KeyView, PolicyView, PrincipalView
from sealwright.policy.schema import load_schema, parse_policies

Action = Literal["request", "sign"]

_MAX_COUNT: Final = 2**63 - 1  # Cedar's Long
_TEXTS: Final = ("scheme", "input", "digest_algorithm")
_FIELDS: Final = frozenset((*_TEXTS, "count", "parameters"))


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether it is allowed, which policies decided (their @id, else Cedar's own), and what went wrong."""

    allowed: bool
    reasons: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


def refusal_of(decision: Decision, action: Action, principal: PrincipalView, key: KeyView) -> str:
    """Return an empty text if it is allowed, else the sentence that tells the principal why not."""
    if decision.allowed:
        return ""
    why = "; ".join((*decision.reasons, *decision.errors)) or "no policy permits it"
    return f"{principal.name} may not {action} with key {key.name!r}: {why}"


class _Question(NamedTuple):
    """Everything that a decision depends on, and nothing else: equal questions have equal answers."""

    policy: str
    version: int
    action: str
    principal_type: str
    principal: str
    administrator: bool
    subscriber: str
    key: str
    algorithm: str
    lifetime: str
    model: str
    scheme: str
    input: str
    digest_algorithm: str
    artifacts: int
    parameters: tuple[tuple[str, str], ...]


class PolicyEngine:
    """Decides by the policies that `lookup` finds for a subscriber, as they stand at that moment.

    `decisions` and `policies` bound what is remembered: answers to exact questions (the policies' text and
    version are part of a question), and parsed policy sets.
    """

    def __init__(
        self, lookup: Callable[[str], PolicyView | None], *, decisions: int = 16_384, policies: int = 1_024
    ) -> None:
        self._lookup = lookup
        self._schema = load_schema()
        self._parsed = lru_cache(policies)(parse_policies)
        self._entities = lru_cache(policies)(self._make_entities)
        self._remembered = lru_cache(decisions)(self._evaluate)

    def decide(self, action: Action, principal: PrincipalView, key: KeyView, context: Mapping[str, Any]) -> Decision:
        """Decide whether the principal may do this with the key.

        `context` has scheme, input, digest_algorithm (texts), count (of artifacts) and, if there are any,
        parameters (a mapping of texts). A key of another subscriber, no policy, and an error while any policy is
        evaluated (Cedar itself would pass over a `forbid` that fails) mean no. Raises InvalidRequestError for a
        context of another shape.
        """
        if principal.subscriber != key.subscriber:
            return Decision(False, ("tenancy",))
        view = self._lookup(key.subscriber)
        if view is None or view.subscriber != key.subscriber:
            return Decision(False, ("no-policy",))
        return self._remembered(_question(view, action, principal, key, context))

    def _evaluate(self, question: _Question) -> Decision:
        """Ask Cedar."""
        try:
            policies = self._parsed(question.policy)
        except InvalidRequestError as error:
            return Decision(False, (), (error.detail,))
        request = {
            "principal": {"type": question.principal_type, "id": question.principal},
            "action": {"type": "Action", "id": question.action},
            "resource": {"type": "Key", "id": question.key},
            "context": {
                "scheme": question.scheme,
                "input": question.input,
                "digest_algorithm": question.digest_algorithm,
                "count": question.artifacts,
                "parameters": [{"name": name, "value": value} for name, value in question.parameters],
            },
        }
        entities = self._entities(*question[3:11])
        result = cedarpy.is_authorized(request, policies, entities, self._schema)
        diagnostics = result.diagnostics
        names = diagnostics.id_annotations_by_reason
        reasons = tuple(sorted(names.get(reason) or reason for reason in diagnostics.reasons))
        errors = tuple(diagnostics.errors)
        return Decision(result.allowed and not errors, reasons, errors)

    def _make_entities(
        self,
        principal_type: str,
        principal: str,
        administrator: bool,
        subscriber: str,
        key: str,
        algorithm: str,
        lifetime: str,
        model: str,
    ) -> cedarpy.Entities:
        """Return the three entities of a question: subscriber, principal, key."""
        parents = [{"type": "Subscriber", "id": subscriber}]
        attributes = {"administrator": administrator} if principal_type == "Person" else {}
        return cedarpy.Entities.from_json_str(
            json.dumps(
                [
                    {"uid": parents[0], "attrs": {}, "parents": []},
                    {"uid": {"type": principal_type, "id": principal}, "attrs": attributes, "parents": parents},
                    {
                        "uid": {"type": "Key", "id": key},
                        "attrs": {"algorithm": algorithm, "lifetime": lifetime, "model": model},
                        "parents": parents,
                    },
                ]
            ),
            self._schema,
        )


def _question(
    policy: PolicyView, action: Action, principal: PrincipalView, key: KeyView, context: Mapping[str, Any]
) -> _Question:
    """Put a question into its one form, or raise InvalidRequestError."""
    parameters = context.get("parameters") or {}
    count = context.get("count")
    scheme, input_model, digest_algorithm = (context.get(name) for name in _TEXTS)
    if (
        not context.keys() <= _FIELDS
        or type(scheme) is not str
        or type(input_model) is not str
        or type(digest_algorithm) is not str
        or type(count) is not int
        or not 0 <= count <= _MAX_COUNT
        or not isinstance(parameters, Mapping)
        or not all(type(name) is str and type(value) is str for name, value in parameters.items())
    ):
        raise InvalidRequestError("policies are asked with scheme, input, digest_algorithm, count and parameters")
    return _Question(
        policy.text,
        policy.version,
        action,
        "Workload" if principal.kind == "workload" else "Person",
        principal.name,
        principal.administrator,
        key.subscriber,
        key.name,
        key.algorithm,
        key.lifetime,
        key.model,
        scheme,
        input_model,
        digest_algorithm,
        count,
        tuple(sorted(parameters.items())),
    )
