"""The HTTP API of a template: routes, authorizers, CORS and limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.template.errors import TemplateError
from infra.template.resources import FUNCTION, HTTP_API, Resources
from infra.template.stack_definition import Authorizer, Cors, Limit, Limits, Route, function_name


def read_routes(resources: Resources) -> Iterator[Route]:
    """Yield a route for each HttpApi event of each function."""
    for logical_id in resources.ids(FUNCTION):
        for name, kind, event in resources.events(logical_id):
            if kind == "HttpApi":
                where = f"{logical_id}.Events.{name}"
                yield Route(
                    method=str(event.get("Method", "ANY")).upper(),
                    path=_path(event, where),
                    function=resources.name(logical_id),
                    authorizer=_authorizer(resources, event, where),
                )


def read_cors(resources: Resources) -> Cors | None:
    """Return the API's CORS configuration, or None if it has none."""
    for api_id in resources.ids(HTTP_API):
        where = f"{api_id}.CorsConfiguration"
        found = resources.resolve(_api(resources, api_id).get("CorsConfiguration"), where)
        if found is True:
            return Cors(origins=("*",))
        if found:
            if str(found.get("AllowCredentials", False)).lower() == "true":
                raise TemplateError(f"{where}: AllowCredentials does not run here, because tokens come in a header")
            return Cors(
                origins=tuple(found.get("AllowOrigins") or ()),
                methods=tuple(found.get("AllowMethods") or ()),
                headers=tuple(found.get("AllowHeaders") or ()),
                exposed=tuple(found.get("ExposeHeaders") or ()),
                max_age=None if found.get("MaxAge") is None else int(found["MaxAge"]),
            )
    return None


def read_limits(resources: Resources) -> Limits:
    """Return the API's limits."""
    for api_id in resources.ids(HTTP_API):
        api = _api(resources, api_id)
        default = _limit(resources.resolve(api.get("DefaultRouteSettings"), f"{api_id}.DefaultRouteSettings"))
        routes = resources.resolve(api.get("RouteSettings") or {}, f"{api_id}.RouteSettings")
        limits = {route: _limit(settings) for route, settings in routes.items()}
        return Limits(default, {route: limit for route, limit in limits.items() if limit is not None})
    return Limits()


def _limit(settings: dict[str, Any] | None) -> Limit | None:
    if not settings or "ThrottlingRateLimit" not in settings:
        return None
    rate = float(settings["ThrottlingRateLimit"])
    return Limit(rate, int(settings.get("ThrottlingBurstLimit", max(1, rate))))


def _api(resources: Resources, api_id: str | None) -> dict[str, Any]:
    shared: dict[str, Any] = resources.globals.get("HttpApi") or {}
    return shared if api_id is None else shared | resources.properties(api_id)


def _path(event: dict[str, Any], where: str) -> str:
    path = str(event.get("Path", "$default"))
    if path == "$default" or "+}" in path[:-2]:
        raise TemplateError(f"{where}: {path}: only exact paths and {{name}}, or {{name+}} at the end, run here")
    return path


def _authorizer(resources: Resources, event: dict[str, Any], where: str) -> Authorizer | None:
    auth = resources.resolve(_api(resources, event.get("ApiId")).get("Auth") or {}, where)
    name = (event.get("Auth") or {}).get("Authorizer", auth.get("DefaultAuthorizer"))
    if name is None or name == "NONE":
        return None
    definition = (auth.get("Authorizers") or {}).get(name)
    if definition is None:
        raise TemplateError(f"{where}: the HTTP API has no authorizer named {name}")
    if "FunctionArn" not in definition or not definition.get("EnableSimpleResponses"):
        raise TemplateError(f"{where}: {name}: only Lambda authorizers with EnableSimpleResponses run here")
    identity = definition.get("Identity") or {}
    return Authorizer(
        name=name,
        function=function_name(definition["FunctionArn"]),
        headers=tuple(header.lower() for header in identity.get("Headers") or ()),
        ttl=float(identity.get("ReauthorizeEvery", 0)),
    )
