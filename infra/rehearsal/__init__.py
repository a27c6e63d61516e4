"""Starts ministack, an emulator of AWS, and adds what a deployment of our stack needs and ministack lacks.

``python -m infra.rehearsal`` runs in .venv-rehearsal only. Each other module fills one gap of ministack:

alarms.py            alarms on metric math
code_deploy.py       gradual deployments
http_api.py          the OpenAPI document of an HTTP API
nested_templates.py  the address of a nested template, as `sam delete` reads it
transform.py         the parameters' values in SAM's transform

They replace inner functions of ministack, so its version is pinned. tests/tools/build/test_rehearsal.py uses all this.
"""
