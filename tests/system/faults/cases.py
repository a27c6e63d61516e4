"""All cases, in the table's order: importing the modules registers theirs."""

from tests.system.faults import processes  # isort: skip
from tests.system.faults import network, people, changes, store, aws, clocks  # isort: skip
from tests.system.faults.suite import CASES

__all__ = ["CASES", "aws", "changes", "clocks", "network", "people", "processes", "store"]
