"""Starts ministack, completed, on ``$GATEWAY_PORT``.

``$FUNCTIONS_ENVIRONMENT`` is a JSON object of variables that every function gets beside its own.
"""

from __future__ import annotations

import json
import os

from ministack.app import main

from infra.rehearsal import alarms, code_deploy, http_api, nested_templates, transform

if __name__ == "__main__":
    for gap in (alarms, code_deploy, http_api, nested_templates, transform):
        gap.fill()
    # ministack gives its functions its own environment. The variables come only now, so that they do not change how
    # ministack's own Python starts.
    os.environ.update(json.loads(os.environ.pop("FUNCTIONS_ENVIRONMENT", "{}")))
    main()
