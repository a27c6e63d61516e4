"""The repository's documents.

- ``figures``: a command that measures writes its section of a file
- ``links``: every link of every Markdown file leads somewhere (``make lint``)
"""
