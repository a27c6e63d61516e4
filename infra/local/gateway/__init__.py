"""Plays API Gateway's HTTP API: it takes a request, asks the authorizer, and calls the function of the route.

``server`` is the entrance. It uses ``routing``, ``cors``, ``authorizers`` and ``payload`` (the forms of event and
answer). ``httpserver`` has functions that ``functions.runtime_api`` needs too.
"""
