"""ministack knows no CodeDeploy. It now accepts the resources, and moves an alias to its new version at once."""

from __future__ import annotations

from typing import Any

from ministack.services.cloudformation import provisioners


def fill() -> None:
    """Accept ``AWS::CodeDeploy`` resources. Nothing is behind them."""
    for kind in ("Application", "DeploymentGroup"):
        provisioners._RESOURCE_HANDLERS[f"AWS::CodeDeploy::{kind}"] = {
            "create": _create,
            "update": _update,
            "delete": _delete,
        }


def _create(logical_id: str, properties: dict[str, Any], stack_name: str) -> tuple[str, dict[str, Any]]:
    return f"{stack_name}-{logical_id}", {}


def _update(
    physical_id: str, old: dict[str, Any], new: dict[str, Any], stack_name: str, logical_id: str | None = None
) -> tuple[str, dict[str, Any]]:
    return physical_id, {}


def _delete(physical_id: str, properties: dict[str, Any]) -> None:
    """Delete nothing, because there is nothing."""
