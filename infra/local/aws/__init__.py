"""Plays the other services of AWS that template.yaml uses.

``step_functions`` runs moto's server for Step Functions, Secrets Manager and Lambda's Invoke API, with the corrections
of ``moto_fixes``. ``schedules`` calls functions as EventBridge Scheduler does.
"""
