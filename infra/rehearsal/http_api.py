"""ministack ignores the OpenAPI document of an HTTP API, so an API of SAM would have no route. This module reads it."""

from __future__ import annotations

import json
from typing import Any

from ministack.services import apigateway
from ministack.services.cloudformation import provisioners


def fill() -> None:
    """Make routes, integrations, authorizers and CORS from the property ``Body``."""
    handler = provisioners._RESOURCE_HANDLERS["AWS::ApiGatewayV2::Api"]
    create, update = handler["create"], handler["update"]

    def create_with_body(logical_id: str, properties: dict[str, Any], stack_name: str) -> Any:
        answer = create(logical_id, properties, stack_name)
        _import(answer[0], properties.get("Body") or {})
        return answer

    def update_with_body(
        physical_id: str, old: dict[str, Any], new: dict[str, Any], stack_name: str, logical_id: str | None = None
    ) -> Any:
        answer = update(physical_id, old, new, stack_name, logical_id)
        _import(answer[0], new.get("Body") or {})
        return answer

    handler["create"], handler["update"] = create_with_body, update_with_body


def _import(api_id: str, body: dict[str, Any]) -> None:
    """Replace everything behind an API by what its document says."""
    for store in (apigateway._routes, apigateway._integrations, apigateway._authorizers):
        store[api_id] = {}
    schemes = (body.get("components") or {}).get("securitySchemes") or {}
    authorizers = {name: _authorizer(api_id, name, scheme) for name, scheme in schemes.items()}
    for path, operations in (body.get("paths") or {}).items():
        for method, operation in operations.items():
            _route(api_id, f"{method.upper()} {path}", operation, authorizers)
    apigateway._apis[api_id]["corsConfiguration"] = body.get("x-amazon-apigateway-cors")


def _authorizer(api_id: str, name: str, scheme: dict[str, Any]) -> str:
    given = scheme["x-amazon-apigateway-authorizer"]
    wanted = given | {"name": name, "authorizerType": given["type"].upper()}
    return str(_made(apigateway._create_authorizer(api_id, wanted))["authorizerId"])


def _route(api_id: str, key: str, operation: dict[str, Any], authorizers: dict[str, str]) -> None:
    given = operation["x-amazon-apigateway-integration"]
    integration = _made(
        apigateway._create_integration(
            api_id,
            {
                "integrationType": given["type"].upper(),
                "integrationUri": given["uri"],
                "integrationMethod": given["httpMethod"],
                "payloadFormatVersion": given["payloadFormatVersion"],
            },
        )
    )
    route = {"routeKey": key, "target": f"integrations/{integration['integrationId']}"}
    for name in (name for one in operation.get("security") or [] for name in one):
        route |= {"authorizationType": "CUSTOM", "authorizerId": authorizers[name]}
    _made(apigateway._create_route(api_id, route))


def _made(answer: tuple[int, Any, bytes]) -> dict[str, Any]:
    status, _, body = answer
    if status >= 300:
        raise ValueError(f"the document of the HTTP API is refused: {body!r}")
    return dict(json.loads(body))
