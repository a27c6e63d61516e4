"""Plays Lambda: each instance of a function is a process that runs AWS's own runtime client, `awslambdaric`.

``invoker`` takes a call and gives it to the function's ``pool``. The pool gives it to one of its ``instances``, which
passes it to the process through the ``runtime_api``. ``interpreters`` chooses the Python of the process, and
``processes`` measures and ends process trees. ``invocation`` is one call with its answer.
"""
