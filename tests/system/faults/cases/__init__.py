"""All cases, in the order of the table. Importing a module registers its cases."""

from tests.system.faults.cases import processes  # isort: skip
from tests.system.faults.cases import network, people, database_functions, store, aws, clocks  # isort: skip
from tests.system.faults.suite import CASES

__all__ = ["CASES", "aws", "clocks", "database_functions", "network", "people", "processes", "store"]
