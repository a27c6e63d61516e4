"""Creates whatsmeow's tables. It reads the database's URL from standard input: python -m whatsapp_engine.tables."""

import sys

from whatsapp_engine.process import ProcessEngine

if __name__ == "__main__":
    url = sys.stdin.readline().strip()
    try:
        ProcessEngine(lambda: url).create_tables()
    except RuntimeError as problem:
        sys.exit(str(problem))
