"""The OpenAPI 3.1 description of the face, made from the very types that its handlers decode and encode."""

from functools import lru_cache
from typing import Any

import msgspec

from sealwright import __version__
from sealwright.domain.messages import (
    AdminAnswer,
    AdminEnvelope,
    IssueAnswer,
    IssueRequest,
    KeyView,
    PolicyView,
    SigningRequestBody,
    SigningResponse,
    WhoAmI,
)
from sealwright.servers.web.problem import Problem

_POSTS: tuple[tuple[str, str, str, type, type], ...] = (
    ("/v1/signing-requests", "signingRequest", "Ask for signatures over digests", SigningRequestBody, SigningResponse),
    ("/v1/admin-requests", "adminRequest", "Carry out a signed administrative request", AdminEnvelope, AdminAnswer),
    ("/v1/certificates", "certificate", "Have the CA issue a certificate", IssueRequest, IssueAnswer),
)
_GETS: tuple[tuple[str, str, str, Any], ...] = (
    ("/v1/whoami", "whoami", "Who the service takes the caller for", WhoAmI),
    ("/v1/keys", "keys", "The keys of the caller's subscriber", list[KeyView]),
    ("/v1/policy", "policy", "The policies of the caller's subscriber", PolicyView),
    ("/v1/status", "status", "Versions, log and state of the deployment", dict[str, Any]),
)
_SIGNED = {"/v1/signing-requests", "/v1/whoami", "/v1/keys", "/v1/policy"}
_HEADERS = ("Signature-Input", "Signature")


@lru_cache(maxsize=1)
def openapi_document() -> bytes:
    """Return the document as JSON."""
    types: list[Any] = [Problem]
    for *_, request, response in _POSTS:
        types += [request, response]
    types += [response for *_, response in _GETS]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(map(repr, types), schemas, strict=True))
    paths: dict[str, Any] = {}
    for path, name, summary, request, response in _POSTS:
        operation = _operation(path, name, summary, schema_of[repr(response)])
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema_of[repr(request)]}},
        }
        paths[path] = {"post": operation}
    for path, name, summary, response in _GETS:
        paths[path] = {"get": _operation(path, name, summary, schema_of[repr(response)])}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Sealwright", "version": __version__},
        "paths": paths,
        "components": {"schemas": components},
    }
    return msgspec.json.encode(document)


def _operation(path: str, name: str, summary: str, schema: object) -> dict[str, Any]:
    parameters = []
    if path in _SIGNED:
        names = (*_HEADERS, "Content-Digest", "Idempotency-Key") if path == "/v1/signing-requests" else _HEADERS
        text = {"type": "string"}
        parameters = [{"name": header, "in": "header", "required": True, "schema": text} for header in names]
    problem = {"description": "A problem document (RFC 9457)", "content": _content("Problem")}
    answer = {"description": summary, "content": {"application/json": {"schema": schema}}}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": parameters,
        "responses": {"200": answer, "default": problem},
    }


def _content(component: str) -> dict[str, Any]:
    return {"application/problem+json": {"schema": {"$ref": f"#/components/schemas/{component}"}}}
